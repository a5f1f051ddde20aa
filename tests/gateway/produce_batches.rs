//! JSON batches: many records, one atomic write, for one topic or several.

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::assert_names;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::record::Receipts;
use crate::harness::topic::Topic;
use crate::harness::topic::read;
use crate::harness::wait::eventually;

on_each_backend!(
    receipts_come_in_the_order_sent,
    several_topics_are_one_atomic_write,
    one_bad_record_and_nothing_is_written,
    a_batch_needs_records,
    a_record_that_was_read_may_be_sent_again,
    keys_headers_and_bytes_come_back_as_they_were,
    timestamps_are_the_clients_within_bounds,
    ack_none_answers_at_once_and_writes_all_the_same,
    the_first_produce_makes_the_topic_and_says_so,
    a_topic_is_not_made_when_that_is_not_wanted,
    an_acknowledged_record_survives_a_restart,
);

async fn receipts_come_in_the_order_sent(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    let order = [2, 0, 2, 1, 0, 2];
    let records: Vec<_> = order.iter().map(|partition| json!({ "partition": partition, "value": 1 })).collect();
    let receipts = topic.produce(&json!(records)).await;
    let places: Vec<_> = receipts.iter().map(|receipt| (receipt.partition, receipt.offset)).collect();
    assert_eq!(places, [(2, 0), (0, 0), (2, 1), (1, 0), (0, 1), (2, 2)]);
    assert!(receipts.iter().all(|receipt| receipt.topic.is_none()), "the path names the topic");
    assert!(receipts.iter().all(|receipt| receipt.timestamp > 1_700_000_000_000), "the server's clock");
}

async fn several_topics_are_one_atomic_write(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("a", 1).await;
    gateway.topic("b", 1).await;
    let batch = json!({ "records": [
        { "topic": "b", "value": 1 }, { "topic": "a", "value": 2 }, { "topic": "b", "value": 3 },
    ] });
    let answer = gateway.post("/v1/records").json(&batch).send().await.is(200);
    let receipts = answer.parse::<Receipts>().offsets;
    let places: Vec<_> = receipts.iter().map(|r| (r.topic.as_deref().unwrap_or_default(), r.offset)).collect();
    assert_eq!(places, [("b", 0), ("a", 0), ("b", 1)]);

    let partly = json!({ "records": [{ "topic": "a", "value": 4 }, { "topic": "b", "partition": 9, "value": 5 }] });
    gateway.post("/v1/records").json(&partly).send().await.refused_write(404, "unknown_partition");
    let nameless = json!({ "records": [{ "topic": "a", "value": 4 }, { "value": 5 }] });
    gateway.post("/v1/records").json(&nameless).send().await.refused_write(400, "invalid_record");
    let page = read(&gateway, "/v1/records?topic=a&topic=b").await;
    assert_eq!(page.records.len(), 3, "the refused writes left nothing");
}

async fn one_bad_record_and_nothing_is_written(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let bad = [
        json!({}),
        json!({ "key": "k" }),
        json!({ "value": 1, "value_base64": "AA==" }),
        json!({ "value_base64": "A" }),
        json!({ "value_base64": "-_8=" }),
        json!({ "value_base64": 7 }),
        json!({ "value": 1, "key": 7 }),
        json!({ "value": 1, "key": "a", "key_base64": "YQ==" }),
        json!({ "value": 1, "headers": { "a": 1 } }),
        json!({ "value": 1, "headers": [] }),
        json!({ "value": 1, "partition": -1 }),
        json!({ "value": 1, "partition": "0" }),
        json!({ "value": 1, "timestamp": "now" }),
        json!("a value alone"),
    ];
    for record in bad {
        let records = json!({ "records": [{ "value": 0 }, { "value": 0 }, { "value": 0 }, record, { "value": 0 }] });
        let answer = gateway.post(&topic.path("/records")).json(&records).send().await;
        let problem = answer.refused_write(400, "invalid_record");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("records[3]"), "{record}: {detail}");
    }
    let typo = json!({ "records": [{ "value": 0, "vlaue": 1 }] });
    let answer = gateway.post(&topic.path("/records")).json(&typo).send().await;
    let problem = answer.refused_write(400, "unknown_field");
    assert_names(&problem, &["vlaue", "value", "header_list", "timestamp"]);
    assert_eq!(topic.high_watermark(0).await, 0);
}

async fn a_batch_needs_records(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let post = async |body: &'static str| gateway.post(&topic.path("/records")).raw_json(body).send().await;
    for body in ["", "[]", "{}", r#"{"records":[]}"#, r#"{"records":{}}"#, "null"] {
        let problem = post(body).await.refusal(400);
        assert_eq!(problem["outcome"], "not_written", "{body}");
    }
    post(r#"{"records":[{"value":1}],"ack":"none"}"#).await.refused_write(400, "unknown_field");
    post(r#"{"records":[{"value":1}]} x"#).await.refused_write(400, "malformed_json");
    post(r#"{"records":[{"value":1}],"records":[{"value":2}]}"#).await.refusal(400);
    let call = gateway.post(&topic.path("/records")).header("content-type", "text/csv");
    let answer = call.body(r#"{"records":[{"value":1}]}"#).send().await;
    let problem = answer.refused_write(415, "unsupported_media_type");
    assert_names(&problem, &["application/json", "application/x-ndjson"]);
    assert_eq!(topic.high_watermark(0).await, 0);

    let untyped = gateway.post(&topic.path("/records")).body(r#"{"records":[{"value":1}]}"#).send().await;
    untyped.is(200);
}

async fn a_record_that_was_read_may_be_sent_again(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let from = gateway.topic("from", 2).await;
    let to = gateway.topic("to", 2).await;
    from.produce(&json!([
        { "partition": 1, "key": "k", "headers": { "h": "v" }, "value": { "n": 1 }, "timestamp": 1_700_000_000_000_i64 },
        { "partition": 1, "key_base64": "/w==", "value_base64": "/wA=",
          "header_list": [{ "name": "h", "value": "1" }, { "name": "h", "value_base64": "/w==" }] },
        { "partition": 0, "value": null },
    ]))
    .await;
    let lines = from.client.get(&from.path("/records?format=ndjson")).send().await.is(200);
    let records: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(records.len(), 3);
    to.produce(&json!(records)).await;
    let copied = to.client.get(&to.path("/records?format=ndjson")).send().await.is(200);
    let renamed = lines.text().replace(r#""topic":"from""#, r#""topic":"to""#);
    assert_eq!(sorted(copied.text()), sorted(&renamed), "there is no order between partitions");
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

async fn keys_headers_and_bytes_come_back_as_they_were(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic
        .produce(&json!([
            { "value": 1 }, { "value": 1, "key": null }, { "value": 1, "key": "" },
            { "value": 1, "key_base64": "/w==" }, { "value": 1, "key_base64": "YQ==" },
            { "value": 1, "header_list": [{ "name": "x", "value": "1" }, { "name": "x", "value": "2" }] },
            { "value": 1, "headers": { "y": "z" }, "header_list": [{ "name": "w", "value": "1" }] },
            { "value": 1, "header_list": [{ "name": "bin", "value_base64": "/w==" }] },
        ]))
        .await;
    let records = topic.read("").await.records;
    let keys: Vec<_> = records.iter().map(|record| (record.key.as_deref(), record.key_base64.as_deref())).collect();
    assert_eq!(keys[..5], [(None, None), (None, None), (Some(""), None), (None, Some("/w==")), (Some("a"), None)]);
    assert_eq!(records[5].headers.get("x").map(String::as_str), Some("2"));
    assert_eq!(records[5].header_list, Some(json!([{ "name": "x", "value": "1" }, { "name": "x", "value": "2" }])));
    assert_eq!(records[6].headers.get("w").map(String::as_str), Some("1"), "the list holds where both are sent");
    assert_eq!((records[6].headers.len(), &records[6].header_list), (1, &None));
    assert_eq!(records[7].header_list, Some(json!([{ "name": "bin", "value_base64": "/w==" }])));
}

async fn timestamps_are_the_clients_within_bounds(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let now = topic.value("0").await.timestamp;
    for timestamp in [0, 1, now - 1000, now + 3_500_000] {
        let receipt = topic.produce(&json!([{ "value": 1, "timestamp": timestamp }])).await;
        assert_eq!(receipt[0].timestamp, timestamp);
        assert_eq!(topic.read("from=-1").await.records[0].timestamp, timestamp);
    }
    for timestamp in [json!(-1), json!(now + 3_700_000), json!(1.5), json!("0")] {
        let records = json!({ "records": [{ "value": 1, "timestamp": timestamp }] });
        let answer = gateway.post(&topic.path("/records")).json(&records).send().await;
        answer.refused_write(400, "invalid_record");
    }
    assert_eq!(topic.high_watermark(0).await, 5);
}

async fn ack_none_answers_at_once_and_writes_all_the_same(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let records = json!({ "records": [{ "value": 1 }, { "value": 2 }] });
    let batch = gateway.post(&topic.path("/records?ack=none")).json(&records).send().await.is(202);
    assert!(batch.body.is_empty());
    gateway.post(&topic.path("/values?ack=none")).raw_json("3").send().await.is(202);
    eventually("three records", async || (topic.high_watermark(0).await == 3).then_some(())).await;
    assert_eq!(topic.read("").await.values(), ["1", "2", "3"]);

    let bad = gateway.post(&topic.path("/values?ack=none")).raw_json("{").send().await;
    bad.refused_write(400, "malformed_json");
    let typo = gateway.post(&topic.path("/values?ack=maybe")).raw_json("1").send().await;
    typo.refused_write(400, "invalid_parameter");
}

async fn the_first_produce_makes_the_topic_and_says_so(backend: Backend) {
    let gateway = Gateway::with(backend, &["--default-partitions", "3"]).await;
    let first = gateway.post("/v1/topics/fresh/values").body("hello").send().await.is(201);
    assert_eq!(first.header("tidegate-topic-created"), Some("fresh"));
    let second = gateway.post("/v1/topics/fresh/values").body("hello").send().await.is(201);
    assert_eq!(second.header("tidegate-topic-created"), None);
    assert_eq!(Topic::named(&gateway, "fresh").describe().await["partition_count"], 3);
    let several = json!({ "records": [{ "topic": "fresher", "value": 1 }] });
    let answer = gateway.post("/v1/records").json(&several).send().await.is(200);
    assert_eq!(answer.header("tidegate-topic-created"), Some("fresher"));
}

async fn a_topic_is_not_made_when_that_is_not_wanted(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let refused = gateway.post("/v1/topics/typo/values?create=false").body("hello").send().await;
    refused.refused_write(404, "unknown_topic");
    gateway.get("/v1/topics/typo/records").send().await.problem(404, "unknown_topic");
    gateway.post("/v1/topics/__x/values").body("hello").send().await.refused_write(400, "invalid_name");
    gateway.get("/v1/topics/typo").send().await.problem(404, "unknown_topic");

    let strict = Gateway::with(backend, &["--auto-create-topics", "false"]).await;
    let refused = strict.post("/v1/topics/typo/values").body("hello").send().await;
    refused.refused_write(404, "unknown_topic");
}

async fn an_acknowledged_record_survives_a_restart(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let key = json!([{ "key": "k", "headers": { "h": "v" }, "value": "kept", "timestamp": 1_700_000_000_000_i64 }]);
    let receipt = topic.produce(&key).await.remove(0);
    gateway.kill9().await;
    gateway.start_again().await;
    let record = topic.read("").await.records.pop().expect("the record is there");
    assert_eq!((record.partition, record.offset), (receipt.partition, receipt.offset));
    assert_eq!((record.key.as_deref(), record.value()), (Some("k"), r#""kept""#));
    assert_eq!((record.timestamp, record.headers["h"].as_str()), (1_700_000_000_000, "v"));
}
