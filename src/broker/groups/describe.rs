//! Groups as they are told: who is in, who holds what until when, and how far behind the group is.

use std::sync::Arc;

use crate::broker::error::Error;
use crate::broker::handle::Broker;
use crate::log::ReadError;
use crate::log::partition::Partition;
use crate::model::group::Group;
use crate::model::group::GroupPartition;
use crate::model::name::GroupName;
use crate::model::name::TopicName;
use crate::model::time;
use crate::model::time::Millis;
use crate::store::group_contract::GroupSummary;
use crate::tasks;

/// A partition of a group, with what lies before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The topic.
    pub topic: TopicName,
    /// How the group has it.
    pub state: GroupPartition,
    /// The first offset still kept.
    pub log_start_offset: u64,
    /// One past the last record.
    pub high_watermark: u64,
    /// Records that are kept and not committed.
    pub lag: u64,
    /// How long ago, by its timestamp, the oldest of them was sent, in milliseconds; 0 without any.
    pub lag_ms: Millis,
    /// The timestamp of that record.
    pub oldest: Option<Millis>,
}

impl PartitionLag {
    /// The next record that the group will read.
    pub fn next_offset(&self) -> u64 {
        self.state.committed.unwrap_or(0).max(self.log_start_offset)
    }
}

/// A group with its lag.
#[derive(Debug, Clone)]
pub struct GroupState {
    /// The group; its partitions are in `partitions` instead.
    pub group: Group,
    /// All partitions that the group holds, is to hold or has committed in, in the order of topics.
    pub partitions: Vec<PartitionLag>,
}

impl Broker {
    /// Groups by name: those that come after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn groups_by_name(&self, after: Option<&str>, limit: usize) -> Result<Vec<GroupSummary>, Error> {
        let (store, after) = (self.store(), after.map(str::to_owned));
        Ok(tasks::run(async move { store.groups(after.as_deref(), limit).await }).await?)
    }

    /// A group as it stands.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`].
    pub async fn describe_group(&self, name: &GroupName) -> Result<GroupState, Error> {
        let (store, wanted) = (self.store(), name.clone());
        let found = tasks::run(async move { store.group(&wanted).await }).await?;
        let mut group = found.ok_or_else(|| Error::UnknownGroup(name.clone()))?;
        let mut partitions = self.lags_of(std::mem::take(&mut group.partitions)).await?;
        partitions.sort_by(|a, b| (&a.topic, a.state.id.partition).cmp(&(&b.topic, b.state.id.partition)));
        Ok(GroupState { group, partitions })
    }

    /// What lies before a group in each of its partitions.
    pub(in crate::broker) async fn lags_of(&self, partitions: Vec<GroupPartition>) -> Result<Vec<PartitionLag>, Error> {
        let mut lags = Vec::with_capacity(partitions.len());
        for named in self.named(partitions).await? {
            let topic = self.topic(&named.topic).await?;
            let partition = self.fresh_partition(&topic, named.partition).await?;
            let (log_start_offset, high_watermark) = (partition.log_start_offset(), partition.high_watermark());
            let (topic, state) = (named.topic, named.state);
            let (lag, lag_ms, oldest) = (0, 0, None);
            let mut lag = PartitionLag { topic, state, log_start_offset, high_watermark, lag, lag_ms, oldest };
            let next = lag.next_offset();
            lag.lag = high_watermark.saturating_sub(next);
            if lag.lag > 0 {
                lag.oldest = self.timestamp(&lag.topic, &partition, next).await?;
                lag.lag_ms = lag.oldest.map_or(0, |oldest| time::now().saturating_sub(oldest));
            }
            lags.push(lag);
        }
        Ok(lags)
    }

    /// The timestamp of the record at an offset; none if retention has just taken it.
    async fn timestamp(
        &self,
        topic: &TopicName,
        partition: &Arc<Partition>,
        offset: u64,
    ) -> Result<Option<Millis>, Error> {
        if let Some(known) = self.lags().timestamp(partition.id, offset) {
            return Ok(Some(known));
        }
        let batches = match self.logs().read(partition, offset, 1).await {
            Ok(batches) => batches,
            Err(ReadError::Expired | ReadError::OutOfRange) => return Ok(None),
            Err(error) => return Err(Error::from_read(error, topic)),
        };
        let record = batches.first().and_then(|batch| batch.records().flatten().find(|record| record.offset == offset));
        Ok(record.map(|record| record.timestamp))
    }
}
