//! `tidegate produce`: what a line becomes, and that nobody is left in doubt about what is written.

use std::io::Write;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::relay::Relay;
use crate::harness::terminal::Running;
use crate::harness::terminal::run;
use crate::harness::terminal::run_with;
use crate::harness::wait::eventually;

on_each_backend!(
    lines_become_records_of_the_format_asked_for,
    keys_and_partitions_are_given_or_split_off,
    what_is_consumed_can_be_produced_again,
    many_lines_arrive_whole_and_in_order,
    a_line_is_durable_while_the_next_is_not_written_yet,
    a_file_is_one_record,
    a_bad_line_ends_it_and_what_stands_is_told,
    a_refused_line_is_status_3_and_what_stands_is_told,
    a_connection_that_breaks_tells_what_was_acknowledged,
    a_signal_ends_it_with_what_was_sent,
    receipts_that_nobody_reads_do_not_keep_records_from_being_written,
    nothing_is_sent_of_nothing,
);

async fn lines_become_records_of_the_format_asked_for(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let send = async |arguments: &[&str], input: &[u8]| {
        let ended = run_with(gateway.address(), &[&["produce", "orders"], arguments].concat(), input).await;
        assert_eq!((ended.printed(), ended.stderr.as_str()), ("", ""), "a pipe hears nothing of it");
    };
    send(&[], b"say \"hi\"\n\n{\"a\":1}").await;
    send(&["--format", "json"], b"{\"a\": 1e400}\n12345678901234567890\r\nnull\n").await;
    send(&["--format", "bytes"], b"\xff\x00\nb\n").await;
    let records = topic.read("").await.records;
    let values: Vec<_> = records[..6].iter().map(|record| record.value().to_owned()).collect();
    assert_eq!(
        values,
        ["\"say \\\"hi\\\"\"", "\"\"", "\"{\\\"a\\\":1}\"", "{\"a\":1e400}", "12345678901234567890", "null"]
    );
    let bytes = run(gateway.address(), "consume orders --from -2 --format values").await;
    assert_eq!(bytes.printed(), "\"/wA=\"\n\"Yg==\"\n");
}

async fn keys_and_partitions_are_given_or_split_off(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 4).await;
    let at = gateway.address();
    run_with(at, &["produce", "orders", "--key-separator", "\t"], "ann\ta\tb\n\tempty key\n").await.printed();
    run_with(at, &["produce", "orders", "--record-key", "all", "--partition", "3"], "1\n2\n").await.printed();
    let records = run(at, "consume orders").await.values();
    let of = |key: &str| -> Vec<_> {
        let with = records.iter().filter(|record| record["key"] == key);
        with.map(|record| (record["value"].as_str(), record["partition"].as_u64())).collect()
    };
    assert_eq!(of("ann")[0].0, Some("a\tb"));
    assert_eq!(of("")[0].0, Some("empty key"));
    assert_eq!(of("all"), [(Some("1"), Some(3)), (Some("2"), Some(3))]);
    let without = run_with(at, &["produce", "orders", "--key-separator", "\t"], "no key\n").await;
    assert!(without.refused(1).contains("line 1") && without.stderr.contains("no key"), "{without:?}");
}

async fn what_is_consumed_can_be_produced_again(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let records = json!([{ "key": "k", "value": { "a": 1 }, "headers": { "h": "1" } }, { "value_base64": "AP8=" }]);
    gateway.topic("orders", 1).await.produce(&records).await;
    let all = run(gateway.address(), "consume orders").await;
    run_with(gateway.address(), &["produce", "copy", "--format", "record"], all.printed()).await.printed();
    let copied = run(gateway.address(), "consume copy").await;
    assert_eq!(copied.printed(), all.printed().replace("\"topic\":\"orders\"", "\"topic\":\"copy\""));
}

async fn many_lines_arrive_whole_and_in_order(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    let input: String = (0..20_000).map(|n| format!("{n} {}\n", "x".repeat(n % 90))).collect();
    run_with(gateway.address(), &["produce", "orders"], input.clone()).await.printed();
    assert_eq!(run(gateway.address(), "consume orders --format text").await.printed(), input);
}

async fn a_line_is_durable_while_the_next_is_not_written_yet(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let (mut producer, mut stdin) = Running::start_fed(gateway.address(), "produce orders --receipts --format json");
    for n in 0..5 {
        writeln!(stdin, "{n}").expect("it reads");
        let lines = producer.printed(n + 1).await;
        assert!(lines[n].contains(&format!("\"offset\":{n}")), "{lines:?}");
    }
    gateway.kill9().await;
    producer.says("lines 1 to 5 are written").await;
    assert_eq!(producer.ended().await.code(), Some(1));
    gateway.start_again().await;
    assert_eq!(topic.read("").await.values(), ["0", "1", "2", "3", "4"]);
}

async fn a_file_is_one_record(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let path = directory.path().join("page.html");
    std::fs::write(&path, "<p>\n</p>\n").expect("it is ours");
    let path = path.to_str().expect("UTF-8");
    let at = gateway.address();
    let flags = ["produce", "orders", "--file", path, "--partition", "1", "--record-key", "a b", "--receipts"];
    let receipt = run_with(at, &flags, "").await.values().remove(0);
    assert_eq!((&receipt["partition"], &receipt["stored_as"]), (&json!(1), &json!("text")));
    run_with(at, &["produce", "orders", "--file", path, "--format", "bytes"], "").await.printed();
    let refused = run_with(at, &["produce", "orders", "--file", path, "--format", "json"], "").await;
    assert!(refused.refused(3).contains("(malformed_json)"), "{refused:?}");
    let missing = run_with(at, &["produce", "orders", "--file", "/nonexistent"], "").await;
    assert!(missing.refused(1).contains("/nonexistent"), "{missing:?}");
    let record = run(at, "consume orders --record-key a%b").await;
    assert_eq!(record.printed(), "", "another key");
    let records = topic.read("partition=1").await.records;
    assert_eq!(records[0].json(), "<p>\n</p>\n");
}

async fn a_bad_line_ends_it_and_what_stands_is_told(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let bad = run_with(gateway.address(), &["produce", "orders", "--format", "json"], "1\n2\nthree\n4\n").await;
    let sentence = bad.refused(1);
    assert!(sentence.contains("line 3 cannot be sent") && sentence.contains("lines 1 to 2 are written"), "{sentence}");
    assert_eq!(topic.read("").await.values(), ["1", "2"]);
    let first = run_with(gateway.address(), &["produce", "orders"], b"\xff\n").await;
    assert!(first.refused(1).contains("nothing is written"), "{first:?}");
}

async fn a_refused_line_is_status_3_and_what_stands_is_told(backend: Backend) {
    let gateway = Gateway::with(backend, &["--record-bytes-max", "100"]).await;
    let topic = gateway.topic("orders", 1).await;
    let long = "x".repeat(200);
    let later = run_with(gateway.address(), &["produce", "orders"], format!("1\n2\n{long}\n4\n")).await;
    let sentence = later.refused(3);
    assert!(sentence.contains("lines 1 to 2 are written, line 3 is refused"), "{sentence}");
    assert!(sentence.contains("(record_too_large)"), "{sentence}");
    let first = run_with(gateway.address(), &["produce", "orders"], format!("{long}\n4\n")).await;
    assert!(first.refused(3).contains("nothing is written, line 1 is refused"), "{first:?}");
    assert_eq!(topic.read("").await.values(), ["\"1\"", "\"2\""]);
}

async fn a_connection_that_breaks_tells_what_was_acknowledged(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let relay = Relay::start(&gateway).await;
    relay.cut_after(10_000);
    let input: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    let broken = run_with(relay.address(), &["produce", "orders", "--format", "json"], input).await;
    let sentence = broken.refused(1);
    let told = sentence.split("lines 1 to ").nth(1).and_then(|rest| rest.split(' ').next());
    let told: u64 = told.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no number of lines: {sentence}"));
    assert!(sentence.contains("may be written or not"), "{sentence}");
    let open: u64 = sentence
        .split(" were sent and may")
        .next()
        .and_then(|head| head.rsplit(' ').next())
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("no number of lines that are in doubt: {sentence}"));
    let end = eventually("the gateway has seen the connection end", async || {
        let end = topic.high_watermark(0).await;
        (end >= told).then_some(end)
    })
    .await;
    assert!(told > 0 && told <= end && end <= open, "{told} told, {end} written, {open} sent: {sentence}");
}

async fn a_signal_ends_it_with_what_was_sent(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let (mut producer, mut stdin) = Running::start_fed(gateway.address(), "produce orders --receipts");
    writeln!(stdin, "a\nb").expect("it reads");
    producer.printed(2).await;
    producer.terminate();
    assert_eq!(producer.ended().await.code(), Some(130));
    producer.says("lines 1 to 2 are written, and nothing after: interrupted").await;
    assert_eq!(topic.high_watermark(0).await, 2);
}

async fn receipts_that_nobody_reads_do_not_keep_records_from_being_written(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let (mut producer, mut stdin, stdout) = Running::start_fed_unread(gateway.address(), "produce orders --receipts");
    drop(stdout);
    for n in 0..3 {
        writeln!(stdin, "{n}").expect("it reads");
        eventually("it is written", async || (topic.high_watermark(0).await == n + 1).then_some(())).await;
    }
    drop(stdin);
    assert!(producer.ended().await.success(), "{}", producer.remarks());
}

async fn nothing_is_sent_of_nothing(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    assert_eq!(run_with(gateway.address(), &["produce", "orders"], "").await.printed(), "");
    gateway.get("/v1/topics/orders").send().await.problem(404, "unknown_topic");
    gateway.stop().await;
    let nobody = run_with(gateway.address(), &["produce", "orders"], "1\n").await;
    assert!(nobody.refused(1).contains("nothing is written, and nothing was sent"), "{nobody:?}");
}
