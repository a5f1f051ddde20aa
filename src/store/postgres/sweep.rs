//! Which node keeps the logs short: the one that holds the row of `sweeps` (migrations/postgres/0002_batches.sql). A lease,
//! not a lock of a session, so that a node that is paused with its connections open does not keep the others from it.

use sqlx::PgConnection;

use crate::model::time::Millis;
use crate::store::error::StoreError;
use crate::store::postgres::error::write_error;
use crate::store::postgres::values::optional_number;

/// For how long a node that has fallen silent is waited for. It asks every second.
const LEASE_MS: i64 = 10_000;

/// The time by the database's clock if it is for this node to sweep.
pub(super) async fn turn(connection: &mut PgConnection, node: i64) -> Result<Option<Millis>, StoreError> {
    let rows = sqlx::query("select tidegate_sweep($1, $2)")
        .bind(node)
        .bind(LEASE_MS)
        .fetch_all(connection)
        .await
        .map_err(write_error)?;
    rows.first().map_or(Ok(None), |row| optional_number(row, 0))
}
