//! What the store does by itself beside vacuuming: it forgets the lanes of nodes that are long gone.

use std::time::Duration;

use tokio::time::timeout;

use crate::store::contract::LogStore;
use crate::store::error::StoreError;
use crate::store::postgres::database::Postgres;
use crate::store::postgres::error::write_error;

/// How often.
const INTERVAL: Duration = Duration::from_secs(3600);

/// A lane that has not flushed for so long is taken for that of a node that is gone. If it is not, its node finds the
/// row missing with the next flush, and makes a new one.
const LANE_KEPT_MS: i64 = 24 * 3_600_000;

impl Postgres {
    /// Returns when the store is closed.
    pub(super) async fn forget_lanes_forever(&self) {
        loop {
            if self.pool.is_closed() {
                return;
            }
            if let Err(error) = self.forget_lanes().await {
                tracing::warn!(%error, "old lanes could not be forgotten; the next round tries again");
            }
            if timeout(INTERVAL, self.pool.close_event()).await.is_ok() {
                return;
            }
        }
    }

    async fn forget_lanes(&self) -> Result<(), StoreError> {
        if self.sweep_turn().await?.is_none() {
            return Ok(()); // another node does
        }
        let (mut connection, patience) = self.connection().await?;
        let forget = sqlx::query("delete from lanes where touched_at < tidegate_now() - $1").bind(LANE_KEPT_MS);
        patience.writing(async { forget.execute(&mut *connection).await.map(drop).map_err(write_error) }).await
    }
}
