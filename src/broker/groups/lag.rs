//! What the metrics know of lag between two looks at the rows.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::model::time::Millis;
use crate::model::topic::PartitionId;

/// Figures that are younger are told again, however many ask.
const FRESH: Duration = Duration::from_secs(5);

/// When it was last looked, and what need not be read again.
#[derive(Debug, Default)]
pub(in crate::broker) struct Lags {
    state: Mutex<State>,
    /// Held by the one who looks.
    pub(in crate::broker) looking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    looked: Option<Instant>,
    /// The timestamps of oldest records that were not committed. A record never changes; a group that stands still
    /// costs no read.
    timestamps: HashMap<(PartitionId, u64), Millis>,
}

impl Lags {
    /// Whether it is time to look.
    pub(in crate::broker) fn are_stale(&self) -> bool {
        self.state().looked.is_none_or(|looked| looked.elapsed() >= FRESH)
    }

    /// How old the figures are, in milliseconds; 0 if there are none yet.
    pub(in crate::broker) fn age_ms(&self) -> u64 {
        let age = self.state().looked.map(|looked| looked.elapsed()).unwrap_or_default();
        u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
    }

    /// The timestamp of a record, if the last look met it.
    pub(in crate::broker) fn timestamp(&self, partition: PartitionId, offset: u64) -> Option<Millis> {
        self.state().timestamps.get(&(partition, offset)).copied()
    }

    /// Ends a look that met these records.
    pub(in crate::broker) fn looked(&self, timestamps: HashMap<(PartitionId, u64), Millis>) {
        *self.state() = State { looked: Some(Instant::now()), timestamps };
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
