//! A topic: a named set of partitions with its retention.

use std::fmt;

use crate::model::name::TopicName;
use crate::model::time::Millis;

/// Seven days: what Kafka keeps by default (`log.retention.hours`).
pub const RETENTION_MS_DEFAULT: i64 = 7 * 24 * 3_600_000;

/// Partitions of one topic at most: its description lists them all, and that has to stay one answer (some 10 MB).
pub const PARTITION_COUNT_MAX: u32 = 100_000;

/// The row of a topic in this database. Never used twice, but another database counts from 1 as well:
/// what a client holds is tied to [`Topic::incarnation`] instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub i64);

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    /// The topic.
    pub topic: TopicId,
    /// The number of the partition, from 0.
    pub partition: u32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic.0, self.partition)
    }
}

/// How long records are kept. A limit says what is kept at least; records may go later than it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Age in milliseconds since the server appended the record; `None` keeps for ever.
    pub ms: Option<u64>,
    /// Bytes per partition; `None` sets no limit.
    pub bytes: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { ms: Some(RETENTION_MS_DEFAULT.unsigned_abs()), bytes: None }
    }
}

/// What a caller may set on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicConfig {
    /// How many partitions the topic has, at least 1. May only grow.
    pub partition_count: u32,
    /// How long its records are kept.
    pub retention: Retention,
}

/// A topic as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its row.
    pub id: TopicId,
    /// A random number that tells this topic from any other that ever bears or bore its name. Never 0.
    pub incarnation: u64,
    /// Its name.
    pub name: TopicName,
    /// Its settings.
    pub config: TopicConfig,
    /// How many partitions it had before it grew, oldest first: a key may have hashed by any of these.
    pub former_partition_counts: Vec<u32>,
    /// When it was made.
    pub created_at: Millis,
}

impl Topic {
    /// One of its partitions, whether or not it exists.
    pub fn partition(&self, partition: u32) -> PartitionId {
        PartitionId { topic: self.id, partition }
    }
}

/// What can be read of a partition, and how much it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogBounds {
    /// The first offset still kept.
    pub log_start_offset: u64,
    /// One past the last committed record. Invariant: `log_start_offset <= high_watermark`.
    pub high_watermark: u64,
    /// Bytes of the batches kept.
    pub bytes: u64,
}
