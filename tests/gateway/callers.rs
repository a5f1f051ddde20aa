//! What each address and each key may do, where that is bounded: the rest is refused with the time to come back, and others are served.

use reqwest::Body;
use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::access::ADMIN_KEY;
use crate::harness::access::Guarded;
use crate::harness::access::text;
use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::on_sqlite;
use crate::harness::raw::Connection;
use crate::harness::terminal;
use crate::harness::topic::Topic;
use crate::harness::wait::eventually;

on_sqlite!("callers are counted by each node, before anything that has to do with the database":
    nothing_is_counted_unless_that_is_asked_for,
    requests_beyond_the_rate_are_told_when_to_come_back,
    records_are_paid_for_before_anything_else_is_written,
    a_stream_of_lines_is_slowed_and_not_refused,
    bytes_are_paid_for_as_well,
    streams_are_counted_while_they_are_open,
    connections_beyond_the_bound_are_closed,
    an_address_is_what_a_trusted_proxy_says_and_nobody_else,
    a_key_is_bounded_wherever_it_comes_from_and_others_are_not,
    an_escaped_letter_opens_no_stream_uncounted,
    keys_made_on_the_command_line_are_bounded_too,
);

/// Batches of so many records are a debt of a quarter of an hour at one a second.
const MANY: usize = 1_000;

async fn batch(client: &Client, from: Option<&str>, count: usize) -> Answer {
    let records: Vec<_> = (0..count).map(|n| json!({ "value": n })).collect();
    let mut call = client.post("/v1/topics/orders/records").json(&json!({ "records": records }));
    if let Some(from) = from {
        call = call.header("x-forwarded-for", from);
    }
    call.send().await
}

/// Asserts a refusal that passes, and returns the seconds until then.
fn refused(answer: &Answer) -> u64 {
    let problem = answer.problem(429, "rate_limited");
    assert_eq!(problem["retry"], "later");
    assert!(problem["limit"].is_number(), "{problem}");
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
    seconds.unwrap_or_else(|| panic!("whole seconds: {answer:?}"))
}

async fn nothing_is_counted_unless_that_is_asked_for(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(topic.events("").await);
        batch(&gateway, None, MANY).await.is(200);
    }
}

async fn requests_beyond_the_rate_are_told_when_to_come_back(backend: Backend) {
    let gateway = Gateway::with(backend, &["--address-requests-per-s", "1"]).await;
    let answers = futures_util::future::join_all((0..100).map(|_| gateway.get("/v1").send())).await;
    let (served, late): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!served.is_empty() && !late.is_empty(), "{} of 100 served", served.len());
    for answer in late {
        assert_eq!(refused(answer), 1);
        gateway.get("/healthz").send().await.is(200); // is never counted
    }
    eventually("it is served again", async || (gateway.get("/v1").send().await.status == 200).then_some(())).await;
}

async fn records_are_paid_for_before_anything_else_is_written(backend: Backend) {
    let gateway = Gateway::with(backend, &["--address-records-per-s", "1"]).await;
    let topic = gateway.topic("orders", 1).await;
    batch(&gateway, None, MANY).await.is(200); // as much as the address never had: it is paid for afterwards
    let answer = batch(&gateway, None, 1).await;
    assert!((2..=1_000).contains(&refused(&answer)), "{answer:?}");
    assert_eq!(answer.problem(429, "rate_limited")["outcome"], "not_written");
    for (path, body) in [("/values", "x"), ("/records?atomic=true", "{\"value\":1}\n")] {
        gateway.post(&topic.path(path)).ndjson(body).send().await.refused_write(429, "rate_limited");
    }
    assert_eq!(topic.high_watermark(0).await, MANY as u64, "reading goes on");
}

async fn a_stream_of_lines_is_slowed_and_not_refused(backend: Backend) {
    let gateway = Gateway::with(backend, &["--address-records-per-s", "50"]).await;
    let topic = gateway.topic("orders", 1).await;
    let lines = async || {
        let lines: String = (0..100).map(|n| format!("{{\"value\":{n}}}\n")).collect();
        gateway.post(&topic.path("/records?receipts=none")).ndjson(lines).send().await.is(200)
    };
    assert_eq!(lines().await.text().trim(), r#"{"records":100}"#);
    assert_eq!(lines().await.text().trim(), r#"{"records":100}"#);
    assert_eq!(topic.high_watermark(0).await, 200);
}

async fn bytes_are_paid_for_as_well(backend: Backend) {
    let gateway = Gateway::with(backend, &["--address-bytes-per-s", "65536"]).await;
    let topic = gateway.topic("orders", 1).await;
    // Of no known length: read no faster than it may come.
    let pieces = (0..4).map(|_| Ok::<_, std::convert::Infallible>("x".repeat(50_000)));
    let pieces = Body::wrap_stream(futures_util::stream::iter(pieces));
    gateway.post(&topic.path("/values")).header("content-type", "text/plain").body(pieces).send().await.is(201);
    // A known length is paid for at once: two minutes' worth.
    let padded = format!("{{\"records\":[{{\"value\":1}}]}}{}", " ".repeat(8 << 20));
    eventually("a full second's worth is there", async || {
        let answer = gateway.post(&topic.path("/records")).raw_json(padded.clone()).send().await;
        (answer.status == 200).then_some(())
    })
    .await;
    let small = gateway.post(&topic.path("/values")).raw_json("1").send().await;
    assert!(refused(&small) > 1, "{small:?}");
    let piece = futures_util::stream::iter([Ok::<_, std::convert::Infallible>("1")]);
    let of_no_length = gateway.post(&topic.path("/values")).raw_json(Body::wrap_stream(piece)).send().await;
    assert!(refused(&of_no_length) > 1, "{of_no_length:?}");
    topic.try_read("").await.is(200); // costs no bytes
}

async fn streams_are_counted_while_they_are_open(backend: Backend) {
    let gateway = Gateway::with(backend, &["--address-streams-max", "2"]).await;
    let topic = gateway.topic("orders", 1).await;
    let mut first = topic.events("").await;
    first.block().await.expect("a first block");
    let mut second = topic.lines("format=ndjson&follow=true").await;
    topic.count(0, 0..1).await;
    assert_eq!(second.record().await.offset, 0);

    // A browser would never come back after a 429.
    let mut third = topic.events("").await;
    let block = third.block().await.expect("one block");
    assert!(block.retry.is_some_and(|ms| (2_000..=10_000).contains(&ms)), "{block:?}");
    assert_eq!((block.event.as_deref(), &block.json()["code"]), (Some("problem"), &json!("rate_limited")));
    assert!(third.block().await.is_none(), "the end");
    refused(&gateway.get(&topic.path("/records?format=ndjson&follow=true")).send().await);
    topic.try_read("").await.is(200);

    drop(first);
    let mut again = eventually("a place is free again", async || {
        let mut stream = topic.events("").await;
        let block = stream.block().await.expect("a block");
        block.event.is_none().then_some(stream)
    })
    .await;
    assert_eq!(again.record().await.offset, 0);
}

async fn a_key_is_bounded_wherever_it_comes_from_and_others_are_not(backend: Backend) {
    let gateway = Guarded::with(backend, &["--trusted-proxy", "127.0.0.0/8"]).await;
    let bounded = async |limits: Value| {
        let key = json!({"name": "shop", "permissions": [{"verb": "admin", "topic": "*"}], "limits": limits});
        let made = gateway.post("/v1/keys").json(&key).send().await.is(201).json();
        assert_eq!(made["limits"], key["limits"]);
        gateway.gateway.with_key(text(&made["key"]))
    };

    let client = bounded(json!({"requests_per_second": 1})).await;
    let calls = (0..100).map(|n| client.get("/v1/whoami").header("x-forwarded-for", &format!("192.0.2.{n}")).send());
    let answers = futures_util::future::join_all(calls).await;
    let late = answers.iter().filter(|answer| answer.status != 200);
    assert!(late.map(refused).inspect(|seconds| assert_eq!(*seconds, 1)).count() > 0);
    eventually("it is served again", async || (client.get("/v1/whoami").send().await.status == 200).then_some(()))
        .await;

    let client = bounded(json!({"records_per_second": 1})).await;
    batch(&client, None, MANY).await.is(200);
    assert!(refused(&batch(&client, Some("192.0.2.1"), 1).await) > 1);

    let client = bounded(json!({"bytes_per_second": 100})).await;
    batch(&client, None, MANY).await.is(200);
    assert!(refused(&batch(&client, None, 1).await) > 1);

    let client = bounded(json!({"streams": 1})).await;
    let follow = "/v1/topics/orders/records?format=ndjson&follow=true";
    let first = client.get(follow).open().await;
    refused(&client.get(follow).send().await);
    // A ticket is the key's that it was asked for with.
    let ticket = client.post("/v1/tickets").json(&json!({"topic": "orders"})).send().await.is(201).json();
    refused(&gateway.nobody().get(&format!("{follow}&ticket={}", text(&ticket["ticket"]))).send().await);
    drop(first);
    eventually("the place is free again", async || (client.get(follow).open().await.status() == 200).then_some(()))
        .await;

    batch(&gateway, None, MANY).await.is(200);
    batch(&gateway, None, 1).await.is(200);
}

async fn an_escaped_letter_opens_no_stream_uncounted(backend: Backend) {
    let gateway = Gateway::with(backend, &["--address-streams-max", "1"]).await;
    let topic = gateway.topic("orders", 1).await;
    let _first = topic.events("").await;
    refused(&gateway.get(&topic.path("/records?format=ndjson&f%6fllow=%74rue")).send().await);
    let told = gateway.get(&topic.path("/records?form%61t=%73se")).send().await.is(200);
    assert!(told.text().contains("event: problem"), "{told:?}");
}

async fn keys_made_on_the_command_line_are_bounded_too(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let create =
        format!("keys create --name shop --allow produce:* --key {ADMIN_KEY} --streams 3 --records-per-second 7");
    terminal::run(gateway.gateway.address(), &create).await.printed();
    let keys = gateway.get("/v1/keys").send().await.is(200).json();
    assert_eq!(keys["keys"][0]["limits"], json!({"records_per_second": 7, "streams": 3}));
}

async fn connections_beyond_the_bound_are_closed(backend: Backend) {
    let gateway = Gateway::with(backend, &["--address-connections-max", "3"]).await;
    let ask = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address());
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut connection = Connection::open(gateway.address()).await;
        connection.send(&ask).await;
        assert_eq!(connection.head().await.status, 200);
        open.push(connection);
    }
    let mut fourth = Connection::open(gateway.address()).await;
    assert_eq!(fourth.everything().await, "", "closed without a word");
    open.pop();
    eventually("a place is free again", async || {
        let mut connection = Connection::open(gateway.address()).await;
        connection.try_send(&ask).await.ok()?;
        connection.head_or_end().await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

async fn an_address_is_what_a_trusted_proxy_says_and_nobody_else(backend: Backend) {
    let behind = Gateway::with(backend, &["--address-records-per-s", "1", "--trusted-proxy", "127.0.0.0/8"]).await;
    batch(&behind, Some("203.0.113.1"), MANY).await.is(200);
    refused(&batch(&behind, Some("203.0.113.1"), 1).await);
    refused(&batch(&behind, Some("198.51.100.7, 203.0.113.1"), 1).await); // what it made up itself
    batch(&behind, Some("203.0.113.2"), 1).await.is(200);
    // One owner has all of a /64.
    batch(&behind, Some("2001:db8::1"), MANY).await.is(200);
    refused(&batch(&behind, Some("2001:db8::ffff:2"), 1).await);
    batch(&behind, Some("2001:db8:0:1::1"), 1).await.is(200);

    let alone = Gateway::with(backend, &["--address-records-per-s", "1"]).await;
    batch(&alone, Some("203.0.113.1"), MANY).await.is(200);
    refused(&batch(&alone, Some("203.0.113.2"), 1).await);
    assert_eq!(Topic::named(&alone, "orders").high_watermark(0).await, MANY as u64);
}
