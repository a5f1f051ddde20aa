//! The load generator: HTTP/1.1 by hand over a raw socket. It shares two cores with what it measures, so it parses no
//! more than status, length and chunks, and it is the same for both sides of a comparison.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use bytes::Bytes;
use memchr::memchr;
use memchr::memmem;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// One keep-alive connection with one request under way at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
    /// What of `buffer` has been received and not yet been given out.
    unread: std::ops::Range<usize>,
}

impl Connection {
    /// Connects; `buffer_bytes` bounds the head of an answer and the size of one read.
    pub(crate) async fn open(address: SocketAddr, buffer_bytes: usize) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; buffer_bytes].into(), unread: 0..0 })
    }

    /// Sends a request and reads the head of the answer: its status and how to read its body.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<(u16, Body)> {
        self.stream.write_all(request).await?;
        let mut end = 0;
        loop {
            let received = self.stream.read(&mut self.buffer[end..]).await?;
            ensure!(received > 0, "the server closed the connection before it answered");
            end += received;
            if let Some(head) = memmem::find(&self.buffer[..end], b"\r\n\r\n") {
                self.unread = head + 4..end;
                return Body::of(&self.buffer[..head + 2]);
            }
        }
    }

    /// Hands the next piece of the body to `sink`; false when the body is over.
    pub(crate) async fn piece(&mut self, body: &mut Body, sink: &mut impl FnMut(&[u8])) -> Result<bool> {
        if matches!(body, Body::Length(0)) {
            return Ok(false);
        }
        if self.unread.is_empty() {
            let received = self.stream.read(&mut self.buffer).await?;
            ensure!(received > 0, "the server closed the connection within an answer");
            self.unread = 0..received;
        }
        let more = body.feed(&self.buffer[self.unread.clone()], sink);
        self.unread = 0..0;
        Ok(more)
    }

    /// Sends a request and reads the whole answer; any status but 2xx is an error that quotes the body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<()> {
        let (status, mut body) = self.send(request).await?;
        let mut refusal = Vec::new();
        let mut sink = |piece: &[u8]| {
            if status >= 300 {
                refusal.extend_from_slice(piece);
            }
        };
        while self.piece(&mut body, &mut sink).await? {}
        if status >= 300 {
            bail!("answered {status}: {}", String::from_utf8_lossy(&refusal[..refusal.len().min(400)]));
        }
        Ok(())
    }
}

/// Where in its body an answer is.
pub(crate) enum Body {
    /// So many bytes are left.
    Length(u64),
    /// In the line that says the size of a chunk, read so far.
    ChunkSize(u64),
    /// In a chunk of which so many bytes are left, then its line end.
    Chunk(u64),
    ChunkEnd,
    /// Behind the chunk of size 0 (none of our servers sends trailers).
    LastLine,
}

impl Body {
    fn of(head: &[u8]) -> Result<(u16, Self)> {
        let head = std::str::from_utf8(head).context("head of the answer")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.get(9..12)).context("status line")?.parse()?;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                return Ok((status, Self::Length(value.trim().parse()?)));
            }
            if name.eq_ignore_ascii_case("transfer-encoding") {
                return Ok((status, Self::ChunkSize(0)));
            }
        }
        Ok((status, Self::Length(0)))
    }

    /// Takes the framing off `input`; false when the body is over.
    fn feed(&mut self, mut input: &[u8], sink: &mut impl FnMut(&[u8])) -> bool {
        while let Some(&first) = input.first() {
            match *self {
                Self::Length(left) | Self::Chunk(left) => {
                    let taken = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    sink(&input[..taken]);
                    input = &input[taken..];
                    let left = left - taken as u64;
                    *self = match *self {
                        Self::Length(_) => Self::Length(left),
                        _ if left == 0 => Self::ChunkEnd,
                        _ => Self::Chunk(left),
                    };
                    if matches!(self, Self::Length(0)) {
                        return false;
                    }
                    continue;
                }
                Self::ChunkSize(size) => match char::from(first).to_digit(16) {
                    Some(digit) => *self = Self::ChunkSize(size * 16 + u64::from(digit)),
                    None if first != b'\n' => {}
                    None if size == 0 => *self = Self::LastLine,
                    None => *self = Self::Chunk(size),
                },
                Self::ChunkEnd if first == b'\n' => *self = Self::ChunkSize(0),
                Self::LastLine if first == b'\n' => return false,
                Self::ChunkEnd | Self::LastLine => {}
            }
            input = &input[1..];
        }
        true
    }
}

/// Durations in nanoseconds, for quantiles.
#[derive(Default, Clone)]
pub(crate) struct Latencies(pub(crate) Vec<u64>);

impl Latencies {
    /// The quantile `q` in milliseconds; 0 of nothing.
    pub(crate) fn quantile_ms(&mut self, q: f64) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        let rank = ((self.0.len() - 1) as f64 * q).round() as usize;
        *self.0.select_nth_unstable(rank).1 as f64 / 1e6
    }
}

/// When a load ends.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    Elapsed(Duration),
    /// So many requests have been answered.
    Requests(u64),
}

/// What a load came to.
pub(crate) struct Load {
    pub(crate) requests_per_second: f64,
    /// Of request bodies and heads as sent.
    pub(crate) megabytes_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Sends `requests` in turn, over and over, on `connections` connections, each with one under way. The first answer that
/// is not 2xx ends it as an error.
pub(crate) async fn load(
    address: SocketAddr,
    requests: &Arc<[Bytes]>,
    connections: usize,
    until: Until,
) -> Result<Load> {
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(address, 64 * 1024).await?);
    }
    let sent = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, mut connection) in opened.into_iter().enumerate() {
        let (requests, sent) = (Arc::clone(requests), Arc::clone(&sent));
        // Each connection begins elsewhere in the list, so that they do not send the same at the same time.
        let mut next = number * requests.len() / connections;
        tasks.spawn(async move {
            let (mut latencies, mut bytes) = (Vec::new(), 0);
            let mut now = Instant::now();
            loop {
                let done = match until {
                    Until::Elapsed(duration) => start.elapsed() >= duration,
                    Until::Requests(limit) => sent.fetch_add(1, Ordering::Relaxed) >= limit,
                };
                if done {
                    return anyhow::Ok((latencies, bytes));
                }
                let request = &requests[next % requests.len()];
                connection.exchange(request).await?;
                let before = std::mem::replace(&mut now, Instant::now());
                latencies.push((now - before).as_nanos() as u64);
                bytes += request.len() as u64;
                next += 1;
            }
        });
    }
    let (mut latencies, mut bytes) = (Latencies::default(), 0);
    while let Some(done) = tasks.join_next().await {
        let (mut of_one, sent) = done??;
        latencies.0.append(&mut of_one);
        bytes += sent;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Load {
        requests_per_second: latencies.0.len() as f64 / seconds,
        megabytes_per_second: bytes as f64 / 1e6 / seconds,
        p50_ms: latencies.quantile_ms(0.5),
        p99_ms: latencies.quantile_ms(0.99),
    })
}

/// Reads the answer to `request` to its end: its bytes and the seconds it took; each piece goes to `sink` as well.
pub(crate) async fn download(address: SocketAddr, request: &[u8], mut sink: impl FnMut(&[u8])) -> Result<(u64, f64)> {
    let mut connection = Connection::open(address, 1 << 20).await?;
    let mut bytes = 0;
    let start = Instant::now();
    let (status, mut body) = connection.send(request).await?;
    ensure!(status == 200, "answered {status}");
    let mut count = |piece: &[u8]| {
        bytes += piece.len() as u64;
        sink(piece);
    };
    while connection.piece(&mut body, &mut count).await? {}
    Ok((bytes, start.elapsed().as_secs_f64()))
}

/// Hands each whole line to `found`, without its end. `rest` keeps a line that has not ended yet.
pub(crate) fn each_line(rest: &mut Vec<u8>, mut piece: &[u8], mut found: impl FnMut(&[u8])) {
    while let Some(end) = memchr(b'\n', piece) {
        if rest.is_empty() {
            found(&piece[..end]);
        } else {
            rest.extend_from_slice(&piece[..end]);
            found(rest);
            rest.clear();
        }
        piece = &piece[end + 1..];
    }
    rest.extend_from_slice(piece);
}
