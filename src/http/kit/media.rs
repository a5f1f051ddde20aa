//! Media types: what a body is said to be (`Content-Type`), and which of the offered formats the client wants
//! (`format`, else `Accept`).

use axum::http::HeaderMap;
use axum::http::header;

use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::invalid;
use crate::http::kit::query::peek;

/// What the body of a request is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType<'a> {
    /// No type given, or curl's default form type.
    Unstated,
    /// `application/json` or `…+json`.
    Json,
    /// `application/x-ndjson`, `application/ndjson` or `application/jsonl`.
    Ndjson,
    /// `text/*`.
    Text,
    /// Any other type, as it was given.
    Other(&'a str),
}

impl<'a> ContentType<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// `unsupported_media_type` for a text or JSON type in a charset other than UTF-8 (or its part ASCII);
    /// `invalid_parameter` if the header is repeated or not ASCII.
    pub fn of(headers: &'a HeaderMap) -> Result<Self, Problem> {
        let mut given = headers.get_all(header::CONTENT_TYPE).iter();
        let Some(first) = given.next() else { return Ok(Self::Unstated) };
        let text = first.to_str().ok().filter(|_| given.next().is_none()).ok_or_else(|| {
            Problem::new(Code::InvalidParameter, "`Content-Type` stands once, in ASCII.")
                .with("parameter", "content-type")
        })?;
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let kind = Self::of_essence(essence.trim(), text);
        if matches!(kind, Self::Json | Self::Ndjson | Self::Text)
            && let Some(charset) = charset(parameters)
            && !["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
        {
            let detail = format!("Text is taken as UTF-8 only, not as {charset}.");
            return Err(Problem::new(Code::UnsupportedMediaType, detail).with("accepted", ["charset=utf-8"]));
        }
        Ok(kind)
    }

    fn of_essence(essence: &str, given: &'a str) -> Self {
        let is = |known: &str| essence.eq_ignore_ascii_case(known);
        if essence.is_empty() || is("application/x-www-form-urlencoded") {
            Self::Unstated
        } else if is("application/json") || ends_with_ignore_case(essence, "+json") {
            Self::Json
        } else if ["application/x-ndjson", "application/ndjson", "application/jsonl"].iter().any(|known| is(known)) {
            Self::Ndjson
        } else if essence.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/")) {
            Self::Text
        } else {
            Self::Other(given)
        }
    }

    /// Lets JSON and what is unstated pass.
    ///
    /// # Errors
    /// `unsupported_media_type`.
    pub fn require_json(self) -> Result<(), Problem> {
        match self {
            Self::Json | Self::Unstated => Ok(()),
            Self::Ndjson | Self::Text | Self::Other(_) => Err(unsupported(&["application/json"])),
        }
    }
}

/// The refusal of a body's type, naming those that are taken.
pub fn unsupported(accepted: &[&'static str]) -> Problem {
    Problem::new(Code::UnsupportedMediaType, format!("The body is taken as {}.", accepted.join(", ")))
        .with("accepted", accepted)
}

fn charset(parameters: &str) -> Option<&str> {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find_map(|(name, value)| name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"')))
}

fn ends_with_ignore_case(text: &str, end: &str) -> bool {
    text.len() > end.len() && text.get(text.len() - end.len()..).is_some_and(|last| last.eq_ignore_ascii_case(end))
}

/// How records are written in an answer. The order is the order of preference on a tie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// One JSON object.
    Json,
    /// One record a line.
    Ndjson,
    /// One bare value a line; by `format=values` only.
    Values,
    /// An event stream, which does not end.
    Sse,
}

impl Format {
    /// All of them.
    const ALL: [Self; 4] = [Self::Json, Self::Ndjson, Self::Values, Self::Sse];

    /// The value of `format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Values => "values",
            Self::Sse => "sse",
        }
    }

    /// The `Content-Type` of an answer.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson | Self::Values => "application/x-ndjson",
            Self::Sse => "text/event-stream",
        }
    }

    /// How much the client wants it, by the most specific range that covers it, in thousandths; 0 is not at all.
    fn wanted(self, ranges: &[Range<'_>]) -> u16 {
        let covering = ranges.iter().filter_map(|range| Some((range.specificity(self)?, range.quality)));
        covering.max_by_key(|(specificity, _)| *specificity).map_or(0, |(_, quality)| quality)
    }
}

/// Chooses among `offered`: `format` wins over `Accept`; on a tie, for `*/*` and without `Accept` the first of JSON,
/// NDJSON, SSE. A format that does not end is given only to those who name it.
///
/// # Errors
/// `invalid_parameter` for a `format` that is none; `not_acceptable` for one that this call does not offer, and if `Accept`
/// names none that it does.
pub fn negotiate(format: Option<&str>, headers: &HeaderMap, offered: &[Format]) -> Result<Format, Problem> {
    if let Some(name) = format {
        let words: Vec<_> = offered.iter().map(|format| format.name()).collect();
        let named = offered.iter().copied().find(|format| format.name() == name);
        return named.ok_or_else(|| {
            if Format::ALL.iter().any(|format| format.name() == name) {
                return not_acceptable(offered);
            }
            invalid("format", format!("`format` is one of {}.", words.join(", "))).with("allowed", words)
        });
    }
    let accept: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut ranges: Vec<_> = accept.iter().flat_map(|value| value.split(',')).filter_map(Range::parse).collect();
    if accept.iter().all(|value| value.trim().is_empty()) {
        ranges.push(Range { essence: "*/*", quality: 1000 });
    }
    let wanted = offered.iter().copied().map(|format| (format.wanted(&ranges), format)).filter(|(q, _)| *q > 0);
    wanted
        .max_by(|(q, format), (other_q, other)| q.cmp(other_q).then(other.cmp(format)))
        .map(|(_, format)| format)
        .ok_or_else(|| not_acceptable(offered))
}

/// Whether a request that was refused before its handler saw it asks for an event stream.
pub fn names_event_stream(query: Option<&str>, headers: &HeaderMap) -> bool {
    match peek(query, "format") {
        Some(name) => name == Format::Sse.name(),
        None => matches!(negotiate(None, headers, &[Format::Json, Format::Ndjson, Format::Sse]), Ok(Format::Sse)),
    }
}

fn not_acceptable(offered: &[Format]) -> Problem {
    let formats: Vec<_> = offered.iter().map(|format| format.name()).collect();
    let mut types: Vec<_> = offered.iter().map(|format| format.media_type()).collect();
    types.dedup();
    let detail = format!("Offered are {} (`format` {}).", types.join(", "), formats.join(", "));
    Problem::new(Code::NotAcceptable, detail).with("offered", types).with("formats", formats)
}

/// One range of an `Accept` header.
struct Range<'a> {
    essence: &'a str,
    quality: u16,
}

impl<'a> Range<'a> {
    /// What does not parse is passed over: a client that sends a broken range beside a good one means the good one.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().filter(|essence| essence.contains('/'))?;
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = q.map_or(Some(1.0), |q| q.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)))?;
        Some(Self { essence, quality: (quality * 1000.0) as u16 })
    }

    /// How closely the range names the format; `None` if it does not cover it.
    fn specificity(&self, format: Format) -> Option<u8> {
        let is = |known: &str| self.essence.eq_ignore_ascii_case(known);
        match format {
            Format::Values => None, // has no media type of its own
            Format::Ndjson if is("application/ndjson") || is("application/jsonl") => Some(2),
            _ if is(format.media_type()) => Some(2),
            Format::Sse => None, // an endless answer is for those who name it
            Format::Json | Format::Ndjson if is("application/*") => Some(1),
            Format::Json | Format::Ndjson if is("*/*") => Some(0),
            Format::Json | Format::Ndjson => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const ALL: &[Format] = &[Format::Json, Format::Ndjson, Format::Values, Format::Sse];

    fn accept(text: &str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(text).expect("a header"));
        negotiate(None, &headers, ALL).ok()
    }

    #[test]
    fn accept_is_weighed() {
        for (text, chosen) in [
            ("*/*", Some(Format::Json)),
            ("", Some(Format::Json)),
            ("application/json", Some(Format::Json)),
            ("application/*", Some(Format::Json)),
            ("application/x-ndjson", Some(Format::Ndjson)),
            ("application/jsonl", Some(Format::Ndjson)),
            ("text/event-stream", Some(Format::Sse)),
            ("Text/Event-Stream", Some(Format::Sse)),
            ("text/event-stream, application/json", Some(Format::Json)),
            ("text/event-stream, application/json;q=0.9", Some(Format::Sse)),
            ("text/event-stream;q=0.5, */*;q=0.4", Some(Format::Sse)),
            ("application/json;q=0, */*", Some(Format::Ndjson)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Format::Json)),
            ("application/x-ndjson;q=0.8, application/json;q=0.8", Some(Format::Json)),
            ("application/json;q=x, application/x-ndjson", Some(Format::Ndjson)),
            ("text/*", None),
            ("text/html", None),
            ("application/json;q=0", None),
        ] {
            assert_eq!(accept(text), chosen, "{text}");
        }
    }

    #[test]
    fn format_wins_over_accept() {
        let mut headers = HeaderMap::new();
        assert_eq!(negotiate(None, &headers, ALL).ok(), Some(Format::Json));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        for format in ALL {
            assert_eq!(negotiate(Some(format.name()), &headers, ALL).ok(), Some(*format));
        }
        let refused = negotiate(Some("xml"), &headers, ALL).expect_err("not offered");
        assert_eq!(refused.code(), Code::InvalidParameter);
        assert!(refused.to_json("").contains(r#""allowed":["json","ndjson","values","sse"]"#));
        assert!(negotiate(Some("sse"), &headers, &[Format::Json]).is_err());
    }

    #[test]
    fn event_streams_are_recognised() {
        let mut headers = HeaderMap::new();
        assert!(!names_event_stream(None, &headers));
        assert!(names_event_stream(Some("from=latest&format=sse"), &headers));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        assert!(names_event_stream(None, &headers));
        assert!(!names_event_stream(Some("format=json"), &headers));
        assert!(names_event_stream(Some("from=latest&f%6frmat=%73se"), &HeaderMap::new()));
    }

    #[test]
    fn content_types_are_told_apart() {
        let mut headers = HeaderMap::new();
        assert_eq!(ContentType::of(&headers).expect("none"), ContentType::Unstated);
        for (text, kind) in [
            ("application/json", ContentType::Json),
            ("Application/JSON; charset=UTF-8", ContentType::Json),
            ("application/vnd.x+json", ContentType::Json),
            ("application/x-www-form-urlencoded", ContentType::Unstated),
            ("application/x-ndjson", ContentType::Ndjson),
            ("application/jsonl", ContentType::Ndjson),
            ("text/plain", ContentType::Text),
            ("image/png", ContentType::Other("image/png")),
            ("application/x; charset=utf-16", ContentType::Other("application/x; charset=utf-16")),
        ] {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            assert_eq!(ContentType::of(&headers).expect("good"), kind, "{text}");
        }
        for text in ["application/json; charset=utf-16", "text/plain;charset=\"latin1\""] {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            assert_eq!(ContentType::of(&headers).expect_err("a charset").code(), Code::UnsupportedMediaType);
        }
    }
}
