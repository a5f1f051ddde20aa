//! The logs' handle: append, read, trim. Cheap to clone; all clones are the same logs.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::log::cluster::Cluster;
use crate::log::partition::Partition;
use crate::log::queue::Append;
use crate::log::queue::AppendError;
use crate::log::reader;
use crate::log::reader::ReadError;
use crate::log::shelf::Shelf;
use crate::model::batch::RecordBatch;
use crate::model::batch::Run;
use crate::model::topic::PartitionId;
use crate::model::topic::Topic;
use crate::segments::SegmentCache;
use crate::store::contract::Appended;
use crate::store::contract::LogStore;
use crate::store::contract::Store;
use crate::store::contract::Write;
use crate::store::error::StoreError;
use crate::tasks;

/// What a queued write costs beside its records.
pub(super) const WRITE_OVERHEAD_BYTES: usize = 256;

/// The logs of all partitions. A clone is the same logs.
#[derive(Clone)]
pub struct Logs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    segments: Arc<SegmentCache>,
    shelf: Arc<Shelf>,
    /// To the appender; none once closed.
    inbox: Mutex<Option<mpsc::Sender<Append>>>,
    queue: Arc<Semaphore>,
    queue_bytes: usize,
    /// Where other nodes write to the same logs.
    cluster: Option<Cluster>,
}

impl Logs {
    pub(super) fn new(
        store: Arc<dyn Store>,
        segments: Arc<SegmentCache>,
        shelf: Arc<Shelf>,
        inbox: mpsc::Sender<Append>,
        queue_bytes: usize,
        cluster: Option<Cluster>,
    ) -> Self {
        let inner = Inner {
            store,
            segments,
            shelf,
            inbox: Mutex::new(Some(inbox)),
            queue: Arc::new(Semaphore::new(queue_bytes)),
            queue_bytes,
            cluster,
        };
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    pub(super) fn segments(&self) -> &Arc<SegmentCache> {
        &self.inner.segments
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.inner.shelf
    }

    /// The partition of that number, which the topic must have.
    ///
    /// # Errors
    /// [`ReadError::Gone`] if the topic was deleted.
    pub async fn partition(&self, topic: &Topic, number: u32) -> Result<Arc<Partition>, ReadError> {
        let id = topic.partition(number);
        if let Some(partition) = self.inner.shelf.get(id) {
            return Ok(partition);
        }
        let store = Arc::clone(&self.inner.store);
        let bounds = tasks::run(async move { store.bounds(id).await }).await?.ok_or(ReadError::Gone)?;
        // A database that was put back from an older copy gives offsets anew that the cache holds already.
        let (segments, incarnation, end) = (Arc::clone(&self.inner.segments), topic.incarnation, bounds.high_watermark);
        tasks::blocking(move || segments.forget_beyond(id, incarnation, end)).await;
        Ok(self.inner.shelf.insert(Partition::new(id, topic.incarnation, bounds)))
    }

    /// Waits until everything is known that was committed to these partitions, by any node, before the call.
    ///
    /// # Errors
    /// [`ReadError::Store`].
    pub async fn refresh(&self, partitions: Vec<Arc<Partition>>) -> Result<(), ReadError> {
        match &self.inner.cluster {
            Some(cluster) => Ok(cluster.refresh(partitions).await?),
            // Nobody else writes: what is known is the truth.
            None => Ok(()),
        }
    }

    /// Makes readable what another node says it wrote, if anybody waits for it: the log of a partition, up to `end`.
    ///
    /// # Errors
    /// [`ReadError::Store`].
    pub async fn catch_up(&self, id: PartitionId, end: u64) -> Result<(), ReadError> {
        match &self.inner.cluster {
            Some(cluster) => Ok(cluster.catch_up(id, end).await?),
            None => Ok(()),
        }
    }

    /// Hands runs to the appender; the receipt is ready once they are durable and readable. `partitions` are those of the
    /// runs: they stay in use until then.
    ///
    /// # Errors
    /// At once, and nothing is written: [`AppendError::Overloaded`], [`AppendError::Closed`].
    pub fn append(&self, write: Write, partitions: Vec<Arc<Partition>>) -> Result<Receipt, AppendError> {
        let bytes = write.runs.iter().map(Run::bytes).sum::<usize>() + WRITE_OVERHEAD_BYTES;
        // One write may be larger than the whole budget allows for: it then takes all of it.
        let permits = u32::try_from(bytes.min(self.inner.queue_bytes)).expect("a request is far below 4 GiB");
        let permit = Arc::clone(&self.inner.queue).try_acquire_many_owned(permits);
        let permit = permit.map_err(|_| AppendError::Overloaded)?;
        let (reply, receipt) = oneshot::channel();
        let inbox = self.inbox().ok_or(AppendError::Closed)?;
        inbox.try_send(Append { write, partitions, reply, permit }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AppendError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
        })?;
        Ok(Receipt(receipt))
    }

    fn inbox(&self) -> Option<mpsc::Sender<Append>> {
        self.inner.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Batches from the one that holds `from` on, contiguous, about `bytes_max` bytes but at least one batch; none if
    /// `from` is the high watermark.
    ///
    /// # Errors
    /// [`ReadError::Expired`], [`ReadError::OutOfRange`], [`ReadError::Gone`]; [`ReadError::Store`].
    pub async fn read(
        &self,
        partition: &Arc<Partition>,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<RecordBatch>, ReadError> {
        let store = Arc::clone(&self.inner.store) as Arc<dyn LogStore>;
        reader::read(partition, &store, &self.inner.segments, self.inner.cluster.as_ref(), from, bytes_max).await
    }

    /// Moves the log start of a partition up to `to`, but not past the high watermark; returns where it stands. What
    /// lies below can no longer be read; the space comes back later.
    ///
    /// # Errors
    /// [`ReadError::Gone`], [`ReadError::Store`].
    pub async fn advance_start(&self, partition: &Arc<Partition>, to: u64) -> Result<u64, ReadError> {
        let logs = self.clone();
        let partition = Arc::clone(partition);
        tasks::run(async move {
            let start = logs.inner.store.advance_start(partition.id, to).await?;
            if partition.is_gone() {
                return Err(ReadError::Gone);
            }
            partition.move_start(start);
            let (id, incarnation) = (partition.id, partition.incarnation);
            tasks::blocking(move || logs.inner.segments.forget_below(id, incarnation, start)).await;
            Ok(start)
        })
        .await
    }

    /// Lets go of a topic that the store has deleted: whoever reads it is told.
    pub async fn forget_topic(&self, topic: &Topic) {
        self.inner.shelf.forget_topic(topic.id);
        let (segments, incarnation) = (Arc::clone(&self.inner.segments), topic.incarnation);
        tasks::blocking(move || segments.forget_topic(incarnation)).await;
    }

    /// Takes no more writes. What was accepted is still written and answered.
    pub fn close(&self) {
        self.inner.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The answer to a write, once it is there.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Appended, AppendError>>);

impl Receipt {
    /// Waits for the commit.
    ///
    /// # Errors
    /// [`AppendError::Refused`], [`AppendError::Store`].
    pub async fn committed(self) -> Result<Appended, AppendError> {
        // The appender answers everything it takes, unless it dies with the node: then nobody knows.
        let lost = || AppendError::Store(StoreError::Indefinite("the appender ended".into()));
        self.0.await.unwrap_or_else(|_| Err(lost()))
    }
}
