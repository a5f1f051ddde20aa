//! `tidegate consume` without a group: what it selects, how it prints, and how it goes on.

use std::io::BufRead;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::relay::Relay;
use crate::harness::terminal::Running;
use crate::harness::terminal::run;

on_each_backend!(
    partitions_and_keys_are_selected,
    a_value_is_printed_as_json_or_as_text,
    connections_that_break_lose_nothing_and_repeat_nothing,
    a_reader_that_closes_the_pipe_ends_it_quietly,
);

async fn partitions_and_keys_are_selected(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    for partition in 0..3 {
        topic.count(partition, u64::from(partition) * 10..u64::from(partition) * 10 + 3).await;
    }
    topic.produce(&json!([{ "key": "ann", "value": "a" }, { "key": "bob &", "value": "b" }])).await;
    let values = async |flags: &str| {
        let line = format!("consume orders --format values {flags}");
        let mut lines: Vec<_> = run(gateway.address(), &line).await.printed().lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(values("--record-key ann").await, ["\"a\""]);
    assert_eq!(values("--record-key nobody").await, [""; 0]);
    let all = values("").await;
    assert_eq!(all.len(), 11);
    let mut parts = values("--partition 2 --partition 0").await;
    parts.extend(values("--partition 1").await);
    parts.sort_unstable();
    assert_eq!(parts, all);
    assert_eq!(values("--max-records 2 --from -2").await.len(), 2);
}

async fn a_value_is_printed_as_json_or_as_text(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let records = json!([{ "value": "say \"hi\"" }, { "value": [1] }, { "value_base64": "aGk=" }, { "value": null }]);
    topic.produce(&records).await;
    let printed = async |format: &str| {
        run(gateway.address(), &format!("consume orders --format {format}")).await.printed().to_owned()
    };
    assert_eq!(printed("values").await, "\"say \\\"hi\\\"\"\n[1]\n\"aGk=\"\nnull\n");
    assert_eq!(printed("text").await, "say \"hi\"\n[1]\nhi\nnull\n");
    assert_eq!(printed("json").await.lines().count(), 4);
}

async fn connections_that_break_lose_nothing_and_repeat_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..2000).await;
    let relay = Relay::start(&gateway).await;
    // A page of 500 is larger than one cut and smaller than the next: some break before the head, some behind it.
    relay.cut_after(20_000);
    let mut reader = Running::start(relay.address(), "consume orders --follow --format values");
    reader.says("trying again").await;
    relay.cut_after(70_000);
    let lines = reader.printed(2000).await;
    assert_eq!(lines, (0..2000).map(|n: u64| n.to_string()).collect::<Vec<_>>());
    assert!(relay.cuts() >= 2, "{} cuts", relay.cuts());
    topic.count(0, 2000..2010).await;
    let lines = reader.printed(2010).await;
    assert_eq!(lines[2000..], (2000..2010).map(|n: u64| n.to_string()).collect::<Vec<_>>());
    reader.terminate();
    assert!(reader.ended().await.success());
    assert_eq!(reader.lines().len(), 2010, "none came twice");
}

async fn a_reader_that_closes_the_pipe_ends_it_quietly(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..3).await;
    let (mut reader, mut stdout) = Running::start_unread(gateway.address(), "consume orders --follow");
    stdout.read_line(&mut String::new()).expect("a line comes");
    drop(stdout);
    assert!(reader.ended().await.success());
    assert_eq!(reader.remarks(), "");
}
