//! The connections of one node.

use std::fs::File;

use sqlx::PgPool;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres as Driver;
use tokio::sync::Mutex;

use crate::store::error::StoreError;
use crate::store::postgres::error::read_error;
use crate::store::postgres::lane::Lane;
use crate::store::postgres::news::Herald;

/// One node's view of the database. It remembers nothing that another node could change.
#[derive(Debug)]
pub(super) struct Postgres {
    /// What appends. (Several could, with each partition always in the same one.)
    pub(super) lane: Mutex<Lane>,
    /// All else.
    pub(super) pool: PgPool,
    /// What other nodes are told, and tell.
    pub(super) herald: Herald,
    pub(super) partitions_max: u64,
    pub(super) idempotency_ms: u64,
    /// Keeps the data directory this process's own, until the store is closed.
    pub(super) directory: Mutex<Option<File>>,
}

impl Postgres {
    /// A connection, as soon as one is free.
    pub(super) async fn connection(&self) -> Result<PoolConnection<Driver>, StoreError> {
        self.pool.acquire().await.map_err(read_error)
    }
}
