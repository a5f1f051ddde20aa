//! The bodies of a request and of its answer, as the connection follows them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use axum::body::Body;
use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;

use crate::http::connection::state::InFlight;
use crate::http::connection::state::State;

/// The body of a request; tells whether it was read to its end.
pub(crate) struct Question {
    body: Incoming,
    finished: bool,
    state: Arc<State>,
}

impl Question {
    /// Follows `body`.
    pub(crate) fn new(body: Incoming, state: Arc<State>) -> Self {
        Self { finished: body.is_end_stream(), body, state }
    }
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
pub(crate) struct Answer {
    body: Body,
    _in_flight: InFlight,
}

impl Answer {
    /// Follows `body`.
    pub(crate) fn new(body: Body, in_flight: InFlight) -> Self {
        Self { body, _in_flight: in_flight }
    }
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
