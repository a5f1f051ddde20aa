//! The topics this node knows, so that a produce does not ask the database for each. On SQLite every change passes
//! through here, so what is known is true.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;

use crate::broker::partitioner::RoundRobin;
use crate::model::name::TopicName;
use crate::model::topic::Topic;
use crate::model::topic::TopicId;
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
    /// Topics that were made, changed or deleted since somebody last asked.
    news: Mutex<HashSet<TopicName>>,
}

#[derive(Default)]
struct Known {
    topics: HashMap<TopicName, Arc<KnownTopic>>,
    /// The names of those.
    names: HashMap<TopicId, TopicName>,
    /// Counts changes: what was read from the database before a change is not remembered after it.
    changes: u64,
}

impl Catalog {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, known: RwLock::default(), waiters: KeyedWaiters::default(), news: Mutex::default() }
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

    /// The topic of that name as far as this node knows it.
    pub(super) fn known(&self, name: &TopicName) -> Option<Arc<KnownTopic>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.topics.get(name).map(Arc::clone)
    }

    /// The living topic in that row.
    pub(super) async fn find_by_id(&self, id: TopicId) -> Result<Option<Arc<KnownTopic>>, StoreError> {
        let name = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.names.get(&id).cloned()
        };
        let name = match name {
            Some(name) => name,
            None => {
                let store = Arc::clone(&self.store);
                let Some(topic) = tasks::run(async move { store.topic_by_id(id).await }).await? else {
                    return Ok(None);
                };
                topic.name
            }
        };
        Ok(self.find(&name).await?.filter(|known| known.topic.id == id))
    }

    /// Topics that were made, changed or deleted since the last call.
    pub(super) fn take_news(&self) -> HashSet<TopicName> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the next call take these as well.
    pub(super) fn bring_back(&self, news: &HashSet<TopicName>) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).extend(news.iter().cloned());
    }

    fn announce(&self, name: &TopicName) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        self.waiters.raise(name);
    }

    /// Takes note that a topic was made or changed, and wakes whoever waits for that.
    pub(super) fn changed(&self, topic: Topic) -> Arc<KnownTopic> {
        let name = topic.name.clone();
        let known = {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.changes += 1;
            known.remember(topic)
        };
        self.announce(&name);
        known
    }

    /// Takes note that a topic was deleted.
    pub(super) fn deleted(&self, name: &TopicName) {
        {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.changes += 1;
            if let Some(gone) = known.topics.remove(name) {
                known.names.remove(&gone.topic.id);
            }
        }
        self.announce(name);
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
            self.names.retain(|_, name| self.topics.contains_key(name));
        }
        let round_robin = match self.topics.get(&topic.name) {
            Some(known) if known.topic.id == topic.id => Arc::clone(&known.round_robin),
            _ => Arc::default(),
        };
        let known = Arc::new(KnownTopic { topic, round_robin });
        self.topics.insert(known.topic.name.clone(), Arc::clone(&known));
        self.names.insert(known.topic.id, known.topic.name.clone());
        known
    }
}
