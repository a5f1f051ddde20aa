//! Answers that end: a page as JSON or lines, a dump of what was there, and what of them may be kept.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use crate::access::hold::Hold;
use crate::broker::error::Error;
use crate::broker::reader::Page;
use crate::broker::reader::PageLimit;
use crate::broker::reader::Reader;
use crate::http::kit::media::Format;
use crate::http::native::consume::query::ReadQuery;
use crate::http::native::consume::render::RecordWriter;
use crate::http::native::consume::render::write_value;
use crate::model::cursor::Cursor;

/// Where to go on.
pub const TIDEGATE_CURSOR: HeaderName = HeaderName::from_static("tidegate-cursor");
/// Whether that is the end for now.
pub const TIDEGATE_AT_TAIL: HeaderName = HeaderName::from_static("tidegate-at-tail");

/// A dump is sent in pieces of this size.
const PIECE: PageLimit = PageLimit { records: 100_000, bytes: 1 << 20 };

/// What a record takes in an answer beside its own bytes, as a hint for allocation.
const RECORD_FRAME_BYTES: usize = 96;

/// The head of a finite answer: where it ends, and how to go on.
fn head(read: &ReadQuery<'_>, cursor: &Cursor, at_tail: bool) -> Response {
    let mut response = Response::new(Body::empty());
    let text = cursor.to_string();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(read.format.media_type()));
    if let Some(link) = link(read, &text) {
        headers.insert(header::LINK, link);
    }
    headers.insert(TIDEGATE_CURSOR, HeaderValue::try_from(text).expect("a cursor is a header value"));
    headers.insert(TIDEGATE_AT_TAIL, HeaderValue::from_static(if at_tail { "true" } else { "false" }));
    response
}

/// The way on as a `Link`.
pub fn link(read: &ReadQuery<'_>, cursor: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("<{}>; rel=\"next\"", read.next(cursor))).ok()
}

/// One page, complete. `is_public` if anybody could have asked for it.
pub fn page(
    read: &ReadQuery<'_>,
    reader: &Reader,
    page: &Page,
    asked: &HeaderMap,
    max_age: Duration,
    is_public: bool,
) -> Response {
    let at_tail = reader.at_tail();
    let mut response = head(read, reader.cursor(), at_tail);
    let full = page.full && !at_tail && page.records > 0;
    let one_partition = reader.cursor().topics.iter().map(|topic| topic.partitions.len()).sum::<usize>() == 1;
    if full && one_partition && read.by_cursor() && !read.lag && !max_age.is_zero() {
        let tag = entity_tag(read, reader.cursor());
        let who = if is_public && read.names_format() { "public" } else { "private" };
        let keep = format!("{who}, max-age={}, immutable", max_age.as_secs());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::try_from(keep).expect("words and a number"));
        headers.insert(header::ETAG, tag.clone());
        if has_tag(asked, &tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
    }
    *response.body_mut() = Body::from(match read.format {
        Format::Json => object(reader, page, at_tail, read.lag.then(|| reader.lag())),
        _ => lines(read.format, reader, page),
    });
    response
}

/// Names the bytes of an answer: the cursor after it, and all of the query that shapes it.
fn entity_tag(read: &ReadQuery<'_>, cursor: &Cursor) -> HeaderValue {
    let shape = crc32c::crc32c(read.next("").as_bytes());
    let tag = format!("\"{cursor}.{shape:08x}.{}\"", read.format.name());
    HeaderValue::try_from(tag).expect("a cursor and digits are a header value")
}

/// RFC 9110 section 13.1.2: a weak comparison with each of the tags, or `*`.
fn has_tag(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let ours = tag.to_str().unwrap_or_default();
    asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|given| given.trim().trim_start_matches("W/"))
        .any(|given| given == ours || given == "*")
}

fn capacity(page: &Page) -> usize {
    let bytes: usize = page.slices.iter().map(|slice| slice.batch.bytes().len()).sum();
    bytes.min(PIECE.bytes * 2) + page.records * RECORD_FRAME_BYTES + 256
}

fn object(reader: &Reader, page: &Page, at_tail: bool, lag: Option<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity(page));
    out.extend_from_slice(b"{\"records\":[");
    write_records(Format::Json, reader, page, &mut out);
    out.extend_from_slice(b"],\"cursor\":\"");
    reader.cursor().write(&mut out);
    out.extend_from_slice(if at_tail { b"\",\"at_tail\":true" } else { b"\",\"at_tail\":false" });
    if let Some(lag) = lag {
        out.extend_from_slice(b",\"lag\":");
        out.extend_from_slice(itoa::Buffer::new().format(lag).as_bytes());
    }
    out.push(b'}');
    out
}

/// The records of a page, one a line.
pub fn lines(format: Format, reader: &Reader, page: &Page) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity(page));
    write_records(format, reader, page, &mut out);
    out
}

/// The records of a page: with commas between them as JSON, else one a line.
pub fn write_records(format: Format, reader: &Reader, page: &Page, out: &mut Vec<u8>) {
    let mut first = true;
    for slice in &page.slices {
        let partition = reader.cursor().topics[slice.topic].partitions[slice.place].partition;
        let writer = RecordWriter::new(&reader.topics()[slice.topic].name, partition);
        for record in reader.records(slice) {
            if format == Format::Json && !first {
                out.push(b',');
            }
            first = false;
            if format == Format::Values {
                write_value(out, record.value);
            } else {
                writer.write(out, &record, None);
            }
            if format != Format::Json {
                out.push(b'\n');
            }
        }
    }
}

/// All that is there now, as lines, for as long as `hold` lasts. What the head says of the end is kept, or the answer is
/// broken off: never shortened.
pub fn dump(read: &ReadQuery<'_>, reader: Reader, draining: CancellationToken, hold: Hold) -> Response {
    let end = reader.end();
    let mut response = head(read, &end, true);
    let format = read.format;
    let pieces = stream::try_unfold((reader, hold), move |(mut reader, hold)| {
        let (end, draining) = (end.clone(), draining.clone());
        async move {
            loop {
                if draining.is_cancelled() || hold.has_ended() {
                    return Err(Error::Draining);
                }
                let page = reader.page(PIECE, Some(&end)).await?;
                if page.records > 0 {
                    let piece = Bytes::from(lines(format, &reader, &page));
                    return Ok(Some((piece, (reader, hold))));
                }
                // A search by key may look through much and find nothing.
                if !page.full {
                    return Ok(None);
                }
            }
        }
    });
    *response.body_mut() = Body::from_stream(pieces);
    response
}
