//! The partitions that are in use. Those that nobody holds are put away by a sweep.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use crate::log::partition::Partition;
use crate::log::tail::TailBudget;
use crate::model::batch::RecordBatch;
use crate::model::topic::PartitionId;
use crate::model::topic::TopicId;

/// Active partitions by id, with the budget of their tails.
#[derive(Debug)]
pub(super) struct Shelf {
    active: RwLock<HashMap<PartitionId, Entry>>,
    tails: TailBudget,
}

#[derive(Debug)]
struct Entry {
    partition: Arc<Partition>,
    /// The high watermark when the last sweep came by: unchanged and unused since then means idle.
    seen: Option<u64>,
}

impl Shelf {
    pub(super) fn new(tail_bytes: usize) -> Self {
        Self { active: RwLock::default(), tails: TailBudget::new(tail_bytes) }
    }

    pub(super) fn get(&self, id: PartitionId) -> Option<Arc<Partition>> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        active.get(&id).map(|entry| Arc::clone(&entry.partition))
    }

    /// Adds a partition, unless another caller was first: then that one counts.
    pub(super) fn insert(&self, partition: Partition) -> Arc<Partition> {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = |partition| Entry { partition: Arc::new(partition), seen: None };
        let entry = active.entry(partition.id).or_insert_with(|| fresh(partition));
        Arc::clone(&entry.partition)
    }

    /// Makes a committed batch readable, if anybody has the partition in use.
    pub(super) fn publish(&self, batch: &RecordBatch) {
        if let Some(partition) = self.get(batch.partition) {
            self.tails.publish(&partition, batch);
        }
    }

    /// The partitions in use that somebody waits for.
    pub(super) fn waited_for(&self) -> Vec<PartitionId> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        active.iter().filter(|(_, entry)| entry.partition.has_waiters()).map(|(id, _)| *id).collect()
    }

    pub(super) fn forget_topic(&self, topic: TopicId) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        active.retain(|id, entry| {
            if id.topic == topic {
                entry.partition.end();
            }
            id.topic != topic
        });
    }

    /// Puts away the partitions that nobody holds and nobody wrote to since the last call.
    pub(super) fn put_away_idle(&self) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        active.retain(|_, entry| {
            let high_watermark = entry.partition.high_watermark();
            let idle = Arc::strong_count(&entry.partition) == 1 && entry.seen == Some(high_watermark);
            entry.seen = Some(high_watermark);
            !idle
        });
    }
}
