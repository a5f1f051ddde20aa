//! Which partition a record goes to when its sender names none: by key as Kafka does it, else in turn.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// Over how many partitions the records of one request without keys are spread at most (api.md §3). More would make
/// many small runs of what one flush could write as a few.
pub const SPREAD_MAX: usize = 16;

/// MurmurHash2 with the seed and the arithmetic of `org.apache.kafka.common.utils.Utils.murmur2`.
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Java's lengths and products are 32 bits wide and wrap.
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    (hash ^ (hash >> 15)) as i32
}

/// The partition of a key: the one that a Kafka producer's default partitioner would choose. An empty key is a key.
///
/// `partition_count` is at least 1.
pub fn partition_of_key(key: &[u8], partition_count: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff).unsigned_abs() % partition_count
}

/// Where the next record without a key goes; one per topic.
#[derive(Debug, Default)]
pub struct RoundRobin {
    next: AtomicU32,
}

impl RoundRobin {
    /// The places of the `records` records of one request that have neither key nor partition, among
    /// `partition_count` partitions (at least 1). Goes on where the last request stopped; so requests of one record
    /// each take strict turns.
    pub fn take(&self, records: usize, partition_count: u32) -> Turns {
        let count = partition_count as usize;
        let spread = records.min(count).min(SPREAD_MAX);
        let after = |start: u32| Some(((start as usize % count + spread) % count) as u32);
        // Nothing else is published with this number, so no order has to be kept.
        let start = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        let start = start.expect("there always is a next turn");
        Turns { start: start as usize % count, spread, records, count }
    }
}

/// The places of one request's records: contiguous runs whose lengths differ by one at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    start: usize,
    spread: usize,
    records: usize,
    count: usize,
}

impl Turns {
    /// The partition of the `index`-th of the records; `index` is below their number.
    pub fn partition(&self, index: usize) -> u32 {
        let run = index * self.spread / self.records.max(1);
        ((self.start + run) % self.count) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn murmur2_is_kafkas() {
        // The vectors of Kafka's own UtilsTest.testMurmur2.
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()), hash, "{text}");
        }
    }

    #[test]
    fn keys_go_where_kafka_sends_them() {
        // (-973932308 & 0x7fffffff) % 10 and so on: the sign bit is dropped, not the sign.
        assert_eq!(partition_of_key(b"21", 10), 0);
        assert_eq!(partition_of_key(b"foobar", 10), 6);
        assert_eq!(partition_of_key(b"abc", 10), 7);
        assert_eq!(partition_of_key(b"", 1), 0);
    }

    #[test]
    fn one_record_a_request_goes_strictly_in_turn() {
        let robin = RoundRobin::default();
        let places: Vec<u32> = (0..7).map(|_| robin.take(1, 3).partition(0)).collect();
        assert_eq!(places, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_request_goes_on_where_the_last_one_stopped() {
        let robin = RoundRobin::default();
        let places = |records, count| {
            let turns = robin.take(records, count);
            (0..records).map(|i| turns.partition(i)).collect::<Vec<_>>()
        };
        assert_eq!(places(3, 5), [0, 1, 2]);
        assert_eq!(places(10, 5), [3, 3, 4, 4, 0, 0, 1, 1, 2, 2]);
        assert_eq!(places(1, 5), [3]);
        assert_eq!(places(0, 5), [0; 0], "takes no turn");
        assert_eq!(places(1, 5), [4]);
        assert_eq!(places(2, 2), [0, 1], "fewer partitions than the turn that was due");
    }

    proptest! {
        #[test]
        fn runs_are_few_and_of_equal_length(before in 0..50usize, records in 1..2000usize, count in 1..300u32) {
            let robin = RoundRobin::default();
            (0..before).for_each(|_| {
                robin.take(1, count);
            });
            let turns = robin.take(records, count);
            let places: Vec<u32> = (0..records).map(|i| turns.partition(i)).collect();
            let runs: Vec<usize> = places.chunk_by(|a, b| a == b).map(<[u32]>::len).collect();
            let spread = if count == 1 { 1 } else { records.min(count as usize).min(SPREAD_MAX) };
            prop_assert_eq!(runs.len(), spread);
            prop_assert!(runs.iter().max().unwrap_or(&0) - runs.iter().min().unwrap_or(&0) <= 1);
            prop_assert!(places.iter().all(|place| *place < count));
            let distinct: std::collections::BTreeSet<_> = places.iter().collect();
            prop_assert_eq!(distinct.len(), spread);
        }
    }
}
