//! Sends spans to the collector, many at once. Whatever goes wrong there costs the spans and nothing else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::SpanFate;
use crate::telemetry::traces::endpoint::Endpoint;
use crate::telemetry::traces::otlp;
use crate::telemetry::traces::otlp::Resource;
use crate::telemetry::traces::span::Finished;

/// Spans in one request.
const BATCH_SPANS: usize = 512;

/// How long spans wait for company.
const COMPANY_MAX: Duration = Duration::from_secs(1);

/// How long a request may take, connection and all.
const SEND_MAX: Duration = Duration::from_secs(5);

/// How long what is left may take when the node stops.
const LAST_MAX: Duration = Duration::from_secs(2);

/// The one task that sends.
pub(super) struct Exporter {
    pub(super) endpoint: Endpoint,
    pub(super) resource: Resource,
    pub(super) inbox: mpsc::Receiver<Finished>,
    pub(super) metrics: Arc<Metrics>,
}

impl Exporter {
    /// Sends until `stopping` is cancelled, and then what is left.
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        let mut failing = false;
        loop {
            let mut batch = Vec::with_capacity(BATCH_SPANS);
            let gathered = stopping.run_until_cancelled(gather(&mut self.inbox, &mut batch)).await;
            if gathered.is_none() {
                // What was taken out of the queue when the word came is sent with the rest.
                if timeout(LAST_MAX, self.send_rest(batch)).await.is_err() {
                    tracing::warn!("the last spans could not be sent in time");
                }
                return;
            }
            let sent = self.send(&batch).await;
            match &sent {
                Err(error) if !failing => {
                    let address = &self.endpoint.address;
                    tracing::warn!(%error, "spans cannot be sent to {address} and are dropped until they can: {error}");
                }
                Ok(()) if failing => tracing::info!("spans are sent again"),
                Ok(()) | Err(_) => {}
            }
            failing = sent.is_err();
        }
    }

    async fn send_rest(&mut self, mut batch: Vec<Finished>) {
        loop {
            while batch.len() < BATCH_SPANS {
                let Ok(span) = self.inbox.try_recv() else { break };
                batch.push(span);
            }
            if batch.is_empty() || self.send(&batch).await.is_err() {
                return;
            }
            batch.clear();
        }
    }

    async fn send(&self, batch: &[Finished]) -> anyhow::Result<()> {
        let body = Bytes::from(otlp::request(&self.resource, batch));
        let outcome = timeout(SEND_MAX, post(&self.endpoint, body)).await.map_err(anyhow::Error::from).flatten();
        let fate = if outcome.is_ok() { SpanFate::Sent } else { SpanFate::Failed };
        self.metrics.traces.spans.at(fate).add(batch.len() as u64);
        outcome
    }
}

/// Waits for spans, and a while for more of them.
async fn gather(inbox: &mut mpsc::Receiver<Finished>, batch: &mut Vec<Finished>) {
    inbox.recv_many(batch, BATCH_SPANS).await;
    let more = async {
        while batch.len() < BATCH_SPANS {
            let room = BATCH_SPANS - batch.len();
            if inbox.recv_many(batch, room).await == 0 {
                // Nobody makes spans any more: the word to stop is about to come.
                std::future::pending::<()>().await;
            }
        }
    };
    // That the time is over is what is waited for.
    let _ = timeout(COMPANY_MAX, more).await;
}

async fn post(endpoint: &Endpoint, body: Bytes) -> anyhow::Result<()> {
    let stream = TcpStream::connect(&endpoint.address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let request = Request::post(&endpoint.path)
            .header(header::HOST, &endpoint.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .header(header::USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        // Read to its end, so that the collector is not cut off; what it says is of no use here.
        answer.into_body().collect().await?;
        anyhow::ensure!(status.is_success(), "the collector answers {status}");
        Ok(())
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may be over before the answer has been looked at.
        _ = connection => answer.await,
    }
}
