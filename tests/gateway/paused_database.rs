//! The database says nothing: it is neither gone nor there. Nobody waits for it twice, not even behind others.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::client::Call;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::postgres::Server;
use crate::harness::topic::Topic;
use crate::harness::wait::eventually;

/// The contract says five seconds, and one wait for the database takes nearly as long. This is less than two of them,
/// and leaves a slow machine the rest.
const LESS_THAN_TWO_WAITS: Duration = Duration::from_secs(8);

/// So many make each call at once: they wait in a line where there is one.
const AT_ONCE: usize = 3;

/// How often each of them is to be refused.
const REFUSALS: usize = 3;

/// Makes a call.
type Make = fn(&Client) -> Call;

/// Every kind of call that asks the database, however it gets there.
const CALLS: [(&str, Make); 14] = [
    ("produce", |client| client.post("/v1/topics/orders/values").body("v")),
    ("produce with a key", |client| {
        client
            .post("/v1/topics/orders/records")
            .header("idempotency-key", "k")
            .json(&json!({ "records": [{ "value": 1 }] }))
    }),
    ("produce to a new topic", |client| client.post("/v1/topics/new/values").body("v")),
    ("read", |client| client.get("/v1/topics/orders/records?max_bytes=1000000")),
    ("read from a time", |client| client.get("/v1/topics/orders/records?from=2020-01-01T00:00:00Z")),
    ("wait", |client| client.get("/v1/topics/orders/records?from=latest&wait_ms=1000")),
    ("read one", |client| client.get("/v1/topics/orders/partitions/0/records/0")),
    ("list", |client| client.get("/v1/topics")),
    ("describe", |client| client.get("/v1/topics/orders")),
    ("make a topic", |client| client.put("/v1/topics/other").json(&json!({}))),
    ("poll", |client| client.post("/v1/groups/g/members/m/poll").json(&json!({ "topics": ["orders"] }))),
    ("join", |client| client.post("/v1/groups/g/members").json(&json!({ "topics": ["orders"] }))),
    ("describe a group", |client| client.get("/v1/groups/g")),
    ("be ready", |client| client.get("/readyz")),
];

async fn be_refused(client: Client, name: &'static str, call: Make) {
    for _ in 0..REFUSALS {
        let begun = Instant::now();
        let answer = call(&client).send().await;
        assert!(begun.elapsed() < LESS_THAN_TWO_WAITS, "{name}: {:?}", begun.elapsed());
        if name == "be ready" {
            assert_eq!(answer.status, 503);
        } else if answer.status == 500 {
            assert_eq!(answer.problem(500, "outcome_unknown")["outcome"], "unknown", "{name}");
        } else {
            answer.problem(503, "database_unavailable");
            assert!(answer.header("retry-after").is_some(), "{name}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_twice_for_a_database_that_says_nothing() {
    let mut server = Server::start();
    let other = Gateway::on(server.url()).await;
    other.topic("orders", 1).await.count(0, 0..50).await;
    // What it has not written itself it reads from the table.
    let gateway = Arc::new(Gateway::on(server.url()).await);
    for (name, call) in CALLS {
        let answer = call(&gateway).send().await;
        assert!(answer.status < 300, "{name}: {answer:?}");
    }
    server.pause();
    let calls = CALLS.iter().flat_map(|call| [call; AT_ONCE]);
    let refused = calls.map(|(name, call)| tokio::spawn(be_refused(gateway.client().another(), name, *call)));
    for outcome in join_all(refused).await {
        outcome.expect("every call is refused, and in time");
    }
    server.resume();
    for (name, call) in CALLS {
        eventually(name, async || (call(&gateway).send().await.status < 300).then_some(())).await;
    }
    // Killed, it is another kind of away: whoever asks is told at once.
    server.kill9();
    let refused = CALLS.map(|(name, call)| tokio::spawn(be_refused(gateway.client().another(), name, call)));
    for outcome in join_all(refused).await {
        outcome.expect("every call is refused, and in time");
    }
    server.run();
    for (name, call) in CALLS {
        eventually(name, async || (call(&gateway).send().await.status < 300).then_some(())).await;
    }
    let orders = Topic::named(&gateway.client(), "orders");
    assert!(orders.high_watermark(0).await >= 50, "what was acknowledged is there");
}
