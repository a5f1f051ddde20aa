//! Groups as they stand: a list, one with members and lag, one's offsets. None of these joins, renews or commits.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::kit::caller::Asking;
use crate::http::kit::page::PageQuery;
use crate::http::kit::path::GroupPath;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::Query;
use crate::http::native::groups::bodies::GroupBody;
use crate::http::native::groups::bodies::GroupListBody;
use crate::http::native::groups::bodies::GroupOffsetsBody;
use crate::http::native::groups::bodies::GroupSummaryBody;
use crate::http::native::groups::rights::only_what_is_seen;
use crate::http::native::state::Api;
use crate::model::name::GroupName;

/// The calls of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_groups)).routes(routes!(get_group)).routes(routes!(get_group_offsets))
}

/// List groups
///
/// Those that the caller may use, by name. Where there are more, `next_page_token` and `Link rel="next"` lead to the next
/// page.
#[utoipa::path(get, path = "/v1/groups", operation_id = "list_groups", tag = "groups",
    params(
        ("limit" = Option<u32>, Query, description = "Groups a page, 100 by default; more than 1000 is lowered to it",
            minimum = 1, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before",
            max_length = 332, example = "YmlsbGluZw")),
    responses(
        (status = 200, description = "A page of groups", body = GroupListBody,
            headers(("link" = String, description = "The next page, if there is one")),
            example = json!({"groups": [{"group": "billing", "state": "active", "strategy": "sticky", "members": 3}]})),
        Problem))]
async fn list_groups(State(api): State<Api>, asking: Asking, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(uri.query(), &["limit", "page_token"])?;
    let page = PageQuery::<GroupName>::of(&query)?;
    let mut filling = page.fill();
    while let Some((after, count)) = filling.next_look() {
        let found = api.broker.groups_by_name(after, count).await?;
        filling.take(found, |group| group.name.as_str(), |group| asking.0.rights.may_use_group(&group.name));
    }
    let (groups, next_page_token, headers) = page.finish(filling, &[]);
    let body = GroupListBody { groups: groups.iter().map(GroupSummaryBody::from).collect(), next_page_token };
    Ok((headers, Json(body)).into_response())
}

/// Describe a group
///
/// Its members, who holds what until when, what is committed, and how far behind that is; as far as it is about topics
/// that the caller may see.
#[utoipa::path(get, path = "/v1/groups/{group}", operation_id = "get_group", tag = "groups", params(GroupPath),
    responses((status = 200, description = "The group", body = GroupBody), Problem))]
async fn get_group(
    State(api): State<Api>,
    asking: Asking,
    GroupPath { group }: GroupPath,
    uri: Uri,
) -> Result<Json<GroupBody>, Problem> {
    Query::parse(uri.query(), &[])?;
    let state = only_what_is_seen(&asking, api.broker.describe_group(&group).await?);
    Ok(Json(GroupBody::from(&state)))
}

/// Committed offsets
///
/// Of every partition in which the group has committed, with its lag; of topics that the caller may see.
#[utoipa::path(get, path = "/v1/groups/{group}/offsets", operation_id = "get_group_offsets", tag = "groups",
    params(GroupPath),
    responses((status = 200, description = "The offsets", body = GroupOffsetsBody), Problem))]
async fn get_group_offsets(
    State(api): State<Api>,
    asking: Asking,
    GroupPath { group }: GroupPath,
    uri: Uri,
) -> Result<Json<GroupOffsetsBody>, Problem> {
    Query::parse(uri.query(), &[])?;
    let state = only_what_is_seen(&asking, api.broker.describe_group(&group).await?);
    Ok(Json(GroupOffsetsBody::from(&state)))
}
