//! Joining and polling: the whole consumer in one call.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::broker::error::Error;
use crate::broker::groups::poll::GroupPoll;
use crate::broker::groups::poll::Polled;
use crate::broker::groups::session::Session;
use crate::http::kit::body::Json;
use crate::http::kit::caller::Asking;
use crate::http::kit::caller::unauthorized;
use crate::http::kit::media::Format;
use crate::http::kit::media::negotiate;
use crate::http::kit::path::GroupPath;
use crate::http::kit::path::MemberPath;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::Query;
use crate::http::native::consume::answer::TIDEGATE_AT_TAIL;
use crate::http::native::consume::answer::TIDEGATE_CURSOR;
use crate::http::native::consume::answer::lines;
use crate::http::native::consume::answer::write_records;
use crate::http::native::consume::docs::RecordAnswer;
use crate::http::native::groups::bodies::AssignmentBody;
use crate::http::native::groups::bodies::assignments;
use crate::http::native::groups::rights::may_subscribe;
use crate::http::native::groups::terms::JoinBody;
use crate::http::native::groups::terms::PollBody;
use crate::http::native::groups::terms::member_cursor;
use crate::http::native::groups::terms::needs_topics;
use crate::http::native::state::Api;
use crate::model::name::MemberName;

const TIDEGATE_EPOCH: HeaderName = HeaderName::from_static("tidegate-epoch");

/// The calls of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(poll)).routes(routes!(join))
}

/// A name for a member that brings none.
pub fn made_name() -> MemberName {
    format!("member-{:016x}", fastrand::u64(..)).parse().expect("letters, a dash and digits are a name")
}

/// What a poll answers.
#[derive(Serialize, ToSchema)]
#[schema(as = PolledRecords)]
#[allow(dead_code)]
struct PollAnswer {
    /// The records, in order within each partition.
    records: Vec<RecordAnswer>,
    /// Where to go on; with the next poll, everything before it is committed.
    cursor: String,
    /// Whether that is the end of all partitions that the member holds, for now.
    at_tail: bool,
    /// The member's own name, where the server made it.
    #[schema(nullable = false)]
    member_id: Option<String>,
    /// The epoch of the member's run.
    #[schema(minimum = 1)]
    epoch: u64,
    /// The lease, in milliseconds, counted from this answer.
    #[schema(minimum = 1000)]
    lease_ms: u64,
    /// What the member holds.
    assignments: Vec<AssignmentBody>,
}

/// Poll
///
/// The whole consumer in one call. Without `cursor` it begins: it joins, or takes over from a former run of that name,
/// and reads from the committed offsets. With `cursor` it goes on: everything before the cursor is committed, the lease
/// renewed, the next records returned. After a lost answer send the same again.
#[utoipa::path(post, path = "/v1/groups/{group}/members/{member}/poll", operation_id = "poll_group", tag = "groups",
    params(MemberPath,
        ("format" = Option<String>, Query, description = "Wins over `Accept`: `json`, `ndjson` or `values`",
            pattern = "^(json|ndjson|values)$", example = "json")),
    request_body(content = PollBody, example = json!({"topics": ["clicks"], "wait_ms": 5000})),
    responses(
        (status = 200, description = "Records, one object or one a line; none after the wait",
            content(
                (PollAnswer = "application/json", example = json!({"records": [{"topic": "clicks", "partition": 0,
                    "offset": 42, "timestamp": 1732233600000_u64, "value": {"page": "/home"}}],
                    "cursor": "IMqXr8YBAAEBAQmZAQABKw", "at_tail": true, "epoch": 7, "lease_ms": 10000,
                    "assignments": [{"topic": "clicks", "partition": 0, "epoch": 3, "next_offset": 43}]})),
                (RecordAnswer = "application/x-ndjson")),
            headers(("tidegate-cursor" = String, description = "Where to go on"),
                ("tidegate-at-tail" = String, description = "`true` if that is the end for now"),
                ("tidegate-epoch" = u64, description = "The epoch of the member's run"))),
        Problem))]
async fn poll(
    State(api): State<Api>,
    asking: Asking,
    MemberPath { group, member }: MemberPath,
    uri: Uri,
    headers: HeaderMap,
    Json(body): Json<PollBody>,
) -> Result<Response, Problem> {
    let query = Query::parse(uri.query(), &["format"])?;
    let format = negotiate(query.get("format"), &headers, &[Format::Json, Format::Ndjson, Format::Values])?;
    let cursor = body.cursor.as_deref().map(|text| member_cursor("`cursor`", text)).transpose()?;
    let terms = body.terms()?;
    if cursor.is_none() {
        needs_topics(&terms, "topics")?;
    }
    may_subscribe(&asking, &terms)?;
    let poll = GroupPoll {
        group,
        member,
        rights: asking.0.rights.clone(),
        terms,
        cursor,
        commit: body.commit.unwrap_or(true),
        from: body.from()?,
        limit: body.limit(&api.limits)?,
        wait: body.wait(&api.limits)?,
    };
    let commits = poll.commit && poll.cursor.is_some();
    let refusal = |problem: Problem| if commits { problem.partly_done() } else { problem };
    let hold = (!poll.wait.is_zero()).then(|| api.access.hold(&asking.0));
    let polled = match &hold {
        Some(hold) => api.broker.poll_group(poll, api.cut_short(hold)).await,
        None => api.broker.poll_group(poll, api.draining.cancelled()).await,
    };
    match polled {
        Ok(_) if hold.is_some_and(|hold| hold.has_ended()) => Err(refusal(unauthorized())),
        Ok(polled) => Ok(answer(format, &polled)),
        Err(error) if may_be_after_commit(&error) => Err(refusal(error.into())),
        Err(error) => Err(error.into()),
    }
}

/// A poll commits first and reads then: what refuses the reading does not mean that nothing was committed.
fn may_be_after_commit(error: &Error) -> bool {
    matches!(
        error,
        Error::DatabaseUnavailable
            | Error::Overloaded
            | Error::OffsetExpired { .. }
            | Error::OffsetOutOfRange(_)
            | Error::NotPermitted
    )
}

fn answer(format: Format, polled: &Polled) -> Response {
    let Polled { session, page, reader } = polled;
    let body = if format == Format::Json {
        let mut out = b"{\"records\":[".to_vec();
        write_records(format, reader, page, &mut out);
        out.push(b']');
        finish_object(&mut out, session, None);
        out
    } else {
        lines(format, reader, page)
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    tell(response.headers_mut(), session);
    response
}

/// All members of the answer but the records.
fn finish_object(out: &mut Vec<u8>, session: &Session, member_id: Option<&MemberName>) {
    /// In this order, after the records.
    #[derive(Serialize)]
    struct Rest<'a> {
        cursor: String,
        at_tail: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        member_id: Option<&'a str>,
        epoch: u64,
        lease_ms: u64,
        assignments: Vec<AssignmentBody>,
    }
    let rest = Rest {
        cursor: session.cursor().to_string(),
        at_tail: session.at_tail(),
        member_id: member_id.map(MemberName::as_str),
        epoch: session.epoch(),
        lease_ms: session.lease_ms(),
        assignments: assignments(session),
    };
    let rest = serde_json::to_vec(&rest).expect("names and numbers always serialize");
    out.push(b',');
    out.extend_from_slice(&rest[1..]); // the records opened the object
}

/// What a shell reads: the headers say where to go on.
fn tell(headers: &mut HeaderMap, session: &Session) {
    let text = session.cursor().to_string();
    headers.insert(TIDEGATE_CURSOR, HeaderValue::try_from(text).expect("a cursor is a header value"));
    headers.insert(TIDEGATE_AT_TAIL, HeaderValue::from_static(if session.at_tail() { "true" } else { "false" }));
    headers.insert(TIDEGATE_EPOCH, HeaderValue::from(session.epoch()));
}

/// Join
///
/// As a poll without `cursor`, under a name that the server makes and without records: poll with the cursor of the
/// answer at `Location` + `/poll`.
#[utoipa::path(post, path = "/v1/groups/{group}/members", operation_id = "join_group", tag = "groups",
    params(GroupPath),
    request_body(content = JoinBody, example = json!({"topics": ["clicks"]})),
    responses(
        (status = 201, description = "The member is in", body = PollAnswer,
            headers(("location" = String, description = "Path of the member"),
                ("tidegate-cursor" = String, description = "Where to go on"),
                ("tidegate-at-tail" = String, description = "`true` if that is the end for now"),
                ("tidegate-epoch" = u64, description = "The epoch of the member's run"))),
        Problem))]
async fn join(
    State(api): State<Api>,
    asking: Asking,
    GroupPath { group }: GroupPath,
    uri: Uri,
    Json(body): Json<JoinBody>,
) -> Result<Response, Problem> {
    Query::parse(uri.query(), &[])?;
    body.check(&api.limits)?;
    let terms = body.terms()?;
    needs_topics(&terms, "topics")?;
    may_subscribe(&asking, &terms)?;
    let member = made_name();
    let session = api.broker.join_group(&group, &member, terms, body.from()?, &asking.0.rights).await?;
    let mut out = b"{\"records\":[]".to_vec();
    finish_object(&mut out, &session, Some(&member));
    let mut response = Response::new(Body::from(out));
    *response.status_mut() = StatusCode::CREATED;
    let location = format!("/v1/groups/{group}/members/{member}");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::LOCATION, HeaderValue::try_from(location).expect("names are a header value"));
    tell(headers, &session);
    Ok(response)
}
