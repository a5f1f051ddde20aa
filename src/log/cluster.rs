//! Logs that other nodes write to as well: what they commit is seen here when they tell of it, by a slow look behind that,
//! and before a read that came after it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;

use crate::log::partition::Partition;
use crate::log::shelf::Shelf;
use crate::model::topic::PartitionId;
use crate::store::contract::Store;
use crate::store::error::StoreError;
use crate::tasks::Tasks;

/// How long a record may stay unseen by those who wait for it if notifications are lost.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Reads that may wait for the bounds of their partitions.
const QUEUE_READS: usize = 65_536;

/// Reads whose bounds are asked for in one statement.
const READS_AT_ONCE: usize = 1_024;

/// What another node wrote is fetched once for all who wait for it, up to this much; those further behind read for
/// themselves.
const FETCH_BYTES: usize = 1 << 20;

/// How this node keeps up with the others. A clone is the same.
#[derive(Clone)]
pub(super) struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    shelf: Arc<Shelf>,
    reads: mpsc::Sender<FreshRead>,
}

/// A read that came in, and is to see everything committed before that.
struct FreshRead {
    partitions: Vec<Arc<Partition>>,
    known: oneshot::Sender<Result<(), StoreError>>,
}

impl Cluster {
    /// Starts keeping up.
    pub(super) fn start(store: Arc<dyn Store>, shelf: Arc<Shelf>, tasks: &Tasks) -> Self {
        let (reads, asked) = mpsc::channel(QUEUE_READS);
        let inner = Inner { store, shelf, reads };
        let cluster = Self { inner: Arc::new(inner) };
        let stopping = tasks.stopping().clone();
        let looks = cluster.clone().look();
        tasks.spawn("watermarks", async move {
            stopping.run_until_cancelled(looks).await;
        });
        let stopping = tasks.stopping().clone();
        let answers = answer(Arc::clone(&cluster.inner.store), asked);
        tasks.spawn("fresh reads", async move {
            stopping.run_until_cancelled(answers).await;
        });
        cluster
    }

    /// Makes what another node wrote readable here, up to `end` at least, if anybody waits for it.
    pub(super) async fn catch_up(&self, id: PartitionId, end: u64) -> Result<(), StoreError> {
        let Some(partition) = self.inner.shelf.get(id) else { return Ok(()) };
        // Where nobody waits there is nothing to do: whoever reads asks first. (Nodes that write to the same partitions
        // tell each other of every commit.)
        if partition.high_watermark() >= end || !partition.has_waiters() {
            return Ok(());
        }
        {
            let _fetching = partition.filling.lock().await;
            let from = partition.high_watermark();
            if from < end {
                let batches = self.inner.store.read(id, from, FETCH_BYTES).await?;
                batches.iter().for_each(|batch| self.inner.shelf.publish(batch));
            }
        }
        if partition.high_watermark() < end {
            let bounds = self.inner.store.bounds_of(&[id]).await?;
            bounds.into_iter().for_each(|(_, bounds)| partition.learn(bounds));
        }
        Ok(())
    }

    /// Looks after those who wait, in case that nobody tells.
    async fn look(self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let waited_for = self.inner.shelf.waited_for();
            if waited_for.is_empty() {
                continue;
            }
            match self.inner.store.bounds_of(&waited_for).await {
                Ok(all) => {
                    for (id, bounds) in all {
                        if let Some(partition) = self.inner.shelf.get(id) {
                            if let Err(error) = self.catch_up(id, bounds.high_watermark).await {
                                tracing::debug!(%error, "could not fetch what another node wrote");
                            }
                            partition.learn(bounds);
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "could not look what other nodes wrote"),
            }
        }
    }

    /// Waits until everything is known that was committed to these partitions before the call.
    pub(super) async fn refresh(&self, partitions: Vec<Arc<Partition>>) -> Result<(), StoreError> {
        let (known, told) = oneshot::channel();
        let gone = || StoreError::Unavailable("the node is stopping".into());
        self.inner.reads.send(FreshRead { partitions, known }).await.map_err(|_| gone())?;
        told.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Answers reads, all that wait with one statement: it is sent after the last of them came in.
async fn answer(store: Arc<dyn Store>, mut asked: mpsc::Receiver<FreshRead>) {
    let mut reads = Vec::with_capacity(READS_AT_ONCE);
    while asked.recv_many(&mut reads, READS_AT_ONCE).await > 0 {
        let mut ids: Vec<PartitionId> = reads.iter().flat_map(|read| &read.partitions).map(|one| one.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let outcome = store.bounds_of(&ids).await.map(HashMap::<_, _>::from_iter);
        for FreshRead { partitions, known } in reads.drain(..) {
            let done = match &outcome {
                Ok(bounds) => {
                    partitions.iter().for_each(|one| bounds.get(&one.id).into_iter().for_each(|at| one.learn(*at)));
                    Ok(())
                }
                Err(error) => Err(error.clone()),
            };
            // Who has left needs no answer.
            let _ = known.send(done);
        }
    }
}
