//! How long a call may take.

use std::time::Duration;

use tokio::time::timeout;

use crate::store::error::StoreError;

/// How long a call may take once it has a connection. The server ends a statement earlier; this is for a server, or a
/// network, that says nothing any more.
const CALL_MAX: Duration = Duration::from_millis(4_500);

/// How long a look beside a flush may take.
pub(super) const LOOK_MAX: Duration = Duration::from_secs(2);

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
