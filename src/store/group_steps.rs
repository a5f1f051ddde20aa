//! What a [`Step`] does to the rows it concerns: the rules, the same for every database. No I/O.
//!
//! The caller has read the rows under a lock that keeps them as they are until they are written back.

use crate::model::group::GroupPartition;
use crate::model::name::MemberName;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::store::group_contract::Commit;
use crate::store::group_contract::Position;
use crate::store::group_contract::Step;
use crate::store::group_contract::StepRefused;
use crate::store::group_contract::Stepped;
use crate::store::group_rows::GroupRows;

/// The partitions that a commit names, in its order.
pub(super) fn named(commit: &Commit) -> Vec<PartitionId> {
    match commit {
        Commit::Nothing => Vec::new(),
        Commit::Cursor(positions) => positions.iter().map(|position| position.partition).collect(),
        Commit::Offsets(offsets) => offsets.iter().map(|offset| offset.partition).collect(),
        Commit::Begin(begins) => begins.iter().map(|(partition, _)| *partition).collect(),
    }
}

/// Takes one step of a member of `group`, of which these rows were read: the member, the partitions that it has or is to
/// have, and those that the commit names. A step that is refused changes nothing.
pub(super) fn take(group: &mut GroupRows, now: Millis, step: &Step) -> Result<Stepped, StepRefused> {
    let Some(member) = group.member(&step.member) else { return Err(StepRefused::UnknownMember) };
    let (name, lease_ms, was_lapsed) = (&step.member, member.lease_ms, member.has_lapsed(now));
    if member.epoch != step.epoch {
        let current = member.epoch;
        return Err(StepRefused::StaleEpoch { current, partitions: standing(group, &step.commit) });
    }
    if !member.is_running() {
        return Err(StepRefused::LeaseLost { partitions: standing(group, &step.commit) });
    }
    check(group, name, &step.commit)?;
    commit(group, name, &step.commit);
    renew(group, name, now + lease_ms);
    let freed_for = step.hand_over.as_ref().map(|returned| hand_over(group, name, now + lease_ms, returned));
    Ok(Stepped {
        held: group.held_by(name).cloned().collect(),
        committed: standing(group, &step.commit),
        freed_for: freed_for.unwrap_or_default(),
        lease_ms,
        was_lapsed,
        version: group.version,
    })
}

/// The partitions that a commit names, as they stand.
fn standing(group: &GroupRows, commit: &Commit) -> Vec<GroupPartition> {
    named(commit).into_iter().map(|id| group.standing(id)).collect()
}

/// Whether all of a commit may be done.
fn check(group: &GroupRows, member: &MemberName, commit: &Commit) -> Result<(), StepRefused> {
    let holds = |id| group.partition(id).is_some_and(|row| row.is_held_by(member));
    let committed = |id| group.partition(id).and_then(|row| row.committed);
    let all = |ids: Vec<PartitionId>| ids.into_iter().map(|id| group.standing(id)).collect::<Vec<_>>();
    let lost: Vec<PartitionId> = match commit {
        Commit::Nothing | Commit::Begin(_) => Vec::new(),
        Commit::Cursor(positions) => {
            let is_lost =
                |at: &&Position| !holds_under(group, member, at) && committed(at.partition) < Some(at.next_offset);
            positions.iter().filter(is_lost).map(|at| at.partition).collect()
        }
        Commit::Offsets(offsets) => offsets.iter().map(|at| at.partition).filter(|id| !holds(*id)).collect(),
    };
    if !lost.is_empty() {
        return Err(StepRefused::LeaseLost { partitions: all(lost) });
    }
    let Commit::Offsets(offsets) = commit else { return Ok(()) };
    let back = offsets.iter().filter(|at| Some(at.next_offset) < committed(at.partition));
    let back: Vec<PartitionId> = back.map(|at| at.partition).collect();
    if back.is_empty() { Ok(()) } else { Err(StepRefused::OffsetRegression { partitions: all(back) }) }
}

/// Whether the member holds the partition under the epoch of the position.
fn holds_under(group: &GroupRows, member: &MemberName, at: &Position) -> bool {
    group.partition(at.partition).is_some_and(|row| row.is_held_by(member) && row.epoch == at.epoch)
}

/// Does a commit that was checked.
fn commit(group: &mut GroupRows, member: &MemberName, commit: &Commit) {
    match commit {
        Commit::Nothing => {}
        Commit::Cursor(positions) => {
            for at in positions {
                let moves = group.partition(at.partition).is_some_and(|row| row.committed < Some(at.next_offset));
                if moves && holds_under(group, member, at) {
                    let row = group.partition_mut(at.partition);
                    (row.committed, row.metadata) = (Some(at.next_offset), None);
                }
            }
        }
        Commit::Offsets(offsets) => {
            for at in offsets {
                let row = group.partition_mut(at.partition);
                // One that is named twice does not go back either.
                row.committed = row.committed.max(Some(at.next_offset));
                row.metadata.clone_from(&at.metadata);
            }
        }
        Commit::Begin(begins) => {
            for (id, next_offset) in begins {
                if group.partition(*id).is_some_and(|row| row.is_held_by(member) && row.committed.is_none()) {
                    group.partition_mut(*id).committed = Some(*next_offset);
                }
            }
        }
    }
}

/// Has the lease of a member and those on the partitions that it holds and is to keep run until `lease_end`.
pub(super) fn renew(group: &mut GroupRows, member: &MemberName, lease_end: Millis) {
    if let Some(row) = group.member_mut(member) {
        row.lease_end = Some(lease_end);
    }
    let kept: Vec<PartitionId> = group.held_by(member).filter(|row| !row.is_leaving()).map(|row| row.id).collect();
    for id in kept {
        group.partition_mut(id).lease_end = lease_end;
    }
}

/// Lets go of what the member is to let go of and of which all that was `returned` is committed, takes what is free and
/// to be its own. Returns whom that waits for which it let go of.
fn hand_over(group: &mut GroupRows, member: &MemberName, lease_end: Millis, returned: &[Position]) -> Vec<MemberName> {
    let is_done = |row: &GroupPartition| {
        let mut open = returned.iter().filter(|at| at.partition == row.id && at.epoch == row.epoch);
        open.all(|at| row.committed >= Some(at.next_offset))
    };
    let leaving = group.held_by(member).filter(|row| row.is_leaving() && is_done(row));
    let leaving: Vec<PartitionId> = leaving.map(|row| row.id).collect();
    let mut freed_for = Vec::new();
    for id in leaving {
        free(group, id);
        freed_for.extend(group.partition(id).and_then(|row| row.assignee.clone()));
    }
    freed_for.sort_unstable();
    freed_for.dedup();
    let to_take: Vec<PartitionId> =
        group.concerning(member).filter(|row| row.owner.is_none()).map(|row| row.id).collect();
    for id in to_take {
        let row = group.partition_mut(id);
        row.owner = Some(member.clone());
        row.epoch += 1;
        row.lease_end = lease_end;
    }
    freed_for
}

/// Leaves a partition to whoever is to hold it.
pub(super) fn free(group: &mut GroupRows, id: PartitionId) {
    let row = group.partition_mut(id);
    (row.owner, row.lease_end) = (None, 0);
}

#[cfg(test)]
mod tests;
