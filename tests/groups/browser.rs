//! A member as a page in a browser is one: an `EventSource` that is cut and comes back, and commits by POST.

use std::pin::pin;
use std::time::Duration;
use std::time::Instant;

use eventsource_stream::Event;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use reqwest::Client;
use serde_json::Value;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::GROUP;
use crate::TOPIC;
use crate::line::Line;
use crate::line::Said;
use crate::line::now_ms;
use crate::line::spans;
use crate::node::client;

/// The member's name.
pub(crate) const NAME: &str = "browser";

/// How long a connection lasts before it is cut.
const CUT_AFTER: Duration = Duration::from_millis(1300);

/// Records after which it commits; and it commits when it has nothing else to do.
const COMMIT_AFTER: usize = 200;

/// What a page knows.
struct Page {
    http: Client,
    path: String,
    lease_ms: u64,
    /// As an `EventSource` keeps it.
    last_event_id: Option<String>,
    epoch: u64,
    held: Vec<usize>,
    /// Read since the last line was written.
    unwritten: Vec<(usize, usize)>,
    /// How many were read since the last commit.
    uncommitted: usize,
    lines: Vec<Line>,
}

/// Reads until it is told to stop, then commits and leaves; returns what it saw.
pub(crate) async fn browse(url: String, lease_ms: u64, stop: CancellationToken) -> Vec<Line> {
    let path = format!("{url}/v1/groups/{GROUP}/members/{NAME}");
    let mut page = Page {
        http: client(),
        path,
        lease_ms,
        last_event_id: None,
        epoch: 0,
        held: Vec::new(),
        unwritten: Vec::new(),
        uncommitted: 0,
        lines: Vec::new(),
    };
    while !stop.is_cancelled() {
        page.connection(&stop).await;
    }
    page.commit().await;
    let answer = page.http.delete(format!("{}?epoch={}", page.path, page.epoch)).send().await.expect("an answer");
    assert_eq!(answer.status(), 204, "a member that is well may leave");
    page.lines
}

impl Page {
    /// One connection, until it is cut or ends.
    async fn connection(&mut self, stop: &CancellationToken) {
        let url = format!("{}/records?topic={TOPIC}&lease_ms={}", self.path, self.lease_ms);
        let mut call = self.http.get(url).header("accept", "text/event-stream");
        if let Some(id) = &self.last_event_id {
            call = call.header("last-event-id", id);
        }
        let begun = Instant::now();
        let response = call.send().await.expect("an answer");
        if response.status() != 200 {
            let problem: Value = response.json().await.expect("a problem is JSON");
            self.fenced(&problem);
            return;
        }
        let mut events = pin!(response.bytes_stream().eventsource());
        while !stop.is_cancelled() && begun.elapsed() < CUT_AFTER {
            match timeout(Duration::from_millis(50), events.next()).await {
                Ok(Some(event)) => self.event(&event.expect("the stream goes on or ends whole")),
                Ok(None) => return,
                Err(_) => self.commit().await,
            }
            if self.uncommitted >= COMMIT_AFTER {
                self.commit().await;
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_else(|error| panic!("{error}: {event:?}"));
        if event.event == "problem" {
            return self.fenced(&data);
        }
        self.last_event_id = Some(event.id.clone());
        if event.event == "message" {
            self.unwritten.push((number(&data["partition"]), number(&data["offset"])));
            self.uncommitted += 1;
            return;
        }
        assert_eq!(event.event, "assignment", "{event:?}");
        let epoch = data["epoch"].as_u64().expect("an epoch");
        if self.epoch != 0 && self.epoch != epoch {
            self.fenced(&json!({ "code": "began anew" }));
            self.last_event_id = Some(event.id.clone());
        }
        self.epoch = epoch;
        let assignments = data["assignments"].as_array().expect("a list of assignments");
        self.held = assignments.iter().map(|one| number(&one["partition"])).collect();
        self.write(false);
    }

    /// Commits what was read, if there is any.
    async fn commit(&mut self) {
        let Some(id) = self.last_event_id.clone().filter(|_| self.uncommitted > 0) else { return };
        self.write(false);
        let answer = self.http.post(format!("{}/offsets", self.path)).json(&json!({ "cursor": id })).send().await;
        let answer = answer.expect("an answer");
        if answer.status() == 200 {
            self.write(true);
            self.uncommitted = 0;
        } else {
            self.fenced(&answer.json().await.expect("a problem is JSON"));
        }
    }

    /// Writes down what was read since the last line, or that all before it is committed.
    fn write(&mut self, confirms: bool) {
        let read = spans(self.unwritten.drain(..));
        self.lines.push(Line::new(now_ms(), self.epoch, Said::Fine { confirms, held: self.held.clone(), read }));
    }

    fn fenced(&mut self, problem: &Value) {
        self.write(false);
        let code = problem["code"].as_str().expect("a code").to_owned();
        self.lines.push(Line::new(now_ms(), self.epoch, Said::Fenced { code }));
        (self.last_event_id, self.epoch, self.uncommitted) = (None, 0, 0);
        self.held.clear();
    }
}

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or_else(|| panic!("a number: {value}"))
}
