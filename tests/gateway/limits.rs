//! Every bound that is stated: the largest that fits is taken, one more is refused with the limit.

use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::raw::exchange;
use crate::harness::raw::problem;
use crate::harness::topic::Topic;

on_each_backend!(
    the_limits_are_told,
    a_record_may_have_one_mebibyte,
    a_request_may_have_sixteen_mebibytes,
    a_request_may_have_ten_thousand_records,
    a_key_may_have_four_kibibytes,
    record_headers_may_be_sixty_four_and_eight_kibibytes,
    upper_bounds_are_lowered_and_everything_else_out_of_range_is_refused,
    one_read_covers_at_most_128_partitions,
    long_uris_are_414_and_long_headers_431,
);

const MIB: usize = 1 << 20;

/// A JSON string that is `length` bytes long with its quotes.
fn string_of(length: usize) -> String {
    format!("\"{}\"", "x".repeat(length - 2))
}

async fn post(topic: &Topic, body: String) -> Answer {
    topic.client.post(&topic.path("/records")).raw_json(body).send().await
}

async fn the_limits_are_told(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let told = gateway.get("/v1").send().await.is(200).json();
    assert_eq!(told["version"], "1.0.0");
    let limits = told["limits"].as_object().expect("limits");
    assert!(limits.values().all(serde_json::Value::is_number), "{told}");
    for number in [1 << 20, 16 << 20, 10_000, 4096, 64, 8192, 55_000, 128, 32 << 10] {
        assert!(limits.values().any(|limit| limit == number), "{number} is missing in {told}");
    }
}

async fn a_record_may_have_one_mebibyte(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("large", 1).await;
    let send = async |length| gateway.post(&topic.path("/values")).raw_json(string_of(length)).send().await;
    send(MIB).await.is(201);
    let problem = send(MIB + 1).await.refused_write(413, "record_too_large");
    assert_eq!(problem["limit"], MIB);

    let keyed = |value: usize| format!(r#"{{"records":[{{"key":"0123456789","value":{}}}]}}"#, string_of(value));
    post(&topic, keyed(MIB - 10)).await.is(200);
    post(&topic, keyed(MIB - 9)).await.refused_write(413, "record_too_large");
    let page = topic.read("").await;
    assert_eq!(page.records.len(), 1, "one at least, and one is more than `max_bytes`");
    assert_eq!(page.records[0].value().len(), MIB);
    assert_eq!(topic.high_watermark(0).await, 2);
}

async fn a_request_may_have_sixteen_mebibytes(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("large", 1).await;
    let small = r#"{"records":[{"value":1}]}"#;
    let padded = |length: usize| format!("{small}{}", " ".repeat(length - small.len()));
    post(&topic, padded(16 * MIB)).await.is(200);
    let problem = post(&topic, padded(16 * MIB + 1)).await.refused_write(413, "request_too_large");
    assert_eq!(problem["limit"], 16 * MIB);

    let lines = format!("{{\"value\":{}}}\n", string_of(MIB - 100)).repeat(17);
    let atomic = gateway.post(&topic.path("/records?atomic=true")).ndjson(lines.clone()).send().await;
    atomic.refused_write(413, "request_too_large");
    assert_eq!(topic.high_watermark(0).await, 1);
    let streamed = gateway.post(&topic.path("/records?receipts=none")).ndjson(lines).send().await.is(200);
    assert_eq!(streamed.text().trim(), r#"{"records":17}"#, "a stream has no total size");
}

async fn a_request_may_have_ten_thousand_records(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("many", 1).await;
    let batch = |count: usize| format!(r#"{{"records":[{}]}}"#, vec![r#"{"value":1}"#; count].join(","));
    post(&topic, batch(10_000)).await.is(200);
    let problem = post(&topic, batch(10_001)).await.refused_write(413, "request_too_large");
    assert_eq!(problem["limit"], 10_000);
    assert_eq!(topic.high_watermark(0).await, 10_000);
}

async fn a_key_may_have_four_kibibytes(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("keys", 1).await;
    let record = |length: usize| json!({ "records": [{ "key": "k".repeat(length), "value": 1 }] }).to_string();
    post(&topic, record(4096)).await.is(200);
    post(&topic, record(4097)).await.refused_write(400, "invalid_record");
}

async fn record_headers_may_be_sixty_four_and_eight_kibibytes(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("headers", 1).await;
    let many = |count: usize| {
        let list: Vec<_> = (0..count).map(|n| json!({ "name": format!("h{n}"), "value": "v" })).collect();
        json!({ "records": [{ "header_list": list, "value": 1 }] }).to_string()
    };
    post(&topic, many(64)).await.is(200);
    post(&topic, many(65)).await.refused_write(400, "invalid_record");
    let long = |length: usize| json!({ "records": [{ "headers": { "h": "v".repeat(length) }, "value": 1 }] });
    post(&topic, long(8191).to_string()).await.is(200);
    post(&topic, long(8192).to_string()).await.refused_write(400, "invalid_record");
}

async fn upper_bounds_are_lowered_and_everything_else_out_of_range_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..3).await;
    for asked in ["max_records=1000000", "max_bytes=1099511627776", "wait_ms=86400000", "max_bytes=1"] {
        assert!(!topic.read(asked).await.records.is_empty(), "{asked}");
    }
    for asked in ["max_records=0", "max_records=-1", "max_bytes=0", "wait_ms=-1"] {
        let problem = topic.try_read(asked).await.problem(400, "invalid_parameter");
        assert!(problem["minimum"].is_number(), "{problem}");
    }
    for asked in ["max_records=", "max_records=1e3", "max_bytes=1.5", "wait_ms=1s", "lag=yes", "max_records=+5"] {
        topic.try_read(asked).await.problem(400, "invalid_parameter");
    }
    topic.try_read("max_records=1&max_records=2").await.refusal(400);
}

async fn one_read_covers_at_most_128_partitions(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("wide", 129).await;
    topic.try_read("").await.problem(400, "too_many_partitions");
    topic.try_read("format=sse").await.problem(400, "too_many_partitions");
    let widest: Vec<_> = (1..129).map(|partition| format!("partition={partition}")).collect();
    topic.count(128, 0..1).await;
    assert_eq!(topic.read(&widest.join("&")).await.records.len(), 1);
}

async fn long_uris_are_414_and_long_headers_431(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let host = format!("Host: {}", gateway.address());
    let get = async |path: &str, headers: &[String]| {
        let line = format!("GET {path} HTTP/1.1");
        let mut lines = vec![line.as_str(), &host];
        lines.extend(headers.iter().map(String::as_str));
        exchange(gateway.address(), &lines).await
    };
    let (head, body) = get(&format!("/v1?{}", "x".repeat(9000)), &[]).await;
    assert_eq!((head.status, problem(&body)["code"].as_str()), (414, Some("uri_too_long")));
    let (head, body) = get("/v1", &[format!("X-Long: {}", "x".repeat(9000))]).await;
    assert_eq!((head.status, problem(&body)["code"].as_str()), (431, Some("headers_too_large")));
    let many: Vec<_> = (0..5).map(|n| format!("X-Long-{n}: {}", "x".repeat(7000))).collect();
    let (head, body) = get("/v1", &many).await;
    assert_eq!((head.status, problem(&body)["code"].as_str()), (431, Some("headers_too_large")));
    let (head, _) = get("/v1", &[format!("X-Long: {}", "x".repeat(7000))]).await;
    assert_eq!(head.status, 200);
}
