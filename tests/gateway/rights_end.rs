//! What is open ends with the rights of its caller: streams of all kinds, waits, dumps; on every node.

use bytes::Bytes;
use reqwest::Body;
use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;

use crate::harness::Backend;
use crate::harness::access::ADMIN_KEY;
use crate::harness::access::Guarded;
use crate::harness::access::create_key;
use crate::harness::access::now;
use crate::harness::access::permission;
use crate::harness::access::text;
use crate::harness::client::Client;
use crate::harness::client::assert_problem;
use crate::harness::gateway::Gateway;
use crate::harness::lines::Lines;
use crate::harness::on_backend;
use crate::harness::on_each_backend;
use crate::harness::sse::EventStream;
use crate::harness::wait::eventually;

on_each_backend!(
    all_that_is_open_ends_when_its_key_is_deleted,
    a_stream_ends_when_its_key_expires,
    anonymous_streams_end_with_the_first_key,
    who_keeps_their_rights_is_not_disturbed,
);

on_backend!(two_nodes, Postgres, another_node_ends_what_is_open_as_well, a_key_made_on_one_node_is_good_on_the_other);

/// Everything that can be open, by one caller.
struct Open {
    events: EventStream,
    of_key: EventStream,
    lines: Lines,
    member: EventStream,
    receipts: Lines,
    _sender: mpsc::UnboundedSender<Bytes>,
}

impl Open {
    async fn by(client: &Client) -> Self {
        let mut events = client.get("/v1/topics/pub-a/records").events().await;
        events.record().await;
        let mut of_key = client.get("/v1/topics/pub-a/records?key=k").events().await;
        of_key.record().await;
        let mut lines = client.get("/v1/topics/pub-a/records?format=ndjson&follow=true").lines().await;
        lines.record().await;
        let mut member = client.get("/v1/groups/g/records?topic=pub-a").events().await;
        assert_eq!(member.event().await.event.as_deref(), Some("assignment"));
        member.record().await;
        let (sender, mut sent) = mpsc::unbounded_channel::<Bytes>();
        let body = futures_util::stream::poll_fn(move |cx| sent.poll_recv(cx).map(|piece| piece.map(Ok::<_, String>)));
        sender.send(Bytes::from_static(b"{\"value\":1}\n")).expect("the request reads");
        let mut receipts = client.post("/v1/topics/pub-b/records").ndjson(Body::wrap_stream(body)).lines().await;
        receipts.next().await.expect("a receipt");
        Self { events, of_key, lines, member, receipts, _sender: sender }
    }

    /// Each says why it ends, and ends.
    async fn end(mut self) {
        for stream in [&mut self.events, &mut self.of_key, &mut self.member] {
            let problem = loop {
                let event = stream.event().await;
                match event.event.as_deref() {
                    Some("problem") => break event.json(),
                    Some("assignment") => {}
                    _ => panic!("a record after the rights ended: {event:?}"),
                }
            };
            assert_problem(&problem);
            assert_eq!(problem["code"], "unauthorized");
            assert_eq!(stream.try_event().await, None);
        }
        for (lines, records) in [(&mut self.lines, None), (&mut self.receipts, Some(1))] {
            let last = loop {
                let line = lines.next().await.expect("a last line");
                if !line.is_empty() {
                    break serde_json::from_str::<Value>(&line).expect("a line is JSON");
                }
            };
            assert_problem(&last["problem"]);
            assert_eq!(last["problem"]["code"], "unauthorized");
            assert_eq!(last["records"].as_u64(), records, "what was acknowledged stands");
            assert_eq!(lines.next().await, None);
        }
    }
}

async fn fill(client: &Client) {
    client.post("/v1/topics/pub-a/values?key=k").body("x").send().await.is(201);
}

const RIGHTS: &[&str] = &["consume:pub-*:g", "produce:pub-b"];

async fn all_that_is_open_ends_when_its_key_is_deleted(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    fill(&gateway).await;
    let key = create_key(&gateway, RIGHTS).await.json();
    let client = gateway.nobody().with_key(text(&key["key"]));
    let open = Open::by(&client).await;
    let page = client.get("/v1/topics/pub-a/records").send().await.is(200);
    let cursor = page.header("tidegate-cursor").expect("a cursor").to_owned();
    let waits = async {
        let path = format!("/v1/topics/pub-a/records?cursor={cursor}&wait_ms=55000");
        let poll = json!({"topics": ["pub-b"], "wait_ms": 55_000, "lease_ms": 120_000, "from": "latest"});
        let poll = client.another().post("/v1/groups/g/members/waits/poll").json(&poll);
        let lines = client.another().get(&format!("{path}&format=ndjson"));
        let (page, poll, dump) = tokio::join!(client.get(&path).send(), poll.send(), lines.send());
        for answer in [page, poll, dump] {
            answer.problem(401, "unauthorized");
        }
    };
    let end = async {
        // The waits have begun once the member is in.
        eventually("the member waits", async || {
            let group = gateway.get("/v1/groups/g").send().await.is(200).json();
            group["members"].as_array().filter(|members| members.len() == 2).map(drop)
        })
        .await;
        gateway.delete(&format!("/v1/keys/{}", text(&key["id"]))).send().await.is(204);
    };
    tokio::join!(waits, end);
    open.end().await;
}

async fn a_stream_ends_when_its_key_expires(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    fill(&gateway).await;
    let end = now() + 15_000;
    let body = json!({"name": "a", "permissions": RIGHTS.iter().map(|text| permission(text)).collect::<Vec<_>>(),
        "expires_at": end});
    let key = gateway.post("/v1/keys").json(&body).send().await.is(201).json();
    Open::by(&gateway.nobody().with_key(text(&key["key"]))).await.end().await;
    assert!(now() >= end);
}

async fn anonymous_streams_end_with_the_first_key(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    fill(&gateway).await;
    let open = Open::by(&gateway).await;
    create_key(&gateway, &["admin:*"]).await;
    open.end().await;
}

async fn who_keeps_their_rights_is_not_disturbed(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    fill(&gateway).await;
    let (stays, goes) = (gateway.client(RIGHTS).await, create_key(&gateway, RIGHTS).await.json());
    let mut stream = stays.get("/v1/topics/pub-a/records").events().await;
    stream.record().await;
    let mut gone = gateway.nobody().with_key(text(&goes["key"])).get("/v1/topics/pub-a/records").events().await;
    gone.record().await;
    gateway.delete(&format!("/v1/keys/{}", text(&goes["id"]))).send().await.is(204);
    assert_eq!(gone.event().await.event.as_deref(), Some("problem"));
    fill(&gateway).await;
    assert_eq!(stream.record().await.offset, 1, "the same feed goes on");
}

async fn another_node_ends_what_is_open_as_well(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let other = gateway.second_node().await;
    fill(&gateway).await;
    let anonymous = Open::by(&other).await;
    let root = gateway.with_key(text(&create_key(&gateway, &["admin:*:*"]).await.json()["key"]));
    anonymous.end().await;
    let key = create_key(&root, RIGHTS).await.json();
    let client = other.with_key(text(&key["key"]));
    client.get("/v1/whoami").send().await.is(200); // whom a node does not know it asks the database about
    let open = Open::by(&client).await;
    root.delete(&format!("/v1/keys/{}", text(&key["id"]))).send().await.is(204);
    open.end().await;
    client.get("/v1/whoami").send().await.problem(401, "unauthorized");
}

async fn a_key_made_on_one_node_is_good_on_the_other(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let other = gateway.gateway.second_node().await;
    let key = create_key(&gateway, &["consume:a"]).await.json();
    let client = other.with_key(text(&key["key"]));
    client.get("/v1/whoami").send().await.is(200); // whom a node does not know it asks the database about
    let ticket = client.post("/v1/tickets").json(&json!({"topic": "a"})).send().await.is(201).json();
    let path = format!("/v1/topics/a/records?wait_for_topic=true&ticket={}", text(&ticket["ticket"]));
    gateway.nobody().get(&path).send().await.is(200);
    let root = other.with_key(ADMIN_KEY);
    root.get(&format!("/v1/keys/{}", text(&key["id"]))).send().await.is(200);
}
