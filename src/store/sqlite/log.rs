//! Append: the writes of one flush as one durable transaction, sent to SQLite as one text.

use std::time::Instant;

use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;

use crate::model::batch::RecordBatch;
use crate::model::time;
use crate::store::contract::Appended;
use crate::store::contract::Commit;
use crate::store::contract::Flushed;
use crate::store::contract::Refused;
use crate::store::contract::Write;
use crate::store::error::StoreError;
use crate::store::gather::gather;
use crate::store::sqlite::keys;
use crate::store::sqlite::writer::Head;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::integer;

/// Batches in one `insert`. A flush of more takes several, in one transaction.
const ROWS_PER_INSERT: usize = 64;

const INSERT: &str = "insert into batches (topic_id, partition, base_offset, record_count, append_time, \
                      max_timestamp, running_max_timestamp, end_bytes, payload) values ";
const ROW: &str = "(?,?,?,?,?,?,?,?,?)";

pub(super) async fn append(writer: &mut Writer, writes: &[Write]) -> Result<Flushed, StoreError> {
    let refusals = refusals(writer, writes).await?;
    let taken = || writes.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none()).map(|(write, _)| write);
    let (gathered, places) = gather(taken());

    let now = time::now();
    let mut arguments = SqliteArguments::default();
    let mut batches = Vec::with_capacity(gathered.len());
    let mut heads = Vec::with_capacity(gathered.len());
    for run in &gathered {
        let head = writer.head(run.partition).await?.ok_or_else(|| StoreError::corrupt("a head vanished"))?;
        let batch = run.seal(head.next_offset);
        let max_timestamp = run.max_timestamp();
        let head = Head {
            next_offset: batch.next_offset(),
            append_time: head.append_time.max(now),
            running_max_timestamp: head.running_max_timestamp.max(max_timestamp),
            end_bytes: head.end_bytes + batch.bytes().len() as u64,
            ..head
        };
        bind(&mut arguments, &batch, &head, max_timestamp)?;
        batches.push(batch);
        heads.push(head);
    }

    let outcome = |places: &Vec<(usize, u64)>| Appended {
        base_offsets: places.iter().map(|(batch, before)| batches[*batch].base_offset + before).collect(),
    };
    let appended: Vec<Appended> = places.iter().map(outcome).collect();
    let keys = keys::bind(&mut arguments, taken().zip(&appended), now)?;
    let mut commit = None;
    if !batches.is_empty() {
        let began = Instant::now();
        writer.commit(text(batches.len(), keys), arguments).await?;
        commit = Some(Commit::since(began));
        batches.iter().zip(heads).for_each(|(batch, head)| writer.advance(batch.partition, head));
    }

    let mut appended = appended.into_iter();
    let outcomes = refusals
        .into_iter()
        .map(|refusal| match refusal {
            Some(refused) => Err(refused),
            None => Ok(appended.next().expect("one per write that was not refused")),
        })
        .collect();
    Ok(Flushed { outcomes, batches, commit })
}

/// Why each write cannot be taken, if so.
async fn refusals(writer: &mut Writer, writes: &[Write]) -> Result<Vec<Option<Refused>>, StoreError> {
    let mut refusals = keys::look_up(writer, writes).await?;
    for (write, refusal) in writes.iter().zip(&mut refusals) {
        for run in &write.runs {
            if refusal.is_none() && writer.head(run.partition).await?.is_none() {
                *refusal = Some(Refused::UnknownPartition(run.partition));
            }
        }
    }
    Ok(refusals)
}

fn bind(
    arguments: &mut SqliteArguments,
    batch: &RecordBatch,
    head: &Head,
    max_timestamp: u64,
) -> Result<(), StoreError> {
    let numbers = [
        batch.partition.topic.0,
        i64::from(batch.partition.partition),
        integer(batch.base_offset),
        i64::from(batch.count),
        integer(head.append_time),
        integer(max_timestamp),
        integer(head.running_max_timestamp),
        integer(head.end_bytes),
    ];
    for number in numbers {
        arguments.add(number).map_err(StoreError::corrupt)?;
    }
    arguments.add(batch.bytes().to_vec()).map_err(StoreError::corrupt)
}

/// The statements for that many batches and keys. The usual flush is a single `insert`, a transaction by itself.
fn text(batches: usize, keys: usize) -> String {
    let single = keys == 0 && batches <= ROWS_PER_INSERT;
    let mut sql = String::with_capacity(256 + batches * (ROW.len() + 1));
    if !single {
        sql.push_str("begin immediate;");
    }
    for first in (0..batches).step_by(ROWS_PER_INSERT) {
        sql.push_str(INSERT);
        for row in first..batches.min(first + ROWS_PER_INSERT) {
            sql.push_str(if row == first { "" } else { "," });
            sql.push_str(ROW);
        }
        sql.push_str(if single { "" } else { ";" });
    }
    for _ in 0..keys {
        sql.push_str(keys::INSERT);
    }
    sql.push_str(if single { "" } else { "commit" });
    sql
}
