//! Cursors: opaque, repeatable, tied to their topics, and good for partitions that come later.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::record::Page;
use crate::harness::topic::Topic;
use crate::harness::topic::read;

on_each_backend!(
    a_cursor_reads_the_same_page_again,
    a_cursor_survives_a_crash,
    a_cursor_carries_no_filter,
    a_cursor_of_other_topics_or_partitions_is_refused,
    a_damaged_cursor_is_refused,
    a_cursor_stays_small_over_many_partitions,
    partitions_added_later_are_read_from_their_first_record,
    a_reader_of_pages_sees_everything_while_producers_write,
);

async fn pages_of(topic: &Topic, size: usize) -> Vec<String> {
    let mut cursors = Vec::new();
    let mut page = topic.read(&format!("max_records={size}")).await;
    while !page.at_tail {
        cursors.push(page.cursor.clone());
        page = topic.read(&format!("max_records={size}&cursor={}", page.cursor)).await;
    }
    cursors
}

async fn a_cursor_reads_the_same_page_again(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    for partition in 0..4 {
        topic.count(partition, 0..20).await;
    }
    for cursor in pages_of(&topic, 7).await {
        let query = format!("max_records=7&cursor={cursor}");
        let first = topic.try_read(&query).await.is(200);
        topic.count(2, 0..3).await;
        let again = topic.try_read(&query).await.is(200);
        let before: Page = first.parse();
        let after: Page = again.parse();
        assert!(after.records.len() >= before.records.len());
        for (a, b) in before.records.iter().zip(&after.records) {
            assert_eq!((a.place(), a.value()), (b.place(), b.value()), "the page begins the same");
        }
    }
}

async fn a_cursor_survives_a_crash(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    for partition in 0..3 {
        topic.count(partition, 0..10).await;
    }
    let cursor = topic.read("max_records=8").await.cursor;
    let query = format!("cursor={cursor}");
    let before = topic.try_read(&query).await.is(200).body;
    gateway.kill9().await;
    gateway.start_again().await;
    assert_eq!(topic.try_read(&query).await.is(200).body, before);
}

async fn a_cursor_carries_no_filter(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let record = |key: &str, value: u32| json!({ "key": key, "value": value });
    topic.produce(&json!([record("a", 0), record("b", 1), record("a", 2), record("b", 3)])).await;
    let first = topic.read("key=a&max_records=1").await;
    assert_eq!(first.values(), ["0"]);
    // What was searched in vain may be behind the cursor; what was not searched is not.
    let without = topic.read(&format!("cursor={}", first.cursor)).await;
    assert!(without.values().ends_with(&["2", "3"]) && without.values()[0] != "0", "{:?}", without.values());
    let other = topic.read(&format!("key=b&cursor={}", first.cursor)).await;
    assert!(other.values().ends_with(&["3"]), "{:?}", other.values());
    assert_eq!(topic.read(&format!("key=a&cursor={}", first.cursor)).await.values(), ["2"]);
}

async fn a_cursor_of_other_topics_or_partitions_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (a, b) = (gateway.topic("a", 3).await, gateway.topic("b", 3).await);
    a.count(1, 0..3).await;
    let whole = a.read("max_records=1").await.cursor;
    let some = a.read("partition=0&partition=1").await.cursor;
    let both = read(&gateway, "/v1/records?topic=a&topic=b").await.cursor;

    b.try_read(&format!("cursor={whole}")).await.problem(400, "invalid_cursor");
    a.try_read(&format!("cursor={both}")).await.problem(400, "invalid_cursor");
    a.try_read(&format!("partition=2&cursor={some}")).await.problem(400, "invalid_cursor");
    a.try_read(&format!("partition=1&cursor={some}")).await.problem(400, "invalid_cursor");
    let wider = gateway.get(&format!("/v1/records?topic=a&topic=b&cursor={whole}")).send().await;
    wider.problem(400, "invalid_cursor");

    a.count(1, 3..4).await;
    let next = a.read(&format!("partition=0&partition=1&cursor={some}")).await;
    assert_eq!(next.values(), ["3"], "the list it was made for");
    let swapped = read(&gateway, &format!("/v1/records?topic=b&topic=a&cursor={both}")).await;
    assert_eq!(swapped.values(), ["3"], "the order of topics in the request does not matter");
}

async fn a_damaged_cursor_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    topic.count(1, 0..10).await;
    let cursor = topic.read("max_records=5").await.cursor;
    let with = async |cursor: &str| topic.try_read(&format!("cursor={cursor}")).await;
    for garbage in ["", "x", "0", "-", "....", "%00", "%27;DROP%20TABLE%20batch;--", &"A".repeat(1500)] {
        with(garbage).await.problem(400, "invalid_cursor");
    }
    let shorter = (1..cursor.len()).map(|length| with(&cursor[..length]));
    for answer in join_all(shorter).await {
        answer.problem(400, "invalid_cursor");
    }
    for at in 0..cursor.len() {
        let mut bytes = cursor.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("still ASCII");
        let answer = with(&changed).await;
        assert!(answer.status < 500, "{changed}: {answer:?}");
    }
    assert_eq!(with(&cursor).await.is(200).parse::<Page>().records.len(), 5);
}

async fn a_cursor_stays_small_over_many_partitions(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("wide", 128).await;
    let records: Vec<_> = (0..128).map(|partition| json!({ "partition": partition, "value": 1 })).collect();
    for _ in 0..3 {
        topic.produce(&json!(records)).await;
    }
    let mut page = topic.read("max_records=50").await;
    let mut count = page.records.len();
    while !page.at_tail {
        // The helper asserts the length and the alphabet of each cursor.
        page = topic.read(&format!("max_records=50&cursor={}", page.cursor)).await;
        count += page.records.len();
    }
    assert_eq!(count, 384);
}

async fn partitions_added_later_are_read_from_their_first_record(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..3).await;
    let old = topic.read("").await;
    let latest = topic.read("from=latest").await;
    topic.grow_to(3).await;
    topic.count(2, 100..103).await;
    topic.count(0, 3..4).await;
    for cursor in [old.cursor, latest.cursor] {
        let page = topic.read(&format!("cursor={cursor}")).await;
        let mut values = page.values();
        values.sort_unstable();
        assert_eq!(values, ["100", "101", "102", "3"]);
    }
}

async fn write_until(client: Client, name: &'static str, partition: u32, count: u64) {
    let topic = Topic::named(&client, name);
    for n in 0..count {
        topic.count(partition, n..n + 1).await;
    }
}

async fn a_reader_of_pages_sees_everything_while_producers_write(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("busy", 4).await;
    let writers: Vec<_> =
        (0..4).map(|partition| tokio::spawn(write_until(gateway.client().another(), "busy", partition, 100))).collect();
    let mut next = [0; 4];
    let mut page = topic.read("max_records=9").await;
    loop {
        for record in &page.records {
            let expected = &mut next[record.partition as usize];
            assert_eq!(record.offset, *expected, "partition {}", record.partition);
            *expected += 1;
        }
        if next == [100; 4] {
            break;
        }
        page = topic.read(&format!("max_records=9&wait_ms=10000&cursor={}", page.cursor)).await;
        assert!(!page.records.is_empty(), "the wait ends with a record: at_tail {}", page.at_tail);
    }
    for writer in join_all(writers).await {
        writer.expect("the writer is answered");
    }
}
