//! Every refusal is a problem of one shape, and some rules hold for every answer.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;

on_each_backend!(
    every_refusal_has_the_same_shape,
    every_refused_write_says_that_nothing_was_written,
    an_unknown_method_is_405_and_names_the_known_ones,
    options_are_answered_with_allow,
    a_request_id_is_taken_over_if_it_is_sound,
    a_trailing_slash_changes_nothing,
    each_code_has_a_page,
    nothing_that_is_read_changes_anything,
    http2_is_spoken_without_an_upgrade,
);

async fn every_refusal_has_the_same_shape(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    for (path, status, code) in [
        ("/v2", 404, "unknown_path"),
        ("/v1/topic", 404, "unknown_path"),
        ("/v1/topics/orders/nothing", 404, "unknown_path"),
        ("//v1/topics", 404, "unknown_path"),
        ("/v1/topics/none", 404, "unknown_topic"),
        ("/v1/topics/orders/partitions/9", 404, "unknown_partition"),
        ("/v1/topics/orders/partitions/0/records/0", 404, "unknown_offset"),
        ("/v1/topics/orders/partitions/0/records?offset=1", 416, "offset_out_of_range"),
        ("/v1/topics/orders/partitions/0/offsets", 400, "missing_parameter"),
        ("/v1/topics/orders/partitions/x", 400, "invalid_parameter"),
        ("/v1/topics/orders/records?max_records=x", 400, "invalid_parameter"),
        ("/v1/topics/orders/records?unknown=x", 400, "unknown_parameter"),
        ("/v1/topics/orders/records?cursor=x", 400, "invalid_cursor"),
        ("/v1/topics/a%2Fb", 400, "invalid_name"),
    ] {
        let problem = gateway.get(path).send().await.problem(status, code);
        assert_eq!(problem["retry"], "never", "{path}");
        assert!(problem.get("outcome").is_none(), "a read has no outcome: {problem}");
    }
}

async fn every_refused_write_says_that_nothing_was_written(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let records = "/v1/topics/orders/records";
    for (method, path, content_type, body, status, code) in [
        ("POST", records, "application/json", "{", 400, "malformed_json"),
        ("POST", records, "application/json", r#"{"records":[{"valu":1}]}"#, 400, "unknown_field"),
        ("POST", records, "application/json", r#"{"records":[{"key":"k"}]}"#, 400, "invalid_record"),
        ("POST", "/v1/topics/orders/records?x=1", "application/json", "{}", 400, "unknown_parameter"),
        ("POST", records, "text/csv", "a,b", 415, "unsupported_media_type"),
        ("POST", records, "multipart/form-data; boundary=x", "--x--", 415, "unsupported_media_type"),
        ("POST", "/v1/topics/none/values?create=false", "text/plain", "x", 404, "unknown_topic"),
        ("POST", "/v1/topics/orders/values?partition=3", "text/plain", "x", 404, "unknown_partition"),
        ("POST", "/v1/topics/__x/values", "text/plain", "x", 400, "invalid_name"),
        ("POST", "/v1/topics/orders", "text/plain", "x", 405, "method_not_allowed"),
        ("POST", "/v1/nothing", "text/plain", "x", 404, "unknown_path"),
        ("PUT", "/v1/topics/orders", "application/json", r#"{"partition_count":2}"#, 409, "topic_exists"),
        ("PUT", "/v1/topics/new", "text/csv", "a", 415, "unsupported_media_type"),
        ("PATCH", "/v1/topics/orders", "application/json", r#"{"partition_count":0}"#, 400, "invalid_parameter"),
        ("DELETE", "/v1/topics/none", "application/json", "", 404, "unknown_topic"),
        ("DELETE", "/v1/topics/orders/partitions/0/records", "application/json", "", 400, "missing_parameter"),
    ] {
        let call = gateway.request(method, path).header("content-type", content_type);
        let problem = call.body(body).send().await.refused_write(status, code);
        assert_eq!(problem["retry"], "never", "{method} {path}");
    }
    assert_eq!(topic.high_watermark(0).await, 0);
    let problem =
        gateway.post(records).raw_json("{\n  \"records\": [,]\n}").send().await.problem(400, "malformed_json");
    assert_eq!((&problem["line"], problem["column"].is_u64()), (&json!(2), true), "{problem}");
}

async fn an_unknown_method_is_405_and_names_the_known_ones(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    for (method, path, known) in [
        ("DELETE", "/v1/topics", "GET"),
        ("PUT", "/v1/records", "POST"),
        ("PATCH", "/v1/topics/orders/records", "POST"),
        ("GET", "/v1/topics/orders/values", "POST"),
        ("POST", "/healthz", "GET"),
        ("TRACE", "/v1", "GET"),
        ("BREW", "/v1/topics/orders", "PATCH"),
    ] {
        let answer = gateway.request(method, path).send().await;
        answer.problem(405, "method_not_allowed");
        let allow = answer.header("allow").expect("a 405 names the methods");
        let names: Vec<_> = allow.split(',').map(str::trim).collect();
        assert!(names.contains(&known) && !names.contains(&method), "{method} {path}: {allow}");
    }
}

async fn options_are_answered_with_allow(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    for (path, methods) in [
        ("/v1/topics/orders", ["DELETE", "GET", "PATCH", "PUT"].as_slice()),
        ("/v1/topics/orders/records", &["GET", "HEAD", "POST"]),
        ("/v1/topics/orders/values", &["POST"]),
    ] {
        let answer = gateway.request("OPTIONS", path).send().await.is(204);
        let allow = answer.header("allow").expect("OPTIONS names the methods").to_owned();
        for method in methods {
            assert!(allow.split(',').any(|name| name.trim() == *method), "{path}: {allow}");
        }
    }
}

async fn a_request_id_is_taken_over_if_it_is_sound(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let longest = "x".repeat(128);
    for id in ["a", "7f3c-!~/\"", &longest] {
        let answer = gateway.get("/v1/topics/none").header("x-request-id", id).send().await;
        assert_eq!(answer.problem(404, "unknown_topic")["request_id"], id);
    }
    let mut made = Vec::new();
    for id in ["two words", "", &format!("{longest}x"), "é"] {
        let answer = gateway.get("/v1").header("x-request-id", id).send().await.is(200);
        made.push(answer.header("x-request-id").expect("an id is made").to_owned());
    }
    made.push(gateway.get("/v1").send().await.header("x-request-id").expect("an id is made").to_owned());
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 5, "each is made anew: {made:?}");
}

async fn a_trailing_slash_changes_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.put("/v1/topics/orders/").send().await.is(201);
    gateway.post("/v1/topics/orders/values/").body("x").send().await.is(201);
    for path in ["/v1/", "/v1/topics/", "/v1/topics/orders/", "/v1/topics/orders/partitions/0/", "/healthz/"] {
        gateway.get(path).send().await.is(200);
    }
    let read = gateway.get("/v1/topics/orders/records/?max_records=1").send().await.is(200);
    assert_eq!(read.json()["records"].as_array().map(Vec::len), Some(1));
}

async fn each_code_has_a_page(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for code in ["unknown_topic", "offset_expired", "idempotency_key_reused", "draining", "storage_full"] {
        let page = gateway.get(&format!("/problems/{code}")).send().await.is(200);
        assert!(page.text().contains(code), "{code}");
    }
    gateway.get("/problems/made_up").send().await.problem(404, "unknown_path");
}

async fn nothing_that_is_read_changes_anything(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for path in ["/v1/topics/none", "/v1/topics/none/records", "/v1/records?topic=none", "/v1/topics/none/partitions/0"]
    {
        for method in ["GET", "HEAD"] {
            assert_eq!(gateway.request(method, path).send().await.status, 404, "{method} {path}");
        }
    }
    gateway.get("/v1/topics/none/records?wait_for_topic=true").send().await.is(200);
    gateway.request("OPTIONS", "/v1/topics/none").send().await.is(204);
    let topics = gateway.get("/v1/topics").send().await.is(200).json();
    assert_eq!(topics["topics"].as_array().map(Vec::len), Some(0));
}

async fn http2_is_spoken_without_an_upgrade(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let client = Client::of_http2(gateway.address());
    let topic = Topic::create(&client, "orders", 2).await;
    let mut stream = topic.events("").await;
    let writes = join_all((0..20).map(|n| topic.value(n.to_string()))).await;
    assert_eq!(writes.len(), 20);
    assert_eq!(stream.records(20).await.len(), 20);
    client.get("/v1/nothing").send().await.problem(404, "unknown_path");
}
