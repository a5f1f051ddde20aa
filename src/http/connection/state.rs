//! What the parts of a connection tell each other: its socket and its requests are in hyper's hands.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// The facts that are shared. All are hints between steps of one task (and of its HTTP/2 streams), so none orders
/// anything else.
#[derive(Default)]
pub(crate) struct State {
    /// Requests whose answer is not sent to its end.
    pub(crate) in_flight: AtomicUsize,
    /// Requests ever begun; it wraps.
    pub(crate) begun: AtomicUsize,
    /// Bytes came since the connection was looked at.
    pub(crate) read_some: AtomicBool,
    /// The last request's body was not read to its end.
    pub(crate) unread: AtomicBool,
    /// And what is left of it is more than hyper may have at hand, and pass over.
    pub(crate) unread_much: AtomicBool,
    /// The client speaks HTTP/2.
    pub(crate) http2: AtomicBool,
    /// The head of a request did not come in time: say so when the socket is closed.
    pub(crate) head_late: AtomicBool,
}

/// Counts a request for as long as it, or the body of its answer, lives.
pub(crate) struct InFlight(pub(crate) Arc<State>);

impl InFlight {
    /// One more.
    pub(crate) fn enter(state: &Arc<State>) -> Self {
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
