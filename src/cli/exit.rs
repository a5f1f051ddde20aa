//! What the exit status of a command says.

use crate::cli::problem::CallError;

/// It did not come to its end.
pub const FAILED: u8 = 1;
/// The gateway refused, and what it refused was not done. (2 is a command line that is wrong, by clap.)
pub const REFUSED: u8 = 3;
/// It was ended by a signal before it was done (128 and the number of SIGINT, as shells have it).
pub const INTERRUPTED: u8 = 130;

/// A signal ended a command before it was done.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// The exit status for a failure.
pub fn status(error: &anyhow::Error) -> u8 {
    let is_refusal = |cause: &CallError| cause.is_refusal();
    if error.is::<Interrupted>() {
        INTERRUPTED
    } else if error.downcast_ref::<CallError>().is_some_and(is_refusal) {
        REFUSED
    } else {
        FAILED
    }
}
