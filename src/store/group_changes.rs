//! What a [`GroupChange`] and a reset do to the rows they concern: the rules, the same for every database. No I/O.

use std::collections::BTreeSet;

use crate::model::group::GroupPartition;
use crate::model::group::Member;
use crate::model::name::MemberName;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::store::group_contract::Changed;
use crate::store::group_contract::Forced;
use crate::store::group_contract::GroupChange;
use crate::store::group_contract::Reset;
use crate::store::group_rows::GroupRows;
use crate::store::group_steps::free;
use crate::store::group_steps::renew;

/// The members whose rows a change concerns, and all that they hold.
pub(super) fn members(change: &GroupChange) -> impl Iterator<Item = &MemberName> {
    let lapsed = change.lapsed.iter().map(|(name, _)| name);
    change.runs.iter().map(|run| &run.name).chain(&change.left).chain(lapsed)
}

/// The partitions whose rows a change concerns, beside those of its members.
pub(super) fn partitions(change: &GroupChange) -> impl Iterator<Item = PartitionId> {
    change.assigned.iter().map(|(id, _)| *id).chain(change.overdue.iter().copied())
}

/// The members who hold what a change gives to others: their leases count for it.
pub(super) fn owners(group: &GroupRows, change: &GroupChange) -> Vec<MemberName> {
    let moved = change.assigned.iter().filter_map(|(id, _)| group.partition(*id));
    let owners: BTreeSet<MemberName> = moved.filter_map(|row| row.owner.clone()).collect();
    owners.into_iter().filter(|owner| group.member(owner).is_none()).collect()
}

/// Changes membership and assignment. Those who left are to be deleted by the caller, before it writes the rest.
pub(super) fn change(group: &mut GroupRows, now: Millis, change: &GroupChange) -> Changed {
    let may_end = |(name, epoch): &(MemberName, u64)| {
        let runs = group.member(name).filter(|member| member.epoch == *epoch && member.is_running());
        runs.is_some_and(|member| member.has_lapsed(now))
    };
    let is_overdue = |id: &PartitionId| {
        let row = group.partition(*id).filter(|row| row.is_leaving() && row.assignee.is_some());
        row.is_some_and(|row| row.lease_end < now)
    };
    if group.version != change.version || !change.lapsed.iter().all(may_end) || !change.overdue.iter().all(is_overdue) {
        return Changed::Conflict;
    }
    change.overdue.iter().for_each(|id| free(group, *id));
    for (name, _) in &change.lapsed {
        free_all(group, name);
        if let Some(member) = group.member_mut(name) {
            member.lease_end = None;
        }
    }
    for name in &change.left {
        free_all(group, name);
        group.remove_member(name);
    }
    for run in &change.runs {
        if group.member(&run.name).is_some_and(|member| member.epoch != run.epoch) {
            free_all(group, &run.name);
        }
        group.put_member(Member {
            name: run.name.clone(),
            epoch: run.epoch,
            subscription: run.subscription.clone(),
            lease_ms: run.lease_ms,
            lease_end: None,
        });
        renew(group, &run.name, now + run.lease_ms);
        group.last_epoch = group.last_epoch.max(run.epoch);
    }
    for (id, assignee) in &change.assigned {
        group.partition_mut(*id).assignee.clone_from(assignee);
        // One that was to move before, and came back, was not renewed since: its owner may not have called meanwhile.
        let owner = group.partition(*id).filter(|row| row.is_leaving()).and_then(|row| row.owner.clone());
        let lease_end = owner.and_then(|owner| group.member(&owner)?.lease_end);
        if let Some(lease_end) = lease_end {
            let row = group.partition_mut(*id);
            row.lease_end = row.lease_end.max(lease_end);
        }
    }
    group.version += 1;
    group.strategy = change.strategy;
    Changed::Done
}

fn free_all(group: &mut GroupRows, member: &MemberName) {
    let held: Vec<PartitionId> = group.held_by(member).map(|row| row.id).collect();
    held.into_iter().for_each(|id| free(group, id));
}

/// Sets committed offsets. Whoever held a partition concerned, be its lease over or not, holds it no more: it would
/// commit over what was set.
pub(super) fn reset(group: &mut GroupRows, now: Millis, resets: &[Reset], force: bool) -> Forced {
    let rows = || resets.iter().filter_map(|reset| group.partition(reset.partition));
    let in_the_way: Vec<GroupPartition> =
        rows().filter(|row| row.owner.is_some() && row.lease_end >= now).cloned().collect();
    if !force && !in_the_way.is_empty() {
        return Forced::Active(in_the_way);
    }
    let concerned: BTreeSet<MemberName> =
        rows().flat_map(|row| row.owner.iter().chain(&row.assignee)).cloned().collect();
    for reset in resets {
        free(group, reset.partition);
        let row = group.partition_mut(reset.partition);
        (row.committed, row.metadata) = (Some(reset.next_offset), None);
    }
    Forced::Done(concerned.into_iter().collect())
}
