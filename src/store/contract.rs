//! What the floors above may rely on, whichever database is below. `conformance.rs` holds every implementation to it.
//!
//! No method may be called in a future that can be dropped halfway (a handler's own): callers run them in tasks.

use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;

use crate::model::batch::RecordBatch;
use crate::model::batch::Run;
use crate::model::name::TopicName;
use crate::model::time::Millis;
use crate::model::topic::LogBounds;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;
use crate::model::topic::TopicId;
use crate::store::access_contract::AccessStore;
use crate::store::cluster_contract::ClusterStore;
use crate::store::error::StoreError;
use crate::store::group_contract::GroupStore;

/// What came of making a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// It is new.
    Created(Topic),
    /// A topic of that name is there; nothing changed.
    Exists(Topic),
    /// All topics together would have more partitions than allowed; nothing changed.
    TooManyPartitions,
}

/// What came of changing a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Configuration {
    /// It now stands so.
    Changed(Topic),
    /// It has more partitions than it was to get; nothing changed.
    Shrinks(Topic),
    /// All topics together would have more partitions than allowed; nothing changed.
    TooManyPartitions,
    /// There is no such topic (any more).
    Unknown,
}

/// Topics: their names and settings.
#[async_trait]
pub trait TopicStore: Send + Sync + 'static {
    /// Makes a topic, unless one of that name exists.
    async fn create_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Creation, StoreError>;
    /// The living topic of that name.
    async fn topic(&self, name: &TopicName) -> Result<Option<Topic>, StoreError>;
    /// The living topic in that row.
    async fn topic_by_id(&self, id: TopicId) -> Result<Option<Topic>, StoreError>;
    /// Living topics whose names begin with `prefix` and sort after `after`, by name, at most `limit`.
    async fn topics(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Topic>, StoreError>;
    /// Sets a living topic's settings.
    async fn configure_topic(&self, id: TopicId, config: TopicConfig) -> Result<Configuration, StoreError>;
    /// Ends a topic: from now on it is unknown and takes no records. False if it was not living. Its batches go later
    /// ([`LogStore::purge_deleted_topics`]).
    async fn delete_topic(&self, id: TopicId) -> Result<bool, StoreError>;
}

/// The key of a write that must happen once.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Digest of caller, method, path and key.
    pub digest: [u8; 32],
    /// Digest of all else that must be equal in a retry.
    pub fingerprint: [u8; 32],
    /// What the broker needs to give the same answer again; opaque here.
    pub receipt: Vec<u8>,
}

/// The records of one request: all are written, or none is.
#[derive(Debug, Clone)]
pub struct Write {
    /// One per partition that it touches, none of them empty.
    pub runs: Vec<Run>,
    /// Its idempotency key, if it has one. A caller puts no two writes of one key into one flush.
    pub idempotency: Option<Idempotency>,
}

/// A write that is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record of each run, in the order of [`Write::runs`].
    pub base_offsets: Vec<u64>,
}

/// A write that was in the log already, under its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Each partition that was written then, and the offset of its first record.
    pub runs: Vec<(PartitionId, u64)>,
    /// [`Idempotency::receipt`] of then.
    pub receipt: Vec<u8>,
}

/// Why one write was not taken. Its neighbours are not affected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The topic was deleted, or never had that partition.
    UnknownPartition(PartitionId),
    /// The same key came with another request before.
    KeyReused,
    /// The same request was written before.
    Replayed(Replay),
}

/// What one flush did.
#[derive(Debug, Default)]
pub struct Flushed {
    /// One per write, in order.
    pub outcomes: Vec<Result<Appended, Refused>>,
    /// The batches that now stand in the log, one per partition.
    pub batches: Vec<RecordBatch>,
    /// The call that committed them, which ends in the database's fsync; `None` if there was nothing to commit.
    pub commit: Option<Commit>,
}

/// When a commit was begun, and how long it took.
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    /// When it was sent to the database.
    pub began: Instant,
    /// Until the database had answered.
    pub took: Duration,
}

impl Commit {
    /// One that was begun then and has just ended.
    pub(super) fn since(began: Instant) -> Self {
        Self { began, took: began.elapsed() }
    }
}

/// What a store tells of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections of the pool that somebody works with.
    pub connections_busy: u64,
    /// Those that wait to be used.
    pub connections_idle: u64,
    /// How many there may be.
    pub connections_max: u64,
    /// Bytes in SQLite's write-ahead log.
    pub wal_bytes: u64,
    /// Notifications sent to other nodes since the start.
    pub notifications_sent: u64,
}

impl Figures {
    /// Those of a pool: how many connections it has, how many of them are idle, how many it may have.
    pub(super) fn of_pool(size: u32, idle: usize, max: u32) -> Self {
        let idle = idle as u64;
        let connections_busy = u64::from(size).saturating_sub(idle);
        Self { connections_busy, connections_idle: idle, connections_max: max.into(), ..Self::default() }
    }
}

/// Where a seek by time landed.
pub type SeekResult = Option<RecordBatch>;

/// A partition that holds batches, as a sweep finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stocked {
    /// Which.
    pub id: PartitionId,
    /// Whether batches lie wholly below its log start: [`LogStore::purge`] has something to delete.
    pub has_dropped: bool,
}

/// The append-only log of every partition. Offsets are dense from 0 and never given twice.
#[async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// How many appends may be under way at once; more would wait for each other, and so may those that have a partition
    /// in common.
    fn lanes(&self) -> usize;
    /// Writes all of `writes` in one durable transaction, except those refused. The records of one partition become
    /// one batch. `Err` means that nothing was written, except
    /// [`StoreError::Indefinite`] and [`StoreError::Unresolved`].
    async fn append(&self, writes: Vec<Write>) -> Result<Flushed, StoreError>;
    /// Batches from the one that holds `from` on, about `bytes_max` bytes of them but at least one; none only at the
    /// end. Contiguous, as committed at one moment.
    async fn read(&self, partition: PartitionId, from: u64, bytes_max: usize) -> Result<Vec<RecordBatch>, StoreError>;
    /// What can be read of a partition; `None` if there is no such partition.
    async fn bounds(&self, partition: PartitionId) -> Result<Option<LogBounds>, StoreError>;
    /// The bounds of all partitions of a topic that have ever been written or trimmed, by number.
    async fn all_bounds(&self, topic: TopicId) -> Result<Vec<(u32, LogBounds)>, StoreError>;
    /// The first batch that has a record with a timestamp of at least `time` at or above the log start.
    async fn seek_time(&self, partition: PartitionId, time: Millis) -> Result<SeekResult, StoreError>;
    /// Moves the log start up to `to`, never down and never past the high watermark; returns where it stands.
    async fn advance_start(&self, partition: PartitionId, to: u64) -> Result<u64, StoreError>;
    /// Whether it is for this process to keep the logs short, and if so, the time by the clock that append times and
    /// idempotency keys have. Of the nodes on one database it is for one; that one asks again every second while it is
    /// at it, for if it is silent for long, another takes over. Should two be at it at once, they do each other no harm.
    async fn sweep_turn(&self) -> Result<Option<Millis>, StoreError>;
    /// Where the log would begin if all that `retention` allows to go at time `now` were gone; `None` if nothing may.
    async fn expired_until(
        &self,
        partition: PartitionId,
        retention: Retention,
        now: Millis,
    ) -> Result<Option<u64>, StoreError>;
    /// Up to `limit` partitions that hold batches, after `after`, in a fixed order: for sweeps.
    async fn partitions_with_batches(
        &self,
        after: Option<PartitionId>,
        limit: usize,
    ) -> Result<Vec<Stocked>, StoreError>;
    /// Deletes batches that lie wholly below the log start, oldest first, about `bytes_max` of them; true if more are
    /// left.
    async fn purge(&self, partition: PartitionId, bytes_max: u64) -> Result<bool, StoreError>;
    /// Deletes what deleted topics left behind, about `bytes_max` of it; true if more is left.
    async fn purge_deleted_topics(&self, bytes_max: u64) -> Result<bool, StoreError>;
    /// Forgets idempotency keys older than `before`, a bounded number of them; true if more are left.
    async fn purge_idempotency_keys(&self, before: Millis) -> Result<bool, StoreError>;
}

/// What the store needs for itself.
#[async_trait]
pub trait Upkeep: Send + Sync + 'static {
    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;
    /// How it is doing, without asking the database.
    fn figures(&self) -> Figures;
    /// Works for as long as the store is open: run it as a task.
    async fn run_upkeep(&self);
    /// Closes connections and releases the data; calls after it fail.
    async fn close(&self);
}

/// All of it.
pub trait Store: TopicStore + LogStore + GroupStore + AccessStore + ClusterStore + Upkeep {}
