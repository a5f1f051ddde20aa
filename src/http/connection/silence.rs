//! How long a connection waits for its client: one timer, set again only when it fires, so that a request costs no timer
//! at all.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::http::connection::state::State;

/// How long a connection that is told to close may take about it.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// How long a connection may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// From the first byte of a request's head to its last; also for the TLS handshake.
    pub(crate) header_read_max: Duration,
    /// Between two requests.
    pub(crate) idle_max: Duration,
    /// With bytes to take, and none taken.
    pub(crate) write_stall_max: Duration,
}

/// Watches how long a connection waits for its client.
pub(crate) struct Silence {
    bounds: Bounds,
    /// When the timer fires.
    pub(crate) due: Instant,
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
pub(crate) enum Next {
    /// Nothing.
    Wait,
    /// Set the timer.
    Until(Instant),
    /// Close it politely, and look again then.
    Close(Instant),
    /// Drop it.
    End,
}

impl Silence {
    /// The connection has just begun.
    pub(crate) fn begin(bounds: Bounds) -> Self {
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
    pub(crate) fn look(&mut self, state: &State, fired: bool) -> Next {
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
