//! Streams that nobody wrote for the occasion: the machine's package list and its package log.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::record::Receipt;
use crate::harness::record::Record;
use crate::harness::topic::Topic;

on_each_backend!(the_package_list_comes_back_byte_for_byte, the_package_log_reaches_a_reader_that_is_cut_ten_times,);

/// One NDJSON record a package, keyed by its section.
const PACKAGE: &str = concat!(
    r#"{"key":"${Section}","value":{"package":"${Package}","version":"${Version}","#,
    r#""architecture":"${Architecture}","installed_size":"${Installed-Size}"}}"#,
    r"\n"
);

/// How many lines of the log are followed: enough to be cut ten times, few enough for a commit each.
const LOG_LINES: usize = 500;

/// The packages of this machine, or made-up ones where it has no `dpkg`.
fn packages() -> String {
    let listed = Command::new("dpkg-query").args(["-W", "-f", PACKAGE]).output().ok();
    let listed =
        listed.filter(|output| output.status.success()).and_then(|output| String::from_utf8(output.stdout).ok());
    listed.filter(|list| list.lines().count() > 20).unwrap_or_else(|| {
        let mut list = String::new();
        for n in 0..400 {
            let section = ["libs", "admin", "utils", "python", "net", "", "non-free/doc"][n % 7];
            writeln!(
                list,
                r#"{{"key":"{section}","value":{{"package":"lib{n}","version":"1.{n}-{}+b1","architecture":"amd64","installed_size":"{}"}}}}"#,
                n % 9,
                n * 37
            )
            .expect("a string takes everything");
        }
        list
    })
}

/// The log of the machine's package manager, or one like it.
fn package_log() -> Vec<String> {
    let log = fs::read("/var/log/dpkg.log").ok().and_then(|log| String::from_utf8(log).ok());
    let log = log.filter(|log| log.lines().count() >= LOG_LINES).unwrap_or_else(|| {
        let mut log = String::new();
        for n in 0..LOG_LINES {
            let state = ["unpacked", "half-configured", "installed", "triggers-pending"][n % 4];
            let (minute, second) = (n / 60 % 60, n % 60);
            writeln!(log, "2026-01-02 03:{minute:02}:{second:02} status {state} lib{}:amd64 1.{n}-2+deb12u1", n / 4)
                .expect("a string takes everything");
        }
        log
    });
    log.lines().take(LOG_LINES).map(str::to_owned).collect()
}

async fn the_package_list_comes_back_byte_for_byte(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("packages", 4).await;
    let list = packages();
    let lines: Vec<&str> = list.lines().collect();

    let answer = gateway.post(&topic.path("/records")).ndjson(list.clone()).send().await.is(200);
    let mut receipts: Vec<&str> = answer.text().lines().filter(|line| !line.is_empty()).collect();
    let end: Value = serde_json::from_str(receipts.pop().expect("a last line")).expect("JSON");
    assert_eq!(end, json!({ "records": lines.len() }));
    assert_eq!(receipts.len(), lines.len());

    let dump = topic.try_read("format=ndjson").await.is(200);
    let mut read = HashMap::new();
    let mut homes: HashMap<String, u32> = HashMap::new();
    for line in dump.text().lines() {
        let record: Record = serde_json::from_str(line).expect("a line is a record");
        let key = record.key.clone().expect("every package has a section");
        assert_eq!(*homes.entry(key).or_insert(record.partition), record.partition, "a section lies together");
        read.insert((record.partition, record.offset), record);
    }
    assert_eq!(read.len(), lines.len());
    for (receipt, line) in receipts.iter().zip(&lines) {
        let receipt: Receipt = serde_json::from_str(receipt).expect("a receipt");
        let record = &read[&(receipt.partition, receipt.offset)];
        let key = record.key.as_deref().unwrap_or_default();
        let rebuilt = format!(r#"{{"key":{},"value":{}}}"#, Value::from(key), record.value());
        assert_eq!(rebuilt, **line);
    }
}

async fn the_package_log_reaches_a_reader_that_is_cut_ten_times(backend: Backend) {
    const CUTS: usize = 10;
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("dpkg.log", 1).await;
    let lines = package_log();
    let writer = Topic::named(&gateway.client().another(), "dpkg.log");
    let sent = lines.clone();
    let following = tokio::spawn(async move {
        for line in sent {
            let call = writer.client.post(&writer.path("/values")).header("content-type", "text/plain");
            call.body(line).send().await.is(201);
        }
    });

    let mut received = Vec::new();
    let mut stream = topic.events("").await;
    let mut cuts = 0;
    while received.len() < lines.len() {
        received.push(stream.record().await.json().as_str().expect("a line is text").to_owned());
        if cuts < CUTS && received.len() >= (cuts + 1) * lines.len() / (CUTS + 1) {
            // The connection is dropped with whatever is on its way; the id of the last event goes with the next.
            stream = topic.resume("", &stream.last_event_id.clone()).await;
            cuts += 1;
        }
    }
    following.await.expect("every line is answered");
    assert_eq!((cuts, received.join("\n")), (CUTS, lines.join("\n")));
}
