//! The streams of HTTP/2 connections: their requests run beside each other, and one whose client takes nothing is given
//! up alone.
//!
//! A client of HTTP/2 that does not read keeps its window shut, and the socket is idle: nothing stalls there. What tells
//! is that the body of the answer gave a piece and is not asked for the next.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep;

use crate::tasks::Tasks;

tokio::task_local! {
    /// The watch of the stream that is being polled.
    static WATCH: Arc<Watch>;
}

/// What the body of an answer tells the one who watches its stream.
#[derive(Default)]
pub(crate) struct Watch {
    /// A piece was given, and no other asked for.
    given: AtomicBool,
    /// Pieces ever asked for; it wraps.
    asked: AtomicU64,
}

impl Watch {
    /// That of the stream that is being polled; `None` on HTTP/1, whose socket tells.
    pub(crate) fn current() -> Option<Arc<Self>> {
        WATCH.try_with(Arc::clone).ok()
    }

    /// The next piece is asked for.
    pub(crate) fn asked(&self) {
        self.given.store(false, Ordering::Relaxed);
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// It was given.
    pub(crate) fn gave(&self) {
        self.given.store(true, Ordering::Relaxed);
    }
}

/// Spawns streams, and gives up those that stall for so long.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) tasks: Tasks,
    pub(crate) write_stall_max: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let watch = Arc::new(Watch::default());
        let mut stream = Box::pin(WATCH.scope(Arc::clone(&watch), stream));
        let stall_max = self.write_stall_max;
        let mut stalled: Option<Pin<Box<Sleep>>> = None;
        let (mut waiting, mut seen) = (false, 0);
        let patient = std::future::poll_fn(move |cx| {
            if stream.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let asked = watch.asked.load(Ordering::Relaxed);
            if !watch.given.load(Ordering::Relaxed) {
                waiting = false;
                return Poll::Pending;
            }
            let stalled = stalled.get_or_insert_with(|| Box::pin(sleep(stall_max)));
            if !waiting || seen != asked {
                (waiting, seen) = (true, asked);
                stalled.as_mut().reset(Instant::now() + stall_max);
            }
            // What is dropped unfinished is reset, and the client told so.
            stalled.as_mut().poll(cx).map(|()| tracing::debug!("the client of an HTTP/2 stream reads nothing"))
        });
        self.tasks.spawn("http2 stream", patient);
    }
}
