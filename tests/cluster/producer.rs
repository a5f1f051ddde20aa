//! A producer: one write after the other, each to any node, and now and then a look whether another node has it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::PARTITIONS;
use crate::TOPIC;
use crate::answers::Call;
use crate::answers::Said;
use crate::check::Place;
use crate::check::Write;
use crate::clients::Clients;
use crate::clients::id;
use crate::clients::number;

/// Between one write and the next.
const PACE: Duration = Duration::from_millis(80);

/// Records in a write, at most.
const RECORDS_MAX: usize = 16;

/// The ids of each producer's records begin at a multiple of this.
const IDS: u64 = 1_000_000_000_000;

/// What to do when it is not known whether a write was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Send it again under its idempotency key, until it is acknowledged.
    Key,
    /// Send it again without a key, until it is acknowledged.
    Again,
    /// Give it up.
    GiveUp,
}

pub(crate) struct Producer {
    pub(crate) number: usize,
    pub(crate) manner: Manner,
    /// Whether its records have keys; else they name partitions or leave that to the node.
    pub(crate) has_keys: bool,
    pub(crate) random: fastrand::Rng,
    pub(crate) clients: Arc<Clients>,
}

/// What a producer did, and how often it looked whether another node has what one acknowledged.
#[derive(Default)]
pub(crate) struct Produced {
    pub(crate) writes: Vec<Write>,
    pub(crate) looks: usize,
    pub(crate) replays: usize,
}

impl Producer {
    /// Writes until it is told to stop.
    pub(crate) async fn produce(mut self, stop: CancellationToken) -> Produced {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut produced = Produced::default();
        let mut next_id = IDS * u64::try_from(self.number).expect("few");
        while !stop.is_cancelled() {
            pace.tick().await;
            let count = self.random.usize(1..=RECORDS_MAX);
            let ids: Vec<u64> = (next_id..).take(count).collect();
            next_id += u64::try_from(count).expect("few");
            let body = json!({ "records": ids.iter().map(|id| self.record(*id)).collect::<Vec<_>>() });
            let (write, node) = self.write(ids, &body).await;
            if write.acknowledged.is_some() && self.random.u8(..4) == 0 {
                produced.looks += usize::from(self.look(&write, node).await);
            }
            if write.acknowledged.is_some() && write.has_key && self.random.u8(..8) == 0 {
                produced.replays += usize::from(self.replay(&write, &body, node).await);
            }
            produced.writes.push(write);
        }
        produced
    }

    fn record(&mut self, id: u64) -> Value {
        if self.has_keys {
            return json!({ "key": format!("user-{}", self.random.u8(..50)), "value": { "id": id } });
        }
        match self.manner {
            Manner::Again => json!({ "value": { "id": id } }),
            _ => json!({ "partition": self.random.usize(..PARTITIONS), "value": { "id": id } }),
        }
    }

    /// One write, sent as often as the manner says; and the node that was asked last.
    async fn write(&mut self, ids: Vec<u64>, body: &Value) -> (Write, usize) {
        let mut write = Write { ids, has_key: self.manner == Manner::Key, ..Write::default() };
        loop {
            let node = self.clients.any(&mut self.random);
            let (said, answer) = self.send(node, &write, body).await;
            match said {
                Said::Fine => {
                    write.acknowledged = Some(places(&answer));
                    assert_eq!(write.acknowledged.as_ref().map(Vec::len), Some(write.ids.len()), "{answer}");
                    return (write, node);
                }
                Said::Unknown | Said::Broken => {
                    write.open += 1;
                    if self.manner == Manner::GiveUp {
                        return (write, node);
                    }
                }
                Said::Away | Said::NoNode | Said::Fenced => {}
            }
        }
    }

    async fn send(&self, node: usize, write: &Write, body: &Value) -> (Said, Value) {
        let mut request = self.clients.request(node, Method::POST, &format!("/v1/topics/{TOPIC}/records")).json(body);
        if write.has_key {
            request = request.header("idempotency-key", format!("write-{}", write.ids[0]));
        }
        let reply = self.clients.call(node, Call::Produce, Duration::ZERO, request).await;
        (reply.said, reply.body)
    }

    /// Whether another node than the one that acknowledged a record was there to be asked for it; it must have it.
    async fn look(&mut self, write: &Write, node: usize) -> bool {
        let other = self.other(node);
        let index = self.random.usize(..write.ids.len());
        let Place { partition, offset } = write.acknowledged.as_ref().expect("it was acknowledged")[index];
        let path = format!("/v1/topics/{TOPIC}/partitions/{partition}/records");
        let is_page = self.random.bool();
        let path = if is_page { format!("{path}?offset={offset}&max_records=1") } else { format!("{path}/{offset}") };
        let request = self.clients.request(other, Method::GET, &path);
        // The call panics if the node says that there is no such record.
        let reply = self.clients.call(other, Call::Read, Duration::ZERO, request).await;
        if reply.said != Said::Fine {
            return false;
        }
        let found = if is_page { reply.body["records"].get(0).cloned().unwrap_or_default() } else { reply.body };
        assert!(found.is_object(), "node {node} acknowledged a record that node {other} does not show: {path}");
        assert_eq!(id(&found), write.ids[index], "node {other}: {path}");
        true
    }

    /// Whether another node was there to be sent an acknowledged write again; it must answer the same.
    async fn replay(&mut self, write: &Write, body: &Value, node: usize) -> bool {
        let (said, answer) = self.send(self.other(node), write, body).await;
        if said != Said::Fine {
            return false;
        }
        assert_eq!(Some(places(&answer)), write.acknowledged, "a write that is repeated is answered as at first");
        true
    }

    fn other(&self, node: usize) -> usize {
        (node + 1) % self.clients.urls.len()
    }
}

fn places(answer: &Value) -> Vec<Place> {
    let list = answer["offsets"].as_array().unwrap_or_else(|| panic!("receipts: {answer}"));
    let place = |one: &Value| Place { partition: number(&one["partition"]), offset: number(&one["offset"]) };
    list.iter().map(place).collect()
}
