//! The members that stream from this node: their leases are renewed for as long as their connections live.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::signal::Signal;

/// A stream's lease is renewed when a third of it has passed: two renewals may fail.
const RENEWALS_PER_LEASE: u32 = 3;

/// The members that this node keeps alive, each by its latest stream.
#[derive(Default)]
pub(in crate::broker) struct Presences {
    by_member: Mutex<HashMap<(GroupName, MemberName), Weak<Presence>>>,
}

/// While it lives, the lease of its member is renewed.
pub struct Presence {
    pub(super) group: GroupName,
    pub(super) member: MemberName,
    pub(super) epoch: u64,
    renew_every: Duration,
    due: Mutex<Instant>,
    replaced: AtomicBool,
    /// Raised if the renewal is refused, and when it is replaced.
    pub(super) signal: Arc<Signal>,
}

impl Presence {
    pub(super) fn new(group: &GroupName, member: &MemberName, epoch: u64, lease_ms: u64, signal: &Arc<Signal>) -> Self {
        let renew_every = Duration::from_millis(lease_ms) / RENEWALS_PER_LEASE;
        Self {
            group: group.clone(),
            member: member.clone(),
            epoch,
            renew_every,
            due: Mutex::new(Instant::now() + renew_every),
            replaced: AtomicBool::new(false),
            signal: Arc::clone(signal),
        }
    }

    /// Whether the member has another stream by now: this one is to end.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = *due <= now && !self.is_replaced();
        if is_due {
            *due = now + self.renew_every;
        }
        is_due
    }

    /// Has it renewed with the next turn.
    pub(super) fn again(&self) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Presences {
    pub(super) fn add(&self, presence: Presence) -> Arc<Presence> {
        let presence = Arc::new(presence);
        let key = (presence.group.clone(), presence.member.clone());
        let mut by_member = self.by_member.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(former) = by_member.insert(key, Arc::downgrade(&presence)).and_then(|former| former.upgrade()) {
            former.replaced.store(true, Ordering::Release);
            former.signal.raise();
        }
        presence
    }

    /// Those whose lease is to be renewed now.
    pub(super) fn due(&self) -> Vec<Arc<Presence>> {
        let now = Instant::now();
        let mut by_member = self.by_member.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        by_member.retain(|_, presence| match presence.upgrade() {
            Some(presence) => {
                if presence.is_due(now) {
                    due.push(presence);
                }
                true
            }
            None => false,
        });
        due
    }
}
