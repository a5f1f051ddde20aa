//! Groups whose members speak to different nodes: one coordinator, wherever a call comes in.

use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::read_together;
use crate::harness::member::settle;
use crate::harness::on_postgres;
use crate::harness::record::Record;
use crate::harness::sse::EventStream;
use crate::harness::wait::DEADLINE;
use crate::harness::wait::within;

on_postgres!(
    a_member_may_poll_at_another_node_each_time,
    members_on_two_nodes_share_and_skip_and_repeat_nothing,
    a_waiting_member_wakes_for_a_record_of_the_other_node,
    a_waiting_member_gets_what_another_leaves_on_the_other_node,
    a_name_taken_over_on_the_other_node_fences_polls_and_streams,
    a_stream_goes_on_at_the_other_node_in_the_same_epoch,
    the_partitions_of_a_dead_nodes_stream_go_to_the_other_node_in_time,
    a_prefix_matches_topics_made_on_the_other_node,
    a_forced_reset_on_the_other_node_rewinds_a_live_member,
);

/// Far less than the waits asked for, so that a missed wake-up is seen, and far more than a wake-up takes.
const PROMPTLY: Duration = Duration::from_secs(10);

/// What the machine may be late by, beyond what the contract allows.
const SLACK: Duration = Duration::from_secs(10);

async fn two_nodes(backend: Backend) -> (Gateway, Gateway) {
    let first = Gateway::start(backend).await;
    let second = first.second_node().await;
    (first, second)
}

/// What begins a member that no test outlives and whose polls may wait as long as the server lets them.
fn start() -> Value {
    json!({ "topics": ["orders"], "lease_ms": 900_000 })
}

fn member(client: &Client, name: &str) -> Member {
    Member::new(client, "g", name, start())
}

fn places(records: &[Record]) -> Vec<(u32, u64)> {
    let mut places: Vec<_> = records.iter().map(|record| (record.partition, record.offset)).collect();
    places.sort_unstable();
    places
}

fn all_places(partitions: u32, records: u64) -> Vec<(u32, u64)> {
    (0..partitions).flat_map(|partition| (0..records).map(move |offset| (partition, offset))).collect()
}

/// A member's stream, and its first event, which must be an assignment: epoch and the number of partitions.
async fn stream(client: &Client, query: &str, id: Option<&str>) -> (EventStream, u64, usize) {
    let call = client.get(&format!("/v1/groups/g/members/m/records?topic=orders{query}"));
    let mut stream = match id {
        Some(id) => call.header("last-event-id", id).events().await,
        None => call.events().await,
    };
    let event = stream.event().await;
    assert_eq!(event.event.as_deref(), Some("assignment"), "{event:?}");
    let told = event.json();
    let held = told["assignments"].as_array().expect("a list of assignments").len();
    (stream, told["epoch"].as_u64().expect("an epoch"), held)
}

async fn a_member_may_poll_at_another_node_each_time(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let topic = a.topic("orders", 2).await;
    let mut member = member(&a, "m");
    let mut records = member.begin().await.records;
    let epoch = member.epoch;
    for n in 0..20 {
        topic.count(n % 2, 0..2).await;
        member.turn_to(if n % 2 == 0 { &b } else { &a });
        records.append(&mut member.poll().await.records);
        member.heartbeat().await.is(200);
    }
    assert_eq!(member.epoch, epoch, "one run");
    assert_eq!(places(&records), all_places(2, 20), "nothing skipped, nothing repeated");
    member.turn_to(&b);
    member.commit().await.is(200);
    for (node, partition) in [(&a, 0), (&b, 1)] {
        assert_eq!(committed(node, "g", "orders", partition).await, Some(20));
    }
}

async fn members_on_two_nodes_share_and_skip_and_repeat_nothing(backend: Backend) {
    const ROUNDS: u64 = 5;
    let (a, b) = two_nodes(backend).await;
    let on_a = a.topic("orders", 6).await;
    let shares = |members: &[Member]| members.iter().map(|member| member.held.len()).collect::<Vec<_>>();
    let mut members = vec![member(&a, "a")];
    let mut records = Vec::new();
    // They come one by one, alternately here and there, then the first of them goes.
    for (name, node) in [("b", Some(&b)), ("c", Some(&a)), ("", None)] {
        for n in 0..ROUNDS {
            let all: Vec<_> = (0..6).map(|partition| json!({ "partition": partition, "value": n })).collect();
            on_a.produce(&json!(all)).await;
            for member in &mut members {
                records.append(&mut member.poll().await.records);
            }
        }
        match node {
            Some(node) => members.push(member(node, name)),
            None => {
                let mut first = members.remove(0);
                first.commit().await.is(200);
                first.leave().await;
            }
        }
        let share = 6 / members.len();
        records.append(&mut settle(&mut members, |all| shares(all).iter().all(|held| *held == share)).await);
    }
    let all = 6 * 3 * usize::try_from(ROUNDS).expect("few");
    records.append(&mut read_together(&mut members, all - records.len()).await);
    assert_eq!(places(&records), all_places(6, 3 * ROUNDS), "nothing skipped, nothing repeated");
}

async fn a_waiting_member_wakes_for_a_record_of_the_other_node(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let on_a = a.topic("orders", 1).await;
    let mut member = member(&b, "m");
    member.begin().await;
    for n in 0..10 {
        let both = async { tokio::join!(member.poll_with(json!({ "wait_ms": 50_000 })), on_a.count(0, n..n + 1)) };
        let (poll, _) = within(PROMPTLY, "the poll to wake", both).await;
        assert_eq!(poll.offsets(), [n]);
    }
}

async fn a_waiting_member_gets_what_another_leaves_on_the_other_node(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let topic = a.topic("orders", 2).await;
    for partition in 0..2 {
        topic.count(partition, 0..5).await;
    }
    let mut old = member(&a, "old");
    old.take(10).await;
    let mut new = member(&b, "new");
    assert!(new.begin().await.assignments.is_empty(), "what is read and not committed stays with its reader");
    // Its next call commits all it read and lets one partition go: the other waits for that on its own node.
    let both = async { tokio::join!(new.poll_with(json!({ "wait_ms": 50_000 })), old.poll()) };
    let (poll, _) = within(PROMPTLY, "a partition", both).await;
    assert_eq!((poll.assignments.len(), old.held.len()), (1, 1));
    assert_eq!(poll.assignments[0].next_offset, 5);
    let both = async { tokio::join!(new.poll_with(json!({ "wait_ms": 50_000 })), old.leave()) };
    let (poll, ()) = within(PROMPTLY, "the other partition", both).await;
    assert_eq!(poll.assignments.len(), 2);
    for partition in 0..2 {
        topic.count(partition, 5..6).await;
    }
    assert_eq!(places(&new.take(2).await), [(0, 5), (1, 5)]);
}

async fn a_name_taken_over_on_the_other_node_fences_polls_and_streams(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    a.topic("orders", 1).await.count(0, 0..10).await;
    let mut former = Member::new(&a, "g", "m", json!({ "topics": ["orders"], "lease_ms": 60_000, "max_records": 5 }));
    assert_eq!(former.begin().await.offsets(), [0, 1, 2, 3, 4]);

    let mut taken = member(&b, "m");
    taken.begin().await;
    assert!(taken.epoch > former.epoch);
    for answer in [former.commit().await, former.try_poll(json!({})).await, former.heartbeat().await] {
        let problem = answer.problem(409, "stale_epoch");
        assert_eq!(problem["current_epoch"], taken.epoch, "{problem}");
    }
    assert_eq!(committed(&b, "g", "orders", 0).await.unwrap_or(0), 0, "nothing of it was kept");

    // A stream takes over from that, on the first node, and a poll on the second one from the stream. Its next renewal is
    // minutes away: the news ends it.
    let (mut stream, epoch, held) = stream(&a, "&lease_ms=900000", None).await;
    assert!(epoch > taken.epoch && held == 1);
    taken.heartbeat().await.problem(409, "stale_epoch");
    taken.begin().await;
    let ended = within(PROMPTLY, "the end of the stream", async {
        let mut last = stream.event().await;
        while let Some(event) = stream.try_event().await {
            last = event;
        }
        last
    });
    let last = ended.await;
    assert_eq!((last.event.as_deref(), &last.json()["code"]), (Some("problem"), &json!("stale_epoch")));
    taken.heartbeat().await.is(200);
}

async fn a_stream_goes_on_at_the_other_node_in_the_same_epoch(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let topic = a.topic("orders", 2).await;
    for partition in 0..2 {
        topic.count(partition, 0..6).await;
    }
    let (mut open, epoch, _) = stream(&a, "&lease_ms=60000", None).await;
    let mut records = open.records(1).await;
    for n in 1..12 {
        let id = open.last_event_id.clone();
        drop(open);
        let node = if n % 2 == 0 { &a } else { &b };
        let (next, same, held) = stream(node, "&lease_ms=60000", Some(&id)).await;
        assert_eq!((same, held), (epoch, 2), "the same run, at another node");
        open = next;
        records.append(&mut open.records(1).await);
    }
    assert_eq!(places(&records), all_places(2, 6), "nothing skipped, nothing repeated");
}

async fn the_partitions_of_a_dead_nodes_stream_go_to_the_other_node_in_time(backend: Backend) {
    let (mut a, b) = two_nodes(backend).await;
    let topic = a.topic("orders", 2).await;
    let lease = Duration::from_secs(3);
    let (mut open, _, held) = stream(&a, "&lease_ms=3000", None).await;
    assert_eq!(held, 2);
    topic.count(0, 0..3).await;
    open.records(3).await;
    let mut spare = member(&b, "spare");
    spare.begin().await;
    a.kill9().await;
    let dead = Instant::now();
    let records = spare.hold(2).await;
    let limit = lease + Duration::from_secs(1) + SLACK;
    assert!(dead.elapsed() <= limit, "{:?} for a lease of {lease:?}", dead.elapsed());
    let records = if records.is_empty() { spare.take(3).await } else { records };
    assert_eq!(places(&records), [(0, 0), (0, 1), (0, 2)], "what was sent and not committed is read again");
}

async fn a_prefix_matches_topics_made_on_the_other_node(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    let mut reader = Member::new(&b, "g", "m", json!({ "topic_prefix": "order.", "lease_ms": 900_000 }));
    assert!(reader.begin().await.assignments.is_empty(), "nothing matches yet");
    for (name, matches) in [("order.a", true), ("orders", false), ("order.b", true)] {
        let make = async {
            let topic = a.topic(name, 2).await;
            topic.count(0, 0..1).await;
            topic.count(1, 0..1).await;
        };
        if matches {
            let read = async { tokio::join!(reader.take(2), make) };
            let (records, ()) = within(PROMPTLY, "records of the new topic", read).await;
            assert!(records.iter().all(|record| record.topic == name), "{records:?}");
        } else {
            make.await;
        }
    }
    assert_eq!(reader.held.len(), 4, "{:?}", reader.held);
}

async fn a_forced_reset_on_the_other_node_rewinds_a_live_member(backend: Backend) {
    let (a, b) = two_nodes(backend).await;
    a.topic("orders", 1).await.count(0, 0..10).await;
    let mut member = member(&b, "m");
    assert_eq!(member.begin().await.records.len(), 10);
    let body = json!({ "topic": "orders", "partition": 0, "offset": 4 });
    a.put("/v1/groups/g/offsets").json(&body).send().await.problem(409, "group_active");
    let body = json!({ "topic": "orders", "partition": 0, "offset": 4, "force": true });
    a.put("/v1/groups/g/offsets").json(&body).send().await.is(200);
    // What it read before the reset must not be committed over it: fenced, or passed over.
    let mut offsets = Vec::new();
    let begun = Instant::now();
    while offsets.len() < 6 {
        assert!(begun.elapsed() < DEADLINE, "the records from the reset on do not come: {offsets:?}");
        let answer = member.try_poll(json!({ "wait_ms": 1000 })).await;
        if answer.status == 409 {
            assert_eq!(answer.refusal(409)["retry"], "rejoin");
            member.cursor = None;
        } else {
            offsets.append(&mut member.accept(&answer).offsets());
        }
    }
    assert_eq!(offsets, [4, 5, 6, 7, 8, 9]);
    member.commit().await.is(200);
    assert_eq!(committed(&a, "g", "orders", 0).await, Some(10));
}
