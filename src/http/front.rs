//! What every request passes, in one place and in this order: it gets an id; it must fit the limits of a head; its `Host`
//! must be ours and its page allowed; a preflight is answered; while the node drains nothing new begins; its address must
//! have enough left of what it may; its caller must be known, have the right that the call needs
//! ([`crate::http::gate`]), and have enough left as well; its body is unpacked; then it is routed, with panics contained.
//! Every answer leaves with its id, its security headers and, if it is a refusal, its
//! body.
//!
//! One function and no stack of layers: a layer costs a boxed future per request, and the order here matters.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::Request;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::http::uri::PathAndQuery;
use axum::response::IntoResponse;
use axum::response::Response;
use futures_util::FutureExt;
use http_body::Body as HttpBody;
use tower::Service;

use crate::access::Access;
use crate::access::caller::Caller;
use crate::http::gate::Gate;
use crate::http::hosts::Hosts;
use crate::http::hosts::split_port;
use crate::http::kit::caller::Asking;
use crate::http::kit::coding::decoded::unpack;
use crate::http::kit::coding::encoded::Wanted;
use crate::http::kit::context::Context;
use crate::http::kit::context::Link;
use crate::http::kit::context::RequestId;
use crate::http::kit::memory::Memory;
use crate::http::kit::problem::Outcome;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::invalid;
use crate::http::limiter::Entry;
use crate::http::limiter::Limiter;
use crate::http::limiter::passing;
use crate::http::notes;
use crate::http::notes::Seen;
use crate::http::origins::CrossOrigin;
use crate::http::origins::Origins;
use crate::http::origins::is_preflight;
use crate::http::rights;
use crate::http::rights::Takes;
use crate::model::limits::Limits;
use crate::quota::Held;
use crate::telemetry::audit::Failures;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::Route;
use crate::telemetry::metrics::tables::Label;
use crate::telemetry::traces::span::Tracer;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const VARY_READS: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding, Origin, Authorization");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// A year, as is usual (RFC 6797 section 11.2 has it renewed with every answer).
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// Bounds of `retry:` in an event stream that only says a passing problem, in milliseconds: at random, so that those who
/// were turned away together do not come back together.
const STREAM_RETRY_MS: std::ops::RangeInclusive<u32> = 2_000..=10_000;

/// What holds for every request, whoever sends it.
pub(crate) struct Rules {
    /// The names that the gateway answers to.
    pub(crate) hosts: Hosts,
    /// The pages that may call it.
    pub(crate) origins: Origins,
    /// How large requests may be.
    pub(crate) limits: Limits,
    /// How much callers may do.
    pub(crate) limiter: Limiter,
}

/// What stands before the router.
pub struct Front {
    router: Router,
    hosts: Hosts,
    origins: Origins,
    limits: Limits,
    gate: Gate,
    limiter: Limiter,
    memory: Memory,
    /// The next request id that is ours to give. Begins at random, so that restarts do not repeat ids.
    next_id: AtomicU64,
    draining: AtomicBool,
    metrics: Arc<Metrics>,
    failures: Failures,
    /// Makes spans, if requests are traced at all.
    tracer: Option<Tracer>,
}

/// A request that was let in.
struct Guest {
    caller: Caller,
    /// What its body may be.
    takes: Takes,
    entry: Entry,
}

/// What the way out needs to know of the request.
struct Asked {
    request_id: RequestId,
    method: Method,
    uri: Uri,
    /// Browsers are told to keep to TLS.
    strict_transport: bool,
    route: Route,
    began: Instant,
    /// Who asks, once they are known.
    caller: Option<Caller>,
}

impl Asked {
    fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    fn seen(&self, link: Link) -> Seen<'_> {
        let &Self { ref request_id, ref method, ref uri, route, began, ref caller, .. } = self;
        Seen { request_id, method, path: uri.path(), route, began, link, caller: caller.as_ref() }
    }

    fn is_write(&self) -> bool {
        !self.is_read() && self.method != Method::OPTIONS
    }
}

fn is_api(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/")
}

/// Asked for by machines that know an address and no name, and telling nothing.
fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/healthz/" | "/readyz/")
}

impl Front {
    /// Puts the rules before `router`.
    pub(crate) fn new(
        router: Router,
        access: Access,
        rules: Rules,
        metrics: Arc<Metrics>,
        tracer: Option<Tracer>,
    ) -> Self {
        let (gate, next_id, draining) = (Gate(access), AtomicU64::new(fastrand::u64(..)), AtomicBool::new(false));
        let Rules { hosts, origins, limits, limiter } = rules;
        Self {
            router,
            hosts,
            origins,
            memory: Memory::new(limits.bodies_bytes, limits.caller_bodies_bytes()),
            limits,
            gate,
            limiter,
            next_id,
            draining,
            metrics,
            failures: Failures::default(),
            tracer,
        }
    }

    /// What is counted and measured.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// From now on every new request is refused with `draining`, health excepted.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Answers one request.
    pub(crate) async fn answer<B>(&self, mut request: Request<B>, link: Link) -> Response
    where
        B: HttpBody<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let mut asked = Asked {
            request_id: self.request_id(request.headers()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            strict_transport: link.secure && !is_localhost(request.headers(), request.uri()),
            route: Route::of(trimmed(request.uri().path())),
            began: Instant::now(),
            caller: None,
        };
        let link = self.limiter.see_through(link, request.headers());
        let span = self.tracer.as_ref().and_then(|tracer| notes::begin_span(tracer, request.headers()));
        let mut cross_origin = None;
        let mut response = match self.admit(&request, link.local, &mut cross_origin) {
            Err(refusal) => refusal.into_response(),
            Ok(Some(preflight)) => preflight,
            Ok(None) => match self.enter(&mut request, link, asked.route, &mut asked.caller).await {
                Err(refusal) => refusal,
                Ok(guest) => {
                    let answer = self.handle(request, guest, link, &asked);
                    match &span {
                        None => answer.await,
                        Some(span) => Box::pin(span.run(answer)).await,
                    }
                }
            },
        };
        if response.status() == StatusCode::METHOD_NOT_ALLOWED && response.extensions().get::<Problem>().is_none() {
            response = other_method(&response, &asked);
        }
        let code = response.extensions().get::<Problem>().map(Problem::code);
        let mut response = finish(response, &asked, cross_origin);
        let seen = asked.seen(link);
        if code == Some(Code::Unauthorized) {
            self.failures.note(link.remote, seen.request_id.as_str(), seen.route.text());
        }
        if let Some(span) = span {
            notes::end_span(span, &seen, response.status(), code);
        }
        notes::note(&self.metrics, &seen, &mut response, code);
        response
    }

    /// Has the request handled, with what it and its answer carry brought to the form that either side wants.
    async fn handle<B>(&self, mut request: Request<B>, guest: Guest, link: Link, asked: &Asked) -> Response
    where
        B: HttpBody<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let head_only = asked.method == Method::HEAD;
        let Guest { caller, takes, entry } = guest;
        let payers = entry.payers.clone();
        let wanted = Wanted::of(request.headers_mut());
        let request_id = asked.request_id.clone();
        let body_bytes_max = takes.bytes_max(&self.limits);
        let room = self.memory.of(caller.identity.clone(), link.remote);
        let context = Context { request_id, head_only, link, payers, body_bytes_max, room: room.clone() };
        request.extensions_mut().insert(context);
        request.extensions_mut().insert(Asking(caller));
        let request = request.map(|body| entry.pace(Body::new(body)));
        let response = match unpack(request, body_bytes_max, &room) {
            Ok(request) => self.route(request, asked).await,
            Err(refusal) => return refusal.into_response(),
        };
        entry.follow(wanted.apply(response, head_only).await)
    }

    /// Who sends the request, if they may, and have enough left of what they may. Health is not counted: it is asked by
    /// those who watch.
    async fn enter<B: HttpBody>(
        &self,
        request: &mut Request<B>,
        link: Link,
        route: Route,
        known: &mut Option<Caller>,
    ) -> Result<Guest, Response> {
        without_trailing_slash(request.uri_mut());
        let counted = !is_health(request.uri().path());
        let mut entry = Entry::default();
        if counted {
            self.limiter.charge_address(&mut entry, request, link).map_err(IntoResponse::into_response)?;
        }
        let (caller, takes) = self.let_in(request, link.remote, route, known).await?;
        if counted {
            self.limiter.charge_caller(&mut entry, request, &caller).map_err(IntoResponse::into_response)?;
        }
        Ok(Guest { caller, takes, entry })
    }

    /// Lets a connection from this address in, for as long as the value lives; `None` if it has as many as it may.
    pub(crate) fn connection(&self, remote: IpAddr) -> Option<Option<Held>> {
        self.limiter.connection(remote)
    }

    fn request_id(&self, headers: &HeaderMap) -> RequestId {
        let given = headers.get(X_REQUEST_ID).and_then(RequestId::accept);
        given.unwrap_or_else(|| RequestId::from_number(self.next_id.fetch_add(1, Ordering::Relaxed)))
    }

    /// The rules before routing. `Some` is the answer to a preflight. What is known of the page stays in `cross_origin`
    /// either way, so that the page can read a refusal.
    fn admit<B>(
        &self,
        request: &Request<B>,
        local: IpAddr,
        cross_origin: &mut Option<CrossOrigin>,
    ) -> Result<Option<Response>, Problem> {
        let (headers, uri) = (request.headers(), request.uri());
        self.fits(headers, uri)?;
        is_framed_in_one_way(headers)?;
        if request.method() == Method::CONNECT {
            return Err(no_proxy());
        }
        let health = is_health(uri.path());
        let host = host(headers, uri);
        if !health {
            let host = host.clone()?;
            let named = uri.authority().map_or(host, |authority| authority.as_str());
            if !self.hosts.allow(host, local) || !self.hosts.allow(named, local) {
                let detail = "The gateway does not answer to the name in `Host`.";
                return Err(Problem::new(Code::HostNotAllowed, detail));
            }
        }
        let plain_page = matches!(*request.method(), Method::GET | Method::HEAD) && !is_api(uri.path());
        let host = host.unwrap_or_default();
        *cross_origin = self.origins.judge(headers, host, plain_page)?;
        if let Some(cross_origin) = cross_origin
            && is_preflight(request.method(), headers)
        {
            return Ok(Some(cross_origin.preflight(headers)));
        }
        if self.draining.load(Ordering::Acquire) && !health {
            let problem = Problem::new(Code::Draining, "This node is shutting down.");
            return Err(passing(problem, request.method(), uri, headers));
        }
        Ok(None)
    }

    /// Who sends the request, if they may, and what its body may be. What is no call of the API has no handler that could forget to ask: it is
    /// answered here.
    async fn let_in<B>(
        &self,
        request: &mut Request<B>,
        remote: IpAddr,
        route: Route,
        known: &mut Option<Caller>,
    ) -> Result<(Caller, Takes), Response> {
        let mut uri = std::mem::take(request.uri_mut());
        let (method, headers) = (request.method().clone(), request.headers());
        let call = rights::find(&method, route);
        let takes = call.map_or(Takes::Settings, |call| call.takes);
        let outcome = match call {
            Some(call) => self.gate.admit(call, headers, &mut uri, remote, known).await,
            // Which methods a path has is told to anybody, as are the pages.
            None if !is_api(uri.path()) || method == Method::OPTIONS => Ok(Caller::nobody()),
            None => match self.gate.admit_to_nothing(headers, &uri, remote).await {
                Ok(()) => return Err(nothing_there(route)),
                Err(refusal) => Err(refusal),
            },
        };
        let outcome = outcome.map_err(|refusal| {
            let rate_limited = refusal.code() == Code::RateLimited;
            let refusal = if rate_limited { passing(refusal, &method, &uri, request.headers()) } else { refusal };
            refusal.into_response()
        });
        *request.uri_mut() = uri;
        outcome.map(|caller| (caller, takes))
    }

    /// The limits of a request's head. hyper has limits of its own, a little wider, and answers those without a body.
    fn fits(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
        let limits = &self.limits;
        let uri_bytes = uri.path_and_query().map_or(0, |path| path.as_str().len());
        if uri_bytes > limits.uri_bytes {
            return Err(beyond(Code::UriTooLong, "Path and query", limits.uri_bytes, "bytes"));
        }
        if headers.len() > limits.headers {
            return Err(beyond(Code::HeadersTooLarge, "The request", limits.headers, "headers"));
        }
        let mut all = 0;
        for (name, value) in headers {
            let bytes = name.as_str().len() + value.len();
            if bytes > limits.header_bytes {
                return Err(beyond(Code::HeadersTooLarge, "One header", limits.header_bytes, "bytes"));
            }
            all += bytes;
        }
        if all > limits.headers_bytes {
            return Err(beyond(Code::HeadersTooLarge, "All headers together", limits.headers_bytes, "bytes"));
        }
        Ok(())
    }

    /// Calls the router. A panic in a handler ends this request and nothing else.
    async fn route(&self, request: Request<Body>, asked: &Asked) -> Response {
        let answer = self.router.clone().call(request);
        match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            // The panic itself was logged by its hook.
            Err(_) => {
                self.metrics.http.panics.inc();
                failed(asked)
            }
        }
    }
}

/// The answer to a request in which a handler panicked. How far a write had come nobody knows.
fn failed(asked: &Asked) -> Response {
    let problem = if asked.is_write() {
        let detail = "The gateway failed on this request, which may have been carried out or not.";
        Problem::new(Code::OutcomeUnknown, detail)
    } else {
        Problem::new(Code::Internal, "The gateway failed on this request.")
    };
    problem.into_response()
}

/// Whom the request is for. HTTP/1.1 says it in exactly one `Host`; HTTP/2 mostly in `:authority`, which is in the URI.
fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Result<&'a str, Problem> {
    let mut given = headers.get_all(header::HOST).iter();
    let host = match (given.next(), given.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, _) => uri.authority().map(|authority| authority.as_str()),
        (Some(_), Some(_)) => None,
    };
    host.ok_or_else(|| invalid("host", "A request has exactly one `Host`, in ASCII."))
}

/// Lets a body pass that is in chunks and in no other coding of the transfer. hyper undoes the chunks and no more: what is
/// coded in another way beneath them would be taken for what was meant (RFC 9112 section 6.1).
fn is_framed_in_one_way(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(invalid("transfer-encoding", "`Transfer-Encoding` is `chunked`, once, or it is not there.")),
    }
}

fn beyond(code: Code, what: &str, limit: usize, unit: &str) -> Problem {
    Problem::new(code, format!("{what} may have {limit} {unit} at most.")).with("limit", limit)
}

fn no_proxy() -> Problem {
    let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    Problem::new(Code::MethodNotAllowed, "The gateway is no proxy.").header(header::ALLOW, allow)
}

/// The answer to a path, or a method, that no call has.
fn nothing_there(route: Route) -> Response {
    let methods = rights::methods(route);
    if methods.is_empty() {
        return nothing_here().into_response();
    }
    let allow = HeaderValue::try_from(methods).expect("methods and commas are a header value");
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allow)]).into_response()
}

/// The refusal of a path that leads nowhere.
pub(crate) fn nothing_here() -> Problem {
    Problem::new(Code::UnknownPath, "There is nothing at this path; `/docs` lists what there is.")
}

/// A path without the slash at its end, where [`without_trailing_slash`] takes it away.
fn trimmed(path: &str) -> &str {
    if path.len() > 1 && !path.starts_with("/docs/") { path.strip_suffix('/').unwrap_or(path) } else { path }
}

/// `/v1/topics/` is `/v1/topics`. The pages of Swagger UI are left alone: their links are relative to `/docs/`.
fn without_trailing_slash(uri: &mut Uri) {
    let path = trimmed(uri.path());
    if path.len() == uri.path().len() {
        return;
    }
    let shorter = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    if let Ok(shorter) = shorter {
        parts.path_and_query = Some(shorter);
        *uri = Uri::from_parts(parts).expect("only the path became shorter");
    }
}

/// The router knows the path but not the method: an OPTIONS is answered with the methods there are, anything else is
/// refused with them.
fn other_method(response: &Response, asked: &Asked) -> Response {
    let known = response.headers().get(header::ALLOW).and_then(|allow| allow.to_str().ok()).unwrap_or_default();
    let mut methods: Vec<_> = known.split(',').map(str::trim).filter(|method| !method.is_empty()).collect();
    methods.push("OPTIONS");
    let methods = methods.join(", ");
    let allow = HeaderValue::try_from(methods.as_str()).expect("methods and commas are a header value");
    if asked.method == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, [(header::ALLOW, allow)]).into_response();
    }
    let detail = if asked.method == Method::POST && is_topic(asked.uri.path()) {
        format!(
            "A topic is made with PUT; records are sent with POST to …/records, one raw value to …/values. The path \
             itself knows {methods}."
        )
    } else {
        format!("The path knows {methods}.")
    };
    Problem::new(Code::MethodNotAllowed, detail).header(header::ALLOW, allow).into_response()
}

/// `/v1/topics/{topic}`: where those who are new here try to produce.
fn is_topic(path: &str) -> bool {
    let name = path.strip_prefix("/v1/topics/").map(|rest| rest.trim_end_matches('/'));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// To keep `localhost` to TLS would bind every other server on that machine, whatever its port.
fn is_localhost(headers: &HeaderMap, uri: &Uri) -> bool {
    let name = host(headers, uri).ok().and_then(split_port);
    name.is_some_and(|(name, _)| name.eq_ignore_ascii_case("localhost"))
}

/// What every answer carries.
fn finish(mut response: Response, asked: &Asked, cross_origin: Option<CrossOrigin>) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let body = tell(problem, asked);
        let length = body.len();
        *response.body_mut() = Body::from(body);
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    if asked.method == Method::HEAD {
        headers_only(&mut response);
    }
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, asked.request_id.to_header());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if asked.is_read() && is_api(asked.uri.path()) {
        headers.insert(header::VARY, VARY_READS);
    }
    if asked.strict_transport {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
    if let Some(cross_origin) = cross_origin {
        cross_origin.mark(headers);
    }
    response
}

/// Writes the body of a refusal, and logs it where it is ours: here, once, and nowhere below.
fn tell(mut problem: Problem, asked: &Asked) -> String {
    // A refused write says that nothing was written, also where nothing would have been; only a handler that had begun
    // to write can know otherwise, and says so.
    let ours = problem.status() == StatusCode::INTERNAL_SERVER_ERROR;
    if asked.is_write() && problem.outcome().is_none() && !problem.is_partly_done() && !ours {
        problem = problem.not_written();
    }
    if ours || problem.outcome() == Some(Outcome::Unknown) {
        tracing::error!(
            request_id = asked.request_id.as_str(),
            method = %asked.method,
            path = asked.uri.path(),
            code = problem.code().row().code,
            "answered {}: {}", problem.status().as_u16(), problem.detail()
        );
    }
    let json = problem.to_json(asked.request_id.as_str());
    if problem.is_event_stream() {
        format!("retry: {}\nevent: problem\ndata: {json}\n\n", fastrand::u32(STREAM_RETRY_MS))
    } else {
        json
    }
}

/// The answer to a HEAD: the length that a GET would have, where it is known, and no body. HTTP/2 would send it.
fn headers_only(response: &mut Response) {
    let exact = response.body().size_hint().exact().filter(|length| *length > 0);
    if let Some(length) = exact
        && !response.headers().contains_key(header::CONTENT_LENGTH)
    {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    *response.body_mut() = Body::empty();
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use http_body_util::BodyExt;
    use tempfile::TempDir;

    use super::*;
    use crate::access;
    use crate::http::limiter;

    async fn front() -> (TempDir, Front) {
        let router = Router::new().route("/v1/topics/{topic}", get(async || "a topic")).route(
            "/panics",
            get(async || -> &'static str { panic!("inside") }).post(async || -> &'static str { panic!("inside") }),
        );
        let origins = Origins::new(Vec::new(), vec!["https://app.example.com".to_owned()]);
        let (place, access) = access::tests::bench::open(access::Options::default()).await;
        let limiter = Limiter::new(limiter::Options::default());
        let rules = Rules { hosts: Hosts::default(), origins, limits: Limits::default(), limiter };
        (place, Front::new(router, access, rules, Arc::default(), None))
    }

    async fn ask(front: &Front, method: Method, path: &str, headers: &[(&str, &str)]) -> (Response, String) {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let (parts, body) = front.answer(request, Link::LOOPBACK).await.into_parts();
        let text = body.collect().await.expect("a whole body").to_bytes();
        (Response::from_parts(parts, Body::empty()), String::from_utf8(text.to_vec()).expect("UTF-8"))
    }

    #[tokio::test]
    async fn a_panic_ends_one_request() {
        let (_place, front) = front().await;
        let (response, body) = ask(&front, Method::GET, "/panics", &[]).await;
        assert_eq!(response.status(), 500);
        assert!(body.contains(r#""code":"internal""#), "{body}");
        let (_, body) = ask(&front, Method::POST, "/panics", &[]).await;
        assert!(body.contains(r#""code":"outcome_unknown""#) && body.contains(r#""outcome":"unknown""#), "{body}");
        assert_eq!(ask(&front, Method::GET, "/v1/topics/a/", &[]).await.1, "a topic");
    }

    #[tokio::test]
    async fn the_wrong_method_is_told_the_right_ones() {
        let (_place, front) = front().await;
        let (response, body) = ask(&front, Method::POST, "/v1/topics/a", &[]).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &"PUT, GET, HEAD, PATCH, DELETE, OPTIONS".parse().expect("a value"))
        );
        for hint in ["PUT", "/records", "/values", r#""outcome":"not_written""#] {
            assert!(body.contains(hint), "{hint}: {body}");
        }
        let (response, body) = ask(&front, Method::OPTIONS, "/v1/topics/a", &[]).await;
        assert_eq!((response.status().as_u16(), body.as_str()), (204, ""));
        assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS");
    }

    #[tokio::test]
    async fn head_has_the_headers_of_get_and_no_body() {
        let (_place, front) = front().await;
        let (response, body) = ask(&front, Method::HEAD, "/v1/topics/a", &[]).await;
        assert_eq!((response.status().as_u16(), body.as_str()), (200, ""));
        assert_eq!(response.headers()["content-length"], "7");
    }

    #[tokio::test]
    async fn while_draining_nothing_begins() {
        let (_place, front) = front().await;
        front.drain();
        let (response, body) = ask(&front, Method::GET, "/v1/topics/a", &[]).await;
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after") && body.contains(r#""code":"draining""#), "{body}");
        let stream = [("accept", "text/event-stream")];
        let (response, body) = ask(&front, Method::GET, "/v1/topics/a/records", &stream).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().expect("a value"))
        );
        assert!(body.starts_with("retry: ") && body.contains("\nevent: problem\ndata: {"), "{body}");
        assert_eq!(ask(&front, Method::GET, "/healthz", &[]).await.0.status(), 404); // let through; no such route here
    }

    #[tokio::test]
    async fn a_listed_page_can_read_refusals() {
        let page = [("origin", "https://app.example.com"), ("x-request-id", "mine")];
        let (_place, front) = front().await;
        let (response, _) = ask(&front, Method::GET, "/nothing", &page).await;
        assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example.com");
        assert_eq!(response.headers()["x-request-id"], "mine");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
}
