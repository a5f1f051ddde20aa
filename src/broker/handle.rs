//! The broker's handle: what its operations work with. The operations stand beside it, a file each.

use std::sync::Arc;

use crate::broker::catalog::Catalog;
use crate::broker::error::Error;
use crate::broker::groups::lag::Lags;
use crate::broker::groups::presence::Presences;
use crate::broker::groups::slots::Slots;
use crate::groups::Groups;
use crate::log::Logs;
use crate::model::limits::Limits;
use crate::store::contract::Store;
use crate::tasks;
use crate::telemetry::metrics::Metrics;

/// How the gateway behaves where callers leave it open.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether the first produce to a topic makes it.
    pub auto_create_topics: bool,
    /// How many partitions a topic gets that names no number.
    pub default_partitions: u32,
    /// Partitions whose lag the metrics tell at most, of all groups together.
    pub lag_partitions: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { auto_create_topics: true, default_partitions: 1, lag_partitions: 1_000 }
    }
}

/// The handle that all front ends hold. A clone is the same broker.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    logs: Logs,
    groups: Groups,
    catalog: Catalog,
    slots: Slots,
    presences: Presences,
    limits: Limits,
    options: Options,
    metrics: Arc<Metrics>,
    lags: Lags,
}

impl Broker {
    /// A broker over logs and groups that run.
    pub fn new(
        store: Arc<dyn Store>,
        logs: Logs,
        groups: Groups,
        limits: Limits,
        options: Options,
        metrics: Arc<Metrics>,
    ) -> Self {
        let catalog = Catalog::new(Arc::clone(&store));
        let (slots, presences, lags) = (Slots::default(), Presences::default(), Lags::default());
        let inner = Inner { store, logs, groups, catalog, slots, presences, limits, options, metrics, lags };
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.inner.store)
    }

    pub(super) fn logs(&self) -> &Logs {
        &self.inner.logs
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.inner.groups
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.inner.slots
    }

    pub(super) fn presences(&self) -> &Presences {
        &self.inner.presences
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    pub(super) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(super) fn lags(&self) -> &Lags {
        &self.inner.lags
    }

    /// What is counted and measured.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    /// The bounds of requests.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`] if not.
    pub async fn check_ready(&self) -> Result<(), Error> {
        let store = self.store();
        Ok(tasks::run(async move { store.ping().await }).await?)
    }
}
