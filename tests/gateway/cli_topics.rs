//! `tidegate topics`, and what all commands share: completions, help, exit statuses.

use std::net::SocketAddr;

use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::terminal::run;

on_each_backend!(
    topics_are_made_listed_and_described,
    a_topic_is_changed_trimmed_and_deleted,
    a_refused_change_is_status_3_and_changes_nothing,
);

on_sqlite!(
    "no gateway is asked":
    completions_name_every_command,
    a_wrong_command_line_is_status_2,
    what_a_server_says_does_not_steer_the_terminal,
    an_answer_without_end_is_given_up,
);

fn cells(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect()
}

async fn topics_are_made_listed_and_described(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let at = gateway.address();
    let made = run(at, "topics create orders --partitions 3 --retention-ms 3600000 --retention-bytes 1000").await;
    assert_eq!(cells(made.printed())[1], ["orders", "3", "1 h", "1000"]);
    let again = run(at, "topics create orders --partitions 3").await;
    assert_eq!(again.printed(), made.printed(), "what is given already is so");
    let other = run(at, "topics create audit --retention-ms -1 --json").await.values().remove(0);
    assert_eq!((&other["topic"], &other["retention_ms"]), (&json!("audit"), &json!(-1)));

    let listed = run(at, "topics list").await;
    assert_eq!(cells(listed.printed())[1..], [["audit", "1", "ever", "all"], ["orders", "3", "1 h", "1000"]]);
    assert_eq!(cells(run(at, "topics list ord").await.printed())[1..], [["orders", "3", "1 h", "1000"]]);
    let json = run(at, "topics list --json").await;
    assert_eq!(json.printed().trim_end(), gateway.get("/v1/topics?limit=1000").send().await.is(200).text());

    let produced = json!({ "records": [{ "partition": 1, "value": 1 }, { "partition": 1, "value": 2 }] });
    gateway.post("/v1/topics/orders/records").json(&produced).send().await.is(200);
    let told = run(at, "topics describe orders").await;
    let lines = cells(told.printed());
    assert!(told.stdout.starts_with("orders: kept for 1 h, 1000 bytes a partition\n"), "{told:?}");
    assert!(lines.iter().any(|line| line.starts_with(&["1", "0", "2", "2"])), "{told:?}");
    let json: Value = run(at, "topics describe orders --json").await.values().remove(0);
    assert_eq!(json["partitions"][1]["high_watermark"], 2);
}

async fn a_topic_is_changed_trimmed_and_deleted(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let at = gateway.address();
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..5).await;
    let changed = run(at, "topics configure orders --partitions 2 --retention-ms 2000").await;
    assert_eq!(cells(changed.printed())[1], ["orders", "2", "2 s", "all"]);
    let changed = run(at, "topics configure orders --retention-ms default").await;
    assert_eq!(cells(changed.printed())[1], ["orders", "2", "7 d", "all"], "the rest is as it was");
    let trimmed = run(at, "topics trim orders --partition 0 --before-offset 3").await;
    assert_eq!(trimmed.printed(), "the log begins at offset 3\n");
    assert_eq!(run(at, "consume orders --format values").await.printed(), "3\n4\n");
    assert_eq!(run(at, "topics delete orders").await.printed(), "");
    gateway.get("/v1/topics/orders").send().await.problem(404, "unknown_topic");
}

/// Answers every connection with the same: a head, a body, and so many more times that body.
async fn hostile(status: &str, body: String, more: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            assert_ne!(stream.read(&mut [0; 4_096]).await.expect("a request"), 0);
            stream.write_all(head.as_bytes()).await.expect("somebody reads");
            for _ in 0..=more {
                if stream.write_all(body.as_bytes()).await.is_err() {
                    break; // it has enough
                }
            }
        }
    });
    address
}

async fn what_a_server_says_does_not_steer_the_terminal(_: Backend) {
    let escape = "\u{1b}]0;mine\u{7}\u{9b}2J";
    let topic =
        json!({ "topic": escape, "partition_count": 1, "retention_ms": 1, "retention_bytes": -1, "created_at": 1 });
    let group = json!({ "group": escape, "state": escape, "strategy": escape, "members": 1 });
    for (line, body) in [("topics list", json!({ "topics": [topic] })), ("groups list", json!({ "groups": [group] }))] {
        let listed = run(hostile("200 OK", body.to_string(), 0).await, line).await;
        assert!(listed.printed().contains("\\u001b]0;mine\\u0007\\u009b2J"), "{listed:?}");
        assert!(!listed.stdout.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{listed:?}");
    }
    let refusal = json!({ "code": escape, "detail": escape, "retry": "never" }).to_string();
    for line in ["topics list", "groups list", "consume orders", "topics delete orders"] {
        let refused = run(hostile("403 Forbidden", refusal.clone(), 0).await, line).await;
        let told = refused.refused(3);
        assert!(told.contains("\\u001b]0;mine") && !told.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{told:?}");
    }
}

async fn an_answer_without_end_is_given_up(_: Backend) {
    let endless = hostile("200 OK", " ".repeat(1 << 20), usize::MAX - 1).await;
    let told = run(endless, "topics list").await;
    assert!(told.refused(1).contains("larger than 67108864 bytes"), "{told:?}");
}

async fn a_refused_change_is_status_3_and_changes_nothing(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let at = gateway.address();
    gateway.topic("orders", 3).await;
    for (line, code) in [
        ("topics create orders --partitions 4", "(topic_exists)"),
        ("topics configure orders --partitions 2", "(partitions_shrink)"),
        ("topics configure nothing --partitions 2", "(unknown_topic)"),
        ("topics delete nothing", "(unknown_topic)"),
        ("topics describe nothing", "(unknown_topic)"),
        ("topics trim orders --partition 7 --before-offset 0", "(unknown_partition)"),
    ] {
        let refused = run(at, line).await;
        let sentence = refused.refused(3);
        assert!(sentence.starts_with("tidegate: ") && sentence.contains(code), "{line}: {sentence}");
        assert_eq!(sentence.lines().count(), 1, "{line}: {sentence}");
    }
    assert_eq!(gateway.get("/v1/topics/orders").send().await.is(200).json()["partition_count"], 3);
    gateway.stop().await;
    let nobody = run(at, "topics list").await;
    assert!(nobody.refused(1).contains(&at.to_string()), "{nobody:?}");
}

async fn completions_name_every_command(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let help = run(gateway.address(), "--help").await;
    let commands = help.printed().lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let commands: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"produce") && commands.len() > 8, "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = run(gateway.address(), &format!("completions {shell}")).await;
        for command in &commands {
            assert!(script.printed().contains(command), "{shell} does not know {command}");
        }
        assert!(script.stdout.contains("key-separator"), "{shell} does not know the flags");
    }
    // The one shell that is surely here takes it.
    let script = run(gateway.address(), "completions bash").await;
    let mut bash = std::process::Command::new("bash");
    let checked = bash.args(["-n", "-c", script.printed()]).output().expect("bash is there");
    assert!(checked.status.success(), "{checked:?}");
}

async fn a_wrong_command_line_is_status_2(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for (line, named) in [
        ("topics", "describe"),
        ("topics create", "TOPIC"),
        ("topics create a/b", "a/b"),
        ("topics create a --partitions 0", "--partitions"),
        ("topics create a --retention-ms soon", "--retention-ms"),
        ("topics create a --retention-ms -2", "--retention-ms"),
        ("topics trim a", "--partition"),
        ("produce", "TOPIC"),
        ("produce a --format xml", "xml"),
        ("produce a --key-separator=", "--key-separator"),
        ("produce a --record-key k --key-separator :", "--record-key"),
        ("produce a --file f --key-separator :", "--key-separator"),
        ("produce a --format record --partition 1", "record"),
        ("produce a --format record --file f", "--file"),
        ("consume a --group g --partition 1", "--partition"),
        ("consume a --group g --record-key k", "--record-key"),
        ("completions powershell", "powershell"),
    ] {
        let wrong = run(gateway.address(), line).await;
        assert!(wrong.refused(2).contains(named), "{line}: {wrong:?}");
    }
}
