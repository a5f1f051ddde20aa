//! The calls of members, gathered: what arrives while one transaction is under way forms the next, and what is not urgent
//! waits for company first. So a thousand idle members do not mean a thousand transactions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use crate::store::contract::Store;
use crate::store::error::StoreError;
use crate::store::group_contract::Step;
use crate::store::group_contract::StepRefused;
use crate::store::group_contract::Stepped;
use crate::telemetry::metrics::Metrics;

/// Steps in one transaction at most.
pub(super) const BATCH_MAX: usize = 1024;

/// How long a step that can wait does so.
pub const COMPANY_MAX: Duration = Duration::from_millis(250);

/// Whether somebody waits for the outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Yes.
    Now,
    /// Not before [`COMPANY_MAX`] has passed: others may come along.
    WithOthers,
}

/// Why a step was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StepError {
    /// The rules of the group refuse it.
    #[error("the step was refused")]
    Refused(StepRefused),
    /// The transaction failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many wait. Nothing was changed.
    #[error("too many members' calls are waiting")]
    Overloaded,
    /// The node is stopping. Nothing was changed.
    #[error("the node is stopping")]
    Closed,
}

/// A step with what its caller waits for.
pub(super) struct Call {
    pub(super) step: Step,
    pub(super) urgency: Urgency,
    pub(super) reply: oneshot::Sender<Result<Stepped, StepError>>,
}

/// Runs until `stopping` is cancelled and everything accepted is answered. `freed` hears of every step that was taken.
///
/// # Errors
/// If the outcome of a transaction is unknown: only a new start, which reads what is there, may write again.
pub(super) async fn run(
    mut inbox: mpsc::Receiver<Call>,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
    freed: impl Fn(&Step, &Stepped),
) -> Result<(), StoreError> {
    let mut calls = Vec::with_capacity(BATCH_MAX);
    loop {
        tokio::select! {
            biased;
            () = stopping.cancelled(), if !inbox.is_closed() => {
                inbox.close();
                continue;
            }
            count = inbox.recv_many(&mut calls, BATCH_MAX) => {
                if count == 0 {
                    return Ok(());
                }
            }
        }
        let until = Instant::now() + COMPANY_MAX;
        while calls.len() < BATCH_MAX && calls.iter().all(|call| call.urgency == Urgency::WithOthers) {
            let room = BATCH_MAX - calls.len();
            match timeout_at(until, inbox.recv_many(&mut calls, room)).await {
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => break,
            }
        }
        flush(&*store, &metrics, &mut calls, &freed).await?;
    }
}

async fn flush(
    store: &dyn Store,
    metrics: &Metrics,
    calls: &mut Vec<Call>,
    freed: &impl Fn(&Step, &Stepped),
) -> Result<(), StoreError> {
    let (steps, replies): (Vec<_>, Vec<_>) = calls.drain(..).map(|call| (call.step, call.reply)).unzip();
    let began = Instant::now();
    let taken = store.step(steps.clone()).await;
    metrics.groups.steps.add(steps.len() as u64);
    metrics.groups.flush_steps.observe(steps.len() as u64);
    metrics.groups.flush_duration.observe(began.elapsed());
    let outcomes = match taken {
        Ok(outcomes) => outcomes,
        Err(error) => {
            for reply in replies {
                let _ = reply.send(Err(StepError::Store(error.clone())));
            }
            return if matches!(error, StoreError::Indefinite(_)) { Err(error) } else { Ok(()) };
        }
    };
    assert_eq!(outcomes.len(), replies.len(), "one outcome per step");
    for ((step, reply), outcome) in steps.iter().zip(replies).zip(outcomes) {
        if let Ok(stepped) = &outcome {
            freed(step, stepped);
        }
        // A caller who has left has taken its step all the same.
        let _ = reply.send(outcome.map_err(StepError::Refused));
    }
    Ok(())
}
