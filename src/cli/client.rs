//! The one HTTP client of the terminal commands: a call at a time over one connection that is kept.
//!
//! Calls whose answer is waited for may be repeated (api.md §0), so one that meets a kept connection which the gateway
//! has closed is sent again over a new one. Those that are opened ([`Client::open`]) have a connection of their own.

mod answer;
mod dial;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper::header;
use serde::Deserialize;
use serde::Serialize;
use tokio::time::timeout;

pub use crate::cli::client::answer::Answer;
use crate::cli::client::dial::Dialer;
pub use crate::cli::client::dial::RequestBody;
use crate::cli::problem::CallError;
use crate::cli::url::ServerUrl;

/// Longest time until an answer is complete: the longest wait that a command asks for (55 s) and as much again as a busy
/// gateway may need.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// What a call is, beside where it goes.
pub struct Call {
    method: Method,
    path: String,
    accept: &'static str,
    headers: Vec<(&'static str, String)>,
    body: RequestBody,
}

impl Call {
    /// A GET of `path`, which begins with a slash.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into(), Bytes::new())
    }

    /// A POST of these bytes, without a content type.
    pub fn post(path: impl Into<String>, body: Bytes) -> Self {
        Self::new(Method::POST, path.into(), body)
    }

    /// A POST whose body comes.
    pub fn post_stream(path: impl Into<String>, body: RequestBody) -> Self {
        Self { body, ..Self::new(Method::POST, path.into(), Bytes::new()) }
    }

    fn new(method: Method, path: String, body: Bytes) -> Self {
        Self { method, path, accept: "application/json", headers: Vec::new(), body: Full::new(body).boxed() }
    }

    /// Names what is wanted as an answer, instead of JSON.
    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A gateway, and who one is to it.
#[derive(Clone)]
pub struct Gateway {
    /// Where it is.
    pub url: ServerUrl,
    /// The key that is sent with every call.
    pub key: Option<String>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gateway({:?}, {})", self.url, if self.key.is_some() { "with a key" } else { "without a key" })
    }
}

/// A connection for one call.
pub struct Line(SendRequest<RequestBody>);

/// A connection to a gateway. A clone is a client with a connection of its own.
pub struct Client {
    dialer: Dialer,
    key: Option<String>,
    /// The connection that the last call left.
    kept: Option<SendRequest<RequestBody>>,
}

impl Clone for Client {
    fn clone(&self) -> Self {
        Self { dialer: self.dialer.clone(), key: self.key.clone(), kept: None }
    }
}

impl Client {
    /// Connects with the first call.
    pub fn new(gateway: Gateway) -> Self {
        let Gateway { url, key } = gateway;
        Self { dialer: Dialer::new(url), key, kept: None }
    }

    /// The body of a GET.
    ///
    /// # Errors
    /// As [`CallError`] says; so do all calls.
    pub async fn get(&mut self, path: &str) -> Result<Bytes, CallError> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// The body that a POST of this JSON answers with.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn post(&mut self, path: &str, body: &impl Serialize) -> Result<Bytes, CallError> {
        self.call(Method::POST, path, json(body)).await
    }

    /// The body that a PUT of this JSON answers with.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn put(&mut self, path: &str, body: &impl Serialize) -> Result<Bytes, CallError> {
        self.call(Method::PUT, path, json(body)).await
    }

    /// The body that a PATCH of this JSON answers with.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn patch(&mut self, path: &str, body: &impl Serialize) -> Result<Bytes, CallError> {
        self.call(Method::PATCH, path, json(body)).await
    }

    /// Deletes, and tells what is said of it.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn delete(&mut self, path: &str) -> Result<Bytes, CallError> {
        self.call(Method::DELETE, path, Bytes::new()).await
    }

    /// Sends a call once, over a new connection, and returns as soon as the head of the answer is there. What it says is
    /// not looked at ([`Answer::accepted`]).
    ///
    /// # Errors
    /// [`CallError::Unreachable`].
    pub async fn open(&self, call: Call) -> Result<Answer, CallError> {
        let line = self.connect().await?;
        self.open_on(line, call).await
    }

    /// A connection of its own, over which nothing is sent yet.
    ///
    /// # Errors
    /// [`CallError::Unreachable`].
    pub async fn connect(&self) -> Result<Line, CallError> {
        self.dialer.connect().await.map(Line)
    }

    /// As [`Client::open`], over a connection that is there.
    ///
    /// # Errors
    /// [`CallError::Unreachable`].
    pub async fn open_on(&self, Line(mut connection): Line, call: Call) -> Result<Answer, CallError> {
        self.send(&mut connection, call).await
    }

    /// Sends a call over the kept connection, or a new one, and waits for all of its answer, which is a success. Not
    /// repeated.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn once(&mut self, call: Call) -> Result<Bytes, CallError> {
        let mut connection = match self.kept.take() {
            Some(kept) => kept,
            None => self.dialer.connect().await?,
        };
        let answer = self.send(&mut connection, call).await?.accepted().await?.all().await?;
        self.kept = Some(connection);
        Ok(answer)
    }

    /// Reads an answer's JSON.
    ///
    /// # Errors
    /// [`CallError::Foreign`].
    pub fn read<'a, T: Deserialize<'a>>(&self, body: &'a [u8]) -> Result<T, CallError> {
        serde_json::from_slice(body).map_err(|why| self.dialer.foreign(&why))
    }

    async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        let call = || {
            let call = Call::new(method.clone(), path.to_owned(), body.clone());
            if body.is_empty() { call } else { call.header(header::CONTENT_TYPE.as_str(), "application/json") }
        };
        let done = async {
            // A call that is dropped halfway takes its connection with it.
            if let Some(kept) = self.kept.take()
                && let Ok(answer) = self.exchange(kept, call()).await
            {
                return Ok(answer);
            }
            let connection = self.dialer.connect().await?;
            self.exchange(connection, call()).await
        };
        match timeout(ANSWER_MAX, done).await {
            Ok(answer) => answer?,
            Err(_) => Err(self.dialer.unreachable(&format!("nothing came within {} s", ANSWER_MAX.as_secs()))),
        }
    }

    /// Sends a call and reads all of its answer, a refusal as well; the connection is kept for the next one.
    ///
    /// # Errors
    /// What is worth another try over a new connection; a refusal is inside.
    async fn exchange(
        &mut self,
        mut connection: SendRequest<RequestBody>,
        call: Call,
    ) -> Result<Result<Bytes, CallError>, CallError> {
        let answer = match self.send(&mut connection, call).await?.accepted().await {
            Ok(answer) => Ok(answer.all().await?),
            Err(refusal) => Err(refusal),
        };
        self.kept = Some(connection);
        Ok(answer)
    }

    async fn send(&self, connection: &mut SendRequest<RequestBody>, call: Call) -> Result<Answer, CallError> {
        connection.ready().await.map_err(|error| self.dialer.unreachable(&error))?;
        let url = self.dialer.url();
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", url.prefix, call.path))
            .header(header::HOST, &url.authority)
            .header(header::ACCEPT, call.accept)
            .header(header::USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request.body(call.body).map_err(|error| self.dialer.foreign(&error))?;
        let answer = connection.send_request(request).await.map_err(|error| self.dialer.unreachable(&error))?;
        Ok(Answer::new(answer, self.dialer.clone()))
    }
}

fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).expect("names and numbers always serialize").into()
}
