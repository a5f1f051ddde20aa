//! What was acknowledged against what is there: dense offsets, every receipt kept, nothing twice.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::harness::record::Receipt;
use crate::harness::record::Record;
use crate::harness::topic::Topic;

/// All records of a topic, by partition and offset.
pub(crate) struct History {
    records: BTreeMap<(u32, u64), Record>,
}

impl History {
    /// Reads the topic from its start to its tail.
    pub(crate) async fn of(topic: &Topic) -> Self {
        let read = topic.read_all().await;
        let count = read.len();
        let records: BTreeMap<_, _> =
            read.into_iter().map(|record| ((record.partition, record.offset), record)).collect();
        assert_eq!(records.len(), count, "no place is read twice");
        Self { records }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Asserts that each partition counts from 0 without a hole.
    pub(crate) fn assert_dense(&self) -> &Self {
        let mut expected: HashMap<u32, u64> = HashMap::new();
        for &(partition, offset) in self.records.keys() {
            let next = expected.entry(partition).or_default();
            assert_eq!(offset, *next, "partition {partition} has a hole");
            *next += 1;
        }
        self
    }

    /// Asserts that each acknowledged value is at the place of its receipt.
    pub(crate) fn assert_holds(&self, acknowledged: &[(Receipt, String)]) -> &Self {
        for (receipt, value) in acknowledged {
            let record = self.records.get(&(receipt.partition, receipt.offset));
            let record = record.unwrap_or_else(|| panic!("lost: {receipt:?} {value}"));
            assert_eq!(record.value(), value, "{receipt:?}");
            assert_eq!(record.timestamp, receipt.timestamp, "{receipt:?}");
        }
        self
    }

    /// Asserts that no value stands at two places; for tests whose values differ.
    pub(crate) fn assert_no_value_twice(&self) -> &Self {
        let mut seen = HashMap::new();
        for (place, record) in &self.records {
            if let Some(other) = seen.insert(record.value(), place) {
                panic!("{} stands at {other:?} and {place:?}", record.value());
            }
        }
        self
    }

    /// The values of one partition in the order of their offsets.
    pub(crate) fn values(&self, partition: u32) -> Vec<&str> {
        self.records.range((partition, 0)..=(partition, u64::MAX)).map(|(_, record)| record.value()).collect()
    }
}
