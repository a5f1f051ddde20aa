//! Dropping records: the log start moves first, in one row; the batches below it go later, a slice at a time. Several
//! nodes may do so at once.

use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::model::topic::PartitionId;
use crate::store::error::StoreError;
use crate::store::postgres::error::read_error;
use crate::store::postgres::error::write_error;
use crate::store::postgres::groups::upkeep::forget_topic;
use crate::store::postgres::values::bigint;
use crate::store::postgres::values::integer;
use crate::store::postgres::values::number;

/// Rows deleted in one slice at most (invariants.md R-4).
const SLICE_ROWS: i64 = 256;

/// Rows of partitions deleted in one slice at most: they are small.
const PARTITION_ROWS: i64 = 1000;

/// What a slice did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purged {
    /// Bytes of payload deleted.
    pub(super) bytes: u64,
    /// Whether there is more to delete.
    pub(super) more: bool,
}

pub(super) async fn advance_start(
    connection: &mut PgConnection,
    partition: PartitionId,
    to: u64,
) -> Result<u64, StoreError> {
    let rows = sqlx::query("select tidegate_advance($1, $2, $3)")
        .bind(partition.topic.0)
        .bind(integer(partition.partition))
        .bind(bigint(to))
        .fetch_all(connection)
        .await
        .map_err(write_error)?;
    rows.first().map_or(Ok(0), |row| number(row, 0))
}

pub(super) const BELOW_START: &str = "
    select b.base_offset, octet_length(b.payload)::bigint
    from partitions p
    join batches b on b.topic_id = p.topic_id and b.partition = p.partition
        and b.base_offset < p.log_start_offset
    where p.topic_id = $1 and p.partition = $2 and b.base_offset + b.record_count <= p.log_start_offset
    order by b.base_offset limit $3";

pub(super) const DELETE_UP_TO: &str =
    "delete from batches where topic_id = $1 and partition = $2 and base_offset <= $3";

pub(super) async fn below_log_start(
    connection: &mut PgConnection,
    partition: PartitionId,
    bytes_max: u64,
) -> Result<Purged, StoreError> {
    let rows = sqlx::query(BELOW_START)
        .bind(partition.topic.0)
        .bind(integer(partition.partition))
        .bind(SLICE_ROWS)
        .fetch_all(&mut *connection)
        .await
        .map_err(read_error)?;
    let (slice, purged) = slice(&rows, bytes_max)?;
    if let Some(last) = slice.last() {
        sqlx::query(DELETE_UP_TO)
            .bind(partition.topic.0)
            .bind(integer(partition.partition))
            .bind(bigint(number(last, 0)?))
            .execute(connection)
            .await
            .map_err(write_error)?;
    }
    Ok(purged)
}

pub(super) const DELETED_TOPIC: &str = "select id from topics where deleted_at is not null order by id limit 1";

/// An append that is under way holds the row: it is waited for. None comes after it, for who makes a row anew has the
/// topic living, and locked.
pub(super) const CLOSE_PARTITIONS: &str = "
    delete from partitions where topic_id = $1 and partition in (
        select partition from partitions where topic_id = $1 order by partition limit $2 for update)";

pub(super) const LEFT_BEHIND: &str = "
    select partition, octet_length(payload)::bigint, base_offset from batches
    where topic_id = $1 order by topic_id, partition, base_offset limit $2";

pub(super) const DELETE_LEFT_BEHIND: &str = "
    delete from batches where topic_id = $1 and (partition, base_offset) in (
        select partition, base_offset from batches
        where topic_id = $1 order by topic_id, partition, base_offset limit $2)";

/// First the rows of partitions, so that nothing can be added; then batches; then what groups have of the topic; then the
/// topic.
pub(super) async fn deleted_topics(connection: &mut PgConnection, bytes_max: u64) -> Result<Purged, StoreError> {
    let topic: Option<i64> =
        sqlx::query_scalar(DELETED_TOPIC).fetch_optional(&mut *connection).await.map_err(read_error)?;
    let Some(topic) = topic else { return Ok(Purged { bytes: 0, more: false }) };
    let closed = sqlx::query(CLOSE_PARTITIONS)
        .bind(topic)
        .bind(PARTITION_ROWS)
        .execute(&mut *connection)
        .await
        .map_err(write_error)?;
    if closed.rows_affected() > 0 {
        return Ok(Purged { bytes: 0, more: true });
    }
    let rows =
        sqlx::query(LEFT_BEHIND).bind(topic).bind(SLICE_ROWS).fetch_all(&mut *connection).await.map_err(read_error)?;
    let (slice, purged) = slice(&rows, bytes_max)?;
    if !slice.is_empty() {
        sqlx::query(DELETE_LEFT_BEHIND)
            .bind(topic)
            .bind(slice.len() as i64)
            .execute(connection)
            .await
            .map_err(write_error)?;
        return Ok(Purged { more: true, ..purged });
    }
    if !forget_topic(connection, topic, SLICE_ROWS).await? {
        // A group that still takes it in has locked the row, and has added to itself what the next turn finds.
        let mut transaction = connection.begin().await.map_err(read_error)?;
        let locked = sqlx::query("select 1 from topics where id = $1 for update").bind(topic);
        locked.execute(&mut *transaction).await.map_err(read_error)?;
        let sql = "delete from topics where id = $1 and not exists (
            select 1 from group_partitions where topic_id = $1)";
        sqlx::query(sql).bind(topic).execute(&mut *transaction).await.map_err(read_error)?;
        transaction.commit().await.map_err(write_error)?;
    }
    Ok(Purged { bytes: 0, more: true })
}

/// As many of `rows` (their second column is a size) as make up `bytes_max`, but at least one.
fn slice(rows: &[PgRow], bytes_max: u64) -> Result<(&[PgRow], Purged), StoreError> {
    let mut bytes = 0;
    for (i, row) in rows.iter().enumerate() {
        bytes += number(row, 1)?;
        if bytes >= bytes_max {
            return Ok((&rows[..=i], Purged { bytes, more: true }));
        }
    }
    Ok((rows, Purged { bytes, more: rows.len() == SLICE_ROWS.unsigned_abs() as usize }))
}
