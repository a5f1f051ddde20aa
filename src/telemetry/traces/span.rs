//! Spans: begun somewhere, ended when they are dropped, and then put in the queue if there is room.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::model::time;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::SpanFate;
use crate::telemetry::traces::context::Parent;
use crate::telemetry::traces::context::SpanContext;

/// Spans that one span links to at most.
pub const LINKS_MAX: usize = 32;

/// What a span is to its trace (OpenTelemetry, `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work within the program.
    Internal,
    /// The answer to a request.
    Server,
    /// A request to another program, here the database.
    Client,
}

/// What is said of a span beside its times.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Words of ours.
    Text(&'static str),
    /// A name from outside.
    Owned(String),
    /// A number.
    Number(u64),
}

/// A span that is over.
#[derive(Debug)]
pub struct Finished {
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    pub(super) context: SpanContext,
    pub(super) parent: Option<u64>,
    /// Nanoseconds since 1970.
    pub(super) began_ns: u64,
    pub(super) took: Duration,
    pub(super) links: Vec<SpanContext>,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) failed: bool,
}

/// Makes spans. A clone is the same.
#[derive(Debug, Clone)]
pub struct Tracer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    spans: mpsc::Sender<Finished>,
    ratio: f64,
    metrics: Arc<Metrics>,
}

impl Tracer {
    pub(super) fn new(spans: mpsc::Sender<Finished>, ratio: f64, metrics: Arc<Metrics>) -> Self {
        Self { inner: Arc::new(Inner { spans, ratio, metrics }) }
    }

    /// A span for a request with this `traceparent`. `None` if it is not to be traced: its caller says so, or chance
    /// where the caller says nothing.
    pub fn request(&self, name: &'static str, traceparent: Option<&[u8]>) -> Option<Span> {
        let parent = traceparent.and_then(Parent::parse);
        let sampled = parent.map_or_else(|| fastrand::f64() < self.inner.ratio, |parent| parent.sampled);
        sampled.then(|| {
            let context = parent.map_or_else(SpanContext::begin, |parent| parent.context.child());
            let parent = parent.map(|parent| parent.context.span);
            Span::begin(self.clone(), name, Kind::Server, context, parent)
        })
    }

    fn put(&self, span: Finished) {
        if self.inner.spans.try_send(span).is_err() {
            self.inner.metrics.traces.spans.at(SpanFate::Dropped).inc();
        }
    }
}

/// Where in a trace the work of a task belongs: what is begun here becomes a part of it.
#[derive(Debug, Clone)]
pub struct Scope {
    tracer: Tracer,
    context: SpanContext,
}

tokio::task_local! {
    static CURRENT: Scope;
}

impl Scope {
    /// That of the task that asks, if it is traced.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Its place.
    pub fn context(&self) -> SpanContext {
        self.context
    }

    /// Begins a span below it.
    pub fn child(&self, name: &'static str, kind: Kind) -> Span {
        Span::begin(self.tracer.clone(), name, kind, self.context.child(), Some(self.context.span))
    }
}

/// A span under way. It ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    tracer: Tracer,
    began: Instant,
    /// `None` once it is over.
    so_far: Option<Finished>,
}

impl Span {
    fn begin(tracer: Tracer, name: &'static str, kind: Kind, context: SpanContext, parent: Option<u64>) -> Self {
        let so_far = Finished {
            name: Cow::Borrowed(name),
            kind,
            context,
            parent,
            began_ns: time::now_ns(),
            took: Duration::ZERO,
            links: Vec::new(),
            attributes: Vec::new(),
            failed: false,
        };
        Self { tracer, began: Instant::now(), so_far: Some(so_far) }
    }

    fn with(&mut self, change: impl FnOnce(&mut Finished)) {
        if let Some(span) = &mut self.so_far {
            change(span);
        }
    }

    /// Gives it another name: one of few, without anything that a caller has made up.
    pub fn rename(&mut self, name: String) {
        self.with(|span| span.name = Cow::Owned(name));
    }

    /// Says something of it.
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.with(|span| span.attributes.push((name, value)));
    }

    /// Says that it concerns these as well: at most [`LINKS_MAX`] of them are kept.
    pub fn link(&mut self, to: impl IntoIterator<Item = SpanContext>) {
        self.with(|span| span.links.extend(to.into_iter().take(LINKS_MAX)));
    }

    /// Says that it failed.
    pub fn fail(&mut self) {
        self.with(|span| span.failed = true);
    }

    /// Where what happens within it belongs.
    pub fn scope(&self) -> Scope {
        let context = self.so_far.as_ref().expect("it is over only when it is dropped").context;
        Scope { tracer: self.tracer.clone(), context }
    }

    /// Runs `work` as a part of it.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self.scope(), work).await
    }

    /// Adds a span below it that is over already.
    pub fn add(&self, name: &'static str, kind: Kind, began: Instant, took: Duration) -> Span {
        let mut child = self.scope().child(name, kind);
        let later = u64::try_from(began.saturating_duration_since(self.began).as_nanos()).unwrap_or(0);
        let begin_ns = self.so_far.as_ref().map_or(0, |span| span.began_ns);
        child.with(|span| (span.began_ns, span.took) = (begin_ns + later, took));
        child
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut span) = self.so_far.take() {
            if span.took.is_zero() {
                span.took = self.began.elapsed();
            }
            self.tracer.put(span);
        }
    }
}
