//! Keeping the logs short: a sweep over the partitions that hold anything moves log starts by age and by size, and
//! deletes what lies below them in slices between which producers have their turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio::time::interval;

use crate::log::handle::Logs;
use crate::log::reader::ReadError;
use crate::model::time;
use crate::model::topic::PartitionId;
use crate::model::topic::Topic;
use crate::model::topic::TopicId;
use crate::tasks;

/// Partitions looked at in one turn: with many of them a sweep takes several turns, and little of the machine.
const TURN_PARTITIONS: usize = 200;

/// Bytes deleted in one slice.
const SLICE_BYTES: u64 = 4 << 20;

/// How often unused partitions are put away, and idempotency keys forgotten.
const TIDY_INTERVAL: Duration = Duration::from_secs(30);

/// The sweep, and where it stands.
pub(super) struct Sweeper {
    logs: Logs,
    interval: Duration,
    idempotency_ms: u64,
    after: Option<PartitionId>,
    /// Until every partition was visited once, slices that an earlier run of the process left undone are looked for.
    first_round: bool,
}

impl Sweeper {
    pub(super) fn new(logs: Logs, interval: Duration, idempotency_ms: u64) -> Self {
        Self { logs, interval, idempotency_ms, after: None, first_round: true }
    }

    pub(super) async fn run(mut self) {
        let mut turns = interval(self.interval);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tidy = interval(TIDY_INTERVAL);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                _ = turns.tick() => self.turn().await,
                _ = tidy.tick() => self.tidy().await,
            };
            if let Err(error) = done {
                self.logs.metrics().reads.sweep_failures.inc();
                tracing::warn!(%error, "a retention sweep failed; the next turn tries again");
            }
        }
    }

    async fn turn(&mut self) -> Result<(), ReadError> {
        let store = self.logs.store();
        while store.purge_deleted_topics(SLICE_BYTES).await? {
            self.logs.metrics().reads.purges.inc();
            tokio::task::yield_now().await;
        }
        let page = store.partitions_with_batches(self.after, TURN_PARTITIONS).await?;
        let mut topics: HashMap<TopicId, Option<Topic>> = HashMap::new();
        for id in &page {
            let topic = match topics.get(&id.topic) {
                Some(topic) => topic.clone(),
                None => store.topic_by_id(id.topic).await?,
            };
            topics.insert(id.topic, topic.clone());
            if let Some(topic) = topic {
                self.visit(&topic, *id).await?;
            }
        }
        self.after = page.last().copied();
        if page.len() < TURN_PARTITIONS {
            self.after = None;
            self.first_round = false;
        }
        Ok(())
    }

    async fn visit(&self, topic: &Topic, id: PartitionId) -> Result<(), ReadError> {
        let store = self.logs.store();
        let expired = store.expired_until(id, topic.config.retention, time::now()).await?;
        if let Some(until) = expired {
            match self.logs.partition(topic, id.partition).await {
                Ok(partition) => self.logs.advance_start(&partition, until).await.map(drop),
                Err(error) => Err(error),
            }
            .or_else(|error| if matches!(error, ReadError::Gone) { Ok(()) } else { Err(error) })?;
        }
        let trimmed = self.logs.take_trimmed(id);
        if trimmed || expired.is_some() || self.first_round {
            while store.purge(id, SLICE_BYTES).await? {
                self.logs.metrics().reads.purges.inc();
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn tidy(&self) -> Result<(), ReadError> {
        self.logs.shelf().put_away_idle();
        let segments = Arc::clone(self.logs.segments());
        tasks::blocking(move || segments.make_way()).await;
        let before = time::now().saturating_sub(self.idempotency_ms);
        while self.logs.store().purge_idempotency_keys(before).await? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
