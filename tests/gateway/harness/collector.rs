//! A collector of OpenTelemetry, as far as a gateway speaks to one: takes spans as OTLP over HTTP and keeps them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde_json::Value;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::harness::wait::eventually;

/// A collector on a port of its own, for as long as the test runs.
pub(crate) struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// A span as it came.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// The span itself.
    pub(crate) json: Value,
    /// What it says of the program it comes from.
    pub(crate) resource: Value,
}

impl Span {
    /// A member that is a text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.json))
    }

    /// The parent, if it has one.
    pub(crate) fn parent(&self) -> Option<&str> {
        self.json["parentSpanId"].as_str()
    }

    /// When it began and ended, in nanoseconds since 1970.
    pub(crate) fn times(&self) -> (u64, u64) {
        let time = |name| self.text(name).parse().expect("a time is a number in a text");
        (time("startTimeUnixNano"), time("endTimeUnixNano"))
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, key: &str) -> Option<&str> {
        of(&self.json["attributes"], key)
    }

    /// The spans that it links to.
    pub(crate) fn links(&self) -> Vec<&str> {
        let links = self.json["links"].as_array().expect("a list");
        links.iter().map(|link| link["spanId"].as_str().expect("an id")).collect()
    }
}

/// The value of an attribute, a text or a number.
pub(crate) fn of<'a>(attributes: &'a Value, key: &str) -> Option<&'a str> {
    let found = attributes.as_array().expect("a list").iter().find(|one| one["key"] == key)?;
    found["value"]["stringValue"].as_str().or_else(|| found["value"]["intValue"].as_str())
}

impl Collector {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&kept)));
            }
        });
        Self { address, spans }
    }

    /// What `--otlp-endpoint` says.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans that have come.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The span that `wanted` finds, once it has come.
    pub(crate) async fn span(&self, what: &str, wanted: impl Fn(&Span) -> bool) -> Span {
        eventually(what, async || self.spans().into_iter().find(|span| wanted(span))).await
    }

    /// The span of the request with that id, once it has come.
    pub(crate) async fn request(&self, id: &str) -> Span {
        self.span("the span of a request", |span| span.attribute("tidegate.request_id") == Some(id)).await
    }
}

/// Answers one request.
async fn take(stream: TcpStream, kept: Arc<Mutex<Vec<Span>>>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).await.expect("it sends a head") > 0, "a head is cut: {head:?}");
    }
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.trim().parse().expect("a number")];
    stream.read_exact(&mut body).await.expect("it sends a body");
    let body: Value = serde_json::from_slice(&body).expect("the body is JSON");
    let mut spans = Vec::new();
    for of_resource in body["resourceSpans"].as_array().expect("a list") {
        for of_scope in of_resource["scopeSpans"].as_array().expect("a list") {
            assert_eq!(of_scope["scope"]["name"], "tidegate");
            for json in of_scope["spans"].as_array().expect("a list") {
                spans.push(Span { json: json.clone(), resource: of_resource["resource"].clone() });
            }
        }
    }
    kept.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    stream.write_all(answer.as_bytes()).await.expect("it takes the answer");
}
