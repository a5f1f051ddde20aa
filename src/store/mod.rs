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

use std::sync::Arc;

use crate::store::contract::Store;
pub use open_error::OpenError;
pub use options::BadPostgresUrl;
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

/// Opens the store: makes what is missing, checks that the settings durability rests on are in force.
pub async fn open(options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    match &options.postgres {
        Some(url) => postgres::open(url, options).await,
        None => sqlite::open(options).await,
    }
}
