//! The newest batches of all partitions share one budget of memory; the oldest make room for the newest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;

use crate::log::partition::Partition;
use crate::model::batch::RecordBatch;

/// What a batch costs beside its bytes: its places in the tail and in the queue here.
const BATCH_OVERHEAD_BYTES: usize = 160;

/// Which batches lie in tails, in the order they came, and what they take together.
#[derive(Debug)]
pub(super) struct TailBudget {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    queue: VecDeque<(Weak<Partition>, u64, usize)>,
}

impl TailBudget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// Publishes a batch and drops old ones where the budget asks for it.
    pub(super) fn publish(&self, partition: &Arc<Partition>, batch: &RecordBatch) {
        partition.publish(batch);
        let cost = batch.bytes().len() + BATCH_OVERHEAD_BYTES;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes += cost;
        state.queue.push_back((Arc::downgrade(partition), batch.base_offset, cost));
        while state.bytes > self.bytes_max {
            let Some((partition, base_offset, cost)) = state.queue.pop_front() else { break };
            state.bytes -= cost;
            if let Some(partition) = partition.upgrade() {
                partition.shorten_tail(base_offset);
            }
        }
    }
}
