//! What nodes tell each other: NOTIFY on connections of their own, outside of every transaction that writes, gathered and
//! with nobody waiting for it. A notification is a hint; whoever misses it looks by itself, a little later.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use sqlx::postgres::PgNotification;

use crate::model::batch::RecordBatch;
use crate::model::name::GroupName;
use crate::model::name::TopicName;
use crate::model::topic::PartitionId;
use crate::model::topic::TopicId;
use crate::signal::Signal;
use crate::store::cluster_contract::News;
use crate::store::error::StoreError;
use crate::store::postgres::bounds::reading;
use crate::store::postgres::error::read_error;

/// The channel of all nodes on one database.
const CHANNEL: &str = "tidegate";

/// At most one notification in so long: while one is committed, the server does no other.
const TELL_EVERY: Duration = Duration::from_millis(5);

/// The server takes less than 8,000 bytes at once.
const PAYLOAD_BYTES_MAX: usize = 7_500;

/// How long after a failure telling is tried again; what was to be told then is not told.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// The connections for it, and what is to be told.
#[derive(Debug)]
pub(super) struct Herald {
    /// Two connections: one that listens, one that tells.
    pool: PgPool,
    listener: tokio::sync::Mutex<Option<PgListener>>,
    untold: Mutex<Untold>,
    told: Arc<Signal>,
    /// The server's number for the connection that tells: what comes from it is known here.
    own: AtomicU32,
    /// Notifications sent.
    sent: AtomicU64,
}

/// Each thing once, the latest of it.
#[derive(Debug, Default)]
struct Untold {
    ends: HashMap<PartitionId, u64>,
    topics: HashSet<TopicName>,
    groups: HashSet<GroupName>,
}

impl Herald {
    pub(super) fn new(pool: PgPool) -> Self {
        let (listener, untold) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { pool, listener, untold, told: Signal::new(), own: AtomicU32::new(0), sent: AtomicU64::new(0) }
    }

    pub(super) fn appended(&self, batches: &[RecordBatch]) {
        if !batches.is_empty() {
            self.note(|untold| untold.ends.extend(batches.iter().map(|one| (one.partition, one.next_offset()))));
        }
    }

    pub(super) fn topic(&self, name: TopicName) {
        self.note(|untold| untold.topics.extend([name]));
    }

    pub(super) fn group(&self, name: GroupName) {
        self.note(|untold| untold.groups.extend([name]));
    }

    /// How many notifications were sent since the start.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn note(&self, note: impl FnOnce(&mut Untold)) {
        note(&mut self.untold.lock().unwrap_or_else(PoisonError::into_inner));
        self.told.raise();
    }

    /// Tells the other nodes, for as long as the store is open.
    pub(super) async fn tell_forever(&self) {
        while !self.pool.is_closed() {
            let closed = self.pool.close_event();
            tokio::select! {
                () = self.told.raised() => {}
                () = closed => return,
            }
            self.told.lower();
            let untold = std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner));
            let mut pause = TELL_EVERY;
            for payload in untold.payloads() {
                if let Err(error) = self.tell(&payload).await {
                    tracing::debug!(%error, "other nodes could not be told, and will look by themselves: {error}");
                    pause = TRY_AGAIN;
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Closes the connections. The one that listens may be left here by someone who does not come for more.
    pub(super) async fn close(&self) {
        // Closed from this moment on: whoever listens is told, and nobody begins to.
        let closed = self.pool.close();
        self.listener.lock().await.take();
        closed.await;
    }

    async fn tell(&self, payload: &str) -> Result<(), StoreError> {
        let tell = async {
            let mut connection = self.pool.acquire().await.map_err(read_error)?;
            let own: Option<i32> = sqlx::query_scalar("select pg_backend_pid() from pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(payload)
                .fetch_optional(&mut *connection)
                .await
                .map_err(read_error)?;
            self.sent.fetch_add(1, Ordering::Relaxed);
            self.own.store(own.unwrap_or(0).unsigned_abs(), Ordering::Relaxed);
            Ok(())
        };
        reading(tell).await
    }

    /// Waits for what other nodes tell.
    pub(super) async fn news(&self) -> Result<Vec<News>, StoreError> {
        let mut slot = self.listener.lock().await;
        let mut listener = match slot.take() {
            Some(listener) => listener,
            None => {
                let listen = async {
                    let mut listener = PgListener::connect_with(&self.pool).await.map_err(read_error)?;
                    listener.listen(CHANNEL).await.map_err(read_error)?;
                    Ok(listener)
                };
                reading(listen).await?
            }
        };
        // A listener that failed is dropped with its connection: the next call begins anew.
        let first = listener.recv().await.map_err(read_error)?;
        let mut news = self.read(&first);
        while let Some(next) = listener.next_buffered() {
            news.extend(self.read(&next));
        }
        *slot = Some(listener);
        Ok(news)
    }

    fn read(&self, notification: &PgNotification) -> Vec<News> {
        if notification.process_id() == self.own.load(Ordering::Relaxed) {
            return Vec::new();
        }
        // What a newer version tells that this one does not know is left out: it will look.
        notification.payload().split(';').filter_map(read).collect()
    }
}

impl Untold {
    fn payloads(self) -> Vec<String> {
        let ends = self.ends.into_iter().map(|(id, end)| format!("a {} {} {end}", id.topic.0, id.partition));
        let topics = self.topics.into_iter().map(|name| format!("t {name}"));
        let groups = self.groups.into_iter().map(|name| format!("g {name}"));
        let mut payloads: Vec<String> = Vec::new();
        for item in ends.chain(topics).chain(groups) {
            match payloads.last_mut() {
                Some(payload) if payload.len() + item.len() < PAYLOAD_BYTES_MAX => {
                    payload.push(';');
                    payload.push_str(&item);
                }
                _ => payloads.push(item),
            }
        }
        payloads
    }
}

/// One item of a payload.
fn read(item: &str) -> Option<News> {
    let mut words = item.split(' ');
    let news = match words.next()? {
        "a" => {
            let topic = TopicId(words.next()?.parse().ok()?);
            let partition = words.next()?.parse().ok()?;
            News::Appended(PartitionId { topic, partition }, words.next()?.parse().ok()?)
        }
        "t" => News::Topic(words.next()?.parse().ok()?),
        "g" => News::Group(words.next()?.parse().ok()?),
        _ => return None,
    };
    words.next().is_none().then_some(news)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_again() {
        let mut untold = Untold::default();
        let partition = |partition| PartitionId { topic: TopicId(7), partition };
        untold.ends.extend((0..2_000).map(|number| (partition(number), u64::from(number) + (1 << 50))));
        untold.topics.insert("clicks".parse().expect("a name"));
        untold.groups.insert("a.b-c_".parse().expect("a name"));
        let payloads = untold.payloads();
        assert!(payloads.len() > 1 && payloads.iter().all(|payload| payload.len() < 8_000));
        let news: Vec<News> = payloads.iter().flat_map(|payload| payload.split(';')).filter_map(read).collect();
        assert_eq!(news.len(), 2_002);
        assert!(news.contains(&News::Appended(partition(1_999), 1_999 + (1 << 50))));
        assert!(news.contains(&News::Topic("clicks".parse().expect("a name"))));
        assert!(news.contains(&News::Group("a.b-c_".parse().expect("a name"))));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        for item in ["", "a", "a 1 2", "a 1 2 3 4", "a x 2 3", "t", "t a b", "t ../x", "z 1"] {
            assert_eq!(read(item), None, "{item}");
        }
    }
}
