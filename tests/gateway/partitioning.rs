//! Which partition a record goes to: the one named, the one its key hashes to, or the next in turn.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;

on_each_backend!(
    keys_go_where_a_kafka_producer_would_send_them,
    bytes_of_a_key_count_and_not_its_spelling,
    single_records_without_a_key_take_turns,
    a_large_request_is_cut_into_runs_over_sixteen_partitions,
);

/// Keys with their murmur2 hash, from the tests of Apache Kafka's own `Utils.murmur2`, and "abc" from its C client.
const HASHES: [(&str, i32); 6] = [
    ("21", -973_932_308),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    ("abc", 479_470_107),
];

async fn keys_go_where_a_kafka_producer_would_send_them(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for partitions in [7, 32] {
        let topic = gateway.topic(&format!("of-{partitions}"), partitions).await;
        for (key, hash) in HASHES {
            let expected = (hash & 0x7fff_ffff).unsigned_abs() % partitions;
            let receipt = topic.produce(&json!([{ "key": key, "value": 1 }])).await.remove(0);
            assert_eq!(receipt.partition, expected, "{key} of {partitions}");
            let path = topic.path(&format!("/values?key={key}"));
            let raw = gateway.post(&path).body("x").send().await.is(201).json();
            assert_eq!(raw["partition"], expected, "{key} of {partitions}");
        }
    }
    let topic = gateway.topic("named", 7).await;
    let receipt = topic.produce(&json!([{ "key": "abc", "partition": 0, "value": 1 }])).await.remove(0);
    assert_eq!(receipt.partition, 0, "the partition named wins over the key");
}

async fn bytes_of_a_key_count_and_not_its_spelling(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 31).await;
    let receipts = topic
        .produce_raw(
            r#"{"records":[{"key":"foobar","value":1},{"key":"\u0066oobar","value":1},
                {"key_base64":"Zm9vYmFy","value":1}]}"#,
        )
        .await;
    let expected = (-790_332_482_i32 & 0x7fff_ffff).unsigned_abs() % 31;
    assert!(receipts.iter().all(|receipt| receipt.partition == expected), "{receipts:?}");
}

async fn single_records_without_a_key_take_turns(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    let first = topic.value("0").await.partition;
    for turn in 1..9 {
        let receipt = topic.value("0").await;
        assert_eq!(receipt.partition, (first + turn) % 3, "strictly in turn");
    }
    let empty_key = topic.produce(&json!([{ "key": "", "value": 1 }])).await.remove(0).partition;
    for _ in 0..4 {
        let again = topic.produce(&json!([{ "key": "", "value": 1 }])).await.remove(0).partition;
        assert_eq!(again, empty_key, "an empty key is a key");
    }
}

async fn a_large_request_is_cut_into_runs_over_sixteen_partitions(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("wide", 32).await;
    let records: Vec<_> = (0..160).map(|n| json!({ "value": n })).collect();
    let receipts = topic.produce(&json!(records)).await;
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    let mut runs = 1;
    for pair in receipts.windows(2) {
        runs += usize::from(pair[0].partition != pair[1].partition);
    }
    for receipt in &receipts {
        *counts.entry(receipt.partition).or_default() += 1;
    }
    assert!((2..=16).contains(&counts.len()), "{counts:?}");
    assert_eq!(runs, counts.len(), "one run a partition");
    let (shortest, longest) = (counts.values().min(), counts.values().max());
    assert!(longest.zip(shortest).is_some_and(|(longest, shortest)| longest - shortest <= 1), "{counts:?}");

    let last = receipts.last().expect("there are receipts").partition;
    assert_eq!(topic.value("0").await.partition, (last + 1) % 32, "the next request goes on there");
}
