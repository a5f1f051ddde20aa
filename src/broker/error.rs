//! The one list of ways to say no. A variant exists only where a caller would act differently; every way of speaking
//! owns one exhaustive table from it.

use crate::log::AppendError;
use crate::log::ReadError;
use crate::model::group::GroupPartition;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::name::TopicName;
use crate::model::topic::Topic;
use crate::store::contract::Refused;
use crate::store::error::StoreError;

/// A position that cannot be read, and what can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// What was asked for.
    pub requested_offset: u64,
    /// The first offset still kept.
    pub log_start_offset: u64,
    /// One past the last record.
    pub high_watermark: u64,
}

/// A partition as its group has it, with the name of its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// How its group has it.
    pub state: GroupPartition,
}

/// Why an operation was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No topic of that name.
    #[error("there is no topic `{0}`")]
    UnknownTopic(TopicName),
    /// The topic has no such partition.
    #[error("topic `{topic}` has {partition_count} partitions, numbered from 0; there is no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: TopicName,
        /// The number asked for.
        partition: u32,
        /// How many there are.
        partition_count: u32,
    },
    /// Nothing is at that offset yet.
    #[error("nothing is at offset {} of partition {} yet: the next record will get offset {}",
        .0.requested_offset, .0.partition, .0.high_watermark)]
    UnknownOffset(Unreadable),
    /// A topic of that name exists with other settings.
    #[error("topic `{}` exists with other settings: send those of `current`, or change it with PATCH", .0.name)]
    TopicExists(Box<Topic>),
    /// Partitions cannot be taken away.
    #[error("topic `{}` has {} partitions, and their number can only grow", .0.name, .0.config.partition_count)]
    PartitionsShrink(Box<Topic>),
    /// All topics together would have too many partitions.
    #[error("all topics together may have {limit} partitions: delete topics, or raise --partitions-max")]
    QuotaExceeded {
        /// The bound.
        limit: u64,
    },
    /// There are as many groups as there may be.
    #[error("there are {limit} groups, and as many may be: delete some, or raise --groups-max")]
    TooManyGroups {
        /// The bound.
        limit: u64,
    },
    /// One read covers too many partitions.
    #[error(
        "one read covers at most {limit} partitions and this would be {found}: name some with `partition`, or use `key`"
    )]
    TooManyPartitions {
        /// The bound.
        limit: usize,
        /// What was asked for.
        found: usize,
    },
    /// A cursor that is not one, or not of this read.
    #[error("{0}")]
    InvalidCursor(String),
    /// Retention has passed a position. `cursor` goes on behind the gap.
    #[error("records at the requested position are no longer kept: `partitions` says from where on they are")]
    OffsetExpired {
        /// Where, and what is kept.
        partitions: Vec<Unreadable>,
        /// The same position with each gap left out, as a cursor, where the call was about a position to go on from.
        cursor: Option<String>,
    },
    /// A position lies beyond the end.
    #[error("the requested position is beyond the high watermark")]
    OffsetOutOfRange(Vec<Unreadable>),
    /// The topic of a cursor was deleted and made anew.
    #[error("topic `{topic}` was deleted and made anew since this cursor was given: go on with `cursor`")]
    TopicRecreated {
        /// The topic.
        topic: TopicName,
        /// Its partitions now, with the offsets that were asked of the former ones.
        partitions: Vec<Unreadable>,
        /// The beginning of the new topic and the same position in the others, as a cursor.
        cursor: String,
    },
    /// No consumer group of that name.
    #[error("there is no group `{0}`")]
    UnknownGroup(GroupName),
    /// The group has no such member.
    #[error("group `{group}` has no member `{member}`: join it by a poll without `cursor`")]
    UnknownMember {
        /// The group.
        group: GroupName,
        /// The name asked for.
        member: MemberName,
    },
    /// Another run of the member has taken over.
    #[error(
        "member `{member}` is in epoch {current}, not in this one: nothing was committed; poll without `cursor` to take over"
    )]
    StaleEpoch {
        /// The member.
        member: MemberName,
        /// The epoch of its present run.
        current: u64,
        /// What the call was about.
        partitions: Vec<NamedPartition>,
    },
    /// The member's run was ended, or it does not hold what it would commit.
    #[error(
        "member `{member}` has lost its lease on what this call is about: nothing was committed; poll without `cursor`"
    )]
    LeaseLost {
        /// The member.
        member: MemberName,
        /// What the call was about.
        partitions: Vec<NamedPartition>,
    },
    /// A member holds what the caller may not read. It is not said what: the caller did not name it.
    #[error(
        "this member reads topics that these credentials do not permit to read: use another name, or begin its run anew \
         without `cursor`"
    )]
    NotPermitted,
    /// Committed offsets would go back.
    #[error(
        "committed offsets would go back, so nothing was committed: to read again on purpose, reset the group's offsets"
    )]
    OffsetRegression(Vec<NamedPartition>),
    /// Members stand in the way.
    #[error("group `{group}` is active: stop its members, or use `force`")]
    GroupActive {
        /// The group.
        group: GroupName,
        /// What they hold of what this is about.
        partitions: Vec<NamedPartition>,
    },
    /// The group has as many members as it may have.
    #[error("a group may have {limit} members, and `{group}` has")]
    TooManyMembers {
        /// The group.
        group: GroupName,
        /// The bound.
        limit: usize,
    },
    /// The topics that a group reads have too many partitions together.
    #[error("the topics of group `{group}` may have {limit} partitions together: subscribe to fewer")]
    TooManyGroupPartitions {
        /// The group.
        group: GroupName,
        /// The bound.
        limit: usize,
    },
    /// The idempotency key came with another request.
    #[error("this Idempotency-Key was used with another request: use a new key for a new request")]
    IdempotencyKeyReused,
    /// Too much is waiting. Nothing was written.
    #[error("too many records are waiting to be written")]
    Overloaded,
    /// This node is stopping. Nothing was written.
    #[error("this node is stopping")]
    Draining,
    /// The disk is full. Nothing was written.
    #[error("the disk of the gateway is full: records can be read, not written, until there is room again")]
    StorageFull,
    /// The database does not answer. Nothing was written.
    #[error("the database is not available")]
    DatabaseUnavailable,
    /// The records may be in the log or not.
    #[error("the connection to the database broke during the commit: the records may be written or not")]
    OutcomeUnknown,
    /// Something is wrong with us. The detail is for our log only.
    #[error("something is wrong inside the gateway; its log says what, under the request id")]
    Internal(String),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::StorageFull,
            StoreError::TooManyGroups { limit } => Self::TooManyGroups { limit },
            StoreError::Unavailable(_) => Self::DatabaseUnavailable,
            StoreError::Indefinite(_) | StoreError::Unresolved(_) => Self::OutcomeUnknown,
            StoreError::Corrupt(what) => Self::Internal(what.to_string()),
        }
    }
}

impl Error {
    /// What a failed append means, for a request over `topics`.
    pub(super) fn from_append(error: AppendError, topics: &[Topic]) -> Self {
        match error {
            AppendError::Overloaded => Self::Overloaded,
            AppendError::Closed => Self::Draining,
            AppendError::Store(error) => error.into(),
            AppendError::Refused(Refused::KeyReused) => Self::IdempotencyKeyReused,
            AppendError::Refused(Refused::UnknownPartition(id)) => {
                match topics.iter().find(|topic| topic.id == id.topic) {
                    Some(topic) => Self::UnknownTopic(topic.name.clone()),
                    None => Self::Internal(format!("a write to partition {id}, which it did not name")),
                }
            }
            AppendError::Refused(Refused::Replayed(_)) => Self::Internal("a replay is no refusal".to_owned()),
        }
    }

    /// What a failed read of one topic means where there is no more to say.
    pub(super) fn from_read(error: ReadError, topic: &TopicName) -> Self {
        match error {
            ReadError::Gone => Self::UnknownTopic(topic.clone()),
            ReadError::Store(error) => error.into(),
            ReadError::Expired | ReadError::OutOfRange => {
                Self::Internal(format!("a read of `{topic}` left its bounds"))
            }
        }
    }
}
