//! Feeds: the live edge of a selection of topics, followed once and rendered once for all who stream it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::broker::error::Error;
use crate::broker::read::ReadRequest;
use crate::broker::read::Start;
use crate::broker::reader::PageLimit;
use crate::broker::reader::Reader;
use crate::http::kit::fanout::Ring;
use crate::http::native::consume::frames::DATABASE_AWAY;
use crate::http::native::consume::frames::Ending;
use crate::http::native::consume::frames::StreamFormat;
use crate::http::native::consume::pulse::Pulse;
use crate::model::cursor::Cursor;
use crate::model::name::TopicName;
use crate::model::position::Position;
use crate::signal::Signal;
use crate::tasks::Tasks;

/// Feeds at once; beyond it, subscribers are served one by one.
const FEEDS_MAX: usize = 4096;

/// Rendered frames of all feeds together, in bytes, shared out evenly when a feed begins.
const RINGS_BYTES_MAX: usize = 64 << 20;

/// What one feed keeps at least and at most.
const RING_BYTES: std::ops::RangeInclusive<usize> = (64 << 10)..=(2 << 20);

/// How much one frame holds: enough to be worth a wake-up, little enough to start sending soon.
const FRAME: PageLimit = PageLimit { records: 2_000, bytes: 256 << 10 };

/// What is followed, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selection {
    /// The topics, sorted by name.
    pub topics: Vec<TopicName>,
    /// Only these partitions, sorted.
    pub partitions: Option<Vec<u32>>,
    /// A topic that does not exist is an empty one.
    pub wait_for_topic: bool,
    /// How it is written.
    pub format: StreamFormat,
}

impl Selection {
    /// The read that begins at `start`.
    pub fn request(&self, start: Start) -> ReadRequest {
        ReadRequest {
            topics: self.topics.clone(),
            partitions: self.partitions.clone(),
            key: None,
            start,
            wait_for_topic: self.wait_for_topic,
        }
    }
}

/// The ring of one selection.
pub type Feed = Ring<Cursor, Ending>;

/// All feeds of this node. A clone is the same feeds.
#[derive(Clone)]
pub struct Feeds {
    inner: Arc<Inner>,
}

struct Inner {
    broker: Broker,
    tasks: Tasks,
    draining: CancellationToken,
    pulse: Pulse,
    open: Mutex<HashMap<Selection, Arc<Feed>>>,
}

impl Feeds {
    /// No feed yet.
    pub fn new(broker: Broker, pulse: Pulse, draining: CancellationToken, tasks: Tasks) -> Self {
        Self { inner: Arc::new(Inner { broker, tasks, draining, pulse, open: Mutex::default() }) }
    }

    fn get(&self, selection: &Selection) -> Option<Arc<Feed>> {
        let open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(selection).filter(|feed| !feed.has_ended()).map(Arc::clone)
    }

    /// The feed of a selection, begun at the live edge if nobody follows it yet; `None` if there are too many.
    ///
    /// # Errors
    /// Those of [`Broker::reader`].
    pub async fn attach(&self, selection: &Selection) -> Result<Option<Arc<Feed>>, Error> {
        if let Some(feed) = self.get(selection) {
            return Ok(Some(feed));
        }
        let reader = self.inner.broker.reader(selection.request(Start::Position(Position::Latest))).await?;
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = open.get(selection).filter(|feed| !feed.has_ended()) {
            return Ok(Some(Arc::clone(feed)));
        }
        if open.len() >= FEEDS_MAX {
            return Ok(None);
        }
        let share = (RINGS_BYTES_MAX / (open.len() + 1)).clamp(*RING_BYTES.start(), *RING_BYTES.end());
        let feed = Arc::new(Feed::new(reader.cursor().clone(), share));
        open.insert(selection.clone(), Arc::clone(&feed));
        drop(open);
        let (feeds, selection) = (self.clone(), selection.clone());
        self.inner.tasks.spawn("feed", {
            let feed = Arc::clone(&feed);
            async move {
                // Whatever ends the follower, those who follow the feed are told.
                let follower = AssertUnwindSafe(feeds.follow(&selection, reader, &feed)).catch_unwind();
                let panicked = || Ending::Failed(Error::Internal("the follower of a feed panicked".to_owned()));
                let ending = follower.await.unwrap_or_else(|_| panicked());
                feeds.close(&selection, &feed);
                feed.end(ending);
            }
        });
        Ok(Some(feed))
    }

    fn close(&self, selection: &Selection, feed: &Arc<Feed>) {
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(selection).is_some_and(|known| Arc::ptr_eq(known, feed)) {
            open.remove(selection);
        }
    }

    /// Takes the feed out of the list if nobody but the list and its follower holds it.
    fn close_if_unused(&self, selection: &Selection, feed: &Arc<Feed>) -> bool {
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever attaches does so under this lock.
        let unused = Arc::strong_count(feed) <= 2;
        if unused {
            open.remove(selection);
        }
        unused
    }

    async fn follow(&self, selection: &Selection, mut reader: Reader, feed: &Arc<Feed>) -> Ending {
        let format = selection.format;
        let (records, pulse) = (Signal::new(), Signal::new());
        reader.wake(&records);
        self.inner.pulse.add(&pulse);
        // The position after the last frame. It never names whose turn it is: what comes next is the feed's choice.
        let mut position = reader.cursor().clone();
        position.turn = 0;
        loop {
            pulse.lower();
            records.lower();
            let mut away = false;
            let page = match reader.refresh().await {
                Ok(grown) => {
                    if grown {
                        reader.wake(&records);
                        position.clone_from(reader.cursor());
                    }
                    reader.page(FRAME, None).await
                }
                Err(error) => Err(error),
            };
            match page {
                Ok(page) if page.records > 0 => {
                    let bytes = format.records(&reader, &page, &mut position);
                    feed.publish(bytes, position.clone());
                    continue;
                }
                Ok(_) => {}
                Err(Error::OffsetExpired { .. }) => {
                    let gaps = reader.skip_gaps();
                    position.clone_from(reader.cursor());
                    position.turn = 0;
                    feed.publish(format.gaps(&gaps, &position), position.clone());
                    continue;
                }
                // Streams stay open, and go on when it is back.
                Err(Error::DatabaseUnavailable) => away = true,
                Err(error) => return Ending::Failed(error),
            }
            if self.inner.draining.is_cancelled() {
                return Ending::Draining;
            }
            tokio::select! {
                () = records.raised(), if !away => {}
                () = tokio::time::sleep(DATABASE_AWAY), if away => {}
                () = pulse.raised() => {
                    if self.close_if_unused(selection, feed) {
                        return Ending::Draining;
                    }
                    feed.publish(format.heartbeat(&position), position.clone());
                }
            }
        }
    }
}
