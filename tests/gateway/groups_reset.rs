//! Setting a group's offsets, deleting a group, and what retention and deleted topics leave to it.

use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::describe;
use crate::harness::member::joined;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;
use crate::harness::wait::DEADLINE;

on_each_backend!(
    a_reset_goes_to_every_kind_of_position,
    a_reset_is_of_one_partition_or_of_all,
    a_dry_run_tells_and_changes_nothing,
    a_reset_makes_the_group_where_there_is_none,
    an_active_group_is_reset_by_force_only,
    a_forced_reset_rewinds_a_live_member,
    a_reset_out_of_range_is_refused,
    a_group_is_deleted,
    an_active_group_is_deleted_by_force_only,
    records_that_retention_took_are_told_once_and_passed,
    a_run_that_begins_below_the_log_start_is_told_as_well,
    a_topic_made_anew_is_read_from_its_beginning,
);

/// When the first of the records was, in milliseconds since 1970: 2023-11-14T22:13:20Z. Each is a second younger.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// A topic with ten records, one a second, in each of two partitions.
async fn orders(gateway: &Gateway) -> Topic {
    let topic = gateway.topic("orders", 2).await;
    let records: Vec<_> =
        (0..20).map(|n| json!({ "partition": n % 2, "value": n / 2, "timestamp": BEGIN_MS + n / 2 * 1000 })).collect();
    topic.produce(&json!(records)).await;
    topic
}

fn member(client: &Client, name: &str) -> Member {
    Member::new(client, "g", name, json!({ "topics": ["orders"], "lease_ms": 60_000 }))
}

async fn reset(client: &Client, body: &Value) -> Answer {
    client.put("/v1/groups/g/offsets").json(body).send().await
}

/// Resets partition 0 of the topic to what `to` says.
async fn reset_first(client: &Client, to: Value) -> Answer {
    reset(client, &joined(json!({ "topic": "orders", "partition": 0 }), to)).await
}

fn moved(partition: u32, from_offset: impl Into<Value>, next_offset: u64) -> Value {
    json!({
        "topic": "orders", "partition": partition, "from_offset": from_offset.into(), "next_offset": next_offset,
    })
}

async fn a_reset_goes_to_every_kind_of_position(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    orders(&gateway).await;
    let mut before = Value::Null;
    for (to, next) in [
        (json!({ "to": "latest" }), 10),
        (json!({ "to": "earliest" }), 0),
        (json!({ "to": "-3" }), 7),
        (json!({ "offset": 4 }), 4),
        (json!({ "to": "2023-11-14T22:13:25Z" }), 5),
        (json!({ "to": "1700000008500" }), 9),
        (json!({ "to": "2023-11-14T22:14:00Z" }), 10),
        (json!({ "to": "-100" }), 0),
        (json!({ "offset": 10 }), 10),
        (json!({ "offset": 0 }), 0),
    ] {
        let answer = reset_first(&gateway, to.clone()).await.is(200).json();
        assert_eq!(answer, json!({ "offsets": [moved(0, before, next)] }), "{to}");
        assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(next), "{to}");
        before = json!(next);
    }
    assert_eq!(committed(&gateway, "g", "orders", 1).await, None);
}

async fn a_reset_is_of_one_partition_or_of_all(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    orders(&gateway).await;
    let answer = reset(&gateway, &json!({ "topic": "orders", "partition": 1, "offset": 6 })).await.is(200).json();
    assert_eq!(answer["offsets"], json!([moved(1, Value::Null, 6)]));
    let answer = reset(&gateway, &json!({ "topic": "orders", "to": "-1" })).await.is(200).json();
    assert_eq!(answer["offsets"], json!([moved(0, Value::Null, 9), moved(1, 6, 9)]));
    let mut values: Vec<_> = member(&gateway, "m").take(2).await.iter().map(|record| record.json()).collect();
    values.sort_by_key(Value::as_u64);
    assert_eq!(values, [json!(9), json!(9)], "the members read from there");
}

async fn a_dry_run_tells_and_changes_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    orders(&gateway).await;
    let dry = json!({ "topic": "orders", "to": "-2", "dry_run": true });
    let told = reset(&gateway, &dry).await.is(200).json();
    assert_eq!(told["offsets"], json!([moved(0, Value::Null, 8), moved(1, Value::Null, 8)]));
    gateway.get("/v1/groups/g").send().await.problem(404, "unknown_group");

    reset(&gateway, &json!({ "topic": "orders", "offset": 3, "partition": 0 })).await.is(200);
    let told = reset(&gateway, &dry).await.is(200).json();
    assert_eq!(told["offsets"], json!([moved(0, 3, 8), moved(1, Value::Null, 8)]));
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(3));
    assert_eq!(committed(&gateway, "g", "orders", 1).await, None);
}

async fn a_reset_makes_the_group_where_there_is_none(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    orders(&gateway).await;
    reset(&gateway, &json!({ "topic": "orders", "to": "latest" })).await.is(200);
    let group = describe(&gateway, "g").await;
    assert_eq!((&group["state"], &group["members"], &group["lag"]), (&json!("empty"), &json!([]), &json!(0)));
    let mut member = member(&gateway, "m");
    assert!(member.begin().await.records.is_empty(), "`from` is earliest, but there is an offset already");
}

async fn an_active_group_is_reset_by_force_only(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    orders(&gateway).await;
    let other = gateway.topic("other", 1).await;
    other.count(0, 0..3).await;
    let mut member = member(&gateway, "m");
    member.begin().await;
    member.poll().await;
    for body in
        [json!({ "topic": "orders", "to": "earliest" }), json!({ "topic": "orders", "partition": 1, "offset": 2 })]
    {
        reset(&gateway, &body).await.problem(409, "group_active");
        let not_by_force = joined(body, json!({ "force": false }));
        reset(&gateway, &not_by_force).await.problem(409, "group_active");
    }
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(10));
    reset(&gateway, &json!({ "topic": "other", "to": "latest" })).await.is(200);
    member.heartbeat().await.is(200);
    member.leave().await;
    reset(&gateway, &json!({ "topic": "orders", "to": "earliest" })).await.is(200);
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(0));
}

async fn a_forced_reset_rewinds_a_live_member(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    orders(&gateway).await;
    let mut member = member(&gateway, "m");
    assert_eq!(member.begin().await.records.len(), 20);
    let answer = reset(&gateway, &json!({ "topic": "orders", "offset": 4, "partition": 0, "force": true })).await;
    assert_eq!(answer.is(200).json()["offsets"][0]["next_offset"], 4);
    // What it read before the reset must not be committed over it: fenced, or passed over.
    let mut records = Vec::new();
    let answer = member.try_poll(json!({})).await;
    if answer.status == 409 {
        assert_eq!(answer.refusal(409)["retry"], "rejoin");
        member.cursor = None;
    } else {
        records.append(&mut member.accept(&answer).records);
    }
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(4));
    let begun = Instant::now();
    while records.iter().filter(|record| record.partition == 0).count() < 6 {
        assert!(begun.elapsed() < DEADLINE, "the records from the reset on do not come: {records:?}");
        records.append(&mut member.poll_with(json!({ "wait_ms": 1000 })).await.records);
    }
    let of_it: Vec<_> = records.iter().filter(|record| record.partition == 0).map(|record| record.offset).collect();
    assert_eq!(of_it, [4, 5, 6, 7, 8, 9]);
    member.commit().await.is(200);
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(10));
}

async fn a_reset_out_of_range_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = orders(&gateway).await;
    topic.trim(0, 5).await;
    for (to, statuses) in [
        (json!({ "offset": 11 }), [416, 400]),
        (json!({ "offset": 4 }), [410, 400]),
        (json!({ "offset": -1 }), [400, 400]),
        (json!({ "offset": 1.5 }), [400, 400]),
        (json!({ "to": "5" }), [400, 400]),
        (json!({ "to": "yesterday" }), [400, 400]),
        (json!({ "to": "earliest", "offset": 5 }), [400, 400]),
        (json!({}), [400, 400]),
    ] {
        let answer = reset_first(&gateway, to.clone()).await;
        assert!(statuses.contains(&answer.status), "{to}: {answer:?}");
        answer.refusal(answer.status);
    }
    reset(&gateway, &json!({ "topic": "none", "to": "earliest" })).await.problem(404, "unknown_topic");
    let partition = json!({ "topic": "orders", "partition": 2, "to": "earliest" });
    reset(&gateway, &partition).await.problem(404, "unknown_partition");
    gateway.get("/v1/groups/g").send().await.problem(404, "unknown_group");
}

async fn a_group_is_deleted(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    orders(&gateway).await;
    let mut member = member(&gateway, "m");
    member.begin().await;
    member.commit().await.is(200);
    let former = member.clone();
    member.leave().await;
    gateway.delete("/v1/groups/g").send().await.is(204);
    for path in ["/v1/groups/g", "/v1/groups/g/offsets"] {
        gateway.get(path).send().await.problem(404, "unknown_group");
    }
    gateway.delete("/v1/groups/g").send().await.problem(404, "unknown_group");
    assert_eq!(gateway.get("/v1/groups").send().await.is(200).json()["groups"], json!([]));
    member.epoch = former.epoch;
    assert_eq!(member.begin().await.records.len(), 20, "what it had committed is forgotten");
    // A run of the group that was deleted is told from the one that bears its name now.
    assert!([404, 409].contains(&former.commit().await.status));
    assert!([404, 409].contains(&former.heartbeat().await.status));
}

async fn an_active_group_is_deleted_by_force_only(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    orders(&gateway).await;
    let mut member = member(&gateway, "m");
    member.begin().await;
    for path in ["/v1/groups/g", "/v1/groups/g?force=false"] {
        gateway.delete(path).send().await.problem(409, "group_active");
    }
    member.heartbeat().await.is(200);
    gateway.delete("/v1/groups/g?force=true").send().await.is(204);
    gateway.get("/v1/groups/g").send().await.problem(404, "unknown_group");
    for answer in [member.commit().await, member.heartbeat().await] {
        answer.problem(404, "unknown_group");
    }
    gateway.get("/v1/groups/g").send().await.problem(404, "unknown_group");
}

async fn records_that_retention_took_are_told_once_and_passed(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let start = json!({ "topics": ["orders"], "lease_ms": 60_000, "max_records": 2 });
    let mut member = Member::new(&gateway, "g", "m", start);
    assert_eq!(member.begin().await.offsets(), [0, 1]);
    topic.trim(0, 5).await;
    let problem = member.try_poll(json!({})).await.problem(410, "offset_expired");
    let partition = json!({
        "topic": "orders", "partition": 0, "requested_offset": 2, "log_start_offset": 5, "high_watermark": 10,
    });
    assert_eq!(problem["partitions"], json!([partition]));
    assert!(problem.get("outcome").is_none(), "it has committed, and then could not read: {problem}");
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(2));
    member.cursor = Some(problem["cursor"].as_str().expect("a 410 has a cursor that goes on").to_owned());
    assert_eq!(member.poll().await.offsets(), [5, 6, 7, 8, 9]);
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(5), "the gap is passed");
    assert!(member.poll().await.records.is_empty());
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(10));
}

async fn a_run_that_begins_below_the_log_start_is_told_as_well(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let mut former = member(&gateway, "former");
    former.begin().await;
    former.commit_offsets(json!([{ "topic": "orders", "partition": 0, "next_offset": 2 }])).await.is(200);
    former.leave().await;
    topic.trim(0, 5).await;
    let heir = member(&gateway, "heir");
    let problem = heir.try_poll(json!({})).await.problem(410, "offset_expired");
    assert_eq!(problem["partitions"][0]["requested_offset"], 2, "{problem}");
    let answer = heir.send(&json!({ "cursor": problem["cursor"] })).await.is(200).json();
    let offsets: Vec<_> =
        answer["records"].as_array().expect("records").iter().map(|one| one["offset"].clone()).collect();
    assert_eq!(offsets, [5, 6, 7, 8, 9].map(Value::from));
    let answer = heir.send(&json!({ "cursor": answer["cursor"] })).await.is(200).json();
    assert_eq!(answer["records"], json!([]), "it is told once");
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(10));
}

async fn a_topic_made_anew_is_read_from_its_beginning(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let mut member = member(&gateway, "m");
    assert_eq!(member.begin().await.records.len(), 10);
    topic.delete().await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 100..105).await;
    let mut values = Vec::new();
    let begun = Instant::now();
    while values.len() < 5 {
        assert!(begun.elapsed() < DEADLINE, "the new records do not come: {values:?}");
        let answer = member.try_poll(json!({ "wait_ms": 500 })).await;
        match answer.status {
            200 => values.extend(member.accept(&answer).records.iter().map(|record| record.json())),
            // Whichever way it is told, there is one remedy.
            409 | 410 => member.cursor = None,
            other => panic!("{other}: {answer:?}"),
        }
    }
    assert_eq!(values, [100, 101, 102, 103, 104].map(Value::from));
    member.commit().await.is(200);
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(5), "what was committed of the former topic is gone");
}
