//! Reading a partition: the tail, else a segment file, else the table. And what is promised of every answer.

use std::sync::Arc;

use crate::log::cluster::Cluster;
use crate::log::partition::Partition;
use crate::model::batch::RecordBatch;
use crate::segments::SegmentCache;
use crate::store::contract::LogStore;
use crate::store::error::StoreError;
use crate::tasks;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::Source;
use crate::telemetry::metrics::tables::Label;
use crate::telemetry::traces::span::Kind;
use crate::telemetry::traces::span::Scope;
use crate::telemetry::traces::span::Value;

/// History is fetched from the table in pieces of this size.
const FILL_BYTES: usize = 4 << 20;

/// A piece that is smaller lies close to the live edge, and is not worth a segment file: it will be part of a larger one.
const KEEP_BYTES_MIN: usize = 512 << 10;

/// A read that asks for less than this is a look, not a scan: it is not worth a segment file.
const SCAN_BYTES_MIN: usize = 64 << 10;

/// Why a partition cannot be read at an offset.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The topic was deleted.
    #[error("the topic was deleted")]
    Gone,
    /// Retention has passed the offset.
    #[error("the offset is no longer kept")]
    Expired,
    /// The offset lies beyond the high watermark.
    #[error("the offset is beyond the high watermark")]
    OutOfRange,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Batches from the one that holds `from` on, contiguous, about `bytes_max` bytes but at least one; none if `from` is
/// the high watermark.
pub(super) async fn read(
    partition: &Arc<Partition>,
    store: &Arc<dyn LogStore>,
    segments: &Arc<SegmentCache>,
    cluster: Option<&Cluster>,
    metrics: &Arc<Metrics>,
    from: u64,
    bytes_max: usize,
) -> Result<Vec<RecordBatch>, ReadError> {
    check(partition, from)?;
    let high_watermark = partition.high_watermark();
    match from.cmp(&high_watermark) {
        std::cmp::Ordering::Equal => return Ok(Vec::new()),
        std::cmp::Ordering::Greater => return Err(ReadError::OutOfRange),
        std::cmp::Ordering::Less => {}
    }
    if let Some(batches) = partition.read_tail(from, bytes_max) {
        count(metrics, Source::Tail, &batches);
        return Ok(batches);
    }
    let mut span = Scope::current().map(|scope| scope.child("read history", Kind::Client));
    let history = tasks::run(history(Arc::clone(partition), Arc::clone(store), Arc::clone(segments), from, bytes_max));
    let (source, mut batches) = history.await?;
    count(metrics, source, &batches);
    if let Some(mut span) = span.take() {
        span.set("tidegate.read.source", Value::Text(source.text()));
    }
    // Retention may have passed while the read was under way: then what was found may begin too late. Another node's is
    // known here only if it is asked for.
    if let Some(cluster) = cluster
        && batches.first().is_none_or(|batch| batch.base_offset > from)
    {
        cluster.refresh(vec![Arc::clone(partition)]).await?;
    }
    check(partition, from)?;
    batches.retain(|batch| batch.base_offset < high_watermark);
    assert_contiguous(partition, from, &batches)?;
    Ok(batches)
}

fn count(metrics: &Metrics, source: Source, batches: &[RecordBatch]) {
    let records = batches.iter().map(|batch| u64::from(batch.count)).sum();
    let bytes = batches.iter().map(|batch| batch.bytes().len() as u64).sum();
    metrics.reads.records.at(source).add(records);
    metrics.reads.bytes.at(source).add(bytes);
}

fn check(partition: &Partition, from: u64) -> Result<(), ReadError> {
    if partition.is_gone() {
        return Err(ReadError::Gone);
    }
    if from < partition.log_start_offset() { Err(ReadError::Expired) } else { Ok(()) }
}

/// No answer has a hole, whatever is broken below: rather none at all.
fn assert_contiguous(partition: &Partition, from: u64, batches: &[RecordBatch]) -> Result<(), ReadError> {
    let mut next = from;
    for batch in batches {
        let joins = if next == from {
            batch.base_offset <= from && from < batch.next_offset()
        } else {
            batch.base_offset == next
        };
        if !joins {
            let what = format_args!("partition {} misses offset {next}", partition.id);
            tracing::error!(partition = %partition.id, offset = next, "the log has a hole: {what}");
            return Err(ReadError::Store(StoreError::corrupt(what)));
        }
        next = batch.next_offset();
    }
    if batches.is_empty() {
        return Err(ReadError::Store(StoreError::corrupt(format_args!(
            "partition {} misses offset {from}",
            partition.id
        ))));
    }
    Ok(())
}

async fn history(
    partition: Arc<Partition>,
    store: Arc<dyn LogStore>,
    segments: Arc<SegmentCache>,
    from: u64,
    bytes_max: usize,
) -> Result<(Source, Vec<RecordBatch>), ReadError> {
    if let Some(batches) = cached(&partition, &segments, from, bytes_max).await {
        return Ok((Source::Cache, batches));
    }
    if bytes_max < SCAN_BYTES_MIN {
        return Ok((Source::Table, store.read(partition.id, from, bytes_max).await?));
    }
    let _filling = partition.filling.lock().await;
    if let Some(batches) = cached(&partition, &segments, from, bytes_max).await {
        return Ok((Source::Cache, batches));
    }
    let batches = store.read(partition.id, from, bytes_max.max(FILL_BYTES)).await?;
    let bytes: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
    if bytes >= KEEP_BYTES_MIN {
        let (id, incarnation, run) = (partition.id, partition.incarnation, batches.clone());
        tasks::blocking(move || segments.admit(id, incarnation, &run)).await;
    }
    Ok((Source::Table, within(batches, bytes_max)))
}

async fn cached(
    partition: &Arc<Partition>,
    segments: &Arc<SegmentCache>,
    from: u64,
    bytes_max: usize,
) -> Option<Vec<RecordBatch>> {
    let (id, incarnation, segments) = (partition.id, partition.incarnation, Arc::clone(segments));
    tasks::blocking(move || segments.read(id, incarnation, from, bytes_max)).await
}

fn within(mut batches: Vec<RecordBatch>, bytes_max: usize) -> Vec<RecordBatch> {
    let mut bytes = 0;
    let fits = batches.iter().take_while(|batch| {
        let before = bytes;
        bytes += batch.bytes().len();
        before < bytes_max
    });
    let count = fits.count();
    batches.truncate(count);
    batches
}
