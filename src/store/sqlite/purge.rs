//! Dropping records: the log start moves first, in one row; the batches below it go later, a slice at a time.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::model::topic::PartitionId;
use crate::store::error::StoreError;
use crate::store::sqlite::groups::upkeep::FORGET_TOPIC;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::integer;
use crate::store::sqlite::writer::number;
use crate::store::sqlite::writer::store_error;

/// Batches deleted in one slice at most (invariants.md R-4).
const SLICE_ROWS: i64 = 256;

/// What a slice did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purged {
    /// Bytes of payload deleted.
    pub(super) bytes: u64,
    /// Whether there is more to delete.
    pub(super) more: bool,
}

pub(super) async fn advance_start(writer: &mut Writer, partition: PartitionId, to: u64) -> Result<u64, StoreError> {
    let Some(head) = writer.head(partition).await? else { return Ok(0) };
    if head.next_offset == 0 {
        return Ok(0); // nothing was ever written, and it gets no row for this
    }
    let sql = "
        insert into log_starts (topic_id, partition, log_start_offset) values (?1, ?2, ?3)
        on conflict do update set log_start_offset = max(log_start_offset, excluded.log_start_offset)
        returning log_start_offset";
    // All rows are fetched, not one: a statement that is left halfway commits without saying whether it could.
    let rows = sqlx::query(sql)
        .bind(partition.topic.0)
        .bind(i64::from(partition.partition))
        .bind(integer(to.min(head.next_offset)))
        .fetch_all(&mut writer.connection)
        .await
        .map_err(store_error)?;
    rows.first().map_or(Ok(0), |row| number(row, 0))
}

pub(super) const BELOW_START: &str = "
    select b.base_offset, length(b.payload)
    from log_starts s
    join batches b on b.topic_id = s.topic_id and b.partition = s.partition
        and b.base_offset < s.log_start_offset
    where s.topic_id = ?1 and s.partition = ?2 and b.base_offset + b.record_count <= s.log_start_offset
    order by b.base_offset limit ?3";

pub(super) const DELETE_UP_TO: &str =
    "delete from batches where topic_id = ?1 and partition = ?2 and base_offset <= ?3";

pub(super) async fn below_log_start(
    writer: &mut Writer,
    partition: PartitionId,
    bytes_max: u64,
) -> Result<Purged, StoreError> {
    let rows = sqlx::query(BELOW_START)
        .bind(partition.topic.0)
        .bind(i64::from(partition.partition))
        .bind(SLICE_ROWS)
        .fetch_all(&mut writer.connection)
        .await
        .map_err(store_error)?;
    let (slice, purged) = slice(&rows, bytes_max)?;
    if let Some(last) = slice.last() {
        sqlx::query(DELETE_UP_TO)
            .bind(partition.topic.0)
            .bind(i64::from(partition.partition))
            .bind(integer(number(last, 0)?))
            .execute(&mut writer.connection)
            .await
            .map_err(store_error)?;
    }
    Ok(purged)
}

pub(super) const DELETED_TOPIC: &str = "select id from topics where deleted_at is not null order by id limit 1";

pub(super) const LEFT_BEHIND: &str = "
    select id, length(payload) from batches
    where topic_id = ?1 order by partition, base_offset limit ?2";

pub(super) const DELETE_LEFT_BEHIND: &str = "
    delete from batches where id in (
        select id from batches where topic_id = ?1 order by partition, base_offset limit ?2)";

pub(super) async fn deleted_topics(writer: &mut Writer, bytes_max: u64) -> Result<Purged, StoreError> {
    let topic: Option<i64> =
        sqlx::query_scalar(DELETED_TOPIC).fetch_optional(&mut writer.connection).await.map_err(store_error)?;
    let Some(topic) = topic else { return Ok(Purged { bytes: 0, more: false }) };
    let rows = sqlx::query(LEFT_BEHIND)
        .bind(topic)
        .bind(SLICE_ROWS)
        .fetch_all(&mut writer.connection)
        .await
        .map_err(store_error)?;
    let (slice, purged) = slice(&rows, bytes_max)?;
    if slice.is_empty() {
        let forgotten = sqlx::query(FORGET_TOPIC)
            .bind(topic)
            .bind(SLICE_ROWS)
            .execute(&mut writer.connection)
            .await
            .map_err(store_error)?;
        if forgotten.rows_affected() == SLICE_ROWS.unsigned_abs() {
            return Ok(Purged { bytes: 0, more: true });
        }
        // One text, one commit: a topic is either still marked or wholly gone.
        let sql = "begin immediate;
                   delete from log_starts where topic_id = ?;
                   delete from topics where id = ?;
                   commit";
        let mut arguments = sqlx::sqlite::SqliteArguments::default();
        for _ in 0..2 {
            sqlx::Arguments::add(&mut arguments, topic).map_err(StoreError::corrupt)?;
        }
        writer.commit(sql.to_owned(), arguments).await?;
        return Ok(Purged { bytes: 0, more: true });
    }
    sqlx::query(DELETE_LEFT_BEHIND)
        .bind(topic)
        .bind(slice.len() as i64)
        .execute(&mut writer.connection)
        .await
        .map_err(store_error)?;
    Ok(Purged { more: true, ..purged })
}

/// As many of `rows` (their second column is a size) as make up `bytes_max`, but at least one.
fn slice(rows: &[SqliteRow], bytes_max: u64) -> Result<(&[SqliteRow], Purged), StoreError> {
    let mut bytes = 0;
    for (i, row) in rows.iter().enumerate() {
        let size: i64 = row.try_get(1).map_err(StoreError::corrupt)?;
        bytes += size.unsigned_abs();
        if bytes >= bytes_max {
            return Ok((&rows[..=i], Purged { bytes, more: true }));
        }
    }
    Ok((rows, Purged { bytes, more: rows.len() == SLICE_ROWS.unsigned_abs() as usize }))
}
