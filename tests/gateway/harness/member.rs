//! One member of a consumer group that polls: its name, where it stands, and the short words in which tests speak of it.

use std::collections::BTreeSet;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::record::Record;
use crate::harness::wait::DEADLINE;

/// The body of a poll's answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Poll {
    pub(crate) records: Vec<Record>,
    pub(crate) cursor: String,
    pub(crate) at_tail: bool,
    pub(crate) epoch: u64,
    pub(crate) lease_ms: u64,
    pub(crate) assignments: Vec<Assignment>,
}

/// A partition that a member holds.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) epoch: u64,
    pub(crate) next_offset: u64,
}

impl Poll {
    /// The offsets of the records, in their order.
    pub(crate) fn offsets(&self) -> Vec<u64> {
        self.records.iter().map(|record| record.offset).collect()
    }

    /// Topics and partitions held.
    pub(crate) fn held(&self) -> BTreeSet<(String, u32)> {
        held(&self.assignments)
    }
}

/// Topics and partitions of a list of assignments.
pub(crate) fn held(assignments: &[Assignment]) -> BTreeSet<(String, u32)> {
    let held: BTreeSet<_> = assignments.iter().map(|one| (one.topic.clone(), one.partition)).collect();
    assert_eq!(held.len(), assignments.len(), "no partition is listed twice: {assignments:?}");
    held
}

/// A member. A clone is the same member at an earlier time: what a paused process still believes.
#[derive(Clone)]
pub(crate) struct Member {
    client: Client,
    group: String,
    name: String,
    /// What it begins with.
    start: Value,
    /// Where it stands, once it has begun.
    pub(crate) cursor: Option<String>,
    /// The epoch of its run.
    pub(crate) epoch: u64,
    /// The topics and partitions of its last answer.
    pub(crate) held: BTreeSet<(String, u32)>,
}

impl Member {
    /// A member that will begin with `start`: topics or a prefix, and what else a poll may say.
    pub(crate) fn new(client: &Client, group: &str, name: &str, start: Value) -> Self {
        Self {
            client: client.clone(),
            group: group.to_owned(),
            name: name.to_owned(),
            start,
            cursor: None,
            epoch: 0,
            held: BTreeSet::new(),
        }
    }

    /// The member's own path with `tail` behind it.
    pub(crate) fn path(&self, tail: &str) -> String {
        format!("/v1/groups/{}/members/{}{tail}", self.group, self.name)
    }

    /// The same member, which from now on speaks to another node.
    pub(crate) fn turn_to(&mut self, client: &Client) {
        self.client = client.clone();
    }

    /// One poll with this body, whatever comes of it; the member stays where it is.
    pub(crate) async fn send(&self, body: &Value) -> Answer {
        self.client.post(&self.path("/poll")).json(body).send().await
    }

    /// Begins, or takes over from a former run.
    pub(crate) async fn begin(&mut self) -> Poll {
        self.cursor = None;
        self.poll().await
    }

    /// Goes on, or begins where it has not begun.
    pub(crate) async fn poll(&mut self) -> Poll {
        self.poll_with(json!({})).await
    }

    /// The same with more members in the body.
    pub(crate) async fn poll_with(&mut self, more: Value) -> Poll {
        let answer = self.try_poll(more).await;
        self.accept(&answer)
    }

    /// A poll that may be refused; the member stays where it is.
    pub(crate) async fn try_poll(&self, more: Value) -> Answer {
        let body = match &self.cursor {
            Some(cursor) => json!({ "cursor": cursor }),
            None => self.start.clone(),
        };
        self.send(&joined(body, more)).await
    }

    /// Takes an answer for its own: what holds for every poll is asserted, and the member goes on from there.
    pub(crate) fn accept(&mut self, answer: &Answer) -> Poll {
        assert_eq!(answer.status, 200, "{}: {}", self.name, String::from_utf8_lossy(&answer.body));
        let poll: Poll = answer.parse();
        assert_eq!(answer.header("tidegate-cursor"), Some(poll.cursor.as_str()));
        assert_eq!(answer.header("tidegate-at-tail"), Some(if poll.at_tail { "true" } else { "false" }));
        assert_eq!(answer.header("tidegate-epoch"), Some(poll.epoch.to_string().as_str()));
        assert!(!poll.cursor.is_empty() && poll.cursor.len() < 1536, "a cursor of {} bytes", poll.cursor.len());
        let held = poll.held();
        for record in &poll.records {
            let place = (record.topic.clone(), record.partition);
            assert!(held.contains(&place), "a record of a partition that is not assigned: {place:?} of {held:?}");
        }
        if self.cursor.is_some() {
            assert_eq!(poll.epoch, self.epoch, "a run keeps its epoch");
        } else {
            assert!(poll.epoch > self.epoch, "a new run has a new epoch: {} after {}", poll.epoch, self.epoch);
        }
        (self.cursor, self.epoch, self.held) = (Some(poll.cursor.clone()), poll.epoch, held);
        poll
    }

    /// Polls until `count` records have come.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Record> {
        let begun = Instant::now();
        let mut records = Vec::new();
        while records.len() < count {
            assert!(begun.elapsed() < DEADLINE, "{}: {} of {count} records", self.name, records.len());
            records.append(&mut self.poll_with(json!({ "wait_ms": 1000 })).await.records);
        }
        assert_eq!(records.len(), count, "more records than there are: {records:?}");
        records
    }

    /// Polls until it holds `count` partitions, and returns what it read on the way.
    pub(crate) async fn hold(&mut self, count: usize) -> Vec<Record> {
        let begun = Instant::now();
        let mut records = Vec::new();
        while self.cursor.is_none() || self.held.len() != count {
            assert!(begun.elapsed() < DEADLINE, "{} holds {:?}, not {count} partitions", self.name, self.held);
            records.append(&mut self.poll_with(json!({ "wait_ms": 1000 })).await.records);
        }
        records
    }

    /// Commits what was returned so far.
    pub(crate) async fn commit(&self) -> Answer {
        self.post("/offsets", &json!({ "cursor": self.cursor })).await
    }

    /// Commits offsets by name, under its epoch.
    pub(crate) async fn commit_offsets(&self, offsets: Value) -> Answer {
        self.post("/offsets", &json!({ "epoch": self.epoch, "offsets": offsets })).await
    }

    pub(crate) async fn heartbeat(&self) -> Answer {
        self.post("/heartbeat", &json!({ "epoch": self.epoch })).await
    }

    /// Leaves.
    pub(crate) async fn leave(&mut self) {
        self.client.delete(&self.path(&format!("?epoch={}", self.epoch))).send().await.is(204);
        self.cursor = None;
        self.held.clear();
    }

    /// One call below the member's path, whatever comes of it.
    pub(crate) async fn post(&self, tail: &str, body: &Value) -> Answer {
        self.client.post(&self.path(tail)).json(body).send().await
    }
}

/// Polls all members in turn until `settled` likes what each holds, and returns what they read on the way.
pub(crate) async fn settle(members: &mut [Member], settled: impl Fn(&[Member]) -> bool) -> Vec<Record> {
    let begun = Instant::now();
    let mut records = Vec::new();
    loop {
        for member in members.iter_mut() {
            records.append(&mut member.poll().await.records);
        }
        if settled(members) {
            return records;
        }
        let held: Vec<_> = members.iter().map(|member| (&member.name, &member.held)).collect();
        assert!(begun.elapsed() < DEADLINE, "the group does not settle: {held:?}");
    }
}

/// Polls all members in turn until together they have read `count` records.
pub(crate) async fn read_together(members: &mut [Member], count: usize) -> Vec<Record> {
    let begun = Instant::now();
    let mut records = Vec::new();
    while records.len() < count {
        assert!(begun.elapsed() < DEADLINE, "{} of {count} records", records.len());
        for member in members.iter_mut() {
            records.append(&mut member.poll().await.records);
        }
    }
    records
}

/// The group as `GET /v1/groups/{group}` tells it.
pub(crate) async fn describe(client: &Client, group: &str) -> Value {
    client.get(&format!("/v1/groups/{group}")).send().await.is(200).json()
}

/// How many members the group has.
pub(crate) async fn members(client: &Client, group: &str) -> usize {
    describe(client, group).await["members"].as_array().expect("a list of members").len()
}

/// The committed offset of a partition, or `None` where there is none.
pub(crate) async fn committed(client: &Client, group: &str, topic: &str, partition: u32) -> Option<u64> {
    let answer = client.get(&format!("/v1/groups/{group}/offsets")).send().await.is(200).json();
    let offsets = answer["offsets"].as_array().expect("a list of offsets").clone();
    let found = offsets.iter().find(|one| one["topic"] == topic && one["partition"] == partition);
    found.map(|one| one["next_offset"].as_u64().expect("an offset is a number"))
}

/// Two JSON objects as one.
pub(crate) fn joined(mut body: Value, more: Value) -> Value {
    let members = body.as_object_mut().expect("the body of a poll is an object");
    members.extend(more.as_object().expect("the rest of a body is an object").clone());
    body
}
