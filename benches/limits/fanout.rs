//! `sse` and `memory`: what it takes to bring each record to thousands of subscribers, and to hold them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use fastrand::Rng;
use memchr::memmem;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::Bench;
use crate::client::Connection;
use crate::client::Latencies;
use crate::client::each_line;
use crate::data;
use crate::process::Process;
use crate::process::Server;
use crate::produce::PROBE;
use crate::produce::ROUNDS;
use crate::produce::create_topic;
use crate::reference::now_us;
use crate::report::Aim;
use crate::report::median;

const SUBSCRIBERS: [usize; 2] = [1_000, 5_000];

/// Publishers, each with a connection and 10 records a second at moments of its own: 50 a second in all, and a slow
/// answer to one does not hold up the next.
const PUBLISHERS: u32 = 5;
const PERIOD: Duration = Duration::from_millis(100);

/// 50 records a second to all subscribers, beside a broadcast of ready frames.
pub(crate) async fn sse(bench: &mut Bench) -> Result<()> {
    for subscribers in SUBSCRIBERS {
        let (mut of_gateway, mut of_bare) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            bench.measure_conditions(PROBE)?;
            if let Some(gateway) = gateway(bench, &format!("sse-{subscribers}-{round}")).await? {
                of_gateway.push(deliver(bench, &gateway, &gateway, subscribers).await?);
            }
            let bare = Server::reference(bench.folder(), &["sse"]).await?;
            of_bare.push(deliver(bench, &bare, &bare, subscribers).await?);
        }
        let compare =
            |figure: fn(&Summary) -> f64| (median(of_gateway.iter().map(figure)), median(of_bare.iter().map(figure)));
        let name = |figure| format!("SSE, {subscribers} subscribers, {figure}");
        let (value, limit) = compare(|it| it.per_second);
        bench.row(&name("deliveries"), "/s", value, limit, Aim::RatioFrom(0.9));
        let (value, limit) = compare(|it| it.p50_ms);
        bench.row(&name("p50"), "ms", value, limit, Aim::None);
        let (value, limit) = compare(|it| it.p99_ms);
        bench.row(&name("p99"), "ms", value, limit, Aim::RatioTo(1.5));
    }
    Ok(())
}

/// Resident memory of a gateway that does nothing, and what each subscriber adds once it has been sent a few records.
pub(crate) async fn memory(bench: &mut Bench) -> Result<()> {
    let mut at_rest = (None, None);
    for subscribers in SUBSCRIBERS {
        let of_gateway = match gateway(bench, &format!("memory-{subscribers}")).await? {
            Some(gateway) => Some(hold(bench, &gateway, subscribers).await?),
            None => None,
        };
        let bare = Server::reference(bench.folder(), &["sse"]).await?;
        let of_bare = hold(bench, &bare, subscribers).await?;
        at_rest = (of_gateway.map(|it| it.0 / 1e6), Some(of_bare.0 / 1e6));
        let what = format!("memory per subscriber, {subscribers} idle");
        bench.row(&what, "kB", of_gateway.map(|it| it.1 / 1e3), Some(of_bare.1 / 1e3), Aim::RatioTo(0.6));
    }
    bench.row("memory at rest", "MB", at_rest.0, at_rest.1, Aim::To(40.0));
    Ok(())
}

async fn gateway(bench: &Bench, data: &str) -> Result<Option<Server>> {
    let gateway = bench.gateway(data).await?;
    if let Some(server) = &gateway {
        create_topic(server, "live", 1).await?;
    }
    Ok(gateway)
}

/// Publishes to one server, and has so many subscribers on the other, which may be the same.
pub(crate) async fn deliver(bench: &Bench, to: &Server, from: &Server, subscribers: usize) -> Result<Summary> {
    let mut client = Subscribers::connect(bench, from, subscribers).await?;
    let records = publish(to.address, bench.seconds).await?;
    let summary = client.finish(subscribers as u64 * records).await?;
    ensure!(summary.ended == 0, "{} of {subscribers} streams ended", summary.ended);
    Ok(summary)
}

/// Bytes at rest, and bytes per subscriber on top.
async fn hold(bench: &Bench, server: &Server, subscribers: usize) -> Result<(f64, f64)> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let at_rest = server.process.resident()?;
    let mut client = Subscribers::connect(bench, server, subscribers).await?;
    let records = publish(server.address, 1).await?;
    client.finish(subscribers as u64 * records).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok((at_rest, (server.process.resident()? - at_rest) / subscribers as f64))
}

/// Publishes for so many seconds; says how many records that were.
async fn publish(address: SocketAddr, seconds: u64) -> Result<u64> {
    let each = seconds * 1_000 / PERIOD.as_millis() as u64;
    let mut tasks = JoinSet::new();
    let start = tokio::time::Instant::now() + PERIOD;
    for number in 0..PUBLISHERS {
        let mut connection = Connection::open(address, 16 * 1024).await?;
        let mut ticks = tokio::time::interval_at(start + PERIOD * number / PUBLISHERS, PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut rng = Rng::with_seed(u64::from(number));
        tasks.spawn(async move {
            for _ in 0..each {
                ticks.tick().await;
                connection.exchange(&data::stamped_post("live", now_us(), &mut rng)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(each * u64::from(PUBLISHERS))
}

/// The subscribers, in a process of their own.
struct Subscribers(Process);

impl Subscribers {
    /// Returns when every stream is open.
    async fn connect(bench: &Bench, server: &Server, count: usize) -> Result<Self> {
        let arguments = ["--role", "subscribe", &server.address.to_string(), &count.to_string()];
        let log = bench.folder().join("subscribers.log");
        let mut process = Process::start(&std::env::current_exe()?, &arguments, &log)?;
        process.line("subscribed").await?;
        Ok(Self(process))
    }

    /// Waits until so many records have arrived, or nothing has for three seconds.
    async fn finish(&mut self, expected: u64) -> Result<Summary> {
        let (mut best, mut since) = (0, Instant::now());
        loop {
            self.0.tell("summary")?;
            let summary = Summary::parse(&self.0.line("summary ").await?)?;
            if summary.delivered >= expected {
                return Ok(summary);
            }
            if summary.delivered > best {
                (best, since) = (summary.delivered, Instant::now());
            }
            ensure!(since.elapsed() < Duration::from_secs(3), "{best} of {expected} records were delivered");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What has been delivered so far.
pub(crate) struct Summary {
    delivered: u64,
    per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Streams that are over.
    ended: u64,
}

impl Summary {
    fn parse(line: &str) -> Result<Self> {
        let figures: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let &[delivered, per_second, p50_ms, p99_ms, ended] = &figures[..] else {
            anyhow::bail!("a summary has five figures: {line}");
        };
        Ok(Self { delivered: delivered as u64, per_second, p50_ms, p99_ms, ended: ended as u64 })
    }
}

#[derive(Default)]
struct Tally {
    latencies: Latencies,
    first_sent_us: u64,
    last_received_us: u64,
    ended: u64,
}

/// The client process: opens the streams, then says how things stand whenever it is asked on standard input.
pub(crate) async fn subscribe(address: &str, count: &str) -> Result<()> {
    let (address, count): (SocketAddr, usize) = (address.parse()?, count.parse()?);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let request = data::get("/v1/topics/live/records?from=latest", "text/event-stream");
    for _ in 0..count {
        let mut connection = Connection::open(address, 4 * 1024).await?;
        let (status, mut body) = connection.send(&request).await?;
        ensure!(status == 200, "answered {status}");
        let tally = Arc::clone(&tally);
        tokio::spawn(async move {
            let mut rest = Vec::new();
            let mut sink = |piece: &[u8]| each_stamp(&mut rest, piece, |sent_us| record(&tally, sent_us));
            while let Ok(true) = connection.piece(&mut body, &mut sink).await {}
            tally.lock().unwrap_or_else(PoisonError::into_inner).ended += 1;
        });
    }
    println!("subscribed");
    let answer = tokio::task::spawn_blocking(move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            let Tally { mut latencies, first_sent_us, last_received_us, ended } = {
                let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                Tally { latencies: tally.latencies.clone(), ..*tally }
            };
            let (delivered, seconds) = (latencies.0.len(), (last_received_us - first_sent_us) as f64 / 1e6);
            let (p50, p99) = (latencies.quantile_ms(0.5), latencies.quantile_ms(0.99));
            println!("summary {delivered} {} {p50} {p99} {ended}", delivered as f64 / seconds.max(1e-6));
        }
        // Nobody will ask again. The streams are closed by the end of the process.
        std::process::exit(0)
    });
    answer.await.context("standard input")
}

fn record(tally: &Mutex<Tally>, sent_us: u64) {
    let now = now_us();
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    if tally.first_sent_us == 0 {
        tally.first_sent_us = sent_us;
    }
    tally.last_received_us = now;
    tally.latencies.0.push(now.saturating_sub(sent_us) * 1_000);
}

/// Finds when each event was sent. `rest` keeps a line that has not ended yet.
fn each_stamp(rest: &mut Vec<u8>, piece: &[u8], mut found: impl FnMut(u64)) {
    each_line(rest, piece, |line| {
        if line.starts_with(b"data:")
            && let Some(at) = memmem::find(line, data::STAMP.as_bytes())
        {
            let digits = line[at + data::STAMP.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            found(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
        }
    });
}
