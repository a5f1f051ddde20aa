//! The text of the metrics, held against what scrapers expect.

use std::time::Duration;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::exposition::Format;
use crate::telemetry::metrics::labels::Method;
use crate::telemetry::metrics::labels::Route;
use crate::telemetry::metrics::labels::Source;
use crate::telemetry::metrics::labels::StatusClass;
use crate::telemetry::metrics::tables::PartitionValue;

fn lines_of(text: &str, name: &str) -> Vec<String> {
    text.lines().filter(|line| line.contains(name)).map(str::to_owned).collect()
}

#[test]
fn a_counter_is_told_in_both_formats() {
    let metrics = Metrics::default();
    metrics.produce.records.add(7);
    assert_eq!(
        lines_of(&metrics.tell(Format::Prometheus), "produce_records"),
        [
            "# HELP tidegate_produce_records_total Records committed.",
            "# TYPE tidegate_produce_records_total counter",
            "tidegate_produce_records_total 7",
        ]
    );
    let open = metrics.tell(Format::OpenMetrics);
    assert_eq!(
        lines_of(&open, "produce_records"),
        [
            "# HELP tidegate_produce_records Records committed.",
            "# TYPE tidegate_produce_records counter",
            "tidegate_produce_records_total 7",
        ]
    );
    assert!(open.ends_with("\n# EOF\n") && open.contains("# UNIT tidegate_flush_bytes bytes\n"));
}

#[test]
fn a_histogram_counts_upwards_and_sums_in_seconds() {
    let metrics = Metrics::default();
    for us in [100, 101, 2_000_000, 60_000_000] {
        metrics.produce.duration.observe(Duration::from_micros(us));
    }
    let text = metrics.tell(Format::Prometheus);
    let name = "tidegate_produce_duration_seconds";
    for line in [
        r#"_bucket{le="0.0001"} 1"#,
        r#"_bucket{le="0.00025"} 2"#,
        r#"_bucket{le="1.0"} 2"#,
        r#"_bucket{le="2.5"} 3"#,
        r#"_bucket{le="10.0"} 3"#,
        r#"_bucket{le="+Inf"} 4"#,
        "_count 4",
        "_sum 62.000201",
    ] {
        assert!(text.contains(&format!("\n{name}{line}\n")), "{line}: {:?}", lines_of(&text, name));
    }
}

#[test]
fn a_table_tells_all_values_of_its_label_and_a_sparse_one_those_that_were_touched() {
    let metrics = Metrics::new(["overloaded", "draining"]);
    metrics.reads.records.at(Source::Cache).add(2);
    metrics.http.requests.at(Route::of("/v1/topics/a")).at(Method::Put).at(StatusClass::Success).inc();
    metrics.http.refusals.at(1).expect("there are two").inc();
    assert!(metrics.http.refusals.at(2).is_none());
    let text = metrics.tell(Format::Prometheus);
    for line in [
        r#"tidegate_read_records_total{source="tail"} 0"#,
        r#"tidegate_read_records_total{source="cache"} 2"#,
        r#"tidegate_http_refusals_total{code="overloaded"} 0"#,
        r#"tidegate_http_refusals_total{code="draining"} 1"#,
    ] {
        assert!(text.contains(line), "{line}");
    }
    assert_eq!(
        lines_of(&text, "tidegate_http_requests_total{"),
        [r#"tidegate_http_requests_total{route="/v1/topics/{topic}",method="PUT",status="2xx"} 1"#]
    );
}

#[test]
fn what_is_put_in_as_a_whole_is_told_as_a_whole() {
    let metrics = Metrics::default();
    let value = |group: &str| PartitionValue { group: group.into(), topic: "t".into(), partition: 3, value: 1.5 };
    metrics.groups.lag_seconds.set(vec![value("a"), value("b")]);
    metrics.groups.lag_seconds.set(vec![value("quo\"te\\and\nline")]);
    assert_eq!(
        lines_of(&metrics.tell(Format::Prometheus), "tidegate_group_lag_seconds{"),
        [r#"tidegate_group_lag_seconds{group="quo\"te\\and\nline",topic="t",partition="3"} 1.5"#]
    );
}

#[test]
fn every_family_is_well_named_explained_and_told_once() {
    let text = Metrics::default().tell(Format::Prometheus);
    let mut seen = std::collections::HashSet::new();
    let mut kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|line| line.split_once(' '));
    let mut explained = text.lines().filter_map(|line| line.strip_prefix("# HELP ")).map(|line| line.split_once(' '));
    while let (Some(Some((name, kind))), Some(Some((same, help)))) = (kinds.next(), explained.next()) {
        assert!(name == same && seen.insert(name.to_owned()), "{name}");
        assert!(name.starts_with("tidegate_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(!["_ms", "_millis", "_kb", "_count", "_sum"].iter().any(|end| name.ends_with(end)), "{name}");
        assert!(help.ends_with('.') && help.len() > 10, "{name}: {help}");
    }
    assert!(seen.len() > 40, "{seen:?}");
}

#[test]
fn the_kernel_is_asked_about_the_process() {
    let text = Metrics::default().tell(Format::Prometheus);
    let figure = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}"));
        line.split(' ').nth(1).expect("a value").parse().expect("a number")
    };
    assert!(figure("process_resident_memory_bytes") > 1e6);
    assert!(figure("process_open_fds") >= 3.0);
    assert!(figure("process_max_fds") >= figure("process_open_fds"));
    let started = figure("process_start_time_seconds");
    let now = crate::model::time::now() as f64 / 1e3;
    assert!((now - started).abs() < 86_400.0, "started at {started}, now is {now}");
    assert!(figure("process_cpu_seconds_total") >= 0.0);
}
