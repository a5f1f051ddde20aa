//! What streams are made of: records, gaps, signs of life and endings as server-sent events (WHATWG HTML §9.2) or as
//! NDJSON lines.

use std::fmt::Display;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;

use crate::broker::error::Error;
use crate::broker::error::Unreadable;
use crate::broker::reader::Page;
use crate::broker::reader::Reader;
use crate::http::kit::media::Format;
use crate::http::kit::problem::Problem;
use crate::http::native::consume::render::RecordWriter;
use crate::http::native::consume::render::write_value;
use crate::model::cursor::Cursor;

/// How long a browser waits before it reconnects, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// The same when this node shuts down: at random, so that not all come back at once.
const RETRY_AT_SHUTDOWN_MS: std::ops::RangeInclusive<u32> = 1_000..=5_000;

/// How long a stream waits before it asks a database again that does not answer.
pub const DATABASE_AWAY: Duration = Duration::from_millis(500);

/// How an endless answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamFormat {
    /// Server-sent events; the id of each is the position after it.
    Sse,
    /// One record a line, each with its cursor.
    Ndjson,
    /// One bare value a line.
    Values,
}

/// Why a stream ends.
#[derive(Debug, Clone)]
pub enum Ending {
    /// This node shuts down.
    Draining,
    /// Something is wrong with what is read.
    Failed(Error),
    /// Its reader may not go on.
    Refused(Problem),
}

/// A stretch that was dropped before it could be read.
#[derive(Serialize)]
struct GapBody<'a> {
    topic: &'a str,
    partition: u32,
    requested_offset: u64,
    log_start_offset: u64,
}

/// The head of an endless answer.
pub fn stream_head(format: StreamFormat) -> Response {
    let mut response = Response::new(Body::empty());
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    // Proxies neither change nor hold back what is marked so.
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    head.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

impl StreamFormat {
    /// The `Content-Type` of an answer.
    fn media_type(self) -> &'static str {
        match self {
            Self::Sse => Format::Sse.media_type(),
            Self::Ndjson | Self::Values => Format::Ndjson.media_type(),
        }
    }

    /// The records of a page. `before` is the reader's position before it, and becomes the position after it.
    pub fn records(self, reader: &Reader, page: &Page, before: &mut Cursor) -> Bytes {
        let size: usize = page.slices.iter().map(|slice| slice.batch.bytes().len()).sum();
        let mut out = Vec::with_capacity(size.min(1 << 20) + 256);
        let mut cursor = Vec::with_capacity(64);
        before.turn = 0;
        for slice in &page.slices {
            let positions = &before.topics[slice.topic].partitions;
            let writer = RecordWriter::new(&reader.topics()[slice.topic].name, positions[slice.place].partition);
            for record in reader.records(slice) {
                before.topics[slice.topic].partitions[slice.place].offset = record.offset + 1;
                match self {
                    Self::Values => write_value(&mut out, record.value),
                    Self::Sse => {
                        out.extend_from_slice(b"id: ");
                        before.write(&mut out);
                        out.extend_from_slice(b"\ndata: ");
                        writer.write(&mut out, &record, None);
                        out.push(b'\n');
                    }
                    Self::Ndjson => {
                        cursor.clear();
                        before.write(&mut cursor);
                        writer.write(&mut out, &record, Some(&cursor));
                    }
                }
                out.push(b'\n');
            }
        }
        before.clone_from(reader.cursor());
        before.turn = 0;
        Bytes::from(out)
    }

    /// What opens a stream: the position, so that one that is cut before its first event resumes.
    pub fn opening(self, position: &impl Display) -> Bytes {
        match self {
            Self::Sse => Bytes::from(format!("retry: {RETRY_MS}\nid: {position}\n\n")),
            Self::Ndjson | Self::Values => Bytes::new(),
        }
    }

    /// A sign of life that fires nothing in a browser, and moves the last event id.
    pub fn heartbeat(self, position: &impl Display) -> Bytes {
        match self {
            Self::Sse => Bytes::from(format!("id: {position}\n\n")),
            Self::Ndjson | Self::Values => Bytes::from_static(b"\n"),
        }
    }

    /// What retention dropped before it was read; `position` is behind it.
    pub fn gaps(self, gaps: &[Unreadable], position: &impl Display) -> Bytes {
        let mut out = String::new();
        for gap in gaps {
            let body = GapBody {
                topic: gap.topic.as_str(),
                partition: gap.partition,
                requested_offset: gap.requested_offset,
                log_start_offset: gap.log_start_offset,
            };
            let json = serde_json::to_string(&body).expect("names and numbers always serialize");
            out.push_str(&match self {
                Self::Sse => format!("event: gap\nid: {position}\ndata: {json}\n\n"),
                Self::Ndjson | Self::Values => format!("{{\"gap\":{json}}}\n"),
            });
        }
        Bytes::from(out)
    }

    /// The last words of a stream.
    pub fn ending(self, ending: &Ending, request_id: &str) -> Bytes {
        let (problem, retry) = match ending {
            Ending::Draining => (Problem::from(Error::Draining), Some(fastrand::u32(RETRY_AT_SHUTDOWN_MS))),
            Ending::Failed(error) => (Problem::from(error.clone()), None),
            Ending::Refused(problem) => (problem.clone(), None),
        };
        let json = problem.to_json(request_id);
        let retry = retry.map(|ms| format!("retry: {ms}\n")).unwrap_or_default();
        Bytes::from(match self {
            Self::Sse => format!("{retry}event: problem\ndata: {json}\n\n"),
            Self::Ndjson | Self::Values => format!("{{\"problem\":{json}}}\n"),
        })
    }
}
