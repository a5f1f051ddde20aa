//! Partition logs: append, read, wait, keep short. What is committed is readable here before it is acknowledged.

mod appender;
mod cluster;
mod handle;
pub mod partition;
mod queue;
mod reader;
mod retention;
mod shelf;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::log::appender::Appender;
use crate::log::cluster::Cluster;
use crate::log::handle::WRITE_OVERHEAD_BYTES;
use crate::log::retention::Sweeper;
use crate::log::shelf::Shelf;
use crate::segments::SegmentCache;
use crate::store::contract::Store;
use crate::store::error::StoreError;
use crate::tasks::Tasks;

pub use handle::Logs;
pub use handle::Receipt;
pub use queue::AppendError;
pub use reader::ReadError;

/// How much the logs may hold, and how often they look after themselves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Records waiting to be committed, in bytes; beyond it a produce is refused as `overloaded`.
    pub queue_bytes: usize,
    /// The newest batches kept in memory, in bytes.
    pub tail_bytes: usize,
    /// How often retention looks for records to drop.
    pub retention_interval: Duration,
    /// How long an idempotency key is kept, in milliseconds.
    pub idempotency_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_bytes: 64 << 20,
            tail_bytes: 64 << 20,
            retention_interval: Duration::from_secs(1),
            idempotency_ms: 24 * 3_600_000,
        }
    }
}

/// Opens the logs and starts what works for them: the appender, the store's upkeep, the sweeps.
pub fn start(store: Arc<dyn Store>, segments: Arc<SegmentCache>, options: &Options, tasks: &Tasks) -> Logs {
    let shelf = Arc::new(Shelf::new(options.tail_bytes));
    let cluster = store.is_shared().then(|| Cluster::start(Arc::clone(&store), Arc::clone(&shelf), tasks));
    // Every entry holds a permit of at least the overhead, so the channel never fills before the budget does.
    let (sender, inbox) = mpsc::channel(options.queue_bytes / WRITE_OVERHEAD_BYTES + 1);
    let appender = Appender { inbox, store: Arc::clone(&store) as _, shelf: Arc::clone(&shelf) };
    let stopping = tasks.stopping().clone();
    tasks.spawn_essential("appender", async move {
        appender.run().await?;
        stopping.cancelled().await; // closed and empty before the others were told to stop: in order
        Ok::<(), StoreError>(())
    });
    let logs = Logs::new(Arc::clone(&store), segments, shelf, sender, options.queue_bytes, cluster);
    let sweeper = Sweeper::new(logs.clone(), options.retention_interval, options.idempotency_ms);
    let stopping = tasks.stopping().clone();
    tasks.spawn("retention", async move {
        stopping.run_until_cancelled(sweeper.run()).await;
    });
    let stopping = tasks.stopping().clone();
    tasks.spawn("store upkeep", async move {
        stopping.run_until_cancelled(store.run_upkeep()).await;
    });
    logs
}
