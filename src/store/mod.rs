//! The SQL tables, behind one contract. The only place that knows which database is below.

pub mod cluster_contract;
pub mod contract;
pub mod error;
mod gather;
mod group_changes;
pub mod group_contract;
mod group_rows;
mod group_steps;
mod options;
mod sqlite;

#[cfg(test)]
mod conformance;

use std::sync::Arc;

use crate::store::contract::Store;
pub use options::Options;
pub use options::READERS_DEFAULT;
pub use options::WAL_BYTES_MAX_DEFAULT;
pub use sqlite::OpenError;

/// Opens the store: makes what is missing, checks that the settings durability rests on are in force.
pub async fn open(options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    sqlite::open(options).await
}
