//! Topics as resources: made, found, changed, deleted, and what a name may be.

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::client::assert_names;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;
use crate::harness::topic::next_link;

on_each_backend!(
    put_creates_once_and_agrees_when_nothing_given_differs,
    put_of_another_configuration_is_409_and_shows_the_current_one,
    a_topic_without_a_body_gets_the_defaults,
    a_new_topic_tells_its_partitions_and_their_bounds,
    bounds_of_a_partition_stand_in_the_headers_too,
    patch_changes_what_is_named_and_null_restores_the_default,
    partitions_grow_and_never_shrink,
    lists_go_page_by_page_sorted_by_name,
    a_prefix_is_literal,
    a_deleted_topic_is_gone_and_a_new_one_starts_afresh,
    names_outside_the_alphabet_are_refused,
    a_configuration_out_of_range_is_refused,
    an_unknown_member_is_named_beside_the_known_ones,
);

/// Seven days in milliseconds, the default of `retention_ms`.
const A_WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;

async fn put(client: &Client, name: &str, body: &Value) -> Answer {
    client.put(&format!("/v1/topics/{name}")).json(body).send().await
}

async fn put_creates_once_and_agrees_when_nothing_given_differs(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let wanted = json!({ "partition_count": 3, "retention_bytes": 1_000_000 });
    let created = put(&gateway, "orders", &wanted).await.is(201).json();
    assert_eq!(created["partition_count"], 3);
    assert_eq!(created["retention_bytes"], 1_000_000);
    assert_eq!(created["retention_ms"], A_WEEK_MS);

    put(&gateway, "orders", &wanted).await.is(200);
    put(&gateway, "orders", &json!({ "partition_count": 3 })).await.is(200);
    put(&gateway, "orders", &json!({})).await.is(200);
}

async fn put_of_another_configuration_is_409_and_shows_the_current_one(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    put(&gateway, "orders", &json!({ "partition_count": 3 })).await.is(201);

    let answer = put(&gateway, "orders", &json!({ "partition_count": 4 })).await;
    let problem = answer.refused_write(409, "topic_exists");
    assert_eq!(problem["current"]["partition_count"], 3, "{problem}");
    assert_eq!(problem["current"]["retention_ms"], A_WEEK_MS, "{problem}");
    let current = gateway.get("/v1/topics/orders").send().await.is(200).json();
    assert_eq!(current["partition_count"], 3, "the refused PUT changes nothing");
}

async fn a_topic_without_a_body_gets_the_defaults(backend: Backend) {
    let gateway = Gateway::with(backend, &["--default-partitions", "5"]).await;
    let created = gateway.put("/v1/topics/plain").send().await.is(201).json();
    assert_eq!(created["partition_count"], 5);
    assert_eq!(created["retention_ms"], A_WEEK_MS);
    assert_eq!(created["retention_bytes"], -1, "no limit by size unless asked for");
}

async fn a_new_topic_tells_its_partitions_and_their_bounds(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(1, 0..3).await;

    let told = topic.describe().await;
    assert_eq!(told["partition_count"], 2);
    let empty = &told["partitions"][0];
    assert_eq!(empty, &json!({ "partition": 0, "log_start_offset": 0, "high_watermark": 0, "bytes": 0, "records": 0 }));
    let filled = &told["partitions"][1];
    assert_eq!(filled["high_watermark"], 3);
    assert_eq!(filled["records"], 3);
    assert!(filled["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{filled}");
}

async fn bounds_of_a_partition_stand_in_the_headers_too(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(1, 0..5).await;
    topic.trim(1, 2).await;

    let answer = gateway.get("/v1/topics/orders/partitions/1").send().await.is(200);
    assert_eq!(answer.header("tidegate-log-start-offset"), Some("2"));
    assert_eq!(answer.header("tidegate-high-watermark"), Some("5"));
    let told = answer.json();
    assert_eq!((&told["log_start_offset"], &told["high_watermark"]), (&json!(2), &json!(5)));
    assert_eq!((&told["partition"], &told["records"]), (&json!(1), &json!(3)));
    gateway.get("/v1/topics/orders/partitions/2").send().await.problem(404, "unknown_partition");
}

async fn patch_changes_what_is_named_and_null_restores_the_default(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let start = json!({ "partition_count": 2, "retention_ms": 60_000, "retention_bytes": 5_000_000 });
    put(&gateway, "orders", &start).await.is(201);
    let patch = async |change: Value| {
        gateway
            .patch("/v1/topics/orders")
            .header("content-type", "application/merge-patch+json")
            .body(change.to_string())
            .send()
            .await
    };

    let changed = patch(json!({ "retention_ms": -1 })).await.is(200).json();
    assert_eq!((&changed["retention_ms"], &changed["retention_bytes"]), (&json!(-1), &json!(5_000_000)));
    let restored = patch(json!({ "retention_ms": null })).await.is(200).json();
    assert_eq!((&restored["retention_ms"], &restored["partition_count"]), (&json!(A_WEEK_MS), &json!(2)));

    let topic = Topic::named(&gateway, "orders");
    assert_eq!(topic.describe().await["retention_ms"], A_WEEK_MS);
    gateway.patch("/v1/topics/none").json(&json!({})).send().await.refused_write(404, "unknown_topic");
}

async fn partitions_grow_and_never_shrink(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    let shrink = gateway.patch("/v1/topics/orders").json(&json!({ "partition_count": 2 })).send().await;
    shrink.refused_write(422, "partitions_shrink");
    assert_eq!(topic.describe().await["partition_count"], 3);

    topic.grow_to(4).await;
    let told = topic.describe().await;
    assert_eq!(told["partition_count"], 4);
    assert_eq!(told["partitions"].as_array().map(Vec::len), Some(4));
    topic.count(3, 0..1).await;
}

async fn lists_go_page_by_page_sorted_by_name(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for name in ["pear", "Apple", "fig", "apple", "zebra"] {
        gateway.topic(name, 1).await;
    }
    let mut names = Vec::new();
    let mut path = "/v1/topics?limit=2".to_owned();
    loop {
        let answer = gateway.get(&path).send().await.is(200);
        let list = answer.json();
        let page = list["topics"].as_array().expect("a list of topics");
        assert!((1..=2).contains(&page.len()), "{list}");
        assert!(page.iter().all(|topic| topic["partition_count"] == 1), "{list}");
        names.extend(page.iter().map(|topic| topic["topic"].as_str().expect("a name").to_owned()));
        let Some(token) = list["next_page_token"].as_str() else {
            assert_eq!(answer.header("link"), None, "the last page names no next one");
            break;
        };
        let next = next_link(&answer);
        assert!(next.contains(token) && next.contains("limit=2"), "{next}");
        path = format!("/v1/topics?limit=2&page_token={token}");
    }
    assert_eq!(names, ["Apple", "apple", "fig", "pear", "zebra"]);

    gateway.get("/v1/topics?page_token=nonsense!").send().await.refusal(400);
    gateway.get("/v1/topics?limit=0").send().await.problem(400, "invalid_parameter");
}

async fn a_prefix_is_literal(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for name in ["a_b", "axb", "a.b", "A_b"] {
        gateway.topic(name, 1).await;
    }
    let found = async |prefix: &str| {
        let list = gateway.get(&format!("/v1/topics?prefix={prefix}")).send().await.is(200).json();
        let topics = list["topics"].as_array().expect("a list of topics").clone();
        topics.iter().map(|topic| topic["topic"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("a_").await, ["a_b"], "an underscore is no wildcard, and case counts");
    assert_eq!(found("a").await, ["a.b", "a_b", "axb"]);
    assert_eq!(found("a.").await, ["a.b"], "nor is a full stop");
}

async fn a_deleted_topic_is_gone_and_a_new_one_starts_afresh(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..5).await;
    let old = topic.read("max_records=2").await.cursor;

    topic.delete().await;
    topic.try_read("").await.problem(404, "unknown_topic");
    gateway.get("/v1/topics/orders").send().await.problem(404, "unknown_topic");
    gateway.delete("/v1/topics/orders").send().await.refused_write(404, "unknown_topic");

    let topic = gateway.topic("orders", 1).await;
    assert_eq!(topic.count(0, 100..101).await[0].offset, 0);
    assert_eq!(topic.read("").await.values(), ["100"]);
    let gone = topic.try_read(&format!("cursor={old}")).await;
    let problem = gone.problem(410, "topic_recreated");
    let onward = problem["cursor"].as_str().expect("a 410 has a cursor that goes on");
    assert_eq!(topic.read(&format!("cursor={onward}")).await.values(), ["100"]);
}

async fn names_outside_the_alphabet_are_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let longest = "x".repeat(249);
    put(&gateway, &longest, &json!({})).await.is(201);
    let too_long = "x".repeat(250);
    let names = ["__internal", "a%20b", "a%2Fb", "%00", "%252e", "caf%C3%A9", "a:b", "%EF%BC%8E", "a'b", &too_long];
    for name in names {
        let answer = put(&gateway, name, &json!({})).await;
        answer.refused_write(400, "invalid_name");
    }
    let listed = gateway.get("/v1/topics").send().await.is(200).json();
    assert_eq!(listed["topics"].as_array().map(Vec::len), Some(1));
}

async fn a_configuration_out_of_range_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let configurations = [
        json!({ "partition_count": 0 }),
        json!({ "partition_count": -1 }),
        json!({ "partition_count": 1.5 }),
        json!({ "partition_count": "3" }),
        json!({ "retention_ms": -2 }),
        json!({ "retention_bytes": -2 }),
        json!({ "retention_ms": "7d" }),
        json!([]),
    ];
    for configuration in configurations {
        let problem = put(&gateway, "orders", &configuration).await.refusal(400);
        assert_eq!(problem["outcome"], "not_written", "{configuration}");
    }
    gateway.get("/v1/topics/orders").send().await.problem(404, "unknown_topic");
}

async fn an_unknown_member_is_named_beside_the_known_ones(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let answer = put(&gateway, "orders", &json!({ "partitions": 3 })).await;
    let problem = answer.refused_write(400, "unknown_field");
    assert_names(&problem, &["partitions", "partition_count", "retention_ms", "retention_bytes"]);
    gateway.get("/v1/topics/orders").send().await.problem(404, "unknown_topic");
}
