//! `kill -9` of the real binary under load: what was acknowledged is there, once, and the start is quick.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::history::History;
use crate::harness::on_each_backend;
use crate::harness::record::Receipt;
use crate::harness::record::Receipts;
use crate::harness::wait::eventually;

on_each_backend!(
    every_acknowledged_record_survives_kill_9_under_load,
    a_write_over_several_partitions_survives_whole_or_not_at_all,
    retries_with_a_key_are_written_once_across_a_crash,
);

const PRODUCERS: usize = 8;

/// Sends batches of three until the gateway is gone, and returns what was acknowledged.
async fn produce_until_killed(client: Client, name: String, count: Arc<AtomicUsize>) -> Vec<(Receipt, String)> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let values: Vec<String> = (0..3).map(|part| format!("\"{name}-{n}-{part}\"")).collect();
        let records: Vec<String> = values.iter().map(|value| format!(r#"{{"value":{value}}}"#)).collect();
        let batch = format!(r#"{{"records":[{}]}}"#, records.join(","));
        let Ok(answer) = client.post("/v1/topics/orders/records").raw_json(batch).try_send().await else {
            break;
        };
        let receipts = answer.is(200).parse::<Receipts>().offsets;
        acknowledged.extend(receipts.into_iter().zip(values));
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

async fn every_acknowledged_record_survives_kill_9_under_load(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let count = Arc::new(AtomicUsize::new(0));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|n| {
                let client = gateway.client().another();
                tokio::spawn(produce_until_killed(client, format!("{round}-{n}"), Arc::clone(&count)))
            })
            .collect();
        let enough = 40 + round * 37;
        eventually("some load", async || (count.load(Ordering::Relaxed) >= enough).then_some(())).await;
        gateway.kill9().await;
        for producer in join_all(producers).await {
            acknowledged.extend(producer.expect("a producer ends with the gateway"));
        }

        let begun = Instant::now();
        gateway.start_again().await;
        assert!(begun.elapsed() < Duration::from_secs(10), "a start after {:?}", begun.elapsed());
        let history = History::of(&topic).await;
        history.assert_dense().assert_holds(&acknowledged).assert_no_value_twice();
    }
    assert!(acknowledged.len() >= 5 * 40 * 3);
}

async fn a_write_over_several_partitions_survives_whole_or_not_at_all(backend: Backend) {
    const PARTITIONS: u64 = 5;
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 5).await;
    for round in 0..3 {
        let count = Arc::new(AtomicUsize::new(0));
        let (client, counter) = (gateway.client().another(), Arc::clone(&count));
        let writer = tokio::spawn(async move {
            for n in 0.. {
                let records: Vec<_> =
                    (0..PARTITIONS).map(|p| json!({ "partition": p, "value": format!("{round}-{n}") })).collect();
                let call = client.post("/v1/topics/orders/records").json(&json!({ "records": records }));
                if call.try_send().await.is_err() {
                    break;
                }
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        eventually("some load", async || (count.load(Ordering::Relaxed) >= 30).then_some(())).await;
        gateway.kill9().await;
        writer.await.expect("the writer ends with the gateway");
        gateway.start_again().await;
        let history = History::of(&topic).await;
        history.assert_dense();
        for partition in 1..5 {
            assert_eq!(history.values(partition), history.values(0), "every write is whole");
        }
    }
}

async fn retries_with_a_key_are_written_once_across_a_crash(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    let send = async |client: &Client, n: usize| {
        let call = client.post("/v1/topics/orders/values").header("idempotency-key", &format!("order-{n}"));
        call.raw_json(format!("\"order-{n}\"")).try_send().await
    };
    let mut acknowledged = Vec::new();
    let mut n = 0;
    for _ in 0..4 {
        let client = gateway.client().another();
        let attempts: Vec<_> = (n..n + 32).collect();
        let load = join_all(attempts.iter().map(|n| send(&client, *n)));
        let kill = async {
            tokio::task::yield_now().await;
            gateway.kill9().await;
        };
        let (first, ()) = tokio::join!(load, kill);
        gateway.start_again().await;
        let client = gateway.client().another();
        for (n, first) in attempts.iter().zip(first) {
            let again = send(&client, *n).await.expect("the gateway is back").is(201);
            if let Ok(first) = first {
                assert_eq!(again.body, first.is(201).body, "order {n} was acknowledged before the crash");
            }
            acknowledged.push((again.json(), format!("\"order-{n}\"")));
        }
        n += 32;
    }
    let acknowledged: Vec<(Receipt, String)> = acknowledged
        .into_iter()
        .map(|(mut answer, value)| {
            answer.as_object_mut().expect("an object").remove("stored_as");
            (serde_json::from_value(answer).expect("a receipt"), value)
        })
        .collect();
    let history = History::of(&topic).await;
    history.assert_dense().assert_holds(&acknowledged).assert_no_value_twice();
    assert_eq!(history.len(), 128, "no order is written twice");
}
