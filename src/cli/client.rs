//! The one HTTP client of the terminal commands: a call at a time over one connection that is kept.
//!
//! All calls made over a kept connection may be repeated (api.md §0), so one that meets a connection which the gateway has
//! closed is sent again over a new one.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper::client::conn::http1::handshake;
use hyper::header;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::problem::CallError;
use crate::cli::problem::Problem;
use crate::cli::url::ServerUrl;
use crate::tasks::Tasks;

/// Longest time to connect: a SYN lost once is sent again after one second, lost twice after three.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Longest time until an answer is complete: the longest wait that a command asks for (20 s) and as much again as a busy
/// gateway may need.
const ANSWER_MAX: Duration = Duration::from_secs(60);

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

/// A connection to a gateway.
pub struct Client {
    url: ServerUrl,
    key: Option<String>,
    tasks: Tasks,
    /// The connection that the last call left.
    kept: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// Connects with the first call.
    pub fn new(gateway: Gateway) -> Self {
        let Gateway { url, key } = gateway;
        Self { url, key, tasks: Tasks::default(), kept: None }
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

    /// Deletes.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn delete(&mut self, path: &str) -> Result<(), CallError> {
        self.call(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    /// Reads an answer's JSON.
    ///
    /// # Errors
    /// [`CallError::Foreign`].
    pub fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CallError> {
        serde_json::from_slice(body).map_err(|why| self.foreign(&why))
    }

    async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        let call = async {
            // A call that is dropped halfway takes its connection with it.
            if let Some(mut kept) = self.kept.take()
                && let Ok(answer) = self.send(&mut kept, &method, path, &body).await
            {
                return self.finish(kept, answer);
            }
            let mut connection = self.connect().await?;
            let answer = self.send(&mut connection, &method, path, &body).await?;
            self.finish(connection, answer)
        };
        match timeout(ANSWER_MAX, call).await {
            Ok(answer) => answer,
            Err(_) => Err(self.unreachable(&format!("nothing came within {} s", ANSWER_MAX.as_secs()))),
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, CallError> {
        let stream = match timeout(CONNECT_MAX, TcpStream::connect(&self.url.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(&error)),
            Err(_) => return Err(self.unreachable(&"the connection is not accepted")),
        };
        stream.set_nodelay(true).map_err(|error| self.unreachable(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| self.unreachable(&error))?;
        self.tasks.spawn("connection to the gateway", async move {
            // What is wrong with it is told to the call that meets it.
            connection.await.ok();
        });
        Ok(sender)
    }

    async fn send(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        method: &Method,
        path: &str,
        body: &Bytes,
    ) -> Result<(u16, Option<Duration>, Bytes), CallError> {
        connection.ready().await.map_err(|error| self.unreachable(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url.prefix))
            .header(header::HOST, &self.url.authority)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")));
        let request = if body.is_empty() { request } else { request.header(header::CONTENT_TYPE, "application/json") };
        let request = match &self.key {
            Some(key) => request.header(header::AUTHORIZATION, format!("Bearer {key}")),
            None => request,
        };
        let request = request.body(Full::new(body.clone())).map_err(|error| self.foreign(&error))?;
        let answer = connection.send_request(request).await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let body = answer.into_body().collect().await.map_err(|error| self.unreachable(&error))?.to_bytes();
        Ok((status, retry_after, body))
    }

    fn finish(
        &mut self,
        connection: SendRequest<Full<Bytes>>,
        (status, retry_after, body): (u16, Option<Duration>, Bytes),
    ) -> Result<Bytes, CallError> {
        self.kept = Some(connection);
        match status {
            200..300 => Ok(body),
            400.. => Err(CallError::Refused(Box::new(Problem::read(status, retry_after, &body)))),
            _ => Err(self.foreign(&format!("HTTP status {status}"))),
        }
    }

    fn unreachable(&self, why: &dyn std::fmt::Display) -> CallError {
        CallError::Unreachable { address: self.url.address.clone(), why: why.to_string() }
    }

    fn foreign(&self, why: &dyn std::fmt::Display) -> CallError {
        CallError::Foreign { address: self.url.address.clone(), why: why.to_string() }
    }
}

fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).expect("names and numbers always serialize").into()
}
