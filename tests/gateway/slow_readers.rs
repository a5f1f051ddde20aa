//! A reader that takes nothing holds nobody up, costs bounded memory, and loses nothing.

use std::time::Duration;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::raw::Connection;
use crate::harness::topic::Topic;
use crate::harness::wait::eventually;
use crate::harness::wait::within;

on_each_backend!(
    a_reader_that_takes_nothing_holds_up_nobody_and_stays_within_its_memory,
    a_reader_that_pauses_gets_everything_in_the_end,
    retention_that_passes_a_live_reader_is_told_as_a_gap,
    subscribers_cost_little_each,
);

const MIB: u64 = 1 << 20;
/// What is produced while the slow readers sleep: 50 requests of 1 MiB.
const REQUESTS: u64 = 50;
const PER_REQUEST: u64 = 8;

/// Fifty requests of a mebibyte, each of eight records.
async fn produce_much(topic: &Topic) {
    let value = "x".repeat(usize::try_from(MIB / PER_REQUEST).expect("small") - 100);
    let records: Vec<_> = (0..PER_REQUEST).map(|_| json!({ "value": value })).collect();
    for _ in 0..REQUESTS {
        topic.produce(&json!(records)).await;
    }
}

/// Opens a stream and leaves it unread after its head.
async fn asleep(gateway: &Gateway, topic: &Topic) -> Connection {
    let mut connection = Connection::open(gateway.address()).await;
    let path = topic.path("/records");
    let accept = "Accept: text/event-stream";
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{accept}\r\n\r\n", gateway.address())).await;
    assert_eq!(connection.head().await.status, 200);
    connection
}

async fn a_reader_that_takes_nothing_holds_up_nobody_and_stays_within_its_memory(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("large", 1).await;
    let mut sleepers = Vec::new();
    for _ in 0..10 {
        sleepers.push(asleep(&gateway, &topic).await);
    }
    let mut awake = topic.events("").await;
    let before = gateway.memory("VmRSS");
    let count = usize::try_from(REQUESTS * PER_REQUEST).expect("small");
    let read = within(Duration::from_secs(120), "everything, by the fast reader", async {
        tokio::join!(awake.records(count), produce_much(&topic)).0
    })
    .await;
    let offsets: Vec<_> = read.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (0..REQUESTS * PER_REQUEST).collect::<Vec<_>>());

    // Ten sleepers are 500 MiB behind together; the rest is room for the log's own caches.
    let grown = gateway.memory("VmHWM").saturating_sub(before);
    assert!(grown < 200 * MIB, "{} MiB more than before", grown / MIB);
    assert_eq!(topic.value("1").await.offset, REQUESTS * PER_REQUEST, "producers are served as well");
    drop(sleepers);
}

async fn a_reader_that_pauses_gets_everything_in_the_end(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("large", 1).await;
    let mut stream = topic.events("").await;
    stream.block().await.expect("a first block");
    produce_much(&topic).await;

    let mut next = 0;
    while next < REQUESTS * PER_REQUEST {
        match stream.try_event().await {
            Some(event) => {
                assert_eq!(event.record().offset, next);
                next += 1;
            }
            // It slept longer than a socket may stand still, and goes on where it was.
            None => stream = topic.resume("", &stream.last_event_id.clone()).await,
        }
    }
}

async fn retention_that_passes_a_live_reader_is_told_as_a_gap(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let kept = json!({ "partition_count": 1, "retention_bytes": MIB });
    gateway.put("/v1/topics/short").json(&kept).send().await.is(201);
    let topic = Topic::named(&gateway, "short");
    let mut stream = topic.events("").await;
    stream.block().await.expect("a first block");
    produce_much(&topic).await;
    let end = REQUESTS * PER_REQUEST;
    eventually("retention passes the reader", async || {
        let start = topic.describe().await["partitions"][0]["log_start_offset"].as_u64();
        start.filter(|start| *start > end / 2)
    })
    .await;

    let (mut next, mut gaps) = (0, 0);
    while next < end {
        let Some(event) = stream.try_event().await else {
            stream = topic.resume("", &stream.last_event_id.clone()).await;
            continue;
        };
        if event.event.as_deref() == Some("gap") {
            let gap = event.json();
            assert_eq!(gap["requested_offset"], next, "what is gone begins where the reader is");
            next = gap["log_start_offset"].as_u64().expect("a number");
            gaps += 1;
        } else {
            assert_eq!(event.record().offset, next, "nothing is skipped in silence");
            next += 1;
        }
    }
    assert!(gaps > 0, "40 MB do not fit between the sockets, so some of them were gone");
}

async fn subscribers_cost_little_each(backend: Backend) {
    const SUBSCRIBERS: u64 = 200;
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let before = gateway.memory("VmRSS");
    let mut streams = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut stream = topic.events("").await;
        stream.records(10).await;
        streams.push(stream);
    }
    topic.count(0, 10..11).await;
    for stream in &mut streams {
        assert_eq!(stream.record().await.offset, 10);
    }
    let each = gateway.memory("VmRSS").saturating_sub(before) / SUBSCRIBERS;
    assert!(each < 128 * 1024, "{each} bytes for a subscriber");
}
