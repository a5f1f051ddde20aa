//! Work that takes longer than a lease, commits without a poll, many partitions in flight, clients that vanish: nobody loses
//! more than has to move, and nothing waits for a timer.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::members;
use crate::harness::on_each_backend;
use crate::harness::wait::eventually;
use crate::harness::wait::within;

on_each_backend!(
    who_works_longer_than_a_lease_loses_only_what_is_to_move,
    a_stream_that_commits_nothing_loses_only_what_is_to_move,
    a_commit_frees_what_is_to_move,
    a_stream_over_many_partitions_goes_on_with_the_commit,
    a_client_that_vanishes_while_it_joins_leaves,
    a_topic_that_is_deleted_under_a_poll_is_no_error,
);

/// Far less than the heartbeat of a stream, and far more than a wake-up takes.
const PROMPTLY: Duration = Duration::from_secs(8);

fn member(client: &Client, name: &str, lease_ms: u64) -> Member {
    Member::new(client, "g", name, json!({ "topics": ["orders"], "lease_ms": lease_ms }))
}

fn held(poll: &[Value]) -> usize {
    poll.len()
}

async fn who_works_longer_than_a_lease_loses_only_what_is_to_move(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    for partition in 0..4 {
        topic.count(partition, 0..3).await;
    }
    let mut busy = member(&gateway, "busy", 1000);
    assert_eq!(busy.take(12).await.len(), 12);
    let mut new = member(&gateway, "new", 60_000);
    new.begin().await;
    // It works, and says so, for as long as the other waits.
    eventually("its share", async || {
        busy.heartbeat().await.is(200);
        let poll = new.poll().await;
        assert!(poll.assignments.len() <= 2, "no more than has to move: {:?}", poll.assignments);
        (poll.assignments.len() == 2).then_some(())
    })
    .await;
    busy.heartbeat().await.is(200);
    let kept: Vec<u32> = (0..4).filter(|partition| !new.held.contains(&("orders".to_owned(), *partition))).collect();
    let offsets: Vec<Value> =
        kept.iter().map(|partition| json!({ "topic": "orders", "partition": partition, "next_offset": 3 })).collect();
    busy.commit_offsets(Value::Array(offsets)).await.is(200);
    // All it took cannot be committed any more: what moved is the other's.
    busy.commit().await.problem(409, "lease_lost");
    for partition in kept {
        assert_eq!(committed(&gateway, "g", "orders", partition).await, Some(3));
    }
}

async fn a_stream_that_commits_nothing_loses_only_what_is_to_move(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..2).await;
    topic.count(1, 0..2).await;
    let mut stream = gateway.get("/v1/groups/g/members/s/records?topic=orders&lease_ms=1000").events().await;
    stream.event().await;
    stream.records(4).await;
    let mut new = member(&gateway, "new", 60_000);
    new.begin().await;
    eventually("its share", async || (new.poll().await.assignments.len() == 1).then_some(())).await;
    // First it keeps one of two; and that is all that changes, however long it is silent.
    let told = stream.event().await;
    assert_eq!(told.event.as_deref(), Some("assignment"), "{told:?}");
    assert_eq!(held(told.json()["assignments"].as_array().expect("a list")), 1);
    topic.count(0, 2..3).await;
    topic.count(1, 2..3).await;
    let record = within(PROMPTLY, "a record of what it kept", stream.record()).await;
    assert!(!new.held.contains(&("orders".to_owned(), record.partition)), "{record:?}");
}

async fn a_commit_frees_what_is_to_move(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..2).await;
    topic.count(1, 0..2).await;
    let mut old = member(&gateway, "old", 60_000);
    assert_eq!(old.take(4).await.len(), 4);
    let mut new = member(&gateway, "new", 60_000);
    assert!(new.begin().await.assignments.is_empty());
    old.commit().await.is(200);
    let poll = within(PROMPTLY, "a partition", new.poll_with(json!({ "wait_ms": 30_000 }))).await;
    assert_eq!(poll.assignments.len(), 1);
    assert!(poll.records.is_empty(), "all is committed: {:?}", poll.records);
}

async fn a_stream_over_many_partitions_goes_on_with_the_commit(backend: Backend) {
    const PARTITIONS: usize = 150;
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", PARTITIONS as u32).await;
    let records: Vec<Value> = (0..PARTITIONS).map(|partition| json!({ "value": 1, "partition": partition })).collect();
    topic.produce(&Value::Array(records)).await;
    let mut stream = gateway.get("/v1/groups/g/members/s/records?topic=orders").events().await;
    stream.event().await;
    // As many as one cursor tells of.
    let first = stream.records_with_ids(128).await;
    let (last, _) = first.last().expect("many");
    gateway.post("/v1/groups/g/members/s/offsets").json(&json!({ "cursor": last })).send().await.is(200);
    within(PROMPTLY, "the rest", stream.records(PARTITIONS - 128)).await;
}

async fn a_client_that_vanishes_while_it_joins_leaves(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 2).await;
    for delay_ms in [0, 1, 2, 3, 5, 8, 13] {
        let mut client = TcpStream::connect(Gateway::address(&gateway)).expect("connected");
        let request = "GET /v1/groups/g/records?topic=orders&lease_ms=900000 HTTP/1.1\r\nhost: localhost\r\n\
                       accept: text/event-stream\r\n\r\n";
        client.write_all(request.as_bytes()).expect("sent");
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
    // None of them stays, and whoever comes next is alone.
    let mut stream = gateway.get("/v1/groups/g/records?topic=orders").events().await;
    eventually("both partitions", async || {
        let told = stream.event().await;
        (held(told.json()["assignments"].as_array().expect("a list")) == 2).then_some(())
    })
    .await;
    eventually("nobody else", async || (members(&gateway, "g").await == 1).then_some(())).await;
}

async fn a_topic_that_is_deleted_under_a_poll_is_no_error(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let mut polls = Member::new(&gateway, "g", "m", json!({ "topics": ["orders", "other"], "wait_ms": 20 }));
    let mut seen = 0;
    polls.begin().await;
    for round in 0..15 {
        let topic = gateway.topic("orders", 3).await;
        topic.count(round % 3, 0..5).await;
        let deletion = tokio::spawn({
            let client = gateway.client();
            async move { client.delete("/v1/topics/orders").send().await.is(204) }
        });
        seen += polls.poll().await.records.len();
        deletion.await.expect("deleted");
        seen += polls.poll().await.records.len();
    }
    let topic = gateway.topic("other", 1).await;
    topic.count(0, 0..1).await;
    eventually("the other topic", async || (!polls.poll().await.records.is_empty()).then_some(())).await;
    assert!(seen <= 75, "nothing twice");
}
