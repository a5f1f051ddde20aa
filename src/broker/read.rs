//! Opening readers, waiting for records, and looking at a single one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::error::Error;
use crate::broker::error::Unreadable;
use crate::broker::handle::Broker;
use crate::broker::reader::Choice;
use crate::broker::reader::Page;
use crate::broker::reader::PageLimit;
use crate::broker::reader::ReadTopic;
use crate::broker::reader::Reader;
use crate::broker::reader::cursor_of;
use crate::broker::reader::join;
use crate::model::batch::RecordBatch;
use crate::model::cursor::Cursor;
use crate::model::cursor::CursorError;
use crate::model::cursor::Identity;
use crate::model::cursor::Next;
use crate::model::name::TopicName;
use crate::model::position::Position;
use crate::model::topic::Topic;
use crate::signal::Signal;

/// Where a read begins.
#[derive(Debug, Clone)]
pub enum Start {
    /// In every partition at this position.
    Position(Position),
    /// Where another read stopped.
    Cursor(Cursor),
    /// At this offset of the one partition that is read.
    Offset(u64),
}

/// What to read.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// The topics.
    pub topics: Vec<TopicName>,
    /// Only these partitions (of the one topic), if any are named.
    pub partitions: Option<Vec<u32>>,
    /// Only records with this key.
    pub key: Option<Vec<u8>>,
    /// Where to begin.
    pub start: Start,
    /// A topic that does not exist is an empty one.
    pub wait_for_topic: bool,
}

impl Broker {
    /// Opens a reader.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`], [`Error::TooManyPartitions`], [`Error::InvalidCursor`],
    /// [`Error::TopicRecreated`]. A position that cannot be read is told by the first page.
    pub async fn reader(&self, request: ReadRequest) -> Result<Reader, Error> {
        let ReadRequest { mut topics, partitions, key, start, wait_for_topic } = request;
        topics.sort_unstable();
        topics.dedup();
        let mut read = Vec::with_capacity(topics.len());
        for name in topics {
            let topic = self.catalog().find(&name).await?.map(|known| known.topic.clone());
            if topic.is_none() && !wait_for_topic {
                return Err(Error::UnknownTopic(name));
            }
            read.push(ReadTopic { name, topic });
        }
        let sorted = |mut named: Vec<u32>| {
            named.sort_unstable();
            named.dedup();
            Arc::from(named)
        };
        let mut choice = Choice { partitions: partitions.map(sorted), key: key.map(Arc::from) };
        self.refresh_all(&read, &choice).await?;
        let (positions, turn) = match start {
            Start::Cursor(cursor) => (self.go_on(&read, &mut choice, &cursor).await?, usize::from(cursor.turn)),
            Start::Position(position) => (self.begin(&read, &choice, position).await?, 0),
            Start::Offset(offset) => {
                let at = |topic| choice.of(topic).into_iter().map(|partition| Next { partition, offset }).collect();
                (read.iter().map(|read| read.topic.as_ref().map(at).unwrap_or_default()).collect(), 0)
            }
        };
        Reader::new(self.clone(), read, positions, turn, choice).await
    }

    /// Everything that any node committed before this read came is seen by it.
    async fn refresh_all(&self, topics: &[ReadTopic], choice: &Choice) -> Result<(), Error> {
        if !self.store().is_shared() {
            return Ok(());
        }
        let mut partitions = Vec::new();
        for topic in topics.iter().flat_map(|read| &read.topic) {
            for number in choice.of(topic).into_iter().take(self.limits().read_partitions) {
                partitions.push(self.partition(topic, number).await?);
            }
        }
        let first = topics.first().map(|read| read.name.clone());
        match first {
            Some(name) => self.refresh(&name, partitions).await,
            None => Ok(()),
        }
    }

    async fn begin(&self, topics: &[ReadTopic], choice: &Choice, position: Position) -> Result<Vec<Vec<Next>>, Error> {
        let count = topics.iter().flat_map(|read| &read.topic).map(|topic| choice.of(topic).len()).sum();
        let limit = self.limits().read_partitions;
        if count > limit {
            return Err(Error::TooManyPartitions { limit, found: count });
        }
        let mut positions = Vec::with_capacity(topics.len());
        for read in topics {
            let mut of_topic = Vec::new();
            if let Some(topic) = &read.topic {
                for number in choice.of(topic) {
                    let partition = self.partition(topic, number).await?;
                    let offset = self.resolve(&read.name, &partition, position).await?;
                    of_topic.push(Next { partition: number, offset });
                }
            }
            positions.push(of_topic);
        }
        Ok(positions)
    }

    /// The positions of a cursor in `topics`. A cursor of named partitions goes on with those if none are named now.
    async fn go_on(&self, topics: &[ReadTopic], choice: &mut Choice, cursor: &Cursor) -> Result<Vec<Vec<Next>>, Error> {
        let identities = topics
            .iter()
            .map(|read| Identity { name: &read.name, incarnation: read.topic.as_ref().map(|t| t.incarnation) });
        match cursor.check(identities) {
            Ok(()) => {}
            Err(CursorError::Recreated(_)) => return Err(self.recreated(topics, cursor).await),
            Err(error) => return Err(Error::InvalidCursor(error.to_string())),
        }
        let numbers = |positions: &[Next]| positions.iter().map(|next| next.partition).collect::<Vec<u32>>();
        if cursor.listed && choice.partitions.is_none() && choice.key.is_none() {
            choice.partitions = cursor.topics.first().map(|position| numbers(&position.partitions).into());
        }
        let mut positions = Vec::with_capacity(topics.len());
        for (read, then) in topics.iter().zip(&cursor.topics) {
            let wanted = read.topic.as_ref().map(|topic| choice.of(topic)).unwrap_or_default();
            let was = numbers(&then.partitions);
            let fits = match &choice.partitions {
                // A cursor over all partitions has those that are named now, too.
                _ if !cursor.listed || was.is_empty() => true,
                Some(_) => was == wanted,
                // By key: partitions that it hashes to since the topic grew may be missing.
                None => was.iter().all(|partition| wanted.contains(partition)),
            };
            if !fits {
                return Err(Error::InvalidCursor(format!(
                    "this cursor was made for partitions {was:?} and the read is of {wanted:?}: \
                     repeat the `partition` and `key` of the read that gave it"
                )));
            }
            let before: Vec<Next> =
                then.partitions.iter().filter(|next| wanted.contains(&next.partition)).copied().collect();
            positions.push(join(&before, wanted));
        }
        Ok(positions)
    }

    /// What to say of a position in topics one of which was deleted: it is unknown, or the way on in the new one.
    pub(super) async fn recreated(&self, then: &[ReadTopic], cursor: &Cursor) -> Error {
        match self.way_on(then, cursor).await {
            Ok(error) | Err(error) => error,
        }
    }

    async fn way_on(&self, then: &[ReadTopic], cursor: &Cursor) -> Result<Error, Error> {
        let mut topics = Vec::with_capacity(then.len());
        let mut positions = Vec::with_capacity(then.len());
        let mut changed = None;
        for (read, before) in then.iter().zip(&cursor.topics) {
            let topic = self.known(&read.name).await?.topic.clone();
            let same = before.partitions.is_empty() || before.may_be_of(topic.incarnation);
            if same && (then.len() > 1 || before.partitions.is_empty()) {
                positions.push(before.partitions.clone());
            } else {
                let kept = if cursor.listed {
                    before.partitions.iter().map(|next| next.partition).collect()
                } else {
                    (0..topic.config.partition_count).collect::<Vec<u32>>()
                };
                let kept = kept.into_iter().filter(|partition| *partition < topic.config.partition_count);
                let mut lost: Vec<Unreadable> = Vec::new();
                let mut anew = Vec::new();
                for number in kept {
                    let partition = self.partition(&topic, number).await?;
                    anew.push(Next { partition: number, offset: partition.log_start_offset() });
                    if let Some(next) = before.partitions.iter().find(|next| next.partition == number) {
                        lost.push(Self::unreadable(&read.name, &partition, next.offset));
                    }
                }
                changed.get_or_insert((read.name.clone(), lost));
                positions.push(anew);
            }
            topics.push(ReadTopic { name: read.name.clone(), topic: Some(topic) });
        }
        let Some((topic, partitions)) = changed else {
            return Ok(Error::InvalidCursor("the topics of this cursor are no more: begin with `from`".to_owned()));
        };
        let cursor = cursor_of(&topics, positions, cursor.listed, 0);
        Ok(Error::TopicRecreated { topic, partitions, cursor: cursor.to_string() })
    }

    /// The batch that holds one record.
    ///
    /// # Errors
    /// [`Error::OffsetExpired`] below the log start, [`Error::UnknownOffset`] where nothing is yet;
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`].
    pub async fn record(&self, name: &TopicName, partition: u32, offset: u64) -> Result<(Topic, RecordBatch), Error> {
        let start = Start::Offset(offset);
        let (topics, partitions) = (vec![name.clone()], Some(vec![partition]));
        let mut reader =
            self.reader(ReadRequest { topics, partitions, key: None, start, wait_for_topic: false }).await?;
        let nothing_yet = |mut found: Vec<Unreadable>| match found.pop() {
            Some(unreadable) => Error::UnknownOffset(unreadable),
            None => Error::UnknownTopic(name.clone()),
        };
        let page = match reader.page(PageLimit { records: 1, bytes: 1 }, None).await {
            Ok(page) => page,
            Err(Error::OffsetOutOfRange(found)) => return Err(nothing_yet(found)),
            Err(error) => return Err(error),
        };
        let topic = self.topic(name).await?;
        match page.slices.into_iter().next() {
            Some(slice) => Ok((topic, slice.batch)),
            None => {
                let partition = self.partition(&topic, partition).await?;
                Err(nothing_yet(vec![Self::unreadable(name, &partition, offset)]))
            }
        }
    }
}

/// The next page, as soon as there is one record in it; an empty one after `wait`, or when `cut_short` is ready.
///
/// # Errors
/// Those of [`Reader::page`] and [`Reader::refresh`].
pub async fn poll(
    reader: &mut Reader,
    limit: PageLimit,
    wait: Duration,
    cut_short: impl Future<Output = ()>,
) -> Result<Page, Error> {
    let page = reader.page(limit, None).await?;
    if page.records > 0 || page.full || wait.is_zero() {
        return Ok(page);
    }
    let signal = Signal::new();
    reader.wake(&signal);
    // Only the waiting is cut short, never a read: what a page has taken must be handed out.
    let over = async {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = cut_short => {}
        }
    };
    let mut over = std::pin::pin!(over);
    loop {
        // Registered, then looked, then waited: what is committed in between raises the signal.
        signal.lower();
        if reader.refresh().await? {
            reader.wake(&signal);
        }
        let page = reader.page(limit, None).await?;
        if page.records > 0 || page.full {
            return Ok(page);
        }
        tokio::select! {
            () = signal.raised() => {}
            () = &mut over => return Ok(page),
        }
    }
}
