//! One connection: its socket with a bound on silence in both directions, its requests handed to the front, its end.
//!
//! What bounds what:
//! - the head of a request must come within `header_read_max` of its first byte, and the first within as much of the
//!   connection; then 408 and the end;
//! - between requests a connection may be silent for `idle_max`;
//! - while we have bytes to send, the socket must take some every `write_stall_max`;
//! - a body is bounded where it is read (`kit::body`).
//!
//! One timer serves the first two and is set again only when it fires, so a request costs no timer at all.

use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::Version;
use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::Builder;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep;
use tokio::time::sleep_until;

use crate::http::front::Front;
use crate::http::kit::context::Link;
use crate::http::kit::context::RequestId;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::tasks::Tasks;
use crate::telemetry::metrics::Metrics;

/// How long a connection that is told to close may take about it.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// How long unread bytes of a refused request are read and dropped, so that its sender gets to the answer: a socket
/// that is closed with bytes unread resets the connection, and the answer may be lost with it.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// Where the server stands; connections look at it at every step.
pub(crate) struct Stage {
    now: AtomicU8,
    changed: Notify,
}

impl Stage {
    const DRAINING: u8 = 1;
    const CLOSING: u8 = 2;

    /// The server runs.
    pub(crate) fn new() -> Self {
        Self { now: AtomicU8::new(0), changed: Notify::new() }
    }

    /// Requests under way are finished, connections without one are closed.
    pub(crate) fn drain(&self) {
        self.enter(Self::DRAINING);
    }

    /// Connections are closed whatever they are doing.
    pub(crate) fn close(&self) {
        self.enter(Self::CLOSING);
    }

    fn enter(&self, stage: u8) {
        self.now.store(stage, Ordering::Release);
        self.changed.notify_waiters();
    }
}

/// How long a connection may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) header_read_max: Duration,
    pub(crate) idle_max: Duration,
    pub(crate) write_stall_max: Duration,
}

/// What the parts of a connection tell each other: its socket and its requests are in hyper's hands.
#[derive(Default)]
struct State {
    /// Requests whose answer is not sent to its end.
    in_flight: AtomicUsize,
    /// Requests ever begun; it wraps.
    begun: AtomicUsize,
    /// Bytes came since the connection was looked at.
    read_some: AtomicBool,
    /// The last request's body was not read to its end.
    unread: AtomicBool,
    http2: AtomicBool,
    /// The head of a request did not come in time: say so when the socket is closed.
    head_late: AtomicBool,
}

/// Spawns the streams of HTTP/2 connections, whose requests run beside each other.
#[derive(Clone)]
pub(crate) struct Streams(pub(crate) Tasks);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.spawn("http2 stream", stream);
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    stream: TcpStream,
    http: Arc<Builder<Streams>>,
    front: Arc<Front>,
    stage: Arc<Stage>,
    bounds: Bounds,
) {
    let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else { return }; // it is gone already
    let link = Link { local: local.ip(), remote: remote.ip().to_canonical(), secure: false };
    let _open = Open::enter(front.metrics());
    let state = Arc::new(State::default());
    let socket = Socket { stream, state: Arc::clone(&state), bounds, stalled: None, lingering: None };
    let service = {
        let state = Arc::clone(&state);
        service_fn(move |request: Request<Incoming>| {
            let (front, in_flight) = (Arc::clone(&front), InFlight::enter(&state));
            async move { Ok::<_, std::convert::Infallible>(answer(&front, request, link, in_flight).await) }
        })
    };
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    let mut changed = pin!(stage.changed.notified());
    let mut changed_polled = false;
    let mut stage_seen = 0;
    let mut silence = Silence::begin(bounds);
    let mut timer = pin!(sleep_until(silence.due));
    let mut timer_polled = false;
    let outcome = std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            // Polled once each time it is set: a task's waker does not change, and the flag beside it is cheaper to
            // look at than the lock inside.
            if !changed_polled {
                changed_polled = true;
                let _ = changed.as_mut().poll(cx);
            }
            let stage_now = stage.now.load(Ordering::Acquire);
            if stage_now != stage_seen {
                if stage_now == Stage::CLOSING {
                    return Poll::Ready(Ok(()));
                }
                stage_seen = stage_now;
                changed.set(stage.changed.notified());
                changed_polled = false;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            let fired = if timer_polled {
                timer.is_elapsed()
            } else {
                timer_polled = true;
                timer.as_mut().poll(cx).is_ready()
            };
            match silence.look(&state, fired) {
                Next::Wait => return Poll::Pending,
                Next::Until(due) => {
                    timer.as_mut().reset(due);
                    timer_polled = false;
                }
                Next::Close(due) => {
                    connection.as_mut().graceful_shutdown();
                    timer.as_mut().reset(due);
                    timer_polled = false;
                }
                Next::End => return Poll::Ready(Ok(())),
            }
        }
    })
    .await;
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Hands a request to the front, and follows both bodies.
async fn answer(front: &Front, request: Request<Incoming>, link: Link, in_flight: InFlight) -> hyper::Response<Answer> {
    if request.version() == Version::HTTP_2 {
        in_flight.0.http2.store(true, Ordering::Relaxed);
    }
    let request =
        request.map(|body| Question { finished: body.is_end_stream(), body, state: Arc::clone(&in_flight.0) });
    front.answer(request, link).await.map(|body| Answer { body, _in_flight: in_flight })
}

/// Counts a connection for as long as it lives.
struct Open(Arc<Metrics>);

impl Open {
    fn enter(metrics: &Arc<Metrics>) -> Self {
        metrics.http.connections.inc();
        metrics.http.connections_accepted.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.http.connections.dec();
    }
}

/// Counts a request for as long as it, or the body of its answer, lives.
struct InFlight(Arc<State>);

impl InFlight {
    fn enter(state: &Arc<State>) -> Self {
        state.begun.fetch_add(1, Ordering::Relaxed);
        state.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(state))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a request; tells whether it was read to its end.
struct Question {
    body: Incoming,
    finished: bool,
    state: Arc<State>,
}

impl HttpBody for Question {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.finished = frame.is_none() || self.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.state.unread.store(!self.finished, Ordering::Relaxed);
    }
}

/// The body of an answer; the request is in flight until it is sent.
struct Answer {
    body: Body,
    _in_flight: InFlight,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Watches how long a connection waits for its client.
struct Silence {
    bounds: Bounds,
    /// When the timer fires.
    due: Instant,
    /// Since when no request is in flight.
    idle_since: Instant,
    /// Since when the head of a request is expected: its first byte, or the begin of the connection.
    head_since: Option<Instant>,
    /// A byte of that head has come.
    head_begun: bool,
    begun_seen: usize,
    was_in_flight: bool,
    closing: bool,
}

/// What is to be done about a connection.
enum Next {
    Wait,
    /// Set the timer.
    Until(Instant),
    /// Close it politely, and look again then.
    Close(Instant),
    /// Drop it.
    End,
}

impl Silence {
    fn begin(bounds: Bounds) -> Self {
        let now = Instant::now();
        Self {
            bounds,
            due: now + bounds.header_read_max,
            idle_since: now,
            head_since: Some(now),
            head_begun: false,
            begun_seen: 0,
            was_in_flight: false,
            closing: false,
        }
    }

    /// Looks at the connection after each step; `fired` says that the timer has.
    fn look(&mut self, state: &State, fired: bool) -> Next {
        let read_some = state.read_some.swap(false, Ordering::Relaxed);
        let begun = state.begun.load(Ordering::Relaxed);
        let deadline = if state.in_flight.load(Ordering::Relaxed) > 0 {
            self.was_in_flight = true;
            None
        } else {
            if self.was_in_flight || begun != self.begun_seen {
                self.was_in_flight = false;
                self.idle_since = Instant::now();
                self.head_since = None;
                self.head_begun = false;
            } else if read_some && !state.http2.load(Ordering::Relaxed) {
                self.head_since.get_or_insert_with(Instant::now);
                self.head_begun = true;
            }
            let idle = self.idle_since + self.bounds.idle_max;
            Some(self.head_since.map_or(idle, |since| idle.min(since + self.bounds.header_read_max)))
        };
        self.begun_seen = begun;
        if !fired {
            return match deadline {
                Some(deadline) if deadline < self.due && !self.closing => self.set(deadline),
                _ => Next::Wait,
            };
        }
        let now = Instant::now();
        match deadline {
            // Nobody is waited for: look again later, so that the end of this request needs no timer of its own.
            None => self.set(now + self.bounds.idle_max),
            Some(_) if self.closing => Next::End,
            Some(deadline) if deadline > now => self.set(deadline),
            Some(_) if self.head_since.is_some() => {
                // A connection that never said anything is not answered: whoever opened it in advance does not expect
                // it, and would take it for the answer to its first request.
                state.head_late.store(self.head_begun, Ordering::Relaxed);
                Next::End
            }
            Some(_) => {
                self.closing = true;
                self.due = now + CLOSE_MAX;
                Next::Close(self.due)
            }
        }
    }

    fn set(&mut self, due: Instant) -> Next {
        self.due = due;
        Next::Until(due)
    }
}

/// The socket, with a bound on how long it may take nothing, and a patient end.
struct Socket {
    stream: TcpStream,
    state: Arc<State>,
    bounds: Bounds,
    /// Runs while there are bytes that the socket does not take.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs while unread bytes are dropped at the end.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// Passes on what a write came to; an end of patience becomes an error.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.stalled.is_some() {
                self.stalled = None;
            }
            return written;
        }
        let stall_max = self.bounds.write_stall_max;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall_max)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads nothing")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.state.read_some.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.state.unread.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())), // the client has closed as well
                Poll::Pending => break,
            }
        }
        let lingering = self.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER_MAX)));
        lingering.as_mut().poll(cx).map(Ok)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.state.head_late.load(Ordering::Relaxed) {
            // Best effort: the socket is dropped anyway, and a few hundred bytes fit into an empty buffer.
            let _ = self.stream.try_write(&head_late());
        }
    }
}

/// The answer to a head that did not come: written by hand, because there is no request to answer.
fn head_late() -> Vec<u8> {
    let request_id = RequestId::from_number(fastrand::u64(..));
    let request_id = request_id.as_str();
    let detail = "The head of the request did not come in time.";
    let body = Problem::new(Code::RequestTimeout, detail).not_written().to_json(request_id);
    format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\nx-content-type-options: nosniff\r\n\
         x-request-id: {request_id}\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
