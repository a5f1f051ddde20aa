//! Reading: batches by offset, the bounds of partitions, seeks by time, and what sweeps need to know.

use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::model::batch::RecordBatch;
use crate::model::time::Millis;
use crate::model::topic::LogBounds;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::TopicId;
use crate::store::contract::Stocked;
use crate::store::error::StoreError;
use crate::store::sqlite::writer::integer;
use crate::store::sqlite::writer::number;
use crate::store::sqlite::writer::optional;
use crate::store::sqlite::writer::read_error;

pub(super) async fn ping(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("select exists (select 1 from topics)").fetch_all(connection).await.map(drop).map_err(read_error)
}

/// The batch before may end where `from` begins: it is found through the index, but not read.
pub(super) const BATCHES: &str = "
    select base_offset, payload from batches
    where topic_id = ?1 and partition = ?2 and base_offset + record_count > ?3 and base_offset >= coalesce((
        select base_offset from batches
        where topic_id = ?1 and partition = ?2 and base_offset <= ?3 order by base_offset desc limit 1), 0)
    order by base_offset";

pub(super) async fn batches(
    connection: &mut SqliteConnection,
    partition: PartitionId,
    from: u64,
    bytes_max: usize,
) -> Result<Vec<RecordBatch>, StoreError> {
    let mut rows = sqlx::query(BATCHES)
        .bind(partition.topic.0)
        .bind(i64::from(partition.partition))
        .bind(integer(from))
        .fetch(connection);
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await.map_err(read_error)? {
        let batch = batch(&row, partition)?;
        if batches.last().is_some_and(|before: &RecordBatch| before.next_offset() != batch.base_offset) {
            return Err(StoreError::corrupt(format_args!(
                "a gap before batch {} of partition {partition}",
                batch.base_offset
            )));
        }
        bytes += batch.bytes().len();
        batches.push(batch);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(batches)
}

fn batch(row: &SqliteRow, partition: PartitionId) -> Result<RecordBatch, StoreError> {
    let base = number(row, 0)?;
    let payload: Vec<u8> = row.try_get(1).map_err(StoreError::corrupt)?;
    RecordBatch::open(partition, base, Bytes::from(payload))
        .map_err(|damaged| StoreError::corrupt(format_args!("batch {base} of partition {partition}: {damaged}")))
}

/// The size of a partition is the distance between two marks: the end of its last batch, and the place where what is
/// kept begins.
macro_rules! bounds_columns {
    () => {
        "coalesce(s.log_start_offset, 0), last.base_offset + last.record_count, last.end_bytes,
         case when first.base_offset + first.record_count <= coalesce(s.log_start_offset, 0)
              then first.end_bytes else first.end_bytes - length(first.payload) end"
    };
}

fn log_bounds(row: &SqliteRow, column: usize) -> Result<LogBounds, StoreError> {
    let log_start_offset = number(row, column)?;
    Ok(LogBounds {
        log_start_offset,
        high_watermark: optional(row, column + 1)?.max(log_start_offset),
        bytes: optional(row, column + 2)?.saturating_sub(optional(row, column + 3)?),
    })
}

pub(super) const BOUNDS: &str = concat!(
    "select ",
    bounds_columns!(),
    " from topics t
          left join log_starts s on s.topic_id = t.id and s.partition = ?2
          left join batches last on last.id = (
              select id from batches where topic_id = ?1 and partition = ?2 order by base_offset desc limit 1)
          left join batches first on first.id = (
              select id from batches
              where topic_id = ?1 and partition = ?2 and base_offset <= coalesce(s.log_start_offset, 0)
              order by base_offset desc limit 1)
          where t.id = ?1 and t.deleted_at is null and t.partition_count > ?2"
);

pub(super) async fn bounds(
    connection: &mut SqliteConnection,
    partition: PartitionId,
) -> Result<Option<LogBounds>, StoreError> {
    let row = sqlx::query(BOUNDS)
        .bind(partition.topic.0)
        .bind(i64::from(partition.partition))
        .fetch_optional(connection)
        .await
        .map_err(read_error)?;
    row.map(|row| log_bounds(&row, 0)).transpose()
}

/// The recursive part steps from one partition to the next through the index, whatever they hold.
pub(super) const ALL_BOUNDS: &str = concat!(
    "with recursive written (partition) as (
             select min(partition) from batches where topic_id = ?1
             union all
             select (select min(partition) from batches where topic_id = ?1 and partition > written.partition)
             from written where written.partition is not null),
         known (partition) as (
             select partition from written where partition is not null
             union select partition from log_starts where topic_id = ?1)
         select known.partition, ",
    bounds_columns!(),
    " from known
          left join log_starts s on s.topic_id = ?1 and s.partition = known.partition
          left join batches last on last.id = (
              select id from batches
              where topic_id = ?1 and partition = known.partition order by base_offset desc limit 1)
          left join batches first on first.id = (
              select id from batches
              where topic_id = ?1 and partition = known.partition
                and base_offset <= coalesce(s.log_start_offset, 0)
              order by base_offset desc limit 1)
          order by known.partition"
);

pub(super) async fn all_bounds(
    connection: &mut SqliteConnection,
    topic: TopicId,
) -> Result<Vec<(u32, LogBounds)>, StoreError> {
    let rows = sqlx::query(ALL_BOUNDS).bind(topic.0).fetch_all(connection).await.map_err(read_error)?;
    rows.iter().map(|row| Ok((partition_number(row, 0)?, log_bounds(row, 1)?))).collect()
}

/// The running maximum never falls, so halving finds the first batch that reaches `time`.
pub(super) const REACHED: &str = "
    select base_offset, base_offset + record_count, running_max_timestamp from batches
    where topic_id = ?1 and partition = ?2 and base_offset <= ?3 order by base_offset desc limit 1";

/// What raised the maximum may lie below the log start by now: from here on, the batches' own maxima count.
pub(super) const TIMELY: &str = "
    select base_offset, payload from batches
    where topic_id = ?1 and partition = ?2 and max_timestamp >= ?4 and base_offset >= coalesce((
        select base_offset from batches
        where topic_id = ?1 and partition = ?2 and base_offset <= ?3 order by base_offset desc limit 1), 0)
    order by base_offset";

pub(super) async fn seek_time(
    connection: &mut SqliteConnection,
    partition: PartitionId,
    time: Millis,
) -> Result<Option<RecordBatch>, StoreError> {
    let Some(bounds) = bounds(connection, partition).await? else { return Ok(None) };
    let (mut low, mut high) = (bounds.log_start_offset, bounds.high_watermark);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = sqlx::query(REACHED)
            .bind(partition.topic.0)
            .bind(i64::from(partition.partition))
            .bind(integer(middle))
            .fetch_optional(&mut *connection)
            .await
            .map_err(read_error)?;
        let Some(row) = row else { break };
        if number(&row, 2)? >= time {
            high = number(&row, 0)?.min(middle);
        } else {
            low = number(&row, 1)?.max(middle + 1);
        }
    }
    let mut rows = sqlx::query(TIMELY)
        .bind(partition.topic.0)
        .bind(i64::from(partition.partition))
        .bind(integer(low))
        .bind(integer(time))
        .fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(read_error)? {
        let batch = batch(&row, partition)?;
        let found = batch
            .records()
            .filter_map(Result::ok)
            .any(|record| record.offset >= bounds.log_start_offset && record.timestamp >= time);
        if found {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

/// Each query walks over what may go and stops at the first batch that stays.
pub(super) const YOUNG: &str = "
    select base_offset from batches
    where topic_id = ?1 and partition = ?2 and append_time >= ?3 order by base_offset limit 1";

/// A batch goes if the bytes after it make up the limit. The newest stays whatever the limit, for it is at least 1.
pub(super) const WITHIN: &str = "
    select base_offset from batches
    where topic_id = ?1 and partition = ?2 and end_bytes > (
        select end_bytes from batches where topic_id = ?1 and partition = ?2 order by base_offset desc limit 1) - ?3
    order by base_offset limit 1";

pub(super) async fn expired_until(
    connection: &mut SqliteConnection,
    partition: PartitionId,
    retention: Retention,
    now: Millis,
) -> Result<Option<u64>, StoreError> {
    let Some(bounds) = bounds(connection, partition).await? else { return Ok(None) };
    let mut until = bounds.log_start_offset;
    if let Some(ms) = retention.ms {
        let kept = first_kept(connection, YOUNG, partition, now.saturating_sub(ms)).await?;
        until = until.max(kept.unwrap_or(bounds.high_watermark));
    }
    if let Some(bytes) = retention.bytes
        && bounds.bytes > bytes
    {
        let kept = first_kept(connection, WITHIN, partition, bytes.max(1)).await?;
        until = until.max(kept.unwrap_or(bounds.log_start_offset));
    }
    Ok((until > bounds.log_start_offset).then_some(until))
}

async fn first_kept(
    connection: &mut SqliteConnection,
    sql: &'static str,
    partition: PartitionId,
    threshold: u64,
) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query(sql)
        .bind(partition.topic.0)
        .bind(i64::from(partition.partition))
        .bind(integer(threshold))
        .fetch_optional(connection)
        .await
        .map_err(read_error)?;
    row.map(|row| number(&row, 0)).transpose()
}

/// Steps from one partition to the next through the index, whatever they hold. Two steps, not one comparison of pairs:
/// that would use only the topic and walk over all its batches.
pub(super) const PARTITIONS: &str = "
    with recursive place (topic_id, partition) as (
        select * from (
            select topic_id, partition from batches
            where (topic_id, partition) > (?1, ?2) order by topic_id, partition limit 1)
        union all
        select b.topic_id, b.partition from place
        join batches b on b.id = coalesce(
            (select id from batches
             where topic_id = place.topic_id and partition > place.partition
             order by topic_id, partition, base_offset limit 1),
            (select id from batches
             where topic_id > place.topic_id
             order by topic_id, partition, base_offset limit 1))
        limit ?3)
    select topic_id, partition, coalesce(
        (select b.base_offset + b.record_count from batches b
         where b.topic_id = place.topic_id and b.partition = place.partition order by b.base_offset limit 1)
        <= (select s.log_start_offset from log_starts s
            where s.topic_id = place.topic_id and s.partition = place.partition), false)
    from place";

pub(super) async fn partitions_with_batches(
    connection: &mut SqliteConnection,
    after: Option<PartitionId>,
    limit: usize,
) -> Result<Vec<Stocked>, StoreError> {
    let (topic, partition) = after.map_or((-1, -1), |after| (after.topic.0, i64::from(after.partition)));
    let rows = sqlx::query(PARTITIONS)
        .bind(topic)
        .bind(partition)
        .bind(limit as i64)
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    rows.iter()
        .map(|row| {
            let topic = TopicId(row.try_get(0).map_err(StoreError::corrupt)?);
            let id = PartitionId { topic, partition: partition_number(row, 1)? };
            Ok(Stocked { id, has_dropped: row.try_get(2).map_err(StoreError::corrupt)? })
        })
        .collect()
}

fn partition_number(row: &SqliteRow, column: usize) -> Result<u32, StoreError> {
    u32::try_from(number(row, column)?).map_err(StoreError::corrupt)
}
