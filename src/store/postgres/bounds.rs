//! How long a call may take.

use std::time::Duration;

use tokio::time::timeout;

use crate::store::error::StoreError;

/// How long a call may take, with all it waits for: a connection, the statement, and finding out what became of a flush.
/// Who waits for a call is to be answered within five seconds. The server ends a statement earlier; this is for a
/// server, or a network, that says nothing any more.
pub(super) const PATIENCE: Duration = Duration::from_millis(4_500);

/// How long a look beside a flush may take.
pub(super) const LOOK_MAX: Duration = Duration::from_secs(2);

/// What is said of one that took longer.
pub(super) const SILENT: &str = "it does not answer";

/// Bounds a call that writes nothing, on a connection beside the pool.
pub(super) async fn reading<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(PATIENCE, call).await.unwrap_or_else(|_| Err(StoreError::Unavailable(SILENT.into())))
}
