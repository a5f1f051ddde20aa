//! A group in memory: changes and steps are done to it as the contract of the store says.

use std::collections::BTreeSet;

use crate::groups::plan::Event;
use crate::groups::plan::Plan;
use crate::groups::plan::PlanError;
use crate::groups::plan::plan;
use crate::model::group::Group;
use crate::model::group::GroupId;
use crate::model::group::GroupPartition;
use crate::model::group::Member;
use crate::model::group::Strategy as Sharing;
use crate::model::group::Subscription;
use crate::model::name::MemberName;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;
use crate::model::topic::TopicId;
use crate::store::group_contract::GroupChange;

/// The lease of every member here, in milliseconds.
pub(super) const LEASE_MS: u64 = 1_000;

pub(super) struct World {
    pub(super) group: Group,
    pub(super) topics: Vec<Topic>,
    /// Every epoch that a run ever had.
    epochs: BTreeSet<u64>,
}

pub(super) fn name(text: &str) -> MemberName {
    text.parse().expect("a name")
}

pub(super) fn join(member: &str, subscription: Subscription) -> Event {
    Event::Join { member: name(member), subscription, lease_ms: LEASE_MS, strategy: None }
}

pub(super) fn resubscribe(member: &str, subscription: Option<Subscription>) -> Event {
    Event::Resubscribe { member: name(member), subscription, lease_ms: None, strategy: None }
}

pub(super) fn leave(member: &str) -> Event {
    Event::Leave { member: name(member) }
}

/// All topics.
pub(super) fn everything() -> Subscription {
    Subscription::Prefix(String::new())
}

pub(super) fn topics(names: &[&str]) -> Subscription {
    Subscription::Topics(names.iter().map(|name| name.parse().expect("a name")).collect())
}

impl World {
    /// A new group, and topics of these names and partition counts.
    pub(super) fn new(topics: &[(&str, u32)]) -> Self {
        let group = Group {
            id: GroupId(7),
            name: "g".parse().expect("a name"),
            version: 1,
            last_epoch: 40,
            strategy: Sharing::Sticky,
            members: Vec::new(),
            partitions: Vec::new(),
            now: 1_000_000,
        };
        let mut world = Self { group, topics: Vec::new(), epochs: BTreeSet::new() };
        for (name, partition_count) in topics {
            world.create_topic(name, *partition_count);
        }
        world
    }

    /// A topic of a row that no topic had before.
    pub(super) fn create_topic(&mut self, name: &str, partition_count: u32) {
        let row = self.group.partitions.last().map_or(0, |row| row.id.topic.0);
        let row = self.topics.iter().map(|topic| topic.id.0).max().unwrap_or(0).max(row) + 1;
        self.topics.push(Topic {
            id: TopicId(row),
            incarnation: row.unsigned_abs(),
            name: name.parse().expect("a name"),
            config: TopicConfig { partition_count, retention: Retention::default() },
            former_partition_counts: Vec::new(),
            created_at: 0,
        });
    }

    /// Plans, and writes what was planned.
    pub(super) fn handle(&mut self, event: Event) -> Result<Plan, PlanError> {
        let plan = plan(&self.group, event, &self.topics)?;
        if let Some(change) = &plan.change {
            self.apply(change);
        }
        Ok(plan)
    }

    /// What `GroupStore::change_group` does.
    fn apply(&mut self, change: &GroupChange) {
        assert_eq!((change.group, change.version), (self.group.id, self.group.version));
        self.group.version += 1;
        self.group.strategy = change.strategy;
        for run in &change.runs {
            let former = self.group.member(&run.name).map(|member| member.epoch);
            if former != Some(run.epoch) {
                assert!(run.epoch > self.group.last_epoch && self.epochs.insert(run.epoch), "a new epoch is new");
                self.free(&run.name);
            }
            self.group.last_epoch = self.group.last_epoch.max(run.epoch);
            self.group.members.retain(|member| member.name != run.name);
            self.group.members.push(Member {
                name: run.name.clone(),
                epoch: run.epoch,
                subscription: run.subscription.clone(),
                lease_ms: run.lease_ms,
                lease_end: Some(self.group.now + run.lease_ms),
            });
        }
        for left in &change.left {
            self.group.members.retain(|member| member.name != *left);
            self.free(left);
        }
        for (lapsed, epoch) in &change.lapsed {
            let member = self.group.members.iter_mut().find(|member| member.name == *lapsed && member.epoch == *epoch);
            member.expect("only what runs is ended").lease_end = None;
            self.free(lapsed);
        }
        for id in &change.overdue {
            let now = self.group.now;
            let row = self.group.partitions.iter_mut().find(|row| row.id == *id).expect("only what is held is freed");
            assert!(row.is_leaving() && row.assignee.is_some() && row.lease_end < now, "{row:?}");
            (row.owner, row.lease_end) = (None, 0);
        }
        self.group.members.sort_by(|a, b| a.name.cmp(&b.name));
        for (id, assignee) in &change.assigned {
            let row = match self.group.partitions.binary_search_by_key(id, |row| row.id) {
                Ok(place) => &mut self.group.partitions[place],
                Err(place) => {
                    self.group.partitions.insert(place, GroupPartition::new(*id));
                    &mut self.group.partitions[place]
                }
            };
            assert_ne!(row.assignee, *assignee, "only what changes is written");
            row.assignee.clone_from(assignee);
        }
    }

    fn free(&mut self, name: &MemberName) {
        for row in self.group.partitions.iter_mut().filter(|row| row.is_held_by(name)) {
            row.owner = None;
        }
    }

    /// What `GroupStore::step` does, all being committed. False if it is refused.
    pub(super) fn step(&mut self, name: &MemberName, hands_over: bool) -> bool {
        let now = self.group.now;
        let members = &mut self.group.members;
        let Some(member) = members.iter_mut().find(|member| member.name == *name && member.is_running()) else {
            return false;
        };
        member.lease_end = Some(now + member.lease_ms);
        let lease_end = now + member.lease_ms;
        for row in &mut self.group.partitions {
            if hands_over && row.is_leaving() && row.is_held_by(name) {
                row.owner = None;
            }
            if hands_over && row.owner.is_none() && row.assignee.as_ref() == Some(name) {
                row.owner = Some(name.clone());
                row.epoch += 1;
            }
            if row.is_held_by(name) && !row.is_leaving() {
                row.lease_end = lease_end;
            }
        }
        true
    }

    /// Members whose run goes on.
    pub(super) fn running(&self) -> impl Iterator<Item = &Member> {
        self.group.members.iter().filter(|member| member.is_running())
    }

    pub(super) fn row(&self, topic: usize, partition: u32) -> &GroupPartition {
        let id = self.topics[topic].partition(partition);
        self.group.partitions.iter().find(|row| row.id == id).expect("a row that was assigned once")
    }

    /// All partitions of all topics, with the topic.
    pub(super) fn living(&self) -> impl Iterator<Item = (&Topic, PartitionId)> {
        let partitions = |topic: &'_ Topic| (0..topic.config.partition_count).map(|i| topic.partition(i)).collect();
        self.topics.iter().flat_map(move |topic| {
            let partitions: Vec<PartitionId> = partitions(topic);
            partitions.into_iter().map(move |id| (topic, id))
        })
    }
}
