//! What nodes on one database owe each other: to see what the others commit, and to wake each other. A database that one
//! process has for itself says so ([`ClusterStore::is_shared`]), and is asked nothing else of this.

use async_trait::async_trait;

use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::name::TopicName;
use crate::model::topic::LogBounds;
use crate::model::topic::PartitionId;
use crate::store::error::StoreError;

/// Something that a node did, as others are told of it: a hint. It may come late, twice, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum News {
    /// Records were committed: the partition now ends here, or later.
    Appended(PartitionId, u64),
    /// A topic was made, changed or deleted.
    Topic(TopicName),
    /// Members came or went, or let go of partitions.
    Group(GroupName),
}

/// A run of a member, for whom somebody waits on this node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// The group.
    pub group: GroupName,
    /// The member.
    pub member: MemberName,
    /// The epoch of the run.
    pub epoch: u64,
}

/// Topics that were made, changed or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedTopics {
    /// Their names.
    pub names: Vec<TopicName>,
    /// Where the next look begins.
    pub version: u64,
}

/// Several nodes on one database.
#[async_trait]
pub trait ClusterStore: Send + Sync + 'static {
    /// Whether other processes may write to the same database: then what is in memory is a lower bound.
    fn is_shared(&self) -> bool;
    /// The bounds of partitions as committed at a moment after the call; those of topics that are gone are left out. One
    /// statement.
    async fn bounds_of(&self, partitions: &[PartitionId]) -> Result<Vec<(PartitionId, LogBounds)>, StoreError>;
    /// Waits for what other nodes did: every call that commits something tells them of it, after the commit and without
    /// anybody waiting for that. `Err` after which it may be called again; what came meanwhile is lost.
    async fn news(&self) -> Result<Vec<News>, StoreError>;
    /// Topics that changed after `version`, at most `limit`; from 0 on, all that ever did.
    async fn changed_topics(&self, version: u64, limit: usize) -> Result<ChangedTopics, StoreError>;
    /// Those of `waiting` for whom a step would do something: a partition of theirs is free, one that they hold is to move,
    /// or the run is over. One statement.
    async fn members_to_wake(&self, waiting: &[Waiting]) -> Result<Vec<Waiting>, StoreError>;
}
