//! Vacuuming what was deleted, so that its space is used again. The server does so by itself, but looks only every minute
//! (`autovacuum_naptime`): by then a busy node has written more than a small retention keeps. So the node that sweeps asks
//! for it once it has deleted a thirtieth of the table.
//!
//! It goes on beside everything else: a vacuum holds up neither who reads nor who writes. If it may not or cannot, the
//! server's own still comes, by the settings of the table.

use std::time::Duration;

use sqlx::Connection;
use tokio::time::timeout;

use crate::store::error::StoreError;
use crate::store::postgres::connect;
use crate::store::postgres::database::Postgres;
use crate::store::postgres::error::is_locked;
use crate::store::postgres::error::read_error;

/// This part of the table may be deleted before it is vacuumed. Each vacuum reads the index whole, which is a fiftieth of
/// the table: at a thirtieth that is little beside the pages it frees.
const PART: u64 = 30;

/// At least so long from one look, or one vacuum, to the next.
const PAUSE: Duration = Duration::from_millis(250);

/// How long after a failure the next is tried.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Whether this role may (those who may not are only warned by the server), and how large the table is.
const LOOK: &str = "
    select pg_has_role(c.relowner, 'USAGE') or pg_has_role(d.datdba, 'USAGE'), pg_total_relation_size(c.oid)
    from pg_class c, pg_database d
    where c.oid = 'batches'::regclass and d.datname = current_database()";

/// Each time the index too, else nothing of it is used again.
const VACUUM: &str = "vacuum (index_cleanup on) batches";

impl Postgres {
    /// Returns when the store is closed.
    pub(super) async fn vacuum_forever(&self) {
        let vacuuming = async {
            loop {
                let debt = self.debt.grown().await;
                let pause = match self.vacuum(debt).await {
                    Ok(paid) => {
                        self.debt.pay(paid);
                        PAUSE
                    }
                    Err(error) => {
                        tracing::warn!(%error, "deleted batches could not be vacuumed away; it is tried again");
                        TRY_AGAIN
                    }
                };
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = vacuuming => {}
            () = self.pool.close_event() => {}
        }
    }

    /// If it is time: how much of the debt is paid.
    async fn vacuum(&self, debt: u64) -> Result<u64, StoreError> {
        let (mut connection, patience) = self.connection().await?;
        let look = async { sqlx::query_as(LOOK).fetch_one(&mut *connection).await.map_err(read_error) };
        let (may, size): (bool, i64) = patience.reading(look).await?;
        drop(connection);
        if debt < size.unsigned_abs() / PART {
            return Ok(0);
        }
        if !may {
            tracing::warn!("this role does not own the table `batches` and may not vacuum it: the server has to");
            return Ok(debt);
        }
        let mut connection = connect::vacuum(&self.pool.connect_options()).await.map_err(read_error)?;
        let paid = match sqlx::raw_sql(VACUUM).execute(&mut connection).await {
            Ok(_) => debt,
            // The server's own is at work on the table. What was deleted since it began is looked at again.
            Err(error) if is_locked(&error) => 0,
            Err(error) => return Err(read_error(error)),
        };
        // Done is done, however the farewell goes.
        let _ = timeout(TRY_AGAIN, connection.close()).await;
        Ok(paid)
    }
}
