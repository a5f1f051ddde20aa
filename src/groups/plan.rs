//! What an event makes of a group: from the group as loaded to the [`GroupChange`] to write, and whom to wake then.
//!
//! Pure: the only clock is [`Group::now`]. The caller loads the group, looks up the topics, plans, writes with
//! compare-and-set, and begins anew on a conflict.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::groups::assignor;
use crate::groups::assignor::Assignment;
use crate::groups::assignor::Subscriber;
use crate::model::group::GROUP_PARTITIONS_MAX;
use crate::model::group::Group;
use crate::model::group::GroupPartition;
use crate::model::group::MEMBERS_MAX;
use crate::model::group::Member;
use crate::model::group::Strategy;
use crate::model::group::Subscription;
use crate::model::name::MemberName;
use crate::model::topic::PartitionId;
use crate::model::topic::Topic;
use crate::store::group_contract::GroupChange;
use crate::store::group_contract::MemberRun;

/// What happened to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A run begins, and takes the place of a former one of that name.
    Join {
        /// Who.
        member: MemberName,
        /// What it reads.
        subscription: Subscription,
        /// How long it may be silent, in milliseconds.
        lease_ms: u64,
        /// How partitions are to be shared out from now on; `None` leaves it as it is.
        strategy: Option<Strategy>,
    },
    /// A run goes on in another way, or in no other. What is `None` stays as it is.
    Resubscribe {
        /// Who; that the caller means the run at hand and no other of that name, it sees to itself.
        member: MemberName,
        /// What it reads.
        subscription: Option<Subscription>,
        /// How long it may be silent, in milliseconds.
        lease_ms: Option<u64>,
        /// How partitions are to be shared out from now on.
        strategy: Option<Strategy>,
    },
    /// A member goes. One that the group does not have may go as well.
    Leave {
        /// Who.
        member: MemberName,
    },
    /// Perhaps something: a topic was made, grew or was deleted, or a lease ran out.
    Look,
}

impl Event {
    /// What it says of what is read.
    pub fn subscription(&self) -> Option<&Subscription> {
        match self {
            Self::Join { subscription, .. } => Some(subscription),
            Self::Resubscribe { subscription, .. } => subscription.as_ref(),
            Self::Leave { .. } | Self::Look => None,
        }
    }
}

/// What to do about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What to write; `None` if all is as it should be.
    pub change: Option<GroupChange>,
    /// Whom to wake once it is written, by name: those who have another assignment, those whose partitions move or came
    /// free, and those whose run ends. Whoever joins is awake.
    pub wake: Vec<MemberName>,
    /// The epoch of the run that joins or goes on; 0, which no run ever has, where the event is about none.
    pub epoch: u64,
}

/// Why a run cannot begin or go on so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The group is full.
    #[error("a group has at most {MEMBERS_MAX} members")]
    TooManyMembers,
    /// What the members read has too many partitions.
    #[error("a group reads at most {GROUP_PARTITIONS_MAX} partitions")]
    TooManyPartitions,
    /// The member that is to go on has no run: it left, or its run was ended.
    #[error("the member has no run to go on with")]
    NotRunning,
}

/// Plans for `event`. `topics` are all living topics that a running member, or the subscription in the event, covers;
/// more do no harm.
///
/// A member is ended if its lease ran out; but the last one is not, so that it may take its lease up again, nor is the one
/// that the event is about. A partition is taken from a member that goes on if the lease on it ran out while somebody
/// waited for it. The bounds are for those who join or
/// change what they read; nobody else is stopped by them, for a dead member has to be replaced even so.
pub fn plan(group: &Group, event: Event, topics: &[Topic]) -> Result<Plan, PlanError> {
    let draft = Draft::new(group, event)?;
    let lapsed = draft.lapsed();
    let subscribers = draft.subscribers(&lapsed);
    let restricts = !draft.runs.is_empty();
    if restricts && subscribers.len() > MEMBERS_MAX {
        return Err(PlanError::TooManyMembers);
    }

    let current = settled(group, &subscribers);
    let target = assignor::assign(draft.strategy, &subscribers, topics, &current);
    if restricts && target.len() > GROUP_PARTITIONS_MAX {
        return Err(PlanError::TooManyPartitions);
    }
    let lines = lines(&group.partitions, &target);
    let overdue = draft.overdue(&lapsed, &target);
    let wake = draft.wake(&lapsed, &overdue, &target, &lines);

    let is_idle = draft.strategy == group.strategy
        && draft.runs.is_empty()
        && draft.left.is_empty()
        && lapsed.is_empty()
        && overdue.is_empty()
        && lines.is_empty();
    let change = GroupChange {
        group: group.id,
        version: group.version,
        strategy: draft.strategy,
        lapsed: lapsed.iter().map(|member| (member.name.clone(), member.epoch)).collect(),
        overdue: overdue.iter().map(|row| row.id).collect(),
        assigned: lines.into_iter().map(|line| (line.id, line.to.cloned())).collect(),
        runs: draft.runs,
        left: draft.left,
    };
    Ok(Plan { change: (!is_idle).then_some(change), wake, epoch: draft.epoch })
}

/// An event, held against the group.
struct Draft<'a> {
    group: &'a Group,
    strategy: Strategy,
    /// The run that joins or goes on: it is alive, whatever its lease says.
    actor: Option<MemberName>,
    epoch: u64,
    runs: Vec<MemberRun>,
    left: Vec<MemberName>,
    /// The run that a new one replaces.
    replaced: Option<&'a Member>,
}

impl<'a> Draft<'a> {
    fn new(group: &'a Group, event: Event) -> Result<Self, PlanError> {
        let strategy = group.strategy;
        let mut draft =
            Self { group, strategy, actor: None, epoch: 0, runs: Vec::new(), left: Vec::new(), replaced: None };
        match event {
            Event::Join { member, subscription, lease_ms, strategy } => {
                draft.strategy = strategy.unwrap_or(draft.strategy);
                draft.epoch = group.last_epoch + 1;
                draft.replaced = group.member(&member).filter(|former| former.is_running());
                draft.runs.push(MemberRun { name: member.clone(), epoch: draft.epoch, subscription, lease_ms });
                draft.actor = Some(member);
            }
            Event::Resubscribe { member, subscription, lease_ms, strategy } => {
                let run = group.member(&member).filter(|member| member.is_running()).ok_or(PlanError::NotRunning)?;
                draft.strategy = strategy.unwrap_or(draft.strategy);
                draft.epoch = run.epoch;
                let subscription = subscription.unwrap_or_else(|| run.subscription.clone());
                let lease_ms = lease_ms.unwrap_or(run.lease_ms);
                if subscription != run.subscription || lease_ms != run.lease_ms {
                    draft.runs.push(MemberRun { name: member.clone(), epoch: run.epoch, subscription, lease_ms });
                }
                draft.actor = Some(member);
            }
            Event::Leave { member } => draft.left.extend(group.member(&member).map(|member| member.name.clone())),
            Event::Look => {}
        }
        Ok(draft)
    }

    /// Members whose run is to be ended, by name. Somebody is always left.
    fn lapsed(&self) -> Vec<&'a Member> {
        let (group, now) = (self.group, self.group.now);
        let others = group.members.iter().filter(|member| {
            member.is_running() && self.actor.as_ref() != Some(&member.name) && !self.left.contains(&member.name)
        });
        let (mut lapsed, alive): (Vec<_>, Vec<_>) = others.partition(|member| member.has_lapsed(now));
        if alive.is_empty() && self.actor.is_none() {
            return Vec::new();
        }
        lapsed.sort_unstable_by_key(|member| &member.name);
        lapsed
    }

    /// Who reads what after the event.
    fn subscribers<'s>(&'s self, lapsed: &[&Member]) -> Vec<Subscriber<'s>> {
        let ended: BTreeSet<&MemberName> = lapsed
            .iter()
            .map(|member| &member.name)
            .chain(&self.left)
            .chain(self.runs.iter().map(|r| &r.name))
            .collect();
        let stay = self.group.members.iter().filter(|member| member.is_running() && !ended.contains(&member.name));
        let stay = stay.map(|member| Subscriber { name: &member.name, subscription: &member.subscription });
        let run = self.runs.iter().map(|run| Subscriber { name: &run.name, subscription: &run.subscription });
        stay.chain(run).collect()
    }

    /// The partitions that are taken from members that go on.
    fn overdue(&self, lapsed: &[&Member], target: &Assignment<'_>) -> Vec<&'a GroupPartition> {
        let goes_on = |owner: &MemberName| {
            self.replaced.is_none_or(|former| former.name != *owner)
                && !self.left.contains(owner)
                && !lapsed.iter().any(|member| member.name == *owner)
        };
        // Where nobody waits for it, its owner may take its time.
        let awaited = self.group.partitions.iter().filter(|row| row.is_leaving() && row.assignee.is_some());
        let over = awaited.filter(|row| row.lease_end < self.group.now);
        let stays = |row: &&GroupPartition| target.get(&row.id).copied() == row.owner.as_ref();
        over.filter(|row| row.owner.as_ref().is_some_and(goes_on) && !stays(row)).collect()
    }

    fn wake(
        &self,
        lapsed: &[&Member],
        overdue: &[&GroupPartition],
        target: &Assignment<'_>,
        lines: &[Line<'_>],
    ) -> Vec<MemberName> {
        let mut ended: BTreeSet<&MemberName> = lapsed.iter().map(|member| &member.name).chain(&self.left).collect();
        ended.extend(self.replaced.map(|former| &former.name));
        let mut wake: BTreeSet<&MemberName> =
            lines.iter().flat_map(|line| [line.from, line.to, line.owner]).flatten().collect();
        let freed = self.group.partitions.iter().filter(|row| row.owner.as_ref().is_some_and(|o| ended.contains(o)));
        wake.extend(freed.filter_map(|row| target.get(&row.id).copied()));
        wake.extend(overdue.iter().flat_map(|row| [row.owner.as_ref(), target.get(&row.id).copied()]).flatten());
        wake.extend(&ended);
        let is_new = self.epoch > self.group.last_epoch && self.replaced.is_none();
        if let Some(joined) = self.actor.as_ref().filter(|_| is_new) {
            wake.remove(joined);
        }
        wake.into_iter().cloned().collect()
    }
}

/// Who has what so far, as far as it can stay so. What its assignee cannot have stays with its owner: it need not move.
fn settled<'a>(group: &'a Group, subscribers: &[Subscriber<'_>]) -> Assignment<'a> {
    let alive: BTreeSet<&MemberName> = subscribers.iter().map(|subscriber| subscriber.name).collect();
    let rows = group.partitions.iter();
    rows.filter_map(|row| {
        let keeper = [row.assignee.as_ref(), row.owner.as_ref()].into_iter().flatten();
        keeper.filter(|name| alive.contains(name)).map(|name| (row.id, name)).next()
    })
    .collect()
}

/// One partition that somebody else is to hold than before.
struct Line<'a> {
    id: PartitionId,
    from: Option<&'a MemberName>,
    to: Option<&'a MemberName>,
    owner: Option<&'a MemberName>,
}

/// What differs between the rows of a group and `target`, in order.
fn lines<'a>(rows: &'a [GroupPartition], target: &Assignment<'a>) -> Vec<Line<'a>> {
    let known = rows.iter().map(|row| (row.id, (row.assignee.as_ref(), row.owner.as_ref())));
    let mut known: BTreeMap<PartitionId, _> = known.collect();
    let mut lines: Vec<Line<'a>> = Vec::new();
    for (id, to) in target {
        let (from, owner) = known.remove(id).unwrap_or_default();
        lines.push(Line { id: *id, from, to: Some(*to), owner });
    }
    lines.extend(known.into_iter().map(|(id, (from, owner))| Line { id, from, to: None, owner }));
    lines.retain(|line| line.from != line.to);
    lines.sort_unstable_by_key(|line| line.id);
    lines
}

#[cfg(test)]
mod tests;
