//! One call on the pool: bounded as a whole, from before it has a connection, and what it met is noted.

use std::time::Instant;

use tokio::time::timeout_at;

use crate::store::error::StoreError;
use crate::store::postgres::bounds::PATIENCE;
use crate::store::postgres::bounds::SILENT;
use crate::store::postgres::health::Health;

/// How long a call may still take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience<'a> {
    until: Instant,
    health: &'a Health,
}

impl<'a> Patience<'a> {
    /// Begins now.
    pub(super) fn begin(health: &'a Health) -> Self {
        Self { until: Instant::now() + PATIENCE, health }
    }

    /// Bounds a call that writes nothing. Whatever it leaves behind on its connection is seen to when that is given back.
    pub(super) async fn reading<T>(self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.bound(call).await.unwrap_or_else(|| Err(StoreError::Unavailable(SILENT.into())))
    }

    /// Bounds a call that writes.
    pub(super) async fn writing<T>(self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.bound(call).await.unwrap_or_else(|| Err(StoreError::Unresolved(SILENT.into())))
    }

    async fn bound<T>(self, call: impl Future<Output = Result<T, StoreError>>) -> Option<Result<T, StoreError>> {
        let outcome = timeout_at(self.until.into(), call).await;
        match &outcome {
            Ok(Ok(_)) => self.health.answered(),
            Ok(Err(_)) => self.health.failed(),
            Err(_) => self.health.silent(),
        }
        outcome.ok()
    }
}
