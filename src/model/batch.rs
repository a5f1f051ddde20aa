//! A record batch: all the records of one partition that one flush commits, kept and moved as one piece.
//!
//! ```text
//! batch := version u8 (1) · CRC-32C u32 LE (of all that follows) · count u32 LE · records (codec.rs)
//! ```
//! The same bytes lie in the table, in the segment cache and in the tail; whoever takes them from outside this process
//! goes through [`RecordBatch::open`], which checks them.

use bytes::Bytes;

use crate::model::codec::Damaged;
use crate::model::codec::Records;
use crate::model::codec::encode;
use crate::model::record::NewRecord;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 4 + 4;

/// Records of one partition on their way in, encoded but without a place: what one write brings for it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where they go.
    pub partition: PartitionId,
    /// How many there are; at least 1.
    pub count: u32,
    /// The lowest timestamp among them.
    pub min_timestamp: Millis,
    /// The highest timestamp among them.
    pub max_timestamp: Millis,
    records: Vec<u8>,
}

impl Run {
    /// Begins an empty run. It must get a record before it is appended.
    pub fn new(partition: PartitionId, bytes_hint: usize) -> Self {
        Self {
            partition,
            count: 0,
            min_timestamp: Millis::MAX,
            max_timestamp: 0,
            records: Vec::with_capacity(bytes_hint),
        }
    }

    /// Adds a record at the end.
    pub fn push(&mut self, record: &NewRecord<'_>, timestamp: Millis) {
        encode(record, timestamp, &mut self.records);
        self.count += 1;
        self.min_timestamp = self.min_timestamp.min(timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    /// Bytes of the encoded records.
    pub fn bytes(&self) -> usize {
        self.records.len()
    }
}

/// A batch in its place in the log. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    /// The partition it belongs to.
    pub partition: PartitionId,
    /// Offset of its first record.
    pub base_offset: u64,
    /// How many records; at least 1. Offsets inside are dense.
    pub count: u32,
    bytes: Bytes,
}

impl RecordBatch {
    /// Lays runs of one partition end to end and seals them with a checksum.
    pub fn seal<'a>(
        partition: PartitionId,
        base_offset: u64,
        runs: impl Iterator<Item = &'a Run> + Clone,
    ) -> RecordBatch {
        let size = runs.clone().map(Run::bytes).sum::<usize>();
        let count: u32 = runs.clone().map(|run| run.count).sum();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + size);
        bytes.push(VERSION);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&count.to_le_bytes());
        for run in runs {
            bytes.extend_from_slice(&run.records);
        }
        let crc = crc32c::crc32c(&bytes[5..]);
        bytes[1..5].copy_from_slice(&crc.to_le_bytes());
        RecordBatch { partition, base_offset, count, bytes: Bytes::from(bytes) }
    }

    /// Takes bytes that were kept outside this process. `Err` if they are not exactly what was sealed.
    pub fn open(partition: PartitionId, base_offset: u64, bytes: Bytes) -> Result<RecordBatch, Damaged> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Damaged)?;
        let [version, c0, c1, c2, c3, n0, n1, n2, n3] = *header;
        let count = u32::from_le_bytes([n0, n1, n2, n3]);
        let crc = u32::from_le_bytes([c0, c1, c2, c3]);
        if version != VERSION || count == 0 || crc != crc32c::crc32c(&bytes[5..]) {
            return Err(Damaged);
        }
        Ok(RecordBatch { partition, base_offset, count, bytes })
    }

    /// The sealed bytes, as they are kept.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The offset after its last record.
    pub fn next_offset(&self) -> u64 {
        self.base_offset + u64::from(self.count)
    }

    /// Its records in order.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.bytes[HEADER_BYTES..], self.base_offset)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::model::codec::ValueRef;
    use crate::model::record::Header;
    use crate::model::record::HeaderValue;
    use crate::model::record::Value;
    use crate::model::topic::TopicId;

    const HERE: PartitionId = PartitionId { topic: TopicId(7), partition: 3 };

    fn any_bytes() -> impl Strategy<Value = Cow<'static, [u8]>> {
        vec(any::<u8>(), 0..300).prop_map(Cow::Owned)
    }

    fn any_record() -> impl Strategy<Value = (NewRecord<'static>, Millis)> {
        let value =
            prop_oneof![any_bytes().prop_map(Value::Json), any_bytes().prop_map(Value::Bytes), Just(Value::Tombstone)];
        let header_value = prop_oneof![
            ".{0,20}".prop_map(|t| HeaderValue::Text(Cow::Owned(t))),
            any_bytes().prop_map(HeaderValue::Bytes)
        ];
        let header = (".{0,20}", header_value).prop_map(|(name, value)| Header { name: Cow::Owned(name), value });
        (option::of(any_bytes()), value, vec(header, 0..4), 0..1u64 << 48).prop_map(|(key, value, headers, time)| {
            (NewRecord { topic: 0, partition: None, key, value, headers, timestamp: None }, time)
        })
    }

    fn sealed(records: &[(NewRecord<'_>, Millis)]) -> RecordBatch {
        let (a, b) = records.split_at(records.len() / 2);
        let runs: Vec<Run> = [a, b]
            .into_iter()
            .map(|part| {
                let mut run = Run::new(HERE, 0);
                part.iter().for_each(|(record, time)| run.push(record, *time));
                run
            })
            .collect();
        RecordBatch::seal(HERE, 40, runs.iter())
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(records in vec(any_record(), 1..8)) {
            let batch = sealed(&records);
            let again = RecordBatch::open(HERE, 40, batch.bytes().clone()).expect("intact");
            prop_assert_eq!(again.next_offset(), 40 + records.len() as u64);
            let read: Vec<_> = again.records().collect::<Result<_, _>>().expect("intact");
            prop_assert_eq!(read.len(), records.len());
            for (i, (out, (sent, time))) in read.iter().zip(&records).enumerate() {
                prop_assert_eq!(out.offset, 40 + i as u64);
                prop_assert_eq!(out.timestamp, *time);
                prop_assert_eq!(out.key, sent.key.as_deref());
                prop_assert_eq!(out.headers.iter().collect::<Vec<_>>(), sent.headers.clone());
                match (&sent.value, out.value) {
                    (Value::Json(a), ValueRef::Json(b)) | (Value::Bytes(a), ValueRef::Bytes(b)) =>
                        prop_assert_eq!(&a[..], b),
                    (Value::Tombstone, ValueRef::Tombstone) => {}
                    other => prop_assert!(false, "kinds differ: {:?}", other),
                }
            }
        }

        #[test]
        fn any_damage_is_seen(records in vec(any_record(), 1..4), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let good = sealed(&records).bytes().to_vec();
            let mut flipped = good.clone();
            flipped[at.index(good.len())] ^= 1 << bit;
            prop_assert!(RecordBatch::open(HERE, 40, flipped.into()).is_err());
            let cut = good[..at.index(good.len())].to_vec();
            prop_assert!(RecordBatch::open(HERE, 40, cut.into()).is_err());
            let mut longer = good;
            longer.push(bit);
            prop_assert!(RecordBatch::open(HERE, 40, longer.into()).is_err());
        }

        #[test]
        fn records_never_panic_on_garbage(bytes in vec(any::<u8>(), 0..200)) {
            Records::new(&bytes, 0).take_while(Result::is_ok).for_each(drop);
        }

        #[test]
        fn skipping_equals_reading(records in vec(any_record(), 1..8), to in 0..60u64) {
            let batch = sealed(&records);
            let mut skipped = batch.records();
            skipped.skip_to(to).expect("intact");
            let read: Vec<u64> = skipped.map(|r| r.expect("intact").offset).collect();
            let expected: Vec<u64> = (40..batch.next_offset()).filter(|o| *o >= to).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
