//! Idempotency keys: inserted with their records (migrations/postgres/0003_idempotency.sql); looked up where that found
//! them taken; forgotten after a day.

use std::collections::HashMap;
use std::time::Instant;

use sqlx::PgConnection;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::time::timeout_at;

use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::model::topic::TopicId;
use crate::store::contract::Refused;
use crate::store::contract::Replay;
use crate::store::contract::Write;
use crate::store::error::StoreError;
use crate::store::postgres::bounds::LOOK_MAX;
use crate::store::postgres::error::read_error;
use crate::store::postgres::error::write_error;
use crate::store::postgres::lane::Lane;
use crate::store::postgres::values::bigint;

/// Keys forgotten in one turn: bounded, so that a purge never holds up producers.
const PURGE_ROWS: i64 = 500;

pub(super) const LOOK_UP: &str = "
    select digest, fingerprint, topic_ids, partitions, base_offsets, receipt
    from idempotency_keys where digest = any ($1)";

/// What became of the requests that had these keys first. Writes come and go with a number of the caller's.
pub(super) async fn look_up(
    lane: &mut Lane,
    asked: &[(usize, &Write)],
    deadline: Instant,
) -> Result<Vec<(usize, Refused)>, StoreError> {
    let keys =
        asked.iter().filter_map(|(at, write)| write.idempotency.as_ref().map(|key| (&key.digest[..], (*at, key))));
    let keys: HashMap<&[u8], _> = keys.collect();
    let digests: Vec<&[u8]> = keys.keys().copied().collect();
    let query = sqlx::query(LOOK_UP).bind(&digests).fetch_all(lane.connection().await?);
    let until = deadline.min(Instant::now() + LOOK_MAX);
    let rows = match timeout_at(until.into(), query).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
        Ok(rows) => rows,
        Err(error) => {
            lane.disconnect();
            return Err(read_error(error));
        }
    };
    rows.iter()
        .map(|row| {
            let blob = |column: usize| row.try_get::<Vec<u8>, _>(column).map_err(StoreError::corrupt);
            let (at, key) =
                keys.get(&blob(0)?[..]).ok_or_else(|| StoreError::corrupt("a key that was not asked for"))?;
            let refused = if blob(1)? == key.fingerprint {
                Refused::Replayed(Replay { runs: runs(row)?, receipt: blob(5)? })
            } else {
                Refused::KeyReused
            };
            Ok((*at, refused))
        })
        .collect()
}

/// What was written, from three columns.
fn runs(row: &PgRow) -> Result<Vec<(PartitionId, u64)>, StoreError> {
    let topics: Vec<i64> = row.try_get(2).map_err(StoreError::corrupt)?;
    let partitions: Vec<i32> = row.try_get(3).map_err(StoreError::corrupt)?;
    let bases: Vec<i64> = row.try_get(4).map_err(StoreError::corrupt)?;
    if topics.len() != partitions.len() || topics.len() != bases.len() {
        return Err(StoreError::corrupt("the runs of an idempotency key"));
    }
    let runs = topics.into_iter().zip(partitions).zip(bases).map(|((topic, partition), base)| {
        let partition = u32::try_from(partition).map_err(StoreError::corrupt)?;
        let base = u64::try_from(base).map_err(StoreError::corrupt)?;
        Ok((PartitionId { topic: TopicId(topic), partition }, base))
    });
    runs.collect()
}

pub(super) const PURGE: &str = "
    delete from idempotency_keys where digest in (
        select digest from idempotency_keys where created_at < $1 order by created_at limit $2 for update skip locked)";

/// Forgets some of the keys older than `before`; true if more are left.
pub(super) async fn purge(connection: &mut PgConnection, before: Millis) -> Result<bool, StoreError> {
    let done =
        sqlx::query(PURGE).bind(bigint(before)).bind(PURGE_ROWS).execute(connection).await.map_err(write_error)?;
    Ok(done.rows_affected() == PURGE_ROWS.unsigned_abs())
}
