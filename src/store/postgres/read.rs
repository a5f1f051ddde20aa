//! Reading: batches by offset, the bounds of partitions, seeks by time, and what sweeps need to know. Each answer comes
//! from one statement, so it is of one moment, unless it says otherwise.

use bytes::Bytes;
use sqlx::PgConnection;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::model::batch::RecordBatch;
use crate::model::time::Millis;
use crate::model::topic::LogBounds;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::TopicId;
use crate::store::contract::Stocked;
use crate::store::error::StoreError;
use crate::store::postgres::error::read_error;
use crate::store::postgres::values::bigint;
use crate::store::postgres::values::integer;
use crate::store::postgres::values::limit;
use crate::store::postgres::values::number;
use crate::store::postgres::values::small_number;

pub(super) async fn ping(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select exists (select 1 from topics)").fetch_all(connection).await.map(drop).map_err(read_error)
}

pub(super) const BATCHES: &str = "select base, sealed from tidegate_read($1, $2, $3, $4)";

pub(super) async fn batches(
    connection: &mut PgConnection,
    partition: PartitionId,
    from: u64,
    bytes_max: usize,
) -> Result<Vec<RecordBatch>, StoreError> {
    let rows = sqlx::query(BATCHES)
        .bind(partition.topic.0)
        .bind(integer(partition.partition))
        .bind(bigint(from))
        .bind(limit(bytes_max))
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    let mut batches: Vec<RecordBatch> = Vec::with_capacity(rows.len());
    for row in &rows {
        let batch = batch(row, partition)?;
        if batches.last().is_some_and(|before| before.next_offset() != batch.base_offset) {
            return Err(StoreError::corrupt(format_args!(
                "a gap before batch {} of partition {partition}",
                batch.base_offset
            )));
        }
        batches.push(batch);
    }
    Ok(batches)
}

fn batch(row: &PgRow, partition: PartitionId) -> Result<RecordBatch, StoreError> {
    let base = number(row, 0)?;
    let payload: Vec<u8> = row.try_get(1).map_err(StoreError::corrupt)?;
    RecordBatch::open(partition, base, Bytes::from(payload))
        .map_err(|damaged| StoreError::corrupt(format_args!("batch {base} of partition {partition}: {damaged}")))
}

/// The bounds of any number of partitions, from their rows alone: the query for all who wait for a high watermark. Those
/// that were never written have no row, and empty bounds; those that do not exist are left out.
pub(super) const BOUNDS: &str = "
    select g.at, coalesce(p.log_start_offset, 0), coalesce(p.next_offset, 0), coalesce(p.end_bytes - p.start_bytes, 0)
    from unnest($1::bigint[], $2::integer[]) with ordinality g (topic_id, partition, at)
    join topics t on t.id = g.topic_id and t.deleted_at is null and g.partition < t.partition_count
    left join partitions p on p.topic_id = g.topic_id and p.partition = g.partition
    order by g.at";

/// The bounds of one partition; `None` if it does not exist.
pub(super) async fn bounds(
    connection: &mut PgConnection,
    partition: PartitionId,
) -> Result<Option<LogBounds>, StoreError> {
    let rows = sqlx::query(BOUNDS)
        .bind([partition.topic.0])
        .bind([integer(partition.partition)])
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    rows.first().map(log_bounds).transpose()
}

/// Those of many.
pub(super) async fn bounds_of(
    connection: &mut PgConnection,
    partitions: &[PartitionId],
) -> Result<Vec<(PartitionId, LogBounds)>, StoreError> {
    let topics: Vec<i64> = partitions.iter().map(|id| id.topic.0).collect();
    let numbers: Vec<i32> = partitions.iter().map(|id| integer(id.partition)).collect();
    let rows = sqlx::query(BOUNDS).bind(&topics).bind(&numbers).fetch_all(connection).await.map_err(read_error)?;
    let mut bounds = Vec::with_capacity(rows.len());
    for row in &rows {
        let at = number(row, 0)?.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let id = at.and_then(|at| partitions.get(at));
        bounds.push((*id.ok_or_else(|| StoreError::corrupt("bounds nobody asked for"))?, log_bounds(row)?));
    }
    Ok(bounds)
}

fn log_bounds(row: &PgRow) -> Result<LogBounds, StoreError> {
    Ok(LogBounds { log_start_offset: number(row, 1)?, high_watermark: number(row, 2)?, bytes: number(row, 3)? })
}

pub(super) const ALL_BOUNDS: &str = "
    select partition, log_start_offset, next_offset, end_bytes - start_bytes
    from partitions where topic_id = $1 order by partition";

pub(super) async fn all_bounds(
    connection: &mut PgConnection,
    topic: TopicId,
) -> Result<Vec<(u32, LogBounds)>, StoreError> {
    let rows = sqlx::query(ALL_BOUNDS).bind(topic.0).fetch_all(connection).await.map_err(read_error)?;
    rows.iter().map(|row| Ok((small_number(row, 0)?, log_bounds(row)?))).collect()
}

/// The running maximum never falls, so halving finds the first batch that reaches `time`.
pub(super) const REACHED: &str = "
    select base_offset, base_offset + record_count, running_max_timestamp from batches
    where topic_id = $1 and partition = $2 and base_offset <= $3 order by base_offset desc limit 1";

/// What raised the maximum may lie below the log start by now: from here on, the batches' own maxima count.
pub(super) const TIMELY: &str = "
    select base_offset, payload from batches
    where topic_id = $1 and partition = $2 and max_timestamp >= $4 and base_offset + record_count > $3
        and base_offset >= coalesce((
            select base_offset from batches
            where topic_id = $1 and partition = $2 and base_offset <= $3 order by base_offset desc limit 1), 0)
    order by base_offset limit 1";

/// Several statements, each of its own moment: what is between the bounds stays there, but for a purge, which only takes
/// batches below the start that was found.
pub(super) async fn seek_time(
    connection: &mut PgConnection,
    partition: PartitionId,
    time: Millis,
) -> Result<Option<RecordBatch>, StoreError> {
    let Some(bounds) = bounds(connection, partition).await? else { return Ok(None) };
    let (mut low, mut high) = (bounds.log_start_offset, bounds.high_watermark);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = sqlx::query(REACHED)
            .bind(partition.topic.0)
            .bind(integer(partition.partition))
            .bind(bigint(middle))
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
    loop {
        let row = sqlx::query(TIMELY)
            .bind(partition.topic.0)
            .bind(integer(partition.partition))
            .bind(bigint(low))
            .bind(bigint(time))
            .fetch_optional(&mut *connection)
            .await
            .map_err(read_error)?;
        let Some(row) = row else { return Ok(None) };
        let batch = batch(&row, partition)?;
        let found = batch
            .records()
            .filter_map(Result::ok)
            .any(|record| record.offset >= bounds.log_start_offset && record.timestamp >= time);
        if found {
            return Ok(Some(batch));
        }
        low = batch.next_offset();
    }
}

/// Each query walks over what may go, from the start on, and stops at the first batch that stays.
pub(super) const YOUNG: &str = "
    select base_offset from batches
    where topic_id = $1 and partition = $2 and append_time >= $3 and base_offset >= coalesce((
        select base_offset from batches
        where topic_id = $1 and partition = $2 and base_offset <= $4 order by base_offset desc limit 1), 0)
    order by base_offset limit 1";

/// A batch goes if the bytes after it make up the limit. The newest stays whatever the limit, for it is at least 1.
pub(super) const WITHIN: &str = "
    select base_offset from batches
    where topic_id = $1 and partition = $2 and end_bytes > (
        select end_bytes from batches where topic_id = $1 and partition = $2 order by base_offset desc limit 1) - $3
        and base_offset >= coalesce((
            select base_offset from batches
            where topic_id = $1 and partition = $2 and base_offset <= $4 order by base_offset desc limit 1), 0)
    order by base_offset limit 1";

pub(super) async fn expired_until(
    connection: &mut PgConnection,
    partition: PartitionId,
    retention: Retention,
    now: Millis,
) -> Result<Option<u64>, StoreError> {
    let Some(bounds) = bounds(connection, partition).await? else { return Ok(None) };
    let start = bounds.log_start_offset;
    let mut until = start;
    if let Some(ms) = retention.ms {
        // What comes after the bounds were read is young.
        let kept = first_kept(connection, YOUNG, partition, now.saturating_sub(ms), start).await?;
        until = until.max(kept.map_or(bounds.high_watermark, |kept| kept.min(bounds.high_watermark)));
    }
    if let Some(bytes) = retention.bytes
        && bounds.bytes > bytes
    {
        let kept = first_kept(connection, WITHIN, partition, bytes.max(1), start).await?;
        until = until.max(kept.unwrap_or(start));
    }
    Ok((until > start).then_some(until))
}

async fn first_kept(
    connection: &mut PgConnection,
    sql: &'static str,
    partition: PartitionId,
    threshold: u64,
    start: u64,
) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query(sql)
        .bind(partition.topic.0)
        .bind(integer(partition.partition))
        .bind(bigint(threshold))
        .bind(bigint(start))
        .fetch_optional(connection)
        .await
        .map_err(read_error)?;
    row.map(|row| number(&row, 0)).transpose()
}

pub(super) const PARTITIONS: &str = "
    select p.topic_id, p.partition, first.end_offset <= p.log_start_offset
    from partitions p
    cross join lateral (
        select b.base_offset + b.record_count as end_offset from batches b
        where b.topic_id = p.topic_id and b.partition = p.partition order by b.base_offset limit 1) first
    where (p.topic_id, p.partition) > ($1, $2)
    order by p.topic_id, p.partition limit $3";

pub(super) async fn partitions_with_batches(
    connection: &mut PgConnection,
    after: Option<PartitionId>,
    limit_to: usize,
) -> Result<Vec<Stocked>, StoreError> {
    let (topic, partition) = after.map_or((-1, -1), |after| (after.topic.0, integer(after.partition)));
    let rows = sqlx::query(PARTITIONS)
        .bind(topic)
        .bind(partition)
        .bind(limit(limit_to))
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    rows.iter()
        .map(|row| {
            let topic = TopicId(row.try_get(0).map_err(StoreError::corrupt)?);
            let id = PartitionId { topic, partition: small_number(row, 1)? };
            Ok(Stocked { id, has_dropped: row.try_get(2).map_err(StoreError::corrupt)? })
        })
        .collect()
}
