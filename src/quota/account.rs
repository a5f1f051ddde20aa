//! What one caller has used, and what it may.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::quota::bucket::Bucket;

/// What a caller may do; `None` is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Requests a second.
    pub requests_per_s: Option<NonZeroU64>,
    /// Records written a second.
    pub records_per_s: Option<NonZeroU64>,
    /// Bytes of request bodies a second, as they come over the wire.
    pub bytes_per_s: Option<NonZeroU64>,
    /// Endless answers at once.
    pub streams: Option<NonZeroU64>,
    /// Connections at once.
    pub connections: Option<NonZeroU64>,
}

impl Allowance {
    /// Whether nothing is bounded.
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }

    fn rates(&self) -> [(Measure, Option<NonZeroU64>); 3] {
        [
            (Measure::Requests, self.requests_per_s),
            (Measure::Records, self.records_per_s),
            (Measure::Bytes, self.bytes_per_s),
        ]
    }
}

/// What something costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests.
    pub requests: u64,
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Cost {
    fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Requests => self.requests,
            Measure::Records => self.records,
            Measure::Bytes => self.bytes,
            Measure::Streams | Measure::Connections => 0,
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Requests a second.
    Requests,
    /// Records a second.
    Records,
    /// Bytes a second.
    Bytes,
    /// Streams at once.
    Streams,
    /// Connections at once.
    Connections,
}

/// That a caller has used up what it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Of what.
    pub measure: Measure,
    /// How much it may.
    pub limit: NonZeroU64,
    /// When there is some again; nobody knows when a stream or a connection ends.
    pub wait: Option<Duration>,
}

/// What a caller has used.
#[derive(Debug, Default)]
pub(crate) struct Account {
    buckets: Mutex<[Bucket; 3]>,
    streams: AtomicU64,
    connections: AtomicU64,
}

impl Account {
    /// Whether it is as good as new, so that forgetting it changes nothing.
    pub(crate) fn is_idle(&self, now: Duration) -> bool {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_held() && buckets.iter().all(|bucket| bucket.is_full(now))
    }

    /// Whether a stream or a connection of it is open.
    pub(crate) fn is_held(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0 || self.connections.load(Ordering::Relaxed) > 0
    }

    fn count(&self, measure: Measure) -> &AtomicU64 {
        if measure == Measure::Connections { &self.connections } else { &self.streams }
    }
}

/// A caller and what it may. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Payer {
    account: Arc<Account>,
    allowance: Allowance,
    begun: Instant,
}

impl Payer {
    /// The owner of `account`, whose times count from `begun`.
    pub(crate) fn new(account: Arc<Account>, allowance: Allowance, begun: Instant) -> Self {
        Self { account, allowance, begun }
    }

    /// What it may.
    pub fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// Takes all of `cost`, or nothing.
    ///
    /// # Errors
    /// The measure that is wanting, and until when.
    pub fn take(&self, cost: Cost) -> Result<(), Refused> {
        self.take_at(self.begun.elapsed(), cost)
    }

    fn take_at(&self, now: Duration, cost: Cost) -> Result<(), Refused> {
        let mut buckets = self.account.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for (bucket, (measure, rate)) in buckets.iter().zip(self.allowance.rates()) {
            // Who is in debt of one measure may still do what costs nothing of it.
            let Some(rate) = rate.filter(|_| cost.of(measure) > 0) else { continue };
            let wait = bucket.wait(now, rate, cost.of(measure));
            if !wait.is_zero() {
                return Err(Refused { measure, limit: rate, wait: Some(wait) });
            }
        }
        self.charge(&mut buckets, now, cost);
        Ok(())
    }

    /// Takes `cost` of something that goes on and is not refused halfway.
    ///
    /// Returns how long it must pause, so that it takes no more than it may.
    pub fn spend(&self, cost: Cost) -> Duration {
        self.spend_at(self.begun.elapsed(), cost)
    }

    fn spend_at(&self, now: Duration, cost: Cost) -> Duration {
        let mut buckets = self.account.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        self.charge(&mut buckets, now, cost);
        let rates = buckets.iter().zip(self.allowance.rates());
        let waits = rates.filter_map(|(bucket, (measure, rate))| {
            let rate = rate.filter(|_| cost.of(measure) > 0)?;
            Some(bucket.wait(now, rate, 0))
        });
        waits.max().unwrap_or_default()
    }

    fn charge(&self, buckets: &mut [Bucket; 3], now: Duration, cost: Cost) {
        for (bucket, (measure, rate)) in buckets.iter_mut().zip(self.allowance.rates()) {
            if let Some(rate) = rate {
                bucket.spend(now, rate, cost.of(measure));
            }
        }
    }

    /// Opens one stream; it is open as long as the value lives. `None` where streams are not counted.
    ///
    /// # Errors
    /// It has as many as it may.
    pub fn stream(&self) -> Result<Option<Held>, Refused> {
        self.hold(Measure::Streams, self.allowance.streams)
    }

    /// Opens one connection; it is open as long as the value lives. `None` where connections are not counted.
    ///
    /// # Errors
    /// It has as many as it may.
    pub fn connection(&self) -> Result<Option<Held>, Refused> {
        self.hold(Measure::Connections, self.allowance.connections)
    }

    fn hold(&self, measure: Measure, limit: Option<NonZeroU64>) -> Result<Option<Held>, Refused> {
        let Some(limit) = limit else { return Ok(None) };
        let one_more = |open: u64| (open < limit.get()).then_some(open + 1);
        match self.account.count(measure).fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Some(Held { account: Arc::clone(&self.account), measure })),
            Err(_) => Err(Refused { measure, limit, wait: None }),
        }
    }
}

/// A stream or a connection that is open.
#[derive(Debug)]
pub struct Held {
    account: Arc<Account>,
    measure: Measure,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.account.count(self.measure).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(allowance: Allowance) -> Payer {
        Payer::new(Arc::default(), allowance, Instant::now())
    }

    fn requests(requests: u64) -> Cost {
        Cost { requests, ..Cost::default() }
    }

    const BEGIN: Duration = Duration::ZERO;

    #[test]
    fn a_refusal_takes_nothing() {
        let payer = payer(Allowance {
            requests_per_s: NonZeroU64::new(10),
            records_per_s: NonZeroU64::new(5),
            ..Allowance::default()
        });
        payer.take_at(BEGIN, Cost { requests: 1, records: 4, bytes: 1 << 40 }).expect("enough");
        let two = Cost { requests: 1, records: 2, bytes: 0 };
        let refused = payer.take_at(BEGIN, two).expect_err("one record is wanting");
        assert_eq!((refused.measure, refused.limit.get()), (Measure::Records, 5));
        assert_eq!(refused.wait, Some(Duration::from_millis(200)));
        for _ in 0..9 {
            payer.take_at(BEGIN, requests(1)).expect("the refusal cost nothing");
        }
        assert_eq!(payer.take_at(BEGIN, requests(1)).expect_err("used up").measure, Measure::Requests);
        let later = Duration::from_secs(1);
        payer.take_at(later, Cost { requests: 10, records: 5, bytes: 0 }).expect("all is there again");
    }

    #[test]
    fn what_goes_on_pauses_and_a_debt_is_of_one_measure() {
        let payer = payer(Allowance { bytes_per_s: NonZeroU64::new(1_000), ..Allowance::default() });
        let bytes = |bytes| Cost { bytes, ..Cost::default() };
        assert_eq!(payer.spend_at(BEGIN, bytes(1_000)), Duration::ZERO);
        assert_eq!(payer.spend_at(BEGIN, bytes(500)), Duration::from_millis(500));
        assert_eq!(payer.spend_at(BEGIN, requests(1)), Duration::ZERO, "of another measure");
        payer.take_at(BEGIN, requests(1)).expect("of another measure");
        assert_eq!(payer.take_at(BEGIN, bytes(1)).expect_err("in debt").measure, Measure::Bytes);
        payer.take_at(Duration::from_millis(501), bytes(1)).expect("paid");
    }

    #[test]
    fn streams_and_connections_are_counted_apart() {
        let unbounded = payer(Allowance::default());
        let payer =
            payer(Allowance { streams: NonZeroU64::new(1), connections: NonZeroU64::new(2), ..Allowance::default() });
        let stream = payer.stream().expect("room").expect("counted");
        let connections = [payer.connection().expect("room"), payer.connection().expect("room")];
        assert_eq!(payer.stream().expect_err("one is open").measure, Measure::Streams);
        assert_eq!(payer.connection().expect_err("two are open").wait, None);
        drop(stream);
        drop(payer.stream().expect("room again"));
        drop(connections);
        assert!(payer.account.is_idle(Duration::ZERO));
        assert!(unbounded.stream().expect("no bound").is_none());
    }
}
