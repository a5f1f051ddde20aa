//! Numbers as PostgreSQL keeps them, which has none without a sign.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::store::error::StoreError;

/// A column that holds a number that is never negative.
pub(super) fn number(row: &PgRow, column: usize) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(column).map_err(StoreError::corrupt)?;
    u64::try_from(value).map_err(StoreError::corrupt)
}

/// The same where there may be none.
pub(super) fn optional_number(row: &PgRow, column: usize) -> Result<Option<u64>, StoreError> {
    let value: Option<i64> = row.try_get(column).map_err(StoreError::corrupt)?;
    value.map(|value| u64::try_from(value).map_err(StoreError::corrupt)).transpose()
}

/// A column that holds the number of a partition, or how many there are.
pub(super) fn small_number(row: &PgRow, column: usize) -> Result<u32, StoreError> {
    let value: i32 = row.try_get(column).map_err(StoreError::corrupt)?;
    u32::try_from(value).map_err(StoreError::corrupt)
}

/// A number for a `bigint`. Offsets, times and sizes stay below 2^53.
pub(super) fn bigint(number: u64) -> i64 {
    i64::try_from(number).expect("offsets, times and sizes stay far below 2^63")
}

/// A number for an `integer`, or the highest there is: no partition and no list has it.
pub(super) fn integer(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// A bound for a `limit`.
pub(super) fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
