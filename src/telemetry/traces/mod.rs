//! Traces: what a request was spent on, as spans for a collector of OpenTelemetry (OTLP over HTTP, as JSON). Off unless an
//! endpoint is given; then nothing here is called but a look at a task-local that is not set.
//!
//! Ours and small, because the official exporter brings a second HTTP stack's worth of crates for one JSON document, and
//! because a span must cost the writing path nothing but a place in a bounded queue: what does not fit is dropped and
//! counted, and no exporter, however slow, is ever waited for.

pub mod context;
pub mod endpoint;
mod exporter;
mod otlp;
pub mod span;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::endpoint::Endpoint;
use crate::telemetry::traces::exporter::Exporter;
use crate::telemetry::traces::otlp::Resource;
use crate::telemetry::traces::span::Tracer;

/// Spans that wait to be sent; beyond it they are dropped.
const QUEUE_SPANS: usize = 8_192;

/// Where spans go, and which.
#[derive(Debug, Clone)]
pub struct Options {
    /// The collector; without one there are no spans.
    pub endpoint: Option<Endpoint>,
    /// `service.name` of the node.
    pub service_name: String,
    /// Of the requests that do not say themselves whether they are traced, how many are: from 0 to 1.
    pub ratio: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { endpoint: None, service_name: "tidegate".to_owned(), ratio: 1.0 }
    }
}

/// Starts sending spans, if there is anywhere to send them. The task goes on until `tasks` are told to stop, and then
/// sends what is left, for a bounded time.
pub fn start(options: Options, metrics: &Arc<Metrics>, tasks: &Tasks) -> Option<Tracer> {
    let endpoint = options.endpoint?;
    let (spans, inbox) = mpsc::channel(QUEUE_SPANS);
    let resource = Resource::new(options.service_name);
    let stopping: CancellationToken = tasks.stopping().clone();
    let exporter = Exporter { endpoint, resource, inbox, metrics: Arc::clone(metrics) };
    tasks.spawn("span exporter", exporter.run(stopping));
    Some(Tracer::new(spans, options.ratio, Arc::clone(metrics)))
}
