//! How long an answer may go on that does not end: as long as its caller is known. One task looks at all of them, twice a
//! second and whenever keys change; an open answer has no task or timer of its own.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::task::Context;
use std::task::Poll;

use crate::access::caller::Caller;
use crate::access::caller::Identity;
use crate::access::snapshot::Snapshot;
use crate::model::time::Millis;
use crate::signal::Signal;

/// Says when a caller's rights end. For one who waits; dropping it ends the look after it.
#[derive(Debug)]
pub struct Hold(Arc<Held>);

#[derive(Debug)]
struct Held {
    identity: Identity,
    expires_at: Option<Millis>,
    ended: Signal,
}

impl Held {
    fn look(&self, snapshot: &Snapshot, now: Millis) {
        let goes_on = self.expires_at.is_none_or(|end| now < end) && snapshot.still_knows(&self.identity);
        if !goes_on {
            self.ended.raise();
        }
    }
}

impl Hold {
    /// Looks now.
    pub(super) fn look(&self, snapshot: &Snapshot, now: Millis) {
        self.0.look(snapshot, now);
    }

    /// Whether the rights have ended.
    pub fn has_ended(&self) -> bool {
        self.0.ended.is_raised()
    }

    /// Waits until they have.
    pub async fn ended(&self) {
        self.0.ended.raised().await;
    }

    /// Ready once they have.
    pub fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.ended.poll_raised(cx)
    }
}

/// All that are looked after.
#[derive(Debug, Default)]
pub(super) struct Holds {
    list: Mutex<Vec<Weak<Held>>>,
}

impl Holds {
    /// Looks after a caller from now on.
    pub(super) fn add(&self, caller: &Caller) -> Hold {
        let (identity, expires_at) = (caller.identity.clone(), caller.expires_at);
        let held = Arc::new(Held { identity, expires_at, ended: Signal::default() });
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are over are cleared out when the list would have to grow: paid for by the additions.
        if list.len() == list.capacity() {
            list.retain(|held| held.strong_count() > 0);
        }
        list.push(Arc::downgrade(&held));
        Hold(held)
    }

    /// Ends those whose callers are not known any more.
    pub(super) fn look(&self, snapshot: &Snapshot, now: Millis) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|held| {
            let Some(held) = held.upgrade() else { return false };
            held.look(snapshot, now);
            !held.ended.is_raised()
        });
    }
}
