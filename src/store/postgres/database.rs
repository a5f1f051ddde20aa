//! The connections of one node.

use std::fs::File;

use sqlx::PgPool;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres as Driver;
use tokio::sync::Mutex;
use tokio::sync::MutexGuard;

use crate::store::error::StoreError;
use crate::store::postgres::debt::Debt;
use crate::store::postgres::error::read_error;
use crate::store::postgres::health::Health;
use crate::store::postgres::lane::Lane;
use crate::store::postgres::news::Herald;
use crate::store::postgres::patience::Patience;

/// One node's view of the database. It remembers nothing that another node could change.
#[derive(Debug)]
pub(super) struct Postgres {
    /// What appends: while one commits, the next goes on. Which partition is in which does not matter: the order is that of
    /// the locks on the partitions' rows, which every append takes in the same order. (Those of one node are given nothing
    /// to wait for each other.)
    pub(super) lanes: Vec<Mutex<Lane>>,
    /// All else.
    pub(super) pool: PgPool,
    /// What calls on the pool have met.
    pub(super) health: Health,
    /// What other nodes are told, and tell.
    pub(super) herald: Herald,
    /// Random: which of the nodes this is.
    pub(super) number: i64,
    /// What was deleted, and takes up space as before.
    pub(super) debt: Debt,
    pub(super) partitions_max: u64,
    pub(super) groups_max: u64,
    pub(super) idempotency_ms: u64,
    /// Keeps the data directory this process's own, until the store is closed.
    pub(super) directory: Mutex<Option<File>>,
}

impl Postgres {
    /// A lane, as soon as one is free.
    pub(super) async fn free_lane(&self) -> MutexGuard<'_, Lane> {
        if let Some(lane) = self.lanes.iter().find_map(|lane| lane.try_lock().ok()) {
            return lane;
        }
        self.lanes[fastrand::usize(..self.lanes.len())].lock().await
    }

    /// A connection, as soon as one is free, and how long the call that it is for may take.
    pub(super) async fn connection(&self) -> Result<(PoolConnection<Driver>, Patience<'_>), StoreError> {
        self.health.admit()?;
        let patience = Patience::begin(&self.health);
        match self.pool.acquire().await {
            Ok(connection) => Ok((connection, patience)),
            Err(error) => {
                if matches!(error, sqlx::Error::PoolTimedOut) {
                    self.health.silent()
                } else {
                    self.health.failed()
                }
                Err(read_error(error))
            }
        }
    }
}
