//! `Idempotency-Key`: a produce that may be repeated, and is written once.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;

on_each_backend!(
    a_repeated_key_is_answered_again_and_written_once,
    a_key_belongs_to_its_path,
    a_key_with_another_request_is_refused,
    a_refusal_is_not_kept,
    concurrent_twins_are_one_write,
    a_key_survives_a_crash,
    a_key_ends_with_the_topic_it_wrote_to,
    a_key_outside_its_alphabet_is_refused,
    a_key_is_refused_where_it_could_not_be_kept,
);

/// Posts one raw JSON value under `key`.
async fn post(client: &Client, path: &str, key: &str, body: &'static str) -> Answer {
    client.post(path).header("idempotency-key", key).raw_json(body).send().await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

async fn a_repeated_key_is_answered_again_and_written_once(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    let batch = json!({ "records": [{ "key": "a", "value": 1 }, { "value": 2 }, { "key": "c", "value": 3 }] });
    let calls = [
        ("/v1/topics/orders/values", "\"v\"".to_owned(), "application/json", 201),
        ("/v1/topics/orders/records", batch.to_string(), "application/json", 200),
        ("/v1/topics/orders/records?atomic=true", "{\"value\":4}\n".to_owned(), "application/x-ndjson", 200),
    ];
    for (n, (path, body, content_type, status)) in calls.into_iter().enumerate() {
        let send = async || {
            let call = gateway.post(path).header("content-type", content_type).body(body.clone());
            call.header("idempotency-key", &format!("key-{n}")).send().await.is(status)
        };
        let first = send().await;
        assert!(!is_replayed(&first), "{path}");
        for _ in 0..3 {
            let again = send().await;
            assert_eq!(again.body, first.body, "{path}");
            assert_eq!(again.header("location"), first.header("location"), "{path}");
            assert!(is_replayed(&again), "{path}");
        }
    }
    assert_eq!(topic.read_all().await.len(), 5);
}

async fn a_key_belongs_to_its_path(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (a, b) = (gateway.topic("a", 1).await, gateway.topic("b", 1).await);
    for topic in [&a, &b] {
        let answer = post(&gateway, &topic.path("/values"), "same", "1").await.is(201);
        assert!(!is_replayed(&answer));
        assert_eq!(answer.json()["topic"], topic.name.as_str());
    }
    assert_eq!((a.high_watermark(0).await, b.high_watermark(0).await), (1, 1));
}

async fn a_key_with_another_request_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let path = topic.path("/values");
    post(&gateway, &path, "key", "1").await.is(201);
    post(&gateway, &path, "key", "2").await.refused_write(422, "idempotency_key_reused");
    post(&gateway, &path, "key", " 1").await.refused_write(422, "idempotency_key_reused");
    post(&gateway, &format!("{path}?key=k"), "key", "1").await.refused_write(422, "idempotency_key_reused");
    let call = gateway.post(&path).header("idempotency-key", "key");
    let other_type = call.header("content-type", "text/plain").body("1").send().await;
    other_type.refused_write(422, "idempotency_key_reused");
    let call = gateway.post(&path).header("idempotency-key", "key").header("record-header-a", "b");
    call.raw_json("1").send().await.refused_write(422, "idempotency_key_reused");

    assert!(is_replayed(&post(&gateway, &path, "key", "1").await.is(201)), "the refused ones took nothing away");
    assert_eq!(topic.high_watermark(0).await, 1);
}

async fn a_refusal_is_not_kept(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let path = topic.path("/values?partition=1");
    post(&gateway, &path, "key", "1").await.refused_write(404, "unknown_partition");
    topic.grow_to(2).await;
    assert!(!is_replayed(&post(&gateway, &path, "key", "1").await.is(201)));
    let path = topic.path("/values");
    post(&gateway, &path, "other", "{").await.refused_write(400, "malformed_json");
    assert!(!is_replayed(&post(&gateway, &path, "other", "{}").await.is(201)));
}

async fn concurrent_twins_are_one_write(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    for round in 0..10 {
        let key = format!("round-{round}");
        let path = topic.path("/values");
        let twins: Vec<_> = (0..16).map(|_| gateway.client().another()).collect();
        let answers = join_all(twins.iter().map(|twin| post(twin, &path, &key, "[\"twin\"]"))).await;
        let firsts = answers.iter().filter(|answer| !is_replayed(answer)).count();
        assert_eq!(firsts, 1, "one attempt writes");
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (201, &answers[0].body));
        }
    }
    assert_eq!(topic.read_all().await.len(), 10);
}

async fn a_key_survives_a_crash(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let path = topic.path("/values");
    let mut firsts = Vec::new();
    for n in 0..5 {
        firsts.push(post(&gateway, &path, &format!("key-{n}"), "1").await.is(201).body);
    }
    gateway.kill9().await;
    gateway.start_again().await;
    for (n, first) in firsts.iter().enumerate() {
        let again = post(&gateway, &path, &format!("key-{n}"), "1").await.is(201);
        assert!(is_replayed(&again) && again.body == *first, "{again:?}");
        post(&gateway, &path, &format!("key-{n}"), "2").await.refused_write(422, "idempotency_key_reused");
    }
    assert_eq!(topic.read_all().await.len(), 5);
}

async fn a_key_ends_with_the_topic_it_wrote_to(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let path = topic.path("/values");
    post(&gateway, &path, "key", "1").await.is(201);
    topic.delete().await;
    let topic = Topic::create(&gateway, "orders", 1).await;
    let answer = post(&gateway, &path, "key", "2").await.is(201);
    assert!(!is_replayed(&answer));
    assert_eq!(topic.read("").await.values(), ["2"]);
}

async fn a_key_outside_its_alphabet_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let path = topic.path("/values");
    let longest: String = (0..255).map(|n| char::from(b'!' + n % 94)).collect();
    post(&gateway, &path, &longest, "1").await.is(201);
    assert!(is_replayed(&post(&gateway, &path, &longest, "1").await.is(201)));
    for wrong in [format!("{longest}x"), String::new(), "two words".to_owned(), "é".to_owned()] {
        let problem = post(&gateway, &path, &wrong, "1").await.refusal(400);
        assert_eq!(problem["outcome"], "not_written", "{wrong}");
    }
    assert_eq!(topic.high_watermark(0).await, 1);
}

async fn a_key_is_refused_where_it_could_not_be_kept(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let without_ack = post(&gateway, &topic.path("/values?ack=none"), "key", "1").await.refusal(400);
    assert_eq!(without_ack["outcome"], "not_written");
    let call = gateway.post(&topic.path("/records")).header("idempotency-key", "key");
    let streamed = call.ndjson("{\"value\":1}\n").send().await.refusal(400);
    assert_eq!(streamed["outcome"], "not_written");
    assert_eq!(topic.high_watermark(0).await, 0);
}
