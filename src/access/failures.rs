//! Addresses from which credentials come that are none: after some of them in a minute, they are told to wait. What is
//! good is never slowed: it is looked at before anything is counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// How long they are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are counted at once. Beyond that all begin anew: whoever has so many gains little by it, and memory
/// stays bounded.
const ADDRESSES_MAX: usize = 10_000;

/// Failures by address.
#[derive(Debug)]
pub(super) struct Failures {
    /// Those of one address in one window that are answered as such.
    max: u32,
    seen: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    failures: u32,
}

impl Failures {
    pub(super) fn new(max: u32) -> Self {
        Self { max, seen: Mutex::default() }
    }

    /// Counts a failure; if there were too many, how long the address has to wait.
    pub(super) fn count(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        if !seen.contains_key(&address) && seen.len() >= ADDRESSES_MAX {
            seen.retain(|_, window| now.duration_since(window.since) < WINDOW);
            if seen.len() >= ADDRESSES_MAX {
                seen.clear();
            }
        }
        let window = seen.entry(address).or_insert(Window { since: now, failures: 0 });
        let elapsed = now.saturating_duration_since(window.since);
        if elapsed >= WINDOW {
            *window = Window { since: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
        (window.failures > self.max).then(|| WINDOW.saturating_sub(now.saturating_duration_since(window.since)))
    }
}

/// What one client cannot change at will: of an IPv6 address, the first half.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_failure_in_a_minute_has_to_wait() {
        let (failures, start) = (Failures::new(10), Instant::now());
        let here: IpAddr = "192.0.2.1".parse().expect("an address");
        for second in 0..10 {
            assert_eq!(failures.count(here, start + Duration::from_secs(second)), None);
        }
        assert_eq!(failures.count(here, start + Duration::from_secs(20)), Some(Duration::from_secs(40)));
        assert_eq!(failures.count("192.0.2.2".parse().expect("an address"), start), None, "another address");
        assert_eq!(failures.count(here, start + WINDOW), None, "the next minute");
    }

    #[test]
    fn neighbours_in_one_network_are_one() {
        let (failures, now) = (Failures::new(10), Instant::now());
        for last in 0..10 {
            let address = format!("2001:db8::{last}").parse().expect("an address");
            assert_eq!(failures.count(address, now), None);
        }
        assert!(failures.count("2001:db8::ffff".parse().expect("an address"), now).is_some());
        assert!(failures.count("2001:db8:0:1::1".parse().expect("an address"), now).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let (failures, now) = (Failures::new(10), Instant::now());
        for number in 0..30_000u32 {
            failures.count(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(failures.seen.lock().expect("no panic").len() <= ADDRESSES_MAX);
    }
}
