//! The store on SQLite: one file, one writing connection, a pool of readers beside it (WAL).

mod access;
mod clock;
mod database;
mod groups;
mod keys;
mod log;
mod open;
mod purge;
mod read;
#[cfg(test)]
mod tests;
mod topics;
mod upkeep;
mod writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use crate::model::batch::RecordBatch;
use crate::model::group::Group;
use crate::model::key::Key;
use crate::model::name::GroupName;
use crate::model::name::TopicName;
use crate::model::secret::KeyId;
use crate::model::time;
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
use database::Sqlite;
use writer::nothing_written;

/// Opens the database of a data directory.
pub(super) async fn open(options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(Sqlite::open(options).await?))
}

impl Store for Sqlite {}

#[async_trait]
impl TopicStore for Sqlite {
    async fn create_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Creation, StoreError> {
        let mut writer = self.writer().await?;
        let done = topics::create(&mut writer, name, config).await;
        self.settle(writer, 0, done).await
    }

    async fn topic(&self, name: &TopicName) -> Result<Option<Topic>, StoreError> {
        topics::by_name(&mut *self.reader().await?, name).await.map_err(nothing_written)
    }

    async fn topic_by_id(&self, id: TopicId) -> Result<Option<Topic>, StoreError> {
        topics::by_id(&mut *self.reader().await?, id).await.map_err(nothing_written)
    }

    async fn topics(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Topic>, StoreError> {
        topics::list(&mut *self.reader().await?, prefix, after, limit).await
    }

    async fn configure_topic(&self, id: TopicId, config: TopicConfig) -> Result<Configuration, StoreError> {
        let mut writer = self.writer().await?;
        let done = topics::configure(&mut writer, id, config).await;
        self.settle(writer, 0, done).await
    }

    async fn delete_topic(&self, id: TopicId) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        let done = topics::delete(&mut writer, id).await;
        self.settle(writer, 0, done).await
    }
}

#[async_trait]
impl LogStore for Sqlite {
    fn lanes(&self) -> usize {
        1
    }

    async fn append(&self, writes: Vec<Write>) -> Result<Flushed, StoreError> {
        let mut writer = self.writer().await?;
        let done = log::append(&mut writer, &writes).await;
        let bytes = done.iter().flat_map(|flushed| &flushed.batches).map(|batch| batch.bytes().len() as u64).sum();
        self.settle(writer, bytes, done).await
    }

    async fn read(&self, partition: PartitionId, from: u64, bytes_max: usize) -> Result<Vec<RecordBatch>, StoreError> {
        read::batches(&mut *self.reader().await?, partition, from, bytes_max).await
    }

    async fn bounds(&self, partition: PartitionId) -> Result<Option<LogBounds>, StoreError> {
        read::bounds(&mut *self.reader().await?, partition).await
    }

    async fn all_bounds(&self, topic: TopicId) -> Result<Vec<(u32, LogBounds)>, StoreError> {
        read::all_bounds(&mut *self.reader().await?, topic).await
    }

    async fn seek_time(&self, partition: PartitionId, time: Millis) -> Result<SeekResult, StoreError> {
        read::seek_time(&mut *self.reader().await?, partition, time).await
    }

    async fn advance_start(&self, partition: PartitionId, to: u64) -> Result<u64, StoreError> {
        let mut writer = self.writer().await?;
        let done = purge::advance_start(&mut writer, partition, to).await;
        self.settle(writer, 0, done).await
    }

    async fn sweep_turn(&self) -> Result<Option<Millis>, StoreError> {
        Ok(Some(time::now()))
    }

    async fn expired_until(
        &self,
        partition: PartitionId,
        retention: Retention,
        now: Millis,
    ) -> Result<Option<u64>, StoreError> {
        read::expired_until(&mut *self.reader().await?, partition, retention, now).await
    }

    async fn partitions_with_batches(
        &self,
        after: Option<PartitionId>,
        limit: usize,
    ) -> Result<Vec<Stocked>, StoreError> {
        read::partitions_with_batches(&mut *self.reader().await?, after, limit).await
    }

    async fn purge(&self, partition: PartitionId, bytes_max: u64) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        let done = purge::below_log_start(&mut writer, partition, bytes_max).await;
        let bytes = done.as_ref().map_or(0, |purged| purged.bytes);
        self.settle(writer, bytes, done).await.map(|purged| purged.more)
    }

    async fn purge_deleted_topics(&self, bytes_max: u64) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        let done = purge::deleted_topics(&mut writer, bytes_max).await;
        let bytes = done.as_ref().map_or(0, |purged| purged.bytes);
        self.settle(writer, bytes, done).await.map(|purged| purged.more)
    }

    async fn purge_idempotency_keys(&self, before: Millis) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        let done = keys::purge(&mut writer, before).await;
        self.settle(writer, 0, done).await
    }
}

#[async_trait]
impl GroupStore for Sqlite {
    async fn group(&self, name: &GroupName) -> Result<Option<Group>, StoreError> {
        let mut reader = self.reader().await?;
        groups::read::group(&mut reader, self.clock.now(), name).await.map_err(nothing_written)
    }

    async fn create_group(&self, name: &GroupName) -> Result<Group, StoreError> {
        let mut writer = self.writer().await?;
        let done = groups::change::create(&mut writer, self.clock.now(), name).await;
        self.settle(writer, 0, done).await
    }

    async fn groups(&self, after: Option<&str>, limit: usize) -> Result<Vec<GroupSummary>, StoreError> {
        let mut reader = self.reader().await?;
        groups::read::list(&mut reader, self.clock.now(), after, limit).await
    }

    async fn change_group(&self, change: GroupChange) -> Result<Changed, StoreError> {
        let mut writer = self.writer().await?;
        let done = groups::change::change(&mut writer, self.clock.now(), &change).await;
        let bytes = done.as_ref().map_or(0, |(_, bytes)| *bytes);
        self.settle(writer, bytes, done).await.map(|(changed, _)| changed)
    }

    async fn step(&self, steps: Vec<Step>) -> Result<Vec<Result<Stepped, StepRefused>>, StoreError> {
        let mut writer = self.writer().await?;
        let done = groups::step::take(&mut writer, self.clock.now(), &steps).await;
        let bytes = done.as_ref().map_or(0, |taken| taken.bytes);
        self.settle(writer, bytes, done).await.map(|taken| taken.outcomes)
    }

    async fn reset_offsets(&self, group: &GroupName, resets: &[Reset], force: bool) -> Result<Forced, StoreError> {
        let mut writer = self.writer().await?;
        let done = groups::forced::reset(&mut writer, self.clock.now(), group, resets, force).await;
        let bytes = done.as_ref().map_or(0, |(_, bytes)| *bytes);
        self.settle(writer, bytes, done).await.map(|(forced, _)| forced)
    }

    async fn delete_group(&self, group: &GroupName, force: bool) -> Result<Forced, StoreError> {
        let mut writer = self.writer().await?;
        let done = groups::forced::delete(&mut writer, self.clock.now(), group, force).await;
        self.settle(writer, 0, done).await
    }

    async fn lapses(&self, since: Millis) -> Result<Lapses, StoreError> {
        // Told while nobody writes: a lease that was given before then is committed, so the look cannot miss it.
        let writer = self.writer().await?;
        let now = self.clock.now();
        drop(writer);
        groups::read::lapses(&mut *self.reader().await?, since, now).await
    }

    async fn purge_members(&self, before: Millis) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        let done = groups::upkeep::purge_members(&mut writer, before).await;
        self.settle(writer, 0, done).await
    }
}

#[async_trait]
impl AccessStore for Sqlite {
    async fn access_version(&self) -> Result<u64, StoreError> {
        access::version(&mut *self.reader().await?).await
    }

    async fn access(&self) -> Result<AccessState, StoreError> {
        access::read(&mut *self.reader().await?).await
    }

    async fn create_key(&self, key: &Key, keys_max: usize) -> Result<KeyCreation, StoreError> {
        let mut writer = self.writer().await?;
        let done = access::create(&mut writer, key, keys_max).await;
        self.settle(writer, 0, done).await
    }

    async fn delete_key(&self, id: KeyId) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        let done = access::delete(&mut writer, id).await;
        self.settle(writer, 0, done).await
    }

    async fn require_access(&self) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let done = access::require(&mut writer).await;
        self.settle(writer, 0, done).await
    }
}

#[async_trait]
impl Upkeep for Sqlite {
    async fn ping(&self) -> Result<(), StoreError> {
        read::ping(&mut *self.reader().await?).await
    }

    fn figures(&self) -> Figures {
        let pool = &self.readers;
        let of_pool = Figures::of_pool(pool.size(), pool.num_idle(), pool.options().get_max_connections());
        Figures { wal_bytes: self.wal_bytes.load(Ordering::Relaxed), ..of_pool }
    }

    async fn run_upkeep(&self) {
        self.checkpoint_forever().await;
    }

    async fn close(&self) {
        self.readers.close().await;
        self.finish().await;
    }
}

/// The database is this process's own: nobody else writes.
#[async_trait]
impl ClusterStore for Sqlite {
    fn is_shared(&self) -> bool {
        false
    }

    async fn bounds_of(&self, partitions: &[PartitionId]) -> Result<Vec<(PartitionId, LogBounds)>, StoreError> {
        let mut all = Vec::with_capacity(partitions.len());
        for id in partitions {
            all.extend(self.bounds(*id).await?.map(|bounds| (*id, bounds)));
        }
        Ok(all)
    }

    async fn news(&self) -> Result<Vec<News>, StoreError> {
        std::future::pending().await
    }

    async fn changed_topics(&self, version: u64, _: usize) -> Result<ChangedTopics, StoreError> {
        Ok(ChangedTopics { names: Vec::new(), version })
    }

    async fn members_to_wake(&self, _: &[Waiting]) -> Result<Vec<Waiting>, StoreError> {
        Ok(Vec::new())
    }
}
