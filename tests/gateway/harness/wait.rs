//! Waiting for conditions, always with a deadline that fails loudly.

use std::future::Future;
use std::time::Duration;
use std::time::Instant;

/// How long anything may take before the suite calls it lost. Generous: the machine may be busy, and a test that
/// passes never waits this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Awaits `work` and fails with `what` if it is not there within `DEADLINE`.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    within(DEADLINE, what, work).await
}

/// Awaits `work` and fails with `what` if it is not there within `limit`.
pub(crate) async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, work).await {
        Ok(value) => value,
        Err(_) => panic!("not within {limit:?}: {what}"),
    }
}

/// Asks again until `probe` has an answer, and fails with `what` if it has none within `DEADLINE`.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
