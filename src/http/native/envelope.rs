//! The members of a record as a caller sends it, and how they become a record.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::http::native::bounds::Bounds;
use crate::http::native::headers::FromList;
use crate::http::native::headers::FromObject;
use crate::http::native::headers::Sender;
use crate::http::native::headers::decode_base64;
use crate::http::native::json_text::Text;
use crate::http::native::json_text::compact;
use crate::http::native::refusal::Place;
use crate::http::native::refusal::Refusal;
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
