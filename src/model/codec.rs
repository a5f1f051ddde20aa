//! How a record is laid out in bytes inside a batch.
//!
//! ```text
//! record  := length u32 LE (of all that follows) · attributes u8 · timestamp u48 LE
//!            [key_len varint · key] [header_count varint · header*] value (the rest)
//! header  := name_len varint · name · kind u8 · value_len varint · value
//! ```
//! No offset and no base time are in it, so a record can be encoded before its place in the log is known, and the
//! records of many writers can be laid end to end. Integrity is the batch's business (its checksum); this file only
//! promises that damaged bytes never panic and never read past their record.

use crate::model::record::Header;
use crate::model::record::HeaderValue;
use crate::model::record::NewRecord;
use crate::model::record::Value;
use crate::model::time::Millis;
use std::borrow::Cow;

const KEY: u8 = 1;
const HEADERS: u8 = 1 << 1;
const JSON: u8 = 1 << 2;
const BYTES: u8 = 1 << 3;

/// Bytes before a record's variable part: length, attributes, timestamp.
const FIXED: usize = 4 + 1 + 6;

/// A value as it lies in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueRef<'a> {
    /// A JSON text without white space between its tokens.
    Json(&'a [u8]),
    /// Any bytes.
    Bytes(&'a [u8]),
    /// No value.
    Tombstone,
}

/// A record as it lies in a batch.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// Its place in the partition.
    pub offset: u64,
    /// The caller's time or the server's, in milliseconds.
    pub timestamp: Millis,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: ValueRef<'a>,
    /// The headers, in order.
    pub headers: Headers<'a>,
    /// How many bytes it takes in its batch.
    pub encoded_bytes: usize,
}

/// The bytes are not records. Never expected behind a checksum that held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged record")]
pub struct Damaged;

/// Appends one record to `out`.
pub fn encode(record: &NewRecord<'_>, timestamp: Millis, out: &mut Vec<u8>) {
    let start = out.len();
    let (kind, value): (u8, &[u8]) = match &record.value {
        Value::Json(text) => (JSON, text),
        Value::Bytes(bytes) => (BYTES, bytes),
        Value::Tombstone => (0, &[]),
    };
    let mut attributes = kind;
    if record.key.is_some() {
        attributes |= KEY;
    }
    if !record.headers.is_empty() {
        attributes |= HEADERS;
    }
    out.extend_from_slice(&[0; 4]);
    out.push(attributes);
    out.extend_from_slice(&timestamp.to_le_bytes()[..6]);
    if let Some(key) = &record.key {
        put_bytes(out, key);
    }
    if !record.headers.is_empty() {
        put_varint(out, record.headers.len());
        for header in &record.headers {
            put_bytes(out, header.name.as_bytes());
            out.push(u8::from(matches!(header.value, HeaderValue::Bytes(_))));
            put_bytes(out, header.value.as_bytes());
        }
    }
    out.extend_from_slice(value);
    let length = u32::try_from(out.len() - start - 4).expect("a record is below the request limit");
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// The records in `bytes`, the first of which has offset `base`.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Records<'a> {
    /// Reads records laid end to end.
    pub fn new(bytes: &'a [u8], base: u64) -> Self {
        Self { rest: bytes, offset: base }
    }

    /// Passes over one record without looking inside; returns how many bytes it takes.
    fn skip_one(&mut self) -> Result<usize, Damaged> {
        let length = self.rest.first_chunk::<4>().map(|b| u32::from_le_bytes(*b) as usize).ok_or(Damaged)?;
        self.rest = self.rest.get(4 + length..).ok_or(Damaged)?;
        self.offset += 1;
        Ok(4 + length)
    }

    /// Moves on to `offset` if it lies ahead.
    pub fn skip_to(&mut self, offset: u64) -> Result<(), Damaged> {
        while self.offset < offset && !self.rest.is_empty() {
            self.skip_one()?;
        }
        Ok(())
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (bytes, offset) = (self.rest, self.offset);
        match self.skip_one() {
            Ok(length) => Some(decode(&bytes[..length], offset)),
            Err(damaged) => {
                self.rest = &[];
                Some(Err(damaged))
            }
        }
    }
}

fn decode(bytes: &[u8], offset: u64) -> Result<RecordRef<'_>, Damaged> {
    let (fixed, mut rest) = bytes.split_at_checked(FIXED).ok_or(Damaged)?;
    let attributes = fixed[4];
    let mut time = [0; 8];
    time[..6].copy_from_slice(&fixed[5..]);
    let key = if attributes & KEY == 0 { None } else { Some(take_bytes(&mut rest)?) };
    let headers = if attributes & HEADERS == 0 { Headers::default() } else { Headers::take(&mut rest)? };
    let value = match attributes & (JSON | BYTES) {
        JSON => ValueRef::Json(rest),
        BYTES => ValueRef::Bytes(rest),
        0 if rest.is_empty() => ValueRef::Tombstone,
        _ => return Err(Damaged),
    };
    Ok(RecordRef { offset, timestamp: u64::from_le_bytes(time), key, value, headers, encoded_bytes: bytes.len() })
}

/// The headers of one record, in order. Checked when made, so that walking them cannot fail.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    fn take(rest: &mut &'a [u8]) -> Result<Self, Damaged> {
        let count = take_varint(rest)?;
        let bytes = *rest;
        for _ in 0..count {
            take_header(rest)?;
        }
        Ok(Self { count, bytes: &bytes[..bytes.len() - rest.len()] })
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each header in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| take_header(&mut rest).ok())
    }
}

fn take_header<'a>(rest: &mut &'a [u8]) -> Result<Header<'a>, Damaged> {
    let name = std::str::from_utf8(take_bytes(rest)?).map_err(|_| Damaged)?;
    let (kind, after) = rest.split_first().ok_or(Damaged)?;
    *rest = after;
    let bytes = take_bytes(rest)?;
    let value = match kind {
        0 => HeaderValue::Text(Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| Damaged)?)),
        1 => HeaderValue::Bytes(Cow::Borrowed(bytes)),
        _ => return Err(Damaged),
    };
    Ok(Header { name: Cow::Borrowed(name), value })
}

/// Appends an unsigned LEB128 number.
pub fn put_varint(out: &mut Vec<u8>, value: usize) {
    let mut value = value as u64;
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Takes an unsigned LEB128 number off the front.
pub fn take_varint(rest: &mut &[u8]) -> Result<usize, Damaged> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(Damaged)?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value).map_err(|_| Damaged);
        }
    }
    Err(Damaged)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Damaged> {
    let length = take_varint(rest)?;
    let (bytes, after) = rest.split_at_checked(length).ok_or(Damaged)?;
    *rest = after;
    Ok(bytes)
}
