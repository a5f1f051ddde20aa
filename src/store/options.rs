//! How a store is to be kept.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// The default of [`Options::wal_bytes_max`]: 64 MiB.
pub const WAL_BYTES_MAX_DEFAULT: u64 = 64 << 20;

/// Consumer groups that there may be if nothing is said: each keeps a row or more until it is deleted.
pub const GROUPS_MAX_DEFAULT: u64 = 100_000;

/// The default of [`Options::lanes`].
pub const LANES_DEFAULT: u32 = 4;

/// The default of [`Options::readers`].
pub const READERS_DEFAULT: u32 = 4;

/// Where the data is and how it is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of the SQLite database; made if it is missing.
    pub data_dir: PathBuf,
    /// The PostgreSQL database to use instead of SQLite.
    pub postgres: Option<PostgresUrl>,
    /// Partitions of all topics together.
    pub partitions_max: u64,
    /// Consumer groups.
    pub groups_max: u64,
    /// How long an idempotency key is kept, in milliseconds.
    pub idempotency_ms: u64,
    /// How large SQLite's write-ahead log may grow before writers wait for its checkpoint, in bytes.
    pub wal_bytes_max: u64,
    /// Connections that read, beside the one that appends. (On PostgreSQL they do all else, too.)
    pub readers: u32,
    /// On PostgreSQL, connections that append: so many flushes may be under way at once.
    pub lanes: u32,
}

/// The address of a PostgreSQL database. It may hold a password, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

/// What is no [`PostgresUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a database URL looks like postgres://user:password@host:5432/name?sslmode=verify-full")]
pub struct BadPostgresUrl;

impl PostgresUrl {
    /// The address with all that is in it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PostgresUrl {
    type Err = BadPostgresUrl;

    fn from_str(text: &str) -> Result<Self, BadPostgresUrl> {
        let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        match PgConnectOptions::from_str(text) {
            Ok(_) if is_postgres => Ok(Self(text.to_owned())),
            _ => Err(BadPostgresUrl),
        }
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl(..)")
    }
}
