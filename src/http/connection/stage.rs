//! Where the server stands on its way down; connections look at it at every step.

use std::pin::pin;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Running, draining, closing: in this order, and never back.
pub(crate) struct Stage {
    now: AtomicU8,
    changed: Notify,
}

impl Stage {
    const DRAINING: u8 = 1;
    /// Connections are closed whatever they are doing.
    pub(crate) const CLOSING: u8 = 2;

    /// The server runs.
    pub(crate) fn new() -> Self {
        Self { now: AtomicU8::new(0), changed: Notify::new() }
    }

    /// Requests under way are finished, connections without one are closed.
    pub(crate) fn drain(&self) {
        self.enter(Self::DRAINING);
    }

    /// Connections are closed whatever they are doing.
    pub(crate) fn close(&self) {
        self.enter(Self::CLOSING);
    }

    /// A number that changes with the stage; 0 while the server runs.
    pub(crate) fn now(&self) -> u8 {
        self.now.load(Ordering::Acquire)
    }

    /// Ends with the next change after it was first polled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Waits until the server drains.
    pub(crate) async fn drained(&self) {
        let mut changed = pin!(self.changed());
        changed.as_mut().enable(); // before the look, so that no change falls between
        if self.now() == 0 {
            changed.await;
        }
    }

    fn enter(&self, stage: u8) {
        self.now.store(stage, Ordering::Release);
        self.changed.notify_waiters();
    }
}
