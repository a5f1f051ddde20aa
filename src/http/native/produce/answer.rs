//! The answers to a produce, written straight into bytes.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;

use crate::broker::produce::Placed;
use crate::broker::produce::Produced;
use crate::http::native::consume::render::Receipt;
use crate::http::native::input::raw::StoredAs;
use crate::model::name::TopicName;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const TOPIC_CREATED: HeaderName = HeaderName::from_static("tidegate-topic-created");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Headers of an answer, those of the front and of hyper included: room for them is made once.
const HEADERS_HINT: usize = 8;
/// Bytes of a receipt as a rule.
const RECEIPT_BYTES_HINT: usize = 64;
/// Topics told as made by one request. The topics themselves are all made; a client accepts only so many headers.
const CREATED_TOLD_MAX: usize = 64;

/// Where a raw value went: 201.
pub fn of_value(topic: &TopicName, produced: &Produced, stored_as: StoredAs) -> Response {
    let placed = produced.records[0];
    let Placed { partition, offset, .. } = placed;
    let mut body = Vec::new();
    let receipt = Receipt { stored_as: Some(stored_as), ..receipt(&placed, Some(topic)) };
    receipt.write(&mut body);
    let mut response = answer(StatusCode::CREATED, Body::from(body), produced);
    let location = format!("/v1/topics/{topic}/partitions/{partition}/records/{offset}");
    let location = HeaderValue::try_from(location).expect("a name and numbers are a header value");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// Where the records of one write went: 200. The topics are told where the path names none.
pub fn of_records(topics: &[TopicName], tell_topics: bool, produced: &Produced) -> Response {
    let mut body = Vec::with_capacity(16 + produced.records.len() * RECEIPT_BYTES_HINT);
    body.extend_from_slice(b"{\"offsets\":[");
    for (i, placed) in produced.records.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        receipt(placed, tell_topics.then(|| &topics[placed.topic])).write(&mut body);
    }
    body.extend_from_slice(b"]}");
    answer(StatusCode::OK, Body::from(body), produced)
}

/// The records are on their way: 202, without a body.
pub fn of_pending(created: &[TopicName]) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    tell_created(response.headers_mut(), created);
    response
}

/// Says which topics a request made.
pub fn tell_created(headers: &mut HeaderMap, created: &[TopicName]) {
    for name in created.iter().take(CREATED_TOLD_MAX) {
        headers.append(TOPIC_CREATED, HeaderValue::from_str(name.as_str()).expect("a name is a header value"));
    }
}

/// The receipt of a record.
pub fn receipt<'a>(placed: &Placed, topic: Option<&'a TopicName>) -> Receipt<'a> {
    let Placed { partition, offset, timestamp, .. } = *placed;
    Receipt { topic, partition, offset, timestamp, stored_as: None }
}

fn answer(status: StatusCode, body: Body, produced: &Produced) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS_HINT);
    headers.insert(header::CONTENT_TYPE, JSON);
    tell_created(headers, &produced.created);
    if produced.replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, TRUE);
    }
    response
}
