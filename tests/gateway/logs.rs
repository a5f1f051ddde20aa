//! What is logged: a line a request for whoever asks for it, a line for every call that administers something, and never
//! a secret.

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::collector::Collector;
use crate::harness::gateway::Gateway;
use crate::harness::on_backend;
use crate::harness::on_sqlite;
use crate::harness::postgres::Database;
use crate::harness::wait::eventually;
use crate::jwt::KeySet;
use crate::jwt::Showing;
use crate::jwt::claims;
use crate::signers::Signer;

on_sqlite!("the front logs, whatever is below": every_call_that_administers_leaves_an_audit_line,
    a_request_leaves_an_access_line_for_who_asks_for_it, reading_and_writing_leave_no_line_by_default,
    the_audit_names_the_caller, whoever_is_called_like_another_has_another_identity_in_the_audit);
on_backend!(sqlite, Sqlite, no_secret_is_in_a_log_or_a_metric, no_credential_is_in_a_log_a_metric_or_a_span);
on_backend!(postgres, Postgres, no_secret_is_in_a_log_or_a_metric, the_password_of_the_database_is_in_no_log);

/// The line of that target and request, once it is there.
async fn line_of(gateway: &Gateway, target: &str, request_id: &str) -> Value {
    eventually("the line is logged", async || {
        let stderr = gateway.stderr();
        let whole = &stderr[..stderr.rfind('\n').unwrap_or(0)];
        let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
        let mut found = lines.filter(|line| line["target"] == target && line["request_id"] == request_id);
        let first = found.next();
        assert!(found.next().is_none(), "two lines for {request_id}:\n{stderr}");
        first
    })
    .await
}

async fn every_call_that_administers_leaves_an_audit_line(backend: Backend) {
    let gateway = Gateway::with(backend, &["--log-format", "json", "--log", "warn,audit=info"]).await;
    let calls = [
        ("PUT", "/v1/topics/orders", json!({ "partition_count": 2 }), "topic.create", 201),
        ("PUT", "/v1/topics/orders", json!({ "partition_count": 3 }), "topic.create", 409),
        ("PATCH", "/v1/topics/orders", json!({ "retention_ms": 60_000 }), "topic.change", 200),
        ("PUT", "/v1/groups/g/offsets", json!({ "topic": "orders", "to": "latest" }), "group.reset", 200),
        ("DELETE", "/v1/topics/orders/partitions/1/records?before_offset=0", Value::Null, "records.delete", 200),
        ("DELETE", "/v1/groups/g", Value::Null, "group.delete", 204),
        ("DELETE", "/v1/topics/orders/", Value::Null, "topic.delete", 204),
        ("DELETE", "/v1/topics/orders", Value::Null, "topic.delete", 404),
        ("POST", "/v1/topics/made/values", json!(1), "topic.create", 201),
    ];
    let mut details = Vec::new();
    for (n, (method, path, body, action, status)) in calls.into_iter().enumerate() {
        let id = format!("call-{n}");
        let call = gateway.request(method, path).header("x-request-id", &id);
        let call = if body.is_null() { call } else { call.json(&body) };
        assert_eq!(call.send().await.status, status, "{method} {path}");
        let line = line_of(&gateway, "audit", &id).await;
        assert_eq!(line["action"], action, "{line}");
        assert_eq!(line["status"], status, "{line}");
        assert_eq!((&line["caller"], &line["address"]), (&json!("anonymous"), &json!("127.0.0.1")), "{line}");
        assert_eq!(line["code"].is_string(), status >= 400, "{line}");
        assert_eq!(line["level"], if status >= 400 { "WARN" } else { "INFO" }, "{line}");
        assert!(!line["to"].as_str().expect("a path").contains('?'), "{line}");
        details.push(line["detail"].as_str().expect("a text").to_owned());
    }
    assert_eq!(details[0], "partition_count=2 retention_ms=604800000 retention_bytes=-1");
    assert_eq!(details[2], "partition_count=2 retention_ms=60000 retention_bytes=-1");
    assert_eq!(details[3], "topic=orders dry_run=false force=false next_offsets=0:0,1:0");
    assert_eq!(details[4], "before_offset=0 log_start_offset=0");
    assert_eq!(details[8], "by a produce");
}

async fn a_request_leaves_an_access_line_for_who_asks_for_it(backend: Backend) {
    let gateway = Gateway::with(backend, &["--log-format", "json", "--log", "info,access=debug"]).await;
    gateway.get("/v1/topics/nobody?ticket=abc").header("x-request-id", "one").send().await;
    let line = line_of(&gateway, "access", "one").await;
    assert_eq!(line["route"], "/v1/topics/{topic}", "{line}");
    assert_eq!((&line["method"], &line["address"]), (&json!("GET"), &json!("127.0.0.1")), "{line}");
    assert!(line["status"].as_u64() >= Some(400) && line["code"].is_string() && line["duration_us"].is_u64(), "{line}");
    assert!(!line.to_string().contains("nobody") && !line.to_string().contains("abc"), "{line}");
}

async fn reading_and_writing_leave_no_line_by_default(backend: Backend) {
    let gateway = Gateway::with(backend, &["--log-format", "json"]).await;
    let topic = gateway.topic("clicks", 1).await;
    topic.count(0, 0..3).await;
    topic.read("").await;
    // What is logged of this one comes behind all that was logged of those.
    gateway.delete(&topic.path("")).header("x-request-id", "last").send().await.is(204);
    line_of(&gateway, "audit", "last").await;
    let stderr = gateway.stderr();
    assert_eq!(stderr.lines().filter(|line| line.contains("\"request_id\"")).count(), 2, "{stderr}");
}

/// The operator's key of these tests.
const OPERATOR: &str = "planted.operator.key.of.32.letters";

/// Makes a key of that name and returns its text.
async fn key(gateway: &Gateway, name: &str, permissions: Value) -> String {
    let body = json!({ "name": name, "permissions": permissions });
    let call = gateway.post("/v1/keys").by(OPERATOR);
    let made = call.header("x-request-id", &format!("key-of-{name}")).json(&body).send().await.is(201);
    made.json()["key"].as_str().expect("the key is told once").to_owned()
}

async fn the_audit_names_the_caller(backend: Backend) {
    let flags = ["--log-format", "json", "--log", "warn,audit=info", "--admin-key", OPERATOR];
    let gateway = Gateway::with(backend, &flags).await;
    let anna = key(&gateway, "anna", json!([{ "verb": "admin", "topic": "pub-*" }])).await;
    let line = line_of(&gateway, "audit", "key-of-anna").await;
    assert_eq!((&line["action"], &line["caller"]), (&json!("key.create"), &json!("operator")), "{line}");
    assert_eq!(line["identity"], "operator", "{line}");

    let put = |topic: &str, id: &str, key: &str| {
        let call = gateway.put(&format!("/v1/topics/{topic}")).header("authorization", &format!("Bearer {key}"));
        call.header("x-request-id", id)
    };
    put("pub-a", "hers", &anna).send().await.is(201);
    assert_eq!(line_of(&gateway, "audit", "hers").await["caller"], "anna");
    put("private", "not-hers", &anna).send().await.problem(403, "forbidden");
    let line = line_of(&gateway, "audit", "not-hers").await;
    assert_eq!((&line["caller"], &line["code"]), (&json!("anna"), &json!("forbidden")), "{line}");

    // Where nobody is known no call is tried, and the line is another.
    put("pub-a", "guess-0", "tg_guess").send().await.refusal(401);
    let stderr = eventually("the failure is logged", async || {
        let stderr = gateway.stderr();
        stderr.contains("\"action\":\"authenticate\"").then_some(stderr)
    })
    .await;
    assert!(stderr.contains("guess-0") && !stderr.contains("tg_guess"), "{stderr}");
}

async fn whoever_is_called_like_another_has_another_identity_in_the_audit(backend: Backend) {
    let signer = Signer::ec();
    let flags = ["--log-format", "json", "--log", "warn,audit=info", "--admin-key", OPERATOR];
    let gateway = KeySet::of([("a", &signer)]).gateway(backend, &flags).await;
    let permissions = json!([{ "verb": "admin", "topic": "pub-*" }]);
    let token = |subject: &str| {
        let mut claims = claims(&permissions);
        claims["sub"] = subject.into();
        signer.token("a", &claims)
    };
    let first = key(&gateway, "anna", permissions.clone()).await;
    let second = key(&gateway, "anna", permissions.clone()).await;
    let id = |key: &str| format!("key {}", key.split('_').nth(1).expect("the id stands in the key"));
    for (n, (credential, caller, identity)) in [
        (OPERATOR.to_owned(), "operator", "operator".to_owned()),
        (token("operator"), "operator", "subject operator".to_owned()),
        (token("anonymous"), "anonymous", "subject anonymous".to_owned()),
        (token("a\u{202e}b\u{2028}"), r"a\u{202e}b\u{2028}", r"subject a\u{202e}b\u{2028}".to_owned()),
        (first.clone(), "anna", id(&first)),
        (second.clone(), "anna", id(&second)),
    ]
    .into_iter()
    .enumerate()
    {
        let request = format!("who-{n}");
        let call = gateway.put("/v1/topics/pub-a").by(&credential).header("x-request-id", &request);
        call.send().await.is(if n == 0 { 201 } else { 200 });
        let line = line_of(&gateway, "audit", &request).await;
        assert_eq!((&line["caller"], &line["identity"]), (&json!(caller), &json!(identity)), "{line}");
    }
    assert_ne!(id(&first), id(&second));
}

async fn no_credential_is_in_a_log_a_metric_or_a_span(backend: Backend) {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let flags = ["--log", "trace", "--admin-key", OPERATOR, "--otlp-endpoint", &endpoint];
    let gateway = Gateway::with(backend, &flags).await;
    let rights = json!([{ "verb": "admin", "topic": "*", "group": "*" }, { "verb": "metrics" }]);
    let key = key(&gateway, "anna", rights).await;
    let bearer = format!("Bearer {key}");
    let call = |method: &str, path: &str| gateway.request(method, path).header("authorization", &bearer);
    call("PUT", "/v1/topics/clicks").send().await.is(201);
    call("POST", "/v1/topics/clicks/values").raw_json("1").send().await.is(201);
    let ticket = call("POST", "/v1/tickets").json(&json!({ "topic": "clicks" })).send().await.is(201).json();
    let ticket = ticket["ticket"].as_str().expect("a ticket").to_owned();
    let by_ticket = format!("/v1/topics/clicks/records?ticket={ticket}");
    gateway.get(&by_ticket).events().await.block().await.expect("it lets in");
    gateway.get(&by_ticket.replace("clicks", "others")).send().await;
    gateway.post(&by_ticket).raw_json("{}").send().await;
    gateway.get(&format!("/v1/topics?token={key}")).send().await.refusal(400);
    call("DELETE", &format!("/v1/topics/clicks?key={key}")).send().await;
    call("DELETE", "/v1/topics/clicks").header("x-request-id", "the-last-call").send().await.is(204);

    let metrics = call("GET", "/metrics").send().await.is(200).text().to_owned();
    let last = collector.request("the-last-call").await;
    let spans: String = collector.spans().iter().map(|span| span.json.to_string()).collect();
    assert!(spans.contains(last.text("spanId")));
    eventually("the last call is logged", async || gateway.stderr().contains("the-last-call").then_some(())).await;
    let stderr = gateway.stderr();
    for secret in [OPERATOR, &key, &key[3..], &ticket] {
        assert!(!stderr.contains(secret), "{secret} is in the log");
        assert!(!metrics.contains(secret), "{secret} is in the metrics");
        assert!(!spans.contains(secret), "{secret} is in the spans");
    }
}

async fn no_secret_is_in_a_log_or_a_metric(backend: Backend) {
    const SECRETS: [&str; 7] = [
        "planted-bearer",
        "planted-cookie",
        "planted-ticket",
        "planted-value",
        "planted-key-of-record",
        "planted-header",
        "planted-idempotency",
    ];
    let gateway = Gateway::with(backend, &["--log", "trace"]).await;
    let topic = gateway.topic("clicks", 1).await;
    let with_credentials = |method: &str, path: &str| {
        let call = gateway.request(method, path).header("authorization", "Bearer tg_planted-bearer");
        call.header("cookie", "tidegate_ticket=planted-cookie")
    };
    let record = json!({ "records": [{ "key": "planted-key-of-record", "value": "planted-value",
        "headers": { "h": "planted-header" } }] });
    let records = topic.path("/records");
    with_credentials("POST", &records).header("idempotency-key", "planted-idempotency").json(&record).send().await;
    with_credentials("POST", &records)
        .raw_json(r#"{"records":[{"value":"planted-value"},planted-value]}"#)
        .send()
        .await;
    with_credentials("POST", &records).ndjson("{\"value\":\"planted-value\"}\n{planted-value\n").send().await;
    with_credentials("GET", &records).send().await;
    with_credentials("GET", &format!("{records}?ticket=planted-ticket")).send().await;
    with_credentials("GET", &format!("{records}?cursor=planted-ticket")).send().await;
    with_credentials("DELETE", &topic.path("?ticket=planted-ticket")).send().await;
    with_credentials("POST", "/v1/tickets?ticket=planted-ticket").json(&json!({ "x": "planted-value" })).send().await;
    // What is logged of this one comes behind all that was logged of those.
    gateway.delete(&topic.path("")).header("x-request-id", "the-last-call").send().await;
    eventually("the last call is logged", async || gateway.stderr().contains("the-last-call").then_some(())).await;
    let (stderr, metrics) = (gateway.stderr(), gateway.get("/metrics").send().await.is(200).text().to_owned());
    assert!(stderr.contains("DEBUG access"), "the log tells much:\n{stderr}");
    for secret in SECRETS {
        assert!(!stderr.contains(secret), "{secret} is in the log");
        assert!(!metrics.contains(secret), "{secret} is in the metrics");
    }
}

async fn the_password_of_the_database_is_in_no_log(_: Backend) {
    let database = Database::create().await;
    let url = database.url();
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (user, place) = rest.split_once('@').expect("a user");
    let (user, password) = user.split_once(':').unwrap_or((user, "planted-password"));
    let url = format!("{scheme}://{user}:{password}@{place}");
    let gateway = Gateway::with(Backend::Sqlite, &["--database-url", &url, "--readers", "2", "--log", "trace"]).await;
    gateway.topic("clicks", 1).await.count(0, 0..3).await;
    let metrics = gateway.get("/metrics").send().await.is(200);
    assert!(!metrics.text().contains(password));
    assert!(!gateway.stderr().contains(password), "{}", gateway.stderr());
}
