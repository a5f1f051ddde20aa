//! Topics as an administrator sees them: create, describe, list, configure, delete, trim.

use std::sync::Arc;

use crate::broker::catalog::KnownTopic;
use crate::broker::error::Error;
use crate::broker::handle::Broker;
use crate::log::partition::Partition;
use crate::model::name::TopicName;
use crate::model::name::is_begin_of_name;
use crate::model::position::Position;
use crate::model::topic::LogBounds;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;
use crate::store::contract::Configuration;
use crate::store::contract::Creation;
use crate::tasks;

/// Settings that a caller gives; what is absent keeps its value, or gets the default where there is none yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// How many partitions.
    pub partition_count: Setting<u32>,
    /// [`Retention::ms`]; `Given(None)` means no limit.
    pub retention_ms: Setting<Option<u64>>,
    /// [`Retention::bytes`]; `Given(None)` means no limit.
    pub retention_bytes: Setting<Option<u64>>,
}

/// One setting of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Setting<T> {
    /// Not mentioned.
    #[default]
    Absent,
    /// Back to the default.
    Default,
    /// This value.
    Given(T),
}

impl<T> Setting<T> {
    fn over(self, current: T, default: T) -> T {
        match self {
            Self::Absent => current,
            Self::Default => default,
            Self::Given(value) => value,
        }
    }
}

impl TopicSettings {
    fn over(self, current: TopicConfig, default: TopicConfig) -> TopicConfig {
        TopicConfig {
            partition_count: self.partition_count.over(current.partition_count, default.partition_count),
            retention: Retention {
                ms: self.retention_ms.over(current.retention.ms, default.retention.ms),
                bytes: self.retention_bytes.over(current.retention.bytes, default.retention.bytes),
            },
        }
    }
}

/// A partition with what can be read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    /// Its number.
    pub partition: u32,
    /// Its bounds and size.
    pub bounds: LogBounds,
}

impl Broker {
    fn default_config(&self) -> TopicConfig {
        TopicConfig { partition_count: self.options().default_partitions, retention: Retention::default() }
    }

    pub(super) async fn known(&self, name: &TopicName) -> Result<Arc<KnownTopic>, Error> {
        self.catalog().find(name).await?.ok_or_else(|| Error::UnknownTopic(name.clone()))
    }

    /// A partition of a topic. Before it is denied the database is asked: it may just have been added.
    pub(super) async fn partition(&self, topic: &Topic, partition: u32) -> Result<Arc<Partition>, Error> {
        let mut partition_count = topic.config.partition_count;
        if partition >= partition_count {
            let (store, id) = (self.store(), topic.id);
            let now = tasks::run(async move { store.topic_by_id(id).await }).await?;
            let now = now.ok_or_else(|| Error::UnknownTopic(topic.name.clone()))?;
            partition_count = now.config.partition_count;
        }
        if partition >= partition_count {
            return Err(Error::UnknownPartition { topic: topic.name.clone(), partition, partition_count });
        }
        let found = self.logs().partition(topic, partition).await;
        found.map_err(|error| Error::from_read(error, &topic.name))
    }

    /// The same, with its bounds as they were committed by any node before the call.
    pub(super) async fn fresh_partition(&self, topic: &Topic, partition: u32) -> Result<Arc<Partition>, Error> {
        let partition = self.partition(topic, partition).await?;
        self.refresh(&topic.name, vec![Arc::clone(&partition)]).await?;
        Ok(partition)
    }

    /// Waits until all is known that any node committed to these partitions before the call.
    pub(super) async fn refresh(&self, topic: &TopicName, partitions: Vec<Arc<Partition>>) -> Result<(), Error> {
        self.logs().refresh(partitions).await.map_err(|error| Error::from_read(error, topic))
    }

    /// Makes a topic. True if it is new, false if it was there and every setting given is what it has.
    ///
    /// # Errors
    /// [`Error::TopicExists`] with other settings; [`Error::QuotaExceeded`].
    pub async fn create_topic(&self, name: &TopicName, settings: TopicSettings) -> Result<(Topic, bool), Error> {
        let default = self.default_config();
        let (broker, name) = (self.clone(), name.clone());
        let config = settings.over(default, default);
        let creation = tasks::run(async move {
            let creation = broker.store().create_topic(&name, config).await;
            if let Ok(Creation::Created(topic)) = &creation {
                broker.catalog().changed(topic.clone());
            }
            creation
        });
        match creation.await? {
            Creation::Created(topic) => Ok((topic, true)),
            Creation::Exists(topic) if settings.over(topic.config, default) == topic.config => Ok((topic, false)),
            Creation::Exists(topic) => Err(Error::TopicExists(Box::new(topic))),
            Creation::TooManyPartitions => Err(Error::QuotaExceeded { limit: self.limits().partitions }),
        }
    }

    /// The topic of that name.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`].
    pub async fn topic(&self, name: &TopicName) -> Result<Topic, Error> {
        Ok(self.known(name).await?.topic.clone())
    }

    /// Topics by name: those that begin with `prefix` and come after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn topics(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Topic>, Error> {
        if !is_begin_of_name(prefix) {
            return Ok(Vec::new());
        }
        let store = self.store();
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        Ok(tasks::run(async move { store.topics(&prefix, after.as_deref(), limit).await }).await?)
    }

    /// Every partition of a topic, by number.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`].
    pub async fn describe_topic(&self, name: &TopicName) -> Result<(Topic, Vec<PartitionState>), Error> {
        let topic = self.topic(name).await?;
        let (store, id) = (self.store(), topic.id);
        let mut known = tasks::run(async move { store.all_bounds(id).await }).await?.into_iter().peekable();
        let state = |partition| {
            let bounds = known.next_if(|(number, _)| *number == partition).map(|(_, bounds)| bounds);
            PartitionState { partition, bounds: bounds.unwrap_or_default() }
        };
        let partitions = (0..topic.config.partition_count).map(state).collect();
        Ok((topic, partitions))
    }

    /// One partition of a topic.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`].
    pub async fn describe_partition(&self, name: &TopicName, partition: u32) -> Result<PartitionState, Error> {
        let topic = self.topic(name).await?;
        let id = self.partition(&topic, partition).await?.id;
        let store = self.store();
        let bounds = tasks::run(async move { store.bounds(id).await }).await?;
        Ok(PartitionState { partition, bounds: bounds.ok_or_else(|| Error::UnknownTopic(name.clone()))? })
    }

    /// Changes a topic; what is not mentioned stays.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::PartitionsShrink`], [`Error::QuotaExceeded`].
    pub async fn configure_topic(&self, name: &TopicName, settings: TopicSettings) -> Result<Topic, Error> {
        let topic = self.topic(name).await?;
        let config = settings.over(topic.config, self.default_config());
        let broker = self.clone();
        let changed = tasks::run(async move {
            let changed = broker.store().configure_topic(topic.id, config).await;
            if let Ok(Configuration::Changed(topic)) = &changed {
                broker.catalog().changed(topic.clone());
            }
            changed
        });
        match changed.await? {
            Configuration::Changed(topic) => Ok(topic),
            Configuration::Shrinks(topic) => Err(Error::PartitionsShrink(Box::new(topic))),
            Configuration::TooManyPartitions => Err(Error::QuotaExceeded { limit: self.limits().partitions }),
            Configuration::Unknown => Err(Error::UnknownTopic(name.clone())),
        }
    }

    /// Deletes a topic with all its records.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`].
    pub async fn delete_topic(&self, name: &TopicName) -> Result<(), Error> {
        let topic = self.topic(name).await?;
        let (broker, name) = (self.clone(), name.clone());
        tasks::run(async move {
            let deleted = broker.store().delete_topic(topic.id).await?;
            broker.catalog().deleted(&name);
            broker.logs().forget_topic(&topic).await;
            if deleted { Ok(()) } else { Err(Error::UnknownTopic(name)) }
        })
        .await
    }

    /// Drops the records of a partition below `before_offset`; returns where its log begins now.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`]; [`Error::OffsetOutOfRange`] beyond the high watermark.
    pub async fn delete_records(&self, name: &TopicName, partition: u32, before_offset: u64) -> Result<u64, Error> {
        let topic = self.topic(name).await?;
        let partition = self.fresh_partition(&topic, partition).await?;
        if before_offset > partition.high_watermark() {
            return Err(Error::OffsetOutOfRange(vec![Self::unreadable(name, &partition, before_offset)]));
        }
        let start = self.logs().advance_start(&partition, before_offset).await;
        start.map_err(|error| Error::from_read(error, name))
    }

    /// The offset a position stands for in one partition.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`].
    pub async fn offset_at(&self, name: &TopicName, partition: u32, at: Position) -> Result<u64, Error> {
        let topic = self.topic(name).await?;
        let partition = self.fresh_partition(&topic, partition).await?;
        self.resolve(name, &partition, at).await
    }
}
