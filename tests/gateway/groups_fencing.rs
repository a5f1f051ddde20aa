//! One owner at a time: a run that was taken over, or whose lease ran out and was claimed, changes nothing any more.

use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::describe;
use crate::harness::member::settle;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::topic::Topic;
use crate::harness::wait::eventually;

on_each_backend!(
    a_take_over_fences_the_former_run,
    a_poll_whose_run_ends_while_it_waits_still_tells_of_its_commit,
    a_member_whose_partition_was_claimed_is_fenced_in_every_call,
    a_fenced_member_begins_anew_and_reads_on,
    a_lease_that_ran_out_unclaimed_is_taken_up_again,
    a_heartbeat_renews,
    a_spare_member_gets_the_partitions_of_a_dead_one_in_time,
    a_restart_keeps_owners_epochs_and_offsets,
    a_crash_keeps_owners_epochs_and_offsets,
);

on_sqlite!("where nodes share a database, leases run on while one of them is away":
    leases_run_their_full_length_from_the_start_of_the_node,
);

/// The shortest lease there is, in milliseconds.
const SHORT_MS: u64 = 1000;

/// What the machine may be late by, beyond what the contract allows.
const SLACK: Duration = Duration::from_secs(10);

fn start(lease_ms: u64) -> Value {
    json!({ "topics": ["orders"], "lease_ms": lease_ms, "max_records": 5 })
}

fn member(client: &Client, name: &str, lease_ms: u64) -> Member {
    Member::new(client, "g", name, start(lease_ms))
}

fn named(partition: u32, next_offset: u64) -> Value {
    json!([{ "topic": "orders", "partition": partition, "next_offset": next_offset }])
}

/// The problem of a call that was fenced, with what every such problem says.
fn fenced(answer: &Answer, code: &str) -> Value {
    let problem = answer.problem(409, code);
    assert_eq!(problem["retry"], "rejoin", "{problem}");
    problem
}

/// Waits until no member of the group has a lease that runs.
async fn all_leases_are_over(client: &Client) {
    eventually("the leases run out", async || (describe(client, "g").await["state"] == "empty").then_some(())).await;
}

async fn a_take_over_fences_the_former_run(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..10).await;
    let mut member = member(&gateway, "m", 60_000);
    assert_eq!(member.begin().await.offsets(), [0, 1, 2, 3, 4]);
    let former = member.clone();
    assert_eq!(member.begin().await.offsets(), [0, 1, 2, 3, 4], "what the former run read was not committed");
    assert!(member.epoch > former.epoch);

    let offsets = former.commit_offsets(named(0, 3)).await;
    for answer in [former.try_poll(json!({})).await, former.commit().await, offsets] {
        let problem = fenced(&answer, "stale_epoch");
        assert_eq!(problem["current_epoch"], member.epoch, "{problem}");
        let partitions = problem["partitions"].as_array().expect("a list of partitions");
        assert_eq!(
            (partitions.len(), &partitions[0]["topic"], &partitions[0]["partition"]),
            (1, &json!("orders"), &json!(0))
        );
        assert!(partitions[0]["current_epoch"].is_u64(), "{problem}");
    }
    let problem = fenced(&former.heartbeat().await, "stale_epoch");
    assert_eq!(problem["current_epoch"], member.epoch, "{problem}");
    let leave = gateway.delete(&former.path(&format!("?epoch={}", former.epoch))).send().await;
    fenced(&leave, "stale_epoch");
    assert_eq!(committed(&gateway, "g", "orders", 0).await.unwrap_or(0), 0, "nothing of it was kept");
    assert_eq!(member.poll().await.offsets(), [5, 6, 7, 8, 9], "the new run did not notice");
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(5));
}

async fn a_poll_whose_run_ends_while_it_waits_still_tells_of_its_commit(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let orders = gateway.topic("orders", 1).await;
    orders.count(0, 0..5).await;
    let mut member = member(&gateway, "m", 60_000);
    assert_eq!(member.begin().await.offsets(), [0, 1, 2, 3, 4]);
    let mut former = member.clone();
    let take_over = async {
        let is_committed = async || (committed(&gateway, "g", "orders", 0).await == Some(5)).then_some(());
        eventually("the poll commits and waits", is_committed).await;
        member.begin().await;
        orders.count(0, 5..6).await;
    };
    let (poll, ()) = tokio::join!(former.poll_with(json!({ "wait_ms": 20_000 })), take_over);
    assert_eq!(poll.offsets(), [0; 0], "its run is over");
    fenced(&former.try_poll(json!({})).await, "stale_epoch");
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(5));
}

/// A member that committed 5, then read up to 10, and whose partition was then claimed by the other, which reads too.
async fn lapsed_and_heir(gateway: &Gateway) -> (Member, Member) {
    gateway.topic("orders", 1).await.count(0, 0..20).await;
    let mut late = member(gateway, "late", SHORT_MS);
    assert_eq!(late.begin().await.offsets(), [0, 1, 2, 3, 4]);
    assert_eq!(late.poll_with(json!({ "max_records": 5 })).await.offsets(), [5, 6, 7, 8, 9]);
    let mut heir = member(gateway, "heir", 60_000);
    let mut records = heir.hold(1).await;
    // How many come at once depends on whether the lease was over before its first call: that one asks for a few only.
    records.append(&mut heir.take(15 - records.len()).await);
    let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, Vec::from_iter(5..20), "it goes on at what is committed");
    (late, heir)
}

async fn a_member_whose_partition_was_claimed_is_fenced_in_every_call(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (late, mut heir) = lapsed_and_heir(&gateway).await;
    let current = describe(&gateway, "g").await["partitions"][0]["epoch"].as_u64().expect("an epoch");
    let reached = committed(&gateway, "g", "orders", 0).await;
    // Each of them first once, so that none of them is refused only because another was.
    for round in 0..2 {
        for call in ["poll", "commit", "offsets"] {
            let answer = match call {
                "poll" => late.try_poll(json!({})).await,
                "commit" => late.commit().await,
                _ => late.commit_offsets(named(0, 8)).await,
            };
            let problem = fenced(&answer, "lease_lost");
            let expected = json!([{ "topic": "orders", "partition": 0, "current_epoch": current }]);
            assert_eq!(problem["partitions"], expected, "{call} in round {round}");
            assert_eq!(committed(&gateway, "g", "orders", 0).await, reached, "nothing of a {call} is kept");
        }
        fenced(&late.heartbeat().await, "lease_lost");
    }
    // A poll that commits nothing hears it as well: it would read what another reads.
    fenced(&late.try_poll(json!({ "commit": false })).await, "lease_lost");
    heir.commit().await.is(200);
    heir.poll().await;
    assert!(committed(&gateway, "g", "orders", 0).await > reached);
}

async fn a_fenced_member_begins_anew_and_reads_on(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (mut late, mut heir) = lapsed_and_heir(&gateway).await;
    fenced(&late.commit().await, "lease_lost");
    let poll = late.begin().await;
    assert!(poll.assignments.is_empty() && poll.records.is_empty(), "the partition is the other's now");
    heir.commit().await.is(200);
    let reached = committed(&gateway, "g", "orders", 0).await.expect("the heir committed");
    heir.leave().await;
    Topic::named(&gateway, "orders").count(0, reached..reached + 2).await;
    assert_eq!(late.take(2).await[0].offset, reached);
}

async fn a_lease_that_ran_out_unclaimed_is_taken_up_again(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..20).await;
    let mut member = member(&gateway, "m", SHORT_MS);
    member.begin().await;
    all_leases_are_over(&gateway).await;
    assert_eq!(member.poll().await.offsets()[..5], [5, 6, 7, 8, 9], "in the same epoch, as every poll is checked for");
    all_leases_are_over(&gateway).await;
    assert_eq!(describe(&gateway, "g").await["partitions"][0]["next_offset"], 5);
    member.commit().await.is(200);
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(20));
    all_leases_are_over(&gateway).await;
    let renewed = member.heartbeat().await.is(200).json();
    assert_eq!(renewed, json!({ "member_id": "m", "epoch": member.epoch, "lease_ms": SHORT_MS }));
    assert_eq!(describe(&gateway, "g").await["state"], "active");
    assert!(member.poll().await.records.is_empty());
}

async fn a_heartbeat_renews(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..5).await;
    let mut busy = member(&gateway, "busy", 6 * SHORT_MS);
    busy.begin().await;
    let mut spare = member(&gateway, "spare", 60_000);
    spare.begin().await;
    let ends = async || {
        let group = describe(&gateway, "g").await;
        let members = group["members"].as_array().expect("a list of members").clone();
        let busy = members.iter().find(|member| member["member_id"] == "busy").expect("the member is told of");
        busy["lease_ends_at"].as_u64().expect("a time")
    };
    let first = ends().await;
    // Work of more than a lease, with a word now and then; the spare member asks for its partition all the while.
    while ends().await < first + 7 * SHORT_MS {
        busy.heartbeat().await.is(200);
        assert!(spare.poll_with(json!({ "wait_ms": 100 })).await.assignments.is_empty());
    }
    busy.commit().await.is(200);
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(5));
}

async fn a_spare_member_gets_the_partitions_of_a_dead_one_in_time(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    for partition in 0..3 {
        topic.count(partition, 0..2).await;
    }
    let lease = Duration::from_millis(3 * SHORT_MS);
    let mut dead = member(&gateway, "dead", 3 * SHORT_MS);
    let start = json!({ "topics": ["orders"], "lease_ms": 60_000 });
    let mut spares = ["a", "b", "c"].map(|name| Member::new(&gateway, "g", name, start.clone()));
    let sent = Instant::now();
    dead.begin().await;
    let renewed = Instant::now();
    for spare in &mut spares {
        spare.begin().await;
    }
    let [a, b, c] = &mut spares;
    let (a, b, c) = tokio::join!(a.hold(1), b.hold(1), c.hold(1));
    assert!(sent.elapsed() >= lease, "not before its lease ran out: {:?}", sent.elapsed());
    let limit = lease + Duration::from_secs(1) + SLACK;
    assert!(renewed.elapsed() <= limit, "{:?} for a lease of {lease:?}", renewed.elapsed());
    let mut read = a.len() + b.len() + c.len();
    for spare in &mut spares {
        read += spare.poll().await.records.len();
    }
    assert_eq!(read, 6, "what the dead member had read and not committed is read again");
}

/// Two members with a partition each, where each has committed 5 and read to 10.
async fn two_at_work(gateway: &Gateway) -> [Member; 2] {
    let topic = gateway.topic("orders", 2).await;
    let mut members = ["a", "b"].map(|name| member(gateway, name, 60_000));
    for member in &mut members {
        member.begin().await;
    }
    settle(&mut members, |all| all.iter().all(|member| member.held.len() == 1)).await;
    for partition in 0..2 {
        topic.count(partition, 0..15).await;
    }
    for member in &mut members {
        assert_eq!(member.poll_with(json!({ "max_records": 5 })).await.offsets(), [0, 1, 2, 3, 4]);
        assert_eq!(member.poll_with(json!({ "max_records": 5 })).await.offsets(), [5, 6, 7, 8, 9]);
    }
    members
}

/// Owner, epoch and committed offset of each partition.
async fn rows(client: &Client) -> Vec<(Value, Value, Value)> {
    let group = describe(client, "g").await;
    let partitions = group["partitions"].as_array().expect("a list of partitions");
    let row = |one: &Value| (one["owner"].clone(), one["epoch"].clone(), one["next_offset"].clone());
    partitions.iter().map(row).collect()
}

async fn assert_kept(gateway: &Gateway, before: &[(Value, Value, Value)], members: &mut [Member]) {
    assert_eq!(rows(gateway).await, before);
    for member in members {
        member.heartbeat().await.is(200);
        assert_eq!(member.poll().await.offsets(), [10, 11, 12, 13, 14], "it goes on in the same epoch");
        member.commit().await.is(200);
    }
    for partition in 0..2 {
        assert_eq!(committed(gateway, "g", "orders", partition).await, Some(15));
    }
}

async fn a_restart_keeps_owners_epochs_and_offsets(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let mut members = two_at_work(&gateway).await;
    let before = rows(&gateway).await;
    assert!(before.iter().all(|(owner, epoch, next)| owner.is_string() && epoch.is_u64() && *next == 5), "{before:?}");
    gateway.restart().await;
    assert_kept(&gateway, &before, &mut members).await;
}

async fn a_crash_keeps_owners_epochs_and_offsets(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let mut members = two_at_work(&gateway).await;
    let before = rows(&gateway).await;
    gateway.kill9().await;
    gateway.start_again().await;
    assert_kept(&gateway, &before, &mut members).await;
    // A run that begins after the crash is told from all before it.
    for member in &mut members {
        let former = member.clone();
        member.begin().await;
        fenced(&former.heartbeat().await, "stale_epoch");
    }
}

async fn leases_run_their_full_length_from_the_start_of_the_node(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..10).await;
    let mut member = member(&gateway, "m", 4 * SHORT_MS);
    member.begin().await;
    let mut spare = Member::new(&gateway, "g", "spare", start(60_000));
    spare.begin().await;
    let begun = Instant::now();
    gateway.kill9().await;
    // The node is away for longer than the lease.
    eventually("the lease is over by every clock", async || {
        (begun.elapsed() > Duration::from_millis(5 * SHORT_MS)).then_some(())
    })
    .await;
    gateway.start_again().await;
    assert!(spare.poll().await.assignments.is_empty(), "the members get the time to come back");
    assert_eq!(member.poll().await.offsets(), [5, 6, 7, 8, 9]);
}
