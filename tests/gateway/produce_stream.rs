//! NDJSON as a stream in both directions at once, and as one atomic write.

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::assert_problem;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::raw::Connection;
use crate::harness::raw::problem;
use crate::harness::record::Receipt;
use crate::harness::record::Receipts;
use crate::harness::topic::Topic;

on_each_backend!(
    receipts_come_while_the_client_still_sends,
    a_line_is_durable_when_its_receipt_is_there,
    a_client_that_sends_everything_first_gets_every_receipt,
    a_refused_first_line_is_an_ordinary_answer,
    a_bad_later_line_ends_the_stream_and_the_earlier_ones_stand,
    a_client_that_breaks_off_keeps_what_was_acknowledged,
    without_receipts_only_the_last_line_is_sent,
    atomic_lines_are_one_write,
    one_bad_atomic_line_and_nothing_is_written,
    lines_may_name_their_topics,
);

/// Opens a streamed produce whose body is not begun yet.
async fn open(gateway: &Gateway, path: &str) -> Connection {
    let mut connection = Connection::open(gateway.address()).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
        gateway.address()
    );
    connection.send(head).await;
    connection
}

fn receipt(line: &str) -> Receipt {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

/// The last line, whose problem is checked if there is one.
fn end(line: &str) -> Value {
    let end: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    if let Some(problem) = end.get("problem") {
        assert_problem(problem);
    }
    end
}

async fn receipts_come_while_the_client_still_sends(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let mut connection = open(&gateway, &topic.path("/records")).await;
    connection.send_chunk("{\"partition\":1,\"value\":0}\n").await;
    let head = connection.head().await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("application/x-ndjson"));
    for n in 0..20 {
        let first = receipt(&connection.line().await);
        assert_eq!((first.partition, first.offset, first.topic), (1, n, None));
        // The next line is sent only now: each receipt came without it.
        connection.send_chunk(&format!("{{\"partition\":1,\"value\":{}", n + 1)).await;
        connection.send_chunk("}\n").await;
    }
    assert_eq!(receipt(&connection.line().await).offset, 20);
    connection.send_last_chunk().await;
    assert_eq!(end(&connection.chunks_to_the_end().await), json!({ "records": 21 }));
    let values: Vec<_> = (0..21).map(|n: u64| n.to_string()).collect();
    assert_eq!(topic.read("").await.values(), values);
}

async fn a_line_is_durable_when_its_receipt_is_there(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let mut connection = open(&gateway, &topic.path("/records")).await;
    connection.send_chunk("{\"value\":\"kept\"}\n").await;
    assert_eq!(connection.head().await.status, 200);
    receipt(&connection.line().await);
    gateway.kill9().await;
    gateway.start_again().await;
    assert_eq!(topic.read("").await.values(), [r#""kept""#]);
}

async fn a_client_that_sends_everything_first_gets_every_receipt(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    let lines: String = (0..2000).map(|n| format!("{{\"key\":\"k{}\",\"value\":{n}}}\n", n % 7)).collect();
    let answer = gateway.post(&topic.path("/records")).ndjson(lines).send().await.is(200);
    let mut lines: Vec<_> = answer.text().lines().collect();
    assert_eq!(end(lines.pop().expect("a last line")), json!({ "records": 2000 }));
    let places: Vec<_> = lines.iter().map(|line| receipt(line)).map(|r| (r.partition, r.offset)).collect();
    let read = topic.read_all().await;
    assert_eq!((places.len(), read.len()), (2000, 2000));
    for record in read {
        let n = record.json().as_u64().and_then(|n| usize::try_from(n).ok()).expect("a number");
        assert_eq!(places[n], (record.partition, record.offset), "the receipts are in the order sent");
    }
}

async fn a_refused_first_line_is_an_ordinary_answer(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for (line, status, code) in [
        ("{\"valu\":1}\n", 400, "unknown_field"),
        ("{oops}\n", 400, "malformed_json"),
        ("{\"value\":1,\"partition\":7}\n", 404, "unknown_partition"),
    ] {
        let mut connection = open(&gateway, &topic.path("/records")).await;
        connection.send_chunk(line).await;
        let head = connection.head().await;
        assert_eq!(head.status, status, "{line}");
        let problem = problem(&connection.body(&head).await);
        assert_eq!((problem["code"].as_str(), &problem["outcome"]), (Some(code), &json!("not_written")), "{line}");
    }
    let missing = gateway.post("/v1/topics/none/records?create=false").ndjson("{\"value\":1}\n").send().await;
    missing.refused_write(404, "unknown_topic");
    assert_eq!(topic.high_watermark(0).await, 0);
}

async fn a_bad_later_line_ends_the_stream_and_the_earlier_ones_stand(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for (round, bad) in ["{\"value\":}", "{}", "{\"value\":1,\"partition\":9}"].into_iter().enumerate() {
        let lines = format!("{{\"value\":1}}\n{{\"value\":2}}\n{bad}\n{{\"value\":\"never\"}}\n");
        let answer = gateway.post(&topic.path("/records")).ndjson(lines).send().await.is(200);
        let mut lines: Vec<_> = answer.text().lines().filter(|line| !line.is_empty()).collect();
        let end = end(lines.pop().expect("a last line"));
        assert_eq!((&end["records"], lines.len()), (&json!(2), 2), "{bad}");
        assert!(end["problem"]["status"].as_u64().is_some_and(|status| (400..500).contains(&status)), "{end}");
        assert_eq!(topic.high_watermark(0).await, (round as u64 + 1) * 2);
    }
    assert!(topic.read("").await.values().iter().all(|value| *value != r#""never""#));
}

async fn a_client_that_breaks_off_keeps_what_was_acknowledged(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let mut connection = open(&gateway, &topic.path("/records")).await;
    connection.send_chunk("{\"value\":1}\n").await;
    assert_eq!(connection.head().await.status, 200);
    assert_eq!(receipt(&connection.line().await).offset, 0);
    connection.send("1f\r\n{\"value\":\"half of it").await;
    drop(connection);
    let next = topic.value("2").await;
    assert_eq!(next.offset, 1, "half a line is no record");
    assert_eq!(topic.read("").await.values(), ["1", "2"]);
}

async fn without_receipts_only_the_last_line_is_sent(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let lines = "{\"value\":1}\n{\"value\":2}\n";
    let good = gateway.post(&topic.path("/records?receipts=none")).ndjson(lines).send().await.is(200);
    assert_eq!(end(good.text().trim()), json!({ "records": 2 }));
    let bad = format!("{lines}nonsense\n");
    let answer = gateway.post(&topic.path("/records?receipts=none")).ndjson(bad).send().await.is(200);
    let end = end(answer.text().trim());
    assert_eq!((&end["records"], &end["problem"]["code"]), (&json!(2), &json!("malformed_json")));
    assert_eq!(topic.high_watermark(0).await, 4);
}

async fn atomic_lines_are_one_write(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let lines = "{\"partition\":1,\"value\":1}\r\n{\"partition\":0,\"value\":2}\r\n{\"partition\":1,\"value\":3}";
    let call = gateway.post(&topic.path("/records?atomic=true")).header("content-type", "application/jsonl");
    let receipts = call.body(lines).send().await.is(200).parse::<Receipts>().offsets;
    let places: Vec<_> = receipts.iter().map(|receipt| (receipt.partition, receipt.offset)).collect();
    assert_eq!(places, [(1, 0), (0, 0), (1, 1)]);
    assert_eq!(topic.read("partition=1").await.values(), ["1", "3"]);
}

async fn one_bad_atomic_line_and_nothing_is_written(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for bad in ["nonsense", "{}", "{\"value\":1,\"ky\":2}"] {
        let lines = format!("{{\"value\":1}}\n{bad}\n{{\"value\":2}}\n");
        let answer = gateway.post(&topic.path("/records?atomic=true")).ndjson(lines).send().await;
        let problem = answer.refusal(400);
        assert_eq!(problem["outcome"], "not_written", "{bad}");
    }
    assert_eq!(topic.high_watermark(0).await, 0);
}

async fn lines_may_name_their_topics(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let lines = "{\"topic\":\"a\",\"value\":1}\n{\"topic\":\"b\",\"value\":2}\n{\"topic\":\"a\",\"value\":3}\n";
    let answer = gateway.post("/v1/records").ndjson(lines).send().await.is(200);
    let mut lines: Vec<_> = answer.text().lines().collect();
    assert_eq!(end(lines.pop().expect("a last line")), json!({ "records": 3 }));
    let receipts: Vec<_> = lines.iter().map(|line| receipt(line)).collect();
    let topics: Vec<_> = receipts.iter().map(|receipt| receipt.topic.as_deref().unwrap_or_default()).collect();
    assert_eq!(topics, ["a", "b", "a"]);
    assert_eq!(Topic::named(&gateway, "a").read("").await.values(), ["1", "3"]);
}
