//! What an error of PostgreSQL means for the outcome. The codes are those of the manual's appendix A.

use sqlx::postgres::PgDatabaseError;
use sqlx::postgres::PgSeverity;

use crate::store::error::StoreError;

/// PostgreSQL's `disk_full`.
const DISK_FULL: &str = "53100";

/// PostgreSQL's `data_corrupted` and `index_corrupted`.
const CORRUPTED: [&str; 2] = ["XX001", "XX002"];

/// PostgreSQL's `lock_not_available`: `lock_timeout` was over.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// An error of a call that wrote nothing.
pub(super) fn read_error(error: sqlx::Error) -> StoreError {
    let text = error.to_string().into();
    match database_error(&error).map(PgDatabaseError::code) {
        Some(DISK_FULL) => StoreError::Full,
        Some(code) if CORRUPTED.contains(&code) => StoreError::Corrupt(text),
        _ => StoreError::Unavailable(text),
    }
}

/// An error of a statement that commits.
pub(super) fn write_error(error: sqlx::Error) -> StoreError {
    if is_definite(&error) { read_error(error) } else { StoreError::Unresolved(error.to_string().into()) }
}

/// Whether nothing of the statement can ever take effect: the server itself has said that it failed, or it was not sent.
/// A FATAL ends the session, and may do so when the commit is in the log already.
///
/// `statement_timeout` (57014) is definite as well: the server stops its clock before it commits.
pub(super) fn is_definite(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => {
            database_error(error).is_some_and(|error| matches!(error.severity(), PgSeverity::Error))
        }
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Encode(_)
        | sqlx::Error::Configuration(_)
        | sqlx::Error::InvalidArgument(_) => true,
        _ => false,
    }
}

/// Whether the statement waited in vain for a lock, and did nothing.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    database_error(error).is_some_and(|error| error.code() == LOCK_NOT_AVAILABLE)
}

/// The error as PostgreSQL gave it.
pub(super) fn database_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()
}
