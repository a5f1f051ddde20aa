//! A refusal (RFC 9457, `application/problem+json`). A handler makes a [`Problem`] and returns it; the front, which knows
//! the request's id and method, writes its body: so every refusal has the same members, and none is parsed twice.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Serialize;
use serde::Serializer;
use serde_json::value::RawValue;
use serde_json::value::to_raw_value;
use utoipa::IntoResponses;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::Content;
use utoipa::openapi::Ref;
use utoipa::openapi::RefOr;
use utoipa::openapi::ResponseBuilder;
use utoipa::openapi::response;
use utoipa::openapi::schema::Schema;

use crate::http::kit::problem_codes::Code;
use crate::http::kit::problem_codes::Retry;

/// The media type of a problem.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// `Retry-After` of a problem that may be tried again and does not know when.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// A refusal: its code decides the status, the title and whether to try again; the detail is our sentence, never the
/// database's.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>); // boxed: it travels in the `Err` of every function of a handler

#[derive(Debug, Clone)]
struct Parts {
    code: Code,
    detail: Cow<'static, str>,
    retry: Retry,
    retry_after: Option<Duration>,
    outcome: Option<Outcome>,
    /// No outcome is told: part of the request was done, or may have been.
    is_partly_done: bool,
    members: Vec<(&'static str, Box<RawValue>)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    as_stream: bool,
}

/// What became of the records of a refused write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// None of them is in the log.
    NotWritten,
    /// They may be in the log or not.
    Unknown,
}

impl Problem {
    /// A problem of this code; `detail` is a sentence for the one who sent the request.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            code,
            detail: detail.into(),
            retry: code.row().retry,
            retry_after: None,
            outcome: (code == Code::OutcomeUnknown).then_some(Outcome::Unknown),
            is_partly_done: false,
            members: Vec::new(),
            headers: Vec::new(),
            as_stream: false,
        }))
    }

    /// Adds a member that helps.
    pub fn with(mut self, member: &'static str, value: impl Serialize) -> Self {
        // A value that does not serialize (a map with keys that are no strings) is a slip of ours; the problem without
        // the member is still better than none.
        if let Ok(value) = to_raw_value(&value) {
            self.0.members.push((member, value));
        }
        self
    }

    /// Says when to try again, by a `Retry-After` in whole seconds, rounded up.
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.0.retry_after = Some(pause);
        self
    }

    /// Says whether to try again, where it is otherwise than the code's own.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Says that nothing of the request was written. The front says so by itself for every refused method but GET, HEAD
    /// and OPTIONS.
    pub fn not_written(mut self) -> Self {
        self.0.outcome = Some(Outcome::NotWritten);
        self
    }

    /// Leaves open what was done: the request does several things, and may be repeated freely.
    pub fn partly_done(mut self) -> Self {
        self.0.is_partly_done = true;
        self
    }

    /// Says that the request may have been written or not.
    pub fn outcome_unknown(mut self) -> Self {
        self.0.outcome = Some(Outcome::Unknown);
        self
    }

    /// Adds a header to the answer.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Answers as an event stream that says the problem and ends, with status 200: a browser's `EventSource` gives up
    /// for ever on any other status. Only for passing problems.
    pub fn as_event_stream(mut self) -> Self {
        self.0.as_stream = true;
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The status that goes with the code.
    pub fn status(&self) -> StatusCode {
        self.0.code.row().status
    }

    /// The sentence for the one who sent the request.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What became of the records, where that was said.
    pub fn outcome(&self) -> Option<Outcome> {
        self.0.outcome
    }

    /// Whether it is left open what was done.
    pub fn is_partly_done(&self) -> bool {
        self.0.is_partly_done
    }

    /// Whether it is told as an event stream.
    pub fn is_event_stream(&self) -> bool {
        self.0.as_stream
    }

    /// The problem as a JSON object on one line: the body of an answer, the `data` of an event, a line of NDJSON.
    pub fn to_json(&self, request_id: &str) -> String {
        let row = self.0.code.row();
        let body = ProblemBody {
            r#type: format!("/problems/{}", row.code),
            title: row.title,
            status: row.status.as_u16(),
            detail: &self.0.detail,
            code: row.code,
            request_id,
            retry: self.0.retry,
            outcome: self.0.outcome,
            members: Members(&self.0.members),
        };
        serde_json::to_string(&body).expect("strings, numbers and finished JSON always serialize")
    }

    fn pause(&self) -> Option<Duration> {
        let refused_for_now = matches!(self.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let default = (refused_for_now || self.0.retry == Retry::Later).then_some(RETRY_AFTER_DEFAULT);
        self.0.retry_after.or(default)
    }
}

impl IntoResponse for Problem {
    /// Status and headers, and the problem itself as an extension. Its body is written by the front.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        if self.0.as_stream {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
            headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        } else {
            headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
            if let Some(pause) = self.pause() {
                headers.insert(header::RETRY_AFTER, whole_seconds(pause).into());
            }
            *response.status_mut() = self.status();
        }
        for (name, value) in &self.0.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Rounded up, and at least one: `Retry-After: 0` would be read as "at once".
fn whole_seconds(pause: Duration) -> u64 {
    (pause.as_secs() + u64::from(pause.subsec_nanos() > 0)).max(1)
}

/// A refusal (RFC 9457). Members beyond these help with some codes: `known`, `minimum`, `maximum`, `limit`,
/// `partitions`, …
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
struct ProblemBody<'a> {
    /// Path of a page that explains the code.
    #[schema(format = "uri-reference", examples("/problems/unknown_topic"))]
    r#type: String,
    /// A short summary, the same for every problem of this code.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request, for people.
    detail: &'a str,
    /// What programs decide by. The list of codes may grow.
    #[schema(examples("unknown_topic"))]
    code: &'a str,
    /// The `x-request-id` of the answer.
    request_id: &'a str,
    /// Whether the same request may be sent again.
    retry: Retry,
    /// On refused writes: what became of the records.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outcome: Option<Outcome>,
    #[serde(flatten)]
    #[schema(ignore)]
    members: Members<'a>,
}

struct Members<'a>(&'a [(&'static str, Box<RawValue>)]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        ProblemBody::schema()
    }
}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ProblemBody::schemas(schemas);
    }
}

impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        let response = ResponseBuilder::new()
            .description("A refusal. `code` says which, `retry` whether to try again; `/problems` lists all codes.")
            .content("application/problem+json", Content::new(Some(Ref::from_schema_name(Self::name()))))
            .build();
        BTreeMap::from([("default".to_owned(), response.into())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_all_members_on_one_line() {
        let problem = Problem::new(Code::InvalidParameter, "`limit` is from 1 to 1000.")
            .with("parameter", "limit")
            .with("maximum", 1000)
            .not_written();
        let json: serde_json::Value = serde_json::from_str(&problem.to_json("r-1")).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({
                "type": "/problems/invalid_parameter", "title": "A parameter is not valid", "status": 400,
                "detail": "`limit` is from 1 to 1000.", "code": "invalid_parameter", "request_id": "r-1",
                "retry": "never", "outcome": "not_written", "parameter": "limit", "maximum": 1000,
            })
        );
        assert!(!problem.to_json("r-1").contains('\n'));
    }

    #[test]
    fn passing_problems_say_when() {
        let response = Problem::new(Code::Overloaded, "Busy.").into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        let later = Problem::new(Code::RateLimited, "Busy.").retry_after(Duration::from_millis(2_001));
        assert_eq!(later.into_response().headers()[header::RETRY_AFTER], "3");
        let wrong = Problem::new(Code::UnknownPath, "Nothing.").into_response();
        assert!(!wrong.headers().contains_key(header::RETRY_AFTER));
    }

    #[test]
    fn the_schema_says_what_is_written() {
        let schema = serde_json::to_value(Problem::schema()).expect("JSON");
        let properties = schema["properties"].as_object().expect("an object");
        for member in ["type", "title", "status", "detail", "code", "request_id", "retry", "outcome"] {
            assert!(properties.contains_key(member), "{member}: {schema}");
        }
        assert_eq!(properties.len(), 8, "{schema}");
    }
}
