//! A reader over the partitions of one or several topics: a position that moves, and pages of what lies behind it.
//!
//! One-shot reads, long polls, dumps, streams and the feeds that many streams share are all this reader; they differ
//! in when they ask for the next page.

use std::sync::Arc;

use crate::broker::error::Error;
use crate::broker::error::Unreadable;
use crate::broker::handle::Broker;
use crate::broker::partitioner::partition_of_key;
use crate::log::ReadError;
use crate::log::partition::Partition;
use crate::model::batch::RecordBatch;
use crate::model::codec::RecordRef;
use crate::model::cursor::Cursor;
use crate::model::cursor::Identity;
use crate::model::cursor::Next;
use crate::model::name::TopicName;
use crate::model::topic::Topic;
use crate::signal::Signal;

/// Bytes asked of the log at once. A page of many small reads would pay for each.
const READ_BYTES: usize = 1 << 20;

/// How much a page holds at most. At least one record is in it, however large, if there is one.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// Records.
    pub records: usize,
    /// Bytes of keys, headers and values; in a search by key, of what is looked through.
    pub bytes: usize,
}

/// Consecutive records of one partition.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The topic, as an index into [`Reader::topics`].
    pub topic: usize,
    /// The partition, as an index into the topic's partitions in the reader's cursor.
    pub place: usize,
    /// Where the records lie.
    pub batch: RecordBatch,
    /// The first.
    pub from: u64,
    /// One past the last.
    pub to: u64,
}

/// A stretch of records that retention had dropped before they were read.
pub type Gap = Unreadable;

/// What one step of reading gave.
#[derive(Debug, Default)]
pub struct Page {
    /// In the order to hand out.
    pub slices: Vec<Slice>,
    /// Records in it.
    pub records: usize,
    /// The limit was reached: there may be more. A search by key may be full without a record.
    pub full: bool,
}

/// A topic that is read. `None` as long as it does not exist.
#[derive(Debug, Clone)]
pub struct ReadTopic {
    /// Its name.
    pub name: TopicName,
    /// The topic.
    pub topic: Option<Topic>,
}

/// A position over partitions, and the partitions.
#[derive(Clone)]
pub struct Reader {
    broker: Broker,
    topics: Vec<ReadTopic>,
    /// In step with the partitions of `cursor`, topic by topic.
    partitions: Vec<Vec<Arc<Partition>>>,
    cursor: Cursor,
    choice: Choice,
}

/// What of its topics a reader reads.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only these partitions, in order; others never join.
    pub partitions: Option<Arc<[u32]>>,
    /// Only records with this key. Without `partitions`, those are read that the key hashes to.
    pub key: Option<Arc<[u8]>>,
}

impl Choice {
    /// The partitions of a topic to read: those named, those of the key (also by the counts the topic had before it
    /// grew), or all.
    pub(super) fn of(&self, topic: &Topic) -> Vec<u32> {
        let count = topic.config.partition_count;
        match (&self.partitions, &self.key) {
            (Some(named), _) => named.to_vec(),
            (None, None) => (0..count).collect(),
            (None, Some(key)) => {
                let counts = topic.former_partition_counts.iter().chain([&count]);
                let mut partitions: Vec<u32> = counts.map(|count| partition_of_key(key, *count)).collect();
                partitions.sort_unstable();
                partitions.dedup();
                partitions
            }
        }
    }

    /// Whether a cursor has to list its partitions, because they are not simply all.
    pub(super) fn is_listed(&self) -> bool {
        self.partitions.is_some() || self.key.is_some()
    }
}

impl Reader {
    /// A reader of `topics` (sorted by name) at a position given per partition.
    pub(super) async fn new(
        broker: Broker,
        topics: Vec<ReadTopic>,
        positions: Vec<Vec<Next>>,
        turn: usize,
        choice: Choice,
    ) -> Result<Self, Error> {
        let found: usize = positions.iter().map(Vec::len).sum();
        let limit = broker.limits().read_partitions;
        if found > limit || topics.len() > limit {
            return Err(Error::TooManyPartitions { limit, found: found.max(topics.len()) });
        }
        let mut partitions = Vec::with_capacity(topics.len());
        for (read, positions) in topics.iter().zip(&positions) {
            let mut of_topic = Vec::with_capacity(positions.len());
            if let Some(topic) = &read.topic {
                for next in positions {
                    of_topic.push(broker.partition(topic, next.partition).await?);
                }
            }
            partitions.push(of_topic);
        }
        let cursor = cursor_of(&topics, positions, choice.is_listed(), turn);
        Ok(Self { broker, topics, partitions, cursor, choice })
    }

    /// The topics, sorted by name.
    pub fn topics(&self) -> &[ReadTopic] {
        &self.topics
    }

    /// The position: what was handed out lies before it.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The partitions that were named, if any were.
    pub fn partitions(&self) -> Option<&[u32]> {
        self.choice.partitions.as_deref()
    }

    /// The records of a slice that this reader hands out.
    pub fn records<'a>(&'a self, slice: &'a Slice) -> impl Iterator<Item = RecordRef<'a>> {
        let mut records = slice.batch.records();
        // The batch was checked when it was made or read: damage cannot appear in memory.
        let sound = records.skip_to(slice.from).is_ok();
        records
            .take_while(move |record| sound && record.as_ref().is_ok_and(|record| record.offset < slice.to))
            .flatten()
            .filter(|record| self.choice.key.is_none() || record.key == self.choice.key.as_deref())
    }

    fn each(&self) -> impl Iterator<Item = (usize, usize, &Arc<Partition>, u64)> {
        self.partitions.iter().zip(&self.cursor.topics).enumerate().flat_map(|(t, (partitions, positions))| {
            let places = partitions.iter().zip(&positions.partitions).enumerate();
            places.map(move |(p, (partition, next))| (t, p, partition, next.offset))
        })
    }

    /// Whether every record that is committed has been handed out.
    pub fn at_tail(&self) -> bool {
        self.each().all(|(_, _, partition, next)| next >= partition.high_watermark())
    }

    /// Records between the position and the high watermarks.
    pub fn lag(&self) -> u64 {
        self.each().map(|(_, _, partition, next)| partition.high_watermark().saturating_sub(next)).sum()
    }

    /// The high watermarks as they stand, as a position.
    pub fn end(&self) -> Cursor {
        let mut end = self.cursor.clone();
        end.turn = 0;
        for (t, p, partition, next) in self.each() {
            end.topics[t].partitions[p].offset = partition.high_watermark().max(next);
        }
        end
    }

    /// Moves to a position further on, which [`Reader::end`] gave.
    pub fn jump(&mut self, to: &Cursor) {
        self.cursor.clone_from(to);
    }

    /// Raises `signal` when there may be something new: records, partitions, a topic, an end.
    pub fn wake(&self, signal: &Arc<Signal>) {
        for read in &self.topics {
            self.broker.catalog().wake_on_change(&read.name, signal);
        }
        self.wake_on_partitions(signal);
    }

    fn wake_on_partitions(&self, signal: &Arc<Signal>) {
        for partition in self.partitions.iter().flatten() {
            match &self.choice.key {
                Some(key) => partition.wake_on_key(key, signal),
                None => partition.wake_on_records(signal),
            }
        }
    }

    /// Takes in topics that have come into being and partitions that were added. True if there were any; they want a
    /// new [`Reader::wake`].
    ///
    /// # Errors
    /// [`Error::UnknownTopic`] or [`Error::TopicRecreated`] if a topic that was read is gone,
    /// [`Error::TooManyPartitions`] if they are too many by now.
    pub async fn refresh(&mut self) -> Result<bool, Error> {
        let mut topics = Vec::with_capacity(self.topics.len());
        let mut grown = false;
        for read in &self.topics {
            let known = self.broker.catalog().find(&read.name).await?.map(|known| known.topic.clone());
            if let Some(before) = &read.topic
                && known.as_ref().is_none_or(|now| now.id != before.id)
            {
                return Err(self.recreated_or_gone().await);
            }
            let count = |topic: &Option<Topic>| topic.as_ref().map_or(0, |topic| topic.config.partition_count);
            grown |= count(&known) > count(&read.topic);
            topics.push(ReadTopic { name: read.name.clone(), topic: known });
        }
        if !grown {
            return Ok(false);
        }
        let mut positions = Vec::with_capacity(topics.len());
        for (read, before) in topics.iter().zip(&self.cursor.topics) {
            let wanted = read.topic.as_ref().map(|topic| self.choice.of(topic)).unwrap_or_default();
            positions.push(join(&before.partitions, wanted));
        }
        let (broker, choice) = (self.broker.clone(), self.choice.clone());
        *self = Self::new(broker, topics, positions, usize::from(self.cursor.turn), choice).await?;
        Ok(true)
    }

    /// Reads on: at most `limit`, and not past `end` where one is given. An empty page means that the position is at
    /// the end.
    ///
    /// # Errors
    /// [`Error::OffsetExpired`] if retention has passed a position ([`Reader::skip_gaps`] goes on behind it),
    /// [`Error::OffsetOutOfRange`], [`Error::UnknownTopic`], [`Error::TopicRecreated`]; errors of the store.
    pub async fn page(&mut self, limit: PageLimit, end: Option<&Cursor>) -> Result<Page, Error> {
        self.check_positions()?;
        let places: Vec<(usize, usize)> = self.each().map(|(t, p, _, _)| (t, p)).collect();
        let first = usize::from(self.cursor.turn) % places.len().max(1);
        let mut page = Page::default();
        let mut left = limit;
        for step in 0..places.len() {
            if left.records == 0 || left.bytes == 0 {
                break;
            }
            let (t, p) = places[(first + step) % places.len()];
            let end = end.and_then(|end| end.topics.get(t)?.partitions.get(p)).map_or(u64::MAX, |next| next.offset);
            match self.read_partition(t, p, end, &mut left, &mut page).await {
                Ok(()) => {}
                // What was found so far is handed out; the next call meets the error again.
                Err(_) if !page.slices.is_empty() => break,
                Err(Error::OffsetExpired { .. }) => return self.check_positions().map(|()| page),
                Err(Error::UnknownTopic(_)) => return Err(self.recreated_or_gone().await),
                Err(error) => return Err(error),
            }
            // Whoever is served now is last next time.
            self.cursor.turn = ((first + step + 1) % places.len()) as u8;
        }
        page.full = left.records == 0 || left.bytes == 0;
        if self.at_tail() {
            self.cursor.turn = 0;
        }
        Ok(page)
    }

    async fn read_partition(
        &mut self,
        t: usize,
        p: usize,
        end: u64,
        left: &mut PageLimit,
        page: &mut Page,
    ) -> Result<(), Error> {
        let partition = Arc::clone(&self.partitions[t][p]);
        loop {
            let next = self.cursor.topics[t].partitions[p].offset;
            if next >= end || left.records == 0 || left.bytes == 0 {
                return Ok(());
            }
            let asked = if left.records == 1 { 1 } else { left.bytes.min(READ_BYTES) };
            let batches = match self.broker.logs().read(&partition, next, asked).await {
                Ok(batches) if batches.is_empty() => return Ok(()),
                Ok(batches) => batches,
                Err(ReadError::Expired | ReadError::OutOfRange) => return self.check_positions(),
                Err(error) => return Err(Error::from_read(error, &self.topics[t].name)),
            };
            for batch in batches {
                let from = self.cursor.topics[t].partitions[p].offset;
                if from >= end || left.records == 0 || left.bytes == 0 {
                    return Ok(());
                }
                let (slice, found) = self.cut((t, p), batch, end, page.slices.is_empty(), left);
                self.cursor.topics[t].partitions[p].offset = slice.to;
                if found > 0 {
                    page.records += found;
                    page.slices.push(slice);
                }
            }
        }
    }

    /// The part of a batch that fits, and how many of its records are handed out. The first record of a page always
    /// fits.
    fn cut(
        &self,
        (topic, place): (usize, usize),
        batch: RecordBatch,
        end: u64,
        first: bool,
        left: &mut PageLimit,
    ) -> (Slice, usize) {
        let from = self.cursor.topics[topic].partitions[place].offset;
        let end = end.min(batch.next_offset());
        let mut slice = Slice { topic, place, batch, from, to: end };
        let count = usize::try_from(end - from).unwrap_or(usize::MAX);
        if self.choice.key.is_none() && count <= left.records && slice.batch.bytes().len() <= left.bytes {
            left.records -= count;
            left.bytes -= slice.batch.bytes().len();
            return (slice, count);
        }
        let mut records = slice.batch.records();
        let sound = records.skip_to(from).is_ok();
        let (mut found, mut to) = (0, from);
        for record in records.flatten().take_while(|record| sound && record.offset < end) {
            let matches = self.choice.key.is_none() || record.key == self.choice.key.as_deref();
            let fits = record.encoded_bytes <= left.bytes || (first && to == from);
            if !fits {
                left.bytes = 0;
                break;
            }
            to = record.offset + 1;
            left.bytes = left.bytes.saturating_sub(record.encoded_bytes);
            if matches {
                found += 1;
                left.records -= 1;
                if left.records == 0 {
                    break;
                }
            }
        }
        slice.to = to;
        (slice, found)
    }

    /// Whether every position can be read.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`], [`Error::OffsetExpired`], each with all positions concerned.
    pub fn check_positions(&self) -> Result<(), Error> {
        let beyond: Vec<Unreadable> = self
            .each()
            .filter(|(_, _, partition, next)| *next > partition.high_watermark())
            .map(|(t, _, partition, next)| Broker::unreadable(&self.topics[t].name, partition, next))
            .collect();
        if !beyond.is_empty() {
            return Err(Error::OffsetOutOfRange(beyond));
        }
        let (partitions, cursor) = self.behind_gaps();
        if partitions.is_empty() {
            return Ok(());
        }
        Err(Error::OffsetExpired { partitions, cursor: Some(cursor.to_string()) })
    }

    /// Moves behind what retention has dropped, and says what that was.
    pub fn skip_gaps(&mut self) -> Vec<Gap> {
        let (gaps, cursor) = self.behind_gaps();
        self.cursor = cursor;
        gaps
    }

    /// The stretches that retention has dropped before they were read, and the position behind them.
    fn behind_gaps(&self) -> (Vec<Gap>, Cursor) {
        let mut cursor = self.cursor.clone();
        let mut gaps = Vec::new();
        for (t, p, partition, next) in self.each() {
            if next < partition.log_start_offset() {
                gaps.push(Broker::unreadable(&self.topics[t].name, partition, next));
                cursor.topics[t].partitions[p].offset = partition.log_start_offset();
            }
        }
        (gaps, cursor)
    }

    /// What to say of a topic that was deleted under this reader.
    async fn recreated_or_gone(&self) -> Error {
        self.broker.recreated(&self.topics, &self.cursor).await
    }
}

/// The positions of `before`, and those of `wanted` that are not among them from their first record on.
pub(super) fn join(before: &[Next], wanted: Vec<u32>) -> Vec<Next> {
    let mut positions = before.to_vec();
    for partition in wanted {
        if !before.iter().any(|next| next.partition == partition) {
            positions.push(Next { partition, offset: 0 });
        }
    }
    positions.sort_unstable_by_key(|next| next.partition);
    positions
}

/// A position in topics as a cursor.
pub(super) fn cursor_of(topics: &[ReadTopic], positions: Vec<Vec<Next>>, listed: bool, turn: usize) -> Cursor {
    let identity = |read: &ReadTopic| read.topic.as_ref().map(|topic| topic.incarnation);
    let entries = topics
        .iter()
        .zip(positions)
        .map(|(read, positions)| (Identity { name: &read.name, incarnation: identity(read) }, positions));
    Cursor::new(entries, listed, turn)
}
