//! The dashboard, the alerting rules and the README's tables, held against what a gateway really tells.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_sqlite;

on_sqlite!("all metrics are told, whatever is below": the_dashboard_asks_for_metrics_that_exist,
    the_alarms_ask_for_metrics_that_exist_and_are_explained, every_metric_is_explained);

const DASHBOARD: &str = include_str!("../../deploy/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../deploy/alerts.yaml");
const README: &str = include_str!("../../README.md");

/// Labels that Prometheus adds by itself.
const OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];

/// What a gateway tells.
struct Told {
    /// Names of metrics, and of their kinds.
    kinds: BTreeMap<String, String>,
    /// Names and values of labels.
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Told {
    /// All there is once every kind of thing has happened.
    async fn by_a_gateway(backend: Backend) -> Self {
        let gateway = Gateway::start(backend).await;
        let topic = gateway.topic("clicks", 1).await;
        topic.count(0, 0..1).await;
        let member = crate::harness::member::Member::new(
            &gateway,
            "readers",
            "one",
            serde_json::json!({ "topics": ["clicks"] }),
        );
        member.clone().begin().await;
        let text = gateway.get("/metrics").send().await.is(200).text().to_owned();
        let mut told = Self { kinds: BTreeMap::new(), labels: BTreeMap::new() };
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
                told.kinds.insert(name.to_owned(), kind.to_owned());
            } else if let Some((_, rest)) = line.split_once('{') {
                for (name, value) in pairs(rest) {
                    told.labels.entry(name).or_default().insert(value);
                }
            }
        }
        assert!(told.kinds.len() > 40 && told.labels.contains_key("group"), "{text}");
        told
    }

    /// Asserts that an expression of PromQL names only what there is; returns the metrics it names.
    fn assert_knows(&self, expression: &str) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        for word in words(expression).filter(|word| word.starts_with("tidegate_") || word.starts_with("process_")) {
            let is_told = self.kinds.contains_key(word);
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            let of_histogram =
                of_histogram.filter(|name| self.kinds.get(*name).is_some_and(|kind| kind == "histogram"));
            assert!(is_told || of_histogram.is_some(), "`{word}` is no metric: {expression}");
            assert!(!is_told || self.kinds[word] != "histogram", "`{word}` has no samples of its own: {expression}");
            named.insert(of_histogram.unwrap_or(word).to_owned());
        }
        assert!(!named.is_empty() || expression.contains("up{"), "no metric: {expression}");
        for matchers in expression.split('{').skip(1).map(|rest| rest.split('}').next().expect("a part")) {
            for (label, value) in matchers.split(',').filter_map(|one| one.split_once('=')) {
                let value = value.trim_matches(['~', '"']);
                let known = self.labels.get(label).is_some_and(|values| values.contains(value));
                assert!(known || OF_PROMETHEUS.contains(&label), "nothing has {label}={value}: {expression}");
            }
        }
        for labels in expression.split("by (").skip(1).map(|rest| rest.split(')').next().expect("a part")) {
            for label in labels.split(',').map(str::trim) {
                let known = self.labels.contains_key(label) || OF_PROMETHEUS.contains(&label);
                assert!(known, "nothing has the label {label}: {expression}");
            }
        }
        named
    }
}

/// Labels and their values, as written in braces.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut parts = text.split('"');
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        pairs.push((name.trim_matches([',', '=']).to_owned(), value.to_owned()));
    }
    pairs
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

async fn the_dashboard_asks_for_metrics_that_exist(backend: Backend) {
    let told = Told::by_a_gateway(backend).await;
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 39));
    let (mut ids, mut places, mut named) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "an id twice: {panel}");
        let place = &panel["gridPos"];
        assert!(places.insert((place["y"].as_u64(), place["x"].as_u64())), "a place twice: {panel}");
        assert!(place["x"].as_u64().zip(place["w"].as_u64()).is_some_and(|(x, w)| x + w <= 24), "{panel}");
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            named.extend(told.assert_knows(target["expr"].as_str().expect("an expression")));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        if let Some(definition) = variable["definition"].as_str() {
            named.extend(told.assert_knows(definition));
        }
    }
    // What the dashboard leaves out, on purpose.
    let unused = [
        "process_start_time_seconds",
        "tidegate_flush_bytes",
        "tidegate_group_flush_steps",
        "tidegate_http_connections_accepted_total",
        "tidegate_http_panics_total",
        "tidegate_segment_cache_files",
        "tidegate_trace_spans_total",
    ];
    let left_out: Vec<&str> = told.kinds.keys().map(String::as_str).filter(|name| !named.contains(*name)).collect();
    assert_eq!(left_out, unused);
}

async fn the_alarms_ask_for_metrics_that_exist_and_are_explained(backend: Backend) {
    let told = Told::by_a_gateway(backend).await;
    let file: Value = serde_saphyr::from_str(ALERTS).expect("the rules are YAML");
    let rules = file["groups"][0]["rules"].as_array().expect("rules");
    assert!(rules.len() > 10);
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        told.assert_knows(rule["expr"].as_str().expect("an expression"));
        let severity = rule["labels"]["severity"].as_str().expect("a severity");
        assert!(["critical", "warning", "info"].contains(&severity), "{name}");
        assert!(rule["annotations"]["summary"].as_str().is_some_and(|text| text.len() > 10), "{name}");
        assert!(README.contains(&format!("| `{name}` |")), "the README does not say what to do about {name}");
    }
    let explained = README.lines().filter(|line| line.starts_with("| `Tidegate")).count();
    assert_eq!(explained, rules.len(), "the README explains the alarms there are");
}

async fn every_metric_is_explained(backend: Backend) {
    let told = Told::by_a_gateway(backend).await;
    let rows: BTreeSet<&str> = README
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split(['`', '{']).next())
        .filter(|name| name.starts_with("tidegate_") || name.starts_with("process_"))
        .collect();
    let names: BTreeSet<&str> = told.kinds.keys().map(String::as_str).collect();
    assert_eq!(rows, names);
}
