//! The composition root: builds the floors from the bottom up, runs the node, and takes it down. The order of the lines
//! of [`run`] is the order of shutdown.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use tokio::net::TcpListener;

use crate::access;
use crate::access::Access;
use crate::broker::Broker;
use crate::config::Config;
use crate::groups;
use crate::http;
use crate::http::native::Api;
use crate::http::ops::Ops;
use crate::http::ops::Readiness;
use crate::http::ops::metrics::Figures;
use crate::http::ops::metrics::Scrape;
use crate::http::tls::Tls;
use crate::log;
use crate::segments::SegmentCache;
use crate::segments::refuse_foreign;
use crate::store;
use crate::tasks;
use crate::tasks::Tasks;
use crate::telemetry::traces;

/// What the server may take beyond its own bound to see connections out.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// What the logs may take to write what they have accepted.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Runs the node on `listener` until `stop` ends, then takes it down in order. Prints `listening on http://ADDR` (with
/// TLS `https://ADDR`) on standard output once it takes requests.
///
/// # Errors
/// What kept it from starting, or made it end unasked.
pub async fn run(config: Config, listener: TcpListener, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let address = listener.local_addr().context("the listener has no address")?;
    let server = Tasks::default(); // stops first: its token is what drains
    let workers = Tasks::default(); // stops when nothing can be accepted any more
    let draining = server.stopping().clone();

    let tls = config.http.tls.clone().map(Tls::open).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let metrics = http::metrics();
    let watchers = Tasks::default(); // stops last: tells of the others
    let tracer = traces::start(config.traces, &metrics, &watchers);
    let store = store::open(&config.store).await?;
    refuse_foreign(&config.segments.dir)?;
    let segments = tasks::blocking(move || Arc::new(SegmentCache::open(config.segments))).await;
    let logs = log::start(Arc::clone(&store), segments, &config.log, &metrics, &workers);
    let groups = groups::start(Arc::clone(&store), Arc::clone(&metrics), &workers);
    let access = access::start(Arc::clone(&store), config.access, &workers).await?;
    protect(&access, address, config.insecure_no_auth)?;
    let limits = config.http.limits.clone();
    let broker =
        Broker::new(Arc::clone(&store), logs.clone(), groups, limits.clone(), config.broker, Arc::clone(&metrics));
    broker.keep_groups(&workers);
    broker.keep_up(&workers);
    let api = Api::new(broker.clone(), access.clone(), config.native, draining.clone(), &workers);

    let node = Arc::new(Node(broker));
    let ops = Ops {
        readiness: Arc::clone(&node) as _,
        scrape: Scrape { metrics: Arc::clone(&metrics), figures: node },
        draining: draining.clone(),
        limits: Arc::new(limits),
    };
    let front = http::front(http::router(api, ops, &access), access, &config.http, metrics, tracer);
    let drain_max = config.http.server.drain_max;
    server.spawn_essential("http", {
        let serving = http::server::serve(listener, front, config.http.server, tls, draining);
        async move {
            serving.await;
            Ok::<_, std::convert::Infallible>(())
        }
    });
    if !address.ip().is_loopback() && scheme == "http" {
        tracing::warn!("listening on {address} without TLS: put a proxy in front that has it, or give --tls-cert");
    }
    println!("listening on {scheme}://{address}");

    let outcome = tokio::select! {
        () = stop => Ok(()),
        failure = server.failed() => Err(failure),
        failure = workers.failed() => Err(failure),
    };
    tracing::info!("shutting down");
    if let Err(late) = server.stop(drain_max + CLOSE_MAX).await {
        tracing::error!("{late}");
    }
    logs.close(); // what was accepted is still written
    if let Err(late) = workers.stop(FLUSH_MAX).await {
        tracing::error!("{late}");
    }
    store.close().await;
    if let Err(late) = watchers.stop(FLUSH_MAX).await {
        tracing::error!("{late}");
    }
    outcome.context("the node ended unasked")
}

/// The start was refused: everybody who reaches the address could do everything.
#[derive(Debug, thiserror::Error)]
#[error(
    "{address} can be reached by others, and no call needs a key: make one (`tidegate keys create --name root --allow \
     'admin:*'`), set TIDEGATE_ADMIN_KEY, or say --insecure-no-auth if everybody who reaches it may do everything"
)]
pub struct Unprotected {
    address: SocketAddr,
}

/// Refuses to serve others without keys, and says so where nobody needs one.
fn protect(access: &Access, address: SocketAddr, insecure_no_auth: bool) -> Result<(), Unprotected> {
    if access.is_on() {
        return Ok(());
    }
    if address.ip().is_loopback() {
        tracing::info!("no call needs a key: whoever is on this machine may do everything, until there is a first key");
    } else if insecure_no_auth {
        tracing::warn!("no call needs a key: whoever reaches {address} may read and write everything");
    } else {
        return Err(Unprotected { address });
    }
    Ok(())
}

/// What `http::ops` asks of the node.
struct Node(Broker);

#[async_trait]
impl Figures for Node {
    async fn take(&self) {
        self.0.take_figures().await;
    }
}

/// Ready as long as the database answers.
#[async_trait]
impl Readiness for Node {
    async fn check(&self) -> Result<(), String> {
        self.0.check_ready().await.map_err(|error| error.to_string())
    }
}
