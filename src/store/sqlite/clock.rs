//! The clock that leases are told by. SQLite has none of its own.

use std::time::Instant;

use crate::model::time;
use crate::model::time::Millis;

/// The wall clock as it was at the start, and from there on a clock that no setting moves (invariants.md T-2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    started_at: Millis,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), started_at: time::now() }
    }

    /// Never less than before, as long as the database is open.
    pub(super) fn now(&self) -> Millis {
        let since = u64::try_from(self.started.elapsed().as_millis()).expect("far from 2^64 milliseconds");
        self.started_at + since
    }
}
