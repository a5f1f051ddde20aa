//! Tickets: what a browser's `EventSource` can show.

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::access::Guarded;
use crate::harness::access::create_key;
use crate::harness::access::now;
use crate::harness::access::text;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::wait::eventually;

on_each_backend!(
    a_ticket_opens_the_streams_of_its_topic_and_nothing_else,
    a_ticket_opens_the_streams_of_its_group_and_nothing_else,
    a_ticket_is_good_again_until_it_ends,
    a_ticket_ends_with_the_key_that_asked_for_it,
);

on_sqlite!("tickets are not kept":
    what_cannot_be_a_ticket_is_refused,
    a_cookie_is_as_good_as_a_ticket_for_our_own_pages,
    a_ticket_does_not_harm_where_nobody_needs_one,
);

async fn ticket(client: &Client, body: Value) -> String {
    let made = client.post("/v1/tickets").json(&body).send().await.is(201).json();
    let ticket = text(&made["ticket"]).to_owned();
    assert!(ticket.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{ticket}");
    ticket
}

async fn guarded(backend: Backend) -> Guarded {
    let gateway = Guarded::start(backend).await;
    for topic in ["pub-a", "pub-b", "sec-a"] {
        gateway.post(&format!("/v1/topics/{topic}/values")).body("x").send().await.is(201);
    }
    gateway
}

async fn a_ticket_opens_the_streams_of_its_topic_and_nothing_else(backend: Backend) {
    let gateway = guarded(backend).await;
    let caller = gateway.client(&["admin:pub-*:g"]).await;
    let ticket = ticket(&caller, json!({"topic": "pub-a"})).await;
    let nobody = gateway.nobody();
    for path in ["/v1/topics/pub-a/records", "/v1/records?topic=pub-a", "/v1/topics/pub-a/partitions/0/records"] {
        let and = if path.contains('?') { '&' } else { '?' };
        let mut events = nobody.get(&format!("{path}{and}ticket={ticket}")).events().await;
        assert_eq!(events.record().await.offset, 0, "{path}");
        nobody.get(path).header("accept", "text/event-stream").send().await.problem(401, "unauthorized");
    }
    for path in [
        "/v1/topics/pub-b/records?",
        "/v1/topics/sec-a/records?",
        "/v1/topics/absent/records?",
        "/v1/records?topic=pub-a&topic=pub-b&",
        "/v1/groups/g/records?topic=pub-a&",
    ] {
        nobody.get(&format!("{path}ticket={ticket}")).send().await.problem(403, "forbidden");
    }
    for (method, path) in [
        ("POST", "/v1/topics/pub-a/values"),
        ("POST", "/v1/topics/pub-a/records"),
        ("DELETE", "/v1/topics/pub-a"),
        ("GET", "/v1/topics/pub-a"),
        ("GET", "/v1/topics/pub-a/partitions/0/records/0"),
        ("GET", "/v1/whoami"),
        ("POST", "/v1/tickets"),
        ("GET", "/v1/keys"),
    ] {
        nobody.request(method, &format!("{path}?ticket={ticket}")).send().await.problem(401, "unauthorized");
        nobody.with_key(&ticket).request(method, path).send().await.problem(401, "unauthorized");
    }
    caller.get(&format!("/v1/whoami?ticket={ticket}")).send().await.problem(400, "unknown_parameter");
}

async fn a_ticket_opens_the_streams_of_its_group_and_nothing_else(backend: Backend) {
    let gateway = guarded(backend).await;
    let caller = gateway.client(&["consume:pub-*:g*"]).await;
    let ticket = ticket(&caller, json!({"group": "g1"})).await;
    let nobody = gateway.nobody();
    let mut events = nobody.get(&format!("/v1/groups/g1/records?topic=pub-a&ticket={ticket}")).events().await;
    assert_eq!(events.event().await.event.as_deref(), Some("assignment"));
    assert_eq!(events.record().await.offset, 0);
    drop(events);
    let member = format!("/v1/groups/g1/members/m/records?topic=pub-b&ticket={ticket}");
    let mut events = nobody.get(&member).events().await;
    assert_eq!(events.event().await.event.as_deref(), Some("assignment"));
    for path in [
        "/v1/groups/g1/records?topic=sec-a&",
        "/v1/groups/g1/records?topic_prefix=p&",
        "/v1/groups/g2/records?topic=pub-a&",
        "/v1/topics/pub-a/records?",
        "/v1/records?topic=pub-a&",
    ] {
        let call = nobody.get(&format!("{path}ticket={ticket}")).header("accept", "text/event-stream");
        call.send().await.problem(403, "forbidden");
    }
    let poll = nobody.post(&format!("/v1/groups/g1/members/m/poll?ticket={ticket}"));
    poll.json(&json!({"topics": ["pub-a"]})).send().await.problem(401, "unauthorized");
}

async fn a_ticket_is_good_again_until_it_ends(backend: Backend) {
    let gateway = guarded(backend).await;
    let body = json!({"topic": "pub-a", "expires_in_ms": 6_000});
    let before = now();
    let made = gateway.post("/v1/tickets").json(&body).send().await.is(201).json();
    let (ticket, expires_at) = (text(&made["ticket"]), made["expires_at"].as_u64().expect("a time"));
    assert!((before + 6_000..=now() + 6_000).contains(&expires_at));
    let path = format!("/v1/topics/pub-a/records?ticket={ticket}");
    let nobody = gateway.nobody();
    for _ in 0..3 {
        nobody.get(&path).events().await.record().await;
    }
    let mut open = nobody.get(&path).events().await;
    open.record().await;
    let last = open.event().await;
    assert_eq!((last.event.as_deref(), &last.json()["code"]), (Some("problem"), &"unauthorized".into()));
    assert_eq!(open.try_event().await, None, "the problem is the last event");
    assert!(now() >= expires_at, "not before its time");
    eventually("the ticket is refused", async || (nobody.get(&path).send().await.status == 401).then_some(())).await;
}

async fn a_ticket_ends_with_the_key_that_asked_for_it(backend: Backend) {
    let gateway = guarded(backend).await;
    let key = create_key(&gateway, &["consume:pub-*"]).await.json();
    let ticket = ticket(&gateway.nobody().with_key(text(&key["key"])), json!({"topic": "pub-a"})).await;
    let path = format!("/v1/topics/pub-a/records?ticket={ticket}");
    let mut open = gateway.nobody().get(&path).events().await;
    open.record().await;
    gateway.delete(&format!("/v1/keys/{}", text(&key["id"]))).send().await.is(204);
    assert_eq!(open.event().await.json()["code"], "unauthorized");
    gateway.nobody().get(&path).send().await.problem(401, "unauthorized");
}

async fn what_cannot_be_a_ticket_is_refused(backend: Backend) {
    let gateway = guarded(backend).await;
    for (body, code) in [
        (json!({}), "missing_parameter"),
        (json!({"topic": "a", "group": "g"}), "invalid_parameter"),
        (json!({"topic": "../x"}), "invalid_name"),
        (json!({"group": "__x"}), "invalid_name"),
        (json!({"topic": "a", "expires_in_ms": 0}), "invalid_parameter"),
        (json!({"topic": "a", "expires_in_ms": "1s"}), "invalid_parameter"),
        (json!({"topic": "a", "verb": "produce"}), "unknown_field"),
    ] {
        gateway.post("/v1/tickets").json(&body).send().await.refused_write(400, code);
    }
    let long = json!({"topic": "a", "expires_in_ms": 10_u64.pow(12)});
    let made = gateway.post("/v1/tickets").json(&long).send().await.is(201).json();
    assert!(made["expires_at"].as_u64().is_some_and(|end| end <= now() + 600_000), "lowered: {made}");
    let good = text(&made["ticket"]);
    let changed = format!("{}{}", &good[..good.len() - 1], if good.ends_with('A') { 'B' } else { 'A' });
    let bad =
        ["".to_owned(), "x".to_owned(), changed, good[..good.len() - 4].to_owned(), format!("{good}&ticket={good}")];
    for bad in bad {
        let answer = gateway.nobody().get(&format!("/v1/topics/a/records?ticket={bad}")).send().await;
        answer.problem(401, "unauthorized");
    }
}

async fn a_cookie_is_as_good_as_a_ticket_for_our_own_pages(backend: Backend) {
    let gateway = guarded(backend).await;
    let body = json!({"topic": "pub-a", "cookie": true, "expires_in_ms": 60_000});
    let made = gateway.post("/v1/tickets").json(&body).send().await.is(201);
    let cookie = made.header("set-cookie").expect("a cookie").to_owned();
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert_eq!(pair, format!("tidegate_ticket={}", text(&made.json()["ticket"])));
    assert_eq!(attributes, "Path=/v1; Max-Age=60; HttpOnly; SameSite=Strict");
    let own = format!("https://{}", gateway.address());
    let secure = gateway.post("/v1/tickets").json(&body).header("origin", &own).send().await.is(201);
    assert!(secure.header("set-cookie").is_some_and(|cookie| cookie.ends_with("; Secure")));
    let stream = |headers: &[(&str, &str)]| {
        let call = gateway.nobody().get("/v1/topics/pub-a/records").header("cookie", &format!("a=b; {pair}"));
        headers.iter().fold(call, |call, (name, value)| call.header(name, value))
    };
    stream(&[("sec-fetch-site", "same-origin")]).events().await.record().await;
    stream(&[]).events().await.record().await;
    stream(&[("sec-fetch-site", "same-site")]).send().await.problem(401, "unauthorized");
    stream(&[("sec-fetch-site", "cross-site")]).send().await.problem(403, "origin_not_allowed");
    stream(&[("origin", "https://evil.com")]).send().await.problem(403, "origin_not_allowed");
    for (method, path, status) in [("GET", "/v1/topics/pub-b/records", 403), ("POST", "/v1/topics/pub-a/values", 401)] {
        let call = gateway.nobody().request(method, path).header("cookie", pair);
        call.send().await.refusal(status);
    }
}

async fn a_ticket_does_not_harm_where_nobody_needs_one(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.post("/v1/topics/a/values").body("x").send().await.is(201);
    let ticket = ticket(&gateway, json!({"topic": "a"})).await;
    let path = format!("/v1/topics/a/records?ticket={ticket}");
    gateway.get(&path).events().await.record().await;
    let page = gateway.get(&path).send().await.is(200);
    assert!(!page.header("link").expect("a link").contains("ticket"), "it is not repeated");
    create_key(&gateway, &["admin:*"]).await;
    gateway.get(&path).send().await.problem(401, "unauthorized");
}
