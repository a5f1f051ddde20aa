//! Produce: one raw value, a batch, or lines as they come. The answer says where each record is, once it is durable.

use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::broker::produce::Produce;
use crate::http::kit::body::read_all;
use crate::http::kit::caller::Asking;
use crate::http::kit::context::Context;
use crate::http::kit::media;
use crate::http::kit::media::ContentType;
use crate::http::kit::path::TopicPath;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::Query;
use crate::http::native::input::bounds::Bounds;
use crate::http::native::input::decode;
use crate::http::native::input::decode::Topics;
use crate::http::native::input::raw::raw_value;
use crate::http::native::input::refusal::Place;
use crate::http::native::produce::answer;
use crate::http::native::produce::bodies::NewRecordBody;
use crate::http::native::produce::bodies::NewRecordsBody;
use crate::http::native::produce::bodies::ReceiptLineBody;
use crate::http::native::produce::bodies::ReceiptsBody;
use crate::http::native::produce::bodies::ValueReceiptBody;
use crate::http::native::produce::request;
use crate::http::native::produce::request::Delivery;
use crate::http::native::produce::stream;
use crate::http::native::produce::stream::Session;
use crate::http::native::state::Api;
use crate::model::limits::INTEGER_MAX;
use crate::model::name::TopicName;
use crate::model::record::Header;
use crate::model::record::HeaderValue;
use crate::model::record::NewRecord;
use crate::model::time;

const OF_VALUES: &[&str] = &["key", "key_base64", "partition", "timestamp", "create", "ack"];
const OF_RECORDS: &[&str] = &["create", "ack", "atomic", "receipts"];
/// The record header that keeps a content type.
const CONTENT_TYPE: &str = "content-type";

/// The calls of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(produce_value))
        .routes(routes!(produce_records))
        .routes(routes!(produce_to_several_topics))
}

/// Write one raw value
///
/// The body is the value of one record. `application/json` and `…+json` are checked and kept as they are; `text/*` is
/// kept as a JSON string; without a type (curl's default form type counts as none) a body that begins with `{`, `[` or
/// `"` must be JSON and anything else is text, or bytes if it is no UTF-8; any other type is bytes, and the type is kept
/// as the record header `content-type`. Request headers `Record-Header-NAME` become record headers.
#[utoipa::path(post, path = "/v1/topics/{topic}/values", operation_id = "produce_value", tag = "records",
    params(TopicPath,
        ("key" = Option<String>, Query, description = "The key as text", max_length = 4096, example = "user-1"),
        ("key_base64" = Option<String>, Query, description = "The key as bytes, in base64 of either alphabet",
            max_length = 5464,
            example = "AAEC"),
        ("partition" = Option<u32>, Query, description = "The partition; else the key decides, else they take turns",
            minimum = 0, maximum = 2147483647, example = 0),
        ("timestamp" = Option<u64>, Query, description = "Milliseconds since 1970; the server's clock by default",
            minimum = 0, maximum = 9007199254740991_u64, example = 1732233600000_u64),
        ("create" = Option<bool>, Query, description = "Whether a missing topic is made", example = true),
        ("ack" = Option<String>, Query, description = "`none`: answer 202 before the commit", pattern = "^none$",
            example = "none"),
        ("idempotency-key" = Option<String>, Header, description = "Makes the request repeatable: 1 to 255 visible \
            ASCII characters", min_length = 1, max_length = 255, pattern = "^[!-~]+$", example = "order-17")),
    request_body(content(
        (serde_json::Value = "application/json", example = json!({"page": "/home"})),
        (String = "text/plain", example = json!("an event")),
        ("application/octet-stream", example = json!("any bytes")))),
    responses(
        (status = 201, description = "The record is durable", body = ValueReceiptBody,
            headers(("location" = String, description = "Path of the record"),
                ("tidegate-topic-created" = String, description = "The topic, if this request made it"),
                ("idempotency-replayed" = bool, description = "This is the answer to the first attempt")),
            example = json!({"topic": "clicks", "partition": 0, "offset": 42, "timestamp": 1732233600000_u64,
                "stored_as": "json"})),
        (status = 202, description = "With `ack=none`: the record is on its way",
            headers(("tidegate-topic-created" = String, description = "The topic, if this request made it"))),
        Problem))]
async fn produce_value(
    State(api): State<Api>,
    asking: Asking,
    TopicPath { topic }: TopicPath,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query(), OF_VALUES)?;
    let delivery = Delivery::of(&query)?;
    let key = request::key(&query)?;
    let partition = request::partition(&query)?;
    let timestamp = query.number("timestamp", 0..=INTEGER_MAX)?;
    let content_type = request::content_type(&parts.headers)?;
    let mut headers = request::record_headers(&parts.headers)?;

    let body = read_all(&parts, body).await?;
    let raw = raw_value(content_type, &body, &api.limits)?;
    if let Some(kept) = raw.content_type {
        headers.push(Header { name: CONTENT_TYPE.into(), value: HeaderValue::Text(kept.into()) });
    }
    let record = NewRecord { topic: 0, partition, key, value: raw.value, headers, timestamp };
    Bounds { limits: &api.limits, now: time::now() }.check(&record, Place::Request)?;
    let idempotency = request::produce_key(&parts, &body, delivery, &asking.0.identity)?;
    let write = Produce { topics: vec![topic], records: vec![record], create: delivery.create, idempotency };
    Context::of(&parts).payers.records(1)?;
    if !delivery.acknowledged {
        return submit(&api, &write).await;
    }
    let produced = api.broker.produce(&write).await?;
    Ok(answer::of_value(&write.topics[0], &produced, raw.stored_as))
}

/// Write records
///
/// As JSON the records are one atomic write. As NDJSON (one record a line, any number of lines) they are a stream: each
/// line is written for itself, in order, and answered by a receipt on a line of its own as soon as it is durable, while
/// the client still sends. The status comes with the first receipt; the last line is `{"records":N}`, with `problem` if
/// the stream ended early, and what was acknowledged stands. After 15 s of silence empty lines say that the stream
/// lives. With `receipts=none` only the last line is sent; with `atomic=true` the lines are one atomic write, answered
/// like JSON.
#[utoipa::path(post, path = "/v1/topics/{topic}/records", operation_id = "produce_records", tag = "records",
    params(TopicPath,
        ("create" = Option<bool>, Query, description = "Whether a missing topic is made", example = true),
        ("ack" = Option<String>, Query, description = "`none`: answer 202 before the commit; not for a stream",
            pattern = "^none$", example = "none"),
        ("atomic" = Option<bool>, Query, description = "NDJSON only: all lines are one write", example = true),
        ("receipts" = Option<String>, Query, description = "Streams only: `none` sends the last line alone, for \
            clients that send everything before they read", pattern = "^none$", example = "none"),
        ("idempotency-key" = Option<String>, Header, description = "Makes the request repeatable: 1 to 255 visible \
            ASCII characters; not for a stream", min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            example = "order-17")),
    request_body(content(
        (NewRecordsBody = "application/json", example = json!({"records": [
            {"key": "user-1", "value": {"page": "/home"}}, {"key": "user-2", "value": {"page": "/cart"}}]})),
        (NewRecordBody = "application/x-ndjson", example = json!({"key": "user-1", "value": {"page": "/home"}}),
            extensions(("x-stream" = json!(true)))))),
    responses(
        (status = 200, description = "The records are durable",
            headers(("tidegate-topic-created" = String, description = "The topic, if this request made it"),
                ("idempotency-replayed" = bool, description = "This is the answer to the first attempt")),
            content(
                (ReceiptsBody = "application/json", example = json!({"offsets": [
                    {"partition": 0, "offset": 42, "timestamp": 1732233600000_u64},
                    {"partition": 0, "offset": 43, "timestamp": 1732233600000_u64}]})),
                (ReceiptLineBody = "application/x-ndjson",
                    example = json!({"partition": 0, "offset": 42, "timestamp": 1732233600000_u64}),
                    extensions(("x-stream" = json!(true)))))),
        (status = 202, description = "With `ack=none`: the records are on their way",
            headers(("tidegate-topic-created" = String, description = "The topic, if this request made it"))),
        Problem),
    extensions(("x-stream" = json!(true))))]
async fn produce_records(
    State(api): State<Api>,
    TopicPath { topic }: TopicPath,
    context: Context,
    asking: Asking,
    request: Request,
) -> Result<Response, Problem> {
    records(api, Some(topic), context, asking, request).await
}

/// Write records to several topics
///
/// Each record names its `topic`. As JSON they are one atomic write over all of them; NDJSON is as for one topic.
#[utoipa::path(post, path = "/v1/records", operation_id = "produce_records_to_topics", tag = "records",
    params(
        ("create" = Option<bool>, Query, description = "Whether missing topics are made", example = true),
        ("ack" = Option<String>, Query, description = "`none`: answer 202 before the commit; not for a stream",
            pattern = "^none$", example = "none"),
        ("atomic" = Option<bool>, Query, description = "NDJSON only: all lines are one write", example = true),
        ("receipts" = Option<String>, Query, description = "Streams only: `none` sends the last line alone",
            pattern = "^none$", example = "none"),
        ("idempotency-key" = Option<String>, Header, description = "Makes the request repeatable: 1 to 255 visible \
            ASCII characters; not for a stream", min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            example = "order-17")),
    request_body(content(
        (NewRecordsBody = "application/json", example = json!({"records": [
            {"topic": "orders", "key": "17", "value": {"state": "paid"}},
            {"topic": "mails", "value": {"to": "user-1"}}]})),
        (NewRecordBody = "application/x-ndjson",
            example = json!({"topic": "orders", "key": "17", "value": {"state": "paid"}}),
            extensions(("x-stream" = json!(true)))))),
    responses(
        (status = 200, description = "The records are durable",
            headers(("tidegate-topic-created" = String, description = "A topic that this request made; may \
                    repeat"),
                ("idempotency-replayed" = bool, description = "This is the answer to the first attempt")),
            content(
                (ReceiptsBody = "application/json", example = json!({"offsets": [
                    {"topic": "orders", "partition": 0, "offset": 42, "timestamp": 1732233600000_u64},
                    {"topic": "mails", "partition": 0, "offset": 7, "timestamp": 1732233600000_u64}]})),
                (ReceiptLineBody = "application/x-ndjson",
                    example = json!({"topic": "orders", "partition": 0, "offset": 42,
                        "timestamp": 1732233600000_u64}),
                    extensions(("x-stream" = json!(true)))))),
        (status = 202, description = "With `ack=none`: the records are on their way",
            headers(("tidegate-topic-created" = String, description = "A topic that this request made; may \
                repeat"))),
        Problem),
    extensions(("x-stream" = json!(true))))]
async fn produce_to_several_topics(
    State(api): State<Api>,
    context: Context,
    asking: Asking,
    request: Request,
) -> Result<Response, Problem> {
    records(api, None, context, asking, request).await
}

/// Records for `topic`, or for the topics that they name.
async fn records(
    api: Api,
    topic: Option<TopicName>,
    context: Context,
    asking: Asking,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query(), OF_RECORDS)?;
    let delivery = Delivery::of(&query)?;
    request::refuse_record_headers(&parts.headers)?;
    let ndjson = match ContentType::of(&parts.headers)? {
        ContentType::Json | ContentType::Unstated => false,
        ContentType::Ndjson => true,
        ContentType::Text | ContentType::Other(_) => {
            return Err(media::unsupported(&["application/json", "application/x-ndjson", "application/jsonl"]));
        }
    };
    if !ndjson {
        query.refuse(&["atomic", "receipts"], "it belongs to NDJSON (`Content-Type: application/x-ndjson`)")?;
    } else if query.flag("atomic")? {
        query.refuse(&["receipts"], "an atomic write is answered as a whole")?;
    } else {
        query.refuse(&["ack"], "a stream is acknowledged line by line; `receipts=none` keeps the lines back")?;
        let why = "each line of a stream is a write of its own; send `atomic=true`, or JSON";
        request::refuse_idempotency_key(&parts.headers, why)?;
        let receipts = query.choice("receipts", &[("none", false)])?.unwrap_or(true);
        let session = Session::new(&api, topic, delivery.create, receipts, asking, context, body);
        return stream::respond(session).await;
    }
    write_whole(&api, &asking, topic, delivery, ndjson, &parts, body).await
}

/// One atomic write.
async fn write_whole(
    api: &Api,
    asking: &Asking,
    topic: Option<TopicName>,
    delivery: Delivery,
    ndjson: bool,
    parts: &Parts,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_all(parts, body).await?;
    let bounds = Bounds { limits: &api.limits, now: time::now() };
    let mut named = Topics::default();
    let names = topic.is_none().then_some(&mut named);
    let records = if ndjson { decode::lines(&body, &bounds, names)? } else { decode::batch(&body, &bounds, names)? };
    let idempotency = request::produce_key(parts, &body, delivery, &asking.0.identity)?;
    let tell_topics = topic.is_none();
    let topics = topic.map_or_else(|| named.into_names(), |topic| vec![topic]);
    asking.produces(&topics)?;
    let write = Produce { topics, records, create: delivery.create, idempotency };
    Context::of(parts).payers.records(write.records.len())?;
    if !delivery.acknowledged {
        return submit(api, &write).await;
    }
    let produced = api.broker.produce(&write).await?;
    Ok(answer::of_records(&write.topics, tell_topics, &produced))
}

/// A write that nobody waits for: it is in the queue, and its commit does not depend on us.
async fn submit(api: &Api, write: &Produce<'_>) -> Result<Response, Problem> {
    let pending = api.broker.submit(write).await?;
    Ok(answer::of_pending(pending.created()))
}
