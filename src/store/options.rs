//! How a store is to be kept.

use std::path::PathBuf;

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
