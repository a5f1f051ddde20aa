//! One record by its offset, and its bare value.

use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::record::Record;

on_each_backend!(
    a_record_is_found_by_its_offset,
    a_record_that_is_not_there_says_why,
    a_bare_value_never_renders_in_a_browser,
);

async fn a_record_is_found_by_its_offset(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(1, 0..3).await;
    topic.produce(&json!([{ "partition": 1, "key": "k", "headers": { "h": "v" }, "value": { "n": 3 } }])).await;
    let record: Record = gateway.get(&topic.path("/partitions/1/records/3")).send().await.is(200).parse();
    assert_eq!(record.place(), ("orders".to_owned(), 1, 3));
    assert_eq!((record.key.as_deref(), record.value()), (Some("k"), r#"{"n":3}"#));
    assert_eq!((record.headers["h"].as_str(), record.cursor), ("v", None));
}

async fn a_record_that_is_not_there_says_why(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(1, 0..5).await;
    topic.trim(1, 2).await;
    for tail in ["", "/value"] {
        let get = async |place: &str| gateway.get(&topic.path(&format!("/partitions/{place}{tail}"))).send().await;
        let passed = get("1/records/1").await.problem(410, "offset_expired");
        assert_eq!((&passed["log_start_offset"], &passed["high_watermark"]), (&json!(2), &json!(5)));
        get("1/records/2").await.is(200);
        get("1/records/5").await.problem(404, "unknown_offset");
        get("2/records/0").await.problem(404, "unknown_partition");
        for wrong in ["-1", "x", "1.0", "01", "9223372036854775808"] {
            get(&format!("1/records/{wrong}")).await.refusal(400);
        }
        let elsewhere = gateway.get(&format!("/v1/topics/none/partitions/0/records/0{tail}")).send().await;
        elsewhere.problem(404, "unknown_topic");
    }
}

async fn a_bare_value_never_renders_in_a_browser(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic
        .produce(&json!([
            { "value": { "a": [1, 2] } }, { "value": "<script>alert(1)</script>" }, { "value_base64": "PGI+/wA=" },
            { "value": null }, { "value_base64": "" },
        ]))
        .await;
    let value = async |offset: u64| -> Answer {
        let answer = gateway.get(&topic.path(&format!("/partitions/0/records/{offset}/value"))).send().await;
        assert!(answer.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'; sandbox"));
        answer
    };
    let json = value(0).await.is(200);
    assert_eq!((json.header("content-type"), json.text()), (Some("application/json"), r#"{"a":[1,2]}"#));
    let text = value(1).await.is(200);
    assert_eq!(text.header("content-type"), Some("application/json"), "text is a JSON string");
    assert_eq!(text.text(), r#""<script>alert(1)</script>""#);
    let bytes = value(2).await.is(200);
    assert_eq!(bytes.header("content-type"), Some("application/octet-stream"));
    assert_eq!(&bytes.body[..], b"<b>\xff\x00");
    assert!(value(3).await.is(204).body.is_empty());
    assert!(value(4).await.is(200).body.is_empty(), "empty is not absent");
}
