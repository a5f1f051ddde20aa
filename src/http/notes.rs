//! What is noted of every request when its answer begins: the metrics; one line in the log for whoever asks for it
//! (`--log info,access=debug`); and an audit line if it administers something. The first has no path, and none has a
//! query, a header or a body: tickets, cursors and keys stay out of them.

use std::time::Instant;

use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::response::Response;

use crate::access::caller::Caller;
use crate::http::kit::audit::Detail;
use crate::http::kit::context::Link;
use crate::http::kit::context::RequestId;
use crate::http::kit::problem_codes::Code;
use crate::telemetry::audit;
use crate::telemetry::audit::Action;
use crate::telemetry::audit::Actor;
use crate::telemetry::audit::Outcome;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels;
use crate::telemetry::metrics::labels::Route;
use crate::telemetry::metrics::labels::StatusClass;
use crate::telemetry::metrics::tables::Label;
use crate::telemetry::traces::span::Span;
use crate::telemetry::traces::span::Tracer;
use crate::telemetry::traces::span::Value;

/// Names a topic that a produce has made.
const TOPIC_CREATED: HeaderName = HeaderName::from_static("tidegate-topic-created");

/// Whoever is not known.
const NOBODY: &str = "nobody";

/// The caller's place in a trace (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is known of a request.
pub(crate) struct Seen<'a> {
    /// Its name.
    pub(crate) request_id: &'a RequestId,
    /// Its method.
    pub(crate) method: &'a Method,
    /// Its path, without the query.
    pub(crate) path: &'a str,
    /// The same, as a template.
    pub(crate) route: Route,
    /// When its head was there.
    pub(crate) began: Instant,
    /// How it came.
    pub(crate) link: Link,
    /// Who asks, if they are known.
    pub(crate) caller: Option<&'a Caller>,
}

/// Begins the span of a request that is to be traced.
pub(crate) fn begin_span(tracer: &Tracer, headers: &HeaderMap) -> Option<Span> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    // Two of them say nothing.
    let traceparent = given.next().filter(|_| given.next().is_none());
    tracer.request("request", traceparent.map(HeaderValue::as_bytes))
}

/// Ends it, with the names that OpenTelemetry has for what is said of HTTP (semantic conventions 1.x).
pub(crate) fn end_span(mut span: Span, seen: &Seen<'_>, status: StatusCode, refused: Option<Code>) {
    span.rename(format!("{} {}", method(seen.method).text(), seen.route.text()));
    span.set("http.request.method", Value::Text(method(seen.method).text()));
    span.set("http.route", Value::Text(seen.route.text()));
    span.set("http.response.status_code", Value::Number(status.as_u16().into()));
    span.set("client.address", Value::Owned(seen.link.remote.to_string()));
    span.set("tidegate.request_id", Value::Owned(seen.request_id.as_str().to_owned()));
    if let Some(code) = refused {
        span.set("error.type", Value::Text(code.row().code));
    }
    if status.is_server_error() {
        span.fail();
    }
}

/// Takes note of a request and its answer, which refuses it with that code if there is one.
pub(crate) fn note(metrics: &Metrics, seen: &Seen<'_>, response: &mut Response, refused: Option<Code>) {
    let took = seen.began.elapsed();
    let status = response.status();
    let (method, http) = (method(seen.method), &metrics.http);
    http.requests.at(seen.route).at(method).at(class(status)).inc();
    http.request_duration.at(seen.route).at(method).observe(took);
    if let Some(refusals) = refused.and_then(|code| http.refusals.at(code as usize)) {
        refusals.inc();
    }
    tracing::debug!(
        target: "access",
        request_id = seen.request_id.as_str(),
        method = %seen.method,
        route = seen.route.text(),
        status = status.as_u16(),
        code = refused.map(|code| code.row().code),
        address = %seen.link.remote,
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "answered"
    );
    note_administration(seen, response, refused);
}

fn note_administration(seen: &Seen<'_>, response: &mut Response, refused: Option<Code>) {
    let action = action(seen.method, seen.route.text());
    if action.is_none() && !response.headers().contains_key(TOPIC_CREATED) {
        return;
    }
    let identity = seen.caller.map_or_else(|| NOBODY.to_owned(), |caller| caller.identity.to_string());
    let caller = seen.caller.map_or(NOBODY, |caller| &caller.name);
    let (address, request_id) = (seen.link.remote, seen.request_id.as_str());
    let actor = Actor { caller, identity: &identity, address, request_id };
    if let Some(action) = action {
        let status = response.status().as_u16();
        let outcome = refused.map_or(Outcome::Done(status), |code| Outcome::Refused(status, code.row().code));
        let detail = response.extensions_mut().remove::<Detail>();
        audit::record(actor, action, seen.path, detail.as_ref().map_or("", |detail| &detail.0), outcome);
    }
    for name in response.headers().get_all(TOPIC_CREATED).iter().filter_map(|name| name.to_str().ok()) {
        let path = format!("/v1/topics/{name}");
        audit::record(actor, Action::TopicCreate, &path, "by a produce", Outcome::Done(response.status().as_u16()));
    }
}

/// The calls that administer something.
fn action(method: &Method, route: &str) -> Option<Action> {
    Some(match (method.as_str(), route) {
        ("PUT", "/v1/topics/{topic}") => Action::TopicCreate,
        ("PATCH", "/v1/topics/{topic}") => Action::TopicChange,
        ("DELETE", "/v1/topics/{topic}") => Action::TopicDelete,
        ("DELETE", "/v1/topics/{topic}/partitions/{partition}/records") => Action::RecordsDelete,
        ("PUT", "/v1/groups/{group}/offsets") => Action::GroupReset,
        ("DELETE", "/v1/groups/{group}") => Action::GroupDelete,
        ("POST", "/v1/keys") => Action::KeyCreate,
        ("DELETE", "/v1/keys/{id}") => Action::KeyDelete,
        ("POST", "/v1/tickets") => Action::TicketCreate,
        _ => return None,
    })
}

fn class(status: StatusCode) -> StatusClass {
    match status.as_u16() {
        ..200 => StatusClass::Informational,
        200..300 => StatusClass::Success,
        300..400 => StatusClass::Redirection,
        400..500 => StatusClass::ClientError,
        500.. => StatusClass::ServerError,
    }
}

fn method(method: &Method) -> labels::Method {
    match *method {
        Method::GET => labels::Method::Get,
        Method::HEAD => labels::Method::Head,
        Method::POST => labels::Method::Post,
        Method::PUT => labels::Method::Put,
        Method::PATCH => labels::Method::Patch,
        Method::DELETE => labels::Method::Delete,
        Method::OPTIONS => labels::Method::Options,
        _ => labels::Method::Other,
    }
}
