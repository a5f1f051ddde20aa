//! How the node is seen to run: one tracing subscriber, as text for people or as JSON lines for machines, on standard
//! error, because standard output carries only what other programs wait for (`listening on …`).

pub mod audit;
pub mod metrics;
pub mod traces;

use std::io::IsTerminal;
use std::io::stderr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One line of text per event, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// How log lines look.
    pub format: Format,
    /// What is logged, in the syntax of `tracing`'s `EnvFilter`: `info`, `warn,tidegate=debug`, …
    pub filter: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { format: Format::Text, filter: "info".to_owned() }
    }
}

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The filter does not parse.
    #[error("the log filter `{filter}` is not understood: {reason}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What the parser says.
        reason: String,
    },
    /// Another subscriber is installed in this process already.
    #[error("logging has been started twice in this process")]
    Twice,
}

/// Installs the subscriber for the whole process.
///
/// # Errors
/// A filter that does not parse, or a second call.
pub fn start(options: &Options) -> Result<(), StartError> {
    let filter = EnvFilter::try_new(&options.filter)
        .map_err(|error| StartError::Filter { filter: options.filter.clone(), reason: error.to_string() })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match options.format {
        Format::Text => builder.with_ansi(stderr().is_terminal()).finish().try_init(),
        Format::Json => builder.json().flatten_event(true).finish().try_init(),
    }
    .map_err(|_| StartError::Twice)
}
