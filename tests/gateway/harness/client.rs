//! A small client of plain HTTP whose answers check what the contract says of every answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use reqwest::Body;
use reqwest::Method;
use reqwest::RequestBuilder;
use reqwest::Response;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::harness::lines::Lines;
use crate::harness::sse::EventStream;
use crate::harness::wait::soon;

/// What `retry` of a problem may say.
const RETRIES: [&str; 4] = ["never", "later", "same_key", "rejoin"];

/// Speaks to one gateway, and follows it to its new port when it is started again.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    address: Arc<Mutex<SocketAddr>>,
    /// Sent with every request.
    key: Option<Arc<str>>,
}

impl Client {
    /// A client with connections of its own.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client without TLS can be built");
        Self { http, address: Arc::new(Mutex::new(address)), key: None }
    }

    /// A client that speaks HTTP/2 from the first byte.
    pub(crate) fn of_http2(address: SocketAddr) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .http2_prior_knowledge()
            .build()
            .expect("a client without TLS can be built");
        Self { http, address: Arc::new(Mutex::new(address)), key: None }
    }

    /// A client of the same gateway with connections of its own.
    pub(crate) fn another(&self) -> Self {
        Self { key: self.key.clone(), ..Self::new(self.address()) }
    }

    /// The same client with a key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { key: Some(Arc::from(key)), ..self.clone() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn moved_to(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Call {
        let method = Method::from_bytes(method.as_bytes()).expect("tests use methods that are tokens");
        let call = Call(self.http.request(method, format!("http://{}{path}", self.address())));
        match &self.key {
            Some(key) => call.header("authorization", &format!("Bearer {key}")),
            None => call,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        self.request("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.request("POST", path)
    }

    pub(crate) fn put(&self, path: &str) -> Call {
        self.request("PUT", path)
    }

    pub(crate) fn patch(&self, path: &str) -> Call {
        self.request("PATCH", path)
    }

    pub(crate) fn delete(&self, path: &str) -> Call {
        self.request("DELETE", path)
    }
}

/// A request under construction.
pub(crate) struct Call(RequestBuilder);

impl Call {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("tests send headers that HTTP can carry");
        Self(self.0.header(name, value))
    }

    /// A body without a type.
    pub(crate) fn body(self, body: impl Into<Body>) -> Self {
        Self(self.0.body(body))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw_json(body.to_string())
    }

    /// A body of type JSON, byte for byte as given.
    pub(crate) fn raw_json(self, body: impl Into<Body>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    pub(crate) fn ndjson(self, body: impl Into<Body>) -> Self {
        self.header("content-type", "application/x-ndjson").body(body)
    }

    /// Sends and reads the whole answer.
    pub(crate) async fn send(self) -> Answer {
        self.try_send().await.expect("the gateway answers")
    }

    /// Sends and reads the whole answer, or says that the connection broke.
    pub(crate) async fn try_send(self) -> Result<Answer, reqwest::Error> {
        // Boxed, because a test joins many of them in one future.
        let whole = Box::pin(async {
            let response = self.0.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Ok(Answer { status, headers, body: response.bytes().await? }.checked())
        });
        soon("a whole answer", whole).await
    }

    /// Sends and returns as soon as the head of the answer is there.
    pub(crate) async fn open(self) -> Response {
        soon("the head of an answer", self.0.send()).await.expect("the gateway answers")
    }

    /// Opens a stream of events.
    pub(crate) async fn events(self) -> EventStream {
        EventStream::of(self.header("accept", "text/event-stream").open().await)
    }

    /// Opens a stream of lines.
    pub(crate) async fn lines(self) -> Lines {
        let response = self.open().await;
        assert_eq!(response.status().as_u16(), 200);
        Lines::of(response)
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// What holds for every answer there is.
    fn checked(self) -> Self {
        let id = self.header("x-request-id").expect("every answer carries a request id");
        assert!((1..=128).contains(&id.len()), "request id {id:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers are visible ASCII"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the answer is UTF-8")
    }

    /// The answer, which must have this status.
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    pub(crate) fn json(&self) -> Value {
        self.parse()
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The problem that the answer is, with the shape that every problem has.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.refusal(status);
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }

    /// The problem that the answer is, of whatever code.
    pub(crate) fn refusal(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem: Value = serde_json::from_slice(&self.body).expect("a problem is JSON");
        assert_problem(&problem);
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"), "{problem}");
        problem
    }

    /// The problem of a write that changed nothing.
    pub(crate) fn refused_write(&self, status: u16, code: &str) -> Value {
        let problem = self.problem(status, code);
        assert_eq!(problem["outcome"], "not_written", "{problem}");
        problem
    }
}

/// Asserts that a problem names all these, in its detail or in a member made for it.
pub(crate) fn assert_names(problem: &Value, words: &[&str]) {
    let text = problem.to_string();
    for word in words {
        assert!(text.contains(word), "{word} is missing in: {text}");
    }
}

/// Asserts the members that every problem has, in an answer, a line or an event.
pub(crate) fn assert_problem(problem: &Value) {
    let text = |name: &str| match problem[name].as_str() {
        Some(text) if !text.is_empty() => text,
        _ => panic!("a problem without `{name}`: {problem}"),
    };
    assert_eq!(text("type"), format!("/problems/{}", text("code")), "{problem}");
    assert!(RETRIES.contains(&text("retry")), "{problem}");
    assert!(problem["status"].as_u64().is_some_and(|status| (400..600).contains(&status)), "{problem}");
    text("title");
    text("detail");
    text("request_id");
}
