//! Commits, signs of life, and leaving.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::Uri;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::broker::groups::offsets::OffsetToCommit;
use crate::http::kit::body;
use crate::http::kit::caller::Asking;
use crate::http::kit::path::MemberPath;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::Query;
use crate::http::kit::query::invalid;
use crate::http::kit::query::missing;
use crate::http::kit::query::whole_number;
use crate::http::native::groups::bodies::CommittedBody;
use crate::http::native::groups::bodies::LeaseBody;
use crate::http::native::groups::terms::given;
use crate::http::native::groups::terms::member_cursor;
use crate::http::native::state::Api;
use crate::model::group::METADATA_BYTES_MAX;
use crate::model::limits::INTEGER_MAX;

/// The calls of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(commit)).routes(routes!(heartbeat)).routes(routes!(leave))
}

/// What to commit: everything before a cursor, or offsets by name in an epoch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = Commit)]
struct CommitBody {
    /// Everything before this cursor, as a poll or the id of an event gave it.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_length = 1535, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// The epoch of the member's run; with `offsets`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, nullable = false, minimum = 0, maximum = 9007199254740991_u64)]
    epoch: Option<Box<RawValue>>,
    /// Offsets by name.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_items = 1, max_items = 10000)]
    offsets: Option<Vec<OffsetBody>>,
}

/// An offset to commit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = OffsetToCommit)]
struct OffsetBody {
    /// The topic.
    #[schema(min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$", examples("clicks"))]
    topic: String,
    /// The partition.
    #[schema(value_type = u32, minimum = 0, maximum = 2147483647, examples(0))]
    partition: Box<RawValue>,
    /// The next record that the group is to read.
    #[schema(value_type = u64, minimum = 0, maximum = 9007199254740991_u64, examples(43))]
    next_offset: Box<RawValue>,
    /// A text to keep beside it, at most 4096 bytes.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_length = 4096)]
    metadata: Option<String>,
}

/// Offsets of one commit at most, as records of one request.
const OFFSETS_MAX: usize = 10_000;

/// Commit
///
/// All of it or nothing. A commit by cursor needs nothing else: the cursor carries the epochs that fence it; one that is
/// older than what is committed changes nothing.
#[utoipa::path(post, path = "/v1/groups/{group}/members/{member}/offsets", operation_id = "commit_offsets",
    tag = "groups", params(MemberPath),
    request_body(content = CommitBody, examples(
        ("by cursor" = (value = json!({"cursor": "IMqXr8YBAAEBAQmZAQABKw"}))),
        ("by name" = (value = json!({"epoch": 7, "offsets": [{"topic": "clicks", "partition": 0,
            "next_offset": 43, "metadata": "batch 12"}]}))))),
    responses(
        (status = 200, description = "The offsets as they now stand", body = CommittedBody,
            example = json!({"offsets": [{"topic": "clicks", "partition": 0, "next_offset": 43}]})),
        Problem))]
async fn commit(
    State(api): State<Api>,
    asking: Asking,
    MemberPath { group, member }: MemberPath,
    uri: Uri,
    body::Json(body): body::Json<CommitBody>,
) -> Result<Json<CommittedBody>, Problem> {
    Query::parse(uri.query(), &[])?;
    let named = match (body.cursor.as_deref(), body.offsets) {
        (Some(_), Some(_)) => return Err(invalid("offsets", "Either `cursor` or `offsets` is given, not both.")),
        (None, None) => return Err(missing("cursor").with("instead", ["offsets"])),
        (Some(_), None) if body.epoch.is_some() => {
            return Err(invalid("epoch", "`epoch` goes with `offsets`; a cursor carries its own."));
        }
        (Some(text), None) => {
            let cursor = member_cursor("`cursor`", text)?;
            api.broker.commit_cursor(&group, &member, cursor, &asking.0.rights).await?
        }
        (None, Some(offsets)) => {
            let epoch = body.epoch.ok_or_else(|| missing("epoch"))?;
            let epoch = whole_number("epoch", epoch.get(), 0..=INTEGER_MAX)?;
            let offsets = read_offsets(offsets)?;
            asking.consumes(offsets.iter().map(|offset| &offset.topic))?;
            api.broker.commit_offsets(&group, &member, epoch, offsets).await?
        }
    };
    Ok(Json(CommittedBody::from(named)))
}

fn read_offsets(offsets: Vec<OffsetBody>) -> Result<Vec<OffsetToCommit>, Problem> {
    if offsets.is_empty() || offsets.len() > OFFSETS_MAX {
        let detail = format!("`offsets` are 1 to {OFFSETS_MAX}.");
        return Err(invalid("offsets", detail).with("minimum", 1).with("maximum", OFFSETS_MAX));
    }
    let mut read: Vec<OffsetToCommit> = Vec::with_capacity(offsets.len());
    let mut seen = HashSet::new();
    for (i, OffsetBody { topic, partition, next_offset, metadata }) in offsets.into_iter().enumerate() {
        let refused = |why| Problem::new(Code::InvalidName, format!("`offsets[{i}].topic`: {why}."));
        let topic = topic.parse().map_err(refused)?;
        let partition = whole_number("partition", partition.get(), 0..=i32::MAX as u64)?;
        let partition = u32::try_from(partition).expect("at most i32::MAX");
        let next_offset = whole_number("next_offset", next_offset.get(), 0..=INTEGER_MAX)?;
        if metadata.as_ref().is_some_and(|text| text.len() > METADATA_BYTES_MAX) {
            let detail = format!("`offsets[{i}].metadata` has at most {METADATA_BYTES_MAX} bytes.");
            return Err(invalid("metadata", detail).with("maximum", METADATA_BYTES_MAX));
        }
        let offset = OffsetToCommit { topic, partition, next_offset, metadata };
        if !seen.insert((offset.topic.clone(), partition)) {
            let detail = format!("`offsets[{i}]` names a partition that stands there already.");
            return Err(invalid("offsets", detail));
        }
        read.push(offset);
    }
    Ok(read)
}

/// What a sign of life says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = Heartbeat)]
struct HeartbeatBody {
    /// The epoch of the member's run.
    #[schema(value_type = u64, minimum = 0, maximum = 9007199254740991_u64, examples(7))]
    epoch: Box<RawValue>,
}

/// Renew
///
/// For work that takes longer than the lease: every other call of the member renews it as well.
#[utoipa::path(post, path = "/v1/groups/{group}/members/{member}/heartbeat", operation_id = "renew_lease",
    tag = "groups", params(MemberPath), request_body(content = HeartbeatBody, example = json!({"epoch": 7})),
    responses(
        (status = 200, description = "The lease runs its full length from now", body = LeaseBody,
            example = json!({"member_id": "worker-1", "epoch": 7, "lease_ms": 10000})),
        Problem))]
async fn heartbeat(
    State(api): State<Api>,
    MemberPath { group, member }: MemberPath,
    uri: Uri,
    body::Json(body): body::Json<HeartbeatBody>,
) -> Result<Json<LeaseBody>, Problem> {
    Query::parse(uri.query(), &[])?;
    let epoch = whole_number("epoch", body.epoch.get(), 0..=INTEGER_MAX)?;
    let lease_ms = api.broker.heartbeat(&group, &member, epoch).await?;
    Ok(Json(LeaseBody { member_id: member.to_string(), epoch, lease_ms }))
}

/// Leave
///
/// The member's partitions are free at once. Without `epoch`, whoever bears the name is taken out.
#[utoipa::path(delete, path = "/v1/groups/{group}/members/{member}", operation_id = "leave_group", tag = "groups",
    params(MemberPath,
        ("epoch" = Option<u64>, Query, description = "Only if the member's run is this one", minimum = 0,
            maximum = 9007199254740991_u64, example = 7)),
    responses((status = 204, description = "The member is gone"), Problem))]
async fn leave(
    State(api): State<Api>,
    MemberPath { group, member }: MemberPath,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    let query = Query::parse(uri.query(), &["epoch"])?;
    let epoch = query.number("epoch", 0..=INTEGER_MAX)?;
    api.broker.leave(&group, &member, epoch).await?;
    Ok(StatusCode::NO_CONTENT)
}
