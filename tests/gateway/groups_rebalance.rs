//! Who holds what: shares are even, change one partition at a time, and an ordinary change skips and repeats nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::read_together;
use crate::harness::member::settle;
use crate::harness::on_each_backend;
use crate::harness::record::Record;
use crate::harness::topic::Topic;
use crate::harness::wait::within;

on_each_backend!(
    three_members_share_six_partitions_and_skip_and_repeat_nothing,
    a_leaving_partition_is_free_as_soon_as_it_is_committed,
    the_repeat_of_a_poll_that_let_go_is_answered,
    a_spare_member_takes_over_at_once_when_another_leaves,
    a_waiting_poll_answers_when_the_assignment_changes,
    a_topic_that_comes_into_being_later_is_read,
    a_topic_that_matches_the_prefix_later_is_read,
    partitions_added_later_are_read,
    members_of_different_topics_hold_what_they_asked_for,
    range_gives_neighbours_of_each_topic,
    round_robin_deals_all_partitions_out,
);

/// Far less than the waits asked for, so that a missed wake-up is seen, and far more than a wake-up takes.
const PROMPTLY: Duration = Duration::from_secs(10);

/// What begins a member that no test outlives and whose polls may wait as long as the server lets them.
fn start(topics: &[&str]) -> Value {
    json!({ "topics": topics, "lease_ms": 900_000 })
}

fn member(client: &Client, name: &str, topics: &[&str]) -> Member {
    Member::new(client, "g", name, start(topics))
}

/// Writes one record to each of the six partitions.
async fn one_each(topic: &Topic, round: u64) {
    let records: Vec<_> = (0..6).map(|p| json!({ "partition": p, "value": round })).collect();
    topic.produce(&json!(records)).await;
}

fn partitions(member: &Member) -> BTreeSet<u32> {
    member.held.iter().map(|(_, partition)| *partition).collect()
}

fn shares(members: &[Member]) -> Vec<usize> {
    members.iter().map(|member| member.held.len()).collect()
}

/// Asserts that no partition is held by two of them.
fn assert_apart(members: &[Member]) {
    let all: BTreeSet<_> = members.iter().flat_map(|member| &member.held).collect();
    assert_eq!(all.len(), shares(members).iter().sum::<usize>(), "one owner each");
}

async fn three_members_share_six_partitions_and_skip_and_repeat_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 6).await;
    let mut members: Vec<Member> = Vec::new();
    let mut records: Vec<Record> = Vec::new();
    let mut rounds = 0;
    // Members come one by one, then go one by one, while records come in.
    for names in [&["a"][..], &["a", "b"], &["a", "b", "c"], &["b", "c"], &["c"]] {
        if let Some(first) = members.first_mut().filter(|first| !names.contains(&name(first).as_str())) {
            // Whoever leaves commits what it has, as a member that ends in good order does.
            first.commit().await.is(200);
            first.leave().await;
            members.remove(0);
        }
        for new in &names[members.len().min(names.len())..] {
            members.push(member(&gateway, new, &["orders"]));
        }
        for _ in 0..5 {
            one_each(&topic, rounds).await;
            rounds += 1;
            for member in &mut members {
                records.append(&mut member.poll().await.records);
            }
        }
        let share = 6 / members.len();
        records.append(&mut settle(&mut members, |all| shares(all).iter().all(|held| *held == share)).await);
        assert_apart(&members);
    }
    let all = usize::try_from(rounds * 6).expect("few");
    records.append(&mut read_together(&mut members, all - records.len()).await);
    assert!(members[0].poll().await.records.is_empty());
    for partition in 0..6 {
        let of_one = records.iter().filter(|record| record.partition == partition);
        let offsets: Vec<_> = of_one.map(|record| record.offset).collect();
        assert_eq!(offsets, (0..rounds).collect::<Vec<_>>(), "partition {partition}");
        assert_eq!(committed(&gateway, "g", "orders", partition).await, Some(rounds));
    }
}

/// The name of a member, from its path.
fn name(member: &Member) -> String {
    member.path("").rsplit('/').next().expect("a path has a last part").to_owned()
}

async fn a_leaving_partition_is_free_as_soon_as_it_is_committed(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..5).await;
    topic.count(1, 0..5).await;
    let mut old = member(&gateway, "old", &["orders"]);
    assert_eq!(old.take(10).await.len(), 10);
    let mut new = member(&gateway, "new", &["orders"]);
    assert!(new.begin().await.assignments.is_empty(), "what is read and not committed stays with its reader");
    // The old member's next call commits all it read and lets one partition go.
    within(PROMPTLY, "the old member's next poll", old.poll()).await;
    let poll = within(PROMPTLY, "a partition", new.poll_with(json!({ "wait_ms": 50_000 }))).await;
    assert_eq!((poll.assignments.len(), old.held.len()), (1, 1));
    assert_eq!(poll.assignments[0].next_offset, 5);
    assert!(poll.records.is_empty() && poll.held().is_disjoint(&old.held));
}

async fn the_repeat_of_a_poll_that_let_go_is_answered(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..5).await;
    topic.count(1, 0..5).await;
    let mut old = member(&gateway, "old", &["orders"]);
    old.take(10).await;
    let mut new = member(&gateway, "new", &["orders"]);
    new.begin().await;
    let before = old.clone();
    old.poll().await;
    new.hold(1).await;
    topic.count(0, 5..7).await;
    topic.count(1, 5..7).await;
    // The answer that let a partition go was lost. Its cursor names a partition that is another's by now.
    old = before;
    let mut records = old.take(2).await;
    records.append(&mut new.take(2).await);
    let mut places: Vec<_> = records.iter().map(|record| (record.partition, record.offset)).collect();
    places.sort_unstable();
    assert_eq!(places, [(0, 5), (0, 6), (1, 5), (1, 6)]);
}

async fn a_spare_member_takes_over_at_once_when_another_leaves(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..5).await;
    let mut first = member(&gateway, "first", &["orders"]);
    first.take(5).await;
    first.commit().await.is(200);
    let mut spare = member(&gateway, "spare", &["orders"]);
    let poll = spare.begin().await;
    assert!(poll.assignments.is_empty() && poll.records.is_empty());
    let waits = async { tokio::join!(spare.poll_with(json!({ "wait_ms": 50_000 })), first.leave()) };
    let (poll, ()) = within(PROMPTLY, "the partition of who left", waits).await;
    assert_eq!(poll.assignments.len(), 1, "the wait ends when there is a partition");
    topic.count(0, 5..6).await;
    assert_eq!(spare.take(1).await[0].offset, 5);
}

async fn a_waiting_poll_answers_when_the_assignment_changes(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 2).await;
    let mut old = member(&gateway, "old", &["orders"]);
    assert_eq!(old.begin().await.assignments.len(), 2);
    let mut new = member(&gateway, "new", &["orders"]);
    let both = async { tokio::join!(old.poll_with(json!({ "wait_ms": 50_000 })), new.hold(1)) };
    let (poll, _) = within(PROMPTLY, "both to know", both).await;
    assert_eq!(poll.assignments.len(), 1, "the one that waited lets go at once");
}

async fn a_topic_that_comes_into_being_later_is_read(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    let mut reader = member(&gateway, "m", &["orders", "later"]);
    assert_eq!(reader.begin().await.assignments.len(), 1);
    let other = gateway.client().another();
    let make = async { Topic::named(&other, "later").value("7").await };
    let poll = reader.poll_with(json!({ "wait_ms": 50_000 }));
    let (poll, _) = within(PROMPTLY, "a poll that wakes", async { tokio::join!(poll, make) }).await;
    let mut records = poll.records;
    if records.is_empty() {
        records = within(PROMPTLY, "the record", reader.take(1)).await;
    }
    assert_eq!((records[0].topic.as_str(), records[0].value()), ("later", "7"));
    assert_eq!(reader.held.len(), 2);
}

async fn a_topic_that_matches_the_prefix_later_is_read(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let start = json!({ "topic_prefix": "order.", "lease_ms": 900_000 });
    let mut reader = Member::new(&gateway, "g", "m", start);
    assert!(reader.begin().await.assignments.is_empty(), "nothing matches yet");
    for (name, matches) in [("order.a", true), ("orders", false), ("orderXa", false), ("order.b", true)] {
        let topic = gateway.topic(name, 2).await;
        topic.count(0, 0..1).await;
        topic.count(1, 0..1).await;
        if matches {
            let records = within(PROMPTLY, "records of the new topic", reader.take(2)).await;
            assert!(records.iter().all(|record| record.topic == name), "{records:?}");
        }
    }
    reader.hold(4).await;
    assert!(reader.held.iter().all(|(topic, _)| topic.starts_with("order.")), "{:?}", reader.held);
}

async fn partitions_added_later_are_read(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..3).await;
    let mut members = ["a", "b"].map(|name| member(&gateway, name, &["orders"]));
    assert_eq!(read_together(&mut members, 3).await.len(), 3);
    topic.grow_to(4).await;
    for partition in 1..4 {
        topic.count(partition, 0..2).await;
    }
    let records = read_together(&mut members, 6).await;
    let mut places: Vec<_> = records.iter().map(|record| (record.partition, record.offset)).collect();
    places.sort_unstable();
    assert_eq!(places, [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]);
    settle(&mut members, |all| shares(all) == [2, 2]).await;
    assert_apart(&members);
}

async fn members_of_different_topics_hold_what_they_asked_for(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("a", 2).await;
    gateway.topic("b", 2).await;
    let mut members = [member(&gateway, "of-a", &["a"]), member(&gateway, "of-b", &["b"])];
    settle(&mut members, |all| shares(all) == [2, 2]).await;
    let topics = |member: &Member| member.held.iter().map(|(topic, _)| topic.clone()).collect::<BTreeSet<_>>();
    assert_eq!(topics(&members[0]), BTreeSet::from(["a".to_owned()]));
    assert_eq!(topics(&members[1]), BTreeSet::from(["b".to_owned()]));
}

async fn range_gives_neighbours_of_each_topic(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("x", 3).await;
    gateway.topic("y", 3).await;
    let start = json!({ "topics": ["x", "y"], "strategy": "range", "lease_ms": 900_000 });
    let mut members = ["a", "b"].map(|name| Member::new(&gateway, "g", name, start.clone()));
    settle(&mut members, |all| shares(all) == [4, 2]).await;
    assert_eq!((partitions(&members[0]), partitions(&members[1])), (BTreeSet::from([0, 1]), BTreeSet::from([2])));
    assert_apart(&members);
}

async fn round_robin_deals_all_partitions_out(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("x", 3).await;
    gateway.topic("y", 3).await;
    let start = json!({ "topics": ["x", "y"], "strategy": "round_robin", "lease_ms": 900_000 });
    let mut members = ["a", "b"].map(|name| Member::new(&gateway, "g", name, start.clone()));
    let of_a = [("x", 0), ("x", 2), ("y", 1)].map(|(topic, partition)| (topic.to_owned(), partition));
    let of_b = [("x", 1), ("y", 0), ("y", 2)].map(|(topic, partition)| (topic.to_owned(), partition));
    let dealt =
        |all: &[Member]| all[0].held == BTreeSet::from(of_a.clone()) && all[1].held == BTreeSet::from(of_b.clone());
    settle(&mut members, dealt).await;
}
