//! The flags of the commands that look after a machine: `doctor`, `bench`, `backup`.

use std::env;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::value_parser;

use crate::cli::backup;
use crate::cli::bench;
use crate::cli::client::Gateway;
use crate::cli::doctor;
use crate::cli::url::ServerUrl;
use crate::config::client::EXIT_STATUS;
use crate::http::server;
use crate::model::limits::Limits;
use crate::store;

/// `tidegate doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status:\n  0  all is well, or works\n  1  something does not work as it must\n  \
    2  the command line is wrong\n130  it was interrupted")]
#[allow(rustdoc::bare_urls)] // these comments are the help text
pub(super) struct Doctor {
    /// Directory of the data, as the gateway has it
    #[arg(long, env = "TIDEGATE_DATA_DIR", value_name = "DIR", default_value = "./tidegate-data")]
    data_dir: PathBuf,
    /// PostgreSQL database that is used instead of SQLite
    #[arg(long, env = "TIDEGATE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(super) database_url: Option<String>,
    /// Connections to the database beside those that write records
    #[arg(long, env = "TIDEGATE_READERS", value_name = "N", default_value_t = store::READERS_DEFAULT,
        value_parser = value_parser!(u32).range(1..=64))]
    readers: u32,
    /// On PostgreSQL, connections that write records
    #[arg(long, env = "TIDEGATE_LANES", value_name = "N", default_value_t = store::LANES_DEFAULT,
        value_parser = value_parser!(u32).range(1..=64))]
    lanes: u32,
    /// Connections that the gateway is to take
    #[arg(long, env = "TIDEGATE_CONNECTIONS_MAX", value_name = "N",
        default_value_t = server::Options::default().connections_max as u64,
        value_parser = value_parser!(u64).range(1..=10_000_000))]
    connections_max: u64,
    /// Where clients find the gateway, such as https://events.example.com: what stands between is tried with a topic that is
    /// deleted afterwards (repeatable)
    #[arg(long, env = "TIDEGATE_PUBLIC_URL", value_name = "URL", value_delimiter = ',')]
    public_url: Vec<ServerUrl>,
    /// The key to call it with; better said by the variable
    #[arg(long, env = "TIDEGATE_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
    /// How long a proxy is watched while nothing is said, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 20_000, value_parser = value_parser!(u64).range(100..=Limits::default().wait_ms))]
    silence_ms: u64,
}

impl Doctor {
    /// What to look at.
    pub(super) fn into_options(self, postgres: Option<store::PostgresUrl>) -> doctor::Options {
        doctor::Options {
            store: store::Options {
                data_dir: self.data_dir,
                postgres,
                partitions_max: Limits::default().partitions,
                groups_max: store::GROUPS_MAX_DEFAULT,
                idempotency_ms: 0,
                wal_bytes_max: store::WAL_BYTES_MAX_DEFAULT,
                readers: self.readers,
                lanes: self.lanes,
            },
            connections_max: self.connections_max,
            public_urls: self.public_url,
            key: self.key,
            silence: Duration::from_millis(self.silence_ms),
        }
    }
}

/// `tidegate bench`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
#[allow(rustdoc::bare_urls)] // these comments are the help text
pub(super) struct Bench {
    /// Measure the gateway there, http:// or https://, with a topic that is deleted afterwards; without it one is started
    #[arg(long, value_name = "URL")]
    url: Option<ServerUrl>,
    /// The key to call it with; better said by the variable
    #[arg(long, env = "TIDEGATE_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
    /// Where the gateway that is started has its data for the time [default: the system's place for temporary files]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    dir: Option<PathBuf>,
    /// How long each of six steps takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 3_000, value_parser = value_parser!(u64).range(100..=60_000))]
    step_ms: u64,
    /// Connections that write at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u64).range(1..=1_000))]
    writers: u64,
    /// Event streams that are open at once
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = value_parser!(u64).range(1..=10_000))]
    subscribers: u64,
}

impl Bench {
    /// What to measure.
    ///
    /// # Errors
    /// If this program cannot be found.
    pub(super) fn into_options(self) -> io::Result<bench::Options> {
        Ok(bench::Options {
            gateway: self.url.map(|url| Gateway { url, key: self.key }),
            program: env::current_exe()?,
            directory: self.dir.unwrap_or_else(env::temp_dir),
            step: Duration::from_millis(self.step_ms),
            subscribers: usize::try_from(self.subscribers).expect("the parser's bound fits"),
            writers: usize::try_from(self.writers).expect("the parser's bound fits"),
        })
    }
}

/// `tidegate backup`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status:\n  0  the copy is whole\n  1  there is no copy; standard error says why\n  \
    2  the command line is wrong\n130  it was interrupted, and there is no copy")]
pub(super) struct Backup {
    /// Where to: a directory that is made, or has no tidegate.db; afterwards a gateway can be started on it
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// Directory of the data, as the gateway has it
    #[arg(long, env = "TIDEGATE_DATA_DIR", value_name = "DIR", default_value = "./tidegate-data")]
    data_dir: PathBuf,
}

impl From<Backup> for backup::Options {
    fn from(Backup { to, data_dir }: Backup) -> Self {
        Self { data_dir, to }
    }
}
