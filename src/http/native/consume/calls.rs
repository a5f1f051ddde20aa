//! Consume: one endpoint, several ways. The query becomes a [`ReadQuery`], and each way is one arm of a match.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::caller::Identity;
use crate::broker::error::Error;
use crate::broker::read::poll;
use crate::broker::reader::Reader;
use crate::http::kit::caller::Asking;
use crate::http::kit::caller::unauthorized;
use crate::http::kit::context::Context;
use crate::http::kit::media::Format;
use crate::http::kit::path::PartitionPath;
use crate::http::kit::path::RecordPath;
use crate::http::kit::path::TopicPath;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::Query;
use crate::http::native::consume::answer;
use crate::http::native::consume::docs::PageAnswer;
use crate::http::native::consume::docs::PartitionReadParams;
use crate::http::native::consume::docs::ReadAnswer;
use crate::http::native::consume::docs::ReadParams;
use crate::http::native::consume::docs::RecordAnswer;
use crate::http::native::consume::docs::TopicsReadParams;
use crate::http::native::consume::feed::Selection;
use crate::http::native::consume::frames::StreamFormat;
use crate::http::native::consume::frames::stream_head;
use crate::http::native::consume::query::Mode;
use crate::http::native::consume::query::ReadQuery;
use crate::http::native::consume::query::Scope;
use crate::http::native::consume::render::RecordWriter;
use crate::http::native::consume::render::write_value;
use crate::http::native::consume::stream::Subscriber;
use crate::http::native::error::for_stream;
use crate::http::native::error::way_on;
use crate::http::native::state::Api;
use crate::model::batch::RecordBatch;
use crate::model::codec::RecordRef;
use crate::model::codec::ValueRef;

/// What the answers are made of.
#[derive(OpenApi)]
#[openapi(components(schemas(PageAnswer)))]
struct Schemas;

/// The calls of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Schemas::openapi())
        .routes(routes!(read_topic))
        .routes(routes!(read_topics))
        .routes(routes!(read_partition))
        .routes(routes!(record))
        .routes(routes!(value))
}

/// Read a topic
///
/// All partitions, or those that `partition` or `key` choose. JSON and lines end; `format=sse` and `follow=true` do not.
#[utoipa::path(get, path = "/v1/topics/{topic}/records", operation_id = "read_topic", tag = "records",
    params(TopicPath, ReadParams), responses(ReadAnswer, Problem),
    extensions(("x-stream" = json!(true))))]
async fn read_topic(
    State(api): State<Api>,
    context: Context,
    asking: Asking,
    path: TopicPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    read(&api, &context, &asking, Scope::Topic(path.topic), &uri, &headers).await
}

/// Read several topics
///
/// As one topic; `topic` is repeated.
#[utoipa::path(get, path = "/v1/records", operation_id = "read_topics", tag = "records",
    params(TopicsReadParams), responses(ReadAnswer, Problem),
    extensions(("x-stream" = json!(true))))]
async fn read_topics(
    State(api): State<Api>,
    context: Context,
    asking: Asking,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    read(&api, &context, &asking, Scope::Topics, &uri, &headers).await
}

/// Read a partition
///
/// For clients that keep their own offsets: `offset` says where to begin.
#[utoipa::path(get, path = "/v1/topics/{topic}/partitions/{partition}/records", operation_id = "read_partition",
    tag = "records", params(PartitionPath, PartitionReadParams), responses(ReadAnswer, Problem),
    extensions(("x-stream" = json!(true))))]
async fn read_partition(
    State(api): State<Api>,
    context: Context,
    asking: Asking,
    path: PartitionPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    read(&api, &context, &asking, Scope::Partition(path.topic, path.partition), &uri, &headers).await
}

async fn read(
    api: &Api,
    context: &Context,
    asking: &Asking,
    scope: Scope,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let read = ReadQuery::parse(scope, uri.query(), headers, &api.limits)?;
    asking.consumes(&read.request.topics)?;
    answer(api, context, asking, &read, headers).await.map_err(|error| {
        let link = way_on(&error).and_then(|cursor| answer::link(&read, cursor));
        let mut problem = Problem::from(error);
        if let Some(link) = link {
            problem = problem.header(header::LINK, link);
        }
        if read.format == Format::Sse { for_stream(problem) } else { problem }
    })
}

async fn answer(
    api: &Api,
    context: &Context,
    asking: &Asking,
    read: &ReadQuery<'_>,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let mut reader = api.broker.reader(read.request.clone()).await?;
    match read.mode {
        Mode::Endless(format) => {
            if let Err(error @ Error::OffsetOutOfRange(_)) = reader.check_positions() {
                return Err(error);
            }
            endless(api, context, asking, read, reader, format).await
        }
        Mode::Page { .. } => {
            let limit = read.mode.limit();
            let page = if read.wait.is_zero() || context.head_only {
                poll(&mut reader, limit, Duration::ZERO, api.draining.cancelled()).await?
            } else {
                let hold = api.access.hold(&asking.0);
                let page = poll(&mut reader, limit, read.wait, api.cut_short(&hold)).await?;
                if hold.has_ended() {
                    return Ok(unauthorized().into_response());
                }
                page
            };
            // Whoever needs no credentials may share what the URL alone describes.
            let is_public = asking.0.identity == Identity::Anonymous;
            Ok(answer::page(read, &reader, &page, headers, api.options.cache_max_age, is_public))
        }
        Mode::Dump => {
            reader.check_positions()?;
            let hold = api.access.hold(&asking.0);
            if !read.wait.is_zero() && !context.head_only {
                let mut look = reader.clone();
                poll(&mut look, read.mode.limit(), read.wait, api.cut_short(&hold)).await?;
                if hold.has_ended() {
                    return Ok(unauthorized().into_response());
                }
                reader.refresh().await?;
            }
            Ok(answer::dump(read, reader, api.draining.clone(), hold))
        }
    }
}

async fn endless(
    api: &Api,
    context: &Context,
    asking: &Asking,
    read: &ReadQuery<'_>,
    reader: Reader,
    format: StreamFormat,
) -> Result<Response, Error> {
    let mut response = stream_head(format);
    if context.head_only {
        return Ok(response);
    }
    let mut feed = None;
    if read.request.key.is_none() {
        let selection = Selection {
            topics: reader.topics().iter().map(|read| read.name.clone()).collect(),
            partitions: reader.partitions().map(<[u32]>::to_vec),
            wait_for_topic: read.request.wait_for_topic,
            format,
        };
        let shared = api.feeds.attach(&selection).await?;
        feed = shared.map(|shared| (shared, Arc::new(selection)));
    }
    let (streams, hold) = (Arc::clone(&api.streams), api.access.hold(&asking.0));
    *response.body_mut() = Body::new(Subscriber::new(streams, hold, reader, feed, format, context.request_id.clone()));
    Ok(response)
}

/// One record
///
/// Its place names it for ever.
#[utoipa::path(get, path = "/v1/topics/{topic}/partitions/{partition}/records/{offset}", operation_id = "read_record",
    tag = "records", params(RecordPath), responses((status = 200, body = RecordAnswer), Problem))]
async fn record(State(api): State<Api>, path: RecordPath, uri: Uri) -> Result<Response, Problem> {
    Query::parse(uri.query(), &[])?;
    let (topic, batch) = api.broker.record(&path.topic, path.partition, path.offset).await?;
    let mut out = Vec::new();
    RecordWriter::new(&topic.name, path.partition).write(&mut out, &find(&batch, path.offset)?, None);
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(([kind], out).into_response())
}

/// The bare value of one record
///
/// Always an attachment: what somebody stored is never shown as a page of ours.
#[utoipa::path(get, path = "/v1/topics/{topic}/partitions/{partition}/records/{offset}/value",
    operation_id = "read_value", tag = "records", params(RecordPath),
    responses(
        (status = 200, description = "The value: `application/json` if it is JSON, else `application/octet-stream`",
         content((serde_json::Value = "application/json"), (Vec<u8> = "application/octet-stream"))),
        (status = 204, description = "The record has no value (a tombstone)"), Problem))]
async fn value(State(api): State<Api>, path: RecordPath, uri: Uri) -> Result<Response, Problem> {
    Query::parse(uri.query(), &[])?;
    let (_, batch) = api.broker.record(&path.topic, path.partition, path.offset).await?;
    let record = find(&batch, path.offset)?;
    let mut response = match record.value {
        ValueRef::Json(_) => {
            let mut out = Vec::new();
            write_value(&mut out, record.value);
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], out).into_response()
        }
        ValueRef::Bytes(bytes) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            ([(header::CONTENT_TYPE, kind)], bytes.to_vec()).into_response()
        }
        ValueRef::Tombstone => StatusCode::NO_CONTENT.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    Ok(response)
}

fn find(batch: &RecordBatch, offset: u64) -> Result<RecordRef<'_>, Problem> {
    let found = batch.records().flatten().find(|record| record.offset == offset);
    found.ok_or_else(|| Error::Internal(format!("offset {offset} is missing in its batch")).into())
}
