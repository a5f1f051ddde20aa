//! Long polls: they wake on the commit, miss nothing, and give up in time.

use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;
use crate::harness::wait::within;

on_each_backend!(
    a_poll_returns_at_once_when_there_is_a_record,
    a_poll_never_misses_a_commit,
    many_polls_wake_on_one_commit,
    a_poll_for_a_key_sleeps_through_other_keys,
    a_poll_without_a_record_is_empty_after_its_wait,
    a_poll_wakes_when_its_topic_comes_into_being,
    a_poll_wakes_for_a_partition_that_was_added,
    a_poll_ends_when_its_topic_is_deleted,
);

/// Far less than the waits asked for, so that a missed wake-up is seen, and far more than a wake-up takes.
const PROMPTLY: Duration = Duration::from_secs(10);
const WAIT: &str = "wait_ms=50000";

async fn a_poll_returns_at_once_when_there_is_a_record(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(1, 0..1).await;
    let page = within(PROMPTLY, "a record that is there", topic.read(WAIT)).await;
    assert_eq!(page.values(), ["0"]);
}

async fn a_poll_never_misses_a_commit(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("ping", 3).await;
    let producer = Topic::named(&gateway.client().another(), "ping");
    let mut cursor = topic.read("").await.cursor;
    for round in 0..300_u64 {
        let query = format!("{WAIT}&cursor={cursor}");
        let partition = u32::try_from(round % 3).expect("below three");
        // Both at once: the commit falls before, within and after the registration of the poll.
        let both = async { tokio::join!(topic.read(&query), producer.count(partition, round..round + 1)) };
        let (page, receipts) = within(PROMPTLY, "a poll that wakes", both).await;
        assert_eq!(page.values(), [round.to_string()]);
        assert_eq!((page.records[0].partition, page.records[0].offset), (partition, receipts[0].offset));
        cursor = page.cursor;
    }
}

async fn many_polls_wake_on_one_commit(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let query = format!("{WAIT}&cursor={}", topic.read("").await.cursor);
    let polls = join_all((0..100).map(|_| topic.read(&query)));
    let producer = async {
        tokio::task::yield_now().await;
        topic.count(1, 7..8).await
    };
    let (pages, _) = within(PROMPTLY, "a hundred polls that wake", async { tokio::join!(polls, producer) }).await;
    assert!(pages.iter().all(|page| page.values() == ["7"]));
}

async fn a_poll_for_a_key_sleeps_through_other_keys(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let producer = async {
        for n in 0..50 {
            topic.produce(&json!([{ "key": "other", "value": n }])).await;
        }
        topic.produce(&json!([{ "key": "mine", "value": "found" }])).await;
    };
    let query = format!("{WAIT}&key=mine");
    let (page, ()) = within(PROMPTLY * 3, "the record", async { tokio::join!(topic.read(&query), producer) }).await;
    assert_eq!(page.values(), [r#""found""#]);
}

async fn a_poll_without_a_record_is_empty_after_its_wait(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..3).await;
    let cursor = topic.read("").await.cursor;
    let begun = Instant::now();
    let page = topic.read(&format!("wait_ms=400&cursor={cursor}")).await;
    let waited = begun.elapsed();
    assert!(page.records.is_empty() && page.at_tail);
    assert!(waited >= Duration::from_millis(400), "{waited:?}");
    assert!(waited < Duration::from_millis(400) + PROMPTLY, "{waited:?}");
    topic.count(1, 3..4).await;
    assert_eq!(topic.read(&format!("cursor={}", page.cursor)).await.values(), ["3"]);
}

async fn a_poll_wakes_when_its_topic_comes_into_being(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = Topic::named(&gateway, "later");
    let producer = gateway.client().another();
    let poll = async {
        let mut page = topic.read(&format!("{WAIT}&wait_for_topic=true")).await;
        while page.records.is_empty() {
            page = topic.read(&format!("{WAIT}&wait_for_topic=true&cursor={}", page.cursor)).await;
        }
        page
    };
    let produce = async { producer.post("/v1/topics/later/values").body("first").send().await.is(201) };
    let (page, _) = within(PROMPTLY, "a poll that wakes", async { tokio::join!(poll, produce) }).await;
    assert_eq!(page.values(), [r#""first""#]);
}

async fn a_poll_wakes_for_a_partition_that_was_added(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let query = format!("{WAIT}&cursor={}", topic.read("").await.cursor);
    let grow = async {
        topic.grow_to(2).await;
        topic.count(1, 5..6).await
    };
    let poll = async {
        let mut page = topic.read(&query).await;
        while page.records.is_empty() {
            page = topic.read(&format!("{WAIT}&cursor={}", page.cursor)).await;
        }
        page
    };
    let (page, _) = within(PROMPTLY, "a poll that wakes", async { tokio::join!(poll, grow) }).await;
    assert_eq!(page.values(), ["5"]);
}

async fn a_poll_ends_when_its_topic_is_deleted(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let query = format!("{WAIT}&cursor={}", topic.read("").await.cursor);
    let both = async { tokio::join!(topic.try_read(&query), topic.delete()) };
    let (answer, ()) = within(PROMPTLY, "an answer about the topic", both).await;
    assert!([404, 410].contains(&answer.status), "{answer:?}");
    answer.refusal(answer.status);
}
