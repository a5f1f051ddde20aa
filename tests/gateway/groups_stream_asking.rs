//! How a group's stream must be asked for, since it is the one GET that changes something.

use std::time::Duration;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::describe;
use crate::harness::member::members;
use crate::harness::on_each_backend;
use crate::harness::raw::exchange;
use crate::harness::wait::within;

on_each_backend!(
    a_stream_must_be_asked_for_by_name,
    head_neither_joins_nor_commits,
    an_id_that_is_not_of_this_member_is_refused,
    parameters_of_other_calls_are_refused,
);

const SHORT: &str = "/v1/groups/g/records?topic=orders";
const MEMBER: &str = "/v1/groups/g/members/m/records?topic=orders";

async fn a_stream_must_be_asked_for_by_name(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..3).await;
    for path in [SHORT, MEMBER] {
        for accept in ["*/*", "application/json", "application/x-ndjson", "text/html, */*;q=0.8", "image/*"] {
            let answer = gateway.get(path).header("accept", accept).send().await;
            answer.problem(406, "not_acceptable");
        }
        let (host, line) = (format!("Host: {}", gateway.address()), format!("GET {path} HTTP/1.1"));
        let (head, _) = exchange(gateway.address(), &[&line, &host]).await;
        assert_eq!(head.status, 406, "no Accept at all");
        // What an <img> of a foreign page can ask for must not join, whatever its query says.
        let answer = gateway.get(&format!("{path}&format=sse")).send().await;
        assert!([400, 406].contains(&answer.status), "{answer:?}");
    }
    gateway.get("/v1/groups/g").send().await.problem(404, "unknown_group");
}

async fn head_neither_joins_nor_commits(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..3).await;
    let head = async |path: &str| {
        let call = gateway.request("HEAD", path).header("accept", "text/event-stream");
        within(Duration::from_secs(10), "a head at once", call.send()).await
    };
    for path in [SHORT, MEMBER] {
        let answer = head(path).await;
        assert!(answer.status < 500 && answer.body.is_empty(), "{answer:?}");
        gateway.get("/v1/groups/g").send().await.problem(404, "unknown_group");
    }
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "lease_ms": 60_000 }));
    member.begin().await;
    head(&format!("{SHORT}&commit=on_send")).await;
    head(&format!("{MEMBER}&commit=on_send")).await;
    assert_eq!(members(&gateway, "g").await, 1);
    member.heartbeat().await.is(200);
    assert_eq!(committed(&gateway, "g", "orders", 0).await.unwrap_or(0), 0);
}

async fn an_id_that_is_not_of_this_member_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..3).await;
    let mut stream = gateway.get(MEMBER).events().await;
    stream.event().await;
    stream.records(1).await;
    let own = stream.last_event_id.clone();
    let start = json!({ "topics": ["orders"] });
    let mut of_another = Member::new(&gateway, "g", "another", start.clone());
    let mut of_another_group = Member::new(&gateway, "h", "m", start);
    let foreign = [of_another.begin().await.cursor, of_another_group.begin().await.cursor];
    let plain = topic.read("").await.cursor;
    let cut = &own[..own.len() - 1];
    let long = "A".repeat(2000);
    for id in ["", " ", "0", "42", "null", "undefined", "a b", cut, &long, &plain, &foreign[0], &foreign[1]] {
        let call = gateway.get(MEMBER).header("accept", "text/event-stream");
        call.header("last-event-id", id).send().await.problem(400, "invalid_cursor");
    }
    topic.try_read(&format!("cursor={own}")).await.problem(400, "invalid_cursor");
    // None of it disturbed the stream, nor joined.
    assert_eq!(stream.records(2).await.len(), 2);
    assert_eq!(members(&gateway, "g").await, 2);
    assert_eq!(describe(&gateway, "g").await["partitions"][0]["next_offset"].as_u64().unwrap_or(0), 0);
}

async fn parameters_of_other_calls_are_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    for path in ["/v1/groups/g/records", "/v1/groups/g/members/m/records"] {
        for (query, code) in [
            ("", "missing_parameter"),
            ("?topic=__orders", "invalid_name"),
            ("?topic=a%2Fb", "invalid_name"),
            ("?topic=orders&lease_ms=999", "invalid_parameter"),
            ("?topic=orders&lease_ms=900001", "invalid_parameter"),
            ("?topic=orders&lease_ms=10s", "invalid_parameter"),
            ("?topic=orders&strategy=fair", "invalid_parameter"),
            ("?topic=orders&from=soon", "invalid_parameter"),
            ("?topic=orders&from=5", "invalid_parameter"),
            ("?topic=orders&commit=always", "invalid_parameter"),
            ("?topic=orders&topics=orders", "unknown_parameter"),
            ("?topic=orders&lease=5", "unknown_parameter"),
        ] {
            let answer = gateway.get(&format!("{path}{query}")).header("accept", "text/event-stream").send().await;
            answer.problem(400, code);
        }
        for query in [
            "?topic=orders&topic_prefix=o",
            "?topic=orders&wait_ms=5",
            "?topic=orders&max_records=5",
            "?topic=orders&lease_ms=5000&lease_ms=5000",
        ] {
            gateway.get(&format!("{path}{query}")).header("accept", "text/event-stream").send().await.refusal(400);
        }
    }
    gateway.get("/v1/groups/g").send().await.problem(404, "unknown_group");
}
