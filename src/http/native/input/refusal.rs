//! Why a request's body is refused: what the problem documents of 400, 413 and 415 are made of.

use std::fmt;

use crate::http::native::input::json_text::Malformed;

/// How much of what a caller sent is repeated in a refusal, in characters.
const QUOTED_MAX: usize = 200;

/// A body that is refused, and nothing of it written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal, with the members that its problem document carries.
    pub kind: RefusalKind,
    /// A sentence for the caller: where, what is wrong and what to send instead.
    pub detail: String,
}

/// The kinds of [`Refusal`], each with the `code` of its problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalKind {
    /// 400 `malformed_json`.
    MalformedJson {
        /// Line of the body, from 1.
        line: usize,
        /// Byte within the line, from 1.
        column: usize,
    },
    /// 400 `unknown_field`.
    UnknownField {
        /// The member that nobody knows.
        field: String,
        /// Those that could stand there.
        known: &'static [&'static str],
    },
    /// 400 `invalid_record`.
    InvalidRecord {
        /// Which member of which record, as `records[3].key` or `line 3: key`.
        path: String,
    },
    /// 413 `record_too_large`.
    RecordTooLarge {
        /// The most bytes of key, headers and value together.
        limit: usize,
        /// Which record.
        path: String,
    },
    /// 413 `request_too_large`.
    TooManyRecords {
        /// The most records of one request.
        limit: usize,
    },
    /// 415 `unsupported_media_type`.
    UnsupportedMediaType,
}

/// Where a record stands in its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The request is the record: a raw value with query and headers.
    Request,
    /// The n-th of the list `records`, from 0.
    Record(usize),
    /// The n-th line, from 1.
    Line(usize),
}

impl Place {
    /// The name of a member here; of the record itself if `member` is empty.
    pub fn path(self, member: &str) -> String {
        match (self, member) {
            (Self::Request, "") => "the record".to_owned(),
            (Self::Request, member) => member.to_owned(),
            (Self::Record(index), "") => format!("records[{index}]"),
            (Self::Record(index), member) => format!("records[{index}].{member}"),
            (Self::Line(number), "") => format!("line {number}"),
            (Self::Line(number), member) => format!("line {number}: {member}"),
        }
    }
}

impl Refusal {
    /// A body, or line `line` of one, that is not JSON.
    pub fn malformed(at: Malformed, line: Option<usize>) -> Self {
        let Malformed { line: inner, column, reason } = at;
        let (what, line) = match line {
            Some(line) => ("each line must be one JSON object, but this one is not", line),
            None => ("the body is not JSON", inner),
        };
        let detail = format!("line {line}, column {column}: {what}: {}", clip(&reason));
        Self { kind: RefusalKind::MalformedJson { line, column }, detail }
    }

    /// A member that nobody knows; `path` is of the object in which it stands, empty for the body itself.
    pub fn unknown_field(path: &str, field: &str, known: &'static [&'static str]) -> Self {
        let field = clip(field);
        let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
        let detail = format!("{place}there is no member `{field}`; known are {}", known.join(", "));
        Self { kind: RefusalKind::UnknownField { field, known }, detail }
    }

    /// A record that cannot be taken as it is.
    pub fn invalid(path: String, why: impl fmt::Display) -> Self {
        Self { detail: format!("{path}: {why}"), kind: RefusalKind::InvalidRecord { path } }
    }

    /// A record beyond `limit` bytes.
    pub fn record_too_large(path: String, limit: usize) -> Self {
        let detail = format!("{path}: key, headers and value of a record may have {limit} bytes together");
        Self { detail, kind: RefusalKind::RecordTooLarge { limit, path } }
    }

    /// More than `limit` records.
    pub fn too_many_records(limit: usize) -> Self {
        let detail =
            format!("a request may have {limit} records; send more in several requests, or stream them as NDJSON");
        Self { kind: RefusalKind::TooManyRecords { limit }, detail }
    }

    /// A content type that is not taken.
    pub fn unsupported(detail: String) -> Self {
        Self { kind: RefusalKind::UnsupportedMediaType, detail }
    }
}

/// How a pass over JSON ends with a refusal of our own: serde's errors are texts, so the refusal waits here.
#[derive(Debug, Default)]
pub struct Stop(Option<Refusal>);

impl Stop {
    /// Notes why the pass stops, and gives the error that stops it.
    pub fn with<E: serde::de::Error>(&mut self, refusal: Refusal) -> E {
        self.0 = Some(refusal);
        E::custom("refused")
    }

    /// Why the pass was stopped, if it was not serde who stopped it.
    pub fn take(&mut self) -> Option<Refusal> {
        self.0.take()
    }
}

/// The beginning of `text`: a refusal must not grow with what is refused.
pub fn clip(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
