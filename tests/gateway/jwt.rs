//! JSON Web Tokens over HTTP: what a good one allows, for how long, and what it never allows.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::client::Call;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::signers::Signer;

on_each_backend!(
    a_token_produces_reads_and_streams_what_it_is_for,
    a_stream_ends_when_its_token_does,
    a_ticket_of_a_token_is_no_more_than_the_token,
    a_ticket_of_a_token_with_as_many_permissions_as_may_be_is_good,
);

on_sqlite!(
    "a token is checked before any database is asked":
    without_a_token_nothing_is_shown,
    scopes_and_a_claim_of_another_name_give_rights,
    a_token_is_never_logged,
);

pub(crate) const ISSUER: &str = "https://id.example.com";

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

/// Claims that are good for ten minutes and give these permissions.
pub(crate) fn claims(permissions: &Value) -> Value {
    json!({ "iss": ISSUER, "aud": "tidegate", "exp": now() + 600, "sub": "alice", "tidegate": permissions })
}

/// A key set in a file.
pub(crate) struct KeySet(TempDir);

impl KeySet {
    pub(crate) fn of<'a>(keys: impl IntoIterator<Item = (&'a str, &'a Signer)>) -> Self {
        let set = Self(tempfile::tempdir().expect("the temporary directory is writable"));
        set.put(keys);
        set
    }

    /// Replaces it as a careful program does.
    pub(crate) fn put<'a>(&self, keys: impl IntoIterator<Item = (&'a str, &'a Signer)>) {
        let keys: Vec<Value> = keys.into_iter().map(|(kid, signer)| signer.jwk(kid)).collect();
        let next = self.0.path().join("next");
        std::fs::write(&next, json!({ "keys": keys }).to_string()).expect("written");
        std::fs::rename(next, self.path()).expect("replaced");
    }

    pub(crate) fn path(&self) -> String {
        self.0.path().join("jwks.json").to_str().expect("a path of ours is UTF-8").to_owned()
    }

    /// A gateway that takes tokens signed with these keys, with these flags beside.
    pub(crate) async fn gateway(&self, backend: Backend, more: &[&str]) -> Gateway {
        let path = self.path();
        let flags = ["--jwt-issuer", ISSUER, "--jwt-audience", "tidegate", "--jwks-file", &path];
        Gateway::with(backend, &[&flags, more].concat()).await
    }
}

/// Calls that show a token.
pub(crate) trait Showing {
    fn by(self, token: &str) -> Self;
}

impl Showing for Call {
    fn by(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }
}

async fn produce(gateway: &Gateway, topic: &str, token: &str) -> Answer {
    gateway.post(&format!("/v1/topics/{topic}/values")).body("1").by(token).send().await
}

async fn a_token_produces_reads_and_streams_what_it_is_for(backend: Backend) {
    for signer in [Signer::rsa(), Signer::ec()] {
        let keys = KeySet::of([("a", &signer)]);
        let gateway = keys.gateway(backend, &[]).await;
        let token = |permissions: Value| signer.token("a", &claims(&permissions));
        let writer = token(json!([{ "verb": "produce", "topic": "pub-*" }]));
        let reader = token(json!([{ "verb": "consume", "topic": "pub-*", "group": "g" }]));
        produce(&gateway, "pub-a", &writer).await.is(201);
        for (topic, token) in [("other", &writer), ("pub-a", &reader), ("pub-none", &reader)] {
            produce(&gateway, topic, token).await.problem(403, "forbidden");
        }
        let read = |topic: &str| gateway.get(&format!("/v1/topics/{topic}/records?from=earliest"));
        assert_eq!(read("pub-a").by(&reader).send().await.is(200).json()["records"][0]["value"], "1");
        for (topic, token) in [("other", &reader), ("missing", &reader), ("pub-a", &writer)] {
            read(topic).by(token).send().await.problem(403, "forbidden");
        }
        let mut events = read("pub-a").by(&reader).events().await;
        assert_eq!(events.record().await.value(), r#""1""#);
        produce(&gateway, "pub-a", &writer).await.is(201);
        assert_eq!(events.record().await.value(), r#""1""#);
        let poll = |group: &str| {
            let topics = json!({ "topics": ["pub-a"], "from": "earliest" });
            gateway.post(&format!("/v1/groups/{group}/members/m/poll")).json(&topics).by(&reader)
        };
        poll("g").send().await.is(200);
        poll("h").send().await.problem(403, "forbidden");
    }
}

async fn a_stream_ends_when_its_token_does(backend: Backend) {
    let signer = Signer::ec();
    let gateway = KeySet::of([("a", &signer)]).gateway(backend, &["--jwt-leeway-ms", "0"]).await;
    let admin = signer.token("a", &claims(&json!([{ "verb": "admin", "topic": "*" }])));
    produce(&gateway, "a", &admin).await.is(201);
    let mut short = claims(&json!([{ "verb": "consume", "topic": "a" }]));
    let end = now() + 12;
    short["exp"] = json!(end);
    let token = signer.token("a", &short);
    let mut events = gateway.get("/v1/topics/a/records?from=earliest").by(&token).events().await;
    events.record().await;
    let last = events.event().await;
    assert_eq!(last.event.as_deref(), Some("problem"));
    assert_eq!(last.json()["code"], "unauthorized");
    assert!(now() >= end, "it ended before its token did");
    assert!(events.try_event().await.is_none(), "nothing comes behind it");
    gateway.get("/v1/topics/a/records").by(&token).send().await.problem(401, "unauthorized");
    produce(&gateway, "a", &admin).await.is(201);
}

async fn a_ticket_of_a_token_is_no_more_than_the_token(backend: Backend) {
    let signer = Signer::ec();
    let gateway = KeySet::of([("a", &signer)]).gateway(backend, &[]).await;
    let admin = signer.token("a", &claims(&json!([{ "verb": "admin", "topic": "*" }])));
    produce(&gateway, "pub-a", &admin).await.is(201);
    produce(&gateway, "other", &admin).await.is(201);
    let mut said = claims(&json!([{ "verb": "consume", "topic": "pub-*" }]));
    said["exp"] = json!(now() + 300); // sooner than a ticket would end
    let token = signer.token("a", &said);
    let who = gateway.get("/v1/whoami").by(&token).send().await.is(200).json();
    assert_eq!((&who["name"], &who["expires_at"]), (&json!("alice"), &json!(end_of(&said))), "{who}");
    let ticket = |body: Value| gateway.post("/v1/tickets").json(&body).by(&token).send();
    ticket(json!({ "topic": "other" })).await.problem(403, "forbidden");
    let made = ticket(json!({ "topic": "pub-a", "expires_in_ms": 3_600_000 })).await.is(201).json();
    assert_eq!(made["expires_at"], end_of(&said), "not longer than the token");
    let shown = made["ticket"].as_str().expect("a text");
    let stream = |topic: &str| gateway.get(&format!("/v1/topics/{topic}/records?from=earliest&ticket={shown}"));
    assert_eq!(stream("pub-a").events().await.record().await.value(), r#""1""#);
    stream("other").header("accept", "text/event-stream").send().await.problem(403, "forbidden");
}

async fn a_ticket_of_a_token_with_as_many_permissions_as_may_be_is_good(backend: Backend) {
    let signer = Signer::ec();
    let gateway = KeySet::of([("a", &signer)]).gateway(backend, &[]).await;
    let admin = signer.token("a", &claims(&json!([{ "verb": "admin", "topic": "*" }])));
    produce(&gateway, "t63", &admin).await.is(201);
    let permission = |n: usize| match n {
        0 => json!({ "verb": "consume", "group": "g" }),
        n => json!({ "verb": "consume", "topic": format!("t{n}") }),
    };
    let both = |n: usize| json!({ "verb": "consume", "topic": format!("t{n}"), "group": "h" });
    let apart: Vec<Value> = (0..64).map(permission).collect();
    let together: Vec<Value> = (0..64).map(both).collect();
    for (group, permissions) in [("g", json!(apart)), ("h", json!(together))] {
        let token = signer.token("a", &claims(&permissions));
        let made = gateway.post("/v1/tickets").json(&json!({ "group": group })).by(&token).send().await.is(201);
        let ticket = made.json();
        let ticket = ticket["ticket"].as_str().expect("a text");
        let stream = |topic: &str| gateway.get(&format!("/v1/groups/{group}/records?topic={topic}&ticket={ticket}"));
        let mut events = stream("t63").events().await;
        assert_eq!(events.event().await.event.as_deref(), Some("assignment"));
        assert_eq!(events.record().await.value(), r#""1""#);
        stream("t64").header("accept", "text/event-stream").send().await.problem(403, "forbidden");
    }
}

/// When a token of these claims ends, in milliseconds: with the default leeway.
fn end_of(claims: &Value) -> u64 {
    (claims["exp"].as_u64().expect("a time") + 60) * 1_000
}

async fn without_a_token_nothing_is_shown(backend: Backend) {
    let signer = Signer::ec();
    let gateway = KeySet::of([("a", &signer)]).gateway(backend, &[]).await;
    let answer = gateway.get("/v1/topics").send().await;
    answer.problem(401, "unauthorized");
    assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    for path in ["/healthz", "/readyz", "/v1", "/openapi.json"] {
        gateway.get(path).send().await.is(200);
    }
    let token = signer.token("a", &claims(&json!([])));
    assert_eq!(gateway.get("/v1/topics").by(&token).send().await.is(200).json()["topics"], json!([]));
    gateway.get("/v1/topics/a/records").by(&token).send().await.problem(403, "forbidden");
}

async fn scopes_and_a_claim_of_another_name_give_rights(backend: Backend) {
    let signer = Signer::ec();
    let claim = "https://tidegate.example.com/permissions";
    let gateway = KeySet::of([("a", &signer)]).gateway(backend, &["--jwt-claim", claim]).await;
    let mut said = claims(&json!([{ "verb": "admin", "topic": "*" }]));
    produce(&gateway, "a", &signer.token("a", &said)).await.problem(403, "forbidden");
    said["scope"] = json!("openid produce:scoped-*");
    produce(&gateway, "scoped-a", &signer.token("a", &said)).await.is(201);
    said[claim] = json!([{ "verb": "produce", "topic": "claimed" }]);
    for (topic, status) in [("claimed", 201), ("scoped-a", 201), ("a", 403)] {
        produce(&gateway, topic, &signer.token("a", &said)).await.is(status);
    }
}

async fn a_token_is_never_logged(backend: Backend) {
    let signer = Signer::ec();
    let mut gateway = KeySet::of([("a", &signer)]).gateway(backend, &["--log", "trace"]).await;
    let good = signer.token("a", &claims(&json!([{ "verb": "produce", "topic": "a" }])));
    let bad = Signer::new_ec().token("a", &claims(&json!([])));
    produce(&gateway, "a", &good).await.is(201);
    produce(&gateway, "a", &bad).await.problem(401, "unauthorized");
    for token in [&good, &bad] {
        gateway.get(&format!("/v1/topics?x={token}")).send().await.refusal(400);
    }
    gateway.stop().await;
    let log = gateway.stderr();
    assert!(log.contains("its signature is wrong"), "the reason is there:\n{log}");
    for token in [good, bad] {
        for part in token.split('.').skip(1) {
            assert!(!log.contains(part), "a part of a token:\n{log}");
        }
    }
}
