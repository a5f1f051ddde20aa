//! The kinds of metrics: a counter, a gauge, a histogram. Raising one is an atomic addition or two; nothing is locked,
//! looked up or allocated. That is why they are ours: the histogram of the official client (`prometheus-client` 0.25)
//! takes a mutex, and its labels are looked up in a map behind a lock, at every request.

use std::marker::PhantomData;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::telemetry::metrics::exposition::Metric;
use crate::telemetry::metrics::exposition::Samples;
use crate::telemetry::metrics::exposition::Type;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// Takes over a count that is kept elsewhere, where it never falls.
    pub fn follow(&self, count: u64) {
        self.0.fetch_max(count, Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Metric for Counter {
    const TYPE: Type = Type::Counter;

    fn is_zero(&self) -> bool {
        self.get() == 0
    }

    fn write(&self, samples: &mut Samples<'_>) {
        samples.sample("", self.get());
    }
}

/// A number of now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Says what it is now.
    pub fn set(&self, value: u64) {
        self.0.store(i64::try_from(value).unwrap_or(i64::MAX), Relaxed);
    }

    /// One more, until [`Gauge::dec`].
    pub fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn dec(&self) {
        self.sub(1);
    }

    /// So many less.
    pub fn sub(&self, count: usize) {
        self.0.fetch_sub(i64::try_from(count).unwrap_or(i64::MAX), Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl Metric for Gauge {
    const TYPE: Type = Type::Gauge;

    fn is_zero(&self) -> bool {
        self.get() == 0
    }

    fn write(&self, samples: &mut Samples<'_>) {
        samples.sample("", self.get());
    }
}

/// A duration of now: kept in milliseconds, told in seconds.
#[derive(Debug, Default)]
pub struct GaugeSeconds(AtomicU64);

impl GaugeSeconds {
    /// Says what it is now.
    pub fn set_ms(&self, ms: u64) {
        self.0.store(ms, Relaxed);
    }
}

impl Metric for GaugeSeconds {
    const TYPE: Type = Type::Gauge;

    fn is_zero(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    fn write(&self, samples: &mut Samples<'_>) {
        samples.sample("", self.0.load(Relaxed) as f64 / 1e3);
    }
}

/// Upper bounds of a histogram's buckets, beside the one that takes all the rest.
const BUCKETS: usize = 16;

/// What a histogram measures, and in which buckets.
pub trait Scale {
    /// The upper bounds, ascending, in the unit it is kept in.
    const BOUNDS: [u64; BUCKETS];
    /// A value in the unit it is told in.
    fn told(kept: u64) -> f64;
}

/// Durations from 0.1 ms to 10 s: kept in nanoseconds, told in seconds.
#[derive(Debug, Default)]
pub struct Seconds;

impl Scale for Seconds {
    const BOUNDS: [u64; BUCKETS] = [
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
    ];

    fn told(kept: u64) -> f64 {
        kept as f64 / 1e9
    }
}

/// Numbers and sizes from 1 to 1 Gi, in powers of four.
#[derive(Debug, Default)]
pub struct Amount;

impl Scale for Amount {
    const BOUNDS: [u64; BUCKETS] = {
        let mut bounds = [1; BUCKETS];
        let mut i = 1;
        while i < BUCKETS {
            bounds[i] = 4 * bounds[i - 1];
            i += 1;
        }
        bounds
    };

    fn told(kept: u64) -> f64 {
        kept as f64
    }
}

/// How values are spread.
#[derive(Debug, Default)]
pub struct Histogram<S> {
    buckets: [AtomicU64; BUCKETS],
    beyond: AtomicU64,
    sum: AtomicU64,
    scale: PhantomData<S>,
}

impl<S: Scale> Histogram<S> {
    fn take(&self, value: u64) {
        let bucket = S::BOUNDS.partition_point(|bound| *bound < value);
        self.buckets.get(bucket).unwrap_or(&self.beyond).fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }
}

impl Histogram<Seconds> {
    /// Takes note of how long something took.
    pub fn observe(&self, duration: Duration) {
        self.take(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Histogram<Amount> {
    /// Takes note of how many or how much it was.
    pub fn observe(&self, amount: u64) {
        self.take(amount);
    }
}

impl<S: Scale> Metric for Histogram<S> {
    const TYPE: Type = Type::Histogram;

    fn is_zero(&self) -> bool {
        self.buckets.iter().chain([&self.beyond]).all(|bucket| bucket.load(Relaxed) == 0)
    }

    fn write(&self, samples: &mut Samples<'_>) {
        let mut count = 0;
        for (bound, bucket) in S::BOUNDS.iter().zip(&self.buckets) {
            count += bucket.load(Relaxed);
            samples.bucket(S::told(*bound), count);
        }
        count += self.beyond.load(Relaxed);
        samples.bucket(f64::INFINITY, count);
        samples.sample("_count", count);
        samples.sample("_sum", S::told(self.sum.load(Relaxed)));
    }
}
