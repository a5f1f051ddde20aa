//! Append: the writes of one flush as one durable statement. Batches are sealed before their place is known, for nothing
//! in them depends on it; the database gives the offsets.

use std::time::Instant;

use crate::model::batch::RecordBatch;
use crate::store::contract::Appended;
use crate::store::contract::Flushed;
use crate::store::contract::Refused;
use crate::store::contract::Write;
use crate::store::error::StoreError;
use crate::store::gather::Gathered;
use crate::store::gather::Places;
use crate::store::gather::gather;
use crate::store::postgres::bounds::PATIENCE;
use crate::store::postgres::keys;
use crate::store::postgres::lane::Failure;
use crate::store::postgres::lane::Flush;
use crate::store::postgres::lane::Lane;
use crate::store::postgres::values::bigint;
use crate::store::postgres::values::integer;

pub(super) async fn append(lane: &mut Lane, keys_kept_ms: u64, writes: &[Write]) -> Result<Flushed, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    let mut refusals: Vec<Option<Refused>> = vec![None; writes.len()];
    loop {
        let taken: Vec<(usize, &Write)> = writes.iter().enumerate().filter(|(at, _)| refusals[*at].is_none()).collect();
        let (gathered, places) = gather(taken.iter().map(|(_, write)| *write));
        if gathered.is_empty() {
            return Ok(flushed(&taken, refusals, &places, Vec::new()));
        }
        let sealed: Vec<RecordBatch> = gathered.iter().map(|batch| batch.seal(0)).collect();
        let flush = flush(&taken, &gathered, &places, &sealed, keys_kept_ms);
        let failure = match lane.flush(&flush, deadline).await {
            Ok(bases) => return Ok(flushed(&taken, refusals, &places, placed(sealed, &bases)?)),
            Err(failure) => failure,
        };
        match failure {
            Failure::Unknown(batches) => {
                for ((at, write), places) in taken.iter().zip(&places) {
                    let mut runs = write.runs.iter().zip(places);
                    let unknown = runs.find(|(_, (batch, _))| batches.contains(batch));
                    refusals[*at] = unknown.map(|(run, _)| Refused::UnknownPartition(run.partition));
                }
            }
            Failure::KeysTaken(indices) => {
                let keyed: Vec<(usize, &Write)> =
                    taken.iter().filter(|(_, write)| write.idempotency.is_some()).copied().collect();
                let asked: Vec<(usize, &Write)> = indices.iter().filter_map(|i| keyed.get(*i)).copied().collect();
                // One that is not found has expired meanwhile: the next round takes it.
                for (at, refused) in keys::look_up(lane, &asked, deadline).await? {
                    refusals[at] = Some(refused);
                }
            }
            Failure::Passing(error) if Instant::now() >= deadline => return Err(error),
            Failure::Passing(_) => {}
            Failure::Store(error) => return Err(error),
        }
    }
}

/// The arrays that the database takes.
fn flush<'a>(
    taken: &[(usize, &'a Write)],
    gathered: &[Gathered<'_>],
    places: &Places,
    sealed: &'a [RecordBatch],
    keys_kept_ms: u64,
) -> Flush<'a> {
    let mut flush = Flush { keys_kept_ms: bigint(keys_kept_ms), ..Flush::default() };
    for (batch, of) in sealed.iter().zip(gathered) {
        flush.topics.push(batch.partition.topic.0);
        flush.partitions.push(integer(batch.partition.partition));
        flush.counts.push(integer(batch.count));
        flush.timestamps.push(bigint(of.max_timestamp()));
        flush.payloads.push(&batch.bytes()[..]);
    }
    for ((_, write), places) in taken.iter().zip(places) {
        let Some(key) = &write.idempotency else { continue };
        flush.digests.push(&key.digest);
        flush.fingerprints.push(&key.fingerprint);
        flush.receipts.push(&key.receipt);
        for (batch, before) in places {
            flush.run_keys.push(integer(flush.digests.len()));
            flush.run_batches.push(integer(batch + 1));
            flush.run_befores.push(bigint(*before));
        }
    }
    flush
}

/// The batches in the places that they got.
fn placed(mut sealed: Vec<RecordBatch>, bases: &[i64]) -> Result<Vec<RecordBatch>, StoreError> {
    if sealed.len() != bases.len() {
        return Err(StoreError::corrupt("a flush with more or fewer offsets than batches"));
    }
    for (batch, base) in sealed.iter_mut().zip(bases) {
        batch.base_offset = u64::try_from(*base).map_err(StoreError::corrupt)?;
    }
    Ok(sealed)
}

fn flushed(
    taken: &[(usize, &Write)],
    refusals: Vec<Option<Refused>>,
    places: &Places,
    batches: Vec<RecordBatch>,
) -> Flushed {
    let mut outcomes: Vec<Result<Appended, Refused>> = refusals
        .into_iter()
        .map(|refusal| refusal.map_or_else(|| Ok(Appended { base_offsets: Vec::new() }), Err))
        .collect();
    for ((at, _), places) in taken.iter().zip(places) {
        let base_offsets = places.iter().map(|(batch, before)| batches[*batch].base_offset + before).collect();
        outcomes[*at] = Ok(Appended { base_offsets });
    }
    Flushed { outcomes, batches }
}
