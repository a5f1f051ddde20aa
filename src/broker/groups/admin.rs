//! What an administrator does to a group: set its offsets, delete it.

use crate::broker::error::Error;
use crate::broker::handle::Broker;
use crate::model::group::Group;
use crate::model::group::GroupPartition;
use crate::model::name::GroupName;
use crate::model::name::TopicName;
use crate::model::position::Position;
use crate::model::topic::PartitionId;
use crate::store::group_contract::Forced;
use crate::store::group_contract::Reset;
use crate::tasks;

/// Where a group is to go on.
#[derive(Debug, Clone, Copy)]
pub enum ResetTo {
    /// At this position of each partition.
    Position(Position),
    /// At this offset.
    Offset(u64),
}

/// What a reset asks for.
#[derive(Debug, Clone)]
pub struct OffsetReset {
    /// The topic.
    pub topic: TopicName,
    /// Only this partition.
    pub partition: Option<u32>,
    /// Where to go on.
    pub to: ResetTo,
    /// Only say what would come of it.
    pub dry_run: bool,
    /// Take partitions from the members that hold them.
    pub force: bool,
}

/// An offset that was, or would be, set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetOffset {
    /// The partition.
    pub partition: u32,
    /// What was committed before, if anything was.
    pub from_offset: Option<u64>,
    /// What is committed now.
    pub next_offset: u64,
}

impl Broker {
    /// Sets committed offsets of one topic, forward or back. The group is made if there is none.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`], [`Error::OffsetOutOfRange`], [`Error::OffsetExpired`];
    /// [`Error::GroupActive`] while a member holds a partition concerned, unless forced.
    pub async fn reset_offsets(&self, name: &GroupName, reset: OffsetReset) -> Result<Vec<ResetOffset>, Error> {
        let OffsetReset { topic, partition, to, dry_run, force } = reset;
        let resets = self.resets(&topic, partition, to).await?;
        let store = self.store();
        let wanted = name.clone();
        let group = tasks::run(async move {
            match store.group(&wanted).await {
                Ok(None) if !dry_run => store.create_group(&wanted).await.map(Some),
                found => found,
            }
        });
        let group = group.await?;
        let row = |id: PartitionId| group.as_ref()?.partitions.iter().find(|row| row.id == id);
        let changes: Vec<ResetOffset> = resets
            .iter()
            .map(|reset| ResetOffset {
                partition: reset.partition.partition,
                from_offset: row(reset.partition).and_then(|row| row.committed),
                next_offset: reset.next_offset,
            })
            .collect();
        if dry_run {
            let held = |reset: &Reset| row(reset.partition).filter(|row| is_held(group.as_ref(), row)).cloned();
            let held: Vec<GroupPartition> = resets.iter().filter_map(held).collect();
            return if held.is_empty() || force { Ok(changes) } else { Err(self.active(name, held).await) };
        }
        let (store, group) = (self.store(), name.clone());
        match tasks::run(async move { store.reset_offsets(&group, &resets, force).await }).await? {
            Forced::Done(wake) => {
                tracing::info!(group = %name, topic = %topic, force, "reset the offsets of group `{name}` in `{topic}`");
                self.groups().wake(name, &wake);
                Ok(changes)
            }
            Forced::Active(held) => Err(self.active(name, held).await),
            Forced::Unknown => Err(Error::UnknownGroup(name.clone())),
        }
    }

    async fn resets(&self, name: &TopicName, partition: Option<u32>, to: ResetTo) -> Result<Vec<Reset>, Error> {
        let topic = self.topic(name).await?;
        let numbers = match partition {
            Some(number) => number..number + 1,
            None => 0..topic.config.partition_count,
        };
        let mut resets = Vec::with_capacity(numbers.len());
        let (mut beyond, mut expired) = (Vec::new(), Vec::new());
        for number in numbers {
            let partition = self.fresh_partition(&topic, number).await?;
            let next_offset = match to {
                ResetTo::Position(position) => self.resolve(name, &partition, position).await?,
                ResetTo::Offset(offset) => offset,
            };
            if next_offset > partition.high_watermark() {
                beyond.push(Self::unreadable(name, &partition, next_offset));
            } else if next_offset < partition.log_start_offset() {
                expired.push(Self::unreadable(name, &partition, next_offset));
            }
            resets.push(Reset { partition: partition.id, next_offset });
        }
        match (beyond.is_empty(), expired.is_empty()) {
            (false, _) => Err(Error::OffsetOutOfRange(beyond)),
            (true, false) => Err(Error::OffsetExpired { partitions: expired, cursor: None }),
            (true, true) => Ok(resets),
        }
    }

    /// Deletes a group with all it committed.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`]; [`Error::GroupActive`] while it has an active member, unless forced.
    pub async fn delete_group(&self, name: &GroupName, force: bool) -> Result<(), Error> {
        let (store, group) = (self.store(), name.clone());
        match tasks::run(async move { store.delete_group(&group, force).await }).await? {
            Forced::Done(wake) => {
                tracing::info!(group = %name, force, "deleted group `{name}`");
                self.slots().forget(name);
                self.groups().wake(name, &wake);
                Ok(())
            }
            Forced::Active(held) => Err(self.active(name, held).await),
            Forced::Unknown => Err(Error::UnknownGroup(name.clone())),
        }
    }

    async fn active(&self, group: &GroupName, held: Vec<GroupPartition>) -> Error {
        match self.named(held).await {
            Ok(partitions) => Error::GroupActive { group: group.clone(), partitions },
            Err(error) => error,
        }
    }
}

fn is_held(group: Option<&Group>, row: &GroupPartition) -> bool {
    group.is_some_and(|group| row.owner.is_some() && row.lease_end >= group.now)
}
