//! `/metrics`: what is done is counted, in a text that scrapers read, with labels that no caller can multiply.

use std::collections::HashMap;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::wait::eventually;

on_each_backend!(
    what_is_done_is_counted,
    the_lag_of_a_group_is_told_in_records_and_seconds,
    streams_and_connections_are_counted_while_they_are_open,
);
on_sqlite!("the text does not depend on the database": both_formats_are_told, labels_stay_few,
    lag_beyond_the_cap_is_left_out);

/// All samples, by name and labels as written.
struct Scrape(HashMap<String, f64>);

impl Scrape {
    async fn of(gateway: &Client) -> Self {
        let answer = gateway.get("/metrics").send().await.is(200);
        let samples = answer.text().lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        });
        Self(samples.collect())
    }

    fn get(&self, name: &str) -> f64 {
        self.find(name).unwrap_or_else(|| panic!("{name} is not told"))
    }

    fn find(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// How many series a metric has.
    fn series(&self, metric: &str) -> usize {
        self.0.keys().filter(|name| name.split('{').next() == Some(metric)).count()
    }
}

async fn what_is_done_is_counted(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let before = Scrape::of(&gateway).await;
    let topic = gateway.topic("clicks", 1).await;
    topic.count(0, 0..10).await;
    topic.read("").await;
    gateway.get("/v1/topics/nobody").send().await.problem(404, "unknown_topic");

    let after = Scrape::of(&gateway).await;
    let risen = |name: &str| after.get(name) - before.find(name).unwrap_or(0.0);
    assert_eq!(risen("tidegate_produce_records_total"), 10.0);
    assert!(risen("tidegate_produce_bytes_total") > 10.0);
    assert_eq!(risen("tidegate_flush_records_sum"), 10.0);
    assert_eq!(risen("tidegate_flush_writes_count"), 1.0);
    for duration in
        ["tidegate_commit_duration_seconds", "tidegate_flush_duration_seconds", "tidegate_produce_duration_seconds"]
    {
        assert_eq!(risen(&format!("{duration}_count")), 1.0, "{duration}");
        assert_eq!(risen(&format!("{duration}_bucket{{le=\"+Inf\"}}")), 1.0, "{duration}");
        assert!(risen(&format!("{duration}_sum")) > 0.0, "{duration}");
    }
    let sources =
        ["tail", "cache", "table"].map(|source| format!("tidegate_read_records_total{{source=\"{source}\"}}"));
    assert_eq!(sources.iter().map(|source| risen(source)).sum::<f64>(), 10.0);
    assert_eq!(risen(r#"tidegate_http_refusals_total{code="unknown_topic"}"#), 1.0);
    let requests = |route: &str, method: &str, status: &str| {
        risen(&format!("tidegate_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}"))
    };
    assert_eq!(requests("/v1/topics/{topic}/records", "POST", "2xx"), 1.0);
    assert_eq!(requests("/v1/topics/{topic}/records", "GET", "2xx"), 1.0);
    assert_eq!(requests("/v1/topics/{topic}", "PUT", "2xx"), 1.0);
    assert_eq!(requests("/v1/topics/{topic}", "GET", "4xx"), 1.0);
    assert_eq!(after.get("tidegate_append_queue_writes"), 0.0);
    assert!(after.get("tidegate_append_queue_max_bytes") > 0.0);
    assert_eq!(after.get("tidegate_database_up"), 1.0);
    let connections = |state: &str| after.get(&format!("tidegate_database_connections{{state=\"{state}\"}}"));
    assert!(connections("busy") + connections("idle") <= after.get("tidegate_database_connections_max"));
}

async fn the_lag_of_a_group_is_told_in_records_and_seconds(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("clicks", 1).await;
    let long_ago = json!([{ "value": 0, "timestamp": 1_700_000_000_000_u64 }, { "value": 1 }, { "value": 2 }]);
    topic.produce(&long_ago).await;
    let mut member = Member::new(&gateway, "readers", "one", json!({ "topics": ["clicks"] }));
    member.begin().await;

    let labels = r#"{group="readers",topic="clicks",partition="0"}"#;
    let lag = async |records: f64| {
        eventually("the lag is told", async || {
            let scrape = Scrape::of(&gateway).await;
            let found = scrape.find(&format!("tidegate_group_lag_records{labels}"));
            (found == Some(records)).then(|| scrape.get(&format!("tidegate_group_lag_seconds{labels}")))
        })
        .await
    };
    assert!(lag(3.0).await > 86_400.0, "the oldest record is years old");
    // Everything that was returned is committed.
    member.poll().await;
    assert_eq!(lag(0.0).await, 0.0);
}

async fn streams_and_connections_are_counted_while_they_are_open(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("clicks", 1).await;
    let sse = r#"tidegate_streams_open{kind="sse"}"#;
    assert_eq!(Scrape::of(&gateway).await.get(sse), 0.0);
    let other = gateway.another();
    let mut stream = other.get(&topic.path("/records")).events().await;
    stream.block().await.expect("it opens");
    let open = Scrape::of(&gateway).await;
    assert_eq!(open.get(sse), 1.0);
    assert!(open.get("tidegate_http_connections") >= 2.0);
    assert!(open.get("tidegate_http_connections") <= open.get("tidegate_http_connections_max"));
    drop((stream, other));
    eventually("the stream is closed", async || (Scrape::of(&gateway).await.get(sse) == 0.0).then_some(())).await;
}

async fn both_formats_are_told(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let plain = gateway.get("/metrics").header("accept", "text/plain").send().await.is(200);
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(
        plain.text().contains("# TYPE tidegate_produce_records_total counter\n") && !plain.text().contains("# EOF")
    );
    // As Prometheus asks.
    let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    let open = gateway.get("/metrics").header("accept", accept).send().await.is(200);
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.text().contains("# TYPE tidegate_produce_records counter\n") && open.text().ends_with("\n# EOF\n"));
    gateway.get("/metrics?name=x").send().await.problem(400, "unknown_parameter");
    gateway.post("/metrics").send().await.problem(405, "method_not_allowed");
}

async fn labels_stay_few(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for n in 0..50 {
        gateway.get(&format!("/v1/topics/topic-{n}")).send().await.is(404);
        gateway.get(&format!("/nothing/at/{n}")).send().await.is(404);
        gateway.request(&format!("METHOD{n}"), "/v1/topics/a").send().await.is(405);
    }
    let scrape = Scrape::of(&gateway).await;
    assert_eq!(
        scrape.get(r#"tidegate_http_requests_total{route="/v1/topics/{topic}",method="GET",status="4xx"}"#),
        50.0
    );
    assert_eq!(scrape.get(r#"tidegate_http_requests_total{route="other",method="GET",status="4xx"}"#), 50.0);
    assert_eq!(
        scrape.get(r#"tidegate_http_requests_total{route="/v1/topics/{topic}",method="other",status="4xx"}"#),
        50.0
    );
    assert!(scrape.series("tidegate_http_requests_total") <= 4);
    assert!(!scrape.0.keys().any(|name| name.contains("topic-1") || name.contains("METHOD")));
}

async fn lag_beyond_the_cap_is_left_out(backend: Backend) {
    let gateway = Gateway::with(backend, &["--metrics-lag-partitions", "3"]).await;
    gateway.topic("wide", 5).await;
    for group in ["first", "second", "third"] {
        Member::new(&gateway, group, "one", json!({ "topics": ["wide"] })).begin().await;
    }
    let scrape = eventually("two groups are left out", async || {
        let scrape = Scrape::of(&gateway).await;
        (scrape.get("tidegate_group_lag_left_out_groups") == 2.0).then_some(scrape)
    })
    .await;
    assert_eq!(scrape.series("tidegate_group_lag_records"), 3);
    assert_eq!(scrape.series("tidegate_group_lag_seconds"), 3);
    assert_eq!(scrape.get("tidegate_group_lag_left_out_partitions"), 2.0);
}
