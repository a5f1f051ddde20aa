//! Keeping the logs short: a sweep over the partitions that hold anything moves log starts by age and by size, and
//! deletes what lies below them in slices between which producers have their turn. Of several nodes one sweeps.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::time::MissedTickBehavior;
use tokio::time::interval;

use crate::log::handle::Logs;
use crate::log::reader::ReadError;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::model::topic::Topic;
use crate::model::topic::TopicId;
use crate::store::contract::Stocked;
use crate::tasks;

/// Partitions looked at in one turn: with many of them a sweep takes several turns, and little of the machine.
const TURN_PARTITIONS: usize = 200;

/// Bytes deleted in one slice.
const SLICE_BYTES: u64 = 4 << 20;

/// How often the store is asked whether it is still for this node to sweep.
const TURN_ASKED_EVERY: Duration = Duration::from_secs(1);

/// How often unused partitions are put away, and idempotency keys forgotten.
const TIDY_INTERVAL: Duration = Duration::from_secs(30);

/// The sweep, and where it stands.
pub(super) struct Sweeper {
    logs: Logs,
    interval: Duration,
    idempotency_ms: u64,
    after: Option<PartitionId>,
    /// When the store was last asked, and what it said.
    asked: Option<(Instant, Option<Millis>)>,
}

impl Sweeper {
    pub(super) fn new(logs: Logs, interval: Duration, idempotency_ms: u64) -> Self {
        Self { logs, interval, idempotency_ms, after: None, asked: None }
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
                tracing::warn!(%error, "a retention sweep failed; the next turn tries again");
            }
        }
    }

    /// The time by the store's clock, if it is for this node to sweep.
    async fn now(&mut self) -> Result<Option<Millis>, ReadError> {
        match self.asked {
            Some((at, answer)) if at.elapsed() < TURN_ASKED_EVERY => Ok(answer),
            _ => {
                let asked = Instant::now();
                let answer = self.logs.store().sweep_turn().await?;
                self.asked = Some((asked, answer));
                Ok(answer)
            }
        }
    }

    async fn turn(&mut self) -> Result<(), ReadError> {
        let store = Arc::clone(self.logs.store());
        while self.now().await?.is_some() && store.purge_deleted_topics(SLICE_BYTES).await? {
            tokio::task::yield_now().await;
        }
        if self.now().await?.is_none() {
            return Ok(());
        }
        let page = store.partitions_with_batches(self.after, TURN_PARTITIONS).await?;
        let mut topics: HashMap<TopicId, Option<Topic>> = HashMap::new();
        for stocked in &page {
            let id = stocked.id.topic;
            let topic = match topics.get(&id) {
                Some(topic) => topic.clone(),
                None => store.topic_by_id(id).await?,
            };
            topics.insert(id, topic.clone());
            if let Some(topic) = topic {
                self.visit(&topic, *stocked).await?;
            }
        }
        self.after = page.last().map(|stocked| stocked.id).filter(|_| page.len() == TURN_PARTITIONS);
        Ok(())
    }

    async fn visit(&mut self, topic: &Topic, Stocked { id, has_dropped }: Stocked) -> Result<(), ReadError> {
        let Some(now) = self.now().await? else { return Ok(()) };
        let store = Arc::clone(self.logs.store());
        let expired = store.expired_until(id, topic.config.retention, now).await?;
        if let Some(until) = expired {
            match self.logs.partition(topic, id.partition).await {
                Ok(partition) => self.logs.advance_start(&partition, until).await.map(drop),
                Err(error) => Err(error),
            }
            .or_else(|error| if matches!(error, ReadError::Gone) { Ok(()) } else { Err(error) })?;
        }
        if has_dropped || expired.is_some() {
            while self.now().await?.is_some() && store.purge(id, SLICE_BYTES).await? {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn tidy(&mut self) -> Result<(), ReadError> {
        self.logs.shelf().put_away_idle();
        let segments = Arc::clone(self.logs.segments());
        tasks::blocking(move || segments.make_way()).await;
        let store = Arc::clone(self.logs.store());
        while let Some(now) = self.now().await?
            && store.purge_idempotency_keys(now.saturating_sub(self.idempotency_ms)).await?
        {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
