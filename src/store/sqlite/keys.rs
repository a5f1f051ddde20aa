//! Idempotency keys: looked up before a flush, inserted in its transaction, forgotten after a day.

use std::collections::HashMap;

use sqlx::Arguments;
use sqlx::Row;
use sqlx::sqlite::SqliteArguments;
use sqlx::sqlite::SqliteRow;

use crate::model::time;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::model::topic::TopicId;
use crate::store::contract::Appended;
use crate::store::contract::Refused;
use crate::store::contract::Replay;
use crate::store::contract::Write;
use crate::store::error::StoreError;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::integer;
use crate::store::sqlite::writer::number;
use crate::store::sqlite::writer::store_error;

/// Takes the place of a key that no longer counts (expired, or its topic is gone).
pub(super) const INSERT: &str = "insert or replace into idempotency_keys \
                                 (digest, fingerprint, created_at, runs, receipt) values (?,?,?,?,?);";

/// Keys forgotten in one turn: bounded, so that a purge never holds up producers.
const PURGE_ROWS: i64 = 500;

/// Keys asked for in one statement: SQLite takes 32,766 values at most.
const ASKED_AT_ONCE: usize = 512;

/// Bytes of one run in the `runs` column: topic, partition, base offset.
const RUN_BYTES: usize = 8 + 4 + 8;

/// For each write: a refusal if its key was used before.
pub(super) async fn look_up(writer: &mut Writer, writes: &[Write]) -> Result<Vec<Option<Refused>>, StoreError> {
    let mut refusals = vec![None; writes.len()];
    let asked: HashMap<&[u8], usize> = writes
        .iter()
        .enumerate()
        .filter_map(|(i, write)| write.idempotency.as_ref().map(|key| (&key.digest[..], i)))
        .collect();
    let digests: Vec<&[u8]> = asked.keys().copied().collect();
    let oldest = time::now().saturating_sub(writer.idempotency_ms);
    for digests in digests.chunks(ASKED_AT_ONCE) {
        for row in known(writer, digests).await? {
            let blob = |column: usize| row.try_get::<Vec<u8>, _>(column).map_err(StoreError::corrupt);
            let at = asked[&blob(0)?[..]];
            let runs = decode_runs(&blob(3)?)?;
            if number(&row, 2)? < oldest || !all_live(writer, &runs).await? {
                continue;
            }
            let key = writes[at].idempotency.as_ref().expect("only writes with keys were asked for");
            refusals[at] = Some(if blob(1)? == key.fingerprint {
                Refused::Replayed(Replay { runs, receipt: blob(4)? })
            } else {
                Refused::KeyReused
            });
        }
    }
    Ok(refusals)
}

/// The rows of those of `digests` that were used before.
async fn known(writer: &mut Writer, digests: &[&[u8]]) -> Result<Vec<SqliteRow>, StoreError> {
    // As many marks as the next power of two, so that few texts are prepared; those left over are null and match none.
    let marks = digests.len().next_power_of_two();
    let mut sql =
        String::from("select digest, fingerprint, created_at, runs, receipt from idempotency_keys where digest in (");
    (0..marks).for_each(|i| sql.push_str(if i == 0 { "?" } else { ",?" }));
    sql.push(')');
    let mut arguments = SqliteArguments::default();
    for digest in digests {
        arguments.add(*digest).map_err(StoreError::corrupt)?;
    }
    sqlx::query_with(sqlx::AssertSqlSafe(sql), arguments).fetch_all(&mut writer.connection).await.map_err(store_error)
}

/// Binds the keys of writes that are about to be committed; returns how many there are.
pub(super) fn bind<'a>(
    arguments: &mut SqliteArguments,
    writes: impl Iterator<Item = (&'a Write, &'a Appended)>,
    now: Millis,
) -> Result<usize, StoreError> {
    let mut count = 0;
    for (write, appended) in writes {
        let Some(key) = &write.idempotency else { continue };
        arguments.add(&key.digest[..]).map_err(StoreError::corrupt)?;
        arguments.add(&key.fingerprint[..]).map_err(StoreError::corrupt)?;
        arguments.add(integer(now)).map_err(StoreError::corrupt)?;
        arguments.add(encode_runs(write, appended)).map_err(StoreError::corrupt)?;
        arguments.add(&key.receipt[..]).map_err(StoreError::corrupt)?;
        count += 1;
    }
    Ok(count)
}

pub(super) const PURGE: &str = "
    delete from idempotency_keys
    where id in (select id from idempotency_keys order by id limit ?1) and created_at < ?2";

/// Forgets some of the keys older than `before`; true if more are left.
pub(super) async fn purge(writer: &mut Writer, before: Millis) -> Result<bool, StoreError> {
    let done = sqlx::query(PURGE)
        .bind(PURGE_ROWS)
        .bind(integer(before))
        .execute(&mut writer.connection)
        .await
        .map_err(store_error)?;
    Ok(done.rows_affected() == PURGE_ROWS.unsigned_abs())
}

/// A topic that was deleted takes the keys with it that wrote to it.
async fn all_live(writer: &mut Writer, runs: &[(PartitionId, u64)]) -> Result<bool, StoreError> {
    for (partition, _) in runs {
        if writer.head(*partition).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn encode_runs(write: &Write, appended: &Appended) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(write.runs.len() * RUN_BYTES);
    for (run, base) in write.runs.iter().zip(&appended.base_offsets) {
        bytes.extend_from_slice(&run.partition.topic.0.to_le_bytes());
        bytes.extend_from_slice(&run.partition.partition.to_le_bytes());
        bytes.extend_from_slice(&base.to_le_bytes());
    }
    bytes
}

fn decode_runs(bytes: &[u8]) -> Result<Vec<(PartitionId, u64)>, StoreError> {
    let (runs, rest) = bytes.as_chunks::<RUN_BYTES>();
    if !rest.is_empty() {
        return Err(StoreError::corrupt("the runs of an idempotency key"));
    }
    let decode = |run: &[u8; RUN_BYTES]| {
        let [t0, t1, t2, t3, t4, t5, t6, t7, p0, p1, p2, p3, base @ ..] = *run;
        let topic = TopicId(i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]));
        let partition = u32::from_le_bytes([p0, p1, p2, p3]);
        (PartitionId { topic, partition }, u64::from_le_bytes(base))
    };
    Ok(runs.iter().map(decode).collect())
}
