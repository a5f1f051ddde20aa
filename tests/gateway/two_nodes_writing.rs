//! Two nodes that write to the same partitions at once: one order, without a gap, whoever reads it and where.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::watch;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::history::History;
use crate::harness::on_postgres;
use crate::harness::record::Receipt;
use crate::harness::record::Record;
use crate::harness::sse::EventStream;
use crate::harness::topic::Topic;

on_postgres!(streams_on_both_nodes_see_one_order_without_a_gap, a_paused_node_holds_nobody_up_and_comes_back_whole,);

type Acknowledged = Vec<(Receipt, String)>;

const PARTITIONS: u32 = 4;

/// Sends `count` values one after another over a connection of its own.
async fn producer(client: Client, name: String, count: usize) -> Acknowledged {
    let topic = Topic::named(&client, "orders");
    let mut acknowledged = Vec::with_capacity(count);
    for n in 0..count {
        let value = format!("\"{name}-{n}\"");
        acknowledged.push((topic.value(value.clone()).await, value));
    }
    acknowledged
}

/// What a stream told of each partition, in its order; each must count from 0 without a hole.
fn dense(records: &[Record]) -> BTreeMap<u32, Vec<String>> {
    let mut partitions: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for record in records {
        let seen = partitions.entry(record.partition).or_default();
        assert_eq!(record.offset, seen.len() as u64, "partition {}", record.partition);
        seen.push(record.value().to_owned());
    }
    partitions
}

async fn streams_on_both_nodes_see_one_order_without_a_gap(backend: Backend) {
    const PRODUCERS: usize = 8;
    const EACH: usize = 60;
    let a = Gateway::start(backend).await;
    let b = a.second_node().await;
    let topic = a.topic("orders", PARTITIONS).await;
    let mut streams: Vec<EventStream> = Vec::new();
    for node in [&a, &a, &b, &b] {
        streams.push(Topic::named(&node.client().another(), "orders").events("").await);
    }
    let producers: Vec<_> = (0..2 * PRODUCERS)
        .map(|n| {
            let node = if n % 2 == 0 { &a } else { &b };
            tokio::spawn(producer(node.client().another(), n.to_string(), EACH))
        })
        .collect();
    let all = 2 * PRODUCERS * EACH;
    let told = join_all(streams.iter_mut().map(|stream| stream.records(all))).await;
    let mut acknowledged = Vec::new();
    for producer in join_all(producers).await {
        acknowledged.extend(producer.expect("every request is answered"));
    }
    let first = dense(&told[0]);
    assert_eq!(first.values().map(Vec::len).sum::<usize>(), all);
    for other in &told[1..] {
        assert_eq!(dense(other), first, "one order");
    }
    for node in [&a, &b] {
        let history = History::of(&Topic::named(node, &topic.name)).await;
        history.assert_dense().assert_holds(&acknowledged).assert_no_value_twice();
        assert_eq!(history.len(), all);
        for (partition, values) in &first {
            assert_eq!(&history.values(*partition), values, "the streams told what is there");
        }
    }
}

/// Sends values until told to stop; an answer that is no acknowledgement says what became of the value.
async fn produce_through_a_pause(client: Client, name: String, end: watch::Receiver<bool>) -> Acknowledged {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        if *end.borrow() {
            break;
        }
        let value = format!("\"{name}-{n}\"");
        let answer = client.post("/v1/topics/orders/values").raw_json(value.clone()).send().await;
        match answer.status {
            201 => {
                let mut receipt = answer.json();
                receipt.as_object_mut().expect("an object").remove("stored_as");
                acknowledged.push((serde_json::from_value(receipt).expect("a receipt"), value));
            }
            503 => assert_eq!(answer.refusal(503)["outcome"], "not_written"),
            _ => assert_eq!(answer.problem(500, "outcome_unknown")["outcome"], "unknown"),
        }
    }
    acknowledged
}

async fn a_paused_node_holds_nobody_up_and_comes_back_whole(backend: Backend) {
    const PAUSE: Duration = Duration::from_secs(8);
    /// How long a paused node may hold a partition, and what the machine may be late by.
    const HELD_MAX: Duration = Duration::from_millis(5_000 + 1_000);
    let a = Gateway::start(backend).await;
    let b = a.second_node().await;
    let topic = a.topic("orders", PARTITIONS).await;
    let (end, ended) = watch::channel(false);
    let producers: Vec<_> = (0..8)
        .map(|n| tokio::spawn(produce_through_a_pause(a.client().another(), format!("a{n}"), ended.clone())))
        .collect();
    topic.events("").await.records(200).await;

    a.pause();
    let paused = Instant::now();
    let on_b = Topic::named(&b, "orders");
    let mut acknowledged = Vec::new();
    let mut longest = Duration::ZERO;
    while paused.elapsed() < PAUSE {
        let begun = Instant::now();
        for partition in 0..PARTITIONS {
            let value = format!("\"b-{}\"", acknowledged.len());
            let batch = format!(r#"{{"records":[{{"partition":{partition},"value":{value}}}]}}"#);
            acknowledged.push((on_b.produce_raw(batch).await.remove(0), value));
        }
        longest = longest.max(begun.elapsed());
    }
    assert!(longest < HELD_MAX, "the other node held all partitions for {longest:?}");
    let before = topic_length(&on_b).await;
    a.resume();

    // It takes up its work: what is told of it comes from the other node.
    let mut stream = on_b.events("").await;
    let mut seen = stream.records(usize::try_from(before).expect("few") + 100).await;
    end.send(true).expect("the producers listen");
    for producer in join_all(producers).await {
        acknowledged.extend(producer.expect("a producer ends when it is told to"));
    }
    for node in [&a, &b] {
        let history = History::of(&Topic::named(node, "orders")).await;
        history.assert_dense().assert_holds(&acknowledged).assert_no_value_twice();
        if node.address() == b.address() {
            seen.append(&mut stream.records(history.len() - seen.len()).await);
        }
    }
    dense(&seen);
}

/// Records of all partitions.
async fn topic_length(topic: &Topic) -> u64 {
    let mut length = 0;
    for partition in 0..PARTITIONS {
        length += topic.high_watermark(partition).await;
    }
    length
}
