//! `groups`: what it costs to be in a consumer group: waiting, joining, reading with commits, and taking over from a
//! member that is gone. The base is a reader without a group; for a take-over it is the lease.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use tokio::task::JoinSet;

use crate::Bench;
use crate::client::Latencies;
use crate::member::Member;
use crate::member::PlainReader;
use crate::process::Server;
use crate::produce::PROBE;
use crate::produce::ROUNDS;
use crate::produce::create_topic;
use crate::produce::fill;
use crate::report::Aim;
use crate::report::median;
use crate::rest;

/// Joins in a round.
const JOINS: usize = 500;

/// 1 KB records that one turn of `polling` reads.
const MEBIBYTES: u64 = 64;
/// Records in a page.
const PAGE: usize = 500;
/// The size of one read of a client that takes whole pages.
const BUFFER_BYTES: usize = 256 << 10;

/// Groups in which a member stops at the same time, and how often one does in each.
const TAKEOVER_GROUPS: usize = 5;
const TAKEOVERS: usize = 10;
const LEASE_MS: u64 = 1_000;
/// A crashed member's partitions are served by others within the lease and so much.
const GRACE_MS: f64 = 1_000.0;

/// Longer than any measurement here: only stopping is to end such a member.
const LONG_LEASE: &str = r#""lease_ms":600000"#;

/// How often members may poll until each has its share.
const POLLS_TO_SETTLE_MAX: usize = 200;

pub(crate) async fn groups(bench: &mut Bench) -> Result<()> {
    if bench.limits_only() {
        println!("groups: needs the gateway");
        return Ok(());
    }
    rest::at_rest(bench).await?;
    joining(bench).await?;
    polling(bench).await?;
    takeover(bench).await
}

/// The first poll of a member of a new group, which has records, beside a read of the same page.
async fn joining(bench: &mut Bench) -> Result<()> {
    let Some(server) = bench.gateway("joining").await? else { return Ok(()) };
    create_topic(&server, "joined", 4).await?;
    fill(&server, "joined", 8).await?;
    let (mut joins, mut reads) = (Latencies::default(), Latencies::default());
    bench.conditions.clear();
    for round in 0..ROUNDS {
        bench.measure_conditions(PROBE)?;
        for number in 0..JOINS {
            let group = format!("join-{round}-{number}");
            let terms = r#""topics":["joined"]"#.to_owned();
            let mut member = Member::open(server.address, &group, "m", terms, BUFFER_BYTES).await?;
            let before = Instant::now();
            let joined = member.poll(r#""max_records":10"#).await?;
            joins.0.push(before.elapsed().as_nanos() as u64);
            ensure!(joined.has_records && joined.assignments.len() == 4, "joined without records or partitions");
            // Its lease would run out during the measurement of the next.
            member.leave().await?;
        }
        for _ in 0..JOINS {
            let path = "/v1/topics/joined/records?max_records=10".to_owned();
            let mut reader = PlainReader::open(server.address, path, "earliest", BUFFER_BYTES).await?;
            let before = Instant::now();
            ensure!(reader.read().await?.has_records, "read no records");
            reads.0.push(before.elapsed().as_nanos() as u64);
        }
    }
    let (p50, p99) = (joins.quantile_ms(0.5), joins.quantile_ms(0.99));
    let sync = bench.conditions(|now| now.sync_p50_ms);
    bench.row("joining, p50, beside fdatasync of 4 KiB", "ms", Some(p50), sync, Aim::None);
    bench.row("joining, p50, beside a plain read", "ms", Some(p50), Some(reads.quantile_ms(0.5)), Aim::None);
    bench.row("joining, p99, beside a plain read", "ms", Some(p99), Some(reads.quantile_ms(0.99)), Aim::None);
    Ok(())
}

/// A member that reads a topic page by page and commits each, beside a reader with a cursor; then eight of each, with a
/// partition for each.
async fn polling(bench: &mut Bench) -> Result<()> {
    for readers in [1, 8] {
        let Some(server) = bench.gateway(&format!("polling-{readers}")).await? else { return Ok(()) };
        create_topic(&server, "polled", readers as u32).await?;
        let records = fill(&server, "polled", MEBIBYTES).await?;
        // Once for the caches.
        plain(server.address, readers, records).await?;
        let (mut of_members, mut of_plain) = (Vec::new(), Vec::new());
        bench.conditions.clear();
        for round in 0..ROUNDS {
            bench.measure_conditions(PROBE)?;
            of_members.push(committing(&server, &format!("poll-{round}"), readers, records).await?);
            of_plain.push(plain(server.address, readers, records).await?);
        }
        let name = format!("polling 1 KB, pages of {PAGE}, members: {readers}");
        bench.row(&name, "rec/s", median(of_members), median(of_plain), Aim::None);
        drop(server);
        bench.forget(&format!("polling-{readers}"));
    }
    Ok(())
}

/// Records per second of all members together.
async fn committing(server: &Server, group: &str, count: usize, records: u64) -> Result<f64> {
    let terms = format!(r#""topics":["polled"],{LONG_LEASE}"#);
    let mut members = Vec::new();
    for number in 0..count {
        members.push(Member::open(server.address, group, &format!("m-{number}"), terms.clone(), BUFFER_BYTES).await?);
    }
    settle(&mut members).await?;
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for mut member in members {
        tasks.spawn(async move {
            let options = format!(r#""max_records":{PAGE}"#);
            loop {
                let ending = member.poll(&options).await?;
                if ending.at_tail {
                    // The last page is committed as every other was.
                    member.poll(&options).await?;
                    return anyhow::Ok(ending.assignments.iter().map(|held| held.next_offset).sum::<u64>());
                }
            }
        });
    }
    let mut read = 0;
    while let Some(done) = tasks.join_next().await {
        read += done??;
    }
    let seconds = start.elapsed().as_secs_f64();
    ensure!(read == records, "{read} of {records} records were polled");
    Ok(records as f64 / seconds)
}

/// Polls until each has exactly one partition; reads next to nothing.
async fn settle(members: &mut [Member]) -> Result<()> {
    for _ in 0..POLLS_TO_SETTLE_MAX {
        let mut settled = 0;
        for member in members.iter_mut() {
            let held = member.poll(r#""max_records":1"#).await?.assignments.len();
            settled += usize::from(held == 1);
        }
        if settled == members.len() {
            return Ok(());
        }
    }
    bail!("{} members have not shared out as many partitions", members.len())
}

/// The same of readers that keep a cursor.
async fn plain(address: SocketAddr, count: usize, records: u64) -> Result<f64> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for partition in 0..count {
        let path = format!("/v1/topics/polled/records?max_records={PAGE}&partition={partition}");
        let mut reader = PlainReader::open(address, path, "earliest", BUFFER_BYTES).await?;
        tasks.spawn(async move {
            while !reader.read().await?.at_tail {}
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(records as f64 / start.elapsed().as_secs_f64())
}

/// From the last answer to a member, which polls no more, until the other has been given its partition.
async fn takeover(bench: &mut Bench) -> Result<()> {
    let Some(server) = bench.gateway("takeover").await? else { return Ok(()) };
    create_topic(&server, "left", 2).await?;
    bench.conditions.clear();
    bench.measure_conditions(PROBE)?;
    let mut tasks = JoinSet::new();
    for lane in 0..TAKEOVER_GROUPS {
        let address = server.address;
        tasks.spawn(async move {
            let mut times = Vec::new();
            for turn in 0..TAKEOVERS {
                // Else each would stop at the same time after the gateway last looked for leases that ran out.
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..LEASE_MS))).await;
                times.push(take_over(address, &format!("takeover-{lane}-{turn}")).await?.as_nanos() as u64);
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Latencies::default();
    while let Some(done) = tasks.join_next().await {
        times.0.extend(done??);
    }
    bench.measure_conditions(PROBE)?;
    let lease = Some(LEASE_MS as f64);
    for (figure, q, aim) in [("p50", 0.5, Aim::None), ("p99", 0.99, Aim::None), ("max", 1.0, Aim::Above(GRACE_MS))] {
        let value = Some(times.quantile_ms(q));
        bench.row(&format!("takeover, {figure}, beside the lease"), "ms", value, lease, aim);
    }
    Ok(())
}

async fn take_over(address: SocketAddr, group: &str) -> Result<Duration> {
    let terms = format!(r#""topics":["left"],"lease_ms":{LEASE_MS}"#);
    let mut members = Vec::new();
    for name in ["stays", "stops"] {
        members.push(Member::open(address, group, name, terms.clone(), 4 * 1024).await?);
    }
    settle(&mut members).await?;
    // The one that stops was the last to be answered.
    let (stopped, patience) = (Instant::now(), Duration::from_secs(20));
    members.truncate(1);
    let mut stays = members.remove(0);
    let options = format!(r#""wait_ms":{}"#, LEASE_MS / 2);
    while stays.poll(&options).await?.assignments.len() < 2 {
        ensure!(stopped.elapsed() < patience, "nobody took over within {patience:?}");
    }
    let took = stopped.elapsed();
    stays.leave().await?;
    Ok(took)
}
