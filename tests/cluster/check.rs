//! What must hold of the log, of what producers were told of it, and of what readers saw of it.

use std::collections::HashMap;

use crate::PARTITIONS;

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: usize,
    pub(crate) offset: usize,
}

/// One atomic write, however often it was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Write {
    /// Its records, each with an id that no other has.
    pub(crate) ids: Vec<u64>,
    /// Whether it had an idempotency key.
    pub(crate) has_key: bool,
    /// How often it was sent and it was not learned whether that wrote it.
    pub(crate) open: usize,
    /// Where its records are, if that was acknowledged.
    pub(crate) acknowledged: Option<Vec<Place>>,
}

/// What one reader saw, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) who: String,
    pub(crate) records: Vec<(Place, u64)>,
}

/// The ids of each partition by offset.
pub(crate) struct Log(Vec<Vec<u64>>);

impl Log {
    /// From what was read of each partition, which must be dense.
    pub(crate) fn new(partitions: Vec<Vec<(usize, u64)>>) -> Self {
        for (partition, records) in partitions.iter().enumerate() {
            for (expected, (offset, _)) in records.iter().enumerate() {
                assert_eq!(*offset, expected, "partition {partition}: a hole, or an offset twice");
            }
        }
        Self(partitions.into_iter().map(|records| records.into_iter().map(|(_, id)| id).collect()).collect())
    }

    pub(crate) fn ends(&self) -> Vec<usize> {
        self.0.iter().map(Vec::len).collect()
    }

    fn get(&self, place: Place) -> Option<u64> {
        self.0.get(place.partition)?.get(place.offset).copied()
    }
}

/// Checks the log against all writes, and says in numbers what there was.
pub(crate) fn writes(log: &Log, writes: &[Write]) -> String {
    let mut times: HashMap<u64, usize> = HashMap::new();
    for id in log.0.iter().flatten() {
        *times.entry(*id).or_default() += 1;
    }
    let (mut acknowledged, mut doubled, mut open_written) = (0, 0, 0);
    for write in writes {
        for (place, id) in write.acknowledged.iter().flatten().zip(&write.ids) {
            assert_eq!(log.get(*place), Some(*id), "record {id} was acknowledged at {place:?}");
            acknowledged += 1;
        }
        let copies: Vec<usize> = write.ids.iter().map(|id| times.remove(id).unwrap_or(0)).collect();
        let first = copies.first().copied().unwrap_or(0);
        assert!(copies.iter().all(|copy| *copy == first), "half of a write is in the log: {copies:?} of {write:?}");
        let may = write.open + usize::from(write.acknowledged.is_some());
        let may = if write.has_key { may.min(1) } else { may };
        assert!(first <= may, "a write is in the log {first} times and may be {may} times: {write:?}");
        doubled += usize::from(first > 1);
        open_written += usize::from(write.acknowledged.is_none() && first > 0);
    }
    assert!(times.is_empty(), "the log has records that nobody sent: {:?}", times.keys().take(5).collect::<Vec<_>>());
    let open: usize = writes.iter().filter(|write| write.acknowledged.is_none() && write.open > 0).count();
    let records: usize = log.ends().iter().sum();
    format!(
        "{records} records; {} writes, {acknowledged} records of them acknowledged; {open} writes given up with an open \
         outcome, {open_written} of them written; {doubled} without a key written more than once",
        writes.len()
    )
}

/// Checks that a reader saw the whole log from its start, each record once, in the order of its partition, as it still is.
pub(crate) fn reader(log: &Log, seen: &Seen) {
    let mut next = [0; PARTITIONS];
    for (place, id) in &seen.records {
        let expected = &mut next[place.partition];
        assert_eq!(place.offset, *expected, "{} skips or repeats in partition {}", seen.who, place.partition);
        *expected += 1;
        assert_eq!(log.get(*place), Some(*id), "{} saw at {place:?} what is not there", seen.who);
    }
    assert_eq!(next[..], log.ends()[..], "{} did not see everything", seen.who);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: usize) -> Place {
        Place { partition: 0, offset }
    }

    fn log(ids: &[u64]) -> Log {
        let mut partitions = vec![Vec::new(); PARTITIONS];
        partitions[0] = ids.iter().copied().enumerate().collect();
        Log::new(partitions)
    }

    fn told(ids: &[u64], offsets: &[usize]) -> Write {
        let acknowledged = Some(offsets.iter().map(|offset| place(*offset)).collect());
        Write { ids: ids.to_vec(), acknowledged, ..Write::default() }
    }

    fn open(ids: &[u64], times: usize) -> Write {
        Write { ids: ids.to_vec(), open: times, ..Write::default() }
    }

    fn seen(records: &[(usize, u64)]) -> Seen {
        let records = records.iter().map(|(offset, id)| (place(*offset), *id)).collect();
        Seen { who: "reader".to_owned(), records }
    }

    #[test]
    fn what_is_open_may_be_there_or_not_and_without_a_key_as_often_as_sent() {
        writes(&log(&[1, 2]), &[told(&[1, 2], &[0, 1]), open(&[3], 1)]);
        writes(&log(&[1, 2, 3]), &[told(&[1, 2], &[0, 1]), open(&[3], 1)]);
        writes(&log(&[1, 1]), &[Write { open: 1, ..told(&[1], &[0]) }]);
    }

    #[test]
    #[should_panic(expected = "record 2 was acknowledged at")]
    fn a_lost_record_is_seen() {
        writes(&log(&[1]), &[told(&[1, 2], &[0, 1])]);
    }

    #[test]
    #[should_panic(expected = "record 1 was acknowledged at")]
    fn a_record_at_another_offset_is_seen() {
        writes(&log(&[2, 1]), &[told(&[1, 2], &[0, 1])]);
    }

    #[test]
    #[should_panic(expected = "2 times and may be 1 times")]
    fn a_second_copy_under_one_key_is_seen() {
        writes(&log(&[1, 1]), &[Write { has_key: true, open: 1, ..told(&[1], &[0]) }]);
    }

    #[test]
    #[should_panic(expected = "2 times and may be 1 times")]
    fn a_copy_that_nobody_sent_is_seen() {
        writes(&log(&[1, 1]), &[told(&[1], &[0])]);
    }

    #[test]
    #[should_panic(expected = "1 times and may be 0 times")]
    fn what_was_refused_and_written_all_the_same_is_seen() {
        writes(&log(&[1]), &[open(&[1], 0)]);
    }

    #[test]
    #[should_panic(expected = "half of a write")]
    fn half_of_a_write_is_seen() {
        writes(&log(&[1]), &[open(&[1, 2], 1)]);
    }

    #[test]
    #[should_panic(expected = "that nobody sent")]
    fn a_record_from_nowhere_is_seen() {
        writes(&log(&[1]), &[]);
    }

    #[test]
    #[should_panic(expected = "a hole")]
    fn a_hole_in_the_offsets_is_seen() {
        Log::new(vec![vec![(0, 1), (2, 2)]]);
    }

    #[test]
    fn a_reader_of_everything_is_well() {
        reader(&log(&[1, 2]), &seen(&[(0, 1), (1, 2)]));
    }

    #[test]
    #[should_panic(expected = "skips or repeats")]
    fn a_gap_is_seen() {
        reader(&log(&[1, 2]), &seen(&[(1, 2)]));
    }

    #[test]
    #[should_panic(expected = "skips or repeats")]
    fn a_repeat_is_seen() {
        reader(&log(&[1, 2]), &seen(&[(0, 1), (0, 1), (1, 2)]));
    }

    #[test]
    #[should_panic(expected = "what is not there")]
    fn a_record_that_was_visible_and_vanished_is_seen() {
        reader(&log(&[1, 2]), &seen(&[(0, 1), (1, 3)]));
    }

    #[test]
    #[should_panic(expected = "did not see everything")]
    fn a_reader_that_stays_behind_is_seen() {
        reader(&log(&[1, 2]), &seen(&[(0, 1)]));
    }
}
