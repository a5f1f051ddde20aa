//! `Last-Event-ID`: resume at every boundary, and what is refused.

use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::record::Record;
use crate::harness::sse::EventStream;
use crate::harness::topic::Topic;

on_each_backend!(
    a_stream_resumes_at_every_event_boundary,
    a_stream_resumes_after_a_crash_of_the_gateway,
    a_stream_resumes_within_the_records_of_one_key,
    a_stream_cut_before_its_first_event_misses_nothing,
    the_last_event_id_wins_over_all_other_beginnings,
    an_id_is_a_cursor_and_a_cursor_an_id,
    an_empty_or_malformed_id_is_refused,
    a_foreign_id_is_refused,
    an_id_of_a_former_topic_is_410,
    an_id_in_the_future_is_refused,
);

async fn open(client: &Client, path: &str, id: Option<&str>) -> EventStream {
    let call = client.get(path);
    match id {
        Some(id) => call.header("last-event-id", id).events().await,
        None => call.events().await,
    }
}

/// Asserts that each partition of each topic was seen from 0 to `count` without gap or repeat.
fn assert_whole(records: &[Record], partitions: &[(&str, u32)], count: u64) {
    assert_eq!(records.len() as u64, count * partitions.len() as u64);
    for (topic, partition) in partitions {
        let of_one = records.iter().filter(|record| record.topic == *topic && record.partition == *partition);
        let offsets: Vec<_> = of_one.map(|record| record.offset).collect();
        assert_eq!(offsets, (0..count).collect::<Vec<_>>(), "{topic}/{partition}");
    }
}

async fn a_stream_resumes_at_every_event_boundary(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (a, b) = (gateway.topic("a", 3).await, gateway.topic("b", 2).await);
    for n in 0..8 {
        for partition in 0..3 {
            a.count(partition, n..n + 1).await;
        }
        for partition in 0..2 {
            b.count(partition, n..n + 1).await;
        }
    }
    let path = "/v1/records?topic=a&topic=b";
    let partitions = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)];
    let whole = open(&gateway, path, None).await.records_with_ids(40).await;
    for cut in 0..=40 {
        let mut seen: Vec<Record> = whole[..cut].iter().map(|(_, record)| record.clone()).collect();
        let id = cut.checked_sub(1).map(|last| whole[last].0.as_str());
        let mut rest = open(&gateway, path, id).await;
        seen.extend(rest.records(40 - cut).await);
        assert_whole(&seen, &partitions, 8);
    }

    let mut id: Option<String> = None;
    let mut seen = Vec::new();
    while seen.len() < 40 {
        let mut stream = open(&gateway, path, id.as_deref()).await;
        seen.push(stream.record().await);
        id = Some(stream.last_event_id);
    }
    assert_whole(&seen, &partitions, 8);
}

async fn a_stream_resumes_after_a_crash_of_the_gateway(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("a", 2).await;
    let mut id: Option<String> = None;
    let mut seen = Vec::new();
    for round in 0..3 {
        for n in round * 5..round * 5 + 5 {
            topic.count(0, n..n + 1).await;
            topic.count(1, n..n + 1).await;
        }
        let mut stream = open(&gateway, &topic.path("/records"), id.as_deref()).await;
        // All but the last, which the next round has to find after the crash.
        let wanted = usize::try_from(round + 1).expect("few") * 10 - 1 - seen.len();
        seen.extend(stream.records(wanted).await);
        id = Some(stream.last_event_id);
        gateway.kill9().await;
        gateway.start_again().await;
    }
    let mut stream = open(&gateway, &topic.path("/records"), id.as_deref()).await;
    seen.push(stream.record().await);
    assert_whole(&seen, &[("a", 0), ("a", 1)], 15);
}

async fn a_stream_resumes_within_the_records_of_one_key(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let records: Vec<_> = (0..30).map(|n| json!({ "key": format!("k{}", n % 3), "value": n })).collect();
    topic.produce(&json!(records)).await;
    let mut id: Option<String> = None;
    let mut seen = Vec::new();
    for _ in 0..10 {
        let mut stream = open(&gateway, &topic.path("/records?key=k1"), id.as_deref()).await;
        seen.push(stream.record().await.json());
        id = Some(stream.last_event_id);
    }
    assert_eq!(seen, (0..10).map(|n| json!(n * 3 + 1)).collect::<Vec<_>>());
}

async fn a_stream_cut_before_its_first_event_misses_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..5).await;
    let mut stream = topic.events("from=latest").await;
    stream.block().await.expect("a first block");
    let id = stream.last_event_id.clone();
    drop(stream);
    topic.count(0, 5..7).await;
    // A browser repeats the URL, `from=latest` included: without the id these two would be missed.
    let resumed = topic.resume("from=latest", &id).await.records(2).await;
    assert_eq!(resumed.iter().map(|record| record.offset).collect::<Vec<_>>(), [5, 6]);
}

async fn the_last_event_id_wins_over_all_other_beginnings(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let ids: Vec<String> = topic.events("").await.records_with_ids(10).await.into_iter().map(|(id, _)| id).collect();
    let first = async |query: &str, header: Option<&str>| {
        open(&gateway, &topic.path(&format!("/records?{query}")), header).await.record().await.offset
    };
    let query = format!("last_event_id={}&cursor={}&from=-1", ids[4], ids[2]);
    assert_eq!(first(&query, Some(&ids[6])).await, 7);
    assert_eq!(first(&query, None).await, 5);
    assert_eq!(first(&format!("cursor={}&from=-1", ids[2]), None).await, 3);
    assert_eq!(first("from=-1", None).await, 9);
    let partition = topic.path("/partitions/0/records?offset=1");
    let mut stream = open(&gateway, &partition, None).await;
    assert_eq!(stream.records(4).await[0].offset, 1);
    assert_eq!(open(&gateway, &partition, Some(&stream.last_event_id)).await.record().await.offset, 5);
    let of_the_topic = open(&gateway, &partition, Some(&ids[6])).await.record().await.offset;
    assert_eq!(of_the_topic, 7, "an id of all partitions holds for one of them");
}

async fn an_id_is_a_cursor_and_a_cursor_an_id(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    for partition in 0..3 {
        topic.count(partition, 0..4).await;
    }
    let page = topic.read("max_records=5").await;
    let mut stream = topic.resume("", &page.cursor).await;
    let mut seen = page.records;
    seen.extend(stream.records(3).await);
    seen.extend(topic.read(&format!("cursor={}", stream.last_event_id)).await.records);
    assert_whole(&seen, &[("orders", 0), ("orders", 1), ("orders", 2)], 4);
}

async fn an_empty_or_malformed_id_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..3).await;
    let good = topic.read("").await.cursor;
    let cut = &good[..good.len() - 1];
    let long = "A".repeat(2000);
    for id in ["", " ", "0", "42", "null", "undefined", "a b", cut, &long, "'; DROP TABLE batch;--"] {
        let call = gateway.get(&topic.path("/records")).header("accept", "text/event-stream");
        call.header("last-event-id", id).send().await.problem(400, "invalid_cursor");
    }
    for id in ["", "42", cut] {
        let path = topic.path(&format!("/records?format=sse&last_event_id={id}"));
        gateway.get(&path).send().await.problem(400, "invalid_cursor");
    }
    let twice = format!("/records?format=sse&last_event_id={good}&last_event_id={good}");
    gateway.get(&topic.path(&twice)).send().await.refusal(400);
}

async fn a_foreign_id_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (a, b) = (gateway.topic("a", 1).await, gateway.topic("b", 1).await);
    a.count(0, 0..3).await;
    b.count(0, 0..3).await;
    let of_a = a.read("max_records=1").await.cursor;
    let call = gateway.get(&b.path("/records")).header("accept", "text/event-stream");
    call.header("last-event-id", &of_a).send().await.problem(400, "invalid_cursor");
    let other = Gateway::start(backend).await;
    let namesake = other.topic("a", 1).await;
    let call = other.get(&namesake.path("/records")).header("accept", "text/event-stream");
    let answer = call.header("last-event-id", &of_a).send().await;
    assert!([400, 410].contains(&answer.status), "another topic of the same name: {answer:?}");
}

async fn an_id_in_the_future_is_refused(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..5).await;
    gateway.stop().await;
    let backup = gateway.back_up().await;
    gateway.start_again().await;
    topic.count(0, 5..10).await;
    let ahead = topic.read("").await.cursor;
    gateway.stop().await;
    gateway.restore(&backup).await;
    gateway.start_again().await;

    // The log is shorter than the reader remembers: that must be told, and never waited out.
    let call = gateway.get(&topic.path("/records")).header("accept", "text/event-stream");
    let problem = call.header("last-event-id", &ahead).send().await.problem(416, "offset_out_of_range");
    let partition = json!({
        "topic": "orders", "partition": 0, "requested_offset": 10, "log_start_offset": 0, "high_watermark": 5,
    });
    assert_eq!(problem["partitions"], json!([partition]));
    topic.try_read(&format!("cursor={ahead}")).await.problem(416, "offset_out_of_range");
    topic.try_read(&format!("cursor={ahead}&wait_ms=50000")).await.problem(416, "offset_out_of_range");
    let beyond = gateway.get(&topic.path("/partitions/0/records?offset=6&format=sse")).send().await;
    beyond.problem(416, "offset_out_of_range");
}

async fn an_id_of_a_former_topic_is_410(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..3).await;
    let mut stream = topic.events("").await;
    stream.records(3).await;
    let id = stream.last_event_id.clone();
    topic.delete().await;
    let topic = Topic::create(&gateway, "orders", 1).await;
    topic.count(0, 100..105).await;
    let call = gateway.get(&topic.path("/records")).header("accept", "text/event-stream");
    let problem = call.header("last-event-id", &id).send().await.problem(410, "topic_recreated");
    let onward = problem["cursor"].as_str().expect("a 410 has a cursor that goes on");
    assert_eq!(topic.resume("", onward).await.record().await.value(), "100");
}
