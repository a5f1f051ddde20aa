//! API keys: the first, the list, the end; and what is kept of them.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::access::ADMIN_KEY;
use crate::harness::access::Guarded;
use crate::harness::access::create_key;
use crate::harness::access::now;
use crate::harness::access::permission;
use crate::harness::access::text;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::wait::eventually;

on_each_backend!(
    the_first_key_can_make_others_and_turns_authentication_on_for_good,
    a_key_is_shown_once,
    keys_are_listed_in_pages_and_end,
    a_key_ends_when_it_says,
    what_cannot_be_a_key_is_refused,
    whoami_says_what_the_gateway_makes_of_one,
);

on_sqlite!("the data directory holds all that is kept": secrets_are_not_in_the_data);

async fn the_first_key_can_make_others_and_turns_authentication_on_for_good(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let first = |permissions: Value| gateway.post("/v1/keys").json(&json!({"name": "a", "permissions": permissions}));
    for weak in
        [json!([]), json!([permission("admin:a*")]), json!([permission("consume:*:*"), permission("produce:*")])]
    {
        let refused = first(weak).send().await.refused_write(400, "invalid_parameter");
        assert!(text(&refused["detail"]).contains("first key"), "{refused}");
    }
    gateway.get("/v1/topics").send().await.is(200);
    let root = create_key(&gateway, &["admin:*"]).await.json();
    gateway.get("/v1/topics").send().await.problem(401, "unauthorized");
    let with_key = gateway.with_key(text(&root["key"]));
    with_key.get("/v1/topics").send().await.is(200);
    with_key.delete(&format!("/v1/keys/{}", text(&root["id"]))).send().await.is(204);
    with_key.get("/v1/topics").send().await.problem(401, "unauthorized");
    gateway.restart().await;
    gateway.post("/v1/keys").json(&json!({"name": "a", "permissions": []})).send().await.problem(401, "unauthorized");
}

async fn a_key_is_shown_once(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let permissions = json!([permission("consume:pub-*:g"), permission("metrics")]);
    let limits = json!({"requests_per_second": 100, "streams": 2});
    let expires_at = 4_000_000_000_000_u64;
    let body = json!({"name": "the shop", "permissions": permissions, "limits": limits, "expires_at": expires_at});
    let answer = gateway.post("/v1/keys").json(&body).send().await.is(201);
    let mut made = answer.json();
    let (key, id) = (text(&made["key"]).to_owned(), text(&made["id"]).to_owned());
    assert!(key.starts_with(&format!("tg_{id}_")) && key.len() >= 40, "{key}");
    assert_eq!(answer.header("location"), Some(format!("/v1/keys/{id}").as_str()));
    made.as_object_mut().expect("an object").remove("key");
    for member in ["name", "permissions", "limits", "expires_at"] {
        assert_eq!(made[member], body[member], "{member}");
    }
    let found = gateway.get(&format!("/v1/keys/{id}")).send().await.is(200);
    assert_eq!(found.json(), made);
    let list = gateway.get("/v1/keys").send().await.is(200);
    assert_eq!(list.json()["keys"], json!([made]));
    assert!(!list.text().contains(&key) && !found.text().contains(&key));
}

async fn keys_are_listed_in_pages_and_end(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let mut made: Vec<(String, String)> = Vec::new();
    for name in ["b", "a", "b", "c", "b"] {
        let body = json!({"name": name, "permissions": [permission("produce:x")]});
        let key = gateway.post("/v1/keys").json(&body).send().await.is(201).json();
        made.push((name.to_owned(), text(&key["id"]).to_owned()));
    }
    made.sort();
    let mut listed = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = gateway.get(&format!("/v1/keys{query}")).send().await.is(200);
        let body = page.json();
        let keys = body["keys"].as_array().expect("keys");
        assert!((1..=2).contains(&keys.len()), "{body}");
        listed.extend(keys.iter().map(|key| (text(&key["name"]).to_owned(), text(&key["id"]).to_owned())));
        match body["next_page_token"].as_str() {
            Some(token) => {
                assert_eq!(page.header("link"), Some(format!("<?limit=2&page_token={token}>; rel=\"next\"").as_str()));
                query = format!("?limit=2&page_token={token}");
            }
            None => break,
        }
    }
    assert_eq!(listed, made, "by name, and then by id");
    let path = format!("/v1/keys/{}", made[0].1);
    gateway.delete(&path).send().await.is(204);
    for call in [gateway.get(&path), gateway.delete(&path), gateway.get("/v1/keys/no-such-key")] {
        call.send().await.problem(404, "unknown_api_key");
    }
}

async fn a_key_ends_when_it_says(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let body = json!({"name": "a", "permissions": [permission("consume:a")], "expires_at": now() + 5_000});
    let key = gateway.post("/v1/keys").json(&body).send().await.is(201).json();
    let client = gateway.nobody().with_key(text(&key["key"]));
    eventually("the key ends", async || {
        let answer = client.get("/v1/whoami").send().await;
        (answer.status == 401).then(|| answer.problem(401, "unauthorized"))
    })
    .await;
    gateway.get(&format!("/v1/keys/{}", text(&key["id"]))).send().await.is(200);
}

async fn what_cannot_be_a_key_is_refused(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let good = json!({"name": "a", "permissions": []});
    let with = |member: &str, value: Value| {
        let mut body = good.clone();
        body[member] = value;
        body
    };
    for (body, code, parameter) in [
        (json!({"permissions": []}), "missing_parameter", "name"),
        (json!({"name": "a"}), "missing_parameter", "permissions"),
        (with("name", "".into()), "invalid_parameter", "name"),
        (with("name", "a\nb".into()), "invalid_parameter", "name"),
        (with("name", "a\u{202e}b".into()), "invalid_parameter", "name"),
        (with("name", "a\u{2028}b".into()), "invalid_parameter", "name"),
        (with("name", "root\u{200b}".into()), "invalid_parameter", "name"),
        (with("expires_at", 0.into()), "invalid_parameter", "expires_at"),
        (with("expires_at", "tomorrow".into()), "invalid_parameter", "expires_at"),
        (with("limits", json!({"streams": 0})), "invalid_parameter", "limits.streams"),
        (with("limits", json!({"stream": 1})), "unknown_field", "limits.stream"),
        (with("key", "tg_mine".into()), "unknown_field", "key"),
        (with("permissions", json!([{"verb": "own", "topic": "a"}])), "invalid_parameter", "permissions[0].verb"),
        (with("permissions", json!([{"verb": "produce"}])), "invalid_parameter", "permissions"),
        (with("permissions", json!([permission("metrics:a")])), "invalid_parameter", "permissions"),
        (with("permissions", json!([permission("consume:a*b")])), "invalid_parameter", "permissions"),
        (with("permissions", json!([permission("consume:a:**")])), "invalid_parameter", "permissions"),
        (with("permissions", Value::Array(vec![permission("produce:a"); 65])), "invalid_parameter", "permissions"),
    ] {
        let problem = gateway.post("/v1/keys").json(&body).send().await.refused_write(400, code);
        let named = problem["parameter"].as_str().or(problem["field"].as_str());
        assert_eq!(named, Some(parameter), "{body}: {problem}");
    }
    assert_eq!(gateway.get("/v1/keys").send().await.is(200).json(), json!({"keys": []}));
}

async fn whoami_says_what_the_gateway_makes_of_one(backend: Backend) {
    let open = Gateway::start(backend).await;
    let anonymous = open.get("/v1/whoami").send().await.is(200).json();
    assert_eq!((&anonymous["name"], &anonymous["authenticated"]), (&"anonymous".into(), &false.into()));
    let gateway = Guarded::start(backend).await;
    let operator = gateway.get("/v1/whoami").send().await.is(200).json();
    assert_eq!((&operator["authenticated"], operator.get("key_id")), (&true.into(), None));
    let key = create_key(&gateway, &["consume:pub-*:g"]).await.json();
    let client = gateway.nobody().with_key(text(&key["key"]));
    let caller = client.get("/v1/whoami").send().await.is(200).json();
    let expected =
        json!({"name": "test", "authenticated": true, "key_id": key["id"], "permissions": key["permissions"]});
    assert_eq!(caller, expected);
    gateway.nobody().get("/v1/whoami").send().await.problem(401, "unauthorized");
}

async fn secrets_are_not_in_the_data(backend: Backend) {
    let mut gateway = Guarded::with(backend, &["--log", "trace"]).await;
    let key = text(&create_key(&gateway, &["admin:*:*"]).await.json()["key"]).to_owned();
    let client = gateway.nobody().with_key(&key);
    client.post("/v1/topics/a/values").body("x").send().await.is(201);
    client.get(&format!("/v1/topics?prefix={key}")).send().await.problem(400, "invalid_parameter");
    let ticket = client.post("/v1/tickets").json(&json!({"topic": "a"})).send().await.is(201).json();
    let ticket = text(&ticket["ticket"]).to_owned();
    gateway.nobody().get(&format!("/v1/topics/a/records?ticket={ticket}")).send().await.is(200);
    gateway.gateway.stop().await;
    let planted = [&key[16..], ADMIN_KEY, &ticket];
    let log = gateway.gateway.stderr();
    for secret in planted {
        assert!(!log.contains(secret), "a secret in the log");
    }
    for file in files(&gateway.gateway.data_dir()) {
        let bytes = fs::read(&file).expect("a file of ours");
        for secret in planted {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a secret in {}", file.display());
        }
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of ours").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
