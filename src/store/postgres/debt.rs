//! What was deleted and takes up space as before, until it is vacuumed.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::signal::Signal;

/// Less is not worth a vacuum.
const BYTES_MIN: u64 = 8 << 20;

/// Bytes that this node has deleted since the last vacuum.
#[derive(Debug, Default)]
pub(super) struct Debt {
    bytes: AtomicU64,
    /// Raised when there is enough to look whether it is time.
    worth_a_look: Signal,
}

impl Debt {
    pub(super) fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if bytes > 0 && before.saturating_add(bytes) >= BYTES_MIN {
            self.worth_a_look.raise();
        }
    }

    /// Waits for more of it, and says how much there is.
    pub(super) async fn grown(&self) -> u64 {
        self.worth_a_look.raised().await;
        self.worth_a_look.lower();
        self.bytes()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// So much was paid.
    pub(super) fn pay(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
