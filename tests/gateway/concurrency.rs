//! Many producers at once: dense offsets, order per connection, every acknowledgement kept.

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::history::History;
use crate::harness::on_each_backend;
use crate::harness::record::Receipt;
use crate::harness::record::Record;
use crate::harness::topic::Topic;

on_each_backend!(
    sixty_four_producers_leave_dense_offsets_in_their_order,
    what_was_acknowledged_is_read_at_once,
    topics_come_into_being_once_however_many_ask,
    a_client_that_hangs_up_harms_nobody,
);

type Acknowledged = Vec<(Receipt, String)>;

/// Sends `count` values one after another over a connection of its own.
async fn producer(client: Client, topic: String, name: usize, count: usize) -> Acknowledged {
    let topic = Topic::named(&client, &topic);
    let mut acknowledged = Vec::with_capacity(count);
    for n in 0..count {
        let value = json!({ "producer": name, "n": n }).to_string();
        let receipt = topic.value(value.clone()).await;
        acknowledged.push((receipt, value));
    }
    acknowledged
}

async fn sixty_four_producers_leave_dense_offsets_in_their_order(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 8).await;
    let producers: Vec<_> =
        (0..64).map(|name| tokio::spawn(producer(gateway.client().another(), "orders".to_owned(), name, 30))).collect();
    let mut acknowledged = Vec::new();
    for producer in join_all(producers).await {
        let own = producer.expect("every request is answered");
        let mut last: HashMap<u32, u64> = HashMap::new();
        for (receipt, _) in &own {
            let before = last.insert(receipt.partition, receipt.offset);
            assert!(before.is_none_or(|before| before < receipt.offset), "sent later, lies later");
        }
        acknowledged.extend(own);
    }
    let history = History::of(&topic).await;
    assert_eq!(history.len(), 64 * 30);
    history.assert_dense().assert_holds(&acknowledged).assert_no_value_twice();
    let mut seen: HashMap<(u64, u32), u64> = HashMap::new();
    for partition in 0..8 {
        for value in history.values(partition) {
            let value: Value = serde_json::from_str(value).expect("JSON");
            let number = |name: &str| value[name].as_u64().expect("a number");
            let before = seen.insert((number("producer"), partition), number("n"));
            assert!(before.is_none_or(|before| before < number("n")), "{value} after {before:?}");
        }
    }
}

async fn what_was_acknowledged_is_read_at_once(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    let noise = tokio::spawn(producer(gateway.client().another(), "orders".to_owned(), 0, 200));
    let elsewhere = Topic::named(&gateway.client().another(), "orders");
    for n in 0..200 {
        let receipt = topic.value(format!("[{n}]")).await;
        let path = format!("/partitions/{}/records/{}", receipt.partition, receipt.offset);
        let record: Record = elsewhere.client.get(&elsewhere.path(&path)).send().await.is(200).parse();
        assert_eq!(record.value(), format!("[{n}]"));
        assert!(elsewhere.high_watermark(receipt.partition).await > receipt.offset);
    }
    noise.await.expect("every request is answered");
}

async fn topics_come_into_being_once_however_many_ask(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for round in 0..5 {
        let path = format!("/v1/topics/fresh-{round}/values");
        let clients: Vec<_> = (0..20).map(|_| gateway.client().another()).collect();
        let answers = join_all(clients.iter().map(|client| client.post(&path).body("x").send())).await;
        let created = answers.iter().filter(|answer| answer.header("tidegate-topic-created").is_some()).count();
        assert!(created >= 1 && answers.iter().all(|answer| answer.status == 201));
        let topic = Topic::named(&gateway, &format!("fresh-{round}"));
        assert_eq!(topic.high_watermark(0).await, 20, "all of them wrote to the same topic");
    }
}

async fn a_client_that_hangs_up_harms_nobody(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    for n in 0..100_u64 {
        let client = gateway.client().another();
        let call = client.post(&topic.path("/values")).raw_json(format!("[{n}]"));
        let gone = tokio::spawn(call.try_send());
        // Let go at another moment each time: before, while and after the request is handled.
        for _ in 0..n % 25 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        gone.await.ok();
    }
    let acknowledged = vec![(topic.value("\"after\"").await, "\"after\"".to_owned())];
    let history = History::of(&topic).await;
    history.assert_dense().assert_holds(&acknowledged).assert_no_value_twice();
}
