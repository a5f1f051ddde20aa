//! The database is gone for a while: every call is answered in time and says what became of it, streams stay open, and all
//! goes on by itself.

use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::history::History;
use crate::harness::lines::Lines;
use crate::harness::postgres::Server;
use crate::harness::record::Receipt;
use crate::harness::record::Record;
use crate::harness::sse::EventStream;
use crate::harness::topic::Topic;
use crate::harness::wait::eventually;

/// How long any call may take while the database is gone, and how long until full service once it is back.
const IN_TIME: Duration = Duration::from_secs(5);

/// What the machine may be late by, beyond that.
const SLACK: Duration = Duration::from_secs(4);

const PARTITIONS: u32 = 4;

const PRODUCERS: usize = 6;

/// What one loop of calls has met.
#[derive(Default)]
struct Met {
    acknowledged: Vec<(Receipt, String)>,
    refused: usize,
    longest: Duration,
    /// When the last of the refusals came.
    last_refusal: Option<Instant>,
}

impl Met {
    /// Takes note of an answer that was asked for at `begun`, and says whether it is a success.
    fn note(&mut self, answer: &Answer, begun: Instant) -> bool {
        self.longest = self.longest.max(begun.elapsed());
        match answer.status {
            200 | 201 => return true,
            503 => {
                let problem = answer.problem(503, "database_unavailable");
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
                assert!(problem["outcome"].is_null() || problem["outcome"] == "not_written", "{problem}");
            }
            _ => assert_eq!(answer.problem(500, "outcome_unknown")["outcome"], "unknown"),
        }
        self.refused += 1;
        self.last_refusal = Some(Instant::now());
        false
    }
}

/// Sends values, each once, until told to end.
async fn produce(client: Client, name: usize, end: watch::Receiver<bool>) -> Met {
    let mut met = Met::default();
    for n in 0.. {
        if *end.borrow() {
            break;
        }
        let value = format!("\"{name}-{n}\"");
        let begun = Instant::now();
        let answer = client.post("/v1/topics/orders/values").raw_json(value.clone()).send().await;
        if met.note(&answer, begun) {
            let mut receipt = answer.json();
            receipt.as_object_mut().expect("an object").remove("stored_as");
            met.acknowledged.push((serde_json::from_value(receipt).expect("a receipt"), value));
        }
    }
    met
}

/// Calls the same path again and again until told to end.
async fn get(client: Client, path: &'static str, end: watch::Receiver<bool>) -> Met {
    let mut met = Met::default();
    while !*end.borrow() {
        let begun = Instant::now();
        met.note(&client.get(path).send().await, begun);
    }
    met
}

/// Polls as a member of a group until told to end. Its lease is longer than any outage.
async fn poll(client: Client, end: watch::Receiver<bool>) -> Met {
    let mut met = Met::default();
    let start = json!({ "topics": ["orders"], "lease_ms": 900_000 });
    let mut body = start.clone();
    while !*end.borrow() {
        let begun = Instant::now();
        let answer = client.post("/v1/groups/g/members/m/poll").json(&body).send().await;
        if met.note(&answer, begun) {
            body = json!({ "cursor": answer.json()["cursor"] });
        } else if answer.status == 500 {
            body = start.clone();
        }
    }
    met
}

/// Reads a stream to the last of `all` records, whenever they come.
fn follow_events(mut stream: EventStream, mut all: watch::Receiver<usize>) -> JoinHandle<Vec<Record>> {
    tokio::spawn(async move {
        let mut records = Vec::new();
        while records.len() < *all.borrow_and_update() {
            records.push(stream.record().await);
        }
        records
    })
}

/// The same of a stream of lines.
fn follow_lines(mut lines: Lines, mut all: watch::Receiver<usize>) -> JoinHandle<Vec<Record>> {
    tokio::spawn(async move {
        let mut records = Vec::new();
        while records.len() < *all.borrow_and_update() {
            records.push(lines.record().await);
        }
        records
    })
}

/// Every partition counts from 0 without a hole.
fn assert_dense(records: &[Record]) {
    let mut next = vec![0; PARTITIONS as usize];
    for record in records {
        let next = &mut next[record.partition as usize];
        assert_eq!(record.offset, *next, "partition {}", record.partition);
        *next += 1;
    }
}

async fn length(topic: &Topic) -> usize {
    let mut length = 0;
    for partition in 0..PARTITIONS {
        length += topic.high_watermark(partition).await;
    }
    usize::try_from(length).expect("few")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_and_comes_back_is_survived_by_calls_and_streams() {
    /// How long it is gone, at each of the crashes: not at all, and for longer than any call may wait.
    const OUTAGES: [Duration; 2] = [Duration::ZERO, Duration::from_secs(8)];
    let mut server = Server::start();
    let gateway = Gateway::on(server.url()).await;
    let topic = gateway.topic("orders", PARTITIONS).await;
    let (all, known) = watch::channel(usize::MAX);
    let on_own_connection = || Topic::named(&gateway.client().another(), "orders");
    let streams = [
        follow_events(on_own_connection().events("").await, known.clone()),
        follow_events(on_own_connection().events("").await, known.clone()),
        follow_lines(on_own_connection().lines("format=ndjson&follow=true").await, known.clone()),
    ];
    let (end, ended) = watch::channel(false);
    let client = || gateway.client().another();
    let mut loops: Vec<_> = (0..PRODUCERS).map(|name| tokio::spawn(produce(client(), name, ended.clone()))).collect();
    loops.push(tokio::spawn(get(client(), "/v1/topics/orders/records?from=latest&wait_ms=500", ended.clone())));
    loops.push(tokio::spawn(get(client(), "/v1/topics", ended.clone())));
    loops.push(tokio::spawn(get(client(), "/v1/topics/orders/partitions/0", ended.clone())));
    loops.push(tokio::spawn(poll(client(), ended.clone())));

    let mut back = Instant::now();
    for outage in OUTAGES {
        let before = length(&topic).await;
        eventually("some load", async || (length(&topic).await > before + 100).then_some(())).await;
        server.crash();
        let crashed = Instant::now();
        eventually("the outage is over", async || (crashed.elapsed() >= outage).then_some(())).await;
        server.run();
        back = Instant::now();
        eventually("a node that is ready", async || (gateway.get("/readyz").send().await.status == 200).then_some(()))
            .await;
        assert!(back.elapsed() < IN_TIME + SLACK, "ready again after {:?}", back.elapsed());
    }
    eventually("time for full service", async || (back.elapsed() > IN_TIME).then_some(())).await;
    let served = Instant::now();
    let before = length(&topic).await;
    eventually("some load", async || (length(&topic).await > before + 100).then_some(())).await;
    end.send(true).expect("they listen");
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for done in join_all(loops).await {
        let met = done.expect("every call is answered as the contract says");
        assert!(met.longest < IN_TIME + SLACK, "a call took {:?}", met.longest);
        assert!(met.refused > 0, "the outage is met by all");
        assert!(met.last_refusal.is_none_or(|last| last < served), "full service in time");
        refused += met.refused;
        acknowledged.extend(met.acknowledged);
    }
    assert!(refused > PRODUCERS && acknowledged.len() > 300);

    let history = History::of(&topic).await;
    history.assert_dense().assert_holds(&acknowledged).assert_no_value_twice();
    // One more record for each stream to see that the count has changed.
    all.send(history.len() + 1).expect("they listen");
    topic.value("\"last\"").await;
    for stream in streams {
        let records = stream.await.expect("a stream stays open and tells nothing but records");
        assert_dense(&records);
        assert_eq!(records.len(), history.len() + 1);
    }
}
