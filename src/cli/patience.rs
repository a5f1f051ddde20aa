//! How long a command that reads on tries again what passes, and how often.

use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;

use crate::cli::output::say;
use crate::cli::problem::CallError;

/// The first pause where the gateway names none; each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_millis(250);

/// The longest pause where the gateway names none.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long a command that is to end tries in a row: a restart of the gateway is shorter.
const TROUBLE_MAX: Duration = Duration::from_secs(60);

/// The trouble that calls are in.
pub struct Patience {
    endless: bool,
    since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// No trouble yet. `endless`: never give up.
    pub fn new(endless: bool) -> Self {
        Self { endless, since: None, pause: PAUSE_MIN }
    }

    /// A call succeeded.
    pub fn restore(&mut self) {
        *self = Self::new(self.endless);
    }

    /// Waits until a call that came to nothing may be sent again, and says so on standard error.
    ///
    /// # Errors
    /// The error itself if it lasts, or the trouble has lasted too long.
    pub async fn bear(&mut self, error: CallError) -> Result<(), CallError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if !error.is_passing() || (!self.endless && since.elapsed() >= TROUBLE_MAX) {
            return Err(error);
        }
        let pause = error.problem().and_then(|problem| problem.retry_after).unwrap_or(self.pause);
        say(&format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
        sleep(pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}
