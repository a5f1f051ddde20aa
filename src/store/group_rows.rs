//! The rows of one group that a call concerns, in memory, with a mark on each that it changed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::model::group::GroupId;
use crate::model::group::GroupPartition;
use crate::model::group::Member;
use crate::model::group::Strategy;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::topic::PartitionId;

/// A row, and whether it is other than in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept<T> {
    row: T,
    changed: bool,
}

/// A group, and of its members and partitions those that a call concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupRows {
    pub(super) id: GroupId,
    pub(super) name: GroupName,
    pub(super) version: u64,
    pub(super) last_epoch: u64,
    pub(super) strategy: Strategy,
    members: BTreeMap<MemberName, Kept<Member>>,
    partitions: BTreeMap<PartitionId, Kept<GroupPartition>>,
    /// What each member had or was to have when it was read. A step gives a member only what was assigned to it, so
    /// this stays enough.
    concerned: HashMap<MemberName, BTreeSet<PartitionId>>,
}

impl GroupRows {
    /// A group of which nothing is read yet but its own row.
    pub(super) fn new(id: GroupId, name: GroupName, version: u64, last_epoch: u64, strategy: Strategy) -> Self {
        let (members, partitions, concerned) = Default::default();
        Self { id, name, version, last_epoch, strategy, members, partitions, concerned }
    }

    /// Takes in a member as the database has it.
    pub(super) fn add_member(&mut self, row: Member) {
        self.members.insert(row.name.clone(), Kept { row, changed: false });
    }

    /// Takes in a partition as the database has it.
    pub(super) fn add_partition(&mut self, row: GroupPartition) {
        for member in row.owner.iter().chain(&row.assignee) {
            self.concerned.entry(member.clone()).or_default().insert(row.id);
        }
        self.partitions.insert(row.id, Kept { row, changed: false });
    }

    pub(super) fn member(&self, name: &MemberName) -> Option<&Member> {
        self.members.get(name).map(|kept| &kept.row)
    }

    /// A member that is there, to be changed.
    pub(super) fn member_mut(&mut self, name: &MemberName) -> Option<&mut Member> {
        let kept = self.members.get_mut(name)?;
        kept.changed = true;
        Some(&mut kept.row)
    }

    /// A member in a new row, or in place of the old one.
    pub(super) fn put_member(&mut self, row: Member) {
        self.members.insert(row.name.clone(), Kept { row, changed: true });
    }

    pub(super) fn remove_member(&mut self, name: &MemberName) {
        self.members.remove(name);
    }

    pub(super) fn partition(&self, id: PartitionId) -> Option<&GroupPartition> {
        self.partitions.get(&id).map(|kept| &kept.row)
    }

    /// A copy of a partition, whether or not it has a row.
    pub(super) fn standing(&self, id: PartitionId) -> GroupPartition {
        self.partition(id).cloned().unwrap_or_else(|| GroupPartition::new(id))
    }

    /// A partition to be changed; made if it has no row.
    pub(super) fn partition_mut(&mut self, id: PartitionId) -> &mut GroupPartition {
        let fresh = || Kept { row: GroupPartition::new(id), changed: true };
        let kept = self.partitions.entry(id).or_insert_with(fresh);
        kept.changed = true;
        &mut kept.row
    }

    /// The partitions that a member has or is to have, in order.
    pub(super) fn concerning(&self, member: &MemberName) -> impl Iterator<Item = &GroupPartition> {
        let is_its = |row: &&GroupPartition| row.is_held_by(member) || row.assignee.as_ref() == Some(member);
        self.concerned.get(member).into_iter().flatten().filter_map(|id| self.partition(*id)).filter(is_its)
    }

    /// The partitions that a member holds, in order.
    pub(super) fn held_by(&self, member: &MemberName) -> impl Iterator<Item = &GroupPartition> {
        self.concerning(member).filter(|row| row.is_held_by(member))
    }

    /// The members to be written.
    pub(super) fn changed_members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|kept| kept.changed).map(|kept| &kept.row)
    }

    /// The partitions to be written.
    pub(super) fn changed_partitions(&self) -> impl Iterator<Item = &GroupPartition> {
        self.partitions.values().filter(|kept| kept.changed).map(|kept| &kept.row)
    }
}
