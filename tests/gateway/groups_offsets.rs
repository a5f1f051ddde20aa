//! What a group has read: commits by name, all or nothing, and how the groups are told of, with their lag.

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::describe;
use crate::harness::member::settle;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;
use crate::harness::wait::DEADLINE;

on_each_backend!(
    offsets_are_committed_by_name_with_a_note,
    an_older_cursor_changes_nothing_and_is_well,
    a_commit_that_goes_back_is_refused,
    a_commit_beyond_the_high_watermark_is_refused,
    a_commit_below_the_log_start_is_refused,
    a_commit_for_a_partition_of_another_is_refused,
    a_commit_is_all_or_nothing,
    a_group_is_described,
    lag_is_told_in_records_and_in_milliseconds,
    offsets_list_what_is_committed_and_nothing_else,
    groups_are_listed_page_by_page,
);

fn offset(partition: u32, next_offset: u64) -> Value {
    json!({ "topic": "orders", "partition": partition, "next_offset": next_offset })
}

/// A topic of two partitions with ten records each, and a member that holds both and has read everything.
async fn reader(gateway: &Gateway) -> (Topic, Member) {
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..10).await;
    topic.count(1, 0..10).await;
    let start = json!({ "topics": ["orders"], "lease_ms": 60_000 });
    let mut member = Member::new(gateway, "g", "m", start);
    assert_eq!(member.begin().await.records.len(), 20);
    (topic, member)
}

/// The committed offsets of both partitions; 0 where there is none.
async fn both(client: &Client) -> [u64; 2] {
    let first = committed(client, "g", "orders", 0).await.unwrap_or(0);
    [first, committed(client, "g", "orders", 1).await.unwrap_or(0)]
}

async fn offsets_are_committed_by_name_with_a_note(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (_, member) = reader(&gateway).await;
    let noted = json!({ "topic": "orders", "partition": 1, "next_offset": 4, "metadata": "até à página \u{1f30a}\n" });
    let answer = member.commit_offsets(json!([offset(0, 3), noted])).await.is(200).json();
    let told = answer["offsets"].as_array().expect("a list of offsets");
    assert_eq!(told.len(), 2, "{answer}");
    for (one, sent) in told.iter().zip([&offset(0, 3), &noted]) {
        for name in ["topic", "partition", "next_offset", "metadata"] {
            assert_eq!(one[name], sent[name], "{name} of {one}");
        }
    }
    assert_eq!(both(&gateway).await, [3, 4]);
    let group = describe(&gateway, "g").await;
    assert_eq!(group["partitions"][1]["metadata"], noted["metadata"], "{group}");
    let again = member.commit_offsets(json!([offset(0, 3), noted])).await;
    again.is(200);
    let longest = json!([{ "topic": "orders", "partition": 0, "next_offset": 10, "metadata": "x".repeat(4096) }]);
    member.commit_offsets(longest).await.is(200);
    let too_long = json!([{ "topic": "orders", "partition": 0, "next_offset": 10, "metadata": "x".repeat(4097) }]);
    member.commit_offsets(too_long).await.refusal(400);
}

async fn an_older_cursor_changes_nothing_and_is_well(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (topic, mut member) = reader(&gateway).await;
    let older = member.clone();
    topic.count(0, 10..12).await;
    member.take(2).await;
    let answer = member.commit().await.is(200).json();
    assert!(answer["offsets"].is_array(), "{answer}");
    assert_eq!(both(&gateway).await, [12, 10]);
    older.commit().await.is(200);
    older.commit().await.is(200);
    assert_eq!(both(&gateway).await, [12, 10]);
}

async fn a_commit_that_goes_back_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (_, member) = reader(&gateway).await;
    member.commit_offsets(json!([offset(0, 6), offset(1, 6)])).await.is(200);
    for back in [5, 0] {
        let refused = member.commit_offsets(json!([offset(0, back)])).await;
        refused.problem(409, "offset_regression");
    }
    assert_eq!(both(&gateway).await, [6, 6]);
    member.commit_offsets(json!([offset(0, 6)])).await.is(200);
}

async fn a_commit_beyond_the_high_watermark_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (_, member) = reader(&gateway).await;
    for beyond in [11, 9_007_199_254_740_991] {
        let refused = member.commit_offsets(json!([offset(1, beyond)])).await;
        let problem = refused.problem(416, "offset_out_of_range");
        let partition = json!({
            "topic": "orders", "partition": 1, "requested_offset": beyond, "log_start_offset": 0, "high_watermark": 10,
        });
        assert_eq!(problem["partitions"], json!([partition]));
    }
    assert_eq!(both(&gateway).await, [0, 0]);
    member.commit_offsets(json!([offset(1, 10)])).await.is(200);
}

async fn a_commit_below_the_log_start_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (topic, member) = reader(&gateway).await;
    topic.trim(0, 5).await;
    let refused = member.commit_offsets(json!([offset(0, 3)])).await;
    let problem = refused.problem(410, "offset_expired");
    let partition = json!({
        "topic": "orders", "partition": 0, "requested_offset": 3, "log_start_offset": 5, "high_watermark": 10,
    });
    assert_eq!(problem["partitions"], json!([partition]));
    assert_eq!(both(&gateway).await, [0, 0]);
    member.commit_offsets(json!([offset(0, 5)])).await.is(200);
}

async fn a_commit_for_a_partition_of_another_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 2).await;
    let start = json!({ "topics": ["orders"], "lease_ms": 60_000 });
    let mut members = ["a", "b"].map(|name| Member::new(&gateway, "g", name, start.clone()));
    settle(&mut members, |all| all.iter().all(|member| member.held.len() == 1)).await;
    let topic = Topic::named(&gateway, "orders");
    topic.count(0, 0..5).await;
    topic.count(1, 0..5).await;
    let [a, b] = &mut members;
    let of = |member: &Member| member.held.first().expect("each holds one").1;
    let (mine, other) = (of(a), of(b));
    let epoch = b.poll().await.assignments[0].epoch;
    let problem = a.commit_offsets(json!([offset(other, 2)])).await.problem(409, "lease_lost");
    assert_eq!(problem["partitions"], json!([{ "topic": "orders", "partition": other, "current_epoch": epoch }]));
    a.commit_offsets(json!([offset(mine, 2), offset(other, 2)])).await.problem(409, "lease_lost");
    assert_eq!(both(&gateway).await, [0, 0]);
    a.commit_offsets(json!([offset(mine, 2)])).await.is(200);
}

async fn a_commit_is_all_or_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (topic, member) = reader(&gateway).await;
    member.commit_offsets(json!([offset(0, 4), offset(1, 4)])).await.is(200);
    topic.trim(1, 6).await;
    for (offsets, status) in [
        ([offset(0, 9), offset(1, 11)], 416),
        ([offset(0, 9), offset(1, 5)], 410),
        ([offset(0, 3), offset(1, 9)], 409),
        ([offset(0, 9), json!({ "topic": "orders", "partition": 1 })], 400),
        ([offset(0, 9), json!({ "topic": "orders", "partition": 1, "next_offset": -1 })], 400),
    ] {
        member.commit_offsets(json!(offsets)).await.refusal(status);
        assert_eq!(both(&gateway).await, [4, 4], "{offsets:?}");
    }
    member.commit_offsets(json!([offset(0, 9), offset(1, 9)])).await.is(200);
    assert_eq!(both(&gateway).await, [9, 9]);
}

async fn a_group_is_described(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (_, mut member) = reader(&gateway).await;
    member.commit_offsets(json!([offset(0, 3)])).await.is(200);
    let by_prefix = json!({ "topic_prefix": "none.", "lease_ms": 5000 });
    let mut other = Member::new(&gateway, "g", "other", by_prefix);
    other.begin().await;

    let group = describe(&gateway, "g").await;
    assert_eq!(
        (&group["group"], &group["state"], &group["strategy"]),
        (&json!("g"), &json!("active"), &json!("sticky"))
    );
    let members = group["members"].as_array().expect("a list of members");
    assert_eq!(members.len(), 2, "{group}");
    let told = |name: &str| members.iter().find(|member| member["member_id"] == name).expect("each is told of");
    let (m, o) = (told("m"), told("other"));
    assert_eq!((&m["epoch"], &m["lease_ms"], &m["topics"]), (&json!(member.epoch), &json!(60_000), &json!(["orders"])));
    assert_eq!((&o["topic_prefix"], &o["assignments"], &o["lease_ms"]), (&json!("none."), &json!([]), &json!(5000)));
    assert!(m["lease_ends_at"].as_u64() > o["lease_ends_at"].as_u64(), "{group}");
    let assignments = m["assignments"].as_array().expect("a list of assignments");
    assert_eq!(assignments.len(), 2);

    let partitions = group["partitions"].as_array().expect("a list of partitions");
    assert_eq!(partitions.len(), 2, "{group}");
    for (number, partition) in partitions.iter().enumerate() {
        assert_eq!((&partition["topic"], &partition["partition"]), (&json!("orders"), &json!(number)));
        assert_eq!(partition["owner"], "m");
        assert_eq!(partition["epoch"], assignments[number]["epoch"]);
        assert!(partition["lease_ends_at"].is_u64(), "{partition}");
        assert_eq!((&partition["log_start_offset"], &partition["high_watermark"]), (&json!(0), &json!(10)));
    }
    assert_eq!((&partitions[0]["next_offset"], &partitions[0]["lag"]), (&json!(3), &json!(7)));
    assert_eq!(partitions[1]["lag"], 10, "where nothing is committed the whole log lags");
    assert_eq!(group["lag"], 17);

    member.leave().await;
    other.leave().await;
    let group = describe(&gateway, "g").await;
    assert_eq!((&group["state"], &group["members"]), (&json!("empty"), &json!([])));
    assert_eq!((group["partitions"][0].get("owner"), &group["partitions"][0]["next_offset"]), (None, &json!(3)));
}

async fn lag_is_told_in_records_and_in_milliseconds(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let now = topic.count(1, 0..1).await[0].timestamp;
    // The oldest of ten is ten minutes old, and each is a minute younger than the one before.
    let records: Vec<_> =
        (0..10).map(|n| json!({ "partition": 0, "value": n, "timestamp": now - (10 - n) * 60_000 })).collect();
    topic.produce(&json!(records)).await;
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "lease_ms": 60_000 }));
    member.begin().await;
    member.commit_offsets(json!([offset(1, 1)])).await.is(200);
    for (committed, lag, age_ms) in [(4, 6, 6 * 60_000), (9, 1, 60_000), (10, 0, 0)] {
        member.commit_offsets(json!([offset(0, committed)])).await.is(200);
        let spent = u64::try_from(DEADLINE.as_millis()).expect("a minute is few milliseconds");
        for path in ["/v1/groups/g", "/v1/groups/g/offsets"] {
            let group = gateway.get(path).send().await.is(200).json();
            let list = if path.ends_with("offsets") { &group["offsets"] } else { &group["partitions"] };
            assert_eq!(
                (&list[0]["lag"], &list[1]["lag"], &group["lag"]),
                (&json!(lag), &json!(0), &json!(lag)),
                "{path}"
            );
            for told in [&list[0]["lag_ms"], &group["lag_ms"]] {
                let told = told.as_u64().expect("an age");
                let late = if lag == 0 { 0 } else { spent };
                assert!((age_ms..=age_ms + late).contains(&told), "{path}: {told} after {age_ms}");
            }
            assert_eq!(list[1]["lag_ms"], 0, "{path}");
        }
    }
}

async fn offsets_list_what_is_committed_and_nothing_else(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (topic, member) = reader(&gateway).await;
    let noted = json!({ "topic": "orders", "partition": 1, "next_offset": 4, "metadata": "here" });
    member.commit_offsets(json!([noted])).await.is(200);
    topic.trim(1, 2).await;
    let answer = gateway.get("/v1/groups/g/offsets").send().await.is(200).json();
    let offsets = answer["offsets"].as_array().expect("a list of offsets");
    let told = offsets.iter().find(|one| one["partition"] == 1).expect("it was committed");
    for (name, value) in [
        ("topic", json!("orders")),
        ("next_offset", json!(4)),
        ("metadata", json!("here")),
        ("log_start_offset", json!(2)),
        ("high_watermark", json!(10)),
        ("lag", json!(6)),
    ] {
        assert_eq!(told[name], value, "{name} of {told}");
    }
    assert!(offsets.iter().all(|one| one["next_offset"].is_u64()), "{answer}");
    let sum: u64 = offsets.iter().map(|one| one["lag"].as_u64().expect("a number")).sum();
    assert_eq!(answer["lag"], sum);
    gateway.get("/v1/groups/none/offsets").send().await.problem(404, "unknown_group");
}

async fn groups_are_listed_page_by_page(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    assert_eq!(gateway.get("/v1/groups").send().await.is(200).json()["groups"], json!([]));
    for (group, strategy) in [("pear", "sticky"), ("Apple", "range"), ("fig", "round_robin")] {
        let start = json!({ "topics": ["orders"], "lease_ms": 60_000, "strategy": strategy });
        let mut members = ["a", "b"].map(|name| Member::new(&gateway, group, name, start.clone()));
        for member in &mut members {
            member.begin().await;
        }
        if group == "fig" {
            for member in &mut members {
                member.leave().await;
            }
        }
    }
    let first = gateway.get("/v1/groups?limit=2").send().await.is(200).json();
    let expected = json!([
        { "group": "Apple", "state": "active", "strategy": "range", "members": 2 },
        { "group": "fig", "state": "empty", "strategy": "round_robin", "members": 0 },
    ]);
    assert_eq!(first["groups"], expected);
    let token = first["next_page_token"].as_str().expect("there is more");
    let rest = gateway.get(&format!("/v1/groups?limit=2&page_token={token}")).send().await.is(200).json();
    assert_eq!(rest["groups"], json!([{ "group": "pear", "state": "active", "strategy": "sticky", "members": 2 }]));
    assert!(rest.get("next_page_token").is_none(), "{rest}");
}
