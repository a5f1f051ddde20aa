//! The SQL tables, behind one contract. The only place that knows which database is below.

pub mod contract;
pub mod error;
mod gather;
mod sqlite;

#[cfg(test)]
mod conformance;

use std::path::PathBuf;
use std::sync::Arc;

use crate::store::contract::Store;
pub use sqlite::OpenError;

/// The default of [`Options::wal_bytes_max`]: 64 MiB.
pub const WAL_BYTES_MAX_DEFAULT: u64 = 64 << 20;

/// The default of [`Options::readers`].
pub const READERS_DEFAULT: u32 = 4;

/// Where the data is and how it is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of the SQLite database; made if it is missing.
    pub data_dir: PathBuf,
    /// Partitions of all topics together.
    pub partitions_max: u64,
    /// How long an idempotency key is kept, in milliseconds.
    pub idempotency_ms: u64,
    /// How large SQLite's write-ahead log may grow before writers wait for its checkpoint, in bytes.
    pub wal_bytes_max: u64,
    /// Connections that read, beside the one that writes.
    pub readers: u32,
}

/// Opens the store: makes what is missing, checks that the settings durability rests on are in force.
pub async fn open(options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(sqlite::Sqlite::open(options).await?))
}
