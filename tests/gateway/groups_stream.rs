//! Members that are pushed to: event streams that join, resume, hand over, and end with a reason.

use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::client::assert_problem;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::describe;
use crate::harness::member::members;
use crate::harness::on_each_backend;
use crate::harness::record::Record;
use crate::harness::sse::EventStream;
use crate::harness::wait::eventually;

on_each_backend!(
    a_stream_begins_with_its_assignment_and_commits_by_post,
    a_stream_that_comes_back_goes_on_in_the_same_epoch,
    a_stream_without_an_id_begins_and_ends_the_former_one,
    a_stream_whose_name_was_taken_by_a_poll_ends,
    a_stream_whose_lease_was_claimed_begins_anew,
    what_is_sent_may_be_committed_by_itself,
    the_short_form_leaves_when_its_connection_ends,
    a_change_of_the_assignment_is_told,
    a_stream_lets_go_of_what_is_committed,
    an_idle_stream_keeps_its_lease,
    streams_end_with_the_gateway_and_come_back,
);

const PATH: &str = "/v1/groups/g/members/m/records";

/// A page's stream of one member over the topic, with what else the query says.
async fn open(client: &Client, query: &str, id: Option<&str>) -> EventStream {
    let call = client.get(&format!("{PATH}?topic=orders{query}"));
    match id {
        Some(id) => call.header("last-event-id", id).events().await,
        None => call.events().await,
    }
}

/// The next event, which must be an assignment: member, epoch and the partitions.
async fn assignment(stream: &mut EventStream) -> (String, u64, Vec<u64>) {
    let event = stream.event().await;
    assert_eq!(event.event.as_deref(), Some("assignment"), "{event:?}");
    assert!(event.id.as_ref().is_some_and(|id| !id.is_empty()), "all events but `problem` have an id: {event:?}");
    let told = event.json();
    let assignments = told["assignments"].as_array().unwrap_or_else(|| panic!("no assignments: {told}"));
    let mut partitions = Vec::new();
    for one in assignments {
        assert_eq!(one["topic"], "orders", "{told}");
        partitions.push(one["partition"].as_u64().expect("a number"));
    }
    partitions.sort_unstable();
    let name = told["member_id"].as_str().expect("the member's name").to_owned();
    (name, told["epoch"].as_u64().expect("an epoch"), partitions)
}

/// Reads to the problem that ends the stream, and past it to the end.
async fn ends_with(stream: &mut EventStream, code: &str) {
    loop {
        let event = stream.event().await;
        if event.event.as_deref() == Some("problem") {
            let problem = event.json();
            assert_problem(&problem);
            assert_eq!((&problem["code"], &event.id), (&json!(code), &None), "{problem}");
            break;
        }
    }
    assert!(stream.try_event().await.is_none(), "a problem is the last event");
}

async fn commit(client: &Client, id: &str) {
    client.post("/v1/groups/g/members/m/offsets").json(&json!({ "cursor": id })).send().await.is(200);
}

fn places(records: &[Record]) -> Vec<(u32, u64)> {
    let mut places: Vec<_> = records.iter().map(|record| (record.partition, record.offset)).collect();
    places.sort_unstable();
    places
}

async fn a_stream_begins_with_its_assignment_and_commits_by_post(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..3).await;
    let mut stream = open(&gateway, "", None).await;
    let (name, epoch, partitions) = assignment(&mut stream).await;
    assert_eq!((name.as_str(), partitions.as_slice()), ("m", &[0, 1][..]));
    let events = stream.records_with_ids(3).await;
    assert_eq!(events.iter().map(|(_, record)| record.offset).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(committed(&gateway, "g", "orders", 0).await.unwrap_or(0), 0, "being sent is not being committed");
    for (read, (id, _)) in events.iter().enumerate() {
        commit(&gateway, id).await;
        assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(read as u64 + 1), "up to the event of the id");
    }
    topic.count(1, 0..1).await;
    assert_eq!(places(&stream.records(1).await), [(1, 0)], "history, then live");
    commit(&gateway, &stream.last_event_id).await;
    assert_eq!(committed(&gateway, "g", "orders", 1).await, Some(1));
    assert_eq!(describe(&gateway, "g").await["members"][0]["epoch"], epoch);
}

async fn a_stream_that_comes_back_goes_on_in_the_same_epoch(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    let mut stream = open(&gateway, "", None).await;
    let (_, epoch, _) = assignment(&mut stream).await;
    for partition in 0..3 {
        topic.count(partition, 0..6).await;
    }
    let mut records = stream.records(1).await;
    let mut id = stream.last_event_id.clone();
    while records.len() < 18 {
        // A browser that lost its connection says where it was; now and then it had committed that.
        drop(stream);
        stream = open(&gateway, "", Some(&id)).await;
        assert_eq!(assignment(&mut stream).await, ("m".to_owned(), epoch, vec![0, 1, 2]));
        records.push(stream.record().await);
        id = stream.last_event_id.clone();
        if records.len() % 4 == 0 {
            commit(&gateway, &id).await;
        }
    }
    let all: Vec<_> = (0..3).flat_map(|partition| (0..6).map(move |offset| (partition, offset))).collect();
    assert_eq!(places(&records), all, "nothing is repeated and nothing skipped");
    commit(&gateway, &id).await;
    for partition in 0..3 {
        assert_eq!(committed(&gateway, "g", "orders", partition).await, Some(6));
    }
}

async fn a_stream_without_an_id_begins_and_ends_the_former_one(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..6).await;
    let mut former = open(&gateway, "", None).await;
    let (_, old_epoch, _) = assignment(&mut former).await;
    let events = former.records_with_ids(6).await;
    commit(&gateway, &events[1].0).await;
    let mut stream = open(&gateway, "", None).await;
    let (_, epoch, _) = assignment(&mut stream).await;
    assert!(epoch > old_epoch);
    assert_eq!(places(&stream.records(4).await), [(0, 2), (0, 3), (0, 4), (0, 5)], "from what was committed");
    ends_with(&mut former, "stale_epoch").await;
    let late = json!({ "cursor": events[5].0 });
    let refused = gateway.post("/v1/groups/g/members/m/offsets").json(&late).send().await;
    refused.problem(409, "stale_epoch");
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(2));
}

async fn a_stream_whose_name_was_taken_by_a_poll_ends(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..3).await;
    let mut stream = open(&gateway, "", None).await;
    assignment(&mut stream).await;
    stream.records(3).await;
    let mut member = Member::new(&gateway, "g", "m", json!({ "topics": ["orders"], "lease_ms": 60_000 }));
    member.begin().await;
    ends_with(&mut stream, "stale_epoch").await;
    // The browser comes back by itself, and has to hear for good that its name is another's.
    let call = gateway.get(&format!("{PATH}?topic=orders")).header("accept", "text/event-stream");
    let problem = call.header("last-event-id", &stream.last_event_id).send().await.problem(409, "stale_epoch");
    assert_eq!((&problem["current_epoch"], &problem["retry"]), (&json!(member.epoch), &json!("rejoin")));
    member.heartbeat().await.is(200);
}

async fn a_stream_whose_lease_was_claimed_begins_anew(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..6).await;
    let mut stream = open(&gateway, "&lease_ms=1000", None).await;
    let (_, epoch, _) = assignment(&mut stream).await;
    let events = stream.records_with_ids(4).await;
    commit(&gateway, &events[1].0).await;
    drop(stream);
    let mut heir = Member::new(&gateway, "g", "heir", json!({ "topics": ["orders"], "lease_ms": 60_000 }));
    heir.hold(1).await;
    heir.leave().await;
    let mut stream = open(&gateway, "&lease_ms=1000", Some(&events[3].0)).await;
    let (_, new_epoch, _) = assignment(&mut stream).await;
    assert!(new_epoch > epoch, "{new_epoch} after {epoch}");
    // The partition may come with a second assignment: it was the other's until just now.
    let mut offsets = Vec::new();
    while offsets.len() < 4 {
        let event = stream.event().await;
        if event.event.is_none() {
            offsets.push(event.record().offset);
        }
    }
    assert_eq!(offsets, [2, 3, 4, 5], "from what was committed");
}

async fn what_is_sent_may_be_committed_by_itself(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..6).await;
    let mut stream = open(&gateway, "&commit=on_send", None).await;
    assignment(&mut stream).await;
    stream.records(6).await;
    eventually("what was sent is committed", async || {
        (committed(&gateway, "g", "orders", 0).await == Some(6)).then_some(())
    })
    .await;
    drop(stream);
    let mut stream = open(&gateway, "&commit=on_send", None).await;
    assignment(&mut stream).await;
    topic.count(0, 6..8).await;
    assert_eq!(places(&stream.records(2).await), [(0, 6), (0, 7)]);
}

async fn the_short_form_leaves_when_its_connection_ends(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 2).await.count(0, 0..3).await;
    let mut names = Vec::new();
    for round in 1..3 {
        let path = "/v1/groups/g/records?topic=orders&commit=on_send&lease_ms=900000";
        let mut stream = gateway.get(path).events().await;
        let (name, _, partitions) = assignment(&mut stream).await;
        assert_eq!(partitions, [0, 1], "nobody else holds any in round {round}");
        if round == 1 {
            stream.records(3).await;
        }
        assert_eq!(members(&gateway, "g").await, 1);
        drop(stream);
        // Far sooner than its lease runs out.
        eventually("it leaves", async || (members(&gateway, "g").await == 0).then_some(())).await;
        names.push(name);
    }
    assert_ne!(names[0], names[1]);
    assert_eq!(describe(&gateway, "g").await["state"], "empty");
}

async fn a_change_of_the_assignment_is_told(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    let mut stream = open(&gateway, "&lease_ms=60000", None).await;
    let (_, epoch, partitions) = assignment(&mut stream).await;
    assert_eq!(partitions, [0, 1]);
    let mut other = Member::new(&gateway, "g", "other", json!({ "topics": ["orders"], "lease_ms": 60_000 }));
    other.hold(1).await;
    let (_, same, partitions) = assignment(&mut stream).await;
    assert_eq!((same, partitions.len()), (epoch, 1));
    other.leave().await;
    assert_eq!(assignment(&mut stream).await.2, [0, 1]);
    topic.grow_to(3).await;
    assert_eq!(assignment(&mut stream).await, ("m".to_owned(), epoch, vec![0, 1, 2]));
    for partition in 0..3 {
        topic.count(partition, 0..1).await;
    }
    assert_eq!(places(&stream.records(3).await), [(0, 0), (1, 0), (2, 0)]);
}

async fn a_stream_lets_go_of_what_is_committed(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..3).await;
    topic.count(1, 0..3).await;
    let mut stream = open(&gateway, "&lease_ms=60000", None).await;
    assignment(&mut stream).await;
    stream.records(6).await;
    let mut other = Member::new(&gateway, "g", "other", json!({ "topics": ["orders"], "lease_ms": 60_000 }));
    assert!(other.begin().await.assignments.is_empty(), "what was sent and not committed stays with its reader");
    commit(&gateway, &stream.last_event_id).await;
    let begun = Instant::now();
    let records = other.hold(1).await;
    assert!(records.is_empty(), "what was committed is not read again: {records:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "long before its lease runs out: {:?}", begun.elapsed());
    assert_eq!(assignment(&mut stream).await.2.len(), 1);
}

async fn an_idle_stream_keeps_its_lease(backend: Backend) {
    const LEASE_MS: u64 = 4000;
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let mut stream = open(&gateway, "&lease_ms=4000", None).await;
    let (_, epoch, _) = assignment(&mut stream).await;
    let mut spare = Member::new(&gateway, "g", "spare", json!({ "topics": ["orders"], "lease_ms": 60_000 }));
    spare.begin().await;
    let ends = async || {
        let group = describe(&gateway, "g").await;
        let members = group["members"].as_array().expect("a list of members").clone();
        let of_the_stream = members.iter().find(|member| member["member_id"] == "m").expect("it is a member");
        of_the_stream["lease_ends_at"].as_u64().expect("a time")
    };
    let first = ends().await;
    eventually("several leases pass", async || (ends().await > first + 2 * LEASE_MS).then_some(())).await;
    assert!(spare.poll().await.assignments.is_empty());
    topic.count(0, 0..1).await;
    let (id, record) = stream.records_with_ids(1).await.remove(0);
    assert_eq!(record.offset, 0);
    commit(&gateway, &id).await;
    assert_eq!(describe(&gateway, "g").await["partitions"][0]["owner"], "m");
    let (_, after, _) = assignment(&mut open(&gateway, "&lease_ms=4000", Some(&id)).await).await;
    assert_eq!(after, epoch);
}

async fn streams_end_with_the_gateway_and_come_back(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..4).await;
    let mut stream = open(&gateway, "&lease_ms=60000", None).await;
    let (_, epoch, _) = assignment(&mut stream).await;
    stream.records(4).await;
    gateway.terminate();
    let mut retry = None;
    while let Some(block) = stream.block().await {
        retry = block.retry.or(retry);
    }
    let retry = retry.expect("a browser is told when to come back");
    assert!((1000..=5000).contains(&retry), "{retry}");
    assert!(gateway.ended().await.success());

    gateway.start_again().await;
    topic.count(0, 4..5).await;
    let mut again = open(&gateway, "&lease_ms=60000", Some(&stream.last_event_id)).await;
    assert_eq!(assignment(&mut again).await, ("m".to_owned(), epoch, vec![0]));
    assert_eq!(places(&again.records(1).await), [(0, 4)]);
}
