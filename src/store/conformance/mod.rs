//! One behaviour suite for every store: what `contract.rs` promises, each promise a test. `conformance!(sqlite, open)`
//! makes the tests for one database; a behaviour that no list names is dead code, so the compiler keeps it whole.

pub(super) mod append;
pub(super) mod keys;
pub(super) mod model;
pub(super) mod read;
pub(super) mod retention;
pub(super) mod topics;

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use tempfile::TempDir;

use crate::model::batch::RecordBatch;
use crate::model::batch::Run;
use crate::model::record::NewRecord;
use crate::model::record::Value;
use crate::model::record::ValueRef;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;
use crate::store::Options;
use crate::store::contract::Creation;
use crate::store::contract::Flushed;
use crate::store::contract::Store;
use crate::store::contract::Write;

/// Opens the store of one place. The same options again find the same data.
pub(super) type Open = fn(Options) -> Pin<Box<dyn Future<Output = Arc<dyn Store>>>>;

/// A store under test with a place of its own.
pub(super) struct Bench {
    open: Open,
    options: Options,
    store: Arc<dyn Store>,
    _place: TempDir,
}

impl Bench {
    /// Opens an empty store.
    pub(super) async fn new(open: Open) -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let options = options(&place);
        Self { open, store: open(options.clone()).await, options, _place: place }
    }

    /// Closes the store and opens its data again.
    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = (self.open)(self.options.clone()).await;
    }

    /// Makes a topic.
    async fn topic(&self, name: &str, partition_count: u32) -> Topic {
        let config = TopicConfig { partition_count, retention: Retention::default() };
        match self.store.create_topic(&name.parse().expect("a name"), config).await.expect("created") {
            Creation::Created(topic) => topic,
            other => panic!("not made: {other:?}"),
        }
    }

    /// Writes records to one partition as one batch; returns the offset of the first.
    async fn put(&self, partition: PartitionId, values: &[&str]) -> u64 {
        let flushed = self.store.append(vec![write([run(partition, values)])]).await.expect("appended");
        bases(&flushed)[0][0]
    }

    /// All that lies at or above `from`.
    async fn all(&self, partition: PartitionId, from: u64) -> Vec<(u64, String)> {
        values(&self.store.read(partition, from, usize::MAX).await.expect("read"))
    }

    /// The log start, and the high watermark.
    async fn span(&self, partition: PartitionId) -> (u64, u64) {
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
pub(super) fn options(place: &TempDir) -> Options {
    Options {
        data_dir: place.path().join("data"),
        partitions_max: 1000,
        idempotency_ms: 86_400_000,
        wal_bytes_max: 8 << 20,
        readers: 2,
    }
}

/// Records of one partition, all at one time.
pub(super) fn run(partition: PartitionId, values: &[&str]) -> Run {
    let timed: Vec<(&str, Millis)> = values.iter().map(|value| (*value, 1)).collect();
    run_at(partition, &timed)
}

/// Records of one partition with their timestamps.
fn run_at(partition: PartitionId, values: &[(&str, Millis)]) -> Run {
    let mut run = Run::new(partition, 0);
    for (value, timestamp) in values {
        let value = Value::Bytes(value.as_bytes().into());
        let record = NewRecord { topic: 0, partition: None, key: None, value, headers: Vec::new(), timestamp: None };
        run.push(&record, *timestamp);
    }
    run
}

/// A write without an idempotency key.
pub(super) fn write<const N: usize>(runs: [Run; N]) -> Write {
    Write { runs: runs.into(), idempotency: None }
}

/// The base offsets that each write of a flush got; all must have been taken.
pub(super) fn bases(flushed: &Flushed) -> Vec<Vec<u64>> {
    let base = |outcome: &Result<_, _>| match outcome {
        Ok(crate::store::contract::Appended { base_offsets }) => base_offsets.clone(),
        Err(refused) => panic!("refused: {refused:?}"),
    };
    flushed.outcomes.iter().map(base).collect()
}

/// Offset and value of each record.
pub(super) fn values(batches: &[RecordBatch]) -> Vec<(u64, String)> {
    let text = |value| match value {
        ValueRef::Bytes(bytes) => String::from_utf8(bytes.to_vec()).expect("text"),
        other => panic!("not bytes: {other:?}"),
    };
    let records = batches.iter().flat_map(RecordBatch::records).map(|record| record.expect("intact"));
    records.map(|record| (record.offset, text(record.value))).collect()
}

/// Makes one test of every behaviour listed.
macro_rules! behaviours {
    ($open:path; $($file:ident { $($behaviour:ident)* })*) => {
        $(mod $file {
            $(#[tokio::test]
            async fn $behaviour() {
                let bench = $crate::store::conformance::Bench::new($open).await;
                $crate::store::conformance::$file::$behaviour(bench).await;
            })*
        })*
        #[test]
        fn model_holds() {
            $crate::store::conformance::model::holds($open);
        }
    };
}

/// Holds a store to the contract: the name of the module of its tests, and the function that opens it.
macro_rules! conformance {
    ($name:ident, $open:path) => {
        mod $name {
            $crate::store::conformance::behaviours! { $open;
                topics {
                    creating_twice_finds_the_first
                    partitions_of_all_topics_are_bounded
                    lists_take_prefixes_literally
                    lists_come_in_pages
                    settings_change_and_partitions_only_grow
                    a_deleted_topic_is_unknown_and_its_name_free
                    topics_survive_a_reopen
                    a_closed_store_answers_with_an_error
                }
                append {
                    offsets_are_dense
                    writes_to_one_partition_become_one_batch
                    a_write_spans_partitions_and_topics
                    unknown_partitions_are_refused_whole
                    a_deleted_topic_takes_nothing_but_its_neighbours_do
                    flushes_of_many_batches_are_whole
                    an_empty_flush_does_nothing
                }
                keys {
                    a_retry_gets_the_first_answer
                    a_key_with_another_request_is_refused
                    an_expired_key_counts_no_more
                    a_key_goes_with_its_topic
                    a_key_is_kept_only_with_its_records
                    many_keys_in_one_flush
                    old_keys_are_purged_in_turns
                }
                read {
                    reading_begins_with_the_batch_that_holds_the_offset
                    reading_stops_at_the_byte_budget
                    bounds_tell_start_end_and_bytes
                    bounds_of_all_partitions_that_were_written
                    seeks_find_the_first_batch_in_time
                    seeks_pass_over_what_was_trimmed
                    sweeps_find_every_partition
                    everything_survives_a_reopen
                }
                retention {
                    the_start_moves_up_only
                    age_keeps_what_is_young
                    bytes_keep_at_least_the_limit
                    a_limit_of_no_bytes_keeps_the_newest_batch
                    purges_come_in_slices_and_offsets_go_on
                    a_purge_spares_the_batch_that_holds_the_start
                    what_deleted_topics_left_goes
                }
            }
        }
    };
}

pub(super) use behaviours;
pub(super) use conformance;
