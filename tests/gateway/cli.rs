//! The commands for people at a terminal: `tidegate groups` and `tidegate consume`.

use std::collections::BTreeSet;
use std::io::BufRead;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::describe;
use crate::harness::member::members;
use crate::harness::on_each_backend;
use crate::harness::relay::Relay;
use crate::harness::terminal::Running;
use crate::harness::terminal::run;
use crate::harness::wait::eventually;

on_each_backend!(
    groups_are_listed_and_described,
    a_reset_prints_what_it_changes_and_a_dry_run_changes_nothing,
    a_group_is_deleted_unless_it_has_members,
    a_refusal_is_one_sentence_and_status_3,
    a_wrong_command_line_is_status_2,
    the_help_tells_units_defaults_and_exit_statuses,
    a_topic_is_read_to_its_end,
    a_reader_that_follows_prints_what_comes,
    a_group_goes_on_where_the_last_run_ended,
    two_members_share_the_partitions,
    sigterm_commits_what_was_printed_and_leaves,
    a_reader_that_closes_the_pipe_loses_nothing_it_did_not_take,
    a_blocked_pipe_does_not_keep_sigterm_from_being_heard,
    a_gateway_that_restarts_is_waited_for,
    a_run_that_is_fenced_joins_again_and_says_so,
    a_gap_is_told_and_passed,
);

fn numbers(lines: &[String]) -> Vec<u64> {
    lines.iter().map(|line| line.parse().expect("a value is a number")).collect()
}

async fn groups_are_listed_and_described(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 3).await.count(0, 0..7).await;
    assert_eq!(run(gateway.address(), "groups list").await.printed(), "GROUP  STATE  MEMBERS  STRATEGY\n");
    let mut member = Member::new(&gateway, "billing", "worker-1", json!({ "topics": ["orders"], "lease_ms": 60_000 }));
    member.begin().await;
    member.commit_offsets(json!([{ "topic": "orders", "partition": 0, "next_offset": 4 }])).await.is(200);
    let reset = json!({ "topic": "orders", "to": "earliest" });
    gateway.put("/v1/groups/audit/offsets").json(&reset).send().await.is(200);

    let listed = run(gateway.address(), "groups list").await;
    let cells: Vec<Vec<&str>> = listed.printed().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[1..], [["audit", "empty", "0", "sticky"], ["billing", "active", "1", "sticky"]]);
    let json = run(gateway.address(), "groups list --json").await;
    assert_eq!(json.printed().trim_end(), gateway.get("/v1/groups?limit=1000").send().await.is(200).text());

    let told = run(gateway.address(), "groups describe billing").await;
    let lines: Vec<Vec<&str>> = told.printed().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["billing:", "active,", "sticky"]);
    assert!(
        lines.iter().any(|line| line.first() == Some(&"worker-1") && line.last() == Some(&"orders/0-2")),
        "{told:?}"
    );
    assert!(lines.iter().any(|line| line.starts_with(&["orders", "0", "worker-1", "4", "7", "3"])), "{told:?}");
    assert!(told.stdout.contains("total: 1 member, 3 partitions, lag 3 records"), "{told:?}");
    let json: Value = run(gateway.address(), "groups describe billing --json").await.values().remove(0);
    assert_eq!((&json["group"], &json["lag"]), (&json!("billing"), &json!(3)));
}

async fn a_reset_prints_what_it_changes_and_a_dry_run_changes_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..10).await;
    topic.count(1, 0..4).await;
    for (flags, rows, then) in [
        ("--to latest --dry-run", ["orders 0 - 10", "orders 1 - 4"].as_slice(), [None, None]),
        ("--to latest", &["orders 0 - 10", "orders 1 - 4"], [Some(10), Some(4)]),
        ("--to -3 --partition 0", &["orders 0 10 7"], [Some(7), Some(4)]),
        ("--offset 2 --partition 1", &["orders 1 4 2"], [Some(7), Some(2)]),
        ("--to earliest --dry-run", &["orders 0 7 0", "orders 1 2 0"], [Some(7), Some(2)]),
    ] {
        let reset = run(gateway.address(), &format!("groups reset g --topic orders {flags}")).await;
        let printed: Vec<_> =
            reset.printed().lines().skip(1).map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(printed, rows, "{flags}");
        if then[0].is_some() {
            for (partition, next) in (0..).zip(then) {
                assert_eq!(committed(&gateway, "g", "orders", partition).await, next, "{flags}");
            }
        } else {
            gateway.get("/v1/groups/g").send().await.problem(404, "unknown_group");
        }
    }
}

async fn a_group_is_deleted_unless_it_has_members(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "lease_ms": 60_000 }));
    member.begin().await;
    let active = run(gateway.address(), "groups delete g").await;
    assert!(active.refused(3).contains("(group_active)"), "{active:?}");
    assert_eq!(members(&gateway, "g").await, 1);
    assert_eq!(run(gateway.address(), "groups delete g --force").await.printed(), "");
    gateway.get("/v1/groups/g").send().await.problem(404, "unknown_group");
}

async fn a_refusal_is_one_sentence_and_status_3(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    for (line, code) in [
        ("groups describe nobody", "(unknown_group)"),
        ("groups delete nobody", "(unknown_group)"),
        ("groups reset g --topic nothing --to latest", "(unknown_topic)"),
        ("consume --topic nothing", "(unknown_topic)"),
    ] {
        let refused = run(gateway.address(), line).await;
        let sentence = refused.refused(3);
        assert!(sentence.starts_with("tidegate: ") && sentence.contains(code), "{line}: {sentence}");
        assert_eq!(sentence.lines().count(), 1, "{line}: {sentence}");
    }
    gateway.stop().await;
    let nobody = run(gateway.address(), "groups list").await;
    assert!(nobody.refused(1).contains(&gateway.address().to_string()), "{nobody:?}");
}

async fn a_wrong_command_line_is_status_2(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for (line, named) in [
        ("groups", "describe"),
        ("groups describe", "GROUP"),
        ("groups describe a/b", "a/b"),
        ("groups reset g --topic a", "--to"),
        ("groups reset g --topic a --to soon", "soon"),
        ("groups reset g --topic a --to 5", "multiply"),
        ("groups reset g --topic a --to latest --offset 5", "--offset"),
        ("groups list --url ftp://127.0.0.1:1", "https"),
        ("groups list --url localhost", "localhost"),
        ("consume", "TOPIC"),
        ("consume --topic-prefix a", "--group"),
        ("consume --topic a --member m", "--group"),
        ("consume --topic a --topic-prefix b --group g", "--topic-prefix"),
        ("consume --topic a --group g --lease-ms 5", "lease-ms"),
        ("consume --topic a --max-records 0", "--max-records"),
        ("consume --topic a --format xml", "xml"),
    ] {
        let wrong = run(gateway.address(), line).await;
        assert!(wrong.refused(2).contains(named), "{line}: {wrong:?}");
    }
}

async fn the_help_tells_units_defaults_and_exit_statuses(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for (line, words) in [
        ("consume --help", ["Exit status", "milliseconds", "10000", "TIDEGATE_URL", "RFC 3339"].as_slice()),
        ("groups reset --help", &["Exit status", "TIDEGATE_URL", "RFC 3339"]),
        ("groups --help", &["Exit status", "list", "describe", "reset", "delete"]),
    ] {
        let help = run(gateway.address(), line).await;
        for word in words {
            assert!(help.printed().contains(word), "{line} does not say {word}: {help:?}");
        }
    }
}

async fn a_topic_is_read_to_its_end(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..1200).await;
    topic
        .produce(&json!([{ "value": null }, { "value_base64": "AP8=" }, { "value": { "a": [1, 2] }, "key": "k" }]))
        .await;
    let all = run(gateway.address(), "consume --topic orders --format values").await;
    let expected: Vec<String> = (0..1200).map(|n: u64| n.to_string()).collect();
    let lines: Vec<&str> = all.printed().lines().collect();
    assert_eq!(lines[..1200], expected);
    assert_eq!(lines[1200..], ["null", r#""AP8=""#, r#"{"a":[1,2]}"#]);
    let last = run(gateway.address(), "consume --topic orders --from -1").await.values();
    assert_eq!((last.len(), &last[0]["offset"], &last[0]["key"]), (1, &json!(1202), &json!("k")));
    let first = run(gateway.address(), "consume --topic orders --max-records 700 --format values").await;
    assert_eq!(first.printed().lines().count(), 700);
    let groups = gateway.get("/v1/groups").send().await.is(200).json();
    assert_eq!(groups["groups"], json!([]), "reading alone makes no group");
}

async fn a_reader_that_follows_prints_what_comes(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..3).await;
    let mut reader = Running::start(gateway.address(), "consume --topic orders --follow --format values");
    reader.printed(3).await;
    topic.count(0, 3..5).await;
    assert_eq!(numbers(&reader.printed(5).await), [0, 1, 2, 3, 4]);
    reader.terminate();
    assert!(reader.ended().await.success());
}

async fn a_group_goes_on_where_the_last_run_ended(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let line = "consume --topic-prefix ord --group g --format values";
    let first = run(gateway.address(), &format!("{line} --max-records 4")).await;
    assert_eq!(first.printed(), "0\n1\n2\n3\n");
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(4));
    assert_eq!(members(&gateway, "g").await, 0, "it has left");
    assert_eq!(run(gateway.address(), line).await.printed(), "4\n5\n6\n7\n8\n9\n");
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(10));
    assert_eq!(run(gateway.address(), line).await.printed(), "", "nothing is left");
    assert_eq!(
        run(gateway.address(), "consume --topic orders --group h --from -2 --format values").await.printed(),
        "8\n9\n"
    );
}

async fn two_members_share_the_partitions(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    let line = "consume --topic orders --group g --follow --format values --member";
    let mut running = ["a", "b"].map(|name| Running::start(gateway.address(), &format!("{line} {name}")));
    eventually("each holds two partitions", async || {
        let answer = gateway.get("/v1/groups/g").send().await;
        let held = |member: &Value| member["assignments"].as_array().map_or(0, Vec::len);
        let members = if answer.status == 200 { answer.json()["members"].as_array()?.clone() } else { return None };
        (members.len() == 2 && members.iter().all(|member| held(member) == 2)).then_some(())
    })
    .await;
    for partition in 0..4 {
        topic.count(partition, u64::from(partition) * 100..u64::from(partition) * 100 + 100).await;
    }
    let lines = eventually("all records are printed", async || {
        let lines: Vec<_> = running.iter().map(|one| numbers(&one.lines())).collect();
        (lines.iter().map(Vec::len).sum::<usize>() >= 400).then_some(lines)
    })
    .await;
    assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [200, 200]);
    assert_eq!(lines.concat().into_iter().collect::<BTreeSet<_>>(), (0..400).collect());
    for one in &mut running {
        one.terminate();
        assert!(one.ended().await.success());
    }
    assert_eq!(members(&gateway, "g").await, 0);
}

async fn sigterm_commits_what_was_printed_and_leaves(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..700).await;
    let line = "consume --topic orders --group g --follow --format values --lease-ms 900000";
    let mut consumer = Running::start(gateway.address(), line);
    consumer.printed(700).await;
    consumer.terminate();
    assert!(consumer.ended().await.success());
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(700));
    let group = describe(&gateway, "g").await;
    assert_eq!((&group["state"], &group["members"]), (&json!("empty"), &json!([])), "it has left");
}

/// Records so large that a pipe (64 KiB) takes a few of them and no more.
async fn large_records(gateway: &Gateway) {
    let records: Vec<_> = (0..60).map(|n| json!({ "value": format!("{n}-{}", "x".repeat(10_000)) })).collect();
    gateway.topic("orders", 1).await.produce(&json!(records)).await;
}

async fn a_reader_that_closes_the_pipe_loses_nothing_it_did_not_take(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    large_records(&gateway).await;
    let (mut consumer, mut stdout) =
        Running::start_unread(gateway.address(), "consume --topic orders --group g --format values --follow");
    let mut line = String::new();
    for n in 0..3 {
        line.clear();
        stdout.read_line(&mut line).expect("a line comes");
        assert!(line.starts_with(&format!("\"{n}-")), "{line}");
    }
    // What the reader's own buffer holds beyond the three lines, it has taken.
    let taken = 3 + stdout.buffer().iter().filter(|byte| **byte == b'\n').count() as u64;
    drop(stdout);
    assert!(consumer.ended().await.success());
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(taken));
    assert_eq!(members(&gateway, "g").await, 0, "it has left");
    let rest = run(gateway.address(), "consume --topic orders --group g").await.values();
    let offsets: Vec<_> = rest.iter().map(|record| record["offset"].as_u64().expect("an offset")).collect();
    assert_eq!(offsets, (taken..60).collect::<Vec<_>>());

    // A reader that goes while there is nothing to print is noticed as well.
    let (mut idle, stdout) = Running::start_unread(gateway.address(), "consume --topic orders --group g --follow");
    eventually("it has joined", async || (members(&gateway, "g").await == 1).then_some(())).await;
    drop(stdout);
    assert!(idle.ended().await.success());
    assert_eq!(members(&gateway, "g").await, 0, "it has left");
}

async fn a_blocked_pipe_does_not_keep_sigterm_from_being_heard(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    large_records(&gateway).await;
    let (mut consumer, mut stdout) =
        Running::start_unread(gateway.address(), "consume --topic orders --group g --format values");
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line comes");
    consumer.terminate();
    assert!(consumer.ended().await.success());
    let whole = 1 + stdout.lines().map_while(Result::ok).filter(|line| line.ends_with("x\"")).count() as u64;
    let next = committed(&gateway, "g", "orders", 0).await.unwrap_or(0);
    assert!(next <= whole && whole < 60, "{next} are committed, {whole} were printed");
    assert_eq!(members(&gateway, "g").await, 0, "it has left");
}

async fn a_gateway_that_restarts_is_waited_for(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..3).await;
    let line = "consume --topic orders --group g --member m --follow --format values";
    let mut consumer = Running::start(Relay::start(&gateway).await.address(), line);
    consumer.printed(3).await;
    gateway.stop().await;
    consumer.says("trying again").await;
    gateway.start_again().await;
    topic.count(0, 3..5).await;
    assert_eq!(numbers(&consumer.printed(5).await), [0, 1, 2, 3, 4]);
    consumer.terminate();
    assert!(consumer.ended().await.success());
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(5));
}

async fn a_run_that_is_fenced_joins_again_and_says_so(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..3).await;
    let line = "consume --topic orders --group g --member m --follow --format values";
    let consumer = Running::start(gateway.address(), line);
    consumer.printed(3).await;
    eventually("it is committed", async || (committed(&gateway, "g", "orders", 0).await == Some(3)).then_some(()))
        .await;
    Member::new(&gateway, "g", "m", json!({ "topics": ["orders"] })).begin().await;
    consumer.says("joining again").await;
    topic.count(0, 3..5).await;
    assert_eq!(numbers(&consumer.printed(5).await), [0, 1, 2, 3, 4]);
}

async fn a_gap_is_told_and_passed(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let line = "consume --topic orders --group g --format values";
    assert_eq!(run(gateway.address(), &format!("{line} --max-records 2")).await.printed(), "0\n1\n");
    topic.trim(0, 6).await;
    let rest = run(gateway.address(), line).await;
    assert_eq!(rest.printed(), "6\n7\n8\n9\n");
    assert!(rest.stderr.contains("offset_expired"), "{rest:?}");
}
