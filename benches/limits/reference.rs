//! The limits made of axum: servers that do no more than any HTTP server must, so that the distance to them is what the
//! gateway itself costs. Each runs as a process of its own, on the allocator that the gateway uses.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::routing::post;
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// The path of the contract, so that both sides are sent the same bytes.
const RECORDS: &str = "/v1/topics/{topic}/records";

/// Serves as `role` until standard input ends, which it does at the latest when the benchmark itself does.
pub(crate) async fn serve(role: &str, file: Option<&str>) -> Result<()> {
    let router = match role {
        "produce" => Router::new().route(RECORDS, post(accept)).with_state(Arc::default()),
        "sse" => Router::new().route(RECORDS, get(subscribe).post(broadcast)).with_state(Feed::default()),
        "file" => {
            let pieces = read_pieces(Path::new(file.context("a file to serve")?))?;
            Router::new().route("/{name}", get(download)).with_state(pieces)
        }
        other => bail!("no reference server `{other}`"),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

#[derive(Deserialize)]
struct ProduceRequest {
    records: Vec<NewRecord>,
}

/// Every member of the contract, because a server that does not look for them parses less.
#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed as the gateway must parse it, and then not used")]
struct NewRecord {
    key: Option<String>,
    headers: Option<std::collections::HashMap<String, String>>,
    partition: Option<u32>,
    timestamp: Option<u64>,
    value: Box<RawValue>,
}

#[derive(Serialize)]
struct ProduceAnswer {
    offsets: Vec<Receipt>,
}

#[derive(Serialize)]
struct Receipt {
    partition: u64,
    offset: u64,
    timestamp: u64,
}

async fn accept(State(next): State<Arc<AtomicU64>>, Json(request): Json<ProduceRequest>) -> Json<ProduceAnswer> {
    let timestamp = now_us() / 1_000;
    let first = next.fetch_add(request.records.len() as u64, Ordering::Relaxed);
    let receipt = |number| Receipt { partition: number % 4, offset: number / 4, timestamp };
    Json(ProduceAnswer { offsets: (first..).take(request.records.len()).map(receipt).collect() })
}

/// A broadcast of frames that are rendered once.
#[derive(Clone)]
struct Feed {
    frames: broadcast::Sender<Bytes>,
    next: Arc<AtomicU64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { frames: broadcast::Sender::new(1_024), next: Arc::default() }
    }
}

async fn broadcast(State(feed): State<Feed>, Json(request): Json<ProduceRequest>) -> Json<ProduceAnswer> {
    let timestamp = now_us() / 1_000;
    let mut offsets = Vec::new();
    for record in request.records {
        let (offset, value) = (feed.next.fetch_add(1, Ordering::Relaxed), record.value.get());
        // As long as an event of the gateway: a cursor, then the record as the contract shows it.
        let frame = format!(
            "id: {offset:040}\ndata: {{\"topic\":\"live\",\"partition\":0,\"offset\":{offset},\"timestamp\":{timestamp},\"value\":{value}}}\n\n"
        );
        // An error means that nobody listens.
        let _ = feed.frames.send(Bytes::from(frame));
        offsets.push(Receipt { partition: 0, offset, timestamp });
    }
    Json(ProduceAnswer { offsets })
}

async fn subscribe(State(feed): State<Feed>) -> impl IntoResponse {
    let live = stream::unfold(feed.frames.subscribe(), |mut frames| async {
        loop {
            match frames.recv().await {
                Ok(frame) => return Some((Ok::<_, std::convert::Infallible>(frame), frames)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(live))
}

/// The file in pieces of 256 KiB, held in memory.
fn read_pieces(path: &Path) -> Result<Arc<[Bytes]>> {
    let mut whole = Bytes::from(std::fs::read(path)?);
    let mut pieces = Vec::new();
    while !whole.is_empty() {
        pieces.push(whole.split_to(whole.len().min(256 * 1024)));
    }
    Ok(pieces.into())
}

async fn download(State(pieces): State<Arc<[Bytes]>>) -> impl IntoResponse {
    let pieces = (0..pieces.len()).map(move |number| Ok::<_, std::convert::Infallible>(pieces[number].clone()));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream::iter(pieces)))
}

/// Wall-clock time, which all processes of this machine share.
pub(crate) fn now_us() -> u64 {
    let since_epoch = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    since_epoch.as_micros() as u64
}
