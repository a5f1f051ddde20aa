//! Liveness and readiness are two things: a node whose database is away lives and is not ready, and says so in time.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_backend;
use crate::harness::postgres::Database;
use crate::harness::wait::eventually;

on_backend!(sqlite, Sqlite, a_node_that_is_well_says_so);
on_backend!(postgres, Postgres, a_node_that_is_well_says_so, a_database_that_falls_silent_is_told_of_and_kills_nobody);

async fn a_node_that_is_well_says_so(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    assert_eq!(gateway.get("/healthz").send().await.is(200).json()["status"], "ok");
    assert_eq!(gateway.get("/readyz").send().await.is(200).json()["status"], "ready");
}

async fn a_database_that_falls_silent_is_told_of_and_kills_nobody(_: Backend) {
    let database = Database::create().await;
    let url = database.url();
    let (before, rest) = url.split_once('@').expect("a user");
    let (server, name) = rest.split_once('/').expect("a name");
    let line = Line::to(server.to_owned()).await;
    let url = format!("{before}@{}/{name}", line.address);
    let gateway = Gateway::with(Backend::Sqlite, &["--database-url", &url, "--readers", "2"]).await;
    gateway.get("/readyz").send().await.is(200);

    line.hold(true);
    // Whatever nobody answers is given up after a while; no scrape and no question waits for ever.
    let refused = gateway.get("/readyz").send().await;
    refused.problem(503, "database_unavailable");
    gateway.get("/healthz").send().await.is(200);
    eventually("the metrics tell", async || {
        let metrics = gateway.get("/metrics").send().await.is(200);
        metrics.text().contains("\ntidegate_database_up 0\n").then_some(())
    })
    .await;

    line.hold(false);
    eventually("it is ready again", async || (gateway.get("/readyz").send().await.status == 200).then_some(())).await;
    eventually("the metrics tell", async || {
        let metrics = gateway.get("/metrics").send().await.is(200);
        metrics.text().contains("\ntidegate_database_up 1\n").then_some(())
    })
    .await;
}

/// A line to the database that can fall silent: connections stay, and no byte goes through.
struct Line {
    address: SocketAddr,
    held: watch::Sender<bool>,
}

impl Line {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (held, holding) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (server, mut holding) = (server.clone(), holding.clone());
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.expect("the server is there");
                    loop {
                        holding.wait_for(|held| !held).await.ok();
                        tokio::select! {
                            _ = copy_bidirectional(&mut near, &mut far) => return,
                            _ = holding.wait_for(|held| *held) => {}
                        }
                    }
                });
            }
        });
        Self { address, held }
    }

    fn hold(&self, hold: bool) {
        self.held.send_replace(hold);
    }
}
