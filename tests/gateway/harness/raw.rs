//! HTTP/1.1 by hand, for what a well-behaved client would not do or not show.

use std::net::SocketAddr;

use bytes::Buf;
use bytes::BytesMut;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::client::assert_problem;
use crate::harness::wait::soon;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header whose name is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads a head without the empty line behind it.
    pub(crate) fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { status: status.unwrap_or_else(|| panic!("no status line: {text:?}")), headers }
    }
}

/// A connection that sends what it is told and reads the answer piece by piece.
pub(crate) struct Connection {
    stream: TcpStream,
    pending: BytesMut,
    /// What was read of a chunked body beyond the last line that was asked for.
    body: String,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await.expect("the gateway accepts");
        stream.set_nodelay(true).expect("an open socket takes options");
        Self { stream, pending: BytesMut::new(), body: String::new() }
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("room to send", self.stream.write_all(bytes.as_ref())).await.expect("the connection is open");
    }

    /// Sends bytes as they are, or says that the connection is gone.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        soon("room to send", self.stream.write_all(bytes.as_ref())).await
    }

    /// Reads until a head is there or the gateway ends the connection, and returns what it sent.
    pub(crate) async fn head_or_end(&mut self) -> String {
        while memchr::memmem::find(&self.pending, b"\r\n\r\n").is_none()
            && let Ok(1..) = soon("a head or the end", self.stream.read_buf(&mut self.pending)).await
        {}
        String::from_utf8_lossy(&self.pending).into_owned()
    }

    /// Sends one chunk of a chunked body.
    pub(crate) async fn send_chunk(&mut self, data: &str) {
        self.send(format!("{:x}\r\n{data}\r\n", data.len())).await;
    }

    /// Ends a chunked body.
    pub(crate) async fn send_last_chunk(&mut self) {
        self.send("0\r\n\r\n").await;
    }

    /// Reads the head of the answer.
    pub(crate) async fn head(&mut self) -> Head {
        let end = self.fill_until(b"\r\n\r\n").await;
        let head = self.pending.split_to(end + 4);
        Head::parse(std::str::from_utf8(&head[..end]).expect("a head is ASCII"))
    }

    /// Reads one line of a chunked body, however it is cut into chunks.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.body.find('\n') {
                let line = self.body.drain(..=end).collect::<String>();
                return line.trim_end().to_owned();
            }
            let chunk = self.chunk().await;
            assert!(!chunk.is_empty(), "the body ends within a line: {:?}", self.body);
            self.body.push_str(&chunk);
        }
    }

    /// Reads one chunk of a chunked body; the last one is empty.
    async fn chunk(&mut self) -> String {
        let end = self.fill_until(b"\r\n").await;
        let line = self.pending.split_to(end + 2);
        let size = std::str::from_utf8(&line[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.unwrap_or_else(|| panic!("no chunk size: {line:?}"));
        self.fill(size + 2).await;
        let data = self.pending.split_to(size);
        self.pending.advance(2);
        String::from_utf8(data.to_vec()).expect("tests send text")
    }

    /// Reads the rest of a chunked body.
    pub(crate) async fn chunks_to_the_end(&mut self) -> String {
        loop {
            match self.chunk().await {
                chunk if chunk.is_empty() => return std::mem::take(&mut self.body),
                chunk => self.body.push_str(&chunk),
            }
        }
    }

    /// Reads a body of known length or of chunks.
    pub(crate) async fn body(&mut self, head: &Head) -> String {
        let Some(length) = head.header("content-length") else {
            return self.chunks_to_the_end().await;
        };
        let length = length.parse().expect("a length is a number");
        self.fill(length).await;
        String::from_utf8(self.pending.split_to(length).to_vec()).expect("tests send text")
    }

    /// Reads until the gateway ends the connection, however it does, and returns what it sent.
    pub(crate) async fn everything(&mut self) -> String {
        while let Ok(1..) = soon("the end of the connection", self.stream.read_buf(&mut self.pending)).await {}
        String::from_utf8_lossy(&self.pending).into_owned()
    }

    async fn fill_until(&mut self, mark: &[u8]) -> usize {
        loop {
            if let Some(at) = memchr::memmem::find(&self.pending, mark) {
                return at;
            }
            self.more().await;
        }
    }

    async fn fill(&mut self, length: usize) {
        while self.pending.len() < length {
            self.more().await;
        }
    }

    async fn more(&mut self) {
        let read = soon("more of the answer", self.stream.read_buf(&mut self.pending)).await;
        let length = read.expect("the connection is whole");
        assert_ne!(length, 0, "the connection ends within an answer: {:?}", self.pending);
    }
}

/// Sends one request without a body, its lines joined by CRLF, and reads the whole answer.
pub(crate) async fn exchange(address: SocketAddr, lines: &[&str]) -> (Head, String) {
    let mut connection = Connection::open(address).await;
    connection.send(format!("{}\r\n\r\n", lines.join("\r\n"))).await;
    let head = connection.head().await;
    let body = match head.status {
        204 | 304 => String::new(),
        _ => connection.body(&head).await,
    };
    (head, body)
}

/// The problem in a body.
pub(crate) fn problem(body: &str) -> Value {
    let problem = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body:?}"));
    assert_problem(&problem);
    problem
}
