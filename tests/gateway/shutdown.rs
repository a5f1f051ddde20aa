//! SIGTERM: what is under way is answered, streams end between two events, and the process ends in time.

use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::history::History;
use crate::harness::on_each_backend;
use crate::harness::raw::Connection;
use crate::harness::raw::problem;
use crate::harness::record::Page;
use crate::harness::record::Receipt;
use crate::harness::topic::Topic;

on_each_backend!(
    an_idle_gateway_ends_with_success,
    long_polls_are_answered_empty_with_their_cursor,
    streams_end_between_two_events_and_say_when_to_come_back,
    a_produce_under_way_is_answered_honestly,
    nothing_acknowledged_is_lost_under_load,
    a_second_signal_ends_at_once,
);

const TIME_TO_END: Duration = Duration::from_secs(10);

/// Waits for the end after a SIGTERM that was sent at `begun`.
async fn assert_ends_in_time(gateway: &mut Gateway, begun: Instant) {
    let status = gateway.ended().await;
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < TIME_TO_END, "{:?}", begun.elapsed());
}

async fn an_idle_gateway_ends_with_success(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    // A connection that is kept alive and says nothing.
    gateway.get("/v1").send().await.is(200);
    let silent = Connection::open(gateway.address()).await;
    let begun = Instant::now();
    gateway.terminate();
    assert_ends_in_time(&mut gateway, begun).await;
    drop(silent);
}

async fn long_polls_are_answered_empty_with_their_cursor(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..3).await;
    let cursor = topic.read("").await.cursor;
    let query = format!("wait_ms=50000&cursor={cursor}");
    let polls: Vec<_> = (0..20)
        .map(|_| {
            let (topic, query) = (topic.clone(), query.clone());
            tokio::spawn(async move { topic.try_read(&query).await })
        })
        .collect();
    // A stream that was opened after them and has begun: the polls wait by now, or will find the drain.
    topic.events("").await.records(3).await;
    let begun = Instant::now();
    gateway.terminate();
    for poll in join_all(polls).await {
        let answer = poll.expect("a poll is answered");
        if answer.status == 503 {
            answer.problem(503, "draining");
            continue;
        }
        let page: Page = answer.is(200).parse();
        assert_eq!((page.records.len(), page.cursor.as_str()), (0, cursor.as_str()));
    }
    assert_ends_in_time(&mut gateway, begun).await;
}

async fn streams_end_between_two_events_and_say_when_to_come_back(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..100).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = topic.events("").await;
        stream.records(5).await;
        streams.push(stream);
    }
    let mut lines = topic.lines("format=ndjson&follow=true").await;
    lines.records(100).await;
    let begun = Instant::now();
    gateway.terminate();
    let mut ids = Vec::new();
    for mut stream in streams {
        let mut retry = None;
        let mut next = 5;
        while let Some(block) = stream.block().await {
            retry = block.retry.or(retry);
            if block.event.is_none() && block.data.is_some() {
                assert_eq!(block.record().offset, next);
                next += 1;
            }
        }
        let retry = retry.expect("a browser is told when to come back");
        assert!((1000..=5000).contains(&retry), "{retry}");
        ids.push((stream.last_event_id, next));
    }
    // The lines end whole too: their reader fails on a connection that breaks off.
    while lines.next().await.is_some() {}
    assert_ends_in_time(&mut gateway, begun).await;

    gateway.start_again().await;
    topic.count(0, 100..101).await;
    for (id, next) in ids {
        assert_eq!(topic.resume("", &id).await.record().await.offset, next, "it goes on where it ended");
    }
}

async fn a_produce_under_way_is_answered_honestly(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let body = r#"{"records":[{"value":"under way"}]}"#;
    let (begin, rest) = body.split_at(20);
    let mut connection = Connection::open(gateway.address()).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{begin}",
        topic.path("/records"),
        gateway.address(),
        body.len()
    );
    connection.send(head).await;
    // A stream tells when the drain has begun.
    let mut stream = topic.events("").await;
    let begun = Instant::now();
    gateway.terminate();
    while stream.block().await.is_some() {}
    connection.send(rest).await;
    let head = connection.head().await;
    let answer = connection.body(&head).await;
    assert_ends_in_time(&mut gateway, begun).await;

    gateway.start_again().await;
    match head.status {
        200 => assert_eq!(topic.read("").await.values(), [r#""under way""#]),
        503 => {
            let problem = problem(&answer);
            assert_eq!((&problem["code"], &problem["outcome"]), (&"draining".into(), &"not_written".into()));
            assert!(head.header("retry-after").is_some());
            assert!(topic.read("").await.records.is_empty());
        }
        other => panic!("{other}: {answer}"),
    }
}

/// Sends values until the gateway is gone; refusals must be honest.
async fn produce_until_stopped(client: Client, name: usize) -> Vec<(Receipt, String)> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let value = format!("\"{name}-{n}\"");
        let Ok(answer) = client.post("/v1/topics/orders/values").raw_json(value.clone()).try_send().await else {
            break;
        };
        if answer.status == 503 {
            answer.refused_write(503, "draining");
            break;
        }
        let mut receipt = answer.is(201).json();
        receipt.as_object_mut().expect("an object").remove("stored_as");
        acknowledged.push((serde_json::from_value(receipt).expect("a receipt"), value));
    }
    acknowledged
}

async fn nothing_acknowledged_is_lost_under_load(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    let producers: Vec<_> =
        (0..16).map(|name| tokio::spawn(produce_until_stopped(gateway.client().another(), name))).collect();
    topic.events("").await.records(100).await;
    let begun = Instant::now();
    gateway.terminate();
    assert_ends_in_time(&mut gateway, begun).await;
    let mut acknowledged = Vec::new();
    for producer in join_all(producers).await {
        acknowledged.extend(producer.expect("a producer ends with the gateway"));
    }
    gateway.start_again().await;
    let topic = Topic::named(&gateway, &topic.name);
    let history = History::of(&topic).await;
    history.assert_dense().assert_holds(&acknowledged).assert_no_value_twice();
}

async fn a_second_signal_ends_at_once(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    // A request that is never finished keeps the drain waiting.
    let mut connection = Connection::open(gateway.address()).await;
    let head = format!("POST {} HTTP/1.1\r\nHost: {}\r\n", topic.path("/values"), gateway.address());
    connection.send(format!("{head}Content-Length: 100\r\n\r\n{{")).await;
    let mut stream = topic.events("").await;
    gateway.terminate();
    while stream.block().await.is_some() {}
    let begun = Instant::now();
    gateway.terminate();
    gateway.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    gateway.start_again().await;
    assert!(topic.read("").await.records.is_empty());
}
