//! `cluster`: the gateway on PostgreSQL, one node and two, beside pgbench on the same server, and what comes to one node
//! seen on the other. It needs a server (`--database-url`); the disk columns are those of this program's own folder.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use bytes::Bytes;

use crate::Bench;
use crate::client::Load;
use crate::client::Until;
use crate::client::load;
use crate::data;
use crate::database::Database;
use crate::fanout::Summary;
use crate::fanout::deliver;
use crate::pgbench::Inserts;
use crate::pgbench::Pgbench;
use crate::process::Server;
use crate::produce::PROBE;
use crate::produce::create_topic;
use crate::report::Aim;
use crate::report::median;

/// More turns than elsewhere: a server that writes its checkpoints and vacuums when it likes varies more.
const ROUNDS: usize = 5;

/// Connections of all producers together, to one node or to two, and of pgbench.
const CONNECTIONS: usize = 64;

/// Connections that send large batches.
const BATCH_CONNECTIONS: usize = 4;

const PARTITIONS: u32 = 4;

pub(crate) async fn cluster(bench: &mut Bench) -> Result<()> {
    let server = bench.database_url.clone().context(
        "needs --database-url, such as postgres://user:password@127.0.0.1:5432/postgres: a server where databases may be \
         made and dropped",
    )?;
    let database = Database::create(&server, "cluster")?;
    let pgbench = Pgbench::prepare(&database)?;
    small(bench, &database, &pgbench).await?;
    batches(bench, &database, &pgbench).await?;
    streams(bench, &database).await
}

/// One small record per POST: to one node, to two nodes on the same partitions, to two nodes on a topic each.
async fn small(bench: &mut Bench, database: &Database, pgbench: &Pgbench<'_>) -> Result<()> {
    let row = data::small_row();
    let (mut plain, mut one, mut same, mut own) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let first = node(bench, database, "a").await?;
    if let Some(first) = &first {
        for topic in ["bench", "other"] {
            create_topic(first, topic, PARTITIONS).await?;
        }
        load(first.address, &data::single_posts("bench"), 16, Until::Requests(2_000)).await?;
    }
    let (requests, others) = (data::single_posts("bench"), data::single_posts("other"));
    let until = Until::Elapsed(Duration::from_secs(bench.seconds));
    for _ in 0..ROUNDS {
        bench.measure_conditions(PROBE)?;
        plain.push(pgbench.inserts(bench.folder(), &row, CONNECTIONS, bench.seconds).await?);
        let Some(first) = &first else { continue };
        one.push(load(first.address, &requests, CONNECTIONS, until).await?);
        let Some(second) = node(bench, database, "b").await? else { continue };
        load(second.address, &others, 16, Until::Requests(2_000)).await?;
        same.push(both((first, &requests), (&second, &requests), until).await?);
        own.push(both((first, &requests), (&second, &others), until).await?);
    }
    let of_them = |figure: fn(&Inserts) -> f64| median(plain.iter().map(figure));
    let rate = |turns: &[Load]| median(turns.iter().map(|it| it.requests_per_second));
    let (of_one, of_pgbench) = (rate(&one), of_them(|it| it.per_second));
    let p50 = median(one.iter().map(|it| it.p50_ms));
    bench.row("cluster, one node, beside pgbench", "req/s", of_one, of_pgbench, Aim::RatioFrom(2.0));
    bench.row("cluster, one node, p50, beside pgbench's mean", "ms", p50, of_them(|it| it.mean_ms), Aim::None);
    bench.row("cluster, one node, p99", "ms", median(one.iter().map(|it| it.p99_ms)), None, Aim::None);
    bench.row("cluster, two nodes 32 + 32, beside one node", "req/s", rate(&same), of_one, Aim::None);
    bench.row("cluster, two nodes 32 + 32, beside pgbench", "req/s", rate(&same), of_pgbench, Aim::None);
    bench.row("cluster, two nodes, a topic each, beside one", "req/s", rate(&own), of_one, Aim::None);
    bench.row("cluster, two nodes, a topic each, beside pgbench", "req/s", rate(&own), of_pgbench, Aim::None);
    Ok(())
}

/// 1,000 records of 1 KB per POST, beside pgbench with rows as long as our batch.
async fn batches(bench: &mut Bench, database: &Database, pgbench: &Pgbench<'_>) -> Result<()> {
    let row = data::large_row();
    let requests = data::batch_posts("large");
    let first = node(bench, database, "a").await?;
    if let Some(first) = &first {
        create_topic(first, "large", PARTITIONS).await?;
    }
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    bench.conditions.clear();
    for _ in 0..ROUNDS {
        bench.measure_conditions(PROBE)?;
        let inserts = pgbench.inserts(bench.folder(), &row, BATCH_CONNECTIONS, bench.seconds).await?;
        plain.push(inserts.per_second * row.len() as f64 / 1e6);
        if let Some(first) = &first {
            let until = Until::Elapsed(Duration::from_secs(bench.seconds));
            ours.push(load(first.address, &requests, BATCH_CONNECTIONS, until).await?.megabytes_per_second);
        }
    }
    bench.row("cluster, 1,000 × 1 KB, beside pgbench", "MB/s", median(ours), median(plain), Aim::None);
    Ok(())
}

/// From a record's post to its event at a subscriber of the other node, beside one of the same node, at a gentle rate.
async fn streams(bench: &mut Bench, database: &Database) -> Result<()> {
    let (Some(first), Some(second)) = (node(bench, database, "a").await?, node(bench, database, "b").await?) else {
        return Ok(());
    };
    create_topic(&first, "live", 1).await?;
    let (mut of_other, mut of_same) = (Vec::new(), Vec::new());
    bench.conditions.clear();
    for _ in 0..ROUNDS {
        bench.measure_conditions(PROBE)?;
        of_other.push(deliver(bench, &first, &second, 1).await?);
        of_same.push(deliver(bench, &first, &first, 1).await?);
    }
    let compare =
        |figure: fn(&Summary) -> f64| (median(of_other.iter().map(figure)), median(of_same.iter().map(figure)));
    let (value, limit) = compare(|it| it.p50_ms);
    bench.row("cluster, POST to SSE of the other node, p50", "ms", value, limit, Aim::None);
    let (value, limit) = compare(|it| it.p99_ms);
    bench.row("cluster, POST to SSE of the other node, p99", "ms", value, limit, Aim::None);
    Ok(())
}

/// A node on the database, with a folder of its own for its cache.
async fn node(bench: &Bench, database: &Database, name: &str) -> Result<Option<Server>> {
    let data = format!("cluster-{name}");
    match &bench.binary {
        Some(binary) => Ok(Some(Server::node(binary, bench.folder(), &data, &database.url).await?)),
        None => Ok(None),
    }
}

/// Half of the connections to each of two nodes at once; requests of both per second.
async fn both(
    (first, to_first): (&Server, &Arc<[Bytes]>),
    (second, to_second): (&Server, &Arc<[Bytes]>),
    until: Until,
) -> Result<Load> {
    let half = CONNECTIONS / 2;
    let (a, b) =
        tokio::try_join!(load(first.address, to_first, half, until), load(second.address, to_second, half, until))?;
    Ok(Load {
        requests_per_second: a.requests_per_second + b.requests_per_second,
        megabytes_per_second: a.megabytes_per_second + b.megabytes_per_second,
        p50_ms: f64::midpoint(a.p50_ms, b.p50_ms),
        p99_ms: a.p99_ms.max(b.p99_ms),
    })
}
