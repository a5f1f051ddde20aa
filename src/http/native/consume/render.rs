//! Records as JSON on one line, written straight from the bytes of a batch. JSON values are copied, never parsed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::native::input::json_text::write_string;
use crate::http::native::input::raw::StoredAs;
use crate::model::codec::RecordRef;
use crate::model::codec::ValueRef;
use crate::model::name::TopicName;
use crate::model::record::Header;
use crate::model::record::HeaderValue;
use crate::model::time::Millis;

/// What a record takes at most beside its topic, its own bytes and escapes: names of members, two numbers, brackets.
const FRAME_BYTES: usize = 128;

/// Writes the records of one partition.
#[derive(Debug, Clone)]
pub struct RecordWriter {
    /// All that its records begin with.
    prefix: Vec<u8>,
}

impl RecordWriter {
    /// A writer for a partition of `topic`.
    pub fn new(topic: &TopicName, partition: u32) -> Self {
        // A name has no character that needs an escape.
        Self { prefix: format!("{{\"topic\":\"{topic}\",\"partition\":{partition},\"offset\":").into_bytes() }
    }

    /// Appends `record` in the order of members that api.md §1 shows, without a line's end; with the member `cursor`
    /// last if one is given (a token, which needs no escape).
    pub fn write(&self, out: &mut Vec<u8>, record: &RecordRef<'_>, cursor: Option<&[u8]>) {
        out.reserve(self.prefix.len() + record.encoded_bytes + FRAME_BYTES + cursor.map_or(0, <[u8]>::len));
        out.extend_from_slice(&self.prefix);
        write_number(out, record.offset);
        out.extend_from_slice(b",\"timestamp\":");
        write_number(out, record.timestamp);
        if let Some(key) = record.key {
            write_key(out, key);
        }
        if !record.headers.is_empty() {
            write_headers(out, &record.headers.iter().collect::<Vec<_>>());
        }
        match record.value {
            ValueRef::Json(text) => {
                out.extend_from_slice(b",\"value\":");
                out.extend_from_slice(text);
            }
            ValueRef::Bytes(bytes) => {
                out.extend_from_slice(b",\"value_base64\":");
                write_base64(out, bytes);
            }
            ValueRef::Tombstone => out.extend_from_slice(b",\"value\":null"),
        }
        if let Some(cursor) = cursor {
            out.extend_from_slice(b",\"cursor\":\"");
            out.extend_from_slice(cursor);
            out.push(b'"');
        }
        out.push(b'}');
    }
}

/// Appends a bare value, as `format=values` shows it: JSON as it is, bytes as a base64 string, a tombstone as `null`.
pub fn write_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Json(text) => out.extend_from_slice(text),
        ValueRef::Bytes(bytes) => write_base64(out, bytes),
        ValueRef::Tombstone => out.extend_from_slice(b"null"),
    }
}

/// Where a record that was produced went.
#[derive(Debug, Clone, Copy)]
pub struct Receipt<'r> {
    /// The topic, where the path names none or the body was a raw value.
    pub topic: Option<&'r TopicName>,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
    /// The record's timestamp.
    pub timestamp: Millis,
    /// How a raw value was kept.
    pub stored_as: Option<StoredAs>,
}

impl Receipt<'_> {
    /// Appends the receipt as JSON, without a line's end.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.topic.map_or(0, |topic| topic.as_str().len()) + FRAME_BYTES);
        out.push(b'{');
        if let Some(topic) = self.topic {
            out.extend_from_slice(b"\"topic\":\"");
            out.extend_from_slice(topic.as_str().as_bytes());
            out.extend_from_slice(b"\",");
        }
        out.extend_from_slice(b"\"partition\":");
        write_number(out, self.partition);
        out.extend_from_slice(b",\"offset\":");
        write_number(out, self.offset);
        out.extend_from_slice(b",\"timestamp\":");
        write_number(out, self.timestamp);
        if let Some(stored_as) = self.stored_as {
            out.extend_from_slice(b",\"stored_as\":\"");
            out.extend_from_slice(stored_as.as_str().as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
    }
}

fn write_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).expect("room for four characters per three bytes");
    debug_assert_eq!(start + written, out.len());
    out.push(b'"');
}

/// Appends the member `key`, or `key_base64` if the key is no text.
fn write_key(out: &mut Vec<u8>, key: &[u8]) {
    match std::str::from_utf8(key) {
        Ok(text) => {
            out.extend_from_slice(b",\"key\":");
            write_string(out, text);
        }
        Err(_) => {
            out.extend_from_slice(b",\"key_base64\":");
            write_base64(out, key);
        }
    }
}

/// Appends `headers`, and `header_list` if an object of strings cannot tell the whole truth. Of a repeated name the
/// object shows the last value, and nothing if that is bytes.
fn write_headers(out: &mut Vec<u8>, headers: &[Header<'_>]) {
    let mut whole = true;
    let mut first = true;
    out.extend_from_slice(b",\"headers\":{");
    for (i, header) in headers.iter().enumerate() {
        let repeated = headers[i + 1..].iter().any(|later| later.name == header.name);
        match &header.value {
            HeaderValue::Text(text) if !repeated => {
                if !first {
                    out.push(b',');
                }
                first = false;
                write_string(out, &header.name);
                out.push(b':');
                write_string(out, text);
            }
            _ => whole = false,
        }
    }
    out.push(b'}');
    if whole {
        return;
    }
    out.extend_from_slice(b",\"header_list\":[");
    for (i, header) in headers.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"{\"name\":" } else { b",{\"name\":" });
        write_string(out, &header.name);
        match &header.value {
            HeaderValue::Text(text) => {
                out.extend_from_slice(b",\"value\":");
                write_string(out, text);
            }
            HeaderValue::Bytes(bytes) => {
                out.extend_from_slice(b",\"value_base64\":");
                write_base64(out, bytes);
            }
        }
        out.push(b'}');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::http::native::input::bounds::Bounds;
    use crate::http::native::input::decode;
    use crate::http::native::input::json_text::parse_value;
    use crate::model::batch::RecordBatch;
    use crate::model::batch::Run;
    use crate::model::limits::Limits;
    use crate::model::record::NewRecord;
    use crate::model::record::Value;
    use crate::model::topic::PartitionId;
    use crate::model::topic::TopicId;

    const TIME: Millis = 1_732_233_600_000;

    fn topic() -> TopicName {
        "clicks".parse().expect("a name")
    }

    fn batch(record: &NewRecord<'_>) -> RecordBatch {
        let partition = PartitionId { topic: TopicId(1), partition: 3 };
        let mut run = Run::new(partition, 0);
        run.push(record, record.timestamp.unwrap_or(TIME));
        RecordBatch::seal(partition, 42, std::iter::once(&run))
    }

    fn written(record: &NewRecord<'_>, cursor: Option<&[u8]>) -> String {
        let batch = batch(record);
        let stored = batch.records().next().expect("one record").expect("intact");
        let mut out = Vec::new();
        RecordWriter::new(&topic(), 3).write(&mut out, &stored, cursor);
        String::from_utf8(out).expect("UTF-8")
    }

    fn record<'a>(key: Option<&'a [u8]>, value: Value<'a>, headers: Vec<Header<'a>>) -> NewRecord<'a> {
        NewRecord { topic: 0, partition: None, key: key.map(Cow::Borrowed), value, headers, timestamp: None }
    }

    fn json(text: &str) -> Value<'_> {
        Value::Json(Cow::Borrowed(text.as_bytes()))
    }

    fn text<'a>(name: &'a str, value: &'a str) -> Header<'a> {
        Header { name: Cow::Borrowed(name), value: HeaderValue::Text(Cow::Borrowed(value)) }
    }

    fn bytes<'a>(name: &'a str, value: &'a [u8]) -> Header<'a> {
        Header { name: Cow::Borrowed(name), value: HeaderValue::Bytes(Cow::Borrowed(value)) }
    }

    /// What every record above begins with.
    const HEAD: &str = r#"{"topic":"clicks","partition":3,"offset":42,"timestamp":1732233600000"#;

    #[test]
    fn members_stand_in_the_contracts_order() {
        let full = record(Some(b"user-1"), json("{\"page\":\"/home\"}"), vec![text("trace", "abc")]);
        let rest = r#","key":"user-1","headers":{"trace":"abc"},"value":{"page":"/home"}"#;
        assert_eq!(written(&full, None), format!("{HEAD}{rest}}}"));
        assert_eq!(written(&full, Some(b"AbC-_9")), format!("{HEAD}{rest},\"cursor\":\"AbC-_9\"}}"));
        assert_eq!(written(&record(None, Value::Tombstone, vec![]), None), format!("{HEAD},\"value\":null}}"));
        let binary = record(Some(b"\xff\x00"), Value::Bytes(Cow::Borrowed(b"\x00\x01")), vec![]);
        assert_eq!(written(&binary, None), format!("{HEAD},\"key_base64\":\"/wA=\",\"value_base64\":\"AAE=\"}}"));
        let empty = record(Some(b""), Value::Bytes(Cow::Borrowed(b"")), vec![]);
        assert_eq!(written(&empty, None), format!("{HEAD},\"key\":\"\",\"value_base64\":\"\"}}"));
    }

    #[test]
    fn a_list_of_headers_is_shown_where_the_object_is_not_the_whole_truth() {
        let shown = |headers| {
            let line = written(&record(None, json("1"), headers), None);
            let rest = line.strip_prefix(HEAD).and_then(|rest| rest.strip_suffix(",\"value\":1}"));
            rest.expect("headers between time and value").to_owned()
        };
        assert_eq!(shown(vec![]), "");
        assert_eq!(shown(vec![text("b", "\"\r\n"), text("", "")]), r#","headers":{"b":"\"\r\n","":""}"#);
        assert_eq!(
            shown(vec![text("a", "1"), text("b", "2"), text("a", "3")]),
            r#","headers":{"b":"2","a":"3"},"header_list":[{"name":"a","value":"1"},{"name":"b","value":"2"},{"name":"a","value":"3"}]"#
        );
        assert_eq!(
            shown(vec![text("a", "1"), bytes("a", b"\xff")]),
            r#","headers":{},"header_list":[{"name":"a","value":"1"},{"name":"a","value_base64":"/w=="}]"#
        );
        assert_eq!(
            shown(vec![bytes("a", b"text"), text("a", "1")]),
            r#","headers":{"a":"1"},"header_list":[{"name":"a","value_base64":"dGV4dA=="},{"name":"a","value":"1"}]"#
        );
    }

    #[test]
    fn bare_values_and_receipts() {
        let bare = |value| {
            let mut out = Vec::new();
            write_value(&mut out, value);
            String::from_utf8(out).expect("UTF-8")
        };
        assert_eq!(bare(ValueRef::Json(b"1e400")), "1e400");
        assert_eq!(bare(ValueRef::Bytes(b"\xff")), "\"/w==\"");
        assert_eq!(bare(ValueRef::Tombstone), "null");
        let (mut out, name) = (Vec::new(), topic());
        let mut receipt = Receipt { topic: None, partition: 0, offset: u64::MAX, timestamp: 5, stored_as: None };
        receipt.write(&mut out);
        assert_eq!(out, br#"{"partition":0,"offset":18446744073709551615,"timestamp":5}"#);
        out.clear();
        (receipt.topic, receipt.stored_as) = (Some(&name), Some(StoredAs::Tombstone));
        receipt.write(&mut out);
        let text =
            r#"{"topic":"clicks","partition":0,"offset":18446744073709551615,"timestamp":5,"stored_as":"tombstone"}"#;
        assert_eq!(String::from_utf8_lossy(&out), text);
    }

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![vec(any::<u8>(), 0..40), ".{0,20}".prop_map(String::into_bytes)]
    }

    fn any_value() -> impl Strategy<Value = Value<'static>> {
        let text = prop_oneof![
            any::<f64>().prop_map(|number| serde_json::json!(number).to_string()),
            ".{0,40}".prop_map(|text| serde_json::json!({ text.clone(): [text] }).to_string()),
            Just("1e400".to_owned()),
            Just(r#"{"a":1,"a":"\ud800"}"#.to_owned()),
        ];
        prop_oneof![
            text.prop_filter("null is a tombstone", |text| text != "null")
                .prop_map(|t| Value::Json(Cow::Owned(t.into_bytes()))),
            any_bytes().prop_map(|bytes| Value::Bytes(Cow::Owned(bytes))),
            Just(Value::Tombstone),
        ]
    }

    fn any_header() -> impl Strategy<Value = Header<'static>> {
        let value = prop_oneof![
            ".{0,20}".prop_map(|text| HeaderValue::Text(Cow::Owned(text))),
            any_bytes().prop_map(|bytes| HeaderValue::Bytes(Cow::Owned(bytes))),
        ];
        let name = prop_oneof![Just("a".to_owned()), ".{0,5}"];
        (name, value).prop_map(|(name, value)| Header { name: Cow::Owned(name), value })
    }

    proptest! {
        #[test]
        fn a_record_that_was_read_may_be_sent_again(
            key in option::of(any_bytes().prop_map(Cow::Owned)),
            value in any_value(),
            headers in vec(any_header(), 0..6),
            timestamp in 0..TIME,
            cursor in option::of("[A-Za-z0-9_-]{1,40}"),
        ) {
            let sent = NewRecord { topic: 0, partition: Some(3), key, value, headers, timestamp: Some(timestamp) };
            let line = written(&sent, cursor.as_deref().map(str::as_bytes));
            prop_assert!(!line.contains(['\n', '\r']));
            let short = parse_value(line.as_bytes(), 64);
            prop_assert_eq!(short, Ok(Cow::Borrowed(line.as_bytes())), "already without white space");
            let bounds = Bounds { limits: &Limits::default(), now: TIME };
            let mut topics = decode::Topics::default();
            let again = decode::line(line.as_bytes(), 1, &bounds, Some(&mut topics));
            prop_assert_eq!(again, Ok(sent.clone()));
            prop_assert_eq!(topics.into_names(), vec![topic()]);
            let list = format!("{{\"records\": [ {line} ,\n{line}]}}");
            prop_assert_eq!(decode::batch(list.as_bytes(), &bounds, None), Ok(vec![sent.clone(), sent]));
        }
    }
}
