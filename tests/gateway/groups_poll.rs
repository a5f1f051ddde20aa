//! The whole consumer in one call: a poll joins, commits, renews and reads, and may be repeated.

use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::on_each_backend;
use crate::harness::record::Record;
use crate::harness::topic::Topic;
use crate::harness::wait::within;

on_each_backend!(
    one_request_joins_and_returns_records_at_once,
    a_poll_commits_what_came_before_its_cursor,
    a_lost_answer_repeated_is_one_commit_and_skips_nothing,
    nothing_is_committed_where_the_poll_says_so,
    a_run_begins_at_what_is_committed,
    from_counts_only_where_nothing_is_committed,
    from_latest_pins_the_beginning,
    an_answer_is_bounded_by_records_and_by_bytes,
    a_waiting_poll_misses_no_record,
    a_poll_waits_at_most_half_its_lease,
    topics_given_with_a_cursor_change_the_subscription,
    a_poll_honours_the_format,
    a_name_is_made_on_request,
);

/// Far less than the waits asked for, so that a missed wake-up is seen, and far more than a wake-up takes.
const PROMPTLY: Duration = Duration::from_secs(10);

/// A lease that no test outlives, so that a poll may wait as long as the server lets it.
const LONG_LEASE_MS: u64 = 900_000;

fn orders() -> Value {
    json!({ "topics": ["orders"] })
}

fn five_at_a_time() -> Value {
    json!({ "max_records": 5 })
}

async fn one_request_joins_and_returns_records_at_once(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    for partition in 0..3 {
        topic.count(partition, 0..4).await;
    }
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "wait_ms": 5000 }));
    let poll = within(PROMPTLY, "the first answer", member.begin()).await;
    assert_eq!(poll.lease_ms, 10_000, "the lease of who names none");
    assert!(poll.at_tail);
    let mut places: Vec<_> = poll.records.iter().map(Record::place).collect();
    places.sort();
    let all: Vec<_> = (0..3).flat_map(|p| (0..4).map(move |n| ("orders".to_owned(), p, n))).collect();
    assert_eq!(places, all);
    assert_eq!(poll.assignments.len(), 3);
    assert!(poll.assignments.iter().all(|one| one.topic == "orders" && one.next_offset == 4 && one.epoch > 0));
}

async fn a_poll_commits_what_came_before_its_cursor(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..12).await;
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "max_records": 5 }));
    assert_eq!(member.begin().await.offsets(), [0, 1, 2, 3, 4]);
    let next = member.poll_with(five_at_a_time()).await;
    assert_eq!(next.offsets(), [5, 6, 7, 8, 9]);
    assert_eq!((next.at_tail, next.assignments[0].next_offset), (false, 10));
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(5), "what was returned last is not committed yet");
    let last = member.poll_with(five_at_a_time()).await;
    assert_eq!((last.offsets(), last.at_tail), (vec![10, 11], true));
    assert!(member.poll().await.records.is_empty());
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(12));
}

async fn a_lost_answer_repeated_is_one_commit_and_skips_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..20).await;
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "max_records": 5 }));
    member.begin().await;
    for round in 1..4 {
        let before = member.clone();
        let lost = member.poll_with(five_at_a_time()).await;
        // The answer did not arrive: the member stands where it stood, and sends the same again.
        member = before;
        let again = member.poll_with(five_at_a_time()).await;
        assert_eq!(again.offsets(), (round * 5..round * 5 + 5).collect::<Vec<_>>());
        assert_eq!(again.offsets(), lost.offsets());
        assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(round * 5));
    }
}

async fn nothing_is_committed_where_the_poll_says_so(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..15).await;
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "max_records": 5 }));
    member.begin().await;
    for begin in [5, 10] {
        let poll = member.poll_with(json!({ "commit": false, "max_records": 5 })).await;
        assert_eq!(poll.offsets(), (begin..begin + 5).collect::<Vec<_>>(), "it reads on");
    }
    assert_eq!(committed(&gateway, "g", "orders", 0).await.unwrap_or(0), 0);
    assert_eq!(member.clone().begin().await.offsets(), [0, 1, 2, 3, 4], "a new run finds nothing committed");
}

async fn a_run_begins_at_what_is_committed(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..10).await;
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "max_records": 4 }));
    member.begin().await;
    member.commit().await.is(200);
    assert_eq!(member.begin().await.offsets(), [4, 5, 6, 7]);
    member.leave().await;
    let mut heir = Member::new(&gateway, "g", "heir", json!({ "topics": ["orders"], "max_records": 3 }));
    assert_eq!(heir.begin().await.offsets(), [4, 5, 6], "what was returned last was never committed");
    let mut other = Member::new(&gateway, "another", "m", json!({ "topics": ["orders"], "max_records": 3 }));
    assert_eq!(other.begin().await.offsets(), [0, 1, 2], "groups do not share offsets");
}

async fn from_counts_only_where_nothing_is_committed(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    // One record a second, from 2023-11-14T22:13:20Z on.
    let records: Vec<_> =
        (0..10).map(|n| json!({ "value": n, "timestamp": 1_700_000_000_000_u64 + n * 1000 })).collect();
    topic.produce(&json!(records)).await;
    for (group, from, first) in [
        ("a", "earliest", 0),
        ("b", "-3", 7),
        ("c", "-100", 0),
        ("d", "2023-11-14T22:13:26Z", 6),
        ("e", "1700000004000", 4),
    ] {
        let mut member = Member::new(&gateway, group, "m", json!({ "topics": ["orders"], "from": from }));
        assert_eq!(member.begin().await.offsets(), (first..10).collect::<Vec<_>>(), "{from}");
        member.commit_offsets(json!([{ "topic": "orders", "partition": 0, "next_offset": first + 1 }])).await.is(200);
        let mut again = Member::new(&gateway, group, "again", json!({ "topics": ["orders"], "from": "latest" }));
        member.leave().await;
        let goes_on = (first + 1..10).collect::<Vec<_>>();
        assert_eq!(again.begin().await.offsets(), goes_on, "what is committed holds, whatever from says");
    }
}

async fn from_latest_pins_the_beginning(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..5).await;
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "from": "latest" }));
    assert!(member.begin().await.records.is_empty());
    topic.count(0, 5..7).await;
    topic.count(1, 0..1).await;
    // The run falls over before its second poll. The next one asks for the latest, too, and misses nothing.
    member.cursor = None;
    let mut places: Vec<_> = member.take(3).await.iter().map(Record::place).collect();
    places.sort();
    let expected = [(0, 5), (0, 6), (1, 0)].map(|(partition, offset)| ("orders".to_owned(), partition, offset));
    assert_eq!(places, expected, "the beginning was settled by the first poll");
}

async fn an_answer_is_bounded_by_records_and_by_bytes(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let records: Vec<_> = (0..40).map(|n| json!({ "partition": n % 2, "value": "x".repeat(1000) })).collect();
    topic.produce(&json!(records)).await;
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "max_records": 3 }));
    let first = member.begin().await;
    assert_eq!((first.records.len(), first.at_tail), (3, false));
    let bounded = member.poll_with(json!({ "max_bytes": 5000 })).await;
    assert!((1..=5).contains(&bounded.records.len()), "{} records of 1000 bytes", bounded.records.len());
    let one = member.poll_with(json!({ "max_bytes": 1 })).await;
    assert_eq!(one.records.len(), 1, "at least one record is returned, however large");
    let read = first.records.len() + bounded.records.len() + 1;
    assert_eq!(member.poll_with(json!({ "max_records": 1_000_000 })).await.records.len(), 40 - read);
}

async fn a_waiting_poll_misses_no_record(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    let producer = Topic::named(&gateway.client().another(), "orders");
    let start = json!({ "topics": ["orders"], "lease_ms": LONG_LEASE_MS });
    let mut member = Member::new(&gateway, "g", "m", start);
    member.begin().await;
    for round in 0..150_u64 {
        let partition = u32::try_from(round % 3).expect("below three");
        // Both at once: the commit falls before, within and after the registration of the poll.
        let wait = member.poll_with(json!({ "wait_ms": 50_000 }));
        let both = async { tokio::join!(wait, producer.count(partition, round..round + 1)) };
        let (poll, _) = within(PROMPTLY, "a poll that wakes", both).await;
        assert_eq!(poll.records.iter().map(Record::json).collect::<Vec<_>>(), [json!(round)]);
    }
    assert_eq!(topic.high_watermark(0).await, 50);
}

async fn a_poll_waits_at_most_half_its_lease(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    let start = json!({ "topics": ["orders"], "lease_ms": 6000, "wait_ms": 50_000 });
    let mut member = Member::new(&gateway, "g", "m", start);
    let begun = Instant::now();
    let poll = member.begin().await;
    assert!(poll.records.is_empty() && poll.at_tail && poll.lease_ms == 6000);
    let begun_again = Instant::now();
    member.poll_with(json!({ "wait_ms": 50_000 })).await;
    // A busy machine may add to the three seconds, but not as much as another half.
    for waited in [begun_again - begun, begun_again.elapsed()] {
        assert!(waited < Duration::from_millis(6000), "{waited:?}");
    }
    let begun = Instant::now();
    member.poll_with(json!({ "wait_ms": 300 })).await;
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

async fn topics_given_with_a_cursor_change_the_subscription(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (a, b) = (gateway.topic("a", 1).await, gateway.topic("b", 2).await);
    a.count(0, 0..3).await;
    b.count(0, 0..3).await;
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["a"] }));
    assert_eq!(member.take(3).await.len(), 3);
    let mut poll = member.poll_with(json!({ "topics": ["b"] })).await;
    let mut records = std::mem::take(&mut poll.records);
    records.append(&mut member.hold(2).await);
    while records.len() < 3 {
        records.append(&mut member.take(3 - records.len()).await);
    }
    assert!(records.iter().all(|record| record.topic == "b"), "{records:?}");
    assert_eq!(committed(&gateway, "g", "a", 0).await, Some(3), "what was read of the former topic is committed");
}

async fn a_poll_honours_the_format(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..12).await;
    let member = Member::new(&gateway, "g", "m", orders());
    let mut body = json!({ "topics": ["orders"], "max_records": 2 });
    let mut next = 0;
    for (query, accept, kind) in [
        ("?format=ndjson", None, "application/x-ndjson"),
        ("", Some("application/x-ndjson"), "application/x-ndjson"),
        ("?format=values", None, "application/x-ndjson"),
        ("?format=json", Some("application/x-ndjson"), "application/json"),
        ("", Some("*/*"), "application/json"),
    ] {
        let call = gateway.post(&member.path(&format!("/poll{query}"))).json(&body);
        let call = if let Some(accept) = accept { call.header("accept", accept) } else { call };
        let answer = call.send().await.is(200);
        assert_eq!(answer.header("content-type"), Some(kind), "{query} {accept:?}");
        let values: Vec<Value> = match (query, kind) {
            ("?format=values", _) => lines(answer.text()),
            (_, "application/json") => {
                let records = answer.json()["records"].as_array().expect("a list of records").clone();
                records.into_iter().map(|record| record["value"].clone()).collect()
            }
            _ => lines(answer.text()).into_iter().map(|record| record["value"].clone()).collect(),
        };
        assert_eq!(values, [json!(next), json!(next + 1)], "{query} {accept:?}");
        next += 2;
        assert_eq!(answer.header("tidegate-at-tail"), Some("false"));
        assert!(answer.header("tidegate-epoch").is_some_and(|epoch| epoch.parse::<u64>().is_ok()));
        let cursor = answer.header("tidegate-cursor").expect("a shell loop needs no JSON parser");
        body = json!({ "cursor": cursor, "max_records": 2 });
    }
    member.send(&body).await.is(200);
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(10));
    gateway.post(&member.path("/poll?format=sse")).json(&body).send().await.problem(406, "not_acceptable");
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

async fn a_name_is_made_on_request(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..3).await;
    let mut names = Vec::new();
    for _ in 0..2 {
        let answer = gateway.post("/v1/groups/g/members").json(&orders()).send().await.is(201);
        let body = answer.json();
        let name = body["member_id"].as_str().expect("the answer names the member").to_owned();
        assert_eq!(answer.header("location"), Some(format!("/v1/groups/g/members/{name}").as_str()));
        assert!(body["records"].as_array().is_none_or(Vec::is_empty), "joining alone returns no record: {body}");
        assert_eq!(body["lease_ms"], 10_000);
        assert!(body["assignments"].is_array(), "{body}");

        let mut member = Member::new(&gateway, "g", &name, orders());
        member.cursor = Some(body["cursor"].as_str().expect("a cursor to go on with").to_owned());
        member.epoch = body["epoch"].as_u64().expect("an epoch");
        // The same run goes on: that it is the same is asserted of every poll.
        assert_eq!(member.take(3).await.len(), 3);
        member.leave().await;
        names.push(name);
    }
    assert_ne!(names[0], names[1]);
    let body = json!({ "topics": ["orders"], "cursor": "x" });
    gateway.post("/v1/groups/g/members").json(&body).send().await.refusal(400);
}
