//! Reading as a member of a consumer group: joining, polling, committing, leaving.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::cli::client::Client;
use crate::cli::page::NextOffset;
use crate::cli::page::Page;
use crate::cli::problem::CallError;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::name::TopicName;

/// How soon after one join the next has to wait: two runs of one name must not fence each other without a pause.
const JOIN_PAUSE: Duration = Duration::from_secs(1);

/// How a member takes part, as it joins.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The group.
    pub group: GroupName,
    /// The member's name; one is made without it.
    pub member: Option<MemberName>,
    /// What it reads.
    pub topics: Topics,
    /// Where the group begins in partitions in which it has committed nothing.
    pub from: Option<String>,
    /// How long the member may be silent, in milliseconds.
    pub lease_ms: Option<u64>,
}

/// What to read.
#[derive(Debug, Clone)]
pub enum Topics {
    /// These.
    Named(Vec<TopicName>),
    /// All whose names begin so, now and later.
    Prefix(String),
}

/// A member, in a run or about to begin one.
#[derive(Debug)]
pub struct Member {
    terms: Terms,
    path: String,
    run: Option<Run>,
    /// Where to go on behind what retention took, as the first poll of a run was told.
    begin: Option<String>,
    joined: Option<Instant>,
    uncommitted: Uncommitted,
}

#[derive(Debug)]
struct Run {
    cursor: String,
    epoch: u64,
    lease_ms: u64,
    holds_any: bool,
}

/// What was printed since the last commit.
#[derive(Debug)]
enum Uncommitted {
    Nothing,
    /// All that the last poll returned.
    Page,
    /// The first records of it.
    Part(Vec<NextOffset>),
}

#[derive(Serialize)]
struct Poll<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_prefix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ms: Option<u64>,
    max_records: u64,
    wait_ms: u64,
}

#[derive(Deserialize)]
struct Answer {
    records: Vec<Box<RawValue>>,
    cursor: String,
    at_tail: bool,
    epoch: u64,
    lease_ms: u64,
    assignments: Vec<serde::de::IgnoredAny>,
}

impl Member {
    /// A member that joins with its first poll.
    pub fn new(terms: Terms) -> Self {
        let name = match &terms.member {
            Some(name) => name.to_string(),
            None => format!("terminal-{:016x}", fastrand::u64(..)),
        };
        let path = format!("/v1/groups/{}/members/{name}", terms.group);
        Self { terms, path, run: None, begin: None, joined: None, uncommitted: Uncommitted::Nothing }
    }

    /// Commits what was printed, and returns the next records: at once if the run begins, else after `wait_ms` at most. A
    /// member that holds nothing waits for its share before it takes that for the end.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn next(&mut self, client: &mut Client, max_records: u64, wait_ms: u64) -> Result<Page, CallError> {
        if self.run.is_none() {
            if let Some(joined) = self.joined {
                sleep(JOIN_PAUSE.saturating_sub(joined.elapsed())).await;
            }
            self.joined = Some(Instant::now());
        }
        let waits_for_share = self.run.as_ref().is_some_and(|run| !run.holds_any);
        let wait_ms = match &self.run {
            None => 0,
            Some(run) if waits_for_share => run.lease_ms / 2,
            Some(run) => wait_ms.min(run.lease_ms / 2),
        };
        let body = self.poll(max_records, wait_ms);
        let body = client.post(&format!("{}/poll", self.path), &body).await?;
        let answer: Answer = client.read(&body)?;
        let holds_any = !answer.assignments.is_empty();
        let Answer { records, cursor, at_tail, epoch, lease_ms, .. } = answer;
        self.run = Some(Run { cursor, epoch, lease_ms, holds_any });
        self.begin = None;
        self.uncommitted = Uncommitted::Nothing;
        Ok(Page { records, is_end: at_tail && (holds_any || waits_for_share) })
    }

    fn poll(&self, max_records: u64, wait_ms: u64) -> Poll<'_> {
        let Terms { topics, from, lease_ms, .. } = &self.terms;
        let cursor = self.run.as_ref().map(|run| run.cursor.as_str()).or(self.begin.as_deref());
        if cursor.is_some() {
            let (topics, topic_prefix, from, lease_ms) = (None, None, None, None);
            return Poll { cursor, topics, topic_prefix, from, lease_ms, max_records, wait_ms };
        }
        let (topics, topic_prefix) = match topics {
            Topics::Named(names) => (Some(names.iter().map(TopicName::as_str).collect()), None),
            Topics::Prefix(prefix) => (None, Some(prefix.as_str())),
        };
        Poll { cursor, topics, topic_prefix, from: from.as_deref(), lease_ms: *lease_ms, max_records, wait_ms }
    }

    /// The first `count` records of the page were printed: they are committed by the next poll, or at the end.
    ///
    /// # Errors
    /// If one is no record.
    pub fn printed(&mut self, page: &Page, count: usize) -> serde_json::Result<()> {
        self.uncommitted = match count {
            0 if !page.records.is_empty() => Uncommitted::Nothing,
            _ if count == page.records.len() => Uncommitted::Page,
            _ => Uncommitted::Part(page.next_offsets(count)?),
        };
        Ok(())
    }

    /// Goes on behind what is gone.
    pub fn pass(&mut self, cursor: String) {
        match &mut self.run {
            Some(run) => run.cursor = cursor,
            None => self.begin = Some(cursor),
        }
    }

    /// Begins a new run with the next poll: this one is over.
    pub fn rejoin(&mut self) {
        (self.run, self.begin, self.uncommitted) = (None, None, Uncommitted::Nothing);
    }

    /// Commits what was printed, and leaves.
    ///
    /// # Errors
    /// As [`CallError`] says; the lease then runs out by itself.
    pub async fn leave(&mut self, client: &mut Client) -> Result<(), CallError> {
        let Some(run) = self.run.take() else {
            // A poll that was dropped may have joined. A made name is ours alone; one that was given may be another's.
            let ours = self.joined.is_some() && self.terms.member.is_none();
            return if ours { client.delete(&self.path).await.map(drop).or_else(is_gone) } else { Ok(()) };
        };
        let commit = match std::mem::replace(&mut self.uncommitted, Uncommitted::Nothing) {
            Uncommitted::Nothing => None,
            Uncommitted::Page => Some(json!({ "cursor": run.cursor })),
            Uncommitted::Part(offsets) => Some(json!({ "epoch": run.epoch, "offsets": offsets })),
        };
        let committed = match commit {
            Some(commit) => client.post(&format!("{}/offsets", self.path), &commit).await.map(drop),
            None => Ok(()),
        };
        let left = client.delete(&format!("{}?epoch={}", self.path, run.epoch)).await.map(drop).or_else(is_gone);
        // A poll that was dropped may have committed the whole page before.
        committed.or_else(|error| if has_code(&error, &["offset_regression"]) { Ok(()) } else { Err(error) }).and(left)
    }
}

/// Whoever has left, with the group or without, need not leave.
fn is_gone(error: CallError) -> Result<(), CallError> {
    if has_code(&error, &["unknown_member", "unknown_group"]) { Ok(()) } else { Err(error) }
}

fn has_code(error: &CallError, codes: &[&str]) -> bool {
    error.problem().is_some_and(|problem| codes.contains(&problem.body.code.as_str()))
}
