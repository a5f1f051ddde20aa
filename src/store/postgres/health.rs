//! Whether the database answers. Once a call has waited for it in vain, those who waited behind that call, and those who
//! come, are refused at once: nobody waits twice, and nobody in a line. One call at a time finds out whether it is back.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::store::error::StoreError;
use crate::store::postgres::bounds::PATIENCE;

/// After a call has waited in vain, the next is let through this much later: longer than it takes those who waited
/// behind it to find out.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// If another call was answered so recently, the database is there, and one that waits in vain has met with something
/// else: too few connections, or one that leads nowhere.
const RECENTLY: Duration = Duration::from_secs(1);

/// What is known of it.
#[derive(Debug)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug)]
struct State {
    answered: Instant,
    /// It does not answer, and is asked again from then on.
    ask_again: Option<Instant>,
}

impl Health {
    /// It has just answered.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { answered: Instant::now(), ask_again: None }))
    }

    /// Whether a call may be made now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while it does not answer.
    pub(super) fn admit(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        let Some(ask_again) = &mut state.ask_again else { return Ok(()) };
        let now = Instant::now();
        if now < *ask_again {
            return Err(StoreError::Unavailable("it did not answer a moment ago".into()));
        }
        // This call finds out; others need not wait for the same.
        *ask_again = now + PATIENCE;
        Ok(())
    }

    /// A call was answered.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        state.answered = Instant::now();
        if state.ask_again.take().is_some() {
            tracing::info!("the database answers again");
        }
    }

    /// A call failed without waiting.
    pub(super) fn failed(&self) {
        if let Some(ask_again) = &mut self.state().ask_again {
            *ask_again = Instant::now() + ASK_AGAIN;
        }
    }

    /// A call waited in vain.
    pub(super) fn silent(&self) {
        let mut state = self.state();
        if state.answered.elapsed() < RECENTLY {
            return;
        }
        if state.ask_again.replace(Instant::now() + ASK_AGAIN).is_none() {
            tracing::warn!("the database does not answer: calls are refused until it does");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if nothing had been answered for so long.
    #[cfg(test)]
    pub(super) fn be_silent_since(&self, silence: Duration) {
        let mut state = self.state();
        state.answered = state.answered.checked_sub(silence).expect("the machine runs for longer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_in_vain_spares_the_others_the_wait() {
        let health = Health::new();
        health.silent();
        health.admit().expect("somebody was answered just now: it is there");
        health.be_silent_since(2 * RECENTLY);
        health.silent();
        assert!(health.admit().is_err());
        health.state().ask_again = Some(Instant::now());
        health.admit().expect("one finds out");
        assert!(health.admit().is_err(), "and one alone");
        health.answered();
        health.admit().expect("it is back");
    }
}
