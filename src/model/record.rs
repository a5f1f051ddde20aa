//! A record on its way in. What a reader sees of it is in `codec.rs`.

use std::borrow::Cow;

use crate::model::time::Millis;

/// What a record says. The three never mix: a tombstone is neither empty bytes nor the text `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A JSON text, checked, without white space between its tokens; else exactly as it was sent.
    Json(Cow<'a, [u8]>),
    /// Any bytes.
    Bytes(Cow<'a, [u8]>),
    /// The absence of a value: in a compacted topic, "this key is gone".
    Tombstone,
}

impl Value<'_> {
    /// Its bytes; a tombstone has none.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Json(bytes) | Self::Bytes(bytes) => bytes,
            Self::Tombstone => &[],
        }
    }
}

/// The value of a record header: text as a rule, bytes where a caller says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue<'a> {
    /// UTF-8 text.
    Text(Cow<'a, str>),
    /// Any bytes.
    Bytes(Cow<'a, [u8]>),
}

impl HeaderValue<'_> {
    /// The bytes, whichever kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// One record header. Names may repeat; order is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: HeaderValue<'a>,
}

/// A record on its way in: it has no offset yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// Which topic of the request it goes to, by index.
    pub topic: usize,
    /// The partition the caller names, if any.
    pub partition: Option<u32>,
    /// The key; absent and empty differ.
    pub key: Option<Cow<'a, [u8]>>,
    /// The value.
    pub value: Value<'a>,
    /// Headers in the order sent.
    pub headers: Vec<Header<'a>>,
    /// The caller's timestamp; the server's clock counts if absent.
    pub timestamp: Option<Millis>,
}
