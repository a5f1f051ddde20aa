//! One connection: its socket with a bound on silence in both directions, its requests handed to the front, its end.
//!
//! What bounds what:
//! - the head of a request must come within `header_read_max` of its first byte, and the first within as much of the
//!   connection; then 408 and the end;
//! - between requests a connection may be silent for `idle_max`;
//! - while we have bytes to send, the socket, or the stream of HTTP/2, must take some every `write_stall_max`;
//! - a body is bounded where it is read (`kit::body`);
//! - a TLS handshake may take `header_read_max` before all that.

mod bodies;
mod by_hand;
mod silence;
mod socket;
mod stage;
mod state;
mod streams;
mod wire;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use axum::http::HeaderValue;
use axum::http::Request;
use axum::http::Version;
use axum::http::header;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::time::sleep_until;
use tokio_rustls::TlsAcceptor;

use crate::http::connection::bodies::Answer;
use crate::http::connection::bodies::Question;
pub(crate) use crate::http::connection::silence::Bounds;
use crate::http::connection::silence::Next;
use crate::http::connection::silence::Silence;
use crate::http::connection::socket::Socket;
pub(crate) use crate::http::connection::stage::Stage;
use crate::http::connection::state::InFlight;
use crate::http::connection::state::State;
pub(crate) use crate::http::connection::streams::Streams;
use crate::http::connection::streams::Watch;
use crate::http::connection::wire::Wire;
use crate::http::front::Front;
use crate::http::kit::context::Link;
use crate::telemetry::metrics::Metrics;

/// What all connections have in common.
#[derive(Clone)]
pub(crate) struct Common {
    /// How HTTP is spoken.
    pub(crate) http: Arc<Builder<Streams>>,
    /// Who answers.
    pub(crate) front: Arc<Front>,
    /// Where the server stands.
    pub(crate) stage: Arc<Stage>,
    /// How long a connection may be silent.
    pub(crate) bounds: Bounds,
    /// Speaks TLS, where that is spoken.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves a connection from `remote` to its end.
pub(crate) async fn serve(stream: TcpStream, remote: SocketAddr, common: Common) {
    let Common { http, front, stage, bounds, tls } = common;
    let Ok(local) = stream.local_addr() else { return }; // it is gone already
    let link = Link { local: local.ip(), remote: remote.ip().to_canonical(), secure: tls.is_some() };
    let _open = Open::enter(front.metrics());
    let state = Arc::new(State::default());
    let socket = Socket::new(stream, Arc::clone(&state), bounds.write_stall_max);
    let wire = match tls {
        None => Wire::plain(socket, Arc::clone(&state)),
        Some(tls) => {
            // Boxed: it is over soon, and its place in every connection's task would stay.
            let greeted = Box::pin(wire::greet(tls, socket, Arc::clone(&state)));
            let greeted = tokio::time::timeout(bounds.header_read_max, greeted);
            tokio::select! {
                greeted = greeted => match greeted {
                    Ok(Some(wire)) => wire,
                    Ok(None) | Err(_) => return,
                },
                () = stage.drained() => return,
            }
        }
    };
    let service = {
        let state = Arc::clone(&state);
        service_fn(move |request: Request<Incoming>| {
            let (front, in_flight) = (Arc::clone(&front), InFlight::enter(&state));
            async move { Ok::<_, std::convert::Infallible>(answer(&front, request, link, in_flight).await) }
        })
    };
    let mut connection = pin!(http.serve_connection(TokioIo::new(wire), service));
    let mut changed = pin!(stage.changed());
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
            let stage_now = stage.now();
            if stage_now != stage_seen {
                if stage_now == Stage::CLOSING {
                    return Poll::Ready(Ok(()));
                }
                stage_seen = stage_now;
                changed.set(stage.changed());
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
    let http1 = request.version() != Version::HTTP_2;
    let request = request.map(|body| Question::new(body, Arc::clone(&in_flight.0)));
    let mut response = front.answer(request, link).await;
    // The connection ends behind a body that nobody reads: its client had better know before it sends the next request.
    if http1 && in_flight.0.unread_much.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| Answer::new(body, in_flight, Watch::current()))
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
