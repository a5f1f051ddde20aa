//! The members of a record as a caller sends it, and how they become a record.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::http::native::input::bounds::Bounds;
use crate::http::native::input::headers::FromList;
use crate::http::native::input::headers::FromObject;
use crate::http::native::input::headers::Sender;
use crate::http::native::input::headers::decode_base64;
use crate::http::native::input::json_text::Text;
use crate::http::native::input::json_text::compact;
use crate::http::native::input::refusal::Place;
use crate::http::native::input::refusal::Refusal;
use crate::model::record::Header;
use crate::model::record::NewRecord;
use crate::model::record::Value;
use crate::model::time::Millis;

/// The members that a record may have, in the order of [`Member`].
pub const MEMBERS: &[&str] = &[
    "key",
    "key_base64",
    "value",
    "value_base64",
    "headers",
    "header_list",
    "partition",
    "timestamp",
    "topic",
    "offset",
    "cursor",
];

/// A member of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// The key as text.
    Key,
    /// The key as bytes.
    KeyBase64,
    /// The value as JSON.
    Value,
    /// The value as bytes.
    ValueBase64,
    /// The headers as an object.
    Headers,
    /// The headers as a list.
    HeaderList,
    /// The partition the caller wants.
    Partition,
    /// The caller's time.
    Timestamp,
    /// The topic, where the path names none.
    Topic,
    /// The offset of a record that was read: no effect.
    Offset,
    /// The cursor of a record that was read: no effect.
    Cursor,
}

impl Member {
    /// The member of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "key" => Self::Key,
            "key_base64" => Self::KeyBase64,
            "value" => Self::Value,
            "value_base64" => Self::ValueBase64,
            "headers" => Self::Headers,
            "header_list" => Self::HeaderList,
            "partition" => Self::Partition,
            "timestamp" => Self::Timestamp,
            "topic" => Self::Topic,
            "offset" => Self::Offset,
            "cursor" => Self::Cursor,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        MEMBERS[self as usize]
    }

    /// What may stand there, as the beginning of a sentence.
    pub fn expects(self) -> &'static str {
        match self {
            Self::Key => "a key is a string or null; send any other bytes as `key_base64`",
            Self::KeyBase64 => "it is a string of base64",
            Self::Value => "a value is any JSON",
            Self::ValueBase64 => "it is a string of base64; a tombstone is `\"value\":null`",
            Self::Headers => "headers are an object of strings; send repeated names and bytes as `header_list`",
            Self::HeaderList => {
                "it is a list of {\"name\":…,\"value\":…} or {\"name\":…,\"value_base64\":…}, all strings"
            }
            Self::Partition => "a partition is a whole number from 0 on",
            Self::Timestamp => "a timestamp is a whole number of milliseconds since 1970-01-01T00:00:00Z",
            Self::Topic => "a topic is a string",
            Self::Offset | Self::Cursor => "it has no effect on a record that is sent",
        }
    }
}

/// The members of one record, as they are met.
#[derive(Default)]
pub struct Envelope<'de> {
    /// The topic, if the record names one.
    pub topic: Option<Cow<'de, str>>,
    met: u16,
    key: Option<Cow<'de, str>>,
    key_base64: Option<Cow<'de, str>>,
    value: Option<&'de RawValue>,
    value_base64: Option<Cow<'de, str>>,
    headers: Option<Vec<Header<'de>>>,
    header_list: Option<Vec<Header<'de>>>,
    partition: Option<u32>,
    timestamp: Option<Millis>,
}

impl<'de> Envelope<'de> {
    /// Notes that `member` is there; false if it was there already.
    pub fn meet(&mut self, member: Member) -> bool {
        let bit = 1 << member as u16;
        let new = self.met & bit == 0;
        self.met |= bit;
        new
    }

    /// Reads what stands behind the name `member`.
    ///
    /// `null` counts as absent, but for `value`, where it is a tombstone, and `value_base64`, where it could be meant
    /// as one.
    pub fn take<A: MapAccess<'de>>(&mut self, member: Member, map: &mut A, sender: Sender<'_>) -> Result<(), A::Error> {
        let text = |text: Option<Text<'de>>| text.map(|Text(text)| text);
        match member {
            Member::Key => self.key = text(map.next_value()?),
            Member::KeyBase64 => self.key_base64 = text(map.next_value()?),
            Member::Value => self.value = Some(map.next_value()?),
            Member::ValueBase64 => self.value_base64 = text(Some(map.next_value()?)),
            Member::Headers => self.headers = map.next_value_seed(FromObject(sender))?,
            Member::HeaderList => self.header_list = map.next_value_seed(FromList(sender))?,
            Member::Partition => self.partition = map.next_value()?,
            Member::Timestamp => self.timestamp = map.next_value()?,
            Member::Topic => self.topic = text(map.next_value()?),
            Member::Offset | Member::Cursor => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }

    /// The record for the `topic`-th topic of the request, checked against all bounds.
    pub fn into_record(self, topic: usize, bounds: &Bounds<'_>, place: Place) -> Result<NewRecord<'de>, Refusal> {
        let key = match (self.key, self.key_base64) {
            (Some(_), Some(_)) => {
                let why = "the record has `key` and `key_base64`; send one of them";
                return Err(Refusal::invalid(place.path(Member::KeyBase64.name()), why));
            }
            (Some(Cow::Borrowed(text)), None) => Some(Cow::Borrowed(text.as_bytes())),
            (Some(Cow::Owned(text)), None) => Some(Cow::Owned(text.into_bytes())),
            (None, Some(text)) => Some(Cow::Owned(decode_base64(&text, place, Member::KeyBase64.name())?)),
            (None, None) => None,
        };
        let value = match (self.value, self.value_base64) {
            (Some(_), Some(_)) => {
                let why = "the record has `value` and `value_base64`; send one of them";
                return Err(Refusal::invalid(place.path(Member::ValueBase64.name()), why));
            }
            (Some(json), None) if json.get() == "null" => Value::Tombstone,
            (Some(json), None) => {
                let text = compact(json.get().as_bytes(), bounds.limits.json_depth);
                Value::Json(text.map_err(|deep| Refusal::invalid(place.path(Member::Value.name()), deep))?)
            }
            (None, Some(text)) => Value::Bytes(Cow::Owned(decode_base64(&text, place, Member::ValueBase64.name())?)),
            (None, None) => {
                let why = "it is missing; send `value` (any JSON; null is a tombstone) or `value_base64`";
                return Err(Refusal::invalid(place.path(Member::Value.name()), why));
            }
        };
        // Where a record that was read is sent again it may have both, and the list is the whole truth.
        let headers = self.header_list.or(self.headers).unwrap_or_default();
        let record = NewRecord { topic, partition: self.partition, key, value, headers, timestamp: self.timestamp };
        bounds.check(&record, place)?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::native::input::decode;
    use crate::http::native::input::refusal::RefusalKind;
    use crate::model::limits::Limits;
    use crate::model::record::HeaderValue;

    const NOW: Millis = 1_732_233_600_000;

    /// The second record of a batch.
    fn records(members: &str) -> Result<NewRecord<'static>, Refusal> {
        let body = format!("{{\"records\":[{{\"value\":0}},{{{members}}}]}}").leak();
        let bounds = Bounds { limits: &Limits::default(), now: NOW };
        decode::batch(body.as_bytes(), &bounds, None).map(|mut records| records.pop().expect("two records"))
    }

    /// The path and the whole detail of an invalid record.
    fn invalid(members: &str) -> (String, String) {
        match records(members) {
            Err(Refusal { kind: RefusalKind::InvalidRecord { path }, detail }) => {
                let rest = detail.strip_prefix(&format!("{path}: ")).expect("the detail begins with the path");
                (path, rest.to_owned())
            }
            other => panic!("{members}: {other:?}"),
        }
    }

    fn json(text: &str) -> Value<'_> {
        Value::Json(Cow::Borrowed(text.as_bytes()))
    }

    fn header<'a>(name: &'a str, value: &'a str) -> Header<'a> {
        Header { name: Cow::Borrowed(name), value: HeaderValue::Text(Cow::Borrowed(value)) }
    }

    #[test]
    fn every_member_is_taken() {
        let record = records(
            r#""key":"k\n","value":{"a": [1, 2]},"headers":{"b":"2","a":"1"},"partition":7,"timestamp":0,
               "topic":"elsewhere","offset":9,"cursor":"abc""#,
        )
        .expect("taken");
        assert_eq!(record.key.as_deref(), Some(&b"k\n"[..]));
        assert_eq!(record.value, json("{\"a\":[1,2]}"));
        assert_eq!(record.headers, [header("b", "2"), header("a", "1")]);
        assert_eq!((record.topic, record.partition, record.timestamp), (0, Some(7), Some(0)));
    }

    #[test]
    fn absent_empty_and_null_never_mix() {
        let key = |members: &str| records(members).expect("taken").key.map(Cow::into_owned);
        assert_eq!(key(r#""value":1"#), None);
        assert_eq!(key(r#""value":1,"key":null"#), None);
        assert_eq!(key(r#""value":1,"key":"""#), Some(vec![]));
        assert_eq!(key(r#""value":1,"key_base64":"""#), Some(vec![]));
        assert_eq!(key(r#""value":1,"key":null,"key_base64":"/w==""#), Some(vec![0xff]));
        let value = |members: &str| records(members).expect("taken").value;
        assert_eq!(value(r#""value":null"#), Value::Tombstone);
        assert_eq!(value(r#""value": null "#), Value::Tombstone);
        assert_eq!(value(r#""value":"""#), json("\"\""));
        assert_eq!(value(r#""value":"null""#), json("\"null\""));
        assert_eq!(value(r#""value_base64":"""#), Value::Bytes(Cow::Borrowed(&[])));
        assert_eq!(value(r#""value_base64":"bnVsbA==""#), Value::Bytes(Cow::Borrowed(b"null")));
        let nulls = r#""value":1,"headers":null,"header_list":null,"partition":null,"timestamp":null,"topic":null"#;
        let record = records(nulls).expect("taken");
        assert_eq!((record.headers.len(), record.partition, record.timestamp), (0, None, None));
    }

    #[test]
    fn values_are_kept_as_they_were_sent() {
        for text in [
            "9223372036854775808",
            "1e400",
            "0.1000000000000000055",
            "-0",
            r#""\u0000""#,
            r#""\ud800""#,
            r#"{"a":1,"a":2}"#,
            r#""\r\n""#,
            "\"\u{feff}\"",
        ] {
            assert_eq!(records(&format!("\"value\":{text}")).expect(text).value, json(text));
        }
        let long = format!("\"{}\"", "x".repeat((1 << 20) - 2));
        assert_eq!(records(&format!("\"value\":{long}")).expect("1 MiB").value, json(&long));
    }

    #[test]
    fn plain_records_borrow_from_the_body() {
        let record = records(r#""key":"k","value":{"a":1},"headers":{"h":"v"}"#).expect("taken");
        assert!(matches!(record.key, Some(Cow::Borrowed(_))));
        assert!(matches!(record.value, Value::Json(Cow::Borrowed(_))));
        assert!(matches!(&record.headers[0].value, HeaderValue::Text(Cow::Borrowed(_))));
    }

    #[test]
    fn the_list_of_headers_holds() {
        let record = records(
            r#""value":1,"headers":{"a":"2"},"header_list":[{"name":"a","value":"1"},{"name":"a","value_base64":"/w=="},
               {"value":"2","name":"a"}]"#,
        )
        .expect("taken");
        let bytes = Header { name: Cow::Borrowed("a"), value: HeaderValue::Bytes(Cow::Borrowed(&[0xff])) };
        assert_eq!(record.headers, [header("a", "1"), bytes, header("a", "2")]);
    }

    #[test]
    fn each_refusal_names_its_member() {
        for (members, path, detail) in [
            (
                r#""value":1,"key":5"#,
                "key",
                "a key is a string or null; send any other bytes as `key_base64`; invalid type: integer `5`, expected a string",
            ),
            (r#""value":1,"key":["a"]"#, "key", "a key is a string"),
            (r#""value":1,"key":"\ud800""#, "key", "a key is a string"),
            (
                r#""value":1,"key":"a","key_base64":"YQ==""#,
                "key_base64",
                "the record has `key` and `key_base64`; send one of them",
            ),
            (r#""value":1,"key":"a","key":"b""#, "key", "the record has this member twice"),
            (r#""value":1,"value":1"#, "value", "the record has this member twice"),
            (r#""key":"a""#, "value", "it is missing; send `value`"),
            ("", "value", "it is missing"),
            (r#""value":null,"value_base64":"""#, "value_base64", "the record has `value` and `value_base64`"),
            (r#""value_base64":null"#, "value_base64", "it is a string of base64; a tombstone is `\"value\":null`"),
            (r#""value_base64":"YQ""#, "value_base64", "not base64 as in RFC 4648 section 4"),
            (r#""value_base64":"Y Q==""#, "value_base64", "not base64"),
            (r#""value_base64":"YQ==\n""#, "value_base64", "not base64"),
            (r#""value_base64":"_-8=""#, "value_base64", "not base64"),
            (r#""value_base64":"YR==""#, "value_base64", "not base64"),
            (r#""value":1,"key_base64":"YQ=""#, "key_base64", "not base64"),
            (
                r#""value":1,"partition":-1"#,
                "partition",
                "a partition is a whole number from 0 on; invalid value: integer `-1`, expected u32",
            ),
            (r#""value":1,"partition":1.0"#, "partition", "a partition is a whole number"),
            (r#""value":1,"partition":"1""#, "partition", "a partition is a whole number"),
            (r#""value":1,"partition":4294967296"#, "partition", "a partition is a whole number"),
            (r#""value":1,"partition":2147483648"#, "partition", "no partition is beyond 2147483647"),
            (r#""value":1,"timestamp":-1"#, "timestamp", "a timestamp is a whole number of milliseconds"),
            (r#""value":1,"timestamp":1e12"#, "timestamp", "a timestamp is a whole number of milliseconds"),
            (r#""value":1,"timestamp":1732237200001"#, "timestamp", "it is more than an hour ahead"),
            (r#""value":1,"timestamp":18446744073709551615"#, "timestamp", "it is more than an hour ahead"),
            (r#""value":1,"headers":[]"#, "headers", "headers are an object of strings"),
            (r#""value":1,"headers":{"a":1}"#, "headers", "headers are an object of strings"),
            (r#""value":1,"headers":{"a":null}"#, "headers", "headers are an object of strings"),
            (
                r#""value":1,"headers":{"a":"1","a":"2"}"#,
                "headers",
                "a name is there twice; send repeated names as `header_list`",
            ),
            (r#""value":1,"header_list":{"a":"1"}"#, "header_list", "it is a list of"),
            (
                r#""value":1,"header_list":[{"name":"a"}]"#,
                "header_list[0]",
                "it needs one of `value` and `value_base64`",
            ),
            (
                r#""value":1,"header_list":[{"name":"a","value":"1"},{"value":"1"}]"#,
                "header_list[1]",
                "it needs a `name`",
            ),
            (
                r#""value":1,"header_list":[{"name":"a","value":"1","value_base64":""}]"#,
                "header_list[0]",
                "it needs one of",
            ),
            (
                r#""value":1,"header_list":[{"name":"a","name":"a","value":"1"}]"#,
                "header_list[0]",
                "it has `name` twice",
            ),
            (
                r#""value":1,"header_list":[{"name":"a","value_base64":"*"}]"#,
                "header_list[0].value_base64",
                "not base64",
            ),
            (r#""value":1,"header_list":[{"name":"a","value":null}]"#, "header_list", "it is a list of"),
        ] {
            let (at, why) = invalid(members);
            assert_eq!(at, format!("records[1].{path}"), "{members}");
            assert!(why.starts_with(detail), "{members}: {why}");
        }
        assert_eq!(records(r#""value":1,"timestamp":1732237200000"#).map(|r| r.timestamp), Ok(Some(NOW + 3_600_000)));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("\"value\":{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(records(&nested(64)).is_ok());
        for depth in [65, 100_000] {
            let (path, why) = invalid(&nested(depth));
            assert_eq!((&*path, &*why), ("records[1].value", "arrays and objects may nest 64 deep at most"));
        }
        for member in ["offset", "cursor", "topic", "key", "headers", "partition"] {
            let deep = nested(100_000).replacen("value", member, 1) + ",\"value\":1";
            let taken = records(&deep);
            assert_eq!(taken.is_ok(), matches!(member, "offset" | "cursor"), "{member}: has no effect");
        }
    }

    #[test]
    fn members_have_their_names() {
        for name in MEMBERS {
            assert_eq!(Member::named(name).map(Member::name), Some(*name));
        }
        assert_eq!(Member::named("Key"), None);
    }
}
