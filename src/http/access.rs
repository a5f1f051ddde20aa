//! What is noted of every request when its answer begins: the metrics, and one line in the log for whoever asks for it
//! (`--log info,access=debug`). The line has no path, no query and no header: names, tickets and cursors stay out of it.

use std::net::IpAddr;
use std::time::Instant;

use axum::http::Method;
use axum::http::StatusCode;

use crate::http::kit::problem_codes::Code;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels;
use crate::telemetry::metrics::labels::Route;
use crate::telemetry::metrics::labels::StatusClass;

/// What is known of a request.
pub(crate) struct Seen<'a> {
    /// Its name.
    pub(crate) request_id: &'a str,
    /// Its method.
    pub(crate) method: &'a Method,
    /// Its path, as a template.
    pub(crate) route: Route,
    /// When its head was there.
    pub(crate) began: Instant,
    /// Where it came from.
    pub(crate) peer: IpAddr,
}

/// Takes note of a request that is answered with `status`, and with that code if it is refused.
pub(crate) fn note(metrics: &Metrics, seen: &Seen<'_>, status: StatusCode, refused: Option<Code>) {
    let took = seen.began.elapsed();
    let method = method(seen.method);
    let http = &metrics.http;
    http.requests.at(seen.route).at(method).at(class(status)).inc();
    http.request_duration.at(seen.route).at(method).observe(took);
    if let Some(refusals) = refused.and_then(|code| http.refusals.at(code as usize)) {
        refusals.inc();
    }
    tracing::debug!(
        target: "access",
        request_id = seen.request_id,
        method = %seen.method,
        route = seen.route.template(),
        status = status.as_u16(),
        code = refused.map(|code| code.row().code),
        peer = %seen.peer,
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "answered"
    );
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
