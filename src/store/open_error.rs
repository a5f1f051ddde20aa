//! Why a store cannot be opened. Each sentence says what to do.

use std::path::PathBuf;

use sqlx::migrate::MigrateError;

use crate::store::error::StoreError;

/// Why the store cannot be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory.
    #[error("another tidegate process already uses {0}: stop it, or give this one a --data-dir of its own")]
    Locked(PathBuf),
    /// The directory cannot be used.
    #[error("cannot use the data directory {0}: {1}")]
    Directory(PathBuf, std::io::Error),
    /// Whoever has a name on this machine could put other files in place of ours.
    #[error(
        "the data directory {0} can be written by everybody on this machine: `chmod o-w` it, or name a directory below it \
         in --data-dir, which is then made for this user alone"
    )]
    Open(PathBuf),
    /// The SQLite library would not be safe.
    #[error("SQLite {0} can lose committed records; this binary needs at least 3.51.3")]
    Library(String),
    /// The PostgreSQL server is too old.
    #[error("PostgreSQL {0} is too old: tidegate needs at least 13")]
    Server(String),
    /// The PostgreSQL server takes no writes.
    #[error("the database is a standby in recovery: name the primary in --database-url")]
    Standby,
    /// The PostgreSQL server says nothing.
    #[error("the database does not answer: is the address in --database-url right?")]
    Silent,
    /// A setting that durability rests on did not take.
    #[error(
        "the database does not keep `{setting} = {wanted}` (it says {found}), so acknowledged records could be lost"
    )]
    Setting {
        /// The setting or pragma.
        setting: &'static str,
        /// What it has to be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// The database was written by a newer version.
    #[error("the database was made by a newer version of tidegate (migration {0}): use that version or a newer one")]
    Newer(i64),
    /// A copy is not what it should be.
    #[error("the copy is damaged, do not use it: {0}")]
    Damaged(String),
    /// A migration failed.
    #[error("the database could not be brought up to date: {0}")]
    Migration(MigrateError),
    /// The database refused.
    #[error("cannot open the database: {0}")]
    Database(sqlx::Error),
    /// The store refused.
    #[error("cannot open the database: {0}")]
    Store(StoreError),
}
