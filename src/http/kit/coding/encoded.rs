//! Answers, packed for those who want it: pages and dumps that are worth it, never a stream that goes on.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body::Frame;
use http_body_util::BodyExt;

use crate::http::kit::coding::encoder::Encoder;
use crate::http::kit::coding::negotiation::Coding;

/// What is smaller is sent as it is: it fits a packet or two anyway.
const BYTES_MIN: u64 = 1 << 10;
/// What is no larger is packed at once, and its length known.
const AT_ONCE_BYTES: u64 = 64 << 10;
/// Of what is larger so much is packed in one step.
const STEP_BYTES: usize = 64 << 10;
/// After so many steps others have their turn, though nothing had to be waited for.
const STEPS_IN_A_ROW: u8 = 8;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Names of types that are text, or mostly.
const PACKABLE: [&str; 4] = ["application/json", "application/x-ndjson", "application/javascript", "image/svg+xml"];

/// How one request wants its answer.
#[derive(Debug, Default)]
pub struct Wanted {
    coding: Option<Coding>,
    /// It has a packed answer, of this tag, and asks whether that still holds.
    has: Option<HeaderValue>,
}

impl Wanted {
    /// Reads the headers of a request. Tags of packed answers in its `If-None-Match` become those that handlers know: a
    /// packed answer is another representation, so its tag is another too (RFC 9110 section 8.8.3.3).
    pub fn of(headers: &mut HeaderMap) -> Self {
        let Some(coding) = Coding::for_answer(headers) else { return Self::default() };
        let given = headers.get(header::IF_NONE_MATCH).and_then(|given| given.to_str().ok());
        let end = format!("-{}\"", coding.name());
        let Some(given) = given.filter(|given| given.contains(&end)) else {
            return Self { coding: Some(coding), has: None };
        };
        let plain = HeaderValue::try_from(given.replace(&end, "\"")).expect("a part of a header value");
        let has = headers.insert(header::IF_NONE_MATCH, plain);
        Self { coding: Some(coding), has }
    }

    /// The answer as it is wanted. `head_only`: its body is dropped, and only the headers matter.
    pub async fn apply(self, mut response: Response, head_only: bool) -> Response {
        if response.status() == StatusCode::NOT_MODIFIED {
            self.tag_what_it_has(response.headers_mut());
            return response;
        }
        if !is_packable(&response) {
            return response;
        }
        vary(response.headers_mut());
        let told = response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let exact = told.or(response.body().size_hint().exact()); // of a HEAD the body is gone already
        let Some(coding) = self.coding.filter(|_| exact.is_none_or(|bytes| bytes >= BYTES_MIN)) else {
            return response;
        };
        if head_only {
            mark(response.headers_mut(), coding);
            return response;
        }
        let (mut parts, body) = response.into_parts();
        if exact.is_some_and(|bytes| bytes <= AT_ONCE_BYTES) {
            // It is there: nothing is waited for.
            let Ok(plain) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
                return Response::from_parts(parts, Body::empty());
            };
            return match pack(coding, &plain) {
                Ok(packed) if packed.len() < plain.len() => {
                    mark(&mut parts.headers, coding);
                    Response::from_parts(parts, Body::from(packed))
                }
                _ => Response::from_parts(parts, Body::from(plain)),
            };
        }
        mark(&mut parts.headers, coding);
        let encoded = Encoded { body, encoder: Some(Encoder::new(coding)), rest: Bytes::new(), steps: 0 };
        Response::from_parts(parts, Body::new(encoded))
    }

    /// A 304 has the tag that the whole answer would have.
    fn tag_what_it_has(&self, headers: &mut HeaderMap) {
        let (Some(coding), Some(has), Some(tag)) = (self.coding, &self.has, headers.get(header::ETAG)) else { return };
        if let Some(tag) = tag_of_packed(tag, coding)
            && has.to_str().is_ok_and(|has| has.contains(tag.to_str().unwrap_or_default()))
        {
            headers.insert(header::ETAG, tag);
        }
        vary(headers);
    }
}

/// Whether packing changes nothing but the size.
fn is_packable(response: &Response) -> bool {
    let headers = response.headers();
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text(&header::CONTENT_TYPE);
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let is_text = PACKABLE.contains(&essence) || (essence.starts_with("text/") && essence != "text/event-stream");
    is_text
        && !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT)
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(X_ACCEL_BUFFERING) // whoever reads it waits for each piece
        && !text(&header::CACHE_CONTROL).contains("no-transform")
}

/// Says that the answer is packed.
fn mark(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(header::CONTENT_LENGTH);
    if let Some(tag) = headers.get(header::ETAG).and_then(|tag| tag_of_packed(tag, coding)) {
        headers.insert(header::ETAG, tag);
    }
}

fn vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
}

fn tag_of_packed(tag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let inside = tag.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::try_from(format!("{inside}-{}\"", coding.name())).ok()
}

fn pack(coding: Coding, plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = Encoder::new(coding);
    let mut packed = Vec::with_capacity(plain.len() / 4);
    encoder.run(plain, &mut packed)?;
    encoder.finish(&mut packed)?;
    Ok(packed)
}

/// A body that is packed while it is sent.
struct Encoded {
    body: Body,
    /// `None` once the end is written.
    encoder: Option<Encoder>,
    /// What came of the body and is not packed.
    rest: Bytes,
    /// Steps since something was waited for.
    steps: u8,
}

impl Encoded {
    fn step(&mut self, encoder: &mut Encoder) -> io::Result<Vec<u8>> {
        let piece = self.rest.split_to(self.rest.len().min(STEP_BYTES));
        let mut packed = Vec::new();
        encoder.run(&piece, &mut packed)?;
        Ok(packed)
    }
}

impl HttpBody for Encoded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(mut encoder) = this.encoder.take() else { return Poll::Ready(None) };
        loop {
            if this.rest.is_empty() {
                match Pin::new(&mut this.body).poll_frame(cx) {
                    Poll::Pending => {
                        this.steps = 0;
                        this.encoder = Some(encoder);
                        return Poll::Pending;
                    }
                    // It is broken off, as it would be if it were not packed.
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(Some(Ok(frame))) => {
                        let Ok(data) = frame.into_data() else { continue };
                        this.rest = data;
                        continue;
                    }
                    Poll::Ready(None) => {
                        let mut packed = Vec::new();
                        let end = encoder.finish(&mut packed).map_err(axum::Error::new);
                        return Poll::Ready(Some(end.map(|()| Frame::data(Bytes::from(packed)))));
                    }
                }
            }
            if this.steps >= STEPS_IN_A_ROW {
                this.steps = 0;
                this.encoder = Some(encoder);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            this.steps += 1;
            match this.step(&mut encoder) {
                Ok(packed) if packed.is_empty() => {}
                Ok(packed) => {
                    this.encoder = Some(encoder);
                    return Poll::Ready(Some(Ok(Frame::data(Bytes::from(packed)))));
                }
                Err(error) => return Poll::Ready(Some(Err(axum::Error::new(error)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }
}
