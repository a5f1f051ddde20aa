//! Records as they came, and as lines.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::Serialize;
use serde::de::Error;
use serde_json::value::RawValue;

use crate::cli::output::Lines;

/// How records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A record object a line, as the gateway wrote it.
    Json,
    /// A bare value a line: bytes as a base64 string, a tombstone as `null`.
    Values,
    /// The same without quotes: a text as it is, bytes as they are.
    Text,
}

/// A record's value: one of the two, or neither for a tombstone.
#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    value_base64: Option<&'a RawValue>,
}

impl<'a> Value<'a> {
    fn of(record: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(record.get())
    }

    fn json(&self) -> &'a str {
        self.value.or(self.value_base64).map_or("null", RawValue::get)
    }

    fn text(&self) -> serde_json::Result<Cow<'a, [u8]>> {
        if let Some(bytes) = self.value_base64 {
            let text: Cow<'a, str> = serde_json::from_str(bytes.get())?;
            return BASE64_STANDARD.decode(&*text).map(Cow::Owned).map_err(serde_json::Error::custom);
        }
        let json = self.json();
        if json.starts_with('"') {
            return serde_json::from_str::<String>(json).map(|text| Cow::Owned(text.into_bytes()));
        }
        Ok(Cow::Borrowed(json.as_bytes()))
    }
}

/// Some records, in the order in which they are printed.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Box<RawValue>>,
    /// Whether that is the end, for now.
    pub is_end: bool,
}

/// Where a partition goes on, as a commit by name says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextOffset {
    topic: String,
    partition: u32,
    next_offset: u64,
}

impl Page {
    /// A line for each record.
    ///
    /// # Errors
    /// If one is no record.
    pub fn lines(&self, format: Format) -> serde_json::Result<Lines> {
        let mut lines = Lines::default();
        for record in &self.records {
            match format {
                Format::Json => lines.push(record.get().as_bytes()),
                Format::Values => lines.push(Value::of(record)?.json().as_bytes()),
                Format::Text => lines.push(&Value::of(record)?.text()?),
            }
        }
        Ok(lines)
    }

    /// Where each partition goes on behind the first `count` records.
    ///
    /// # Errors
    /// If one is no record.
    pub fn next_offsets(&self, count: usize) -> serde_json::Result<Vec<NextOffset>> {
        #[derive(Deserialize)]
        struct Place {
            topic: String,
            partition: u32,
            offset: u64,
        }
        let mut next: Vec<NextOffset> = Vec::new();
        for record in &self.records[..count] {
            let Place { topic, partition, offset } = serde_json::from_str(record.get())?;
            let next_offset = offset + 1;
            match next.iter_mut().find(|next| next.topic == topic && next.partition == partition) {
                Some(next) => next.next_offset = next_offset,
                None => next.push(NextOffset { topic, partition, next_offset }),
            }
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_without_its_quotes() {
        for (record, value, text) in [
            (r#"{"value":"a \"b\"\n"}"#, r#""a \"b\"\n""#, "a \"b\"\n"),
            (r#"{"value":{"a":1e400}}"#, r#"{"a":1e400}"#, r#"{"a":1e400}"#),
            (r#"{"value_base64":"aGkA"}"#, r#""aGkA""#, "hi\0"),
            (r#"{"value":null}"#, "null", "null"),
        ] {
            let record = RawValue::from_string(record.to_owned()).expect("good JSON");
            let read = Value::of(&record).expect("a record");
            assert_eq!((read.json(), read.text().expect("text").as_ref()), (value, text.as_bytes()), "{record}");
        }
    }

    #[test]
    fn the_last_record_of_each_partition_counts() {
        let record = |p: u32, offset: u64| {
            let text = format!(r#"{{"topic":"a","partition":{p},"offset":{offset},"headers":{{}},"value":1e400}}"#);
            RawValue::from_string(text).expect("good JSON")
        };
        let page = Page { records: vec![record(0, 5), record(1, 2), record(0, 6), record(1, 3)], is_end: false };
        let next = |partition, next_offset| NextOffset { topic: "a".to_owned(), partition, next_offset };
        assert_eq!(page.next_offsets(0).expect("records"), []);
        assert_eq!(page.next_offsets(3).expect("records"), [next(0, 7), next(1, 3)]);
    }
}
