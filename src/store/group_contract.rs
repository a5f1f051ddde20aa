//! What the floors above may rely on of consumer groups, whichever database is below. Held by `conformance/groups.rs`.
//!
//! Two kinds of writing calls. A [`GroupChange`] alters membership and assignment, with compare-and-set on the group's
//! version. A [`Step`] is one call of a member: it alters only rows that the member has or is to have, under their lock,
//! and is checked against the member's epoch first. All times are the database's.

use async_trait::async_trait;

use crate::model::group::Group;
use crate::model::group::GroupId;
use crate::model::group::GroupPartition;
use crate::model::group::Strategy;
use crate::model::group::Subscription;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::store::error::StoreError;

/// A run that begins, or goes on in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRun {
    /// The member.
    pub name: MemberName,
    /// The epoch of the run: that of the member as it stands, or a new one.
    pub epoch: u64,
    /// What it reads.
    pub subscription: Subscription,
    /// How long it may be silent, in milliseconds.
    pub lease_ms: u64,
}

/// A change of who is in a group and of who is to hold what, made from the group at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupChange {
    /// The group.
    pub group: GroupId,
    /// The version that it was made from.
    pub version: u64,
    /// How partitions are shared out from now on.
    pub strategy: Strategy,
    /// Runs that begin or go on otherwise. Each lease runs its full length from now. A run with another epoch than its
    /// name had frees what that held.
    pub runs: Vec<MemberRun>,
    /// Members that leave: they are forgotten, and what they held is free.
    pub left: Vec<MemberName>,
    /// Runs (by epoch) to end because the member's lease ran out. What they held is free; the name is kept with its
    /// epoch, so that a late call can be told.
    pub lapsed: Vec<(MemberName, u64)>,
    /// Partitions to free although their owner goes on: it was to let go of them, and the lease on them ran out first.
    pub overdue: Vec<PartitionId>,
    /// Who is to hold what, where that changes.
    pub assigned: Vec<(PartitionId, Option<MemberName>)>,
}

/// What came of a [`GroupChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is done; the group's version is one higher, its last epoch at least that of every run.
    Done,
    /// The group is gone or has another version by now, or one of `lapsed` has renewed its lease, or one of `overdue`
    /// is not: load it again.
    /// Nothing changed.
    Conflict,
}

/// A position that a member hands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: PartitionId,
    /// The epoch of the partition under which it was read.
    pub epoch: u64,
    /// The next record to read.
    pub next_offset: u64,
}

/// An offset that a member names to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedOffset {
    /// The partition.
    pub partition: PartitionId,
    /// The next record to read.
    pub next_offset: u64,
    /// A text to keep beside it.
    pub metadata: Option<String>,
}

/// What a step commits. All of it, or nothing and the step is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// Nothing.
    Nothing,
    /// Positions of a cursor. One that the committed offset has reached changes nothing, whoever holds the partition
    /// now; any other must be of a partition that the member holds under that epoch.
    Cursor(Vec<Position>),
    /// Offsets by name, of partitions that the member holds; none may go back.
    Offsets(Vec<NamedOffset>),
    /// Where the group begins, in partitions that the member holds: counts only where nothing is committed yet.
    Begin(Vec<(PartitionId, u64)>),
}

/// One call of a member. Where it is not refused, its lease and those on the partitions that it holds and is to keep run
/// their full length from now, be they over or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The group.
    pub group: GroupName,
    /// The member.
    pub member: MemberName,
    /// The epoch of its run.
    pub epoch: u64,
    /// What it commits.
    pub commit: Commit,
    /// Whether it takes part in the hand-over: then it lets go of every partition it is to let go of, except those where
    /// what was returned of it (up to the position here, read under the epoch there) is not committed, and takes every
    /// free one that it is to hold. `None` where that is not known.
    pub hand_over: Option<Vec<Position>>,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stepped {
    /// All partitions that the member holds now, in order.
    pub held: Vec<GroupPartition>,
    /// The partitions that the commit named, as they now stand, in its order.
    pub committed: Vec<GroupPartition>,
    /// Whom the partitions wait for that it let go of.
    pub freed_for: Vec<MemberName>,
    /// The member's lease, in milliseconds.
    pub lease_ms: u64,
    /// Its lease had run out and was taken up again.
    pub was_lapsed: bool,
    /// The version of the group.
    pub version: u64,
}

/// Why a step was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepRefused {
    /// There is no such group.
    UnknownGroup,
    /// The group has no such member.
    UnknownMember,
    /// The member is in another run.
    StaleEpoch {
        /// The epoch of that run.
        current: u64,
        /// The partitions that the commit named, as they stand.
        partitions: Vec<GroupPartition>,
    },
    /// The run was ended because its lease ran out, or it does not hold these partitions (any more).
    LeaseLost {
        /// The partitions concerned (all that the commit named if the run was ended), as they stand.
        partitions: Vec<GroupPartition>,
    },
    /// Offsets by name would go back.
    OffsetRegression {
        /// The partitions concerned, as they stand.
        partitions: Vec<GroupPartition>,
    },
}

/// Where a group is to go on in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// The partition.
    pub partition: PartitionId,
    /// The next record to read.
    pub next_offset: u64,
}

/// What came of a call that members may stand in the way of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forced {
    /// It is done. Whom to wake: members that held, or are to hold, a partition concerned.
    Done(Vec<MemberName>),
    /// A member holds these (for a whole group: or is active without holding any). Nothing changed.
    Active(Vec<GroupPartition>),
    /// There is no such group.
    Unknown,
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSummary {
    /// Its name.
    pub name: GroupName,
    /// How its partitions are shared out.
    pub strategy: Strategy,
    /// Members whose lease runs.
    pub members: u64,
}

/// Groups with a lease that ran out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapses {
    /// The groups, each once.
    pub groups: Vec<GroupName>,
    /// Up to when they were looked for: the next look begins here.
    pub until: Millis,
}

/// Consumer groups.
#[async_trait]
pub trait GroupStore: Send + Sync + 'static {
    /// The group of that name, with all members and partitions as committed at one moment.
    async fn group(&self, name: &GroupName) -> Result<Option<Group>, StoreError>;
    /// The same; made if there is none. Epochs of a group that was deleted are not given again.
    async fn create_group(&self, name: &GroupName) -> Result<Group, StoreError>;
    /// Groups whose names sort after `after`, by name, at most `limit`.
    async fn groups(&self, after: Option<&str>, limit: usize) -> Result<Vec<GroupSummary>, StoreError>;
    /// Changes membership and assignment.
    async fn change_group(&self, change: GroupChange) -> Result<Changed, StoreError>;
    /// Takes steps of any members, in order, in one durable transaction; one outcome each. A refused step leaves its
    /// neighbours as they are. `Err` means that nothing was changed, except
    /// [`StoreError::Indefinite`] and [`StoreError::Unresolved`].
    async fn step(&self, steps: Vec<Step>) -> Result<Vec<Result<Stepped, StepRefused>>, StoreError>;
    /// Sets committed offsets, forward or back; notes beside them go. A partition that a member holds under a lease that
    /// runs stands in the way, unless `force`: then it is taken from its owner, for its assignee to take anew.
    async fn reset_offsets(&self, group: &GroupName, resets: &[Reset], force: bool) -> Result<Forced, StoreError>;
    /// Deletes a group with all it committed. An active member stands in the way, unless `force`.
    async fn delete_group(&self, group: &GroupName, force: bool) -> Result<Forced, StoreError>;
    /// Groups with a running member whose lease, or a partition to be let go of whose lease, ran out at or after
    /// `since` and before now; a bounded number.
    async fn lapses(&self, since: Millis) -> Result<Lapses, StoreError>;
    /// Forgets members whose run was ended before `before`, a bounded number; true if more are left.
    async fn purge_members(&self, before: Millis) -> Result<bool, StoreError>;
}
