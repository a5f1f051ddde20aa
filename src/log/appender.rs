//! Group commit without a timer: one task writes; what arrives while one flush is under way forms the next.
//!
//! A commit costs the same for one record and for a hundred, so a second flush is begun beside one only where that helps:
//! if the one takes long, and for other partitions. For that there is a timer, of the flush under way.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::log::queue::Append;
use crate::log::queue::AppendError;
use crate::log::queue::FLUSH_WRITES_MAX;
use crate::log::queue::Flush;
use crate::log::queue::Queue;
use crate::log::shelf::Shelf;
use crate::model::topic::PartitionId;
use crate::store::contract::LogStore;
use crate::store::error::StoreError;

/// A flush that takes longer gets another beside it, and so on. Long for a commit, short for a large flush, for one that
/// waits for a lock, or for a standby that is far away.
const BESIDE_AFTER: Duration = Duration::from_millis(2);

/// The one task that writes.
pub(super) struct Appender {
    pub(super) inbox: mpsc::Receiver<Append>,
    pub(super) store: Arc<dyn LogStore>,
    pub(super) shelf: Arc<Shelf>,
}

impl Appender {
    /// Writes until every sender is gone and everything accepted is answered. An error means that the outcome of a
    /// commit is unknown: only a new start, which reads what is there, may write again.
    pub(super) async fn run(self) -> Result<(), StoreError> {
        let Self { mut inbox, store, shelf } = self;
        let mut arrived = Vec::with_capacity(FLUSH_WRITES_MAX);
        let mut queue = Queue::new(store.lanes());
        let mut under_way = FuturesUnordered::new();
        loop {
            if queue.is_idle() {
                if inbox.recv_many(&mut arrived, FLUSH_WRITES_MAX).await == 0 {
                    return Ok(());
                }
                arrived.drain(..).for_each(|append| queue.push(append));
            }
            while queue.has_room() {
                let Ok(append) = inbox.try_recv() else { break };
                queue.push(append);
            }
            if let Some(flush) = queue.take() {
                under_way.push(write(&*store, &shelf, flush));
            }
            // What arrives wakes nobody: it is looked for when there may be use for it.
            tokio::select! {
                Some((occupied, outcome)) = under_way.next() => {
                    outcome?;
                    queue.landed(&occupied);
                }
                () = sleep(BESIDE_AFTER), if queue.has_free_lane() => {}
            }
        }
    }
}

/// Writes one flush, publishes it and answers its callers. Says what is free again.
async fn write(store: &dyn LogStore, shelf: &Shelf, flush: Flush) -> (Vec<PartitionId>, Result<(), StoreError>) {
    let Flush { appends, occupied } = flush;
    (occupied, write_all(store, shelf, appends).await)
}

async fn write_all(store: &dyn LogStore, shelf: &Shelf, appends: Vec<Append>) -> Result<(), StoreError> {
    let mut replies = Vec::with_capacity(appends.len());
    let mut writes = Vec::with_capacity(appends.len());
    for Append { write, partitions, reply, permit } in appends {
        writes.push(write);
        replies.push((reply, (partitions, permit)));
    }
    let flushed = match store.append(writes).await {
        Ok(flushed) => flushed,
        Err(error) => {
            for (reply, _held) in replies {
                let _ = reply.send(Err(AppendError::Store(error.clone())));
            }
            return if matches!(error, StoreError::Indefinite(_)) { Err(error) } else { Ok(()) };
        }
    };
    assert_eq!(flushed.outcomes.len(), replies.len(), "one outcome per write");
    // Before any answer: who reads after an acknowledgement finds the record.
    flushed.batches.iter().for_each(|batch| shelf.publish(batch));
    for ((reply, _held), outcome) in replies.into_iter().zip(flushed.outcomes) {
        // A caller who has left still has its records in the log.
        let _ = reply.send(outcome.map_err(AppendError::Refused));
    }
    Ok(())
}
