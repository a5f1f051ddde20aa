//! What the bodies of all requests may take of the memory together, and each caller's part of it. Whoever reads one holds
//! as much as it takes; where there is nothing left, the request is refused and the others go on.
//!
//! A body that comes in one piece, as those of most writes do, holds nothing and never comes here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::access::caller::Identity;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::quota::Who;

/// The memory for bodies. A clone is the same.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    held: AtomicUsize,
    bytes_max: usize,
    share_max: usize,
    /// What each caller holds who holds anything: no more entries than bodies that are being read. It is locked once when
    /// a body begins to hold something and once when it ends, not for each piece of it.
    shares: Mutex<HashMap<Who, Arc<AtomicUsize>>>,
}

impl Memory {
    /// So many bytes, all free, of which one caller may hold `share_max`.
    pub fn new(bytes_max: usize, share_max: usize) -> Self {
        Self(Arc::new(Inner { held: AtomicUsize::new(0), bytes_max, share_max, shares: Mutex::default() }))
    }

    /// What of it is open to one caller: to whoever has that identity or, where nobody has to say who they are, that
    /// address.
    pub fn of(&self, identity: Identity, remote: IpAddr) -> Room {
        Room { memory: self.clone(), identity, remote }
    }

    /// How much is held now, in bytes.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    fn share(&self, who: &Who) -> Arc<AtomicUsize> {
        let mut shares = self.0.shares.lock().unwrap_or_else(PoisonError::into_inner);
        match shares.get(who) {
            Some(share) => Arc::clone(share),
            None => Arc::clone(shares.entry(who.clone()).or_default()),
        }
    }

    /// Forgets a caller whose last body ends with this share.
    fn leave(&self, who: &Who, share: Arc<AtomicUsize>) {
        let mut shares = self.0.shares.lock().unwrap_or_else(PoisonError::into_inner);
        drop(share);
        if shares.get(who).is_some_and(|share| Arc::strong_count(share) == 1) {
            shares.remove(who);
        }
    }
}

/// What of the memory is open to one caller. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Room {
    memory: Memory,
    identity: Identity,
    remote: IpAddr,
}

impl Room {
    /// Holds nothing yet.
    pub fn hold(&self) -> Held {
        Held { room: self.clone(), share: None, bytes: 0 }
    }

    fn who(&self) -> Who {
        match &self.identity {
            Identity::Anonymous => Who::address(self.remote),
            known => Who::Identity(known.to_string().into()),
        }
    }
}

/// Memory that is held as long as the value lives.
#[derive(Debug)]
pub struct Held {
    room: Room,
    /// Whose part it is of; nobody's while nothing is held.
    share: Option<(Who, Arc<AtomicUsize>)>,
    bytes: usize,
}

impl Held {
    /// Holds `bytes` in all, or what it held before if that was more.
    ///
    /// # Errors
    /// `rate_limited`: the caller holds as much as one may. `overloaded`: there is not so much left for anybody.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let Self { room, share, .. } = self;
        let Inner { held, bytes_max, share_max, .. } = &*room.memory.0;
        let (_, share) = share.get_or_insert_with(|| {
            let who = room.who();
            let share = room.memory.share(&who);
            (who, share)
        });
        if !take(share, more, *share_max) {
            let detail = format!(
                "The bodies of this caller's requests that are under way take {share_max} bytes, which is all that one \
                 caller may: end some before others begin, and send each without pauses."
            );
            return Err(Problem::new(Code::RateLimited, detail).with("limit", share_max));
        }
        if !take(held, more, *bytes_max) {
            share.fetch_sub(more, Ordering::Relaxed);
            let detail = "The bodies of other requests take all the memory there is for them.";
            return Err(Problem::new(Code::Overloaded, detail));
        }
        self.bytes += more;
        Ok(())
    }

    /// `bytes`, which hold the memory until the last of their clones is dropped.
    pub fn with(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Kept { bytes, _held: self })
    }
}

/// Adds `more` to what is held, unless that would be more than `bytes_max`.
fn take(held: &AtomicUsize, more: usize, bytes_max: usize) -> bool {
    let fits = |held: usize| held.checked_add(more).filter(|held| *held <= bytes_max);
    held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((who, share)) = self.share.take() {
            share.fetch_sub(self.bytes, Ordering::Relaxed);
            self.room.memory.0.held.fetch_sub(self.bytes, Ordering::Relaxed);
            self.room.memory.leave(&who, share);
        }
    }
}

struct Kept {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    fn callers(memory: &Memory) -> usize {
        memory.0.shares.lock().expect("no panic").len()
    }

    #[test]
    fn what_is_held_is_given_back_with_the_last_clone() {
        let memory = Memory::new(100, 100);
        let room = memory.of(Identity::Operator, address(1));
        let (mut one, mut two) = (room.hold(), memory.of(Identity::Anonymous, address(1)).hold());
        one.grow_to(60).expect("room");
        one.grow_to(50).expect("no less");
        assert_eq!(two.grow_to(41).expect_err("no room").code(), Code::Overloaded);
        two.grow_to(40).expect("room");
        assert_eq!((memory.held(), callers(&memory)), (100, 2));
        let bytes = one.with(Bytes::from_static(b"abc"));
        let part = bytes.slice(1..);
        drop((bytes, two));
        assert_eq!((memory.held(), &part[..], callers(&memory)), (60, &b"bc"[..], 1));
        drop(part);
        assert_eq!((memory.held(), callers(&memory)), (0, 0));
    }

    #[test]
    fn each_caller_has_a_share_of_its_own() {
        let memory = Memory::new(100, 30);
        let subject = |name: &str, last| memory.of(Identity::Subject(name.into()), address(last));
        let (mut one, mut same) = (subject("a", 1).hold(), subject("a", 2).hold());
        one.grow_to(20).expect("room");
        assert_eq!(same.grow_to(11).expect_err("the same caller").code(), Code::RateLimited);
        same.grow_to(10).expect("room");
        subject("b", 1).hold().grow_to(30).expect("another has a share of its own");
        // Where nobody says who they are, the address is who they are.
        let mut nobody = memory.of(Identity::Anonymous, address(1)).hold();
        nobody.grow_to(30).expect("room");
        let mut near = memory.of(Identity::Anonymous, address(1)).hold();
        assert_eq!(near.grow_to(1).expect_err("the same address").code(), Code::RateLimited);
        memory.of(Identity::Anonymous, address(2)).hold().grow_to(30).expect("another address");
        drop((one, nobody));
        same.grow_to(30).expect("what was given back");
        assert_eq!((memory.held(), callers(&memory)), (30, 2), "one holds nothing, and is still there");
        drop((same, near));
        assert_eq!((memory.held(), callers(&memory)), (0, 0));
    }
}
