//! What time does to groups: members and topics that are forgotten. (Leases go on while nodes stop and start: their clock
//! is the database's.)

use sqlx::PgConnection;

use crate::model::time::Millis;
use crate::store::error::StoreError;
use crate::store::postgres::error::read_error;
use crate::store::postgres::error::write_error;
use crate::store::postgres::groups::transaction;
use crate::store::postgres::values::bigint;

/// Members forgotten in one turn.
const PURGE_ROWS: i64 = 500;

/// One that begins a new run meanwhile is locked by that, and has not ended any more.
pub(in crate::store::postgres) const PURGE_MEMBERS: &str = "
    delete from group_members where (group_id, member) in (
        select group_id, member from group_members where ended_at < $1 order by ended_at limit $2
        for update skip locked)";

/// Forgets some of the members whose run was ended before `before`; true if more are left.
pub(in crate::store::postgres) async fn purge_members(
    connection: &mut PgConnection,
    before: Millis,
) -> Result<bool, StoreError> {
    let done = sqlx::query(PURGE_MEMBERS)
        .bind(bigint(before))
        .bind(PURGE_ROWS)
        .execute(connection)
        .await
        .map_err(write_error)?;
    Ok(done.rows_affected() == PURGE_ROWS.unsigned_abs())
}

/// Forgets up to `rows` of what one group has of a topic; false if no group has anything of it.
pub(in crate::store::postgres) async fn forget_topic(
    connection: &mut PgConnection,
    topic: i64,
    rows: i64,
) -> Result<bool, StoreError> {
    let sql = "select group_id from group_partitions where topic_id = $1 limit 1";
    let group: Option<i64> =
        sqlx::query_scalar(sql).bind(topic).fetch_optional(&mut *connection).await.map_err(read_error)?;
    let Some(group) = group else { return Ok(false) };
    let mut transaction = transaction::begin(connection).await?;
    let locked = sqlx::query("select 1 from groups where id = $1 for update").bind(group);
    locked.execute(&mut *transaction).await.map_err(read_error)?;
    let sql = "
        delete from group_partitions where group_id = $1 and topic_id = $2 and partition in (
            select partition from group_partitions where group_id = $1 and topic_id = $2 order by partition limit $3)";
    sqlx::query(sql).bind(group).bind(topic).bind(rows).execute(&mut *transaction).await.map_err(read_error)?;
    transaction::commit(transaction).await?;
    Ok(true)
}
