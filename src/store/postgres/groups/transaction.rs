//! Transactions that change groups, and the time they work with: the database's.

use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::postgres::Postgres as Driver;

use crate::model::time::Millis;
use crate::store::error::StoreError;
use crate::store::postgres::error::read_error;
use crate::store::postgres::error::write_error;
use crate::store::postgres::values::number;

/// The class of the advisory locks that tell which transactions are under way. Any number will do.
const UNDER_WAY: i32 = 0x7464_6772;

/// The second that the number of such a lock counts from, so that it fits an `integer`: in November 2023.
const SECOND_ZERO: i64 = 1_700_000_000;

/// Begins a transaction that may give leases. Until it is over, a shared advisory lock bears the second it began in:
/// whatever it gives runs from then on or later.
pub(super) async fn begin(connection: &mut PgConnection) -> Result<sqlx::Transaction<'_, Driver>, StoreError> {
    let mut transaction = connection.begin().await.map_err(read_error)?;
    let sql = "select pg_advisory_xact_lock_shared($1, (tidegate_now() / 1000 - $2)::integer)";
    let marked = sqlx::query(sql).bind(UNDER_WAY).bind(SECOND_ZERO).execute(&mut *transaction).await;
    marked.map_err(read_error)?;
    Ok(transaction)
}

/// Ends one. `Err` means that nothing was changed, or that nobody knows.
pub(super) async fn commit(transaction: sqlx::Transaction<'_, Driver>) -> Result<(), StoreError> {
    transaction.commit().await.map_err(write_error)
}

/// The database's clock. Asked for after the locks were taken, so that who comes later has the later time.
pub(super) async fn now(connection: &mut PgConnection) -> Result<Millis, StoreError> {
    let row = sqlx::query("select tidegate_now()").fetch_one(connection).await.map_err(read_error)?;
    number(&row, 0)
}

/// A moment at or before `now` such that every lease given before it is committed. `now` was asked for before.
pub(super) async fn settled_until(connection: &mut PgConnection, now: Millis) -> Result<Millis, StoreError> {
    let sql = "
        select (min(objid::bigint) + $2) * 1000 from pg_locks
        where locktype = 'advisory' and classid = $1::bigint::oid and objsubid = 2
            and database = (select oid from pg_database where datname = current_database())";
    let earliest: Option<i64> =
        sqlx::query_scalar(sql).bind(UNDER_WAY).bind(SECOND_ZERO).fetch_one(connection).await.map_err(read_error)?;
    Ok(earliest.map_or(now, |earliest| now.min(earliest.unsigned_abs())))
}
