//! Other nodes on the same database: what they tell of topics, groups and records, and slow looks behind that.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::broker::error::Error;
use crate::broker::handle::Broker;
use crate::model::name::TopicName;
use crate::store::cluster_contract::News;
use crate::store::cluster_contract::Waiting;
use crate::tasks;
use crate::tasks::Tasks;

/// How old what this node affirms of topics may be: it asks before it denies.
const TOPICS_LOOK: Duration = Duration::from_millis(500);

/// Changed topics taken in at once.
const TOPICS_AT_ONCE: usize = 1_000;

/// How long to wait before other nodes are listened to again.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

impl Broker {
    /// Starts keeping up with other nodes, where there may be any.
    pub fn keep_up(&self, tasks: &Tasks) {
        if self.store().is_shared() {
            tasks.spawn("news", self.clone().listen(tasks.stopping().clone()));
            tasks.spawn("changed topics", self.clone().look_at_topics(tasks.stopping().clone()));
        }
    }

    async fn listen(self, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            let store = self.store();
            let Some(news) = stopping.run_until_cancelled(store.news()).await else { return };
            let news = match news {
                Ok(news) => news,
                Err(error) => {
                    tracing::debug!(%error, "other nodes cannot be heard at the moment: {error}");
                    stopping.run_until_cancelled(tokio::time::sleep(LISTEN_AGAIN)).await;
                    continue;
                }
            };
            for one in news {
                if let Err(error) = self.take_in(&one).await {
                    tracing::debug!(%error, ?one, "could not take in what another node told: {error}");
                }
            }
        }
    }

    async fn take_in(&self, news: &News) -> Result<(), Error> {
        match news {
            News::Appended(id, end) => {
                self.logs().catch_up(*id, *end).await.map_err(|error| Error::Internal(error.to_string()))
            }
            News::Topic(name) => self.reload_topic(name).await,
            News::Group(name) => self.wake_members(self.groups().waiting_in(name)).await,
        }
    }

    /// Wakes those of the members that wait here for whom another node left something to do.
    pub(super) async fn wake_members(&self, waiting: Vec<Waiting>) -> Result<(), Error> {
        if !waiting.is_empty() {
            self.store().members_to_wake(&waiting).await?.iter().for_each(|one| self.groups().wake_run(one));
        }
        Ok(())
    }

    async fn look_at_topics(self, stopping: CancellationToken) {
        let mut looks = interval(TOPICS_LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What changed before it began concerns no topic that this node knows, but looking costs little.
        let mut version = 0;
        while stopping.run_until_cancelled(looks.tick()).await.is_some() {
            let changed = match self.store().changed_topics(version, TOPICS_AT_ONCE).await {
                Ok(changed) => changed,
                Err(error) => {
                    tracing::debug!(%error, "could not look which topics changed: {error}");
                    continue;
                }
            };
            let mut all = true;
            for name in &changed.names {
                all &= self.reload_topic(name).await.is_ok();
            }
            if all {
                version = changed.version;
            }
        }
    }

    /// Asks the database for a topic that another node may have changed.
    pub(super) async fn reload_topic(&self, name: &TopicName) -> Result<(), Error> {
        let (broker, name) = (self.clone(), name.clone());
        tasks::run(async move {
            let before = broker.catalog().known(&name).map(|known| known.topic.clone());
            let now = broker.store().topic(&name).await?;
            if before == now {
                return Ok(());
            }
            if let Some(before) = before.filter(|before| now.as_ref().is_none_or(|now| now.id != before.id)) {
                broker.catalog().deleted(&name);
                broker.logs().forget_topic(&before).await;
            }
            if let Some(now) = now {
                broker.catalog().changed(now);
            }
            Ok(())
        })
        .await
    }
}
