//! Bodies that are held open: nobody sends one who may not, none is larger than its call can need, and no caller takes
//! the memory that others need.

use std::io::Read;

use flate2::Compression;
use flate2::read::GzEncoder;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::access::Guarded;
use crate::harness::access::create_key;
use crate::harness::access::text;
use crate::harness::client::Call;
use crate::harness::gateway::Gateway;
use crate::harness::on_sqlite;
use crate::harness::raw::Connection;
use crate::harness::raw::problem;

on_sqlite!("bodies are read before anything that has to do with the database":
    who_may_write_to_no_topic_sends_no_body,
    bodies_without_records_are_small,
    a_caller_who_holds_bodies_open_stops_nobody_else,
    an_address_that_holds_bodies_open_stops_no_other,
);

const MIB: usize = 1 << 20;

/// Room for eight of the largest requests, of which one caller may hold half.
const ROOM: &[&str] = &["--request-bytes-max", "4194304", "--bodies-bytes-max", "33554432"];
/// Requests that are held open at once: more than would take all the room.
const HELD: usize = 16;
/// Of those, as many as one caller's share has room for.
const OF_SHARE: usize = 4;

async fn who_may_write_to_no_topic_sends_no_body(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    for permissions in [&["consume:*:*"][..], &["admin::g"]] {
        let key = create_key(&gateway, permissions).await.json();
        let mut connection = Connection::open(gateway.address()).await;
        let head = format!(
            "POST /v1/records HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: 16000000\r\n\r\n{{",
            gateway.address(),
            text(&key["key"])
        );
        connection.send(head).await;
        let head = connection.head().await;
        let problem = problem(&connection.body(&head).await);
        assert_eq!((head.status, &problem["code"]), (403, &json!("forbidden")), "{problem}");
        assert_eq!(problem["outcome"], "not_written");
    }
}

async fn bodies_without_records_are_small(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    gateway.put("/v1/topics/orders").send().await.is(201);
    for (method, path, limit) in [
        ("PUT", "/v1/topics/orders", 64 << 10),
        ("PATCH", "/v1/topics/orders", 64 << 10),
        ("POST", "/v1/keys", 64 << 10),
        ("POST", "/v1/tickets", 64 << 10),
        ("POST", "/v1/groups/g/members/m/heartbeat", 64 << 10),
        ("POST", "/v1/groups/g/members/m/poll", 4 * MIB),
        ("POST", "/v1/groups/g/members/m/offsets", 4 * MIB),
        ("POST", "/v1/groups/g/members", 4 * MIB),
        ("PUT", "/v1/groups/g/offsets", 4 * MIB),
    ] {
        let send = async |length: usize| {
            let body = format!("{{{}", " ".repeat(length - 1));
            gateway.request(method, path).raw_json(body).send().await
        };
        send(limit).await.refused_write(400, "malformed_json");
        let problem = send(limit + 1).await.refused_write(413, "request_too_large");
        assert_eq!(problem["limit"], limit, "{method} {path}");
        let mut packed = Vec::new();
        let blanks = " ".repeat(limit + 1);
        GzEncoder::new(blanks.as_bytes(), Compression::best()).read_to_end(&mut packed).expect("a slice is read");
        let call = gateway.request(method, path).header("content-encoding", "gzip").raw_json(packed);
        assert_eq!(call.send().await.refused_write(413, "request_too_large")["limit"], limit, "{method} {path}");
    }
}

/// Opens requests of nearly the largest size that never end, and waits until all that are not let go on are refused.
async fn hold_open(gateway: &Gateway, who: &str) -> Vec<Connection> {
    let body = " ".repeat(4 * MIB - 1_000);
    let begin = async || {
        let mut connection = Connection::open(gateway.address()).await;
        let head = format!(
            "POST /v1/topics/orders/records HTTP/1.1\r\nHost: {}\r\n{who}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            gateway.address(),
            4 * MIB
        );
        connection.send(head).await;
        // One that is refused may be gone before all is sent.
        connection.try_send(&body).await.ok();
        connection
    };
    let mut held = Vec::new();
    for _ in 0..HELD {
        held.push(begin().await);
    }
    let mut answers: FuturesUnordered<_> = held.iter_mut().map(Connection::head_or_end).collect();
    for _ in OF_SHARE..HELD {
        let answer = answers.next().await.expect("so many are refused");
        if !answer.is_empty() {
            assert!(
                answer.starts_with("HTTP/1.1 429") && answer.to_lowercase().contains("\r\nretry-after: "),
                "{answer}"
            );
        }
    }
    drop(answers);
    held
}

/// Sends a body that comes in many pieces.
fn large(call: Call) -> Call {
    call.raw_json(json!({ "records": [{ "value": 1 }], }).to_string() + &" ".repeat(3 * MIB))
}

async fn a_caller_who_holds_bodies_open_stops_nobody_else(backend: Backend) {
    let gateway = Guarded::with(backend, ROOM).await;
    gateway.put("/v1/topics/orders").send().await.is(201);
    let key = create_key(&gateway, &["produce:orders"]).await.json();
    let held = hold_open(&gateway.gateway, &format!("Authorization: Bearer {}", text(&key["key"]))).await;
    for _ in 0..5 {
        large(gateway.post("/v1/topics/orders/records")).send().await.is(200);
    }
    let same = gateway.gateway.with_key(text(&key["key"]));
    let problem = large(same.post("/v1/topics/orders/records")).send().await.refused_write(429, "rate_limited");
    assert_eq!(problem["limit"], 8 * MIB, "{problem}");
    same.post("/v1/topics/orders/values").raw_json("1").send().await.is(201); // takes no room
    drop(held);
}

async fn an_address_that_holds_bodies_open_stops_no_other(backend: Backend) {
    let gateway = Gateway::with(backend, &[ROOM, &["--trusted-proxy", "127.0.0.0/8"]].concat()).await;
    let held = hold_open(&gateway, "X-Forwarded-For: 203.0.113.1").await;
    for (from, status) in [("203.0.113.1", 429), ("203.0.113.2", 200), ("2001:db8::1", 200)] {
        let call = gateway.post("/v1/topics/orders/records").header("x-forwarded-for", from);
        large(call).send().await.is(status);
    }
    drop(held);
}
