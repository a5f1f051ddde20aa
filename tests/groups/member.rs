//! A member in a process of its own: what the process does, and the handle by which the test troubles it.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use reqwest::Client;
use reqwest::Response;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::GROUP;
use crate::TOPIC;
use crate::line::Line;
use crate::line::Said;
use crate::line::now_ms;
use crate::line::spans;
use crate::log;
use crate::node::DEADLINE;
use crate::node::client;

/// Holds what a process is told at its start, as JSON.
pub(crate) const ORDERS: &str = "TIDEGATE_GROUP_MEMBER";

/// What a process is told at its start.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Orders {
    /// The gateway.
    pub(crate) url: String,
    /// The member's name in the group.
    pub(crate) name: String,
    /// Its lease.
    pub(crate) lease_ms: u64,
    /// Where it writes down what it saw.
    pub(crate) log: PathBuf,
}

#[derive(Deserialize)]
struct Poll {
    records: Vec<Place>,
    cursor: String,
    epoch: u64,
    assignments: Vec<Assignment>,
}

#[derive(Deserialize)]
struct Place {
    partition: usize,
    offset: usize,
}

#[derive(Deserialize)]
struct Assignment {
    partition: usize,
}

/// Polls until standard input ends, then commits and leaves.
pub(crate) async fn work(orders: Orders) {
    let done = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&done);
    std::thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        told.store(true, Ordering::Relaxed);
    });
    let http = client();
    let path = format!("{}/v1/groups/{GROUP}/members/{}", orders.url, orders.name);
    let mut log = File::options().append(true).create(true).open(&orders.log).expect("the log can be written");
    let (mut cursor, mut epoch) = (None::<String>, 0);
    while !done.load(Ordering::Relaxed) {
        let mut body = json!({ "topics": [TOPIC], "lease_ms": orders.lease_ms });
        if let Some(cursor) = &cursor {
            body = json!({ "cursor": cursor });
        }
        body["wait_ms"] = json!(200);
        let sent = now_ms();
        let answer = post(&http, &format!("{path}/poll"), &body).await;
        if answer.status() != 200 {
            let said = fenced(answer).await;
            log::append(&mut log, &Line::new(sent, epoch, said));
            cursor = None;
            continue;
        }
        let poll: Poll = answer.json().await.expect("the answer to a poll");
        let confirms = cursor.is_some();
        let held = poll.assignments.iter().map(|one| one.partition).collect();
        let read = spans(poll.records.iter().map(|record| (record.partition, record.offset)));
        (cursor, epoch) = (Some(poll.cursor), poll.epoch);
        log::append(&mut log, &Line::new(sent, epoch, Said::Fine { confirms, held, read }));
    }
    let Some(cursor) = cursor else { return };
    let sent = now_ms();
    let answer = post(&http, &format!("{path}/offsets"), &json!({ "cursor": cursor })).await;
    let is_well = answer.status() == 200;
    let said =
        if is_well { Said::Fine { confirms: true, held: Vec::new(), read: Vec::new() } } else { fenced(answer).await };
    log::append(&mut log, &Line::new(sent, epoch, said));
    if is_well {
        let answer = http.delete(format!("{path}?epoch={epoch}")).send().await.expect("an answer");
        assert_eq!(answer.status(), 204, "a member that is well may leave");
    }
}

async fn post(http: &Client, url: &str, body: &Value) -> Response {
    http.post(url).json(body).send().await.expect("the gateway answers")
}

/// What a refusal says; it must be one that ends the run.
async fn fenced(answer: Response) -> Said {
    let status = answer.status().as_u16();
    let problem: Value = answer.json().await.expect("a problem is JSON");
    assert_eq!((status, &problem["retry"]), (409, &json!("rejoin")), "{problem}");
    Said::Fenced { code: problem["code"].as_str().expect("a code").to_owned() }
}

/// A process that is a member.
pub(crate) struct Worker {
    pub(crate) orders: Orders,
    child: Child,
}

impl Worker {
    /// Starts this very program again, as a member.
    pub(crate) fn start(orders: Orders) -> Self {
        let program = std::env::current_exe().expect("the program knows where it is");
        let mut command = Command::new(program);
        command.args(["--ignored", "--exact", "a_member_in_a_process_of_its_own", "--nocapture"]);
        command.env(ORDERS, serde_json::to_string(&orders).expect("orders are JSON"));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts again");
        Self { orders, child }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").arg("-c").arg(kill).status().expect("a shell is there");
        assert!(status.success(), "no process of {} to signal", self.orders.name);
    }

    /// Ends the process at once.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().expect("a child that was not waited for can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Lets the member commit and leave, and waits for that.
    pub(crate) async fn retire(mut self) {
        drop(self.child.stdin.take());
        let begun = Instant::now();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(begun.elapsed() < DEADLINE, "{} does not end", self.orders.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert!(status.success(), "{} ends in {status}", self.orders.name);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
