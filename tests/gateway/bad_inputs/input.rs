//! One bad input: a request byte for byte, on a connection of its own, since no honest client would send it.

use std::fmt::Display;
use std::fmt::Formatter;
use std::net::SocketAddr;

use serde_json::Value;

use crate::bad_inputs::told::Told;
use crate::harness::raw::Connection;

/// How much of an input is shown where it is not answered as it should be.
const SHOWN: usize = 300;

/// A request.
pub(crate) struct Input {
    /// Method, target and version; or all there is to send.
    line: Vec<u8>,
    /// Lines without their ends; `None` where `line` is all there is.
    headers: Option<Vec<String>>,
    body: Option<Vec<u8>>,
}

impl Input {
    fn new(method: &str, target: &str) -> Self {
        Self { line: format!("{method} {target} HTTP/1.1").into_bytes(), headers: Some(Vec::new()), body: None }
    }

    /// With a header, as `Name: value`. One that names a host stands in place of the gateway's own.
    pub(crate) fn with(mut self, header: impl Into<String>) -> Self {
        self.headers.get_or_insert_default().push(header.into());
        self
    }

    /// With a body and its length.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With a body of this type.
    pub(crate) fn typed(self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.with(format!("Content-Type: {kind}")).body(body)
    }

    /// With a body that says it is JSON.
    pub(crate) fn json(self, body: impl Into<Vec<u8>>) -> Self {
        self.typed("application/json", body)
    }

    /// With a body that says it is lines of JSON.
    pub(crate) fn ndjson(self, body: impl Into<Vec<u8>>) -> Self {
        self.typed("application/x-ndjson", body)
    }

    /// Whether a refusal has to say that nothing was written.
    pub(crate) fn is_write(&self) -> bool {
        [&b"POST "[..], b"PUT ", b"PATCH ", b"DELETE "].iter().any(|method| self.line.starts_with(method))
    }

    fn bytes(&self, host: &str) -> Vec<u8> {
        let mut bytes = self.line.clone();
        let Some(headers) = &self.headers else { return bytes };
        bytes.extend(b"\r\nConnection: close\r\n");
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            bytes.extend(format!("Host: {host}\r\n").as_bytes());
        }
        for header in headers {
            bytes.extend(header.as_bytes());
            bytes.extend(b"\r\n");
        }
        if let Some(body) = &self.body {
            bytes.extend(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(self.body.iter().flatten());
        bytes
    }

    /// Sends it, and reads all that is answered until the gateway ends the connection.
    pub(crate) async fn send(&self, to: SocketAddr) -> Told {
        let mut connection = Connection::open(to).await;
        // Whoever is refused in the middle of a body may not get rid of the rest: what counts is the answer.
        connection.try_send(self.bytes(&to.to_string())).await.ok();
        let head = connection.head_or_end().await;
        // A stream does not end by itself.
        let is_stream = head.contains("content-type: text/event-stream");
        Told::parse(&if is_stream { head } else { connection.everything().await })
    }

    /// Sends it, and reads no more than the head of the answer: what it opens does not end.
    pub(crate) async fn open(&self, to: SocketAddr) -> Told {
        let mut connection = Connection::open(to).await;
        connection.try_send(self.bytes(&to.to_string())).await.ok();
        Told::parse(&connection.head_or_end().await)
    }
}

impl Display for Input {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.bytes("HOST")).replace("Connection: close\r\nHost: HOST\r\n", "");
        let shown: String = text.chars().take(SHOWN).collect();
        write!(f, "{shown:?}{}", if shown.len() < text.len() { "…" } else { "" })
    }
}

/// Bytes as they are. They have to end the connection, or to be so bad that it ends.
pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Input {
    Input { line: bytes.into(), headers: None, body: None }
}

/// A request without a body.
pub(crate) fn request(method: &str, target: &str) -> Input {
    Input::new(method, target)
}

pub(crate) fn get(target: impl AsRef<str>) -> Input {
    Input::new("GET", target.as_ref())
}

pub(crate) fn post(target: impl AsRef<str>) -> Input {
    Input::new("POST", target.as_ref())
}

/// A PUT with an empty body, which is none.
pub(crate) fn put(target: impl AsRef<str>) -> Input {
    Input::new("PUT", target.as_ref())
}

pub(crate) fn delete(target: impl AsRef<str>) -> Input {
    Input::new("DELETE", target.as_ref())
}

/// A batch for `orders`.
pub(crate) fn batch(records: impl Display) -> Input {
    post("/v1/topics/orders/records").json(format!(r#"{{"records":[{records}]}}"#))
}

/// A raw JSON value for `orders`.
pub(crate) fn value(body: impl Into<Vec<u8>>) -> Input {
    post("/v1/topics/orders/values").json(body)
}

/// One input for each of the variants of what is bad.
pub(crate) fn each<T>(variants: impl IntoIterator<Item = T>, make: impl Fn(T) -> Input) -> Vec<Input> {
    variants.into_iter().map(make).collect()
}

/// Several inputs for each of the variants of what is bad.
pub(crate) fn all<T, const N: usize>(
    variants: impl IntoIterator<Item = T>,
    make: impl Fn(T) -> [Input; N],
) -> Vec<Input> {
    variants.into_iter().flat_map(make).collect()
}

/// The poll of a member.
pub(crate) fn poll(group: &str, member: &str, body: &Value) -> Input {
    post(format!("/v1/groups/{group}/members/{member}/poll")).json(body.to_string())
}
