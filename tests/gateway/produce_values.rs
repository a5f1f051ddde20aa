//! `POST …/values`: the body is one record's value, and nothing about it is guessed.

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::record::Record;
use crate::harness::topic::Topic;

on_each_backend!(
    a_value_is_answered_with_its_place,
    a_body_without_a_type_is_never_taken_for_a_number_or_null,
    a_body_without_a_type_that_looks_like_json_must_be_json,
    json_is_checked_and_kept_verbatim,
    text_becomes_a_json_string,
    other_types_are_bytes_with_their_type_as_a_header,
    null_as_json_is_a_tombstone_and_unlike_empty_or_the_word,
    an_empty_body_is_refused,
    key_partition_and_timestamp_come_from_the_query,
    record_headers_come_from_request_headers,
    posting_to_the_topic_itself_names_the_right_paths,
);

/// Posts a body, with a type if one is given, and returns the answer and the record that came of it.
async fn post(topic: &Topic, content_type: Option<&str>, body: &[u8]) -> (Value, Record) {
    let answer = try_post(topic, content_type, body).await.is(201).json();
    let read = topic.read("from=-1").await.records.pop().expect("the record is there");
    assert_eq!(answer["offset"], read.offset);
    (answer, read)
}

async fn try_post(topic: &Topic, content_type: Option<&str>, body: &[u8]) -> Answer {
    let mut call = topic.client.post(&topic.path("/values"));
    if let Some(content_type) = content_type {
        call = call.header("content-type", content_type);
    }
    call.body(body.to_vec()).send().await
}

async fn a_value_is_answered_with_its_place(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..2).await;
    let answer = try_post(&topic, Some("application/json"), br#"{"n":1}"#).await.is(201);
    let receipt = answer.json();
    let read = topic.read("from=-1").await.records.pop().expect("the record is there");
    let expected = json!({
        "topic": "orders", "partition": 0, "offset": 2, "timestamp": read.timestamp, "stored_as": "json",
    });
    assert_eq!(receipt, expected);
    assert!(answer.text().starts_with(r#"{"topic":"#), "the topic stands first: {}", answer.text());

    let location = answer.header("location").expect("a created record has a place");
    assert!(location.starts_with("/v1/"), "a path: {location}");
    let found: Record = gateway.get(location).send().await.is(200).parse();
    assert_eq!(found.value(), r#"{"n":1}"#);
}

async fn a_body_without_a_type_is_never_taken_for_a_number_or_null(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for content_type in [None, Some("application/x-www-form-urlencoded")] {
        for text in ["42", "null", "true", "-1.5e3", "hello", "a=b&c=d", " padded \n", "é"] {
            let (answer, record) = post(&topic, content_type, text.as_bytes()).await;
            assert_eq!(answer["stored_as"], "text", "{text:?}");
            assert_eq!(record.json(), json!(text));
            assert!(record.headers.is_empty(), "curl's own type says nothing: {record:?}");
        }
        let (answer, record) = post(&topic, content_type, b"\xff\x00\xfe").await;
        assert_eq!(answer["stored_as"], "bytes");
        assert_eq!(record.value_base64.as_deref(), Some("/wD+"));
        assert!(!record.has_value(), "{record:?}");
    }
}

async fn a_body_without_a_type_that_looks_like_json_must_be_json(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for (body, kept) in [(r#"{"a":1}"#, r#"{"a":1}"#), (" \r\n\t[1, 2]\n", "[1,2]"), (r#""text""#, r#""text""#)] {
        let (answer, record) = post(&topic, None, body.as_bytes()).await;
        assert_eq!(answer["stored_as"], "json");
        assert_eq!(record.value(), kept);
    }
    for body in ["{oops}", "[1,2", "\"open", "  {\"a\":1} {\"b\":2}"] {
        let problem = try_post(&topic, None, body.as_bytes()).await.refused_write(400, "malformed_json");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("text/plain"), "the way out is named: {detail}");
    }
    assert_eq!(topic.high_watermark(0).await, 3);
}

async fn json_is_checked_and_kept_verbatim(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let body = "\n{ \"b\" : 1.0 ,\t\"a\": [ 1e2 , -0 ],\r\n \"b\": \"two  spaces\\u0041\" }\n";
    for content_type in ["application/json", "application/json; charset=utf-8", "application/vnd.app+json"] {
        let (answer, record) = post(&topic, Some(content_type), body.as_bytes()).await;
        assert_eq!(answer["stored_as"], "json");
        assert_eq!(record.value(), r#"{"b":1.0,"a":[1e2,-0],"b":"two  spaces\u0041"}"#);
    }
    let broken = try_post(&topic, Some("application/json"), b"{\"a\":1,\n\"b\":tru}").await;
    let problem = broken.refused_write(400, "malformed_json");
    assert_eq!(problem["line"], 2, "{problem}");
    assert!(problem["column"].as_u64().is_some(), "{problem}");
    for broken in ["nul", "1 2", "{'a':1}", "[1,]", "01", "\u{feff}{}", "NaN", "\"\u{1}\""] {
        try_post(&topic, Some("application/json"), broken.as_bytes()).await.refused_write(400, "malformed_json");
    }
    try_post(&topic, Some("application/json"), b"\"\xff\"").await.refused_write(400, "malformed_json");
}

async fn text_becomes_a_json_string(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for text in ["null", "{\"not\":\"json\"", "line\r\nline\ttab\0nul \"quoted\" \\ é\u{2028}\u{feff}"] {
        let (answer, record) = post(&topic, Some("text/plain; charset=utf-8"), text.as_bytes()).await;
        assert_eq!(answer["stored_as"], "text");
        assert_eq!(record.json(), json!(text));
    }
    try_post(&topic, Some("text/csv"), b"a,b\n1,\xff").await.refusal(400);
    assert_eq!(topic.high_watermark(0).await, 3);
}

async fn other_types_are_bytes_with_their_type_as_a_header(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let (answer, record) = post(&topic, Some("image/png"), b"{}").await;
    assert_eq!(answer["stored_as"], "bytes");
    assert_eq!(record.value_base64.as_deref(), Some("e30="));
    assert_eq!(record.headers.get("content-type").map(String::as_str), Some("image/png"));
}

async fn null_as_json_is_a_tombstone_and_unlike_empty_or_the_word(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let (answer, record) = post(&topic, Some("application/json"), b" null ").await;
    assert_eq!(answer["stored_as"], "tombstone");
    assert_eq!(record.value(), "null");
    let (_, word) = post(&topic, Some("application/json"), b"\"null\"").await;
    assert_eq!(word.value(), r#""null""#);
    let (_, empty) = post(&topic, Some("application/json"), b"\"\"").await;
    assert_eq!(empty.value(), r#""""#);
    topic.produce(&json!([{ "value_base64": "" }])).await;
    let bytes = topic.read("from=-1").await.records.pop().expect("the record is there");
    assert_eq!((bytes.value_base64.as_deref(), bytes.has_value()), (Some(""), false));
}

async fn an_empty_body_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for content_type in [None, Some("application/json"), Some("text/plain"), Some("image/png")] {
        let problem = try_post(&topic, content_type, b"").await.refusal(400);
        assert_eq!(problem["outcome"], "not_written");
    }
    assert_eq!(topic.high_watermark(0).await, 0);
}

async fn key_partition_and_timestamp_come_from_the_query(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    let path = topic.path("/values?key=user%201&partition=2&timestamp=1700000000123");
    let receipt = gateway.post(&path).raw_json("1").send().await.is(201).json();
    assert_eq!((&receipt["partition"], &receipt["timestamp"]), (&json!(2), &json!(1_700_000_000_123_i64)));
    let record = topic.read("").await.records.pop().expect("the record is there");
    assert_eq!(record.key.as_deref(), Some("user 1"));

    for spelt in ["key_base64=%2Bv8%3D", "key_base64=-v8%3D"] {
        gateway.post(&topic.path(&format!("/values?partition=0&{spelt}"))).raw_json("1").send().await.is(201);
        let record = topic.read("partition=0&from=-1").await.records.pop().expect("the record is there");
        assert_eq!((record.key_base64.as_deref(), record.key), (Some("+v8="), None));
    }
    for wrong in ["partition=x", "partition=-1", "partition=01", "timestamp=1.5", "timestamp=-1", "key_base64=%25"] {
        let answer = gateway.post(&topic.path(&format!("/values?{wrong}"))).raw_json("1").send().await;
        answer.refused_write(400, "invalid_parameter");
    }
    let absent = gateway.post(&topic.path("/values?partition=4")).raw_json("1").send().await;
    absent.refused_write(404, "unknown_partition");
    let typo = gateway.post(&topic.path("/values?keys=a")).raw_json("1").send().await;
    typo.refused_write(400, "unknown_parameter");
    gateway.post(&topic.path("/values?key=a&key=b")).raw_json("1").send().await.refusal(400);
}

async fn record_headers_come_from_request_headers(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let call = gateway.post(&topic.path("/values")).header("Record-Header-Trace-Id", "abc");
    call.header("Record-Header-Step", "1").header("record-header-step", "2").raw_json("1").send().await.is(201);
    let record = topic.read("").await.records.pop().expect("the record is there");
    assert_eq!(record.headers.get("trace-id").map(String::as_str), Some("abc"));
    assert_eq!(record.headers.get("step").map(String::as_str), Some("2"), "the last value of a repeated name");
    let list = record.header_list.expect("a repeated name shows the whole truth");
    let steps: Vec<_> = list.as_array().expect("a list").iter().filter(|header| header["name"] == "step").collect();
    assert_eq!(steps, [&json!({ "name": "step", "value": "1" }), &json!({ "name": "step", "value": "2" })]);
}

async fn posting_to_the_topic_itself_names_the_right_paths(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    let answer = gateway.post("/v1/topics/orders").raw_json("{}").send().await;
    let problem = answer.refused_write(405, "method_not_allowed");
    let detail = problem["detail"].as_str().expect("a detail");
    for way in ["PUT", "/records", "/values"] {
        assert!(detail.contains(way), "{way} is missing in: {detail}");
    }
    assert!(answer.header("allow").is_some_and(|allow| allow.contains("PUT")));
}
