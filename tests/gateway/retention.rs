//! What is removed: by hand, by age and by size; the batch is the unit, and what a reader behind it is told.

use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::topic::Topic;
use crate::harness::topic::next_link;
use crate::harness::wait::eventually;

on_each_backend!(
    trimming_moves_the_log_start_and_nothing_else,
    trimming_asks_where_to_stop,
    a_cursor_behind_the_log_start_is_410_with_one_that_goes_on,
    a_gap_in_one_of_several_partitions_is_told_by_its_place,
    retention_by_size_keeps_the_newest_batches,
    retention_by_age_counts_from_the_append,
);

on_sqlite!("it is about the size of SQLite's file":
    freed_space_is_used_again,
);

async fn trimming_moves_the_log_start_and_nothing_else(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..10).await;
    topic.count(1, 0..10).await;
    topic.trim(0, 4).await;
    let left = async || {
        let page = topic.read("").await;
        page.records.iter().filter(|record| record.partition == 0).map(|record| record.offset).collect::<Vec<_>>()
    };
    assert_eq!(left().await, [4, 5, 6, 7, 8, 9]);
    assert_eq!(topic.read("partition=1").await.records.len(), 10);

    topic.trim(0, 10).await;
    assert_eq!(left().await, Vec::<u64>::new());
    gateway.restart().await;
    assert_eq!(topic.high_watermark(0).await, 10, "an empty log keeps counting");
    assert_eq!(topic.count(0, 10..11).await[0].offset, 10);
}

async fn trimming_asks_where_to_stop(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..3).await;
    let trim = async |query: &str| gateway.delete(&topic.path(&format!("/partitions/0/records{query}"))).send().await;
    trim("").await.refused_write(400, "missing_parameter");
    trim("?before_offset=-1").await.refused_write(400, "invalid_parameter");
    trim("?before_offset=4").await.refused_write(416, "offset_out_of_range");
    assert_eq!(topic.read("").await.records.len(), 3);

    topic.trim(0, 2).await;
    let again = trim("?before_offset=1").await.is(200).json();
    assert_eq!(again["log_start_offset"], 2, "the log start never falls");
}

async fn a_cursor_behind_the_log_start_is_410_with_one_that_goes_on(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let cursor = topic.read("max_records=2").await.cursor;
    topic.trim(0, 6).await;

    let gone = topic.try_read(&format!("cursor={cursor}&max_records=3")).await;
    let problem = gone.problem(410, "offset_expired");
    let partition = json!({
        "topic": "orders", "partition": 0, "requested_offset": 2, "log_start_offset": 6, "high_watermark": 10,
    });
    assert_eq!(problem["partitions"], json!([partition]));
    assert_eq!((&problem["log_start_offset"], &problem["high_watermark"]), (&json!(6), &json!(10)));
    let onward = problem["cursor"].as_str().expect("a 410 has a cursor that goes on");
    assert_eq!(topic.read(&format!("cursor={onward}")).await.offsets(), [6, 7, 8, 9]);
    let linked = topic.read(next_link(&gone).trim_start_matches('?')).await;
    assert_eq!(linked.offsets(), [6, 7, 8], "the link repeats the other parameters");

    assert_eq!(topic.read("from=earliest").await.offsets(), [6, 7, 8, 9], "earliest is what is there");
    let by_offset = gateway.get(&topic.path("/partitions/0/records?offset=5")).send().await;
    assert_eq!(by_offset.problem(410, "offset_expired")["partitions"][0]["requested_offset"], 5);
}

async fn a_gap_in_one_of_several_partitions_is_told_by_its_place(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    for partition in 0..3 {
        topic.count(partition, 0..4).await;
    }
    let start = topic.read("from=earliest&max_records=1").await;
    let seen = (start.records[0].partition, start.records[0].offset);
    topic.trim(2, 3).await;

    let problem = topic.try_read(&format!("cursor={}", start.cursor)).await.problem(410, "offset_expired");
    let partitions = problem["partitions"].as_array().expect("a list of partitions");
    assert_eq!(partitions.len(), 1, "{problem}");
    assert_eq!((&partitions[0]["partition"], &partitions[0]["log_start_offset"]), (&json!(2), &json!(3)));
    let onward = problem["cursor"].as_str().expect("a 410 has a cursor that goes on");
    let rest = topic.read(&format!("cursor={onward}")).await;
    let mut found: Vec<_> = rest.records.iter().map(|record| (record.partition, record.offset)).collect();
    found.sort_unstable();
    let mut expected = vec![(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (2, 3)];
    expected.retain(|place| *place != seen);
    assert_eq!(found, expected);
}

/// Waits until the topic's first partition begins behind its first record.
async fn log_start_moved(topic: &Topic) -> u64 {
    eventually("retention moves the log start", async || {
        let start = topic.describe().await["partitions"][0]["log_start_offset"].as_u64();
        start.filter(|start| *start > 0)
    })
    .await
}

async fn retention_by_size_keeps_the_newest_batches(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let limit = 1_000_000;
    let wanted = json!({ "partition_count": 1, "retention_bytes": limit });
    gateway.put("/v1/topics/sized").json(&wanted).send().await.is(201);
    let topic = Topic::named(&gateway, "sized");
    let value = json!("x".repeat(100_000)).to_string();
    for _ in 0..30 {
        topic.value(value.clone()).await;
    }
    log_start_moved(&topic).await;
    let told = eventually("no more than the limit and one batch is kept", async || {
        let told = topic.describe().await["partitions"][0].clone();
        told["bytes"].as_u64().is_some_and(|bytes| bytes <= limit + 110_000).then_some(told)
    })
    .await;
    assert_eq!(told["high_watermark"], 30);
    let kept = topic.read_all().await;
    assert!(kept.len() >= 9, "at least the limit is kept, and here are {} records", kept.len());
    assert_eq!(kept.last().map(|record| record.offset), Some(29));
}

async fn retention_by_age_counts_from_the_append(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("aged", 1).await;
    topic.produce(&json!([{ "value": "old by its own clock", "timestamp": 1 }])).await;
    let other = gateway.topic("young", 1).await;
    let hour = json!({ "retention_ms": 3_600_000 });
    gateway.patch("/v1/topics/young").json(&hour).send().await.is(200);
    other.produce(&json!([{ "value": "old by its own clock", "timestamp": 1 }])).await;

    gateway.patch("/v1/topics/aged").json(&json!({ "retention_ms": 1 })).send().await.is(200);
    assert_eq!(log_start_moved(&topic).await, 1);
    eventually("it is read no more", async || topic.read("").await.records.is_empty().then_some(())).await;
    assert_eq!(topic.high_watermark(0).await, 1);
    assert_eq!(other.read("").await.records.len(), 1, "a record is as old as its append, whatever it says of itself");
}

async fn freed_space_is_used_again(backend: Backend) {
    const MIB: u64 = 1 << 20;
    const KEPT: u64 = 16 * MIB;
    let mut gateway = Gateway::start(backend).await;
    let wanted = json!({ "partition_count": 1, "retention_bytes": KEPT });
    gateway.put("/v1/topics/turned").json(&wanted).send().await.is(201);
    let topic = Topic::named(&gateway, "turned");
    let value = json!("x".repeat(MIB as usize - 100)).to_string();
    for turnover in 1..=11 {
        for _ in 0..KEPT / MIB {
            topic.value(value.clone()).await;
        }
        eventually("the turnover is over", async || {
            let told = topic.describe().await["partitions"][0].clone();
            let bytes = told["bytes"].as_u64().unwrap_or_default();
            (bytes <= KEPT + MIB && told["high_watermark"] == turnover * (KEPT / MIB)).then_some(())
        })
        .await;
    }
    gateway.stop().await;
    let size = std::fs::metadata(gateway.data_dir().join("tidegate.db")).expect("the database is there").len();
    assert!(size <= KEPT * 3 / 2 + 64 * MIB, "{} MiB for {} MiB kept", size / MIB, KEPT / MIB);
}
