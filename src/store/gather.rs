//! Turning the writes of a flush into one batch per partition.

use std::collections::HashMap;

use crate::model::batch::RecordBatch;
use crate::model::batch::Run;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::store::contract::Write;

/// The runs of one partition in the order their writes came.
#[derive(Debug)]
pub(super) struct Gathered<'a> {
    pub(super) partition: PartitionId,
    runs: Vec<&'a Run>,
}

impl Gathered<'_> {
    /// The highest timestamp of the records.
    pub(super) fn max_timestamp(&self) -> Millis {
        self.runs.iter().map(|run| run.max_timestamp).max().unwrap_or(0)
    }

    /// Gives the runs their place.
    pub(super) fn seal(&self, base_offset: u64) -> RecordBatch {
        RecordBatch::seal(self.partition, base_offset, self.runs.iter().copied())
    }
}

/// Where each run of each write ended up: which gathered partition, and how many records of it lie before.
pub(super) type Places = Vec<Vec<(usize, u64)>>;

/// Gathers the runs of `writes` by partition.
pub(super) fn gather<'a>(writes: impl Iterator<Item = &'a Write>) -> (Vec<Gathered<'a>>, Places) {
    let mut gathered: Vec<(Gathered<'a>, u64)> = Vec::new();
    let mut index: HashMap<PartitionId, usize> = HashMap::new();
    let mut place = |run: &'a Run| {
        let at = *index.entry(run.partition).or_insert_with(|| {
            gathered.push((Gathered { partition: run.partition, runs: Vec::new() }, 0));
            gathered.len() - 1
        });
        let (batch, count) = &mut gathered[at];
        let before = *count;
        batch.runs.push(run);
        *count += u64::from(run.count);
        (at, before)
    };
    let places = writes.map(|write| write.runs.iter().map(&mut place).collect()).collect();
    (gathered.into_iter().map(|(batch, _)| batch).collect(), places)
}
