//! Cursors of members that somebody made up: a cursor is input, and tells nobody what they may not see.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::access::Guarded;
use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::describe;
use crate::harness::on_each_backend;

on_each_backend!(
    a_made_up_cursor_tells_neither_names_of_topics_nor_which_there_are,
    a_member_that_holds_more_than_the_caller_may_read_tells_nothing_of_it,
    a_wait_ends_when_its_member_gets_what_the_caller_may_not_read,
    a_caller_of_few_rights_goes_on_when_one_of_its_topics_is_deleted,
);

/// A cursor as the gateway writes it, over partition 0 of each topic of these ids. It is sealed with a checksum alone.
fn made_up(group: &str, member: &str, epoch: u64, incarnation: u16, ids: &[u8]) -> String {
    let mut bytes = vec![0x20];
    bytes.extend_from_slice(&crc32c::crc32c(format!("{group} {member}").as_bytes()).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    assert!(epoch < 128 && ids.iter().all(|id| *id < 128), "numbers of one byte");
    bytes.extend_from_slice(&[u8::try_from(epoch).expect("small"), 0, 1]);
    bytes.push(u8::try_from(ids.len()).expect("few"));
    for id in ids {
        bytes.push(*id);
        bytes.extend_from_slice(&incarnation.to_le_bytes());
        bytes.extend_from_slice(&[1, 0, 1]);
    }
    bytes.extend(ids.iter().map(|_| 0));
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What an answer says, without the name of its request.
fn said(answer: &Answer) -> Value {
    let mut body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    body.as_object_mut().expect("an object").remove("request_id");
    body
}

async fn make(gateway: &Guarded, topic: &str, records: u64) {
    gateway.put(&format!("/v1/topics/{topic}")).send().await.is(201);
    for n in 0..records {
        gateway.post(&format!("/v1/topics/{topic}/values")).json(&json!(n)).send().await.is(201);
    }
}

/// A member of that name that is in for as long as the test runs.
async fn member(client: &Client, group: &str, name: &str, topic: &str) -> Member {
    let mut member = Member::new(client, group, name, json!({ "topics": [topic], "lease_ms": 900_000 }));
    member.begin().await;
    member
}

async fn a_made_up_cursor_tells_neither_names_of_topics_nor_which_there_are(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    for topic in ["sec-a", "sec-b"] {
        make(&gateway, topic, 1).await;
    }
    make(&gateway, "pub-a", 1).await;
    let caller = gateway.client(&["consume:pub-*:g*"]).await;
    let boss = member(&gateway, "g", "boss", "sec-a").await;
    let own = member(&caller, "g-own", "own", "pub-a").await;
    let path = |group: &str, member: &str| format!("/v1/groups/{group}/members/{member}");
    let commit = async |client: &Client, group: &str, member: &str, cursor: &str| {
        let call = client.post(&format!("{}/offsets", path(group, member)));
        call.json(&json!({ "cursor": cursor })).send().await
    };
    // The cursors are as good as can be: to who may read everything they tell which ids there are.
    for (id, there) in [(1, true), (2, true), (99, false)] {
        let mut told = false;
        for incarnation in [0, 1] {
            let cursor = made_up("g", "boss", boss.epoch, incarnation, &[id]);
            told |= commit(&gateway, "g", "boss", &cursor).await.status == 400;
        }
        assert_eq!(told, there, "{id}");
    }
    for (group, name, epoch, status) in
        [("g", "boss", boss.epoch, 403), ("g-none", "m", 1, 404), ("g-own", "own", own.epoch, 200)]
    {
        let mut first: Option<Vec<Value>> = None;
        for ids in [&[1][..], &[2], &[99], &[1, 99], &[1, 2]] {
            let cursor = made_up(group, name, epoch, 7, ids);
            let poll = caller.post(&format!("{}/poll", path(group, name))).json(&json!({ "cursor": cursor }));
            let answers = [poll.send().await, commit(&caller, group, name, &cursor).await];
            for answer in &answers {
                assert_eq!(answer.status, status, "{group} {ids:?}: {}", answer.text());
                assert!(!answer.text().contains("sec-"), "{}", answer.text());
                if status == 403 {
                    answer.problem(403, "forbidden");
                }
            }
            let answers: Vec<Value> = answers.iter().map(said).collect();
            assert_eq!(first.get_or_insert_with(|| answers.clone()), &answers, "{group} {ids:?}");
        }
    }
    let mut first = None;
    for id in [1, 2, 99] {
        let stream = caller.get(&format!("{}/records?topic=pub-a", path("g", "boss")));
        let stream = stream.header("accept", "text/event-stream");
        let cursor = made_up("g", "boss", boss.epoch, 7, &[id]);
        let answer = stream.header("last-event-id", &cursor).send().await;
        answer.problem(403, "forbidden");
        assert_eq!(first.get_or_insert_with(|| said(&answer)), &said(&answer), "{id}");
    }
    boss.heartbeat().await.is(200);
}

async fn a_member_that_holds_more_than_the_caller_may_read_tells_nothing_of_it(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    make(&gateway, "sec-a", 3).await;
    let caller = gateway.client(&["consume:pub-*:g"]).await;
    member(&gateway, "g", "boss", "sec-a").await;
    // Whoever may use the group is told the epoch, and needs nothing else for a cursor.
    let epoch = describe(&caller, "g").await["members"][0]["epoch"].as_u64().expect("a number");
    let body = json!({ "cursor": made_up("g", "boss", epoch, 0, &[]) });
    let poll = async || {
        let answer = caller.post("/v1/groups/g/members/boss/poll").json(&body).send().await;
        answer.problem(403, "forbidden");
        for word in ["sec-a", "partitions", "log_start_offset", "high_watermark"] {
            assert!(!answer.text().contains(word), "{}", answer.text());
        }
        said(&answer)
    };
    let before = poll().await;
    gateway.delete("/v1/topics/sec-a/partitions/0/records?before_offset=2").send().await.is(200);
    assert_eq!(poll().await, before, "nor that records are gone");
    let own = gateway.post("/v1/groups/g/members/boss/poll").json(&body).send().await;
    assert_eq!(own.problem(410, "offset_expired")["partitions"][0]["topic"], "sec-a");
}

async fn a_wait_ends_when_its_member_gets_what_the_caller_may_not_read(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    make(&gateway, "pub-a", 0).await;
    make(&gateway, "sec-a", 3).await;
    let caller = gateway.client(&["consume:pub-*:g"]).await;
    let own = member(&caller, "g", "m", "pub-a").await;
    let waits = own.try_poll(json!({ "wait_ms": 20_000 }));
    let cursor = own.cursor.clone().expect("it has begun");
    let other = async {
        let body = json!({ "cursor": cursor, "topics": ["sec-a"], "max_records": 1 });
        gateway.post("/v1/groups/g/members/m/poll").json(&body).send().await.is(200);
    };
    let (answer, ()) = tokio::join!(waits, other);
    answer.problem(403, "forbidden");
    assert!(!answer.text().contains("sec-a"), "{}", answer.text());
}

async fn a_caller_of_few_rights_goes_on_when_one_of_its_topics_is_deleted(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    for topic in ["pub-a", "pub-b"] {
        make(&gateway, topic, 1).await;
    }
    let caller = gateway.client(&["consume:pub-*:g"]).await;
    let mut member = Member::new(&caller, "g", "m", json!({ "topic_prefix": "pub-", "lease_ms": 900_000 }));
    assert_eq!(member.begin().await.records.len(), 2);
    gateway.delete("/v1/topics/pub-b").send().await.is(204);
    member.commit().await.is(200);
    let poll = member.poll().await;
    assert!(poll.records.is_empty(), "{poll:?}");
    assert_eq!(committed(&gateway, "g", "pub-a", 0).await, Some(1));
}
