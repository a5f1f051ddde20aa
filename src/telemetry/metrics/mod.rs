//! What is counted and measured, all of it in one place: the name, the help text (which is the comment), the kind and the
//! labels of every metric. The floors above raise them by their fields; `GET /metrics` tells them.
//!
//! Names are `tidegate_…` in base units (`_seconds`, `_bytes`), those of counters end in `_total`; what Prometheus calls
//! `process_…` for every program is called so here. A registry belongs to a node: two nodes in one process (in a test)
//! share nothing.

pub mod exposition;
pub mod kinds;
pub mod labels;
mod process;
pub mod tables;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::telemetry::metrics::exposition::Exposition;
use crate::telemetry::metrics::exposition::Format;
use crate::telemetry::metrics::exposition::Metric;
use crate::telemetry::metrics::exposition::Samples;
use crate::telemetry::metrics::exposition::Type;
use crate::telemetry::metrics::kinds::Amount;
use crate::telemetry::metrics::kinds::Counter;
use crate::telemetry::metrics::kinds::Gauge;
use crate::telemetry::metrics::kinds::GaugeSeconds;
use crate::telemetry::metrics::kinds::Histogram;
use crate::telemetry::metrics::kinds::Seconds;
use crate::telemetry::metrics::labels::About;
use crate::telemetry::metrics::labels::Method;
use crate::telemetry::metrics::labels::Route;
use crate::telemetry::metrics::labels::Source;
use crate::telemetry::metrics::labels::SpanFate;
use crate::telemetry::metrics::labels::StatusClass;
use crate::telemetry::metrics::labels::StreamKind;
use crate::telemetry::metrics::labels::Use;
use crate::telemetry::metrics::process::Process;
use crate::telemetry::metrics::tables::ByPartition;
use crate::telemetry::metrics::tables::Listed;
use crate::telemetry::metrics::tables::Sparse;
use crate::telemetry::metrics::tables::Table;

macro_rules! families {
    ($(
        $(#[doc = $about:literal])+
        pub struct $group:ident { $($(#[doc = $help:literal])+ $field:ident: $kind:ty = $name:literal,)+ }
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Default)]
            pub struct $group {
                $($(#[doc = $help])+ pub $field: $kind,)+
            }

            impl $group {
                fn write(&self, out: &mut Exposition) {
                    $(out.family($name, concat!($($help),+), &self.$field);)+
                }
            }
        )+
    };
}

families! {
    /// Requests and connections.
    pub struct Http {
        /// Requests answered.
        requests: Sparse<Table<Route, Sparse<Table<Method, Sparse<Table<StatusClass, Counter>>>>>>
            = "tidegate_http_requests_total",
        /// From a request's head to the head of its answer. What an endless answer sends later is not in it.
        request_duration: Sparse<Table<Route, Sparse<Table<Method, Histogram<Seconds>>>>>
            = "tidegate_http_request_duration_seconds",
        /// Requests refused, by the code of the problem.
        refusals: Listed<Counter> = "tidegate_http_refusals_total",
        /// Requests that failed by a panic. Each is a fault of the program; its message is in the log.
        panics: Counter = "tidegate_http_panics_total",
        /// Connections open.
        connections: Gauge = "tidegate_http_connections",
        /// Connections that may be open; beyond it new ones wait.
        connections_max: Gauge = "tidegate_http_connections_max",
        /// Connections ever accepted.
        connections_accepted: Counter = "tidegate_http_connections_accepted_total",
        /// Endless answers open.
        streams: Table<StreamKind, Gauge> = "tidegate_streams_open",
    }

    /// Records on their way into the log.
    pub struct Produce {
        /// Records committed.
        records: Counter = "tidegate_produce_records_total",
        /// Bytes of the batches committed, as they are stored.
        bytes: Counter = "tidegate_produce_bytes_total",
        /// From the moment that a write has its place in the queue until it is durable and readable.
        duration: Histogram<Seconds> = "tidegate_produce_duration_seconds",
        /// A flush: the writes that waited, in one transaction, until they are readable.
        flush_duration: Histogram<Seconds> = "tidegate_flush_duration_seconds",
        /// The part of a flush that the database's commit takes, which ends in its fsync.
        commit_duration: Histogram<Seconds> = "tidegate_commit_duration_seconds",
        /// Writes (requests) in a flush.
        flush_writes: Histogram<Amount> = "tidegate_flush_writes",
        /// Records in a flush.
        flush_records: Histogram<Amount> = "tidegate_flush_records",
        /// Bytes in a flush.
        flush_bytes: Histogram<Amount> = "tidegate_flush_bytes",
        /// Flushes that failed: none of their writes was acknowledged.
        flush_failures: Counter = "tidegate_flush_failures_total",
        /// Writes that wait for their commit.
        queue_writes: Gauge = "tidegate_append_queue_writes",
        /// Bytes of the writes that wait for their commit.
        queue_bytes: Gauge = "tidegate_append_queue_bytes",
        /// What may wait; beyond it a produce is refused as overloaded.
        queue_bytes_max: Gauge = "tidegate_append_queue_max_bytes",
    }

    /// Records on their way out of the log.
    pub struct Reads {
        /// Records read, by where they were found. What many streams share is read once.
        records: Table<Source, Counter> = "tidegate_read_records_total",
        /// Bytes of the batches read.
        bytes: Table<Source, Counter> = "tidegate_read_bytes_total",
        /// Bytes of the segment files, the cache of history.
        cache_bytes: Gauge = "tidegate_segment_cache_bytes",
        /// Segment files.
        cache_files: Gauge = "tidegate_segment_cache_files",
        /// Reads of history that a segment file answered.
        cache_hits: Counter = "tidegate_segment_cache_hits_total",
        /// Reads of history that went on to the table.
        cache_misses: Counter = "tidegate_segment_cache_misses_total",
        /// Segment files dropped to make room.
        cache_evictions: Counter = "tidegate_segment_cache_evictions_total",
        /// Segment files dropped because they were not as they had been written.
        cache_damaged: Counter = "tidegate_segment_cache_damaged_total",
        /// Records that retention, or a call, took from the beginning of a log.
        records_dropped: Counter = "tidegate_retention_records_total",
        /// Slices of batches that were deleted after that.
        purges: Counter = "tidegate_retention_slices_total",
        /// Sweeps of retention that failed; the next tries again.
        sweep_failures: Counter = "tidegate_retention_failures_total",
    }

    /// Consumer groups.
    pub struct Groups {
        /// Calls of members that were taken to the store: polls, commits, heartbeats.
        steps: Counter = "tidegate_group_steps_total",
        /// Such calls in one transaction.
        flush_steps: Histogram<Amount> = "tidegate_group_flush_steps",
        /// How long such a transaction takes.
        flush_duration: Histogram<Seconds> = "tidegate_group_flush_duration_seconds",
        /// Members' calls that wait for a transaction to take them.
        queue: Gauge = "tidegate_group_queue_steps",
        /// Records that a group has not committed, by partition. Every node tells the same.
        lag_records: ByPartition = "tidegate_group_lag_records",
        /// Age of the oldest record that a group has not committed, by its timestamp.
        lag_seconds: ByPartition = "tidegate_group_lag_seconds",
        /// How old the figures of lag are.
        lag_age: GaugeSeconds = "tidegate_group_lag_age_seconds",
        /// Partitions that are left out of the figures of lag because there would be too many, in groups looked at.
        lag_partitions_left_out: Gauge = "tidegate_group_lag_left_out_partitions",
        /// Groups that are left out of them altogether.
        lag_groups_left_out: Gauge = "tidegate_group_lag_left_out_groups",
    }

    /// The database, and the other nodes on it.
    pub struct Database {
        /// 1 if the database answered when it was last asked, at most a few seconds ago.
        up: Gauge = "tidegate_database_up",
        /// Connections of the pool.
        connections: Table<Use, Gauge> = "tidegate_database_connections",
        /// Connections that the pool may have.
        connections_max: Gauge = "tidegate_database_connections_max",
        /// Bytes in the write-ahead log of SQLite; 0 on PostgreSQL.
        wal_bytes: Gauge = "tidegate_sqlite_wal_bytes",
        /// Notifications sent to other nodes.
        notifications_sent: Counter = "tidegate_node_notifications_sent_total",
        /// What other nodes told, by what it was about.
        news: Table<About, Counter> = "tidegate_node_news_total",
    }

    /// Traces on their way to the collector.
    pub struct Traces {
        /// Spans made, by what became of them. All at 0 where there is no collector.
        spans: Table<SpanFate, Counter> = "tidegate_trace_spans_total",
    }
}

/// Which program this is: a gauge that is always 1.
#[derive(Debug, Default)]
struct Build;

impl Metric for Build {
    const TYPE: Type = Type::Gauge;

    fn is_zero(&self) -> bool {
        false
    }

    fn write(&self, samples: &mut Samples<'_>) {
        samples.labelled("version", env!("CARGO_PKG_VERSION"), |samples| samples.sample("", 1));
    }
}

/// Everything that a node counts and measures.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests and connections.
    pub http: Http,
    /// Records on their way into the log.
    pub produce: Produce,
    /// Records on their way out.
    pub reads: Reads,
    /// Consumer groups.
    pub groups: Groups,
    /// The database, and the other nodes on it.
    pub database: Database,
    /// Traces on their way to the collector.
    pub traces: Traces,
}

impl Metrics {
    /// All at zero. `refusal_codes` are those of problems, in the order by which they are counted.
    pub fn new(refusal_codes: impl IntoIterator<Item = &'static str>) -> Self {
        let http = Http { refusals: Listed::new("code", refusal_codes), ..Http::default() };
        Self { http, ..Self::default() }
    }

    /// Counts an endless answer for as long as what is returned lives.
    pub fn stream(self: &Arc<Self>, kind: StreamKind) -> OpenStream {
        self.http.streams.at(kind).inc();
        OpenStream { metrics: Arc::clone(self), kind }
    }

    /// All of them as text, as they stand now.
    pub fn tell(&self, format: Format) -> String {
        let mut out = Exposition::new(format);
        out.family("tidegate_build_info", "The version of the program.", &Build);
        self.http.write(&mut out);
        self.produce.write(&mut out);
        self.reads.write(&mut out);
        self.groups.write(&mut out);
        self.database.write(&mut out);
        self.traces.write(&mut out);
        Process::now().write(&mut out);
        out.finish()
    }
}

/// An endless answer that is open.
#[derive(Debug)]
pub struct OpenStream {
    metrics: Arc<Metrics>,
    kind: StreamKind,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.metrics.http.streams.at(self.kind).dec();
    }
}
