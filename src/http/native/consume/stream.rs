//! An endless answer: one subscriber, which is one response body.
//!
//! It reads its own history up to where the feed stands, and from there takes the feed's frames, which all subscribers
//! share. If it is too slow for the feed it goes back to history. With a key, or when there are too many feeds, it
//! stays by itself and is woken by the log.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::access::hold::Hold;
use crate::broker::Broker;
use crate::broker::error::Error;
use crate::broker::read::Start;
use crate::broker::reader::PageLimit;
use crate::broker::reader::Reader;
use crate::http::kit::caller::unauthorized;
use crate::http::kit::context::RequestId;
use crate::http::kit::fanout::Follower;
use crate::http::kit::fanout::Next;
use crate::http::native::consume::feed::Feed;
use crate::http::native::consume::feed::Selection;
use crate::http::native::consume::frames::DATABASE_AWAY;
use crate::http::native::consume::frames::Ending;
use crate::http::native::consume::frames::StreamFormat;
use crate::http::native::consume::pulse::Pulse;
use crate::model::cursor::Cursor;
use crate::signal::Signal;
use crate::tasks::Tasks;
use crate::telemetry::metrics::OpenStream;
use crate::telemetry::metrics::labels::StreamKind;

/// History is sent in pieces of this size.
const PIECE: PageLimit = PageLimit { records: 10_000, bytes: 256 << 10 };

/// What all subscribers of this API share.
#[derive(Clone)]
pub struct Streams {
    /// What is read from.
    pub broker: Broker,
    /// Signs of life.
    pub pulse: Pulse,
    /// Cancelled when the node begins to shut down.
    pub draining: CancellationToken,
    /// Runs what is left to do when a stream ends.
    pub tasks: Tasks,
}

/// The body of an endless answer.
pub struct Subscriber {
    shared: Arc<Streams>,
    /// How long its reader may go on.
    hold: Hold,
    request_id: RequestId,
    format: StreamFormat,
    /// The feed it takes part in, with its selection; without one it stays by itself.
    feed: Option<(Arc<Feed>, Arc<Selection>)>,
    state: State,
    _open: OpenStream,
}

enum State {
    /// Something to send first, then by itself.
    Opening(Bytes, Box<Reader>),
    /// Reading by itself.
    Reading(Pin<Box<dyn Future<Output = Step> + Send>>),
    /// Taking the feed's frames; the position is that after the last one.
    Following(Follower, Arc<Cursor>),
    /// Everything was said.
    Over,
}

/// What reading by oneself led to.
enum Step {
    Send(Bytes, Box<Reader>),
    Join(Follower, Arc<Cursor>),
    End(Ending),
}

impl Subscriber {
    /// A subscriber at the position of `reader`.
    pub fn new(
        shared: Arc<Streams>,
        hold: Hold,
        reader: Reader,
        feed: Option<(Arc<Feed>, Arc<Selection>)>,
        format: StreamFormat,
        request_id: RequestId,
    ) -> Self {
        let mut position = reader.cursor().clone();
        position.turn = 0;
        let state = State::Opening(format.opening(&position), Box::new(reader));
        let kind = if format == StreamFormat::Sse { StreamKind::Sse } else { StreamKind::Ndjson };
        let open = shared.broker.metrics().stream(kind);
        Self { shared, hold, request_id, format, feed, state, _open: open }
    }

    fn read(&self, reader: Box<Reader>) -> State {
        let (shared, format) = (Arc::clone(&self.shared), self.format);
        State::Reading(match &self.feed {
            Some((feed, _)) => Box::pin(catch_up(shared, reader, Arc::clone(feed), format)),
            None => Box::pin(go_alone(shared, reader, format)),
        })
    }

    /// Back to history, from the position after the last frame.
    fn fall_back(&self, selection: &Arc<Selection>, position: &Cursor) -> State {
        let (shared, format) = (Arc::clone(&self.shared), self.format);
        let request = selection.request(Start::Cursor(position.clone()));
        let feed = self.feed.as_ref().map(|(feed, _)| Arc::clone(feed));
        State::Reading(Box::pin(async move {
            let opened = loop {
                match shared.broker.reader(request.clone()).await {
                    Err(Error::DatabaseUnavailable) if !shared.draining.is_cancelled() => sleep(DATABASE_AWAY).await,
                    opened => break opened,
                }
            };
            match opened {
                Ok(reader) => match feed {
                    Some(feed) => catch_up(shared, Box::new(reader), feed, format).await,
                    None => go_alone(shared, Box::new(reader), format).await,
                },
                Err(error) => Step::End(Ending::Failed(error)),
            }
        }))
    }

    fn end(&mut self, ending: &Ending) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.state = State::Over;
        Poll::Ready(Some(Ok(Frame::data(self.format.ending(ending, self.request_id.as_str())))))
    }
}

impl Body for Subscriber {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        // Between two frames, and whatever it is waiting for.
        if !matches!(this.state, State::Over) && this.hold.poll_ended(cx).is_ready() {
            return this.end(&Ending::Refused(unauthorized()));
        }
        loop {
            match std::mem::replace(&mut this.state, State::Over) {
                State::Opening(bytes, reader) => {
                    this.state = this.read(reader);
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                State::Reading(mut reading) => match reading.as_mut().poll(cx) {
                    Poll::Pending => {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready(Step::Send(bytes, reader)) => {
                        this.state = this.read(reader);
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                    Poll::Ready(Step::Join(follower, position)) => {
                        this.state = State::Following(follower, position);
                    }
                    Poll::Ready(Step::End(ending)) => return this.end(&ending),
                },
                State::Following(mut follower, position) => {
                    let (feed, selection) = this.feed.as_ref().expect("who follows has a feed");
                    match feed.poll_next(&mut follower, cx) {
                        Poll::Pending => {
                            this.state = State::Following(follower, position);
                            return Poll::Pending;
                        }
                        Poll::Ready(Next::Frame(bytes, after)) => {
                            this.state = State::Following(follower, after);
                            return Poll::Ready(Some(Ok(Frame::data(bytes))));
                        }
                        Poll::Ready(Next::Behind) => this.state = this.fall_back(&Arc::clone(selection), &position),
                        Poll::Ready(Next::Ended(ending)) => return this.end(&ending),
                    }
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

/// Reads on until the position is the feed's.
async fn catch_up(shared: Arc<Streams>, mut reader: Box<Reader>, feed: Arc<Feed>, format: StreamFormat) -> Step {
    loop {
        if shared.draining.is_cancelled() {
            return Step::End(Ending::Draining);
        }
        let (head, mut follower) = feed.join();
        if reader.cursor().topics == head.topics {
            return Step::Join(follower, head);
        }
        let mut position = reader.cursor().clone();
        match reader.page(PIECE, Some(&head)).await {
            Ok(page) if page.records > 0 => {
                return Step::Send(format.records(&reader, &page, &mut position), reader);
            }
            // The feed is behind, or one of the two has not yet seen that partitions or topics were added.
            Ok(_) => match reader.refresh().await {
                Ok(true) => {}
                Ok(false) if feed.has_ended() => return Step::Join(follower, head),
                Ok(false) => feed.changed(&mut follower).await,
                Err(Error::DatabaseUnavailable) => return wait(reader, format).await,
                Err(error) => return Step::End(Ending::Failed(error)),
            },
            Err(Error::OffsetExpired { .. }) => return skip(reader, format),
            Err(Error::DatabaseUnavailable) => return wait(reader, format).await,
            Err(error) => return Step::End(Ending::Failed(error)),
        }
    }
}

/// Reads on for ever, woken by the log.
async fn go_alone(shared: Arc<Streams>, mut reader: Box<Reader>, format: StreamFormat) -> Step {
    let (records, pulse) = (Signal::new(), Signal::new());
    reader.wake(&records);
    shared.pulse.add(&pulse);
    loop {
        records.lower();
        if shared.draining.is_cancelled() {
            return Step::End(Ending::Draining);
        }
        match reader.refresh().await {
            Ok(true) => reader.wake(&records),
            Ok(false) => {}
            Err(Error::DatabaseUnavailable) => return wait(reader, format).await,
            Err(error) => return Step::End(Ending::Failed(error)),
        }
        let mut position = reader.cursor().clone();
        match reader.page(PIECE, None).await {
            Ok(page) if page.records > 0 => {
                return Step::Send(format.records(&reader, &page, &mut position), reader);
            }
            Ok(page) if page.full => continue,
            Ok(_) => {}
            Err(Error::OffsetExpired { .. }) => return skip(reader, format),
            Err(Error::DatabaseUnavailable) => return wait(reader, format).await,
            Err(error) => return Step::End(Ending::Failed(error)),
        }
        tokio::select! {
            () = records.raised() => {}
            () = pulse.raised() => {
                // Keys are raised before the high watermark moves: without a signal, all below it is somebody else's.
                let end = reader.end();
                if !records.is_raised() {
                    reader.jump(&end);
                    return Step::Send(format.heartbeat(&end), reader);
                }
            }
        }
    }
}

/// Goes on in a while from where it is: streams stay open while the database is away, with signs of life.
async fn wait(reader: Box<Reader>, format: StreamFormat) -> Step {
    sleep(DATABASE_AWAY).await;
    let mut position = reader.cursor().clone();
    position.turn = 0;
    Step::Send(format.heartbeat(&position), reader)
}

fn skip(mut reader: Box<Reader>, format: StreamFormat) -> Step {
    let gaps = reader.skip_gaps();
    let mut position = reader.cursor().clone();
    position.turn = 0;
    Step::Send(format.gaps(&gaps, &position), reader)
}
