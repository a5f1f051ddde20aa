//! Raw values: the body of `POST …/values` is the value of one record, and its content type says how it is kept.

use std::borrow::Cow;

use crate::http::native::input::json_text::NotTaken;
use crate::http::native::input::json_text::parse_value;
use crate::http::native::input::json_text::write_string;
use crate::http::native::input::refusal::Refusal;
use crate::http::native::input::refusal::RefusalKind;
use crate::http::native::input::refusal::clip;
use crate::model::limits::Limits;
use crate::model::record::Value;

/// How a raw value was kept; the answer's `stored_as`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredAs {
    /// As the JSON that it is.
    Json,
    /// As a JSON string.
    Text,
    /// As bytes.
    Bytes,
    /// As no value: the JSON `null`.
    Tombstone,
}

impl StoredAs {
    /// The word in the answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Tombstone => "tombstone",
        }
    }
}

/// A body taken as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawValue<'b> {
    /// The value.
    pub value: Value<'b>,
    /// How it is kept.
    pub stored_as: StoredAs,
    /// The content type, where it is to be kept as the record header `content-type`.
    pub content_type: Option<&'b str>,
}

/// Takes `body` as the value that its content type says it is (api.md §3, "Raw values"). The record's size is not
/// looked at.
pub fn raw_value<'b>(content_type: Option<&'b str>, body: &'b [u8], limits: &Limits) -> Result<RawValue<'b>, Refusal> {
    let kind = kind(content_type)?;
    if body.is_empty() {
        let why = "the body is empty; send `null` as application/json for a tombstone, `\"\"` for an empty text";
        return Err(Refusal::invalid("value".to_owned(), why));
    }
    match kind {
        Kind::Json => json(body, limits.json_depth),
        Kind::Text => match std::str::from_utf8(body) {
            Ok(body) => Ok(text(body)),
            Err(_) => {
                let why = "text must be UTF-8; send other bytes as application/octet-stream";
                Err(Refusal::invalid("value".to_owned(), why))
            }
        },
        Kind::NotSaid => guess(body, limits.json_depth),
        Kind::Other => {
            Ok(RawValue { value: Value::Bytes(Cow::Borrowed(body)), stored_as: StoredAs::Bytes, content_type })
        }
    }
}

/// What a content type says about a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Text,
    NotSaid,
    Other,
}

fn kind(content_type: Option<&str>) -> Result<Kind, Refusal> {
    let Some(content_type) = content_type.filter(|text| !text.trim().is_empty()) else { return Ok(Kind::NotSaid) };
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = match essence.split_once('/') {
        Some(("application", "x-www-form-urlencoded")) => return Ok(Kind::NotSaid),
        Some(("application", "json")) => Kind::Json,
        Some(("text", _)) => Kind::Text,
        Some((_, subtype)) if subtype.ends_with("+json") => Kind::Json,
        Some((first, subtype)) if !first.is_empty() && !subtype.is_empty() => return Ok(Kind::Other),
        _ => {
            let content_type = clip(content_type);
            return Err(Refusal::unsupported(format!("`{content_type}` is no media type, such as application/json")));
        }
    };
    let charset = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| {
        let name = name.trim();
        name.eq_ignore_ascii_case("charset")
    });
    let charset = charset.map(|(_, value)| value.trim().trim_matches('"'));
    match charset {
        Some(other) if !other.eq_ignore_ascii_case("utf-8") && !other.eq_ignore_ascii_case("utf8") => {
            let other = clip(other);
            let why = format!(
                "JSON and text are taken as UTF-8, not as `{other}`; send other encodings as application/octet-stream"
            );
            Err(Refusal::unsupported(why))
        }
        _ => Ok(kind),
    }
}

/// Without a type a body is JSON only if it cannot be meant otherwise: nothing is ever taken for a number or `null`.
fn guess(body: &[u8], depth_max: usize) -> Result<RawValue<'_>, Refusal> {
    let first = body.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    if matches!(first, Some(b'{' | b'[' | b'"')) {
        return json(body, depth_max).map_err(|mut refusal| {
            if matches!(refusal.kind, RefusalKind::MalformedJson { .. }) {
                let hint =
                    "; it was taken for JSON by its first character: if it is text, send `Content-Type: text/plain`";
                refusal.detail.push_str(hint);
            }
            refusal
        });
    }
    match std::str::from_utf8(body) {
        Ok(body) => Ok(text(body)),
        Err(_) => {
            let value = Value::Bytes(Cow::Borrowed(body));
            Ok(RawValue { value, stored_as: StoredAs::Bytes, content_type: None })
        }
    }
}

fn json(body: &[u8], depth_max: usize) -> Result<RawValue<'_>, Refusal> {
    let text = parse_value(body, depth_max).map_err(|error| match error {
        NotTaken::Malformed(at) => Refusal::malformed(at, None),
        NotTaken::TooDeep(deep) => Refusal::invalid("value".to_owned(), deep),
    })?;
    let (value, stored_as) = match &*text {
        b"null" => (Value::Tombstone, StoredAs::Tombstone),
        _ => (Value::Json(text), StoredAs::Json),
    };
    Ok(RawValue { value, stored_as, content_type: None })
}

fn text<'b>(text: &str) -> RawValue<'b> {
    let mut json = Vec::with_capacity(text.len() + text.len() / 8 + 2);
    write_string(&mut json, text);
    RawValue { value: Value::Json(Cow::Owned(json)), stored_as: StoredAs::Text, content_type: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(content_type: Option<&str>, body: &[u8]) -> (StoredAs, String, Option<String>) {
        let raw = raw_value(content_type, body, &Limits::default()).expect("taken");
        let bytes = match raw.value {
            Value::Json(bytes) | Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Value::Tombstone => String::new(),
        };
        (raw.stored_as, bytes, raw.content_type.map(str::to_owned))
    }

    fn refused(content_type: Option<&str>, body: &[u8]) -> Refusal {
        raw_value(content_type, body, &Limits::default()).expect_err("refused")
    }

    fn json(text: &str) -> (StoredAs, String, Option<String>) {
        (StoredAs::Json, text.to_owned(), None)
    }

    fn string(text: &str) -> (StoredAs, String, Option<String>) {
        (StoredAs::Text, text.to_owned(), None)
    }

    #[test]
    fn json_is_kept_verbatim() {
        for kind in
            ["application/json", "Application/JSON; charset=\"UTF-8\"", "application/vnd.a+json", "image/svg+json"]
        {
            assert_eq!(taken(Some(kind), b" { \"a\" : 1e400 }\n"), json("{\"a\":1e400}"), "{kind}");
        }
        assert_eq!(taken(Some("application/json"), b"12"), json("12"));
        assert_eq!(taken(Some("application/json"), b"\"null\""), json("\"null\""));
        assert_eq!(taken(Some("application/json"), b" null\r\n"), (StoredAs::Tombstone, String::new(), None));
        let refusal = refused(Some("application/json"), b"{\n x");
        assert_eq!(refusal.kind, RefusalKind::MalformedJson { line: 2, column: 2 });
        assert_eq!(refusal.detail, "line 2, column 2: the body is not JSON: key must be a string");
        let refusal = refused(Some("application/json"), "[".repeat(65).as_bytes());
        assert!(matches!(refusal.kind, RefusalKind::MalformedJson { .. }));
        let refusal = refused(Some("application/json"), ("[".repeat(65) + &"]".repeat(65)).as_bytes());
        assert_eq!(refusal.detail, "value: arrays and objects may nest 64 deep at most");
    }

    #[test]
    fn text_is_a_string() {
        assert_eq!(taken(Some("text/plain"), b"null"), string("\"null\""));
        assert_eq!(taken(Some("text/csv;charset=utf8"), b"a,\"b\"\r\n\0"), string(r#""a,\"b\"\r\n\u0000""#));
        assert_eq!(taken(Some("text/plain; charset=utf-8; format=flowed"), "ä".as_bytes()), string("\"ä\""));
        let refusal = refused(Some("text/plain"), b"\xff");
        assert_eq!(refusal.detail, "value: text must be UTF-8; send other bytes as application/octet-stream");
    }

    #[test]
    fn without_a_type_nothing_is_taken_for_a_number_or_null() {
        for kind in [
            None,
            Some(""),
            Some("application/x-www-form-urlencoded"),
            Some("application/x-www-form-urlencoded; charset=x"),
        ] {
            assert_eq!(taken(kind, b"12"), string("\"12\""));
            assert_eq!(taken(kind, b"null"), string("\"null\""));
            assert_eq!(taken(kind, b"true\n"), string("\"true\\n\""));
            assert_eq!(taken(kind, b"a=1&b=2"), string("\"a=1&b=2\""));
            assert_eq!(taken(kind, b" \n"), string("\" \\n\""));
            assert_eq!(taken(kind, b"\n {\"a\": 1}"), json("{\"a\":1}"));
            assert_eq!(taken(kind, b"[1]"), json("[1]"));
            assert_eq!(taken(kind, b"\"null\""), json("\"null\""));
            assert_eq!(taken(kind, b"\xfe\x00").0, StoredAs::Bytes);
            let refusal = refused(kind, b"[INFO] started");
            assert_eq!(refusal.kind, RefusalKind::MalformedJson { line: 1, column: 2 });
            assert!(refusal.detail.ends_with("send `Content-Type: text/plain`"), "{}", refusal.detail);
        }
    }

    #[test]
    fn any_other_type_is_bytes_and_kept() {
        let kept = |kind: &str| (StoredAs::Bytes, "{}".to_owned(), Some(kind.to_owned()));
        for kind in ["image/png", "application/octet-stream", "application/x-ndjson", "application/xml; charset=utf-16"]
        {
            assert_eq!(taken(Some(kind), b"{}"), kept(kind));
        }
    }

    #[test]
    fn what_cannot_be_taken_is_refused() {
        assert_eq!(refused(None, b"").kind, RefusalKind::InvalidRecord { path: "value".to_owned() });
        assert_eq!(refused(Some("image/png"), b"").kind, RefusalKind::InvalidRecord { path: "value".to_owned() });
        for kind in ["application/json; charset=utf-16", "text/plain;charset=iso-8859-1", "json", "/", "a/", "/b"] {
            assert_eq!(refused(Some(kind), b"{}").kind, RefusalKind::UnsupportedMediaType, "{kind}");
        }
    }
}
