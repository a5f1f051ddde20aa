//! Tickets for browsers, whose `EventSource` sends no headers.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::scope::Scope;
use crate::access::ticket::TICKET_MS_MAX;
use crate::access::ticket::Ticket;
use crate::http::kit::body;
use crate::http::kit::caller::Asking;
use crate::http::kit::caller::TICKET_COOKIE;
use crate::http::kit::context::Context;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::Query;
use crate::http::kit::query::invalid;
use crate::http::kit::query::lowered;
use crate::http::kit::query::lowered_schema;
use crate::http::kit::query::missing;
use crate::http::native::groups::terms::given;
use crate::http::native::state::Api;
use crate::model::name::NameError;
use crate::model::time;

/// The call of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create_ticket))
}

/// What a ticket is to be for: a topic or a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = NewTicket)]
struct NewTicketBody {
    /// The topic to read.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$", examples("clicks"))]
    topic: Option<String>,
    /// The group to stream as a member of, all topics that the caller may read.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$")]
    group: Option<String>,
    /// How long it is to be good, in milliseconds. More than 600000 is lowered to it.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = lowered_schema::<1, 600000>)]
    expires_in_ms: Option<Box<RawValue>>,
    /// Set it as a cookie as well, which the browser sends when a page of the same site reads those records.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, default = false)]
    cookie: Option<bool>,
}

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ticket)]
struct TicketBody {
    /// To be sent as `?ticket=`; it needs no escaping.
    #[schema(examples("tk_ABEiMw"))]
    ticket: String,
    /// From when on it counts no more, in milliseconds since 1970.
    #[schema(minimum = 0, examples(1732234200000_u64))]
    expires_at: u64,
}

/// Make a ticket
///
/// For `?ticket=` where records are read (`GET …/records`): those of one topic, as a stream, a page or a long poll, or the
/// streams of members of one group, and no more than the caller may. It may be used again until it ends, as browsers do when
/// they connect anew; it ends with the key that asked for it.
#[utoipa::path(post, path = "/v1/tickets", operation_id = "create_ticket", tag = "access",
    request_body(content = NewTicketBody, examples(
        ("a topic" = (value = json!({"topic": "clicks"}))),
        ("a group" = (value = json!({"group": "billing", "expires_in_ms": 60000, "cookie": true}))))),
    responses(
        (status = 201, description = "The ticket", body = TicketBody,
            headers(("set-cookie" = String, description = "With `cookie`: the ticket, for paths below `/v1`")),
            example = json!({"ticket": "tk_ABEiMw", "expires_at": 1732234200000_u64})),
        Problem))]
async fn create_ticket(
    State(api): State<Api>,
    context: Context,
    Asking(caller): Asking,
    uri: Uri,
    headers: HeaderMap,
    body::Json(body): body::Json<NewTicketBody>,
) -> Result<Response, Problem> {
    Query::parse(uri.query(), &[])?;
    let scope = match (body.topic, body.group) {
        (Some(topic), None) => Scope::Topic(topic.parse().map_err(|why| bad_name("topic", why))?),
        (None, Some(group)) => Scope::Group(group.parse().map_err(|why| bad_name("group", why))?),
        (Some(_), Some(_)) => {
            return Err(invalid("group", "A ticket is for a `topic` or for a `group`, not for both."));
        }
        (None, None) => return Err(missing("topic").with("instead", ["group"])),
    };
    let ms = body.expires_in_ms.map(|text| lowered("expires_in_ms", text.get(), 1, TICKET_MS_MAX)).transpose()?;
    let ticket = api.access.ticket(&caller, scope, ms.unwrap_or(TICKET_MS_MAX))?;
    // A page that came over TLS asks over TLS, also where a proxy ends it.
    let from_secure_page = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    let set_cookie = body.cookie.unwrap_or(false).then(|| cookie(&ticket, context.link.secure || from_secure_page));
    let body = TicketBody { ticket: ticket.text, expires_at: ticket.expires_at };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    if let Some(cookie) = set_cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn bad_name(member: &'static str, why: NameError) -> Problem {
    Problem::new(Code::InvalidName, format!("`{member}`: {why}.")).with("parameter", member)
}

/// The cookie (RFC 6265): for this host alone, not for scripts, and not for pages of other sites.
fn cookie(ticket: &Ticket, secure: bool) -> HeaderValue {
    let seconds = ticket.expires_at.saturating_sub(time::now()).div_ceil(1000);
    let secure = if secure { "; Secure" } else { "" };
    let text =
        format!("{TICKET_COOKIE}={}; Path=/v1; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", ticket.text);
    HeaderValue::try_from(text).expect("a ticket is of letters, digits, `-` and `_`")
}
