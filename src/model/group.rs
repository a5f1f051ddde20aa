//! A consumer group: its members, what each is to hold and holds, and how far the group has read.

use std::fmt;
use std::str::FromStr;

use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::name::TopicName;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;

/// Members of one group at most.
pub const MEMBERS_MAX: usize = 1_000;

/// Topics that one member may name; a prefix may match any number.
pub const SUBSCRIBED_TOPICS_MAX: usize = 1_000;

/// Partitions that one group may read.
pub const GROUP_PARTITIONS_MAX: usize = 100_000;

/// Longest text beside a committed offset, in bytes. As Kafka's `offset.metadata.max.bytes`.
pub const METADATA_BYTES_MAX: usize = 4096;

/// The lease of a member that names none.
pub const LEASE_MS_DEFAULT: u64 = 10_000;

/// The shortest and the longest lease, in milliseconds.
pub const LEASE_MS: std::ops::RangeInclusive<u64> = 1_000..=900_000;

/// The row of a group. Never used twice in one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub i64);

/// Which topics a member reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subscription {
    /// These, sorted and each once; those that do not exist yet count from when they do.
    Topics(Vec<TopicName>),
    /// All whose names begin so.
    Prefix(String),
}

impl Subscription {
    /// Whether a topic of that name is read.
    pub fn covers(&self, topic: &TopicName) -> bool {
        match self {
            Self::Topics(names) => names.binary_search(topic).is_ok(),
            Self::Prefix(prefix) => topic.as_str().starts_with(prefix.as_str()),
        }
    }
}

/// How partitions are shared out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Evenly, and each member keeps what it has as far as that goes (after KIP-54).
    #[default]
    Sticky,
    /// Of each topic, neighbouring partitions to each member in the order of names: equal numbers of several topics meet
    /// at one member (Kafka's `RangeAssignor`).
    Range,
    /// All partitions in order, dealt out in turn (Kafka's `RoundRobinAssignor`).
    RoundRobin,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sticky, Self::Range, Self::RoundRobin];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sticky => "sticky",
            Self::Range => "range",
            Self::RoundRobin => "round_robin",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a strategy is `sticky`, `range` or `round_robin`")]
pub struct UnknownStrategy;

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == text).ok_or(UnknownStrategy)
    }
}

/// One run of a member: from a poll that began to its end. A new run of the same name has a higher epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: MemberName,
    /// Tells its run from all others of the group, earlier and later.
    pub epoch: u64,
    /// What it reads.
    pub subscription: Subscription,
    /// How long it may be silent, in milliseconds.
    pub lease_ms: u64,
    /// When its lease runs out by the database's clock; `None` once its run was ended because it had.
    pub lease_end: Option<Millis>,
}

impl Member {
    /// Whether its run goes on, be its lease over or not.
    pub fn is_running(&self) -> bool {
        self.lease_end.is_some()
    }

    /// Whether its lease has run out at `now`.
    pub fn has_lapsed(&self, now: Millis) -> bool {
        self.lease_end.is_none_or(|end| end < now)
    }
}

/// One partition as a group has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPartition {
    /// The partition.
    pub id: PartitionId,
    /// Who is to hold it.
    pub assignee: Option<MemberName>,
    /// Who holds it.
    pub owner: Option<MemberName>,
    /// Rises by one whenever somebody begins to hold it.
    pub epoch: u64,
    /// When the owner's lease on it runs out by the database's clock.
    pub lease_end: Millis,
    /// The next record the group will read; `None` until it is settled where the group begins.
    pub committed: Option<u64>,
    /// What the committer noted beside it.
    pub metadata: Option<String>,
}

impl GroupPartition {
    /// A partition that the group has not touched.
    pub fn new(id: PartitionId) -> Self {
        Self { id, assignee: None, owner: None, epoch: 0, lease_end: 0, committed: None, metadata: None }
    }

    /// Whether its owner is to let go of it: it is renewed no more.
    pub fn is_leaving(&self) -> bool {
        self.owner.is_some() && self.owner != self.assignee
    }

    /// Whether `member` holds it.
    pub fn is_held_by(&self, member: &MemberName) -> bool {
        self.owner.as_ref() == Some(member)
    }
}

/// A group as it stood at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its row.
    pub id: GroupId,
    /// Its name.
    pub name: GroupName,
    /// Counts changes of members and assignment: a change names the version it was made from.
    pub version: u64,
    /// The highest member epoch ever given.
    pub last_epoch: u64,
    /// How its partitions are shared out.
    pub strategy: Strategy,
    /// Its members by name, those included whose run was ended lately.
    pub members: Vec<Member>,
    /// The partitions it ever held, in order.
    pub partitions: Vec<GroupPartition>,
    /// That moment, by the database's clock.
    pub now: Millis,
}

impl Group {
    /// The member of that name, whether or not it runs.
    pub fn member(&self, name: &MemberName) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }

    /// Whether a member has a lease that runs.
    pub fn is_active(&self) -> bool {
        self.members.iter().any(|member| !member.has_lapsed(self.now))
    }
}
