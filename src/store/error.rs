//! What can go wrong in a store, as far as a caller would act differently.

use std::sync::Arc;

/// Why a call to the store failed. One failed flush answers many callers, hence `Clone`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Nothing was written.
    #[error("the disk of the database is full")]
    Full,
    /// There are as many groups as there may be. Nothing was written.
    #[error("there are {limit} groups")]
    TooManyGroups {
        /// The bound.
        limit: u64,
    },
    /// The database does not answer now. Nothing was written.
    #[error("the database is not available: {0}")]
    Unavailable(Arc<str>),
    /// The commit failed in a way that leaves open whether it took effect. The store takes no more writes: it must be
    /// opened anew, which finds out.
    #[error("the outcome of the write is unknown: {0}")]
    Indefinite(Arc<str>),
    /// It is open whether this call took effect, and could not be found out in time. Later calls are not affected.
    #[error("the database went away, and the outcome of the write is unknown: {0}")]
    Unresolved(Arc<str>),
    /// What was read is not what was written.
    #[error("the database holds damaged data: {0}")]
    Corrupt(Arc<str>),
}

impl StoreError {
    /// Data that fails its checks.
    pub fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string().into())
    }
}
