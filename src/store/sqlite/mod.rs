//! The store on SQLite: one file, one writing connection, a pool of readers beside it (WAL).

mod keys;
mod log;
mod open;
mod purge;
mod read;
mod topics;
mod upkeep;
mod writer;

use std::fs::File;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use tokio::sync::Mutex;
use tokio::sync::Notify;

use crate::model::batch::RecordBatch;
use crate::model::name::TopicName;
use crate::model::time::Millis;
use crate::model::topic::LogBounds;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;
use crate::model::topic::TopicId;
use crate::store::contract::Configuration;
use crate::store::contract::Creation;
use crate::store::contract::Flushed;
use crate::store::contract::LogStore;
use crate::store::contract::SeekResult;
use crate::store::contract::Store;
use crate::store::contract::TopicStore;
use crate::store::contract::Upkeep;
use crate::store::contract::Write;
use crate::store::error::StoreError;
pub use open::OpenError;
use writer::Writer;

/// The database of one data directory, which is this process's alone.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: Mutex<Writer>,
    readers: SqlitePool,
    /// For passive checkpoints, which copy the write-ahead log back while writers go on.
    checkpointer: Mutex<SqliteConnection>,
    /// Wakes the checkpointer when enough was written.
    written: Notify,
    /// Bytes in the write-ahead log, as far as known.
    wal_bytes: AtomicU64,
    /// Those written since the last checkpoint began.
    uncopied_bytes: AtomicU64,
    wal_bytes_max: u64,
    /// Held for as long as the process has the directory.
    _lock: File,
}

impl Store for Sqlite {}

#[async_trait]
impl TopicStore for Sqlite {
    async fn create_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Creation, StoreError> {
        let mut writer = self.writer.lock().await;
        topics::create(&mut writer, name, config).await
    }

    async fn topic(&self, name: &TopicName) -> Result<Option<Topic>, StoreError> {
        topics::by_name(&mut *self.reader().await?, name).await
    }

    async fn topic_by_id(&self, id: TopicId) -> Result<Option<Topic>, StoreError> {
        topics::by_id(&mut *self.reader().await?, id).await
    }

    async fn topics(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Topic>, StoreError> {
        topics::list(&mut *self.reader().await?, prefix, after, limit).await
    }

    async fn configure_topic(&self, id: TopicId, config: TopicConfig) -> Result<Configuration, StoreError> {
        let mut writer = self.writer.lock().await;
        topics::configure(&mut writer, id, config).await
    }

    async fn delete_topic(&self, id: TopicId) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        topics::delete(&mut writer, id).await
    }
}

#[async_trait]
impl LogStore for Sqlite {
    async fn append(&self, writes: Vec<Write>) -> Result<Flushed, StoreError> {
        let mut writer = self.writer.lock().await;
        let flushed = log::append(&mut writer, &writes).await;
        if let Ok(flushed) = &flushed {
            self.note_written(flushed.batches.iter().map(|batch| batch.bytes().len() as u64).sum(), &mut writer).await;
        }
        flushed
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
        let mut writer = self.writer.lock().await;
        purge::advance_start(&mut writer, partition, to).await
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
    ) -> Result<Vec<PartitionId>, StoreError> {
        read::partitions_with_batches(&mut *self.reader().await?, after, limit).await
    }

    async fn purge(&self, partition: PartitionId, bytes_max: u64) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        let purged = purge::below_log_start(&mut writer, partition, bytes_max).await?;
        self.note_written(purged.bytes, &mut writer).await;
        Ok(purged.more)
    }

    async fn purge_deleted_topics(&self, bytes_max: u64) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        let purged = purge::deleted_topics(&mut writer, bytes_max).await?;
        self.note_written(purged.bytes, &mut writer).await;
        Ok(purged.more)
    }

    async fn purge_idempotency_keys(&self, before: Millis) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        keys::purge(&mut writer, before).await
    }
}

#[async_trait]
impl Upkeep for Sqlite {
    async fn ping(&self) -> Result<(), StoreError> {
        self.reader().await.map(drop)
    }

    async fn run_upkeep(&self) {
        self.checkpoint_forever().await;
    }

    async fn close(&self) {
        self.readers.close().await;
        self.checkpoint_at_the_end().await;
    }
}
