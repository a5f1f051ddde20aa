//! `produce`, `lone` and `batch`: how fast records become durable.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;

use crate::Bench;
use crate::client::Load;
use crate::client::Until;
use crate::client::load;
use crate::data;
use crate::process::Server;
use crate::report::Aim;
use crate::report::median;

/// How often each side has its turn; the medians are compared.
pub(crate) const ROUNDS: usize = 3;

/// How long the disk is measured before each round where it is not itself the limit.
pub(crate) const PROBE: Duration = Duration::from_millis(500);

/// A server and what each of its turns came to.
struct Side {
    server: Option<Server>,
    turns: Vec<Load>,
}

impl Side {
    fn new(server: Option<Server>) -> Self {
        Self { server, turns: Vec::new() }
    }

    async fn turn(&mut self, requests: &Arc<[Bytes]>, connections: usize, seconds: u64) -> Result<()> {
        if let Some(server) = &self.server {
            let until = Until::Elapsed(Duration::from_secs(seconds));
            self.turns.push(load(server.address, requests, connections, until).await?);
        }
        Ok(())
    }

    fn median(&self, figure: impl Fn(&Load) -> f64) -> Option<f64> {
        median(self.turns.iter().map(figure))
    }
}

/// One small record per POST, on many connections, beside a handler that parses and answers the same.
pub(crate) async fn produce(bench: &mut Bench) -> Result<()> {
    for connections in [64, 256] {
        let (mut gateway, mut bare) = sides(bench, "produce", 4).await?;
        let requests = data::single_posts("bench");
        for _ in 0..ROUNDS {
            bench.measure_conditions(PROBE)?;
            gateway.turn(&requests, connections, bench.seconds).await?;
            bare.turn(&requests, connections, bench.seconds).await?;
        }
        let name = |figure| format!("produce 100 B, {connections} connections{figure}");
        let rate = |load: &Load| load.requests_per_second;
        let aim = if connections == 64 { Aim::RatioFrom(0.6) } else { Aim::None };
        bench.row(&name(""), "req/s", gateway.median(rate), bare.median(rate), aim);
        bench.row(&name(", p50"), "ms", gateway.median(|it| it.p50_ms), bare.median(|it| it.p50_ms), Aim::None);
        bench.row(&name(", p99"), "ms", gateway.median(|it| it.p99_ms), bare.median(|it| it.p99_ms), Aim::None);
    }
    Ok(())
}

/// One small record per POST, one at a time, beside one fdatasync.
pub(crate) async fn lone(bench: &mut Bench) -> Result<()> {
    let (mut gateway, mut bare) = sides(bench, "lone", 4).await?;
    let requests = data::single_posts("bench");
    for _ in 0..ROUNDS {
        bench.measure_conditions(Duration::from_secs(2))?;
        gateway.turn(&requests, 1, bench.seconds).await?;
        bare.turn(&requests, 1, bench.seconds).await?;
    }
    let (p50, p99) = (|load: &Load| load.p50_ms, |load: &Load| load.p99_ms);
    let (sync_p50, sync_p99) = (bench.conditions(|now| now.sync_p50_ms), bench.conditions(|now| now.sync_p99_ms));
    bench.row("lone p50, beside fdatasync of 4 KiB", "ms", gateway.median(p50), sync_p50, Aim::Above(0.15));
    bench.row("lone p99, beside fdatasync of 4 KiB", "ms", gateway.median(p99), sync_p99, Aim::None);
    bench.row("lone p50, beside bare axum (no disk)", "ms", gateway.median(p50), bare.median(p50), Aim::None);
    Ok(())
}

/// 1,000 records of 1 KB per POST on 4 connections, beside writing to one file.
pub(crate) async fn batch(bench: &mut Bench) -> Result<()> {
    let (mut gateway, mut bare) = sides(bench, "batch", 4).await?;
    let requests = data::batch_posts("bench");
    for _ in 0..ROUNDS {
        bench.measure_conditions(Duration::from_secs(2))?;
        gateway.turn(&requests, 4, bench.seconds).await?;
        bare.turn(&requests, 4, bench.seconds).await?;
    }
    let rate = |load: &Load| load.megabytes_per_second;
    let sequential = bench.conditions(|now| now.sequential);
    let value = gateway.median(rate);
    bench.row("batch 1,000 × 1 KB, beside write+fdatasync/MiB", "MB/s", value, sequential, Aim::RatioFrom(0.5));
    bench.row("batch 1,000 × 1 KB, beside bare axum (no disk)", "MB/s", value, bare.median(rate), Aim::None);
    Ok(())
}

/// A gateway with the topic `bench`, and the bare handler; both have been asked once for every code path to be warm.
async fn sides(bench: &Bench, data: &str, partitions: u32) -> Result<(Side, Side)> {
    let gateway = bench.gateway(data).await?;
    if let Some(server) = &gateway {
        create_topic(server, "bench", partitions).await?;
    }
    let bare = Server::reference(bench.folder(), &["produce"]).await?;
    let requests = data::single_posts("bench");
    for server in gateway.iter().chain([&bare]) {
        load(server.address, &requests, 16, Until::Requests(2_000)).await?;
    }
    Ok((Side::new(gateway), Side::new(Some(bare))))
}

/// Creates a topic on a gateway.
pub(crate) async fn create_topic(server: &Server, topic: &str, partitions: u32) -> Result<()> {
    let body = format!(r#"{{"partition_count":{partitions}}}"#);
    let request = data::request("PUT", &format!("/v1/topics/{topic}"), "application/json", &body);
    load(server.address, &[request].into(), 1, Until::Requests(1)).await?;
    Ok(())
}

/// Fills a topic of a gateway with records of 1 KB; says how many.
pub(crate) async fn fill(server: &Server, topic: &str, mebibytes: u64) -> Result<u64> {
    let requests = data::batch_posts(topic);
    let mean = requests.iter().map(|request| request.len() as u64).sum::<u64>() / requests.len() as u64;
    let count = (mebibytes << 20) / mean;
    load(server.address, &requests, 4, Until::Requests(count)).await?;
    Ok(count * data::BATCH as u64)
}
