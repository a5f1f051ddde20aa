//! Record headers as callers send them: the object `headers`, the list `header_list`, and request headers.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::http::native::input::bounds::Bounds;
use crate::http::native::input::json_text::Text;
use crate::http::native::input::refusal::Place;
use crate::http::native::input::refusal::Refusal;
use crate::http::native::input::refusal::Stop;
use crate::model::record::Header;
use crate::model::record::HeaderValue;

/// The members of an entry of `header_list`.
const ENTRY: &[&str] = &["name", "value", "value_base64"];

/// What request headers begin with that become record headers (api.md §3), in lower case.
const REQUEST_PREFIX: &str = "record-header-";

/// Whose headers are read, and what they are held against.
pub struct Sender<'s> {
    /// The bounds of a record.
    pub bounds: &'s Bounds<'s>,
    /// Where the record stands.
    pub place: Place,
    /// Where a refusal goes.
    pub stop: &'s mut Stop,
}

impl Sender<'_> {
    fn push<'de, E: serde::de::Error>(&mut self, headers: &mut Vec<Header<'de>>, header: Header<'de>) -> Result<(), E> {
        headers.push(header);
        self.bounds.check_header_count(headers.len(), self.place).map_err(|refusal| self.stop.with(refusal))
    }

    fn refuse<E: serde::de::Error>(&mut self, member: &str, why: impl fmt::Display) -> E {
        self.stop.with(Refusal::invalid(self.place.path(member), why))
    }
}

/// Reads `headers`: an object of strings; `null` is absent.
pub struct FromObject<'s>(pub Sender<'s>);

impl<'de> DeserializeSeed<'de> for FromObject<'_> {
    type Value = Option<Vec<Header<'de>>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for FromObject<'_> {
    type Value = Option<Vec<Header<'de>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut headers: Vec<Header<'de>> = Vec::new();
        while let Some((Text(name), Text(value))) = map.next_entry()? {
            if headers.iter().any(|header| header.name == name) {
                return Err(self.0.refuse("headers", "a name is there twice; send repeated names as `header_list`"));
            }
            self.0.push(&mut headers, Header { name, value: HeaderValue::Text(value) })?;
        }
        Ok(Some(headers))
    }
}

/// Reads `header_list`; `null` is absent.
pub struct FromList<'s>(pub Sender<'s>);

impl<'de> DeserializeSeed<'de> for FromList<'_> {
    type Value = Option<Vec<Header<'de>>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for FromList<'_> {
    type Value = Option<Vec<Header<'de>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of headers")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut headers = Vec::new();
        while let Some(header) = seq.next_element_seed(Entry { sender: &mut self.0, index: headers.len() })? {
            self.0.push(&mut headers, header)?;
        }
        Ok(Some(headers))
    }
}

/// Reads one entry of `header_list`.
struct Entry<'a, 's> {
    sender: &'a mut Sender<'s>,
    index: usize,
}

impl<'de> DeserializeSeed<'de> for Entry<'_, '_> {
    type Value = Header<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Header<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_, '_> {
    type Value = Header<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header<'de>, A::Error> {
        let Self { sender, index } = self;
        let entry = format!("header_list[{index}]");
        let (mut name, mut text, mut base64) = (None, None, None);
        while let Some(Text(member)) = map.next_key()? {
            let slot = match &*member {
                "name" => &mut name,
                "value" => &mut text,
                "value_base64" => &mut base64,
                _ => {
                    let path = sender.place.path(&entry);
                    return Err(sender.stop.with(Refusal::unknown_field(&path, &member, ENTRY)));
                }
            };
            let Text(value) = map.next_value()?;
            if slot.replace(value).is_some() {
                return Err(sender.refuse(&entry, format!("it has `{member}` twice")));
            }
        }
        let value = match (text, base64) {
            (Some(text), None) => HeaderValue::Text(text),
            (None, Some(base64)) => {
                let bytes = decode_base64(&base64, sender.place, &format!("{entry}.value_base64"));
                HeaderValue::Bytes(Cow::Owned(bytes.map_err(|refusal| sender.stop.with(refusal))?))
            }
            _ => return Err(sender.refuse(&entry, "it needs one of `value` and `value_base64`")),
        };
        match name {
            Some(name) => Ok(Header { name, value }),
            None => Err(sender.refuse(&entry, "it needs a `name`")),
        }
    }
}

/// The record headers among the headers of a request: `Record-Header-NAME: v` gives `name` with `v`, as bytes if `v`
/// is not UTF-8. Order and repeats are kept. Their bounds are the record's ([`Bounds::check`]).
pub fn from_request<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Result<Vec<Header<'h>>, Refusal> {
    let mut found = Vec::new();
    for (name, value) in headers {
        let Some(own) = name.get(REQUEST_PREFIX.len()..) else { continue };
        if !name[..REQUEST_PREFIX.len()].eq_ignore_ascii_case(REQUEST_PREFIX) {
            continue;
        }
        if own.is_empty() {
            let why = "a name must follow, as in `Record-Header-Trace: abc`";
            return Err(Refusal::invalid("Record-Header-".to_owned(), why));
        }
        let value = match std::str::from_utf8(value) {
            Ok(text) => HeaderValue::Text(Cow::Borrowed(text)),
            Err(_) => HeaderValue::Bytes(Cow::Borrowed(value)),
        };
        let upper = own.bytes().any(|byte| byte.is_ascii_uppercase());
        let name = if upper { Cow::Owned(own.to_ascii_lowercase()) } else { Cow::Borrowed(own) };
        found.push(Header { name, value });
    }
    Ok(found)
}

/// Bytes as RFC 4648 §4 writes them: the standard alphabet, padded, with nothing in between.
pub fn decode_base64(text: &str, place: Place, member: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text).map_err(|error| {
        let why =
            format!("not base64 as in RFC 4648 section 4 (A-Z a-z 0-9 + / with padding, no white space): {error}");
        Refusal::invalid(place.path(member), why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_headers_become_record_headers() {
        let request: [(&str, &[u8]); 6] = [
            ("record-header-trace", b"abc"),
            ("Record-Header-Trace", b"\xff"),
            ("content-type", b"text/plain"),
            ("RECORD-HEADER-X-Y", "ä".as_bytes()),
            ("record-header", b"no"),
            ("é-record-header-x", b"no"),
        ];
        let text = |name, value| Header { name: Cow::Borrowed(name), value: HeaderValue::Text(Cow::Borrowed(value)) };
        let bytes = Header { name: Cow::Borrowed("trace"), value: HeaderValue::Bytes(Cow::Borrowed(b"\xff")) };
        let found = from_request(request.into_iter()).expect("taken");
        assert_eq!(found, [text("trace", "abc"), bytes, text("x-y", "ä")]);
        let nameless = from_request([("Record-Header-", &b"x"[..])].into_iter()).expect_err("no name");
        assert!(nameless.detail.starts_with("Record-Header-: a name must follow"));
    }
}
