//! The SQL tables, behind one contract. The only place that knows which database is below.

pub mod access_contract;
mod access_rows;
pub mod cluster_contract;
pub mod contract;
mod directory;
pub mod error;
mod gather;
mod group_changes;
pub mod group_contract;
mod group_rows;
mod group_steps;
mod open_error;
mod options;
mod postgres;
mod sqlite;

#[cfg(test)]
mod conformance;

use std::path::Path;
use std::sync::Arc;

use crate::model::finding::Finding;
use crate::store::contract::Store;
pub use open_error::OpenError;
pub use options::BadPostgresUrl;
pub use options::GROUPS_MAX_DEFAULT;
pub use options::LANES_DEFAULT;
pub use options::Options;
pub use options::PostgresUrl;
pub use options::READERS_DEFAULT;
pub use options::WAL_BYTES_MAX_DEFAULT;

/// Opens the store for a look at its keys, or a change of them. On PostgreSQL nodes may be at work beside it.
pub async fn open_for_keys(options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    match &options.postgres {
        Some(url) => postgres::open_beside(url, options).await,
        None => sqlite::open(options).await,
    }
}

/// How the database is, whether or not a node runs on it; changes nothing.
pub async fn inspect(options: &Options) -> Vec<Finding> {
    match &options.postgres {
        Some(url) => postgres::inspect::inspect(url, options).await,
        None => sqlite::inspect::inspect(&options.data_dir).await,
    }
}

/// How many bytes the SQLite database of a data directory has.
///
/// # Errors
/// If there is none, or it cannot be read.
pub async fn sqlite_bytes(data_dir: &Path) -> Result<u64, OpenError> {
    sqlite::inspect::bytes(data_dir).await
}

/// Copies the SQLite database of a data directory as it stands at one moment, also while a node runs on it: all that
/// was acknowledged before is in the copy, which is checked and on the disk when this returns. `to` does not exist yet;
/// after an error, or if the future is dropped, it may hold a part.
///
/// # Errors
/// If it cannot be read or written, or the copy is not whole.
pub async fn copy_sqlite(data_dir: &Path, to: &Path) -> Result<(), OpenError> {
    sqlite::inspect::copy(data_dir, to).await
}

/// Opens the store: makes what is missing, checks that the settings durability rests on are in force.
pub async fn open(options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    match &options.postgres {
        Some(url) => postgres::open(url, options).await,
        None => sqlite::open(options).await,
    }
}
