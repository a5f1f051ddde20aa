//! Produce: which topic, which partition, one atomic write.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::broker::catalog::KnownTopic;
use crate::broker::error::Error;
use crate::broker::handle::Broker;
use crate::broker::partitioner::Turns;
use crate::broker::partitioner::partition_of_key;
use crate::broker::topics::TopicSettings;
use crate::log::AppendError;
use crate::log::Receipt;
use crate::model::batch::Run;
use crate::model::codec::put_varint;
use crate::model::codec::take_varint;
use crate::model::name::TopicName;
use crate::model::record::NewRecord;
use crate::model::time;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::model::topic::Topic;
use crate::model::topic::TopicId;
use crate::store::contract::Idempotency;
use crate::store::contract::Refused;
use crate::store::contract::Write;
use crate::telemetry::metrics::Metrics;

/// Bytes a record takes beside its key and value, as a hint for allocation.
const RECORD_BYTES_HINT: usize = 48;

/// One request to write records: all of them, or none.
#[derive(Debug)]
pub struct Produce<'a> {
    /// The topics it writes to; records name theirs by index.
    pub topics: Vec<TopicName>,
    /// The records, in order; at least one.
    pub records: Vec<NewRecord<'a>>,
    /// Whether a topic that does not exist is made.
    pub create: bool,
    /// Makes the request repeatable.
    pub idempotency: Option<ProduceKey>,
}

impl Produce<'_> {
    /// Whether a record names a partition of its `topic`-th topic that this many do not hold.
    fn names_beyond(&self, topic: usize, partition_count: u32) -> bool {
        let of_it = self.records.iter().filter(|record| record.topic == topic);
        of_it.filter_map(|record| record.partition).any(|partition| partition >= partition_count)
    }
}

/// An idempotency key with what must be equal in a retry, both as digests.
#[derive(Debug, Clone, Copy)]
pub struct ProduceKey {
    /// Of caller, method, path and key.
    pub digest: [u8; 32],
    /// Of query, content type, record headers and body.
    pub fingerprint: [u8; 32],
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The topic, as an index into the request's.
    pub topic: usize,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
    /// The timestamp it got.
    pub timestamp: Millis,
}

/// A request that is in the log.
#[derive(Debug)]
pub struct Produced {
    /// One per record, in the order sent.
    pub records: Vec<Placed>,
    /// Topics that this request made.
    pub created: Vec<TopicName>,
    /// The request had been written before, under its idempotency key.
    pub replayed: bool,
}

/// A request on its way to the log.
#[derive(Debug)]
pub struct Pending {
    began: Instant,
    metrics: Arc<Metrics>,
    topics: Vec<Topic>,
    created: Vec<TopicName>,
    plan: Plan,
    receipt: Receipt,
}

/// How often a produce is tried that meets topics as they are deleted.
const DELETIONS_MAX: usize = 16;

impl Broker {
    /// Writes the records of one request and waits until they are durable and readable.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`], [`Error::QuotaExceeded`], [`Error::IdempotencyKeyReused`],
    /// [`Error::Overloaded`], [`Error::Draining`], [`Error::StorageFull`], [`Error::DatabaseUnavailable`]: nothing was
    /// written. [`Error::OutcomeUnknown`]: nobody knows.
    pub async fn produce(&self, request: &Produce<'_>) -> Result<Produced, Error> {
        for _ in 0..DELETIONS_MAX {
            match self.submit(request).await?.committed().await {
                // Another node deleted it. By now there may be a new one; if not, the next turn knows that it is gone.
                Err(Error::UnknownTopic(name)) if self.store().is_shared() => self.reload_topic(&name).await?,
                // It was deleted between the look and the commit. Who may make topics gets a new one.
                Err(Error::UnknownTopic(_)) if request.create && self.options().auto_create_topics => {}
                outcome => return outcome,
            }
        }
        Err(Error::Overloaded)
    }

    /// The same without waiting: the request has its place in the queue, and is written unless the node dies first.
    ///
    /// # Errors
    /// As [`Broker::produce`], as far as they are known before the commit.
    pub async fn submit(&self, request: &Produce<'_>) -> Result<Pending, Error> {
        let (known, created) = self.topics_to_write(request).await?;
        let now = time::now();
        let mut places = Places::new(&known, &request.records);
        let mut plan = Plan { now, runs: Vec::new(), records: Vec::with_capacity(request.records.len()) };
        let mut runs = Runs::default();
        for record in &request.records {
            let topic = &known[record.topic].topic;
            let partition = places.partition(record)?;
            let run = runs.of(topic.id, partition, record);
            let timestamp = record.timestamp.unwrap_or(now);
            plan.records.push(PlannedRecord { run, timestamp });
            runs.list[run].push(record, timestamp);
        }
        let mut partitions = Vec::with_capacity(runs.list.len());
        for (topic, partition) in &runs.places {
            partitions.push(self.partition(&known[*topic].topic, *partition).await?);
        }
        plan.runs = runs.places;
        let idempotency = request.idempotency.map(|key| Idempotency {
            digest: key.digest,
            fingerprint: key.fingerprint,
            receipt: plan.encode(),
        });
        let topics: Vec<Topic> = known.iter().map(|known| known.topic.clone()).collect();
        let appended = self.logs().append(Write { runs: runs.list, idempotency }, partitions);
        let receipt = appended.map_err(|error| Error::from_append(error, &topics))?;
        let (began, metrics) = (Instant::now(), Arc::clone(self.metrics()));
        Ok(Pending { began, metrics, topics, created, plan, receipt })
    }

    /// The topics of a request; those that are missing are made only once it is clear that none is missing for good.
    async fn topics_to_write(&self, request: &Produce<'_>) -> Result<(Vec<Arc<KnownTopic>>, Vec<TopicName>), Error> {
        let create = request.create && self.options().auto_create_topics;
        let mut known = Vec::with_capacity(request.topics.len());
        for (index, name) in request.topics.iter().enumerate() {
            let mut found = self.catalog().find(name).await?;
            let is_beyond = |known: &Arc<KnownTopic>| request.names_beyond(index, known.topic.config.partition_count);
            if self.store().is_shared() && found.as_ref().is_some_and(is_beyond) {
                // Before a partition is denied the database is asked: another node may just have added it.
                self.reload_topic(name).await?;
                found = self.catalog().find(name).await?;
            }
            if found.is_none() && !create {
                return Err(Error::UnknownTopic(name.clone()));
            }
            known.push(found);
        }
        let mut created = Vec::new();
        let mut topics = Vec::with_capacity(known.len());
        for (found, name) in known.into_iter().zip(&request.topics) {
            topics.push(match found {
                Some(topic) => topic,
                None => {
                    let (_, new) = self.create_topic(name, TopicSettings::default()).await?;
                    if new {
                        created.push(name.clone());
                    }
                    self.known(name).await?
                }
            });
        }
        Ok((topics, created))
    }
}

impl Pending {
    /// Topics that this request made.
    pub fn created(&self) -> &[TopicName] {
        &self.created
    }

    /// Waits for the commit.
    ///
    /// # Errors
    /// As [`Broker::produce`].
    pub async fn committed(self) -> Result<Produced, Error> {
        match self.receipt.committed().await {
            Ok(appended) => {
                self.metrics.produce.duration.observe(self.began.elapsed());
                let records = self.plan.place(&appended.base_offsets);
                Ok(Produced { records, created: self.created, replayed: false })
            }
            Err(AppendError::Refused(Refused::Replayed(replay))) => {
                let plan = Plan::decode(&replay.receipt, &replay.runs, &self.topics)
                    .ok_or_else(|| Error::Internal("the receipt of an idempotency key is damaged".to_owned()))?;
                let bases: Vec<u64> = replay.runs.iter().map(|(_, base)| *base).collect();
                Ok(Produced { records: plan.place(&bases), created: self.created, replayed: true })
            }
            Err(error) => Err(Error::from_append(error, &self.topics)),
        }
    }
}

/// Chooses partitions: the one named, else by key, else in turn.
struct Places<'a> {
    topics: &'a [Arc<KnownTopic>],
    /// Per topic, the turns of its records that leave it open, and how many of them were given.
    turns: Vec<(Option<Turns>, usize)>,
}

impl<'a> Places<'a> {
    fn new(topics: &'a [Arc<KnownTopic>], records: &[NewRecord<'_>]) -> Self {
        let mut open = vec![0; topics.len()];
        for record in records {
            open[record.topic] += usize::from(record.partition.is_none() && record.key.is_none());
        }
        let turns = topics.iter().zip(open).map(|(known, open)| {
            let turns = (open > 0).then(|| known.round_robin.take(open, known.topic.config.partition_count));
            (turns, 0)
        });
        Self { topics, turns: turns.collect() }
    }

    fn partition(&mut self, record: &NewRecord<'_>) -> Result<u32, Error> {
        let topic = &self.topics[record.topic].topic;
        let partition_count = topic.config.partition_count;
        match (record.partition, &record.key) {
            (Some(partition), _) if partition >= partition_count => {
                Err(Error::UnknownPartition { topic: topic.name.clone(), partition, partition_count })
            }
            (Some(partition), _) => Ok(partition),
            (None, Some(key)) => Ok(partition_of_key(key, partition_count)),
            (None, None) => {
                let (turns, given) = &mut self.turns[record.topic];
                let turns = turns.as_ref().expect("turns are taken for every record that leaves its partition open");
                let partition = turns.partition(*given);
                *given += 1;
                Ok(partition)
            }
        }
    }
}

/// The runs of a request, one per partition, in the order in which partitions first come up.
#[derive(Default)]
struct Runs {
    list: Vec<Run>,
    /// Topic (by index) and partition of each run.
    places: Vec<(usize, u32)>,
    /// Which run a partition has; without the first, because most requests have no other.
    others: HashMap<(usize, u32), usize>,
}

impl Runs {
    fn of(&mut self, topic: TopicId, partition: u32, record: &NewRecord<'_>) -> usize {
        let place = (record.topic, partition);
        let known = match &self.places[..] {
            [.., last] if *last == place => Some(self.list.len() - 1),
            [first, ..] if *first == place => Some(0),
            [] => None,
            _ => self.others.get(&place).copied(),
        };
        known.unwrap_or_else(|| {
            let run = self.list.len();
            let hint =
                record.value.as_bytes().len() + record.key.as_ref().map_or(0, |key| key.len()) + RECORD_BYTES_HINT;
            self.list.push(Run::new(PartitionId { topic, partition }, hint));
            self.places.push(place);
            if run > 0 {
                self.others.insert(place, run);
            }
            run
        })
    }
}

/// Which record of the request is in which run, so that offsets can be told once the runs have theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    /// The server's time for the records that brought none.
    now: Millis,
    /// Topic (by index) and partition of each run.
    runs: Vec<(usize, u32)>,
    /// In the order sent.
    records: Vec<PlannedRecord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PlannedRecord {
    run: usize,
    timestamp: Millis,
}

impl Plan {
    fn place(&self, base_offsets: &[u64]) -> Vec<Placed> {
        let mut next = base_offsets.to_vec();
        let place = |record: &PlannedRecord| {
            let (topic, partition) = self.runs[record.run];
            let offset = next[record.run];
            next[record.run] += 1;
            Placed { topic, partition, offset, timestamp: record.timestamp }
        };
        self.records.iter().map(place).collect()
    }

    /// What is kept beside an idempotency key. The runs stand in the row of the key.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.now.to_le_bytes().to_vec();
        for record in &self.records {
            let own_time = record.timestamp != self.now;
            put_varint(&mut bytes, record.run << 1 | usize::from(own_time));
            if own_time {
                bytes.extend_from_slice(&record.timestamp.to_le_bytes());
            }
        }
        bytes
    }

    fn decode(bytes: &[u8], runs: &[(PartitionId, u64)], topics: &[Topic]) -> Option<Self> {
        let runs = runs
            .iter()
            .map(|(id, _)| Some((topics.iter().position(|topic| topic.id == id.topic)?, id.partition)))
            .collect::<Option<Vec<_>>>()?;
        let (now, mut rest) = bytes.split_first_chunk::<8>()?;
        let now = Millis::from_le_bytes(*now);
        let mut records = Vec::new();
        while !rest.is_empty() {
            let mark = take_varint(&mut rest).ok()?;
            let mut timestamp = now;
            if mark & 1 == 1 {
                let (own, after) = rest.split_first_chunk::<8>()?;
                timestamp = Millis::from_le_bytes(*own);
                rest = after;
            }
            let run = mark >> 1;
            runs.get(run)?;
            records.push(PlannedRecord { run, timestamp });
        }
        Some(Self { now, runs, records })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::model::topic::Retention;
    use crate::model::topic::TopicConfig;

    fn topic(id: i64) -> Topic {
        Topic {
            id: TopicId(id),
            incarnation: 1,
            name: format!("t{id}").parse().expect("a name"),
            config: TopicConfig { partition_count: 8, retention: Retention::default() },
            former_partition_counts: Vec::new(),
            created_at: 0,
        }
    }

    proptest! {
        #[test]
        fn a_retry_gets_the_same_answer(
            now in 0..1u64 << 48,
            runs in vec((0..3usize, 0..8u32, 0..1u64 << 40), 1..6),
            records in vec((any::<prop::sample::Index>(), prop::option::of(0..1u64 << 48)), 1..40),
        ) {
            let topics = [topic(5), topic(9), topic(11)];
            let plan = Plan {
                now,
                runs: runs.iter().map(|(topic, partition, _)| (*topic, *partition)).collect(),
                records: records
                    .iter()
                    .map(|(run, own)| PlannedRecord { run: run.index(runs.len()), timestamp: own.unwrap_or(now) })
                    .collect(),
            };
            let kept: Vec<(PartitionId, u64)> =
                runs.iter().map(|(topic, partition, base)| (topics[*topic].partition(*partition), *base)).collect();
            let again = Plan::decode(&plan.encode(), &kept, &topics).expect("our own");
            prop_assert_eq!(&again, &plan);
            let bases: Vec<u64> = runs.iter().map(|(_, _, base)| *base).collect();
            prop_assert_eq!(again.place(&bases), plan.place(&bases));
        }
    }
}
