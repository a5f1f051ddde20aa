//! Traces: a request is a span of its caller's trace, and what it is spent on are spans below it.

use std::collections::HashSet;

use futures_util::future::join_all;
use tokio::net::TcpListener;

use crate::harness::Backend;
use crate::harness::collector::Collector;
use crate::harness::collector::of;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::wait::eventually;

on_each_backend!(a_produce_is_a_request_with_a_flush_and_a_commit_below_it);
on_sqlite!("what is traced is decided in the front": who_calls_decides_whether_it_is_traced,
    every_traced_request_is_linked_from_the_flush_that_carries_it, what_is_left_is_sent_at_the_end,
    a_collector_that_does_not_answer_is_waited_for_by_nobody, a_refused_request_says_why);

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

async fn traced(backend: Backend, collector: &Collector, flags: &[&str]) -> Gateway {
    let endpoint = collector.endpoint();
    Gateway::with(backend, &[&["--otlp-endpoint", &endpoint], flags].concat()).await
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

async fn a_produce_is_a_request_with_a_flush_and_a_commit_below_it(backend: Backend) {
    let collector = Collector::start().await;
    let gateway = traced(backend, &collector, &["--otel-service-name", "events"]).await;
    gateway.topic("clicks", 1).await;
    let call = gateway.post("/v1/topics/clicks/values").header("traceparent", &traceparent("01"));
    call.header("x-request-id", "the-produce").raw_json("1").send().await.is(201);

    let request = collector.request("the-produce").await;
    assert_eq!((request.text("traceId"), request.parent()), (TRACE, Some(CALLER)));
    assert_eq!(request.text("name"), "POST /v1/topics/{topic}/values");
    assert_eq!(request.json["kind"], 2, "a server's");
    assert_eq!(request.attribute("http.route"), Some("/v1/topics/{topic}/values"));
    assert_eq!(request.attribute("http.response.status_code"), Some("201"));
    assert_eq!(request.attribute("client.address"), Some("127.0.0.1"));
    assert_eq!(of(&request.resource["attributes"], "service.name"), Some("events"));
    let (began, ended) = request.times();
    assert!(began < ended);

    let below = |name: &'static str, parent: String| {
        let collector = &collector;
        async move { collector.span(name, |span| span.text("name") == name && span.parent() == Some(&parent)).await }
    };
    let flush = below("flush", request.text("spanId").to_owned()).await;
    assert_eq!((flush.text("traceId"), flush.links()), (TRACE, vec![request.text("spanId")]));
    assert_eq!(flush.attribute("tidegate.flush.records"), Some("1"));
    let commit = below("commit", flush.text("spanId").to_owned()).await;
    assert_eq!((commit.text("traceId"), commit.json["kind"].as_u64()), (TRACE, Some(3)));
    let (flush, commit) = (flush.times(), commit.times());
    assert!(began <= flush.0 && flush.0 <= commit.0 && commit.0 < commit.1 && commit.1 <= flush.1);
    let ids: HashSet<String> = collector.spans().iter().map(|span| span.text("spanId").to_owned()).collect();
    assert_eq!(ids.len(), collector.spans().len(), "no id twice");
}

async fn who_calls_decides_whether_it_is_traced(backend: Backend) {
    let collector = Collector::start().await;
    let gateway = traced(backend, &collector, &["--trace-ratio", "0"]).await;
    let ask = async |id: &str, traceparent: Option<String>| {
        let call = gateway.get("/v1").header("x-request-id", id);
        let call = if let Some(given) = &traceparent { call.header("traceparent", given) } else { call };
        call.send().await.is(200);
    };
    ask("says-nothing", None).await;
    ask("says-no", Some(traceparent("00"))).await;
    ask("says-nonsense", Some("00-nonsense".to_owned())).await;
    ask("says-yes", Some(traceparent("01"))).await;
    // Spans are sent in the order in which they end.
    assert_eq!(collector.request("says-yes").await.text("traceId"), TRACE);
    assert_eq!(collector.spans().len(), 1, "{:?}", collector.spans());

    let collector = Collector::start().await;
    let gateway = traced(backend, &collector, &[]).await;
    gateway.get("/v1").header("x-request-id", "says-no").header("traceparent", &traceparent("00")).send().await;
    gateway.get("/v1").header("x-request-id", "says-nothing").send().await;
    let begun = collector.request("says-nothing").await;
    assert!(begun.parent().is_none() && begun.text("traceId") != TRACE);
    assert_eq!(collector.spans().len(), 1, "{:?}", collector.spans());
}

async fn every_traced_request_is_linked_from_the_flush_that_carries_it(backend: Backend) {
    let collector = Collector::start().await;
    let gateway = traced(backend, &collector, &[]).await;
    gateway.topic("clicks", 1).await;
    let produce = |n: usize| {
        let call = gateway.post("/v1/topics/clicks/values").header("x-request-id", &format!("produce-{n}"));
        async move { call.raw_json("1").send().await.is(201) }
    };
    join_all((0..20).map(produce)).await;
    for n in 0..20 {
        let request = collector.request(&format!("produce-{n}")).await;
        let id = request.text("spanId");
        let flush =
            collector.span("its flush", |span| span.text("name") == "flush" && span.links().contains(&id)).await;
        assert!(flush.links().contains(&flush.parent().expect("a flush is a part of a request")));
    }
}

async fn what_is_left_is_sent_at_the_end(backend: Backend) {
    let collector = Collector::start().await;
    let mut gateway = traced(backend, &collector, &[]).await;
    gateway.get("/v1").header("x-request-id", "the-last").send().await.is(200);
    gateway.stop().await;
    let found = collector.spans().iter().any(|span| span.attribute("tidegate.request_id") == Some("the-last"));
    assert!(found, "{:?}", collector.spans());
}

async fn a_collector_that_does_not_answer_is_waited_for_by_nobody(backend: Backend) {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    let mut gateway = Gateway::with(backend, &["--otlp-endpoint", &endpoint]).await;
    let topic = gateway.topic("clicks", 1).await;
    let given_up_beyond = async |count: u64| {
        eventually("spans are given up", async || {
            topic.value("1").await;
            let metrics = gateway.get("/metrics").send().await.is(200).text().to_owned();
            let name = "tidegate_trace_spans_total{fate=\"failed\"} ";
            let now = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("it is told");
            now.parse::<u64>().ok().filter(|now| *now > count)
        })
        .await
    };
    let once = given_up_beyond(0).await;
    given_up_beyond(once).await;
    let told = gateway.stderr().lines().filter(|line| line.contains("spans cannot be sent")).count();
    assert_eq!(told, 1, "what goes on failing is told once:\n{}", gateway.stderr());
    gateway.stop().await;
}

async fn a_refused_request_says_why(backend: Backend) {
    let collector = Collector::start().await;
    let gateway = traced(backend, &collector, &[]).await;
    gateway.get("/v1/topics/nobody?cursor=planted").header("x-request-id", "refused").send().await.refusal(400);
    let span = collector.request("refused").await;
    assert_eq!(span.attribute("http.route"), Some("/v1/topics/{topic}"));
    assert_eq!(span.attribute("error.type"), Some("unknown_parameter"));
    assert!(span.json["status"]["code"].is_null(), "it is not ours: {}", span.json);
    assert!(!span.json.to_string().contains("planted") && !span.json.to_string().contains("nobody"));
}
