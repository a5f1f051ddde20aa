//! A token bucket that holds one second's worth, in one number: when it will be full again (the generic cell rate
//! algorithm, ITU-T I.371 annex A).

use std::num::NonZeroU64;
use std::time::Duration;

/// How much time's worth of tokens a full bucket holds: a caller that was quiet may do so much at once.
pub(crate) const BURST: Duration = Duration::from_secs(1);

/// A bucket; a new one is full. Times count from wherever its owner counts, and never go back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// How long until `cost` may be taken at `rate` tokens a second; zero if now. What is larger than a full bucket needs
    /// a full one.
    pub(crate) fn wait(self, now: Duration, rate: NonZeroU64, cost: u64) -> Duration {
        (self.lack(now) + worth(rate, cost).min(BURST)).saturating_sub(BURST)
    }

    /// Takes `cost`, whether it is there or not: what is not is a debt, which is paid before anything else is taken.
    pub(crate) fn spend(&mut self, now: Duration, rate: NonZeroU64, cost: u64) {
        self.full_at = self.full_at.max(now).saturating_add(worth(rate, cost));
    }

    /// Whether it holds all that it can, as if nothing had ever been taken.
    pub(crate) fn is_full(self, now: Duration) -> bool {
        self.full_at <= now
    }

    fn lack(self, now: Duration) -> Duration {
        self.full_at.saturating_sub(now)
    }
}

/// How long `cost` tokens take to come.
fn worth(rate: NonZeroU64, cost: u64) -> Duration {
    let nanos = u128::from(cost) * 1_000_000_000 / u128::from(rate.get());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)) // 584 years
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn rate(per_s: u64) -> NonZeroU64 {
        NonZeroU64::new(per_s).expect("not zero")
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn take(bucket: &mut Bucket, now: Duration, per_s: u64, cost: u64) -> Result<(), Duration> {
        let wait = bucket.wait(now, rate(per_s), cost);
        if wait.is_zero() {
            bucket.spend(now, rate(per_s), cost);
            return Ok(());
        }
        Err(wait)
    }

    #[test]
    fn a_second_at_once_and_then_as_they_come() {
        let mut bucket = Bucket::default();
        for _ in 0..5 {
            assert_eq!(take(&mut bucket, at(0), 5, 1), Ok(()));
        }
        assert_eq!(take(&mut bucket, at(0), 5, 1), Err(at(200)));
        assert_eq!(take(&mut bucket, at(150), 5, 1), Err(at(50)));
        assert_eq!(take(&mut bucket, at(200), 5, 1), Ok(()));
        assert!(!bucket.is_full(at(1_199)) && bucket.is_full(at(1_200)));
        assert_eq!(take(&mut bucket, at(60_000), 5, 6), Ok(()), "more than a full bucket needs a full one");
        assert_eq!(take(&mut bucket, at(60_000), 5, 1), Err(at(400)), "and is paid for");
    }

    #[test]
    fn a_debt_is_paid_first() {
        let mut bucket = Bucket::default();
        bucket.spend(at(0), rate(100), 350);
        assert_eq!(bucket.wait(at(0), rate(100), 0), at(2_500));
        assert_eq!(bucket.wait(at(2_500), rate(100), 0), at(0));
        assert_eq!(bucket.wait(at(2_500), rate(100), 1), at(10));
        bucket.spend(at(3_000), rate(1), u64::MAX);
        assert!(bucket.wait(at(3_000), rate(1), 1) > at(1_000_000_000));
    }

    proptest! {
        /// However it is asked: within any span of time it gives no more than the span's worth and a full bucket, and
        /// who waits as long as he is told is served.
        #[test]
        fn it_gives_what_the_rate_allows(
            per_s in 1..1_000u64,
            asks in vec((0..400u64, 1..50u64), 1..200),
        ) {
            let mut bucket = Bucket::default();
            let (mut now, mut given) = (0, Vec::new());
            for (pause, cost) in asks {
                now += pause;
                match take(&mut bucket, at(now), per_s, cost) {
                    Ok(()) => given.push((now, cost)),
                    Err(wait) => {
                        prop_assert_eq!(bucket.wait(at(now) + wait, rate(per_s), cost), Duration::ZERO);
                        let early = wait.saturating_sub(Duration::from_nanos(1));
                        prop_assert!(!bucket.wait(at(now) + early, rate(per_s), cost).is_zero());
                    }
                }
            }
            for (i, (begin, _)) in given.iter().enumerate() {
                let mut sum = 0;
                for (end, cost) in &given[i..] {
                    sum += cost;
                    // The last may be larger than a full bucket, and one is lost to rounding down.
                    let allowed = per_s + (end - begin) * per_s / 1_000 + cost + 1;
                    prop_assert!(sum <= allowed, "{} > {} in {}..{}", sum, allowed, begin, end);
                }
            }
        }
    }
}
