//! Where a read may begin: earliest, latest, the last N, a time; and the offset that a position stands for.

use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;

on_each_backend!(
    from_begins_at_earliest_latest_or_the_last_records,
    minus_n_counts_in_each_partition,
    a_time_begins_at_the_first_record_not_before_it,
    a_number_too_small_for_a_time_is_refused_with_the_reason,
    offsets_answers_what_a_position_stands_for,
    misspelt_positions_are_refused,
);

/// The timestamp of the first record of `timed`, 2023-11-14T22:13:20Z; each next one is a second later.
const FIRST: i64 = 1_700_000_000_000;

async fn timed(gateway: &Gateway, count: i64) -> Topic {
    let topic = gateway.topic("timed", 1).await;
    let records: Vec<_> = (0..count).map(|n| json!({ "value": n, "timestamp": FIRST + n * 1000 })).collect();
    topic.produce(&json!(records)).await;
    topic
}

async fn from_begins_at_earliest_latest_or_the_last_records(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = timed(&gateway, 10).await;
    assert_eq!(topic.read("").await.offsets(), (0..10).collect::<Vec<_>>());
    assert_eq!(topic.read("from=earliest").await.offsets(), (0..10).collect::<Vec<_>>());
    assert_eq!(topic.read("from=-3").await.offsets(), [7, 8, 9]);
    assert_eq!(topic.read("from=-100").await.offsets().len(), 10, "no more than there are");

    let latest = topic.read("from=latest").await;
    assert!(latest.records.is_empty() && latest.at_tail);
    topic.count(0, 10..11).await;
    assert_eq!(topic.read(&format!("cursor={}", latest.cursor)).await.values(), ["10"]);
}

async fn minus_n_counts_in_each_partition(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    topic.count(0, 0..10).await;
    topic.count(2, 0..1).await;
    let page = topic.read("from=-2").await;
    let mut found: Vec<_> = page.records.iter().map(|record| (record.partition, record.offset)).collect();
    found.sort_unstable();
    assert_eq!(found, [(0, 8), (0, 9), (2, 0)]);
}

async fn a_time_begins_at_the_first_record_not_before_it(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = timed(&gateway, 10).await;
    let from = async |position: &str| topic.read(&format!("from={position}")).await.offsets();
    assert_eq!(from(&(FIRST + 4000).to_string()).await, [4, 5, 6, 7, 8, 9]);
    assert_eq!(from(&(FIRST + 4001).to_string()).await, [5, 6, 7, 8, 9]);
    assert_eq!(from(&(FIRST - 1).to_string()).await.len(), 10);
    assert_eq!(from("2023-11-14T22:13:24Z").await, [4, 5, 6, 7, 8, 9]);
    assert_eq!(from("2023-11-14T22:13:24.001Z").await, [5, 6, 7, 8, 9]);
    assert_eq!(from("2023-11-14T23:13:24%2B01:00").await, [4, 5, 6, 7, 8, 9]);
    assert_eq!(from(&(FIRST + 9001).to_string()).await, Vec::<u64>::new(), "later than all is the end");
}

async fn a_number_too_small_for_a_time_is_refused_with_the_reason(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = timed(&gateway, 1).await;
    for number in ["0", "42", "1700000000", "99999999999"] {
        let problem = topic.try_read(&format!("from={number}")).await.problem(400, "invalid_parameter");
        let detail = problem["detail"].as_str().expect("a detail").to_lowercase();
        assert!(detail.contains("offset") && detail.contains("second"), "{detail}");
    }
    assert_eq!(topic.read("from=100000000000").await.offsets(), [0]);
}

async fn offsets_answers_what_a_position_stands_for(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = timed(&gateway, 10).await;
    topic.trim(0, 3).await;
    let at = async |position: &str| {
        let path = topic.path(&format!("/partitions/0/offsets?at={position}"));
        gateway.get(&path).send().await.is(200).json()["offset"].clone()
    };
    assert_eq!(at("earliest").await, 3);
    assert_eq!(at("latest").await, 10);
    assert_eq!(at("-2").await, 8);
    assert_eq!(at("-100").await, 3, "never before the log start");
    assert_eq!(at(&(FIRST + 5500).to_string()).await, 6);
    assert_eq!(at(&FIRST.to_string()).await, 3);
    assert_eq!(at("2100-01-01T00:00:00Z").await, 10);

    gateway.get(&topic.path("/partitions/0/offsets")).send().await.problem(400, "missing_parameter");
    gateway.get(&topic.path("/partitions/0/offsets?at=7")).send().await.problem(400, "invalid_parameter");
    gateway.get(&topic.path("/partitions/1/offsets?at=latest")).send().await.problem(404, "unknown_partition");
}

async fn misspelt_positions_are_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = timed(&gateway, 1).await;
    let wrong = ["now", "Earliest", "-", "--1", "1.5", "9223372036854775808", "", "2023-11-14", "+5", "-1e3"];
    for position in wrong {
        topic.try_read(&format!("from={position}")).await.problem(400, "invalid_parameter");
    }
}
