//! What time does to groups: leases that begin anew with the clock, members and topics that are forgotten.

use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;

use crate::model::time::Millis;
use crate::store::error::StoreError;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::integer;
use crate::store::sqlite::writer::store_error;

/// Members forgotten in one turn.
const PURGE_ROWS: i64 = 500;

pub(super) const ANY_LEASE: &str = "
    select exists (select 1 from group_members where lease_end is not null)
        or exists (select 1 from group_partitions where owner is not null)";

/// Has every lease run its full length anew: the clock they were told by stopped with the process.
pub(in crate::store::sqlite) async fn restart_leases(writer: &mut Writer, now: Millis) -> Result<(), StoreError> {
    let any: bool = sqlx::query_scalar(ANY_LEASE).fetch_one(&mut writer.connection).await.map_err(store_error)?;
    if !any {
        return Ok(());
    }
    let sql = "begin immediate;
               update group_members set lease_end = ? + lease_ms where lease_end is not null;
               update group_partitions set lease_end = ? + coalesce((
                   select lease_ms from group_members m
                   where m.group_id = group_partitions.group_id and m.member = group_partitions.owner), 0)
               where owner is not null;
               commit";
    let mut arguments = SqliteArguments::default();
    arguments.add(integer(now)).map_err(StoreError::corrupt)?;
    arguments.add(integer(now)).map_err(StoreError::corrupt)?;
    writer.commit(sql.to_owned(), arguments).await
}

pub(super) const PURGE_MEMBERS: &str = "
    delete from group_members where (group_id, member) in (
        select group_id, member from group_members where ended_at < ?1 limit ?2)";

/// Forgets some of the members whose run was ended before `before`; true if more are left.
pub(in crate::store::sqlite) async fn purge_members(writer: &mut Writer, before: Millis) -> Result<bool, StoreError> {
    let done = sqlx::query(PURGE_MEMBERS)
        .bind(integer(before))
        .bind(PURGE_ROWS)
        .execute(&mut writer.connection)
        .await
        .map_err(store_error)?;
    Ok(done.rows_affected() == PURGE_ROWS.unsigned_abs())
}

pub(in crate::store::sqlite) const FORGET_TOPIC: &str = "
    delete from group_partitions where (group_id, topic_id, partition) in (
        select group_id, topic_id, partition from group_partitions where topic_id = ?1 limit ?2)";
