//! The connections of one node, and how long a call may take.

use std::fs::File;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres as Driver;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::store::error::StoreError;
use crate::store::postgres::error::read_error;
use crate::store::postgres::lane::Lane;
use crate::store::postgres::news::Herald;

/// How long a call may take once it has a connection. The server ends a statement earlier; this is for a server, or a
/// network, that says nothing any more.
const CALL_MAX: Duration = Duration::from_millis(4_500);

/// How long a look beside a flush may take.
pub(super) const LOOK_MAX: Duration = Duration::from_secs(2);

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

/// Bounds a call that writes nothing. Whatever it leaves behind on its connection is seen to when that is given back.
pub(super) async fn reading<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let silent = || StoreError::Unavailable("it does not answer".into());
    timeout(CALL_MAX, call).await.unwrap_or_else(|_| Err(silent()))
}

/// Bounds a call that writes.
pub(super) async fn writing<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let silent = || StoreError::Unresolved("it does not answer".into());
    timeout(CALL_MAX, call).await.unwrap_or_else(|_| Err(silent()))
}
