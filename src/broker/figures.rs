//! The figures of now, for a scrape of the metrics: what the floors below hold, and the lag of consumer groups, which is
//! read from the rows, at most every few seconds and for a bounded number of partitions.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::timeout;

use crate::broker::error::Error;
use crate::broker::handle::Broker;
use crate::model::name::GroupName;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::tasks;
use crate::telemetry::metrics::labels::Use;
use crate::telemetry::metrics::tables::PartitionValue;

/// How long a scrape waits for the database. What comes later is told to the next.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// Groups looked at and counted at most.
const GROUPS_MAX: usize = 10_000;

/// Groups listed in one statement.
const GROUPS_AT_ONCE: usize = 1_000;

/// The lag of all groups, as far as there is room for it.
#[derive(Default)]
struct Look {
    records: Vec<PartitionValue>,
    seconds: Vec<PartitionValue>,
    timestamps: HashMap<(PartitionId, u64), Millis>,
    partitions_left_out: u64,
    groups_left_out: u64,
}

impl Broker {
    /// Brings the gauges up to date. Bounded in time, and never fails: what cannot be found out keeps its value.
    pub async fn take_figures(&self) {
        let metrics = self.metrics();
        let queued = self.logs().queued();
        metrics.produce.queue_bytes.set(queued.bytes);
        metrics.produce.queue_bytes_max.set(queued.bytes_max);
        metrics.groups.queue.set(self.groups().queued());
        let cache = self.logs().segments().stats();
        metrics.reads.cache_bytes.set(cache.bytes);
        metrics.reads.cache_files.set(cache.files);
        metrics.reads.cache_hits.follow(cache.hits);
        metrics.reads.cache_misses.follow(cache.misses);
        metrics.reads.cache_evictions.follow(cache.evicted);
        metrics.reads.cache_damaged.follow(cache.damaged);
        let store = self.store().figures();
        metrics.database.connections.at(Use::Busy).set(store.connections_busy);
        metrics.database.connections.at(Use::Idle).set(store.connections_idle);
        metrics.database.connections_max.set(store.connections_max);
        metrics.database.wal_bytes.set(store.wal_bytes);
        metrics.database.notifications_sent.follow(store.notifications_sent);
        if self.lags().are_stale() {
            let broker = self.clone();
            if timeout(LOOK_MAX, tasks::run(async move { broker.look_at_lag().await })).await.is_err() {
                metrics.database.up.set(0);
            }
        }
        metrics.groups.lag_age.set_ms(self.lags().age_ms());
    }

    /// Looks at the rows, unless somebody else does.
    async fn look_at_lag(&self) {
        let Ok(_looking) = self.lags().looking.try_lock() else { return };
        let metrics = self.metrics();
        match self.lag_of_all().await {
            Ok(look) => {
                metrics.database.up.set(1);
                metrics.groups.lag_records.set(look.records);
                metrics.groups.lag_seconds.set(look.seconds);
                metrics.groups.lag_partitions_left_out.set(look.partitions_left_out);
                metrics.groups.lag_groups_left_out.set(look.groups_left_out);
                self.lags().looked(look.timestamps);
            }
            Err(error) => {
                metrics.database.up.set(0);
                tracing::debug!(%error, "could not look at the lag of groups: {error}");
            }
        }
    }

    async fn lag_of_all(&self) -> Result<Look, Error> {
        let mut look = Look::default();
        let mut after: Option<GroupName> = None;
        let mut seen = 0;
        loop {
            let page = self.groups_by_name(after.as_ref().map(GroupName::as_str), GROUPS_AT_ONCE).await?;
            for group in &page {
                if look.records.len() < self.options().lag_partitions {
                    self.lag_of(&group.name, &mut look).await?;
                } else {
                    look.groups_left_out += 1;
                }
            }
            seen += page.len();
            after = page.last().map(|group| group.name.clone());
            if page.len() < GROUPS_AT_ONCE || seen >= GROUPS_MAX {
                return Ok(look);
            }
        }
    }

    async fn lag_of(&self, group: &GroupName, look: &mut Look) -> Result<(), Error> {
        let (store, name) = (self.store(), group.clone());
        let Some(mut state) = tasks::run(async move { store.group(&name).await }).await? else { return Ok(()) };
        let room = self.options().lag_partitions - look.records.len();
        look.partitions_left_out += state.partitions.len().saturating_sub(room) as u64;
        state.partitions.truncate(room);
        let lags = match self.lags_of(state.partitions).await {
            Ok(lags) => lags,
            // A topic that is deleted at this moment: the next look knows.
            Err(Error::UnknownTopic(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        for lag in lags {
            if let Some(oldest) = lag.oldest {
                look.timestamps.insert((lag.state.id, lag.next_offset()), oldest);
            }
            let value = |value| PartitionValue {
                group: group.to_string(),
                topic: lag.topic.to_string(),
                partition: lag.state.id.partition,
                value,
            };
            look.records.push(value(lag.lag as f64));
            look.seconds.push(value(lag.lag_ms as f64 / 1e3));
        }
        Ok(())
    }
}
