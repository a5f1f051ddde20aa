//! The topics this node knows, so that a produce does not ask the database for each. On SQLite every change passes
//! through here, so what is known is true.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use crate::broker::partitioner::RoundRobin;
use crate::model::name::TopicName;
use crate::model::topic::Topic;
use crate::signal::KeyedWaiters;
use crate::signal::Signal;
use crate::store::contract::Store;
use crate::store::error::StoreError;
use crate::tasks;

/// Topics remembered at most; past that, those nobody uses right now are forgotten and asked for again.
const TOPICS_MAX: usize = 100_000;

/// A topic with what this node keeps beside it.
#[derive(Debug)]
pub(super) struct KnownTopic {
    pub(super) topic: Topic,
    pub(super) round_robin: Arc<RoundRobin>,
}

/// The topics that were looked up, and who waits for one to change.
pub(super) struct Catalog {
    store: Arc<dyn Store>,
    known: RwLock<Known>,
    waiters: KeyedWaiters<TopicName>,
}

#[derive(Default)]
struct Known {
    topics: HashMap<TopicName, Arc<KnownTopic>>,
    /// Counts changes: what was read from the database before a change is not remembered after it.
    changes: u64,
}

impl Catalog {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, known: RwLock::default(), waiters: KeyedWaiters::default() }
    }

    /// The topic of that name, if there is one.
    pub(super) async fn find(&self, name: &TopicName) -> Result<Option<Arc<KnownTopic>>, StoreError> {
        let changes = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(topic) = known.topics.get(name) {
                return Ok(Some(Arc::clone(topic)));
            }
            known.changes
        };
        let (store, asked) = (Arc::clone(&self.store), name.clone());
        let Some(topic) = tasks::run(async move { store.topic(&asked).await }).await? else { return Ok(None) };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.changes != changes {
            return Ok(Some(Arc::new(KnownTopic { topic, round_robin: Arc::default() })));
        }
        Ok(Some(known.remember(topic)))
    }

    /// Takes note that a topic was made or changed, and wakes whoever waits for that.
    pub(super) fn changed(&self, topic: Topic) -> Arc<KnownTopic> {
        let name = topic.name.clone();
        let known = {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.changes += 1;
            known.remember(topic)
        };
        self.waiters.raise(&name);
        known
    }

    /// Takes note that a topic was deleted.
    pub(super) fn deleted(&self, name: &TopicName) {
        {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.changes += 1;
            known.topics.remove(name);
        }
        self.waiters.raise(name);
    }

    /// Raises `signal` when the topic of that name is made, grows or is deleted.
    pub(super) fn wake_on_change(&self, name: &TopicName, signal: &Arc<Signal>) {
        self.waiters.add(name.clone(), signal);
    }
}

impl Known {
    fn remember(&mut self, topic: Topic) -> Arc<KnownTopic> {
        if self.topics.len() >= TOPICS_MAX {
            self.topics.retain(|_, known| Arc::strong_count(known) > 1);
        }
        let round_robin = match self.topics.get(&topic.name) {
            Some(known) if known.topic.id == topic.id => Arc::clone(&known.round_robin),
            _ => Arc::default(),
        };
        let known = Arc::new(KnownTopic { topic, round_robin });
        self.topics.insert(known.topic.name.clone(), Arc::clone(&known));
        known
    }
}
