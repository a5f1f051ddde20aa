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
use crate::http::connection::streams::Watch;

/// hyper passes over the rest of a body that nobody read if it has it at hand: it reads 8 KiB at first.
const AT_HAND_BYTES: u64 = 8 << 10;

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
        let much = self.body.size_hint().exact().is_none_or(|rest| rest > AT_HAND_BYTES);
        self.state.unread.store(!self.finished, Ordering::Relaxed);
        self.state.unread_much.store(!self.finished && much, Ordering::Relaxed);
    }
}

/// The body of an answer; the request is in flight until it is sent.
pub(crate) struct Answer {
    body: Body,
    _in_flight: InFlight,
    /// On HTTP/2: who is to know that a piece is taken.
    watch: Option<Arc<Watch>>,
    /// On HTTP/2: what is left of a piece that is given in parts.
    rest: Bytes,
}

/// A part of an answer on HTTP/2. Each must be taken within the time that a client may stall, so it has to be small: this
/// asks for one kilobyte a second at least, as the patience of the socket does with its buffers.
const PART_BYTES: usize = 32 << 10;

impl Answer {
    /// Follows `body`.
    pub(crate) fn new(body: Body, in_flight: InFlight, watch: Option<Arc<Watch>>) -> Self {
        Self { body, _in_flight: in_flight, watch, rest: Bytes::new() }
    }

    /// The next part of a stream of HTTP/2.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let part = self.rest.split_to(self.rest.len().min(PART_BYTES));
        Poll::Ready(Some(Ok(Frame::data(part))))
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(watch) = self.watch.clone() else { return Pin::new(&mut self.body).poll_frame(cx) };
        watch.asked();
        let part = ready!(self.poll_part(cx));
        if matches!(part, Some(Ok(_))) {
            watch.gave();
        }
        Poll::Ready(part)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut with_rest = SizeHint::new();
        if let Some(upper) = hint.upper() {
            with_rest.set_upper(upper + rest);
        }
        with_rest.set_lower(hint.lower() + rest);
        with_rest
    }
}
