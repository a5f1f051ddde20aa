//! What waits to be written, and what of it may go into the next flush.
//!
//! Flushes that are under way at the same time have no partition in common. They would only wait for each other where
//! they are written, each with the few records that were there when it was sent; what waits here instead goes on
//! gathering. And the writes of one partition stay in the order in which they came.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;

use crate::log::partition::Partition;
use crate::model::topic::PartitionId;
use crate::store::contract::Appended;
use crate::store::contract::Refused;
use crate::store::contract::Write;
use crate::store::error::StoreError;

/// Writes in one flush at most.
pub(super) const FLUSH_WRITES_MAX: usize = 4096;

/// A flush takes no further write once it holds this much: it bounds how long everyone waits for one commit.
const FLUSH_BYTES_MAX: usize = 8 << 20;

/// Writes that are looked through for the next flush. More than one flush holds, so that others get past those whose
/// partitions are being written.
const WAITING_MAX: usize = 4 * FLUSH_WRITES_MAX;

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

/// The writes of one flush, in order, and the partitions that it occupies until it has [landed](Queue::landed).
#[derive(Debug)]
pub(super) struct Flush {
    pub(super) appends: Vec<Append>,
    pub(super) occupied: Vec<PartitionId>,
}

/// The writes that wait, in the order they came.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Append>,
    /// How many flushes may be under way at once, and are.
    lanes: usize,
    under_way: usize,
    /// The partitions of those. Where only one may be under way there is nothing to compare them with: then none.
    occupied: HashSet<PartitionId>,
}

impl Queue {
    pub(super) fn new(lanes: usize) -> Self {
        Self { waiting: VecDeque::new(), lanes, under_way: 0, occupied: HashSet::new() }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    /// Whether it takes one more write.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// Whether one more flush may be under way.
    pub(super) fn has_free_lane(&self) -> bool {
        self.under_way < self.lanes
    }

    pub(super) fn push(&mut self, append: Append) {
        self.waiting.push_back(append);
    }

    /// The next flush: all that waits, as far as it fits and its partitions are free. None if a lane or a partition would
    /// have to be waited for.
    ///
    /// A second write under one idempotency key stays behind: it must see what came of the first.
    pub(super) fn take(&mut self) -> Option<Flush> {
        if !self.has_free_lane() {
            return None;
        }
        let several = self.lanes > 1;
        let mut appends = Vec::with_capacity(self.waiting.len().min(FLUSH_WRITES_MAX));
        let (mut kept, mut held) = (VecDeque::new(), HashSet::new());
        let (mut keys, mut occupied, mut bytes) = (HashSet::new(), HashSet::new(), 0);
        while let Some(append) = self.waiting.pop_front() {
            let partitions = || append.write.runs.iter().map(|run| run.partition);
            if several && partitions().any(|one| self.occupied.contains(&one) || held.contains(&one)) {
                // What comes later for its partitions stays behind it.
                held.extend(partitions());
                kept.push_back(append);
                continue;
            }
            let twin = append.write.idempotency.as_ref().is_some_and(|key| !keys.insert(key.digest));
            if twin {
                kept.push_back(append);
                continue;
            }
            if several {
                occupied.extend(partitions());
            }
            bytes += append.permit.num_permits();
            appends.push(append);
            if bytes >= FLUSH_BYTES_MAX || appends.len() == FLUSH_WRITES_MAX {
                break;
            }
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
        if appends.is_empty() {
            return None;
        }
        self.under_way += 1;
        let occupied: Vec<PartitionId> = occupied.into_iter().collect();
        self.occupied.extend(&occupied);
        Some(Flush { appends, occupied })
    }

    /// A flush is over: what it occupied is free.
    pub(super) fn landed(&mut self, occupied: &[PartitionId]) {
        self.under_way -= 1;
        for partition in occupied {
            self.occupied.remove(partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;
    use crate::model::batch::Run;
    use crate::model::topic::TopicId;
    use crate::store::contract::Idempotency;

    fn partition(number: u32) -> PartitionId {
        PartitionId { topic: TopicId(1), partition: number }
    }

    /// A write to these partitions that takes so much of the queue's budget, by which it is known.
    fn append(partitions: &[u32], bytes: usize) -> Append {
        let budget = Arc::new(Semaphore::new(bytes));
        let permits = u32::try_from(bytes).expect("small");
        let permit = budget.try_acquire_many_owned(permits).expect("there are as many");
        let runs = partitions.iter().map(|number| Run::new(partition(*number), 0)).collect();
        let (reply, _) = oneshot::channel();
        Append { write: Write { runs, idempotency: None }, partitions: vec![], reply, permit }
    }

    fn queue(lanes: usize, appends: impl IntoIterator<Item = Append>) -> Queue {
        let mut queue = Queue::new(lanes);
        appends.into_iter().for_each(|append| queue.push(append));
        queue
    }

    fn sizes(flush: &Flush) -> Vec<usize> {
        flush.appends.iter().map(|append| append.permit.num_permits()).collect()
    }

    #[test]
    fn a_partition_is_in_one_flush_at_a_time_and_keeps_its_order() {
        let mut queue = queue(3, [append(&[1], 1), append(&[2], 2)]);
        let first = queue.take().expect("all is free");
        assert_eq!(sizes(&first), [1, 2]);
        for (partitions, bytes) in [(&[2, 3][..], 3), (&[3], 4), (&[4], 5), (&[1], 6), (&[4, 5], 7)] {
            queue.push(append(partitions, bytes));
        }
        // The 4th has its partition free, but stays behind the 3rd.
        let second = queue.take().expect("partition 4 is free");
        assert_eq!(sizes(&second), [5, 7]);
        assert!(queue.take().is_none() && queue.has_free_lane(), "all that waits has to");
        queue.landed(&second.occupied);
        assert!(queue.take().is_none());
        queue.landed(&first.occupied);
        assert_eq!(sizes(&queue.take().expect("all is free")), [3, 4, 6]);
    }

    #[test]
    fn as_many_flushes_are_under_way_as_there_are_lanes() {
        for lanes in [1, 2] {
            let mut queue = queue(lanes, []);
            let mut under_way = Vec::new();
            for number in 0..4 {
                queue.push(append(&[number], 1));
                under_way.extend(queue.take());
            }
            assert_eq!((under_way.len(), queue.has_free_lane()), (lanes, false));
            queue.landed(&under_way[0].occupied);
            let rest = queue.take().expect("a lane is free");
            assert_eq!(rest.appends.len(), 4 - lanes, "what has waited goes together");
            for flush in under_way.into_iter().skip(1).chain([rest]) {
                queue.landed(&flush.occupied);
            }
            assert!(queue.is_idle() && queue.occupied.is_empty());
        }
    }

    #[test]
    fn a_second_write_under_one_key_is_not_in_the_flush_of_the_first() {
        for lanes in [1, 4] {
            let keyed = |bytes| {
                let mut append = append(&[1], bytes);
                append.write.idempotency = Some(Idempotency { digest: [7; 32], fingerprint: [0; 32], receipt: vec![] });
                append
            };
            let mut queue = queue(lanes, [keyed(1), keyed(2), append(&[1], 3)]);
            let first = queue.take().expect("all is free");
            assert_eq!(sizes(&first), [1, 3]);
            assert!(queue.take().is_none());
            queue.landed(&first.occupied);
            assert_eq!(sizes(&queue.take().expect("all is free")), [2]);
        }
    }

    #[test]
    fn a_flush_is_bounded_and_so_is_what_is_looked_through() {
        let mut large = queue(1, [append(&[1], FLUSH_BYTES_MAX - 1), append(&[1], 9), append(&[1], 5)]);
        assert_eq!(sizes(&large.take().expect("all is free")), [FLUSH_BYTES_MAX - 1, 9]);
        let mut many = queue(2, []);
        while many.has_room() {
            many.push(append(&[1], 1));
        }
        assert_eq!(many.waiting.len(), WAITING_MAX);
        let flush = many.take().expect("all is free");
        assert_eq!(flush.appends.len(), FLUSH_WRITES_MAX);
        assert!(many.has_room());
    }
}
