//! Groups as they stand in answers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::error::NamedPartition;
use crate::broker::groups::describe::GroupState;
use crate::broker::groups::describe::PartitionLag;
use crate::broker::groups::session::Assignment;
use crate::broker::groups::session::Session;
use crate::model::group::Group;
use crate::model::group::Member;
use crate::model::group::Subscription;
use crate::model::name::MemberName;
use crate::store::group_contract::GroupSummary;

/// A partition that a member holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Assignment)]
pub struct AssignmentBody {
    /// The topic.
    #[schema(examples("clicks"))]
    pub topic: String,
    /// The partition.
    #[schema(minimum = 0, examples(0))]
    pub partition: u32,
    /// Counts the times somebody began to hold it.
    #[schema(minimum = 1, examples(3))]
    pub epoch: u64,
    /// The next record that the member will be given.
    #[schema(minimum = 0, examples(43))]
    pub next_offset: u64,
}

/// The partitions of a session.
pub fn assignments(session: &Session) -> Vec<AssignmentBody> {
    let body = |Assignment { topic, partition, epoch, next_offset }: Assignment| AssignmentBody {
        topic: topic.to_string(),
        partition,
        epoch,
        next_offset,
    };
    session.assignments().into_iter().map(body).collect()
}

/// A member's run and what it holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Membership)]
pub struct MembershipBody {
    /// The member.
    #[schema(examples("worker-1"))]
    pub member_id: String,
    /// The epoch of its run.
    #[schema(minimum = 1, examples(7))]
    pub epoch: u64,
    /// Its lease, in milliseconds.
    #[schema(minimum = 1000, examples(10000))]
    pub lease_ms: u64,
    /// What it holds.
    pub assignments: Vec<AssignmentBody>,
}

impl From<&Session> for MembershipBody {
    fn from(session: &Session) -> Self {
        Self {
            member_id: session.member().to_string(),
            epoch: session.epoch(),
            lease_ms: session.lease_ms(),
            assignments: assignments(session),
        }
    }
}

/// A lease that was renewed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lease)]
pub struct LeaseBody {
    /// The member.
    #[schema(examples("worker-1"))]
    pub member_id: String,
    /// The epoch of its run.
    #[schema(minimum = 1, examples(7))]
    pub epoch: u64,
    /// How long it may be silent from now, in milliseconds.
    #[schema(minimum = 1000, examples(10000))]
    pub lease_ms: u64,
}

/// Committed offsets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CommittedOffsets)]
pub struct CommittedBody {
    /// Those that the commit named, as they now stand.
    pub offsets: Vec<CommittedOffsetBody>,
}

/// A committed offset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CommittedOffset)]
pub struct CommittedOffsetBody {
    /// The topic.
    #[schema(examples("clicks"))]
    pub topic: String,
    /// The partition.
    #[schema(minimum = 0, examples(0))]
    pub partition: u32,
    /// The next record the group will read.
    #[schema(minimum = 0, examples(43))]
    pub next_offset: u64,
    /// What was noted beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 4096)]
    pub metadata: Option<String>,
}

impl From<Vec<NamedPartition>> for CommittedBody {
    fn from(named: Vec<NamedPartition>) -> Self {
        let body = |NamedPartition { topic, partition, state }: NamedPartition| {
            let (topic, metadata) = (topic.to_string(), state.metadata);
            state.committed.map(|next_offset| CommittedOffsetBody { topic, partition, next_offset, metadata })
        };
        Self { offsets: named.into_iter().filter_map(body).collect() }
    }
}

/// A group in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupSummary)]
pub struct GroupSummaryBody {
    /// Its name.
    #[schema(examples("billing"))]
    pub group: String,
    /// `active` while a member's lease runs, else `empty`.
    pub state: GroupStateName,
    /// How its partitions are shared out: `sticky`, `range` or `round_robin`.
    #[schema(examples("sticky"))]
    pub strategy: &'static str,
    /// Members whose lease runs.
    #[schema(minimum = 0, examples(3))]
    pub members: u64,
}

impl From<&GroupSummary> for GroupSummaryBody {
    fn from(group: &GroupSummary) -> Self {
        Self {
            group: group.name.to_string(),
            state: GroupStateName::of(group.members > 0),
            strategy: group.strategy.as_str(),
            members: group.members,
        }
    }
}

/// Whether anybody is there.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GroupState)]
pub enum GroupStateName {
    /// A member's lease runs.
    Active,
    /// Nobody's does.
    Empty,
}

impl GroupStateName {
    fn of(active: bool) -> Self {
        if active { Self::Active } else { Self::Empty }
    }
}

/// A page of groups, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupList)]
pub struct GroupListBody {
    /// The groups.
    pub groups: Vec<GroupSummaryBody>,
    /// Gets the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("YmlsbGluZw"))]
    pub next_page_token: Option<String>,
}

/// A group: who is in, who holds what, how far behind it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub struct GroupBody {
    /// Its name.
    #[schema(examples("billing"))]
    pub group: String,
    /// `active` while a member's lease runs, else `empty`.
    pub state: GroupStateName,
    /// How its partitions are shared out: `sticky`, `range` or `round_robin`.
    #[schema(examples("sticky"))]
    pub strategy: &'static str,
    /// Its members, by name.
    pub members: Vec<MemberBody>,
    /// The partitions it holds or has committed in.
    pub partitions: Vec<GroupPartitionBody>,
    /// Records not yet committed, in all partitions.
    #[schema(minimum = 0, examples(0))]
    pub lag: u64,
    /// Age of the oldest of them, in milliseconds.
    #[schema(minimum = 0, examples(0))]
    pub lag_ms: u64,
}

/// A member of a group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberBody {
    /// Its name.
    #[schema(examples("worker-1"))]
    pub member_id: String,
    /// The epoch of its run.
    #[schema(minimum = 1, examples(7))]
    pub epoch: u64,
    /// Its lease, in milliseconds.
    #[schema(minimum = 1000, examples(10000))]
    pub lease_ms: u64,
    /// When its lease runs out, in milliseconds since 1970 by the database's clock.
    #[schema(minimum = 0, examples(1732233610000_u64))]
    pub lease_ends_at: u64,
    /// The topics it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(json!(["clicks"])))]
    pub topics: Option<Vec<String>>,
    /// The beginning of the topics' names, if it named that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub topic_prefix: Option<String>,
    /// What it holds.
    pub assignments: Vec<HeldBody>,
}

/// A partition that a member holds, with its lease.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeldPartition)]
pub struct HeldBody {
    /// The topic.
    #[schema(examples("clicks"))]
    pub topic: String,
    /// The partition.
    #[schema(minimum = 0, examples(0))]
    pub partition: u32,
    /// Counts the times somebody began to hold it.
    #[schema(minimum = 1, examples(3))]
    pub epoch: u64,
    /// When the lease on it runs out, in milliseconds since 1970 by the database's clock.
    #[schema(minimum = 0, examples(1732233610000_u64))]
    pub lease_ends_at: u64,
}

/// A partition of a group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupPartition)]
pub struct GroupPartitionBody {
    /// The topic.
    #[schema(examples("clicks"))]
    pub topic: String,
    /// The partition.
    #[schema(minimum = 0, examples(0))]
    pub partition: u32,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("worker-1"))]
    pub owner: Option<String>,
    /// Who is to hold it, if that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_owner: Option<String>,
    /// Counts the times somebody began to hold it.
    #[schema(minimum = 0, examples(3))]
    pub epoch: u64,
    /// When the owner's lease on it runs out, in milliseconds since 1970 by the database's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    pub lease_ends_at: Option<u64>,
    /// The next record the group will read; absent until that is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, examples(43))]
    pub next_offset: Option<u64>,
    /// What was noted beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub metadata: Option<String>,
    /// The first offset still kept.
    #[schema(minimum = 0, examples(0))]
    pub log_start_offset: u64,
    /// One past the last record.
    #[schema(minimum = 0, examples(43))]
    pub high_watermark: u64,
    /// Records kept and not yet committed.
    #[schema(minimum = 0, examples(0))]
    pub lag: u64,
    /// How long ago, by its timestamp, the oldest of them was sent, in milliseconds.
    #[schema(minimum = 0, examples(0))]
    pub lag_ms: u64,
}

impl From<&PartitionLag> for GroupPartitionBody {
    fn from(partition: &PartitionLag) -> Self {
        let PartitionLag { topic, state, log_start_offset, high_watermark, lag, lag_ms, oldest: _ } = partition;
        let next_owner = state.assignee.as_ref().filter(|_| state.assignee != state.owner);
        Self {
            topic: topic.to_string(),
            partition: state.id.partition,
            owner: state.owner.as_ref().map(MemberName::to_string),
            next_owner: next_owner.map(MemberName::to_string),
            epoch: state.epoch,
            lease_ends_at: state.owner.as_ref().map(|_| state.lease_end),
            next_offset: state.committed,
            metadata: state.metadata.clone(),
            log_start_offset: *log_start_offset,
            high_watermark: *high_watermark,
            lag: *lag,
            lag_ms: *lag_ms,
        }
    }
}

impl From<&GroupState> for GroupBody {
    fn from(state: &GroupState) -> Self {
        let GroupState { group, partitions } = state;
        let running = |member: &&Member| member.is_running();
        Self {
            group: group.name.to_string(),
            state: GroupStateName::of(group.is_active()),
            strategy: group.strategy.as_str(),
            members: group
                .members
                .iter()
                .filter(running)
                .map(|member| member_body(group, member, partitions))
                .collect(),
            partitions: partitions.iter().map(GroupPartitionBody::from).collect(),
            lag: total(partitions),
            lag_ms: oldest(partitions),
        }
    }
}

fn member_body(group: &Group, member: &Member, partitions: &[PartitionLag]) -> MemberBody {
    let (topics, topic_prefix) = match &member.subscription {
        Subscription::Topics(names) => (Some(names.iter().map(ToString::to_string).collect()), None),
        Subscription::Prefix(prefix) => (None, Some(prefix.clone())),
    };
    let held = partitions.iter().filter(|partition| partition.state.is_held_by(&member.name));
    MemberBody {
        member_id: member.name.to_string(),
        epoch: member.epoch,
        lease_ms: member.lease_ms,
        lease_ends_at: member.lease_end.unwrap_or(group.now),
        topics,
        topic_prefix,
        assignments: held
            .map(|partition| HeldBody {
                topic: partition.topic.to_string(),
                partition: partition.state.id.partition,
                epoch: partition.state.epoch,
                lease_ends_at: partition.state.lease_end,
            })
            .collect(),
    }
}

fn total(partitions: &[PartitionLag]) -> u64 {
    partitions.iter().map(|partition| partition.lag).sum()
}

fn oldest(partitions: &[PartitionLag]) -> u64 {
    partitions.iter().map(|partition| partition.lag_ms).max().unwrap_or(0)
}

/// What a group has committed, and how far behind it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupOffsets)]
pub struct GroupOffsetsBody {
    /// The partitions in which something is committed.
    pub offsets: Vec<GroupPartitionBody>,
    /// Records not yet committed, in all of them.
    #[schema(minimum = 0, examples(0))]
    pub lag: u64,
    /// Age of the oldest of them, in milliseconds.
    #[schema(minimum = 0, examples(0))]
    pub lag_ms: u64,
}

impl From<&GroupState> for GroupOffsetsBody {
    fn from(state: &GroupState) -> Self {
        let committed: Vec<PartitionLag> =
            state.partitions.iter().filter(|partition| partition.state.committed.is_some()).cloned().collect();
        Self {
            offsets: committed.iter().map(GroupPartitionBody::from).collect(),
            lag: total(&committed),
            lag_ms: oldest(&committed),
        }
    }
}
