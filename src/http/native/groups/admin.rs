//! Resetting a group's offsets, and deleting it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::Uri;
use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::broker::groups::admin::OffsetReset;
use crate::broker::groups::admin::ResetTo;
use crate::http::kit::audit::Detail;
use crate::http::kit::body;
use crate::http::kit::caller::Asking;
use crate::http::kit::path::GroupPath;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::Query;
use crate::http::kit::query::invalid;
use crate::http::kit::query::missing;
use crate::http::kit::query::whole_number;
use crate::http::native::groups::rights::only_who_is_seen;
use crate::http::native::groups::terms::given;
use crate::http::native::groups::terms::position;
use crate::http::native::groups::terms::position_schema;
use crate::http::native::state::Api;
use crate::model::limits::INTEGER_MAX;
use crate::model::name::TopicName;

/// Partitions that the audit line of a reset names at most.
const AUDITED_PARTITIONS_MAX: usize = 32;

/// The calls of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(reset_offsets)).routes(routes!(delete_group))
}

/// Where a group is to go on in one topic: `to` a position, or at an `offset`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = OffsetReset)]
struct ResetBody {
    /// The topic.
    #[schema(min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$", examples("clicks"))]
    topic: String,
    /// Only this partition; all of the topic without it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, nullable = false, minimum = 0, maximum = 2147483647)]
    partition: Option<Box<RawValue>>,
    /// A position: `earliest`, `latest`, `-N`, an RFC 3339 time, or integer milliseconds.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = position_schema)]
    to: Option<Box<RawValue>>,
    /// An offset, instead of `to`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, nullable = false, minimum = 0, maximum = 9007199254740991_u64)]
    offset: Option<Box<RawValue>>,
    /// Only say what would come of it.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, default = false)]
    dry_run: Option<bool>,
    /// Take the partitions from members that hold them: their next call is told.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, default = false)]
    force: Option<bool>,
}

/// What a reset did, or would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OffsetsReset)]
struct ResetAnswer {
    /// One per partition.
    offsets: Vec<ResetOffsetAnswer>,
}

/// An offset that was set.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OffsetChange)]
struct ResetOffsetAnswer {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// What was committed before; `null` if nothing was.
    from_offset: Option<u64>,
    /// The next record that the group will read.
    next_offset: u64,
}

/// Reset offsets
///
/// Forward or back. The group is made if there is none. While a member holds a partition concerned the answer is 409,
/// unless forced.
#[utoipa::path(put, path = "/v1/groups/{group}/offsets", operation_id = "reset_offsets", tag = "groups",
    params(GroupPath), request_body(content = ResetBody, examples(
        ("to the beginning" = (value = json!({"topic": "clicks", "to": "earliest"}))),
        ("one partition" = (value = json!({"topic": "clicks", "partition": 0, "offset": 0, "dry_run": true}))))),
    responses(
        (status = 200, description = "What was set", body = ResetAnswer,
            example = json!({"offsets": [{"topic": "clicks", "partition": 0, "from_offset": 43, "next_offset": 0}]})),
        Problem))]
async fn reset_offsets(
    State(api): State<Api>,
    asking: Asking,
    GroupPath { group }: GroupPath,
    uri: Uri,
    body::Json(body): body::Json<ResetBody>,
) -> Result<(Detail, Json<ResetAnswer>), Problem> {
    Query::parse(uri.query(), &[])?;
    let topic = body.topic.parse();
    let topic: TopicName =
        topic.map_err(|why| Problem::new(Code::InvalidName, format!("`topic`: {why}.")).with("parameter", "topic"))?;
    asking.consumes([&topic])?;
    let to = match (body.to.as_deref(), body.offset.as_deref()) {
        (Some(_), Some(_)) => return Err(invalid("offset", "Either `to` or `offset` is given, not both.")),
        (None, None) => return Err(missing("to").with("instead", ["offset"])),
        (Some(text), None) => ResetTo::Position(position("to", text)?),
        (None, Some(text)) => ResetTo::Offset(whole_number("offset", text.get(), 0..=INTEGER_MAX)?),
    };
    let partition =
        body.partition.map(|text| whole_number("partition", text.get(), 0..=i32::MAX as u64)).transpose()?;
    let reset = OffsetReset {
        topic: topic.clone(),
        partition: partition.map(|number| u32::try_from(number).expect("at most i32::MAX")),
        to,
        dry_run: body.dry_run.unwrap_or(false),
        force: body.force.unwrap_or(false),
    };
    let (dry_run, force) = (reset.dry_run, reset.force);
    let changed = api.broker.reset_offsets(&group, reset).await?;
    let mut detail = format!("topic={topic} dry_run={dry_run} force={force} next_offsets=");
    for (n, change) in changed.iter().take(AUDITED_PARTITIONS_MAX).enumerate() {
        let comma = if n == 0 { "" } else { "," };
        detail.push_str(&format!("{comma}{}:{}", change.partition, change.next_offset));
    }
    let answer = changed.into_iter().map(|change| ResetOffsetAnswer {
        topic: topic.to_string(),
        partition: change.partition,
        from_offset: change.from_offset,
        next_offset: change.next_offset,
    });
    Ok((Detail(detail), Json(ResetAnswer { offsets: answer.collect() })))
}

/// Delete a group
///
/// With all that it has committed. While it has an active member the answer is 409, unless forced.
#[utoipa::path(delete, path = "/v1/groups/{group}", operation_id = "delete_group", tag = "groups",
    params(GroupPath,
        ("force" = Option<bool>, Query, description = "Also while it has members", example = false)),
    responses((status = 204, description = "The group is gone"), Problem))]
async fn delete_group(
    State(api): State<Api>,
    asking: Asking,
    GroupPath { group }: GroupPath,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    let query = Query::parse(uri.query(), &["force"])?;
    let deleted = api.broker.delete_group(&group, query.flag("force")?).await;
    deleted.map_err(|error| only_who_is_seen(&asking, error))?;
    Ok(StatusCode::NO_CONTENT)
}
