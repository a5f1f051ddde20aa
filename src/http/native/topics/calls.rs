//! Topics and their partitions as resources: make, list, describe, configure, delete, trim, and where a position lies.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::kit::audit::Detail;
use crate::http::kit::body;
use crate::http::kit::body::OptionalJson;
use crate::http::kit::caller::Asking;
use crate::http::kit::page::PageQuery;
use crate::http::kit::path::PartitionPath;
use crate::http::kit::path::TopicPath;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::Query;
use crate::http::kit::query::invalid;
use crate::http::kit::query::missing;
use crate::http::native::state::Api;
use crate::http::native::topics::bodies::LogStartBody;
use crate::http::native::topics::bodies::OffsetBody;
use crate::http::native::topics::bodies::PartitionBody;
use crate::http::native::topics::bodies::SettingsBody;
use crate::http::native::topics::bodies::TopicBody;
use crate::http::native::topics::bodies::TopicDetailBody;
use crate::http::native::topics::bodies::TopicListBody;
use crate::http::native::topics::bodies::put_status;
use crate::model::limits::INTEGER_MAX;
use crate::model::name::NAME_BYTES_MAX;
use crate::model::name::TopicName;
use crate::model::position::Position;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;

const LOG_START_OFFSET: HeaderName = HeaderName::from_static("tidegate-log-start-offset");
const HIGH_WATERMARK: HeaderName = HeaderName::from_static("tidegate-high-watermark");

/// The calls of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_topics))
        .routes(routes!(put_topic, get_topic, patch_topic, delete_topic))
        .routes(routes!(get_partition))
        .routes(routes!(delete_records))
        .routes(routes!(get_offset))
}

/// Make a topic
///
/// A topic also comes into being with the first record that is sent to it. The body may be missing: then every setting
/// has its default. If the topic exists and every member that is given already is so, the answer is 200; if one is
/// otherwise, 409 with `current`.
#[utoipa::path(put, path = "/v1/topics/{topic}", operation_id = "put_topic", tag = "topics", params(TopicPath),
    request_body(content = Option<SettingsBody>, example = json!({"partition_count": 4, "retention_ms": 604800000})),
    responses(
        (status = 201, description = "The topic is new", body = TopicBody,
            headers(("location" = String, description = "Path of the topic")),
            example = json!({"topic": "clicks", "partition_count": 4, "retention_ms": 604800000,
                "retention_bytes": -1, "created_at": 1732233600000_u64})),
        (status = 200, description = "The topic was there, with these settings", body = TopicBody,
            example = json!({"topic": "clicks", "partition_count": 4, "retention_ms": 604800000,
                "retention_bytes": -1, "created_at": 1732233600000_u64})),
        Problem))]
async fn put_topic(
    State(api): State<Api>,
    TopicPath { topic: name }: TopicPath,
    uri: Uri,
    OptionalJson(settings): OptionalJson<Option<SettingsBody>>, // the body `null` is a missing one as well
) -> Result<Response, Problem> {
    Query::parse(uri.query(), &[])?;
    let settings = settings.unwrap_or_default().settings()?;
    let (topic, new) = api.broker.create_topic(&name, settings).await?;
    let location = HeaderValue::try_from(format!("/v1/topics/{name}")).expect("a name is a header value");
    let mut response = (put_status(new), settings_of(&topic), Json(TopicBody::from(&topic))).into_response();
    if new {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// List topics
///
/// Those that the caller may see, by name. Where there are more, `next_page_token` and `Link rel="next"` lead to the next
/// page.
#[utoipa::path(get, path = "/v1/topics", operation_id = "list_topics", tag = "topics",
    params(
        ("prefix" = Option<String>, Query, description = "Only topics whose names begin so", max_length = 249,
            example = "click"),
        ("limit" = Option<u32>, Query, description = "Topics a page, 100 by default; more than 1000 is lowered to it",
            minimum = 1, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before",
            max_length = 332, example = "Y2xpY2tz")),
    responses(
        (status = 200, description = "A page of topics", body = TopicListBody,
            headers(("link" = String, description = "The next page, if there is one")),
            example = json!({"topics": [{"topic": "clicks", "partition_count": 4, "retention_ms": 604800000,
                "retention_bytes": -1, "created_at": 1732233600000_u64}], "next_page_token": "Y2xpY2tz"})),
        Problem))]
async fn list_topics(State(api): State<Api>, asking: Asking, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(uri.query(), &["prefix", "limit", "page_token"])?;
    let prefix = query.get("prefix").unwrap_or_default();
    if prefix.len() > NAME_BYTES_MAX {
        return Err(invalid("prefix", format!("`prefix` has at most {NAME_BYTES_MAX} bytes, as a name has.")));
    }
    let page = PageQuery::<TopicName>::of(&query)?;
    let mut filling = page.fill();
    while let Some((after, count)) = filling.next_look() {
        let found = api.broker.topics(prefix, after, count).await?;
        filling.take(found, |topic| topic.name.as_str(), |topic| asking.0.rights.may_see(&topic.name));
    }
    let (topics, next_page_token, headers) = page.finish(filling, &["prefix"]);
    let body = TopicListBody { topics: topics.iter().map(TopicBody::from).collect(), next_page_token };
    Ok((headers, Json(body)).into_response())
}

/// Describe a topic
///
/// Its settings and all its partitions.
#[utoipa::path(get, path = "/v1/topics/{topic}", operation_id = "get_topic", tag = "topics", params(TopicPath),
    responses(
        (status = 200, description = "The topic", body = TopicDetailBody,
            example = json!({"topic": "clicks", "partition_count": 1, "retention_ms": 604800000,
                "retention_bytes": -1, "created_at": 1732233600000_u64, "partitions": [{"partition": 0,
                "log_start_offset": 0, "high_watermark": 43, "bytes": 6204, "records": 43}]})),
        Problem))]
async fn get_topic(
    State(api): State<Api>,
    TopicPath { topic: name }: TopicPath,
    uri: Uri,
) -> Result<Json<TopicDetailBody>, Problem> {
    Query::parse(uri.query(), &[])?;
    let (topic, partitions) = api.broker.describe_topic(&name).await?;
    let partitions = partitions.into_iter().map(PartitionBody::from).collect();
    Ok(Json(TopicDetailBody { topic: TopicBody::from(&topic), partitions }))
}

/// Describe a partition
///
/// What can be read of it: from `log_start_offset` to one before `high_watermark`. The two also stand in headers.
#[utoipa::path(get, path = "/v1/topics/{topic}/partitions/{partition}", operation_id = "get_partition",
    tag = "topics", params(PartitionPath),
    responses(
        (status = 200, description = "The partition", body = PartitionBody,
            headers(("tidegate-log-start-offset" = u64, description = "The first offset still kept"),
                ("tidegate-high-watermark" = u64, description = "One past the last record")),
            example = json!({"partition": 0, "log_start_offset": 0, "high_watermark": 43, "bytes": 6204,
                "records": 43})),
        Problem))]
async fn get_partition(State(api): State<Api>, path: PartitionPath, uri: Uri) -> Result<Response, Problem> {
    Query::parse(uri.query(), &[])?;
    let state = api.broker.describe_partition(&path.topic, path.partition).await?;
    let headers = [
        (LOG_START_OFFSET, HeaderValue::from(state.bounds.log_start_offset)),
        (HIGH_WATERMARK, HeaderValue::from(state.bounds.high_watermark)),
    ];
    Ok((headers, Json(PartitionBody::from(state))).into_response())
}

/// Change a topic
///
/// A merge patch: what is absent stays, `null` goes back to the default, -1 is no limit. The number of partitions may
/// only grow; records with a key that come after that may go to another partition than those before.
#[utoipa::path(patch, path = "/v1/topics/{topic}", operation_id = "patch_topic", tag = "topics", params(TopicPath),
    request_body(content(
        (SettingsBody = "application/merge-patch+json", example = json!({"partition_count": 8, "retention_ms": null})),
        (SettingsBody = "application/json", example = json!({"retention_bytes": 1073741824})))),
    responses(
        (status = 200, description = "The topic as it stands now", body = TopicBody,
            example = json!({"topic": "clicks", "partition_count": 8, "retention_ms": 604800000,
                "retention_bytes": -1, "created_at": 1732233600000_u64})),
        Problem))]
async fn patch_topic(
    State(api): State<Api>,
    TopicPath { topic: name }: TopicPath,
    uri: Uri,
    body::Json(settings): body::Json<SettingsBody>,
) -> Result<(Detail, Json<TopicBody>), Problem> {
    Query::parse(uri.query(), &[])?;
    let topic: Topic = api.broker.configure_topic(&name, settings.settings()?).await?;
    Ok((settings_of(&topic), Json(TopicBody::from(&topic))))
}

/// What a topic has now, for the audit.
fn settings_of(topic: &Topic) -> Detail {
    let TopicConfig { partition_count, retention: Retention { ms, bytes } } = topic.config;
    let limit = |limit: Option<u64>| limit.map_or("-1".to_owned(), |limit| limit.to_string());
    let (ms, bytes) = (limit(ms), limit(bytes));
    Detail(format!("partition_count={partition_count} retention_ms={ms} retention_bytes={bytes}"))
}

/// Delete a topic
///
/// With all its records. A new topic of the same name starts afresh, and old cursors are refused with
/// `topic_recreated`.
#[utoipa::path(delete, path = "/v1/topics/{topic}", operation_id = "delete_topic", tag = "topics", params(TopicPath),
    responses((status = 204, description = "The topic is gone"), Problem))]
async fn delete_topic(
    State(api): State<Api>,
    TopicPath { topic: name }: TopicPath,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    Query::parse(uri.query(), &[])?;
    api.broker.delete_topic(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete old records
///
/// Those of one partition below `before_offset`. An offset that is below the log start already changes nothing.
#[utoipa::path(delete, path = "/v1/topics/{topic}/partitions/{partition}/records", operation_id = "delete_records",
    tag = "topics",
    params(PartitionPath,
        ("before_offset" = u64, Query, description = "The first offset to keep, at most the high watermark",
            minimum = 0, maximum = 9007199254740991_u64, example = 42)),
    responses(
        (status = 200, description = "Where the log begins now", body = LogStartBody,
            example = json!({"log_start_offset": 42})),
        Problem))]
async fn delete_records(
    State(api): State<Api>,
    path: PartitionPath,
    uri: Uri,
) -> Result<(Detail, Json<LogStartBody>), Problem> {
    const BEFORE_OFFSET: &str = "before_offset";
    let query = Query::parse(uri.query(), &[BEFORE_OFFSET])?;
    let before = query.number(BEFORE_OFFSET, 0..=INTEGER_MAX)?.ok_or_else(|| missing(BEFORE_OFFSET))?;
    let log_start_offset = api.broker.delete_records(&path.topic, path.partition, before).await?;
    let detail = Detail(format!("before_offset={before} log_start_offset={log_start_offset}"));
    Ok((detail, Json(LogStartBody { log_start_offset })))
}

/// The offset at a position
///
/// A time means the lowest offset whose `timestamp` is not before it, or the high watermark if there is none.
#[utoipa::path(get, path = "/v1/topics/{topic}/partitions/{partition}/offsets", operation_id = "get_offset",
    tag = "topics",
    params(PartitionPath,
        ("at" = String, Query, description = "`earliest`, `latest`, `-N` (N records before the end), an RFC 3339 \
            time, or milliseconds since 1970 of at least 100000000000",
            max_length = 64, example = "2024-11-22T00:00:00Z",
            pattern = "^(earliest|latest|-(0|[1-9][0-9]{0,14})|[1-9][0-9]{11,14}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))$")),
    responses(
        (status = 200, description = "The offset", body = OffsetBody, example = json!({"offset": 42})),
        Problem))]
async fn get_offset(State(api): State<Api>, path: PartitionPath, uri: Uri) -> Result<Json<OffsetBody>, Problem> {
    let query = Query::parse(uri.query(), &["at"])?;
    let at = query.literal("at").ok_or_else(|| missing("at"))?;
    let at: Position = at.parse().map_err(|error| invalid("at", format!("`at`: {error}.")))?;
    let offset = api.broker.offset_at(&path.topic, path.partition, at).await?;
    Ok(Json(OffsetBody { offset }))
}
