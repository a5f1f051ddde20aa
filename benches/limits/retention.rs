//! `retention`: how large the tables in PostgreSQL are beside what they keep, while records come as fast as they are
//! taken and go again, by size and by age. And what that costs those who produce.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use bytes::Bytes;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;

use crate::Bench;
use crate::client::Load;
use crate::client::Until;
use crate::client::load;
use crate::data;
use crate::database::Database;
use crate::database::Sizes;
use crate::process::Server;
use crate::report::Aim;

/// At 10 GB turned over the table is to stay below this many times what is kept.
const RATIO_MAX: f64 = 1.5;

/// How often the tables are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Those who produce, each with one request under way.
const CONNECTIONS: usize = 8;

/// Bytes in each of three topics' share of the requests.
const SHARE_BYTES: usize = 12_000_000;

/// How long `gigabytes` may take, at 10 MB/s.
pub(crate) fn patience(bench: &Bench) -> Duration {
    Duration::from_secs(100 * bench.gigabytes)
}

pub(crate) async fn retention(bench: &mut Bench) -> Result<()> {
    let url = bench.database_url.clone().context("needs --database-url URL")?;
    let Some(binary) = bench.binary.clone() else {
        println!("retention: needs the gateway");
        return Ok(());
    };
    let wanted = bench.gigabytes as f64 * 1e9;
    let requests = requests();
    bench.measure_conditions(Duration::from_secs(1))?;

    // The same with nothing to drop: long enough for a few checkpoints.
    let untouched = Database::create(&url, "untouched")?;
    let node = Server::node(&binary, bench.folder(), "untouched", &untouched.url).await?;
    create_topics(&node, &[-1, -1], -1).await?;
    let all_stays = load(node.address, &requests, CONNECTIONS, until(&requests, wanted / 5.0)).await?;
    node.process.stop().await?;
    drop(untouched);
    bench.measure_conditions(Duration::from_secs(1))?;

    // A half is kept of the topic with large batches, a sixth of the one with small ones; and, by age, about a third.
    let keep = wanted / 10.0;
    let seconds = keep / (all_stays.megabytes_per_second * 1e6);
    let database = Database::create(&url, "turned")?;
    let node = Server::node(&binary, bench.folder(), "turned", &database.url).await?;
    create_topics(&node, &[(keep / 2.0) as i64, (keep / 6.0) as i64], (seconds * 1e3) as i64).await?;
    let mut look = database.look().await?;
    let (mut highest, mut last) = (Sizes::default(), Sizes::default());
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turning = std::pin::pin!(load(node.address, &requests, CONNECTIONS, until(&requests, wanted)));
    let come_and_go = loop {
        tokio::select! {
            done = &mut turning => break done?,
            _ = looks.tick() => {}
        }
        last = Sizes::now(&mut look).await?;
        // Before, nothing has gone yet.
        if last.came > keep && (highest.came == 0.0 || last.ratio() > highest.ratio()) {
            highest = last;
        }
    };
    node.process.stop().await?;
    bench.measure_conditions(Duration::from_secs(1))?;
    report(bench, &highest, &last, &all_stays, &come_and_go);
    Ok(())
}

fn report(bench: &Bench, highest: &Sizes, last: &Sizes, all_stays: &Load, come_and_go: &Load) {
    let ratio = |sizes: &Sizes, when| {
        let (size, kept) = (Some(sizes.batches / 1e6), Some(sizes.kept / 1e6));
        bench.row(&format!("table beside what it keeps, {when}"), "MB", size, kept, Aim::RatioTo(RATIO_MAX));
    };
    ratio(highest, "at its highest");
    ratio(last, "at the end");
    bench.row("turned over until then", "MB", Some(last.came / 1e6), None, Aim::None);
    bench.row("all other tables, at the end", "MB", Some(last.others / 1e6), None, Aim::None);
    let beside = |what, unit, figure: fn(&Load) -> f64| {
        bench.row(what, unit, Some(figure(come_and_go)), Some(figure(all_stays)), Aim::None);
    };
    beside("produce while records go, beside all stay", "MB/s", |load| load.megabytes_per_second);
    beside("the same, p50", "ms", |load| load.p50_ms);
    beside("the same, p99", "ms", |load| load.p99_ms);
}

/// Sizes to keep of `orders` and `clicks`, and the age up to which `audits` are kept in milliseconds; -1 is no limit.
async fn create_topics(node: &Server, bytes: &[i64; 2], ms: i64) -> Result<()> {
    let topics = [("orders", 2, -1, bytes[0] / 2), ("clicks", 4, -1, bytes[1] / 4), ("audits", 2, ms, -1)];
    for (name, partitions, ms, bytes) in topics {
        // Integer division has made a nothing of "no limit".
        let bytes = if bytes == 0 { -1 } else { bytes };
        let body = format!(r#"{{"partition_count":{partitions},"retention_ms":{ms},"retention_bytes":{bytes}}}"#);
        let request = data::request("PUT", &format!("/v1/topics/{name}"), "application/json", &body);
        load(node.address, &[request].into(), 1, Until::Requests(1)).await?;
    }
    Ok(())
}

/// As many bytes in batches of 1,000 records as in batches of 10 and 100, mixed.
fn requests() -> Arc<[Bytes]> {
    let mut all = Vec::new();
    for (topic, records) in [("orders", 1_000), ("clicks", 10), ("audits", 100)] {
        // A record takes about 1 KB.
        all.extend_from_slice(&data::order_posts(topic, SHARE_BYTES / 1_000 / records, records));
    }
    fastrand::Rng::with_seed(7).shuffle(&mut all);
    all.into()
}

/// Until about so many bytes were sent.
fn until(requests: &[Bytes], bytes: f64) -> Until {
    let mean = requests.iter().map(|request| request.len() as f64).sum::<f64>() / requests.len() as f64;
    Until::Requests((bytes / mean) as u64)
}
