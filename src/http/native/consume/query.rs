//! The query of a read: where it begins, what it covers, and which of the ways of reading it asks for.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;

use crate::broker::read::ReadRequest;
use crate::broker::read::Start;
use crate::broker::reader::PageLimit;
use crate::http::kit::event_id;
use crate::http::kit::media::Format;
use crate::http::kit::media::negotiate;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::Query;
use crate::http::kit::query::invalid;
use crate::http::kit::query::missing;
use crate::http::kit::query::whole_number;
use crate::http::native::consume::frames::StreamFormat;
use crate::model::cursor::Cursor;
use crate::model::limits::Limits;
use crate::model::name::TopicName;
use crate::model::position::Position;

/// Records in an answer that names no number.
const RECORDS_DEFAULT: usize = 500;

/// Bytes in an answer that names no size.
const BYTES_DEFAULT: usize = 1 << 20;

/// Parameters of every read.
macro_rules! common {
    ($($more:literal),*) => {
        &[$($more,)* "from", "cursor", "key", "key_base64", "max_records", "max_bytes", "wait_ms", "lag",
          "wait_for_topic", "format", "follow", "last_event_id"]
    };
}

/// What a path says of what is read.
#[derive(Debug, Clone)]
pub enum Scope {
    /// One topic, by its path; `partition` may choose.
    Topic(TopicName),
    /// Those that `topic` names.
    Topics,
    /// One partition, by its path; `offset` may say where to begin.
    Partition(TopicName, u32),
}

impl Scope {
    fn known(&self) -> &'static [&'static str] {
        match self {
            Self::Topic(_) => common!("partition"),
            Self::Topics => common!("topic"),
            Self::Partition(..) => common!("offset"),
        }
    }
}

/// A way of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A bounded answer.
    Page {
        /// How much at most.
        records: usize,
        /// How many bytes at most.
        bytes: usize,
    },
    /// All that is there when the request comes.
    Dump,
    /// An answer that does not end.
    Endless(StreamFormat),
}

impl Mode {
    /// The limit of a page.
    pub fn limit(self) -> PageLimit {
        match self {
            Self::Page { records, bytes } => PageLimit { records, bytes },
            Self::Dump | Self::Endless(_) => PageLimit { records: RECORDS_DEFAULT, bytes: BYTES_DEFAULT },
        }
    }
}

/// A read as it was asked for.
#[derive(Debug)]
pub struct ReadQuery<'a> {
    query: Query<'a>,
    raw: &'a str,
    /// What to read, and where to begin.
    pub request: ReadRequest,
    /// How it is written.
    pub format: Format,
    /// How much of it.
    pub mode: Mode,
    /// How long to wait if nothing is there.
    pub wait: Duration,
    /// Whether the answer says how far behind it is.
    pub lag: bool,
}

impl<'a> ReadQuery<'a> {
    /// Reads and checks the query.
    ///
    /// # Errors
    /// `unknown_parameter`, `invalid_parameter`, `missing_parameter`, `invalid_name`, `invalid_cursor`,
    /// `not_acceptable`.
    pub fn parse(scope: Scope, raw: Option<&'a str>, headers: &HeaderMap, limits: &Limits) -> Result<Self, Problem> {
        let query = Query::parse(raw, scope.known())?;
        let offered = [Format::Json, Format::Ndjson, Format::Values, Format::Sse];
        let format = negotiate(query.get("format"), headers, &offered)?;
        let mode = mode(&query, format, limits)?;
        let endless = matches!(mode, Mode::Endless(_));
        let start = start(&query, headers, endless)?;
        let key = key(&query, limits)?;
        let (topics, partitions) = match scope {
            Scope::Topic(topic) => (vec![topic], partitions(&query)?),
            Scope::Partition(topic, partition) => (vec![topic], Some(vec![partition])),
            Scope::Topics => (topics(&query)?, None),
        };
        let wait = Duration::from_millis(query.at_most("wait_ms", 0, limits.wait_ms)?.unwrap_or(0));
        let (lag, wait_for_topic) = (query.flag("lag")?, query.flag("wait_for_topic")?);
        let request = ReadRequest { topics, partitions, key, start, wait_for_topic };
        Ok(Self { query, raw: raw.unwrap_or_default(), request, format, mode, wait, lag })
    }

    /// Whether the position was given as `cursor`: only then does the URL say all there is to say of the answer.
    pub fn by_cursor(&self) -> bool {
        self.query.has("cursor")
    }

    /// Whether the URL names the format.
    pub fn names_format(&self) -> bool {
        self.query.has("format")
    }

    /// The query of the next read: this one's, from `cursor` on.
    pub fn next(&self, cursor: &str) -> String {
        let mut next = format!("?cursor={cursor}");
        for part in self.raw.split('&').filter(|part| !part.is_empty()) {
            let name = part.split('=').next().unwrap_or_default();
            if !matches!(name, "cursor" | "from" | "offset" | "last_event_id") {
                next.push('&');
                // The two characters that would end the link where it stands in angle brackets.
                next.push_str(&part.replace('<', "%3C").replace('>', "%3E"));
            }
        }
        next
    }
}

fn mode(query: &Query<'_>, format: Format, limits: &Limits) -> Result<Mode, Problem> {
    let stream = match format {
        Format::Json => {
            query
                .refuse(&["follow", "last_event_id"], "a JSON answer ends; ask for `format=ndjson` or `format=sse`")?;
            None
        }
        Format::Sse => {
            query.refuse(&["follow"], "an event stream always follows")?;
            Some(StreamFormat::Sse)
        }
        Format::Ndjson | Format::Values => {
            query.refuse(&["lag"], "only a JSON answer has room for it")?;
            query.refuse(&["last_event_id"], "it belongs to an event stream; use `cursor`")?;
            let lines = if format == Format::Ndjson { StreamFormat::Ndjson } else { StreamFormat::Values };
            query.flag("follow")?.then_some(lines)
        }
    };
    if let Some(stream) = stream {
        query.refuse(&["max_records", "max_bytes", "wait_ms", "lag"], "this answer does not end")?;
        return Ok(Mode::Endless(stream));
    }
    let number = |name, maximum: usize| -> Result<Option<usize>, Problem> {
        let asked = query.at_most(name, 1, maximum as u64)?;
        Ok(asked.map(|asked| usize::try_from(asked).unwrap_or(maximum)))
    };
    let records = number("max_records", limits.max_records)?;
    let bytes = number("max_bytes", limits.max_bytes)?;
    Ok(match (format, records, bytes) {
        (Format::Json, records, bytes) => Mode::Page {
            records: records.unwrap_or(RECORDS_DEFAULT.min(limits.max_records)),
            bytes: bytes.unwrap_or(BYTES_DEFAULT.min(limits.max_bytes)),
        },
        (_, None, None) => Mode::Dump,
        // Lines are bounded by what was asked for, and else only by what the server holds at once.
        (_, records, bytes) => {
            Mode::Page { records: records.unwrap_or(limits.max_records), bytes: bytes.unwrap_or(limits.max_bytes) }
        }
    })
}

/// In the order of the contract: `Last-Event-ID`, `last_event_id`, `cursor`, `offset`, `from`.
fn start(query: &Query<'_>, headers: &HeaderMap, endless: bool) -> Result<Start, Problem> {
    // What is given must be good, also where something else wins.
    let position = match query.literal("from") {
        Some(text) => text.parse().map_err(|why| invalid("from", format!("`from`: {why}.")))?,
        None => Position::Earliest,
    };
    let offset = query.number("offset", 0..=(1 << 53) - 1)?;
    let cursor = query.get("cursor").map(cursor).transpose()?;
    let last_event_id = query.get("last_event_id").map(cursor_of_event).transpose()?;
    if endless && let Some(id) = event_id::last_event_id(headers)? {
        return cursor_of_event(id).map(Start::Cursor);
    }
    Ok(match (last_event_id.or(cursor), offset) {
        (Some(cursor), _) => Start::Cursor(cursor),
        (None, Some(offset)) => Start::Offset(offset),
        (None, None) => Start::Position(position),
    })
}

fn cursor(text: &str) -> Result<Cursor, Problem> {
    Cursor::read(text).map_err(|why| Problem::new(Code::InvalidCursor, format!("`cursor`: {why}.")))
}

fn cursor_of_event(text: &str) -> Result<Cursor, Problem> {
    Cursor::read(text).map_err(|why| Problem::new(Code::InvalidCursor, format!("The last event id: {why}.")))
}

fn partitions(query: &Query<'_>) -> Result<Option<Vec<u32>>, Problem> {
    let mut partitions = Vec::new();
    for text in query.all("partition") {
        let number = whole_number("partition", text, 0..=i32::MAX as u64)?;
        partitions.push(u32::try_from(number).expect("at most i32::MAX"));
    }
    Ok((!partitions.is_empty()).then_some(partitions))
}

fn topics(query: &Query<'_>) -> Result<Vec<TopicName>, Problem> {
    let mut topics = Vec::new();
    for text in query.all("topic") {
        let name = text.parse().map_err(|why| Problem::new(Code::InvalidName, format!("`topic`: {why}.")));
        topics.push(name?);
    }
    if topics.is_empty() { Err(missing("topic")) } else { Ok(topics) }
}

/// The key to look for, as text or as base64 in either alphabet, with or without padding.
fn key(query: &Query<'_>, limits: &Limits) -> Result<Option<Vec<u8>>, Problem> {
    if query.has("key") {
        query.refuse(&["key_base64"], "`key` is given")?;
    }
    let key = match (query.get("key"), query.literal("key_base64")) {
        (Some(key), _) => key.as_bytes().to_vec(),
        (None, Some(text)) => base64_of_query(&text)
            .ok_or_else(|| invalid("key_base64", "`key_base64` is base64 (RFC 4648 section 4 or 5)."))?,
        (None, None) => return Ok(None),
    };
    if key.len() > limits.key_bytes {
        return Err(
            invalid("key", format!("A key has at most {} bytes.", limits.key_bytes)).with("maximum", limits.key_bytes)
        );
    }
    Ok(Some(key))
}

/// Base64 as it stands in a query: the URL's alphabet or the usual one.
pub fn base64_of_query(text: &str) -> Option<Vec<u8>> {
    if text.ends_with('=') && text.len() % 4 != 0 {
        return None; // padding may be missing, and not be half there
    }
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let usual: Cow<'_, str> =
        if text.contains(['-', '_']) { text.replace('-', "+").replace('_', "/").into() } else { text.into() };
    GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(usual.as_ref()).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn parse<'a>(query: &'a str, accept: &'static str) -> Result<ReadQuery<'a>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static(accept));
        let topic = "clicks".parse().expect("a name");
        ReadQuery::parse(Scope::Topic(topic), Some(query), &headers, &Limits::default())
    }

    #[test]
    fn each_way_of_reading_is_recognised() {
        let mode = |query: &'static str, accept| parse(query, accept).expect(query).mode;
        assert_eq!(mode("", "*/*"), Mode::Page { records: 500, bytes: 1 << 20 });
        assert_eq!(mode("max_records=99999999", "*/*"), Mode::Page { records: 10_000, bytes: 1 << 20 });
        assert_eq!(mode("", "application/x-ndjson"), Mode::Dump);
        assert_eq!(mode("format=values&max_records=3", "*/*"), Mode::Page { records: 3, bytes: 16 << 20 });
        assert_eq!(mode("format=ndjson&follow=true", "*/*"), Mode::Endless(StreamFormat::Ndjson));
        assert_eq!(mode("", "text/event-stream"), Mode::Endless(StreamFormat::Sse));
    }

    #[test]
    fn parameters_of_another_mode_are_refused() {
        for query in [
            "follow=true",
            "last_event_id=x",
            "format=sse&max_records=1",
            "format=sse&wait_ms=1",
            "format=sse&follow=true",
            "format=ndjson&lag=true",
            "format=ndjson&follow=true&max_bytes=1",
            "max_records=0",
            "wait_ms=-1",
            "key=a&key_base64=YQ",
            "partition=01",
            "from=5",
        ] {
            assert_eq!(parse(query, "*/*").expect_err(query).code(), Code::InvalidParameter, "{query}");
        }
        assert_eq!(parse("form=latest", "*/*").expect_err("unknown").code(), Code::UnknownParameter);
        assert_eq!(parse("cursor=", "*/*").expect_err("empty").code(), Code::InvalidCursor);
    }

    #[test]
    fn the_next_query_repeats_the_others() {
        let read = parse("from=-3&key=a%20b&partition=1&max_records=5", "*/*").expect("good");
        assert_eq!(read.next("XYZ"), "?cursor=XYZ&key=a%20b&partition=1&max_records=5");
    }

    #[test]
    fn keys_come_in_either_alphabet() {
        for text in ["-_8=", "-_8", "+/8=", "+/8"] {
            assert_eq!(base64_of_query(text), Some(vec![0xfb, 0xff]), "{text}");
        }
        for bad in ["*", "-_8==", "+=", "AA=", "AA===", "====", "AAAA="] {
            assert_eq!(base64_of_query(bad), None, "{bad}");
        }
    }
}
