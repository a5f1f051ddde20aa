//! Records, receipts and pages as they come over the wire, with values kept as raw text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Deserializer;
use serde_json::Value;
use serde_json::value::RawValue;

/// A record that was read. Absent members are `None`; a tombstone has the value `null`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<String>,
    pub(crate) key_base64: Option<String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) header_list: Option<Value>,
    #[serde(default, deserialize_with = "even_null")]
    value: Option<Box<RawValue>>,
    pub(crate) value_base64: Option<String>,
    pub(crate) cursor: Option<String>,
}

impl Record {
    /// The value's JSON text, byte for byte as it was sent to us.
    pub(crate) fn value(&self) -> &str {
        self.value.as_ref().map_or_else(|| panic!("no JSON value: {self:?}"), |value| value.get())
    }

    /// The value as JSON, where the exact text is not the point.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.value()).expect("a raw value parses")
    }

    pub(crate) fn has_value(&self) -> bool {
        self.value.is_some()
    }

    /// Where the record is: topic, partition and offset.
    pub(crate) fn place(&self) -> (String, u32, u64) {
        (self.topic.clone(), self.partition, self.offset)
    }
}

/// A tombstone's `null` is a value here and not a missing member.
fn even_null<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(input).map(Some)
}

/// Where a record came to lie.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    pub(crate) topic: Option<String>,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    pub(crate) timestamp: i64,
}

/// The answer to a JSON batch.
#[derive(Debug, Deserialize)]
pub(crate) struct Receipts {
    pub(crate) offsets: Vec<Receipt>,
}

/// A finite read in JSON.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) records: Vec<Record>,
    pub(crate) cursor: String,
    pub(crate) at_tail: bool,
    pub(crate) lag: Option<u64>,
    /// The query of `Link rel="next"`, question mark included.
    #[serde(skip)]
    pub(crate) next: String,
}

impl Page {
    /// The offsets of the page, in its order.
    pub(crate) fn offsets(&self) -> Vec<u64> {
        self.records.iter().map(|record| record.offset).collect()
    }

    /// The values of the page as JSON text, in its order.
    pub(crate) fn values(&self) -> Vec<&str> {
        self.records.iter().map(Record::value).collect()
    }
}

/// The places of records, to compare what was read in two ways.
pub(crate) fn places(records: &[Record]) -> Vec<(String, u32, u64)> {
    records.iter().map(Record::place).collect()
}
