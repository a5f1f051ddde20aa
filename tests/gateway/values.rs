//! Values that break others come back byte for byte, in every format, from every place they are kept in.

use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::record::Record;
use crate::harness::topic::Topic;

on_each_backend!(
    values_are_kept_byte_for_byte_in_every_format,
    values_outlive_restarts_and_caches,
    white_space_goes_only_between_tokens,
    nesting_is_bounded_and_never_harms,
    what_is_no_json_is_refused,
    any_bytes_come_back_as_they_were,
);

/// JSON texts without white space between their tokens, so that they must come back unchanged.
fn awkward_values() -> Vec<String> {
    let mut values: Vec<String> = [
        "9223372036854775808",
        "18446744073709551616",
        "1e400",
        "-1e-400",
        "0.1000000000000000055",
        "-0",
        "-0.0",
        "1E+2",
        "123456789012345678901234567890.123456789012345678901234567890",
        r#""""#,
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#"{"\ud800":"\udfff"}"#,
        r#""\u00e9é\/\b\f\n\r\t\"\\""#,
        r#"{"a":1,"a":2,"a":1}"#,
        r#"{"z":1,"a":{"z":[],"":{}},"__proto__":null}"#,
        "[]",
        "{}",
        "[null,true,false]",
        r#""a\r\nb""#,
        "\"\u{feff}\u{2028}\u{2029}\u{7f}\u{10ffff}\"",
        r#""\r\n\r\nevent: control\r\ndata: {}\r\n\r\n""#,
        r#"" spaces  are , inside : strings ""#,
        r#"{"\u0061":"\u0041"}"#,
        "\"null\"",
        "true",
    ]
    .map(str::to_owned)
    .into();
    values.push(format!("\"{}\"", "x".repeat((1 << 20) - 2)));
    values.push(format!("\"{}\"", r"\u0000".repeat(100_000)));
    values.push(nested(64));
    values.push(format!("{}1{}", r#"{"a":"#.repeat(64), "}".repeat(64)));
    values
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// A topic with the awkward values, half of them sent raw and half in batches.
async fn filled(gateway: &Gateway) -> (Topic, Vec<String>) {
    let topic = gateway.topic("awkward", 1).await;
    let values = awkward_values();
    for (n, value) in values.iter().enumerate() {
        if n % 2 == 0 {
            topic.value(value.clone()).await;
        } else {
            topic.produce_raw(format!(r#"{{"records":[{{"value":{value}}}]}}"#)).await;
        }
    }
    (topic, values)
}

fn assert_same(found: &[Record], expected: &[String], way: &str) {
    assert_eq!(found.len(), expected.len(), "{way}");
    for (record, expected) in found.iter().zip(expected) {
        let shown: String = expected.chars().take(80).collect();
        assert!(record.value() == expected, "{way}: {shown} at {}", record.offset);
    }
}

async fn assert_all_ways(topic: &Topic, values: &[String]) {
    assert_same(&topic.read_all().await, values, "JSON");
    assert_same(&topic.lines("format=ndjson&follow=true").await.records(values.len()).await, values, "NDJSON");
    assert_same(&topic.events("").await.records(values.len()).await, values, "SSE");
    let bare = topic.try_read("format=values").await.is(200);
    assert!(bare.text().lines().eq(values.iter().map(String::as_str)), "values");
    for (offset, value) in values.iter().enumerate() {
        let answer = topic.client.get(&topic.path(&format!("/partitions/0/records/{offset}/value"))).send().await;
        assert!(answer.is(200).text() == value, "the bare value at {offset}");
    }
}

async fn values_are_kept_byte_for_byte_in_every_format(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (topic, values) = filled(&gateway).await;
    assert_all_ways(&topic, &values).await;

    let mut live = topic.events("from=latest").await;
    live.block().await.expect("a first block");
    for value in &values {
        topic.value(value.clone()).await;
    }
    assert_same(&live.records(values.len()).await, &values, "a live stream");
    let streamed = gateway.topic("streamed", 1).await;
    let lines: String = values.iter().map(|value| format!("{{\"value\":{value}}}\n")).collect();
    gateway.post(&streamed.path("/records")).ndjson(lines).send().await.is(200);
    assert_same(&streamed.read_all().await, &values, "streamed NDJSON");
}

async fn values_outlive_restarts_and_caches(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let (topic, values) = filled(&gateway).await;
    gateway.restart().await;
    // From the tables, then from what the first reading left in the cache, then without the cache again.
    assert_all_ways(&topic, &values).await;
    assert_all_ways(&topic, &values).await;
    gateway.stop().await;
    std::fs::remove_dir_all(gateway.data_dir().join("segments")).ok();
    gateway.start_again().await;
    assert_all_ways(&topic, &values).await;
}

async fn white_space_goes_only_between_tokens(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let sent = "\r\n\t { \"a b\" :\r\n [ 1 ,\t2.50 , \" x  \\\" y \" ] , \"c\" : { } }\r\n ";
    let kept = r#"{"a b":[1,2.50," x  \" y "],"c":{}}"#;
    topic.value(sent).await;
    topic.produce_raw(format!("{{\"records\":[\r\n {{ \"value\" :{sent}}} ]}}")).await;
    let line = sent.replace(['\r', '\n'], " ");
    gateway.post(&topic.path("/records")).ndjson(format!("{{\"value\":{line}}}\r\n")).send().await.is(200);
    assert_eq!(topic.read("").await.values(), [kept; 3]);
    assert_eq!(topic.try_read("format=values").await.is(200).text(), format!("{kept}\n{kept}\n{kept}\n"));
}

async fn nesting_is_bounded_and_never_harms(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("deep", 1).await;
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    for value in [nested(65), objects(65), nested(100_000), "[".repeat(100_000), objects(100_000)] {
        let raw = gateway.post(&topic.path("/values")).raw_json(value.clone()).send().await.refusal(400);
        let batch = format!(r#"{{"records":[{{"value":{value}}}]}}"#);
        let batch = gateway.post(&topic.path("/records")).raw_json(batch).send().await.refusal(400);
        let line = format!("{{\"value\":{value}}}\n");
        let line = gateway.post(&topic.path("/records")).ndjson(line).send().await.refusal(400);
        for problem in [raw, batch, line] {
            assert_eq!(problem["outcome"], "not_written");
        }
    }
    let envelope = format!(r#"{{"records":{}}}"#, nested(100_000));
    gateway.post(&topic.path("/records")).raw_json(envelope).send().await.refusal(400);
    topic.value(nested(64)).await;
    topic.value(objects(64)).await;
    assert_eq!(topic.high_watermark(0).await, 2);
}

async fn what_is_no_json_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let wrong: [&[u8]; 16] = [
        b"\xef\xbb\xbf{\"a\":1}",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"raw\nline\"",
        b"\"\\x41\"",
        b"\"\\ud8\"",
        b"+1",
        b".5",
        b"1.",
        b"01",
        b"0x10",
        b"Infinity",
        b"[1 2]",
        b"{\"a\":1,}",
        b"{a:1}",
        b"1\x00",
    ];
    for body in wrong {
        let raw = gateway.post(&topic.path("/values")).raw_json(body.to_vec()).send().await;
        raw.refused_write(400, "malformed_json");
        let batch = [br#"{"records":[{"value":"#, body, b"}]}"].concat();
        gateway.post(&topic.path("/records")).raw_json(batch).send().await.refused_write(400, "malformed_json");
    }
    let bom = b"\xef\xbb\xbf{\"records\":[{\"value\":1}]}".to_vec();
    gateway.post(&topic.path("/records")).raw_json(bom).send().await.refused_write(400, "malformed_json");
    assert_eq!(topic.high_watermark(0).await, 0);
}

async fn any_bytes_come_back_as_they_were(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("bytes", 1).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let bodies = [every_byte.clone(), every_byte.repeat(4000), vec![0], b"{}".to_vec(), b"\r\n".to_vec()];
    for body in &bodies {
        let call = gateway.post(&topic.path("/values")).header("content-type", "application/octet-stream");
        assert_eq!(call.body(body.clone()).send().await.is(201).json()["stored_as"], json!("bytes"));
    }
    for _ in 0..2 {
        for (offset, body) in bodies.iter().enumerate() {
            let path = topic.path(&format!("/partitions/0/records/{offset}/value"));
            assert!(gateway.get(&path).send().await.is(200).body == body, "the body at {offset}");
        }
        gateway.restart().await;
    }
}
