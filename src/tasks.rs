//! The only place that spawns. A node's tasks have a name and a class (essential or housekeeping), are told to stop by
//! one token, and are waited for at the end; whoever is late is named.
//!
//! Two helpers stand beside them for work that belongs to a request: [`run`] and [`blocking`] give a future or a
//! closure a task of its own, so that a caller that is dropped (a client that hung up) never cancels it halfway.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinError;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of a node, or of one part of it. A clone is the same set.
#[derive(Clone, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    tracker: TaskTracker,
    stopping: CancellationToken,
    /// Cancelled once the first essential task has ended; `failure` is written before.
    failed: CancellationToken,
    failure: Mutex<Option<Failure>>,
    /// How many tasks of each name are running, so that a late one can be named.
    running: Mutex<BTreeMap<&'static str, usize>>,
}

/// Why the node cannot go on: an essential task ended although nobody asked it to.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the task `{task}` ended: {reason}")]
pub struct Failure {
    /// The name the task was spawned with.
    pub task: &'static str,
    /// Its error, or that it panicked or simply returned.
    pub reason: String,
}

/// Tasks that did not end in time, by name, with how many of each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Late(pub Vec<(&'static str, usize)>);

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("still running:")?;
        for (name, count) in &self.0 {
            write!(f, " {name} ({count})")?;
        }
        Ok(())
    }
}

impl Tasks {
    /// The token that tells these tasks to end; a task that loops waits for it beside its work.
    pub fn stopping(&self) -> &CancellationToken {
        &self.inner.stopping
    }

    /// Runs `future` in the background. A panic in it is logged and ends nothing else.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let running = Running::enter(&self.inner, name);
        // Combined, not awaited in a block: a block would hold the future twice, as captured and as awaited, and there
        // is a task per connection.
        self.inner.tracker.spawn(AssertUnwindSafe(future).catch_unwind().map(move |outcome| {
            if outcome.is_err() {
                tracing::error!(task = name, "the task `{name}` panicked");
            }
            drop(running);
        }));
    }

    /// Runs `future` in the background, and ends the node with it: an error, a panic, and a return before
    /// [`Tasks::stopping`] is cancelled are all reported by [`Tasks::failed`].
    pub fn spawn_essential<E: fmt::Display>(
        &self,
        name: &'static str,
        future: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let running = Running::enter(&self.inner, name);
        let inner = Arc::clone(&self.inner);
        self.inner.tracker.spawn(async move {
            let reason = match AssertUnwindSafe(future).catch_unwind().await {
                Ok(Ok(())) if inner.stopping.is_cancelled() => None,
                Ok(Ok(())) => Some("it returned before it was asked to".to_owned()),
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("it panicked".to_owned()),
            };
            if let Some(reason) = reason {
                tracing::error!(task = name, reason, "the essential task `{name}` ended: {reason}");
                let mut failure = inner.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(Failure { task: name, reason });
                inner.failed.cancel();
            }
            drop(running);
        });
    }

    /// Waits until an essential task has ended unasked, and says which.
    pub async fn failed(&self) -> Failure {
        self.inner.failed.cancelled().await;
        let failure = self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone().expect("the failure is written before the token is cancelled")
    }

    /// Waits until every task has ended by itself, at most `within`. Tells nobody to stop.
    ///
    /// # Errors
    /// [`Late`] names the tasks that are still running then.
    pub async fn finish(&self, within: Duration) -> Result<(), Late> {
        self.inner.tracker.close();
        if timeout(within, self.inner.tracker.wait()).await.is_ok() {
            return Ok(());
        }
        let running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        Err(Late(running.iter().map(|(name, count)| (*name, *count)).collect()))
    }

    /// Tells every task to stop and waits for them, at most `within`.
    ///
    /// # Errors
    /// [`Late`] names the tasks that are still running then.
    pub async fn stop(&self, within: Duration) -> Result<(), Late> {
        self.inner.stopping.cancel();
        self.finish(within).await
    }
}

/// Counts a task as running for as long as it lives, however it ends.
struct Running {
    inner: Arc<Inner>,
    name: &'static str,
}

impl Running {
    fn enter(inner: &Arc<Inner>, name: &'static str) -> Self {
        *inner.running.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert(0) += 1;
        Self { inner: Arc::clone(inner), name }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(self.name);
            }
        }
    }
}

/// Runs `future` on a task of its own and returns what it returns. Dropping the returned future leaves the task running
/// to its end: this is how a database call survives a client that hangs up. A panic inside goes on in the caller.
pub async fn run<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    joined(tokio::spawn(future)).await
}

/// Runs `work` on the pool of blocking threads and returns what it returns; dropping and panics are as in [`run`].
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work)).await
}

async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(value) => value,
        Err(Ok(panic)) => resume_unwind(panic),
        // Nobody aborts these tasks but a runtime that is going down, and that takes the caller with it.
        Err(Err(_)) => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;

    use super::*;

    #[tokio::test]
    async fn a_dropped_caller_does_not_cancel_the_work() {
        let done = Arc::new(AtomicBool::new(false));
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let (told, ended) = tokio::sync::oneshot::channel::<()>();
        let flag = Arc::clone(&done);
        let mut caller = Box::pin(run(async move {
            wait.await.expect("the test sends");
            flag.store(true, Ordering::SeqCst);
            told.send(()).expect("the test waits");
        }));
        assert!(futures_util::poll!(&mut caller).is_pending());
        drop(caller);
        go.send(()).expect("the task is still there");
        ended.await.expect("the task runs to its end");
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_goes_on_in_the_caller() {
        let outcome = AssertUnwindSafe(run(async { panic!("inside") })).catch_unwind().await;
        assert!(outcome.is_err());
    }

    #[tokio::test]
    async fn an_essential_task_that_ends_is_a_failure() {
        let tasks = Tasks::default();
        tasks.spawn_essential("writer", async { Err("the disk is gone") });
        let failure = tasks.failed().await;
        assert_eq!((failure.task, failure.reason.as_str()), ("writer", "the disk is gone"));
    }

    #[tokio::test]
    async fn a_late_task_is_named() {
        let tasks = Tasks::default();
        tasks.spawn("sleeper", pending());
        let token = tasks.stopping().clone();
        tasks.spawn("polite", async move { token.cancelled().await });
        assert_eq!(tasks.stop(Duration::from_millis(50)).await, Err(Late(vec![("sleeper", 1)])));
    }
}
