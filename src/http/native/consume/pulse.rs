//! The pulse of this node's streams: one timer for all of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::signal::Signal;
use crate::signal::Waiters;
use crate::tasks::Tasks;

/// Raises signals at a fixed interval, and at once when the node begins to shut down. A clone is the same pulse.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    waiters: Arc<Waiters>,
}

impl Pulse {
    /// Starts beating every `heartbeat`.
    pub fn start(heartbeat: Duration, draining: CancellationToken, tasks: &Tasks) -> Self {
        let pulse = Self::default();
        let waiters = Arc::clone(&pulse.waiters);
        let stopping = tasks.stopping().clone();
        tasks.spawn("pulse", async move {
            let mut beats = interval(heartbeat);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !stopping.is_cancelled() {
                tokio::select! {
                    _ = beats.tick() => {}
                    () = draining.cancelled() => {
                        waiters.raise();
                        stopping.cancelled().await;
                    }
                }
                waiters.raise();
            }
        });
        pulse
    }

    /// Raises `signal` with every beat, for as long as it lives.
    pub fn add(&self, signal: &Arc<Signal>) {
        self.waiters.add(signal);
    }
}
