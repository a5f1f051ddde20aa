//! What the behaviours work with: a store in a place of its own, and short ways to write and read.

use std::any::Any;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use tempfile::TempDir;

use crate::model::batch::RecordBatch;
use crate::model::batch::Run;
use crate::model::codec::ValueRef;
use crate::model::record::NewRecord;
use crate::model::record::Value;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;
use crate::store::Options;
use crate::store::contract::Appended;
use crate::store::contract::Creation;
use crate::store::contract::Flushed;
use crate::store::contract::Store;
use crate::store::contract::Write;

/// Opens the store of one place. The same options again find the same data.
pub(in crate::store) type Open = fn(Options) -> Pin<Box<dyn Future<Output = Opened>>>;

/// An open store.
pub(in crate::store) struct Opened {
    pub(in crate::store) store: Arc<dyn Store>,
    /// What goes when the store of this place was opened for the last time, if it is not in the directory.
    pub(in crate::store) place: Option<Arc<dyn Any>>,
}

/// A store under test with a place of its own.
pub(in crate::store) struct Bench {
    open: Open,
    pub(super) options: Options,
    pub(super) store: Arc<dyn Store>,
    _place: Option<Arc<dyn Any>>,
    _directory: TempDir,
}

impl Bench {
    /// Opens an empty store.
    pub(in crate::store) async fn new(open: Open) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options = options(&directory);
        let Opened { store, place } = open(options.clone()).await;
        Self { open, store, options, _place: place, _directory: directory }
    }

    /// Closes the store and opens its data again.
    pub(super) async fn reopen(&mut self) {
        self.store.close().await;
        let Opened { store, place } = (self.open)(self.options.clone()).await;
        (self.store, self._place) = (store, place);
    }

    /// Makes a topic.
    pub(super) async fn topic(&self, name: &str, partition_count: u32) -> Topic {
        let config = TopicConfig { partition_count, retention: Retention::default() };
        match self.store.create_topic(&name.parse().expect("a name"), config).await.expect("created") {
            Creation::Created(topic) => topic,
            other => panic!("not made: {other:?}"),
        }
    }

    /// Writes records to one partition as one batch; returns the offset of the first.
    pub(super) async fn put(&self, partition: PartitionId, values: &[&str]) -> u64 {
        let flushed = self.store.append(vec![write([run(partition, values)])]).await.expect("appended");
        bases(&flushed)[0][0]
    }

    /// All that lies at or above `from`.
    pub(super) async fn all(&self, partition: PartitionId, from: u64) -> Vec<(u64, String)> {
        values(&self.store.read(partition, from, usize::MAX).await.expect("read"))
    }

    /// The log start, and the high watermark.
    pub(super) async fn span(&self, partition: PartitionId) -> (u64, u64) {
        let bounds = self.store.bounds(partition).await.expect("asked").expect("a partition");
        (bounds.log_start_offset, bounds.high_watermark)
    }
}

impl Deref for Bench {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

/// Small bounds, so that tests reach them.
pub(in crate::store) fn options(place: &TempDir) -> Options {
    Options {
        data_dir: place.path().join("data"),
        postgres: None,
        partitions_max: 1000,
        groups_max: 50,
        idempotency_ms: 86_400_000,
        wal_bytes_max: 8 << 20,
        readers: 2,
        lanes: 1,
    }
}

/// Records of one partition, all at one time.
pub(in crate::store) fn run(partition: PartitionId, values: &[&str]) -> Run {
    let timed: Vec<(&str, Millis)> = values.iter().map(|value| (*value, 1)).collect();
    run_at(partition, &timed)
}

/// Records of one partition with their timestamps.
pub(super) fn run_at(partition: PartitionId, values: &[(&str, Millis)]) -> Run {
    let mut run = Run::new(partition, 0);
    for (value, timestamp) in values {
        let value = Value::Bytes(value.as_bytes().into());
        let record = NewRecord { topic: 0, partition: None, key: None, value, headers: Vec::new(), timestamp: None };
        run.push(&record, *timestamp);
    }
    run
}

/// A write without an idempotency key.
pub(in crate::store) fn write<const N: usize>(runs: [Run; N]) -> Write {
    Write { runs: runs.into(), idempotency: None }
}

/// The base offsets that each write of a flush got; all must have been taken.
pub(in crate::store) fn bases(flushed: &Flushed) -> Vec<Vec<u64>> {
    let base = |outcome: &Result<_, _>| match outcome {
        Ok(Appended { base_offsets }) => base_offsets.clone(),
        Err(refused) => panic!("refused: {refused:?}"),
    };
    flushed.outcomes.iter().map(base).collect()
}

/// Offset and value of each record.
pub(in crate::store) fn values(batches: &[RecordBatch]) -> Vec<(u64, String)> {
    let text = |value| match value {
        ValueRef::Bytes(bytes) => String::from_utf8(bytes.to_vec()).expect("text"),
        other => panic!("not bytes: {other:?}"),
    };
    let records = batches.iter().flat_map(RecordBatch::records).map(|record| record.expect("intact"));
    records.map(|record| (record.offset, text(record.value))).collect()
}
