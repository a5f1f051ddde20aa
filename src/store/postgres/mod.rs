//! The store on PostgreSQL: any number of nodes on one database. A connection of its own appends, a pool does the rest.

mod access;
mod append;
mod bounds;
mod cluster;
mod connect;
mod database;
mod debt;
mod error;
mod groups;
mod health;
pub(super) mod inspect;
mod keys;
mod lane;
mod news;
mod open;
mod patience;
mod purge;
mod read;
mod sweep;
mod topics;
mod upkeep;
mod vacuum;
mod values;

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::batch::RecordBatch;
use crate::model::group::Group;
use crate::model::key::Key;
use crate::model::name::GroupName;
use crate::model::name::TopicName;
use crate::model::secret::KeyId;
use crate::model::time::Millis;
use crate::model::topic::LogBounds;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;
use crate::model::topic::TopicId;
use crate::store::access_contract::AccessState;
use crate::store::access_contract::AccessStore;
use crate::store::access_contract::KeyCreation;
use crate::store::cluster_contract::ChangedTopics;
use crate::store::cluster_contract::ClusterStore;
use crate::store::cluster_contract::News;
use crate::store::cluster_contract::Waiting;
use crate::store::contract::Configuration;
use crate::store::contract::Creation;
use crate::store::contract::Figures;
use crate::store::contract::Flushed;
use crate::store::contract::LogStore;
use crate::store::contract::SeekResult;
use crate::store::contract::Stocked;
use crate::store::contract::Store;
use crate::store::contract::TopicStore;
use crate::store::contract::Upkeep;
use crate::store::contract::Write;
use crate::store::error::StoreError;
use crate::store::group_contract::Changed;
use crate::store::group_contract::Forced;
use crate::store::group_contract::GroupChange;
use crate::store::group_contract::GroupStore;
use crate::store::group_contract::GroupSummary;
use crate::store::group_contract::Lapses;
use crate::store::group_contract::Reset;
use crate::store::group_contract::Step;
use crate::store::group_contract::StepRefused;
use crate::store::group_contract::Stepped;
use crate::store::open_error::OpenError;
use crate::store::options::Options;
use crate::store::options::PostgresUrl;
use database::Postgres;

/// Opens the database that `url` names.
pub(super) async fn open(url: &PostgresUrl, options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(Postgres::open(url, options).await?))
}

/// The same without a directory of its own, and without what appends.
pub(super) async fn open_beside(url: &PostgresUrl, options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(Postgres::connect(url, options, 0, None).await?))
}

impl Store for Postgres {}

#[async_trait]
impl TopicStore for Postgres {
    async fn create_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Creation, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        let created = patience.writing(topics::create(&mut connection, self.partitions_max, name, config)).await;
        if let Ok(Creation::Created(topic)) = &created {
            self.herald.topic(topic.name.clone());
        }
        created
    }

    async fn topic(&self, name: &TopicName) -> Result<Option<Topic>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(topics::by_name(&mut connection, name)).await
    }

    async fn topic_by_id(&self, id: TopicId) -> Result<Option<Topic>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(topics::by_id(&mut connection, id)).await
    }

    async fn topics(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Topic>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(topics::list(&mut connection, prefix, after, limit)).await
    }

    async fn configure_topic(&self, id: TopicId, config: TopicConfig) -> Result<Configuration, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        let changed = patience.writing(topics::configure(&mut connection, self.partitions_max, id, config)).await;
        if let Ok(Configuration::Changed(topic)) = &changed {
            self.herald.topic(topic.name.clone());
        }
        changed
    }

    async fn delete_topic(&self, id: TopicId) -> Result<bool, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        let deleted = patience.writing(topics::delete(&mut connection, id)).await?;
        let was_living = deleted.is_some();
        deleted.into_iter().for_each(|name| self.herald.topic(name));
        Ok(was_living)
    }
}

#[async_trait]
impl LogStore for Postgres {
    fn lanes(&self) -> usize {
        self.lanes.len()
    }

    async fn append(&self, writes: Vec<Write>) -> Result<Flushed, StoreError> {
        let flushed = append::append(&mut *self.free_lane().await, self.idempotency_ms, &writes).await?;
        self.herald.appended(&flushed.batches);
        Ok(flushed)
    }

    async fn read(&self, partition: PartitionId, from: u64, bytes_max: usize) -> Result<Vec<RecordBatch>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(read::batches(&mut connection, partition, from, bytes_max)).await
    }

    async fn bounds(&self, partition: PartitionId) -> Result<Option<LogBounds>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(read::bounds(&mut connection, partition)).await
    }

    async fn all_bounds(&self, topic: TopicId) -> Result<Vec<(u32, LogBounds)>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(read::all_bounds(&mut connection, topic)).await
    }

    async fn seek_time(&self, partition: PartitionId, time: Millis) -> Result<SeekResult, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(read::seek_time(&mut connection, partition, time)).await
    }

    async fn advance_start(&self, partition: PartitionId, to: u64) -> Result<u64, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.writing(purge::advance_start(&mut connection, partition, to)).await
    }

    async fn sweep_turn(&self) -> Result<Option<Millis>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.writing(sweep::turn(&mut connection, self.number)).await
    }

    async fn expired_until(
        &self,
        partition: PartitionId,
        retention: Retention,
        now: Millis,
    ) -> Result<Option<u64>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(read::expired_until(&mut connection, partition, retention, now)).await
    }

    async fn partitions_with_batches(
        &self,
        after: Option<PartitionId>,
        limit: usize,
    ) -> Result<Vec<Stocked>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(read::partitions_with_batches(&mut connection, after, limit)).await
    }

    async fn purge(&self, partition: PartitionId, bytes_max: u64) -> Result<bool, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        let purged = patience.writing(purge::below_log_start(&mut connection, partition, bytes_max)).await?;
        self.debt.add(purged.bytes);
        Ok(purged.more)
    }

    async fn purge_deleted_topics(&self, bytes_max: u64) -> Result<bool, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        let purged = patience.writing(purge::deleted_topics(&mut connection, bytes_max)).await?;
        self.debt.add(purged.bytes);
        Ok(purged.more)
    }

    async fn purge_idempotency_keys(&self, before: Millis) -> Result<bool, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.writing(keys::purge(&mut connection, before)).await
    }
}

#[async_trait]
impl GroupStore for Postgres {
    async fn group(&self, name: &GroupName) -> Result<Option<Group>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(groups::read::group(&mut connection, name)).await
    }

    async fn create_group(&self, name: &GroupName) -> Result<Group, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.writing(groups::change::create(&mut connection, self.groups_max, name)).await
    }

    async fn groups(&self, after: Option<&str>, limit: usize) -> Result<Vec<GroupSummary>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(groups::read::list(&mut connection, after, limit)).await
    }

    async fn change_group(&self, change: GroupChange) -> Result<Changed, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        let (changed, name) = patience.writing(groups::change::change(&mut connection, &change)).await?;
        name.into_iter().for_each(|name| self.herald.group(name));
        Ok(changed)
    }

    async fn step(&self, steps: Vec<Step>) -> Result<Vec<Result<Stepped, StepRefused>>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        let outcomes = patience.writing(groups::step::take(&mut connection, &steps)).await?;
        for (step, outcome) in steps.iter().zip(&outcomes) {
            if outcome.as_ref().is_ok_and(|stepped| !stepped.freed_for.is_empty()) {
                self.herald.group(step.group.clone());
            }
        }
        Ok(outcomes)
    }

    async fn reset_offsets(&self, group: &GroupName, resets: &[Reset], force: bool) -> Result<Forced, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        let reset = patience.writing(groups::forced::reset(&mut connection, group, resets, force)).await;
        self.herald.group(group.clone());
        reset
    }

    async fn delete_group(&self, group: &GroupName, force: bool) -> Result<Forced, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        let deleted = patience.writing(groups::forced::delete(&mut connection, group, force)).await;
        self.herald.group(group.clone());
        deleted
    }

    async fn lapses(&self, since: Millis) -> Result<Lapses, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(groups::read::lapses(&mut connection, since)).await
    }

    async fn purge_members(&self, before: Millis) -> Result<bool, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.writing(groups::upkeep::purge_members(&mut connection, before)).await
    }
}

#[async_trait]
impl AccessStore for Postgres {
    async fn access_version(&self) -> Result<u64, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(access::version(&mut connection)).await
    }

    async fn access(&self) -> Result<AccessState, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(access::read(&mut connection)).await
    }

    async fn create_key(&self, key: &Key, keys_max: usize) -> Result<KeyCreation, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.writing(access::create(&mut connection, key, keys_max)).await
    }

    async fn delete_key(&self, id: KeyId) -> Result<bool, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.writing(access::delete(&mut connection, id)).await
    }

    async fn require_access(&self) -> Result<(), StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.writing(access::require(&mut connection)).await
    }
}

#[async_trait]
impl ClusterStore for Postgres {
    fn is_shared(&self) -> bool {
        true
    }

    async fn bounds_of(&self, partitions: &[PartitionId]) -> Result<Vec<(PartitionId, LogBounds)>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(read::bounds_of(&mut connection, partitions)).await
    }

    async fn news(&self) -> Result<Vec<News>, StoreError> {
        self.herald.news().await
    }

    async fn changed_topics(&self, version: u64, limit: usize) -> Result<ChangedTopics, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(cluster::changed_topics(&mut connection, version, limit)).await
    }

    async fn members_to_wake(&self, waiting: &[Waiting]) -> Result<Vec<Waiting>, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(cluster::members_to_wake(&mut connection, waiting)).await
    }
}

#[async_trait]
impl Upkeep for Postgres {
    async fn ping(&self) -> Result<(), StoreError> {
        let (mut connection, patience) = self.connection().await?;
        patience.reading(read::ping(&mut connection)).await
    }

    fn figures(&self) -> Figures {
        let pool = &self.pool;
        let of_pool = Figures::of_pool(pool.size(), pool.num_idle(), pool.options().get_max_connections());
        Figures { notifications_sent: self.herald.sent(), ..of_pool }
    }

    async fn run_upkeep(&self) {
        tokio::join!(self.forget_lanes_forever(), self.vacuum_forever(), self.herald.tell_forever());
    }

    async fn close(&self) {
        self.pool.close().await;
        self.herald.close().await;
        for lane in &self.lanes {
            lane.lock().await.close().await;
        }
        self.directory.lock().await.take();
    }
}

#[cfg(test)]
mod tests;
