//! Group commit without a timer: one task writes; what arrives while one flush is under way forms the next.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::log::partition::Partition;
use crate::log::shelf::Shelf;
use crate::store::contract::Appended;
use crate::store::contract::Flushed;
use crate::store::contract::LogStore;
use crate::store::contract::Refused;
use crate::store::contract::Write;
use crate::store::error::StoreError;
use crate::telemetry::metrics::Metrics;

/// Writes in one flush at most.
const FLUSH_WRITES_MAX: usize = 4096;

/// A flush takes no further write once it holds this much: it bounds how long everyone waits for one commit.
const FLUSH_BYTES_MAX: usize = 8 << 20;

/// Why a write is not in the log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// This one alone was refused.
    #[error("the write was refused")]
    Refused(Refused),
    /// The flush failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too much is waiting to be written. Nothing was written.
    #[error("too much is waiting to be written")]
    Overloaded,
    /// The log is closing. Nothing was written.
    #[error("the log is closing")]
    Closed,
}

/// A write with what its caller waits for. The permit is its share of the queue's budget; the partitions are held so
/// that they are in use, and learn of what is written, until it is.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) write: Write,
    pub(super) partitions: Vec<Arc<Partition>>,
    pub(super) reply: oneshot::Sender<Result<Appended, AppendError>>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// The one task that writes.
pub(super) struct Appender {
    pub(super) inbox: mpsc::Receiver<Append>,
    pub(super) store: Arc<dyn LogStore>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) metrics: Arc<Metrics>,
}

impl Appender {
    /// Writes until every sender is gone and everything accepted is answered. An error means that the outcome of a
    /// commit is unknown: only a new start, which reads what is there, may write again.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let mut arrived = Vec::with_capacity(FLUSH_WRITES_MAX);
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() && self.inbox.recv_many(&mut arrived, FLUSH_WRITES_MAX).await == 0 {
                return Ok(());
            }
            while arrived.len() + waiting.len() < FLUSH_WRITES_MAX {
                let Ok(append) = self.inbox.try_recv() else { break };
                arrived.push(append);
            }
            waiting.extend(arrived.drain(..));
            self.flush(take_flush(&mut waiting)).await?;
        }
    }

    async fn flush(&self, appends: Vec<Append>) -> Result<(), StoreError> {
        let mut replies = Vec::with_capacity(appends.len());
        let mut writes = Vec::with_capacity(appends.len());
        for Append { write, partitions, reply, permit } in appends {
            writes.push(write);
            replies.push((reply, (partitions, permit)));
        }
        let began = Instant::now();
        let flushed = match self.store.append(writes).await {
            Ok(flushed) => flushed,
            Err(error) => {
                self.metrics.produce.flush_failures.inc();
                for (reply, _held) in replies {
                    let _ = reply.send(Err(AppendError::Store(error.clone())));
                }
                return if matches!(error, StoreError::Indefinite(_)) { Err(error) } else { Ok(()) };
            }
        };
        assert_eq!(flushed.outcomes.len(), replies.len(), "one outcome per write");
        // Before any answer: who reads after an acknowledgement finds the record.
        flushed.batches.iter().for_each(|batch| self.shelf.publish(batch));
        self.count(&flushed, began);
        for ((reply, _held), outcome) in replies.into_iter().zip(flushed.outcomes) {
            // A caller who has left still has its records in the log.
            let _ = reply.send(outcome.map_err(AppendError::Refused));
        }
        Ok(())
    }

    fn count(&self, flushed: &Flushed, began: Instant) {
        let metrics = &self.metrics.produce;
        let records = flushed.batches.iter().map(|batch| u64::from(batch.count)).sum();
        let bytes = flushed.batches.iter().map(|batch| batch.bytes().len() as u64).sum();
        metrics.records.add(records);
        metrics.bytes.add(bytes);
        metrics.flush_writes.observe(flushed.outcomes.len() as u64);
        metrics.flush_records.observe(records);
        metrics.flush_bytes.observe(bytes);
        metrics.flush_duration.observe(began.elapsed());
        if let Some(commit) = flushed.commit {
            metrics.commit_duration.observe(commit.took);
        }
    }
}

/// The writes of the next flush, in order. A second write under one idempotency key stays behind: it must see what came
/// of the first.
fn take_flush(waiting: &mut VecDeque<Append>) -> Vec<Append> {
    let mut taken = Vec::with_capacity(waiting.len().min(FLUSH_WRITES_MAX));
    let mut kept = VecDeque::new();
    let mut keys = HashSet::new();
    let mut bytes = 0;
    while let Some(append) = waiting.pop_front() {
        let twin = append.write.idempotency.as_ref().is_some_and(|key| !keys.insert(key.digest));
        if twin {
            kept.push_back(append);
            continue;
        }
        bytes += append.permit.num_permits();
        taken.push(append);
        if bytes >= FLUSH_BYTES_MAX || taken.len() == FLUSH_WRITES_MAX {
            break;
        }
    }
    kept.append(waiting);
    *waiting = kept;
    taken
}
