//! Event streams: what comes first, what comes then, and how they end.

use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::assert_problem;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::record::Record;
use crate::harness::record::places;
use crate::harness::sse::Block;
use crate::harness::topic::Topic;

on_each_backend!(
    the_first_block_comes_at_once_and_fires_nothing,
    history_is_followed_by_what_comes_without_gap_or_repeat,
    events_are_records_on_one_line_with_their_id,
    several_topics_make_one_stream,
    a_key_and_a_partition_choose_what_is_sent,
    a_stream_may_wait_for_its_topic,
    heartbeats_carry_the_position_and_fire_nothing,
    records_passed_by_retention_are_told_as_a_gap,
    a_deleted_topic_ends_the_stream_with_a_problem,
    a_stream_sees_partitions_that_are_added,
    lasting_refusals_keep_their_status,
);

async fn the_first_block_comes_at_once_and_fires_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let begun = Instant::now();
        let mut stream = topic.events("").await;
        let first = stream.block().await.expect("a first block");
        fastest = fastest.min(begun.elapsed());
        assert_eq!((first.retry, &first.data, &first.event), (Some(2000), &None, &None));
        assert!(first.id.is_some_and(|id| !id.is_empty()), "a stream cut now can be resumed");
    }
    // The best of ten: the bound is on the gateway and not on how busy the machine is.
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
}

async fn history_is_followed_by_what_comes_without_gap_or_repeat(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    for partition in 0..3 {
        topic.count(partition, 0..100).await;
    }
    let writer = Topic::named(&gateway.client().another(), "orders");
    let writing = tokio::spawn(async move {
        for n in 100..200 {
            for partition in 0..3 {
                writer.count(partition, n..n + 1).await;
            }
        }
    });
    // Each stream joins the live records at another moment.
    for _ in 0..10 {
        let mut stream = topic.events("").await;
        let mut next = [0; 3];
        while next != [200; 3] {
            let record = stream.record().await;
            let expected = &mut next[record.partition as usize];
            assert_eq!((record.offset, record.value()), (*expected, expected.to_string().as_str()));
            *expected += 1;
        }
    }
    writing.await.expect("the writer is answered");
}

async fn events_are_records_on_one_line_with_their_id(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let injected = "x\r\n\r\nevent: control\r\ndata: {\"injected\":true}\r\n\r\nid: 7\n\nretry: 1\r\r\u{2028}\0";
    topic.produce(&json!([{ "key": injected, "headers": { "a\nb": injected }, "value": injected }])).await;
    topic.produce(&json!([{ "value_base64": "DQoNCg==" }, { "value": null }])).await;
    let mut stream = topic.events("").await;
    let event = stream.event().await;
    assert!(event.data.as_ref().is_some_and(|data| !data.contains(['\r', '\n'])), "{event:?}");
    let record = event.record();
    assert_eq!((record.key.as_deref(), record.json()), (Some(injected), json!(injected)));
    assert_eq!(record.headers["a\nb"], injected);
    assert_eq!(record.cursor, None, "the id is the cursor");
    assert_eq!(stream.record().await.value_base64.as_deref(), Some("DQoNCg=="));
    assert_eq!(stream.record().await.value(), "null");
}

async fn several_topics_make_one_stream(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (a, b) = (gateway.topic("a", 2).await, gateway.topic("b", 1).await);
    a.count(0, 0..3).await;
    b.count(0, 0..3).await;
    let mut stream = gateway.get("/v1/records?topic=a&topic=b").events().await;
    let mut found = places(&stream.records(6).await);
    found.sort();
    let mut expected = a.read_all().await;
    expected.extend(b.read_all().await);
    assert_eq!(found, places(&expected));
    b.count(0, 3..4).await;
    assert_eq!(stream.record().await.place(), ("b".to_owned(), 0, 3));
    a.count(1, 0..1).await;
    assert_eq!(stream.record().await.place(), ("a".to_owned(), 1, 0));
}

async fn a_key_and_a_partition_choose_what_is_sent(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    let both = json!([{ "key": "mine", "value": 1 }, { "key": "other", "value": 2 }]);
    topic.produce(&both).await;
    let mut by_key = topic.events("key=mine").await;
    let mut by_partition = topic.events("partition=2&from=latest").await;
    assert_eq!(by_key.record().await.value(), "1");
    by_partition.block().await.expect("a first block");
    for n in 0..20 {
        topic.count(n % 2, 0..1).await;
    }
    topic.count(2, 7..8).await;
    topic.produce(&json!([{ "key": "mine", "value": 3 }])).await;
    assert_eq!(by_key.record().await.value(), "3");
    let record = by_partition.record().await;
    assert_eq!((record.partition, record.value()), (2, "7"));
}

async fn a_stream_may_wait_for_its_topic(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = Topic::named(&gateway, "later");
    let mut stream = topic.events("wait_for_topic=true").await;
    stream.block().await.expect("a first block");
    let id = stream.last_event_id.clone();
    gateway.topic("later", 2).await.count(1, 0..2).await;
    let values: Vec<_> = stream.records(2).await.iter().map(|record| record.value().to_owned()).collect();
    assert_eq!(values, ["0", "1"]);
    let resumed = topic.resume("wait_for_topic=true", &id).await.records(2).await;
    assert_eq!(resumed.len(), 2, "the id from before the topic goes on at its first record");
}

async fn heartbeats_carry_the_position_and_fire_nothing(backend: Backend) {
    let gateway = Gateway::with(backend, &["--heartbeat-ms", "200"]).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..5).await;
    let mut stream = topic.events("key=nobody").await;
    stream.block().await.expect("a first block");
    let mut beat = Block::default();
    for _ in 0..3 {
        beat = stream.block().await.expect("a heartbeat");
        assert_eq!((&beat.data, &beat.event), (&None, &None), "{beat:?}");
        assert!(beat.id.is_some(), "a quiet stream keeps its place");
    }
    topic.count(0, 5..6).await;
    let id = beat.id.unwrap_or_default();
    let resumed = topic.resume("", &id).await.record().await;
    assert_eq!(resumed.offset, 5, "what was searched in vain is not searched again");
}

async fn records_passed_by_retention_are_told_as_a_gap(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..10).await;
    topic.count(1, 0..2).await;
    let mut stream = topic.events("partition=0").await;
    stream.records(2).await;
    let id = stream.last_event_id.clone();
    topic.trim(0, 6).await;

    let mut stream = topic.resume("partition=0", &id).await;
    let gap = stream.event().await;
    assert_eq!(gap.event.as_deref(), Some("gap"));
    let expected = json!({ "topic": "orders", "partition": 0, "requested_offset": 2, "log_start_offset": 6 });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&gap.json()[name], value, "{gap:?}");
    }
    let after_gap = gap.id.expect("a gap has an id");
    let offsets = |records: &[Record]| records.iter().map(|r| r.offset).collect::<Vec<_>>();
    assert_eq!(offsets(&stream.records(4).await), [6, 7, 8, 9]);
    let resumed = topic.resume("partition=0", &after_gap).await.records(4).await;
    assert_eq!(offsets(&resumed), [6, 7, 8, 9], "the gap is told once");
}

async fn a_deleted_topic_ends_the_stream_with_a_problem(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..1).await;
    let mut stream = topic.events("").await;
    stream.record().await;
    topic.delete().await;
    let last = stream.event().await;
    assert_eq!((last.event.as_deref(), &last.id), (Some("problem"), &None), "a problem has no id");
    assert_problem(&last.json());
    assert_eq!(stream.try_event().await, None, "a problem is the last event");
}

async fn a_stream_sees_partitions_that_are_added(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..2).await;
    let mut stream = topic.events("").await;
    stream.records(2).await;
    let before = stream.last_event_id.clone();
    topic.grow_to(3).await;
    topic.count(2, 0..3).await;
    let seen = places(&stream.records(3).await);
    assert_eq!(
        seen.iter().map(|(_, partition, offset)| (*partition, *offset)).collect::<Vec<_>>(),
        [(2, 0), (2, 1), (2, 2)]
    );
    let resumed = topic.resume("", &before).await.records(3).await;
    assert_eq!(places(&resumed), seen, "an old id reads them too");
}

async fn lasting_refusals_keep_their_status(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    let open = async |path: &str| gateway.get(path).header("accept", "text/event-stream").send().await;
    open("/v1/topics/none/records").await.problem(404, "unknown_topic");
    open("/v1/topics/orders/records?partition=3").await.problem(404, "unknown_partition");
    open("/v1/topics/orders/records?fromm=latest").await.problem(400, "unknown_parameter");
    open("/v1/topics/orders/partitions/0/records?offset=1").await.problem(416, "offset_out_of_range");
}
