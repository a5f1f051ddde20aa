//! The callers that are known: a bounded table, from which those that left no trace are dropped first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::quota::account::Account;
use crate::quota::account::Allowance;
use crate::quota::account::Payer;

/// Callers that are remembered, beside those with something open. Each takes some 200 bytes.
const CALLERS_MAX: usize = 65_536;

/// Whom something is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// Whoever has this address.
    Address(IpAddr),
    /// Whoever has these credentials.
    Identity(Arc<str>),
}

impl Who {
    /// An address as it is counted: of IPv6 the first 64 bits, since whoever has one address there has all of those.
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 => v4,
        })
    }
}

/// All callers of this node.
#[derive(Debug)]
pub struct Quotas {
    begun: Instant,
    callers_max: usize,
    accounts: Mutex<HashMap<Who, Arc<Account>>>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self::bounded(CALLERS_MAX)
    }
}

impl Quotas {
    fn bounded(callers_max: usize) -> Self {
        Self { begun: Instant::now(), callers_max, accounts: Mutex::default() }
    }

    /// The caller `who`, and what it may now; what it used before is remembered.
    pub fn payer(&self, who: Who, allowance: Allowance) -> Payer {
        self.payer_at(self.begun.elapsed(), who, allowance)
    }

    fn payer_at(&self, now: Duration, who: Who, allowance: Allowance) -> Payer {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let account = match accounts.get(&who) {
            Some(account) => Arc::clone(account),
            None => {
                if accounts.len() >= self.callers_max {
                    self.make_room(now, &mut accounts);
                }
                Arc::clone(accounts.entry(who).or_default())
            }
        };
        drop(accounts);
        Payer::new(account, allowance, self.begun)
    }

    /// Forgets callers until the table is half empty: at first those of whom there is nothing to remember, then any. So
    /// each look through the table pays for many newcomers. Whoever has something open is kept: there are no more of
    /// those than streams and connections.
    fn make_room(&self, now: Duration, accounts: &mut HashMap<Who, Arc<Account>>) {
        accounts.retain(|_, account| !account.is_idle(now));
        let mut surplus = accounts.len().saturating_sub(self.callers_max / 2);
        accounts.retain(|_, account| {
            let keep = surplus == 0 || account.is_held();
            surplus -= usize::from(!keep);
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::quota::account::Cost;

    fn who(n: u32) -> Who {
        Who::address(IpAddr::V4(n.into()))
    }

    fn one_a_second() -> Allowance {
        Allowance { requests_per_s: NonZeroU64::new(1), streams: NonZeroU64::new(1), ..Allowance::default() }
    }

    const REQUEST: Cost = Cost { requests: 1, records: 0, bytes: 0 };

    #[test]
    fn addresses_are_counted_as_their_owners_have_them() {
        let of = |text: &str| Who::address(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn a_caller_is_remembered_until_there_is_nothing_to_remember() {
        let quotas = Quotas::bounded(8);
        let open = (0..3).map(|n| quotas.payer(who(n), one_a_second()).stream());
        let open: Vec<_> = open.map(|stream| stream.expect("room")).collect();
        for n in 3..8 {
            quotas.payer(who(n), one_a_second());
        }
        assert_eq!(quotas.accounts.lock().expect("no panic").len(), 8);
        quotas.payer(who(8), one_a_second());
        assert_eq!(quotas.accounts.lock().expect("no panic").len(), 4, "the idle ones made room");
        for n in 0..3 {
            quotas.payer(who(n), one_a_second()).stream().expect_err("remembered");
        }
        drop(open);
        quotas.payer(who(0), one_a_second()).stream().expect("room again");
    }

    #[test]
    fn what_was_used_is_remembered_until_it_is_made_up_for() {
        let quotas = Quotas::bounded(2);
        let much = Cost { requests: 1_000, ..Cost::default() }; // a quarter of an hour's worth
        quotas.payer(who(0), one_a_second()).take(much).expect("of a full bucket");
        quotas.payer(who(0), one_a_second()).take(REQUEST).expect_err("in debt");
        let hour = Duration::from_secs(3_600);
        quotas.payer_at(hour, who(1), one_a_second());
        quotas.payer_at(hour, who(2), one_a_second());
        quotas.payer(who(0), one_a_second()).take(REQUEST).expect("it was idle, and is new");
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_open() {
        let quotas = Quotas::bounded(8);
        let stream = quotas.payer(who(0), one_a_second()).stream().expect("room");
        for n in 1..100 {
            quotas.payer(who(n), one_a_second()).take(REQUEST).expect("the first");
            assert!(quotas.accounts.lock().expect("no panic").len() <= 8);
        }
        quotas.payer(who(0), one_a_second()).stream().expect_err("its stream is open");
        drop(stream);
        quotas.payer(who(0), one_a_second()).stream().expect("room again");
    }
}
