//! One active partition in memory: what can be read of it, its newest batches, and who waits for more.
//!
//! It exists while somebody uses it. An idle partition is nothing but rows.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::hash::BuildHasherDefault;
use std::hash::DefaultHasher;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::model::batch::RecordBatch;
use crate::model::topic::LogBounds;
use crate::model::topic::PartitionId;
use crate::signal::KeyedWaiters;
use crate::signal::Signal;
use crate::signal::Waiters;

/// A partition that somebody reads or writes.
#[derive(Debug)]
pub struct Partition {
    /// Which one.
    pub id: PartitionId,
    /// The incarnation of its topic.
    pub incarnation: u64,
    log_start_offset: AtomicU64,
    high_watermark: AtomicU64,
    gone: AtomicBool,
    tail: Mutex<VecDeque<RecordBatch>>,
    waiters: Waiters,
    key_waiters: KeyedWaiters<u64>,
    /// Held while history is fetched into the segment cache: one fill at a time, the others find it done.
    pub(super) filling: tokio::sync::Mutex<()>,
}

impl Partition {
    pub(super) fn new(id: PartitionId, incarnation: u64, bounds: LogBounds) -> Self {
        Self {
            id,
            incarnation,
            log_start_offset: AtomicU64::new(bounds.log_start_offset),
            high_watermark: AtomicU64::new(bounds.high_watermark),
            gone: AtomicBool::new(false),
            tail: Mutex::default(),
            waiters: Waiters::default(),
            key_waiters: KeyedWaiters::default(),
            filling: tokio::sync::Mutex::default(),
        }
    }

    /// The first offset still kept.
    pub fn log_start_offset(&self) -> u64 {
        self.log_start_offset.load(Ordering::Acquire)
    }

    /// One past the last committed record. Never falls.
    pub fn high_watermark(&self) -> u64 {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// Whether its topic was deleted.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Raises `signal` on every record from now on, when the log start moves, and when the topic is deleted.
    pub fn wake_on_records(&self, signal: &Arc<Signal>) {
        self.waiters.add(signal);
    }

    /// The same, but of records only those with this key count. Another key with the same hash may raise it too.
    pub fn wake_on_key(&self, key: &[u8], signal: &Arc<Signal>) {
        self.key_waiters.add(hash(key), signal);
    }

    /// Makes a committed batch readable. Called in the order of offsets.
    pub(super) fn publish(&self, batch: &RecordBatch) {
        {
            let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            let high_watermark = self.high_watermark();
            if batch.next_offset() <= high_watermark {
                return; // it was committed before the bounds were read
            }
            tail.push_back(batch.clone());
            // Keys first: who waits for one and was not raised may take every record below the high watermark for
            // somebody else's.
            if batch.base_offset == high_watermark {
                self.raise_keys(batch);
            } else {
                // What lies between was written by another node, and is in the table; nobody here has seen its keys.
                let before = tail.len() - 1;
                tail.drain(..before);
                self.key_waiters.raise_all();
            }
            self.high_watermark.store(batch.next_offset(), Ordering::Release);
        }
        self.waiters.raise();
    }

    /// Takes note of bounds that were read from the database; they may be older than what is known.
    pub(super) fn learn(&self, bounds: LogBounds) {
        if bounds.log_start_offset > self.log_start_offset() {
            self.move_start(bounds.log_start_offset);
        }
        {
            let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            if bounds.high_watermark <= self.high_watermark() {
                return;
            }
            tail.clear(); // it would end before the log does
            self.key_waiters.raise_all();
            self.high_watermark.store(bounds.high_watermark, Ordering::Release);
        }
        self.waiters.raise();
    }

    /// Whether somebody waits for records.
    pub(super) fn has_waiters(&self) -> bool {
        !self.waiters.is_empty() || !self.key_waiters.is_empty()
    }

    fn raise_keys(&self, batch: &RecordBatch) {
        if self.key_waiters.is_empty() {
            return;
        }
        for record in batch.records().flatten() {
            if let Some(key) = record.key {
                self.key_waiters.raise(&hash(key));
            }
        }
    }

    /// Batches from the one that holds `from` on, if the tail has it: about `bytes_max` bytes, at least one batch.
    pub(super) fn read_tail(&self, from: u64, bytes_max: usize) -> Option<Vec<RecordBatch>> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.front()?.base_offset > from {
            return None;
        }
        let first = tail.partition_point(|batch| batch.next_offset() <= from);
        let mut bytes = 0;
        let mut batches = Vec::new();
        for batch in tail.range(first..) {
            if bytes >= bytes_max {
                break;
            }
            bytes += batch.bytes().len();
            batches.push(batch.clone());
        }
        Some(batches)
    }

    /// Takes the oldest batch out of the tail, if it begins at or below `base_offset`.
    pub(super) fn shorten_tail(&self, base_offset: u64) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.front().is_some_and(|batch| batch.base_offset <= base_offset) {
            tail.pop_front();
        }
        if tail.is_empty() {
            tail.shrink_to_fit();
        }
    }

    pub(super) fn move_start(&self, to: u64) {
        self.log_start_offset.fetch_max(to, Ordering::AcqRel);
        self.raise_all();
    }

    pub(super) fn end(&self) {
        self.gone.store(true, Ordering::Release);
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.raise_all();
    }

    fn raise_all(&self) {
        self.waiters.raise();
        self.key_waiters.raise_all();
    }
}

/// A hash that is the same in every partition of this process.
fn hash(key: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
}
