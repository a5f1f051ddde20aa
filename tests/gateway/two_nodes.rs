//! Two nodes on one database: what one has acknowledged, the other knows, and either will do for any request.

use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::history::History;
use crate::harness::on_postgres;
use crate::harness::record::Receipt;
use crate::harness::record::Record;
use crate::harness::topic::Topic;
use crate::harness::wait::eventually;
use crate::harness::wait::within;

on_postgres!(
    what_one_node_acknowledged_the_other_reads_at_once,
    who_waits_on_one_node_wakes_for_a_record_of_the_other,
    a_cursor_and_an_id_go_on_at_the_other_node,
    a_key_repeated_at_the_other_node_is_written_once,
    a_key_sent_to_both_nodes_at_once_is_written_once,
    a_topic_made_on_one_node_is_known_to_the_other,
    partitions_added_on_one_node_are_known_to_the_other,
    a_topic_deleted_on_one_node_is_gone_from_the_other,
    a_topic_made_anew_on_one_node_is_another_on_the_other,
    records_trimmed_on_one_node_are_gone_from_the_other,
    a_node_outlives_the_end_of_the_other,
    whichever_node_is_paused_the_other_keeps_the_logs_short,
    age_is_told_by_the_clock_of_the_database,
);

/// Far less than the waits asked for, so that a missed wake-up is seen, and far more than a wake-up takes.
const PROMPTLY: Duration = Duration::from_secs(10);

/// The same for the one in the middle of many, which a pause of the machine does not touch.
const USUALLY: Duration = Duration::from_secs(1);

async fn two_nodes(backend: Backend) -> (Gateway, Gateway) {
    let first = Gateway::start(backend).await;
    let second = first.second_node().await;
    (first, second)
}

/// The same topic as the other node tells it.
fn at(gateway: &Gateway, topic: &Topic) -> Topic {
    Topic::named(gateway, &topic.name)
}

async fn what_one_node_acknowledged_the_other_reads_at_once(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let on_a = a.topic("orders", 3).await;
    let on_b = at(&b, &on_a);
    let mut cursors = [on_a.read("").await.cursor, on_b.read("").await.cursor];
    for n in 0..200 {
        let nodes = if n % 2 == 0 { [&on_a, &on_b] } else { [&on_b, &on_a] };
        let [writer, reader] = nodes;
        let receipt = writer.value(format!("[{n}]")).await;
        // Each way to read in turn: by cursor, by place, and by what is told of the partition.
        let cursor = &mut cursors[usize::from(n % 2 == 0)];
        match n % 6 / 2 {
            0 => {
                let page = reader.read(&format!("max_records=1000&cursor={cursor}")).await;
                assert!(page.values().contains(&format!("[{n}]").as_str()), "round {n}: {:?}", page.values());
                *cursor = page.cursor;
            }
            1 => {
                let path = format!("/partitions/{}/records/{}", receipt.partition, receipt.offset);
                let record: Record = reader.client.get(&reader.path(&path)).send().await.is(200).parse();
                assert_eq!(record.value(), format!("[{n}]"));
            }
            _ => assert_eq!(reader.high_watermark(receipt.partition).await, receipt.offset + 1, "round {n}"),
        }
    }
    for topic in [on_a, on_b] {
        let history = History::of(&topic).await;
        assert_eq!(history.assert_dense().assert_no_value_twice().len(), 200);
    }
}

async fn who_waits_on_one_node_wakes_for_a_record_of_the_other(backend: Backend) {
    const ROUNDS: u64 = 15;
    let (a, b) = two_nodes(backend).await;
    let on_a = a.topic("orders", 1).await;
    let on_b = at(&b, &on_a);
    on_a.count(0, 0..1).await;
    let mut stream = on_b.events("").await;
    stream.records(1).await;
    let mut lines = on_b.lines("format=ndjson&follow=true").await;
    lines.records(1).await;
    let mut cursor = on_b.read("").await.cursor;
    let mut times = Vec::new();
    for n in 1..=ROUNDS {
        let begun = Instant::now();
        let wait = format!("cursor={cursor}&wait_ms=50000");
        let all = async { tokio::join!(on_b.read(&wait), stream.record(), lines.record(), on_a.count(0, n..n + 1)) };
        let (page, event, line, _) = within(PROMPTLY, "all who wait to wake", all).await;
        assert_eq!((page.offsets(), event.offset, line.offset), (vec![n], n, n));
        cursor = page.cursor;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    assert!(times[times.len() / 2] < USUALLY, "{times:?}");
}

async fn a_cursor_and_an_id_go_on_at_the_other_node(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let on_a = a.topic("orders", 2).await;
    let nodes = [at(&b, &on_a), on_a.clone()];
    for partition in 0..2 {
        on_a.count(partition, 0..30).await;
    }
    let mut by_page = on_a.read("max_records=7").await;
    let mut paged = std::mem::take(&mut by_page.records);
    let mut streamed = on_a.events("").await.records_with_ids(7).await;
    for node in nodes.iter().cycle() {
        by_page = node.read(&format!("max_records=7&cursor={}", by_page.cursor)).await;
        paged.append(&mut by_page.records);
        let left = 60 - streamed.len();
        let id = streamed.last().expect("seven to begin with").0.clone();
        streamed.append(&mut node.resume("", &id).await.records_with_ids(left.min(7)).await);
        if by_page.at_tail && left <= 7 {
            break;
        }
    }
    let streamed: Vec<Record> = streamed.into_iter().map(|(_, record)| record).collect();
    for records in [paged, streamed] {
        for partition in 0..2 {
            let of_it = records.iter().filter(|record| record.partition == partition);
            let offsets: Vec<_> = of_it.map(|record| record.offset).collect();
            assert_eq!(offsets, (0..30).collect::<Vec<_>>(), "nothing skipped, nothing repeated");
        }
    }
}

/// Posts one raw JSON value under `key`.
async fn post(client: &Client, key: &str, body: String) -> Answer {
    client.post("/v1/topics/orders/values").header("idempotency-key", key).raw_json(body).send().await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

async fn a_key_repeated_at_the_other_node_is_written_once(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let topic = a.topic("orders", 3).await;
    for n in 0..10 {
        let [first, second] = if n % 2 == 0 { [&a, &b] } else { [&b, &a] };
        let key = format!("key-{n}");
        let written = post(first, &key, n.to_string()).await.is(201);
        let again = post(second, &key, n.to_string()).await.is(201);
        assert!(!is_replayed(&written) && is_replayed(&again));
        assert_eq!(written.body, again.body);
        post(second, &key, "\"other\"".to_owned()).await.refused_write(422, "idempotency_key_reused");
    }
    assert_eq!(topic.read_all().await.len(), 10);
}

async fn a_key_sent_to_both_nodes_at_once_is_written_once(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let topic = a.topic("orders", 3).await;
    for n in 0..30 {
        let key = format!("key-{n}");
        let body = || n.to_string();
        let (first, second) = tokio::join!(post(&a, &key, body()), post(&b, &key, body()));
        let (first, second) = (first.is(201), second.is(201));
        assert_eq!(first.body, second.body, "round {n}");
        assert_ne!(is_replayed(&first), is_replayed(&second), "one of them wrote in round {n}");
    }
    let history = History::of(&topic).await;
    assert_eq!(history.assert_dense().assert_no_value_twice().len(), 30);
}

/// Two nodes on which no topic comes into being by itself.
async fn two_strict_nodes(backend: Backend) -> (Gateway, Gateway) {
    let first = Gateway::with(backend, &["--auto-create-topics=false"]).await;
    let second = first.second_node().await;
    (first, second)
}

async fn a_topic_made_on_one_node_is_known_to_the_other(backend: Backend) {
    let (a, b) = two_strict_nodes(backend).await;
    for n in 0..20 {
        let [maker, other] = if n % 2 == 0 { [&a, &b] } else { [&b, &a] };
        let name = format!("orders-{n}");
        // Asked for before it is there: what was denied a moment ago must not be remembered.
        other.get(&format!("/v1/topics/{name}")).send().await.problem(404, "unknown_topic");
        let topic = at(other, &maker.topic(&name, 2).await);
        match n / 2 % 3 {
            0 => assert_eq!(topic.count(1, 7..8).await[0].offset, 0),
            1 => assert!(topic.read("").await.records.is_empty()),
            _ => assert_eq!(topic.describe().await["partition_count"], 2),
        }
        let again = other.put(&topic.path("")).json(&json!({ "partition_count": 2 })).send().await;
        again.is(200);
    }
}

async fn partitions_added_on_one_node_are_known_to_the_other(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let on_a = a.topic("orders", 1).await;
    let on_b = at(&b, &on_a);
    on_b.count(0, 0..1).await;
    let mut stream = on_b.events("").await;
    stream.records(1).await;
    on_a.grow_to(4).await;
    let receipts = on_b.count(3, 1..2).await;
    assert_eq!((receipts[0].partition, receipts[0].offset), (3, 0), "known at once where it is named");
    on_a.count(2, 2..3).await;
    assert_eq!(on_b.read("partition=2").await.values(), ["2"]);
    let mut new = [within(PROMPTLY, "a record of a new partition", stream.record()).await.partition, 0];
    new[1] = within(PROMPTLY, "a record of a new partition", stream.record()).await.partition;
    new.sort_unstable();
    assert_eq!(new, [2, 3], "an open stream reads them as well");
}

async fn a_topic_deleted_on_one_node_is_gone_from_the_other(backend: Backend) {
    let (a, b) = two_strict_nodes(backend).await;
    let on_a = a.topic("orders", 2).await;
    let on_b = at(&b, &on_a);
    on_b.count(0, 0..3).await;
    let mut stream = on_b.events("").await;
    stream.records(3).await;
    let cursor = on_b.read("").await.cursor;
    on_a.delete().await;
    let write = on_b.client.post(&on_b.path("/values")).body("x").send().await;
    write.refused_write(404, "unknown_topic");
    eventually("reads end", async || (on_b.try_read("").await.status == 404).then_some(())).await;
    for query in [String::new(), format!("cursor={cursor}"), format!("cursor={cursor}&wait_ms=50000")] {
        let answer = within(PROMPTLY, "a refusal", on_b.try_read(&query)).await;
        answer.problem(404, "unknown_topic");
    }
    let ended = within(PROMPTLY, "the end of a stream", async { while stream.block().await.is_some() {} });
    ended.await;
    assert_eq!(b.get("/v1/topics").send().await.is(200).json()["topics"], json!([]));
}

async fn a_topic_made_anew_on_one_node_is_another_on_the_other(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let on_a = a.topic("orders", 2).await;
    let on_b = at(&b, &on_a);
    for round in 0..5 {
        on_b.count(1, 0..6).await;
        let cursor = on_b.read("").await.cursor;
        on_a.delete().await;
        a.topic("orders", 2).await;
        let receipts = on_b.count(1, 100..103).await;
        let offsets: Vec<_> = receipts.iter().map(|receipt| receipt.offset).collect();
        assert_eq!(offsets, [0, 1, 2], "what is written after that is of the new one in round {round}");
        assert_eq!(on_b.read("partition=1").await.values(), ["100", "101", "102"]);
        let problem = on_b.try_read(&format!("cursor={cursor}")).await.problem(410, "topic_recreated");
        let onward = problem["cursor"].as_str().expect("a 410 has a cursor that goes on");
        assert_eq!(on_b.read(&format!("cursor={onward}")).await.values(), ["100", "101", "102"]);
        on_a.delete().await;
        a.topic("orders", 2).await;
    }
}

async fn records_trimmed_on_one_node_are_gone_from_the_other(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let on_a = a.topic("orders", 1).await;
    let on_b = at(&b, &on_a);
    on_a.count(0, 0..10).await;
    let begin = on_b.read("max_records=1").await;
    on_a.trim(0, 5).await;
    let answer = on_b.try_read(&format!("cursor={}", begin.cursor)).await;
    let problem = answer.problem(410, "offset_expired");
    assert_eq!(problem["partitions"][0]["log_start_offset"], 5);
    assert_eq!(on_b.read("").await.offsets(), [5, 6, 7, 8, 9]);
}

async fn a_node_outlives_the_end_of_the_other(backend: Backend) {
    let (mut a, mut b) = two_nodes(backend).await;
    let topic = a.topic("orders", 2).await;
    let mut acknowledged: Vec<(Receipt, String)> = Vec::new();
    for round in 0..4 {
        let [ending, staying] = if round % 2 == 0 { [&mut a, &mut b] } else { [&mut b, &mut a] };
        let value = format!("\"before-{round}\"");
        acknowledged.push((at(ending, &topic).value(value.clone()).await, value));
        if round < 2 {
            ending.kill9().await;
        } else {
            ending.stop().await;
        }
        let on_other = at(staying, &topic);
        let value = format!("\"while-{round}\"");
        acknowledged.push((on_other.value(value.clone()).await, value));
        ending.start_again().await;
        for node in [&*ending, &*staying] {
            let history = History::of(&at(node, &topic)).await;
            history.assert_dense().assert_holds(&acknowledged).assert_no_value_twice();
            assert_eq!(history.len(), acknowledged.len());
        }
    }
}

/// Waits until the topic's first partition begins there.
async fn begins_at(topic: &Topic, offset: u64) {
    eventually("retention moves the log start", async || {
        let start = topic.describe().await["partitions"][0]["log_start_offset"].as_u64();
        (start == Some(offset)).then_some(())
    })
    .await;
}

async fn whichever_node_is_paused_the_other_keeps_the_logs_short(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let newest = json!({ "partition_count": 1, "retention_bytes": 1 });
    a.put("/v1/topics/orders").json(&newest).send().await.is(201);
    for (round, [paused, at_work]) in (0..).zip([[&a, &b], [&b, &a]]) {
        // With all its connections to the database.
        paused.pause();
        let topic = Topic::named(at_work, "orders");
        topic.count(0, 2 * round..2 * round + 1).await;
        let last = topic.count(0, 2 * round + 1..2 * round + 2).await[0].offset;
        begins_at(&topic, last).await;
        paused.resume();
    }
}

async fn age_is_told_by_the_clock_of_the_database(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    // As on a server whose clock is so far behind that of the nodes.
    let clock = async |behind_ms: u64| {
        let sql = format!(
            "create or replace function tidegate_now() returns bigint language sql volatile as
             $$ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint - {behind_ms} $$"
        );
        a.sql(&sql).await;
    };
    clock(7_200_000).await;
    let hour = json!({ "partition_count": 1, "retention_ms": 3_600_000 });
    a.put("/v1/topics/young").json(&hour).send().await.is(201);
    let young = Topic::named(&b, "young");
    young.count(0, 0..1).await;
    // Topics are swept in the order of their making: once the other has been, so has the first.
    let newest = json!({ "partition_count": 1, "retention_bytes": 1 });
    a.put("/v1/topics/swept").json(&newest).send().await.is(201);
    let swept = Topic::named(&b, "swept");
    swept.count(0, 0..1).await;
    swept.count(0, 1..2).await;
    begins_at(&swept, 1).await;
    assert_eq!(young.read("").await.records.len(), 1, "by the clock of its append it is young");

    clock(0).await;
    begins_at(&young, 1).await;
}
