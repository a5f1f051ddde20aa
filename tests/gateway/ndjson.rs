//! NDJSON: a dump that ends, a stream that follows, and bare values a line.

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::assert_problem;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::record::Record;
use crate::harness::wait::soon;

on_each_backend!(
    a_dump_holds_every_record_and_ends,
    a_dump_ends_where_the_log_ended_when_it_was_asked_for,
    a_dump_that_cannot_be_finished_is_broken_off_and_never_shortened,
    a_limited_dump_goes_on_by_its_cursor_header,
    values_are_one_bare_value_a_line,
    following_gives_history_then_what_comes,
    every_followed_record_says_where_to_go_on,
    a_silent_stream_sends_empty_lines,
    a_gap_is_a_line_of_its_own,
    a_deleted_topic_ends_the_stream_with_its_problem,
    a_stream_sees_partitions_that_are_added,
);

async fn a_dump_holds_every_record_and_ends(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    for partition in 0..3 {
        topic.count(partition, 0..2000).await;
    }
    let dump = gateway.get(&topic.path("/records")).header("accept", "application/x-ndjson").send().await.is(200);
    assert!(dump.text().ends_with('\n'));
    assert_eq!(dump.header("tidegate-at-tail"), Some("true"));
    let mut next = [0; 3];
    for line in dump.text().lines() {
        let record: Record = serde_json::from_str(line).expect("a line is a record");
        let expected = &mut next[record.partition as usize];
        assert_eq!((record.offset, record.value()), (*expected, expected.to_string().as_str()));
        assert_eq!(record.cursor, None, "only endless answers carry it");
        *expected += 1;
    }
    assert_eq!(next, [2000; 3], "no default limit");
}

async fn a_dump_ends_where_the_log_ended_when_it_was_asked_for(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let value = json!("x".repeat(500_000));
    for _ in 0..40 {
        topic.produce(&json!([{ "value": value }])).await;
    }
    // 20 MB do not fit between the sockets, so the answer is under way while more is written.
    let mut dump = topic.lines("format=ndjson").await;
    topic.count(0, 0..50).await;
    let mut count = 0;
    while let Some(line) = dump.next().await {
        let record: Record = serde_json::from_str(&line).expect("a line is a record");
        assert_eq!(record.offset, count);
        count += 1;
    }
    assert_eq!(count, 40);
}

async fn a_dump_that_cannot_be_finished_is_broken_off_and_never_shortened(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let value = json!("x".repeat(500_000));
    for _ in 0..80 {
        topic.produce(&json!([{ "value": value }])).await;
    }
    // 40 MB do not fit between the sockets: most of them are deleted before the dump has reached them.
    let mut dump = gateway.get(&topic.path("/records?format=ndjson")).open().await;
    topic.trim(0, 80).await;
    let mut body = Vec::new();
    let ended_whole = loop {
        match soon("more of the dump", dump.chunk()).await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    let lines = body.iter().filter(|byte| **byte == b'\n').count();
    assert!(lines == 80 || !ended_whole, "a dump of {lines} records looks whole");
}

async fn a_limited_dump_goes_on_by_its_cursor_header(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..25).await;
    topic.count(1, 0..25).await;
    let mut query = "format=ndjson&max_records=20".to_owned();
    let mut sizes = Vec::new();
    loop {
        let page = topic.try_read(&query).await.is(200);
        sizes.push(page.text().lines().count());
        if page.header("tidegate-at-tail") == Some("true") {
            break;
        }
        let cursor = page.header("tidegate-cursor").expect("a finite read has a cursor");
        query = format!("format=ndjson&max_records=20&cursor={cursor}");
    }
    assert_eq!(sizes.iter().sum::<usize>(), 50);
    assert!(sizes.iter().all(|size| *size <= 20), "{sizes:?}");
    let one = topic.try_read("format=ndjson&max_bytes=1").await.is(200);
    assert_eq!(one.text().lines().count(), 1);
}

async fn values_are_one_bare_value_a_line(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let records = r#"{"records":[{"value":{"b": 1e2,"a":[]}},{"value":"two\nlines"},{"value":null},
        {"value_base64":"/wA="},{"value":18446744073709551616}]}"#;
    topic.produce_raw(records).await;
    let answer = topic.try_read("format=values").await.is(200);
    let expected = "{\"b\":1e2,\"a\":[]}\n\"two\\nlines\"\nnull\n\"/wA=\"\n18446744073709551616\n";
    assert_eq!(answer.text(), expected);
    assert!(answer.header("tidegate-cursor").is_some());
}

async fn following_gives_history_then_what_comes(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let mut stream = topic.lines("format=ndjson&follow=true").await;
    let history = stream.records(10).await;
    topic.count(0, 10..13).await;
    let live = stream.records(3).await;
    let offsets: Vec<_> = history.iter().chain(&live).map(|record| record.offset).collect();
    assert_eq!(offsets, (0..13).collect::<Vec<_>>());

    let mut values = topic.lines("format=values&follow=true&from=-1").await;
    assert_eq!(values.next().await.as_deref(), Some("12"));
    topic.value("{\"next\": 13}").await;
    assert_eq!(values.next().await.as_deref(), Some("{\"next\":13}"));
}

async fn every_followed_record_says_where_to_go_on(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..5).await;
    topic.count(1, 0..5).await;
    let all = topic.lines("format=ndjson&follow=true").await.records(10).await;
    for (n, record) in all.iter().enumerate() {
        let cursor = record.cursor.as_ref().expect("a followed record has a cursor");
        let rest = topic.read(&format!("cursor={cursor}")).await;
        let mut seen: Vec<_> = all[..=n].iter().chain(&rest.records).map(Record::place).collect();
        seen.sort();
        let mut expected: Vec<_> = all.iter().map(Record::place).collect();
        expected.sort();
        assert_eq!(seen, expected, "after record {n}");
    }
}

async fn a_silent_stream_sends_empty_lines(backend: Backend) {
    let gateway = Gateway::with(backend, &["--heartbeat-ms", "200"]).await;
    let topic = gateway.topic("orders", 1).await;
    let mut stream = topic.lines("format=ndjson&follow=true").await;
    assert_eq!(stream.next().await.as_deref(), Some(""));
    assert_eq!(stream.next().await.as_deref(), Some(""));
    topic.count(0, 0..1).await;
    assert_eq!(stream.record().await.offset, 0);
}

async fn a_gap_is_a_line_of_its_own(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let cursor = topic.read("max_records=2").await.cursor;
    topic.trim(0, 6).await;
    let mut stream = topic.lines(&format!("format=ndjson&follow=true&cursor={cursor}")).await;
    let line: Value = serde_json::from_str(&stream.next().await.expect("a line")).expect("JSON");
    let gap = json!({ "topic": "orders", "partition": 0, "requested_offset": 2, "log_start_offset": 6 });
    for (name, value) in gap.as_object().expect("an object") {
        assert_eq!(&line["gap"][name], value, "{line}");
    }
    let rest = stream.records(4).await;
    assert_eq!(rest.iter().map(|record| record.offset).collect::<Vec<_>>(), [6, 7, 8, 9]);
}

async fn a_deleted_topic_ends_the_stream_with_its_problem(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..1).await;
    let mut stream = topic.lines("format=ndjson&follow=true").await;
    stream.record().await;
    topic.delete().await;
    let mut last = None;
    while let Some(line) = stream.next().await {
        last = Some(line).filter(|line| !line.is_empty()).or(last);
    }
    let last: Value = serde_json::from_str(&last.expect("a last line")).expect("JSON");
    assert_problem(&last["problem"]);
}

async fn a_stream_sees_partitions_that_are_added(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..1).await;
    let mut stream = topic.lines("format=ndjson&follow=true").await;
    stream.record().await;
    topic.grow_to(3).await;
    topic.count(2, 0..3).await;
    let added = stream.records(3).await;
    assert!(added.iter().all(|record| record.partition == 2));
    assert_eq!(added.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2]);
}
