//! A member of a group that polls and commits at any node.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::LEASE_MS;
use crate::TOPIC;
use crate::answers::Call;
use crate::answers::Said;
use crate::clients::Clients;
use crate::clients::Reply;
use crate::clients::numbers;
use crate::line::Line;
use crate::line::Said as Told;
use crate::line::now_ms;
use crate::line::spans;

/// How long a member lets a node wait for records.
const WAIT: Duration = Duration::from_millis(500);

/// A member at work.
pub(crate) struct Member {
    /// The member's name, which no other has.
    pub(crate) name: String,
    lines: Arc<Mutex<Vec<Line>>>,
    task: JoinHandle<()>,
}

struct Work {
    path: String,
    clients: Arc<Clients>,
    random: fastrand::Rng,
    lines: Arc<Mutex<Vec<Line>>>,
    /// Where it goes on, with the epoch of its run.
    run: Option<(String, u64)>,
}

impl Member {
    pub(crate) fn start(
        clients: &Arc<Clients>,
        group: &str,
        name: String,
        random: fastrand::Rng,
        stop: CancellationToken,
    ) -> Self {
        let lines = Arc::new(Mutex::default());
        let path = format!("/v1/groups/{group}/members/{name}");
        let (clients, its_lines) = (Arc::clone(clients), Arc::clone(&lines));
        let work = Work { path, clients, random, lines: its_lines, run: None };
        Self { name, lines, task: tokio::spawn(work.go_on(stop)) }
    }

    /// Ends it where it is, its connection included; returns what it was told.
    pub(crate) async fn kill(self) -> Vec<Line> {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "{} was at work", self.name);
        std::mem::take(&mut self.lines.lock().expect("nobody panics with the lines"))
    }

    /// Waits until it has committed and left, once it was told to stop; returns what it was told.
    pub(crate) async fn retired(self) -> Vec<Line> {
        self.task.await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        std::mem::take(&mut self.lines.lock().expect("nobody panics with the lines"))
    }

    pub(crate) fn is_well(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Work {
    async fn go_on(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.poll().await;
        }
        while let Some((cursor, epoch)) = self.run.clone() {
            let path = format!("{}/offsets", self.path);
            let (sent, reply) = self.post(&path, &json!({ "cursor": cursor }), Duration::ZERO).await;
            match reply.said {
                Said::Fine => {
                    self.write(sent, epoch, Told::Fine { confirms: true, held: Vec::new(), read: Vec::new() });
                    return self.leave(epoch).await;
                }
                Said::Fenced => self.fenced(sent, &reply.body),
                _ => {}
            }
        }
    }

    async fn poll(&mut self) {
        let mut body = json!({
            "topics": [TOPIC], "lease_ms": LEASE_MS, "wait_ms": WAIT.as_millis(), "max_records": self.random.u8(1..200),
        });
        if let Some((cursor, _)) = &self.run {
            body["cursor"] = json!(cursor);
        }
        let path = format!("{}/poll", self.path);
        let (sent, reply) = self.post(&path, &body, WAIT).await;
        match reply.said {
            Said::Fine => {
                let body = &reply.body;
                let cursor = body["cursor"].as_str().expect("a cursor").to_owned();
                let epoch = body["epoch"].as_u64().expect("an epoch");
                let confirms = self.run.replace((cursor, epoch)).is_some();
                let held = numbers(&body["assignments"], "partition");
                let offsets = numbers(&body["records"], "offset");
                let read = spans(numbers(&body["records"], "partition").into_iter().zip(offsets));
                self.write(sent, epoch, Told::Fine { confirms, held, read });
            }
            Said::Fenced => self.fenced(sent, &reply.body),
            _ => {}
        }
    }

    async fn leave(&mut self, epoch: u64) {
        let node = self.clients.any(&mut self.random);
        let request = self.clients.request(node, Method::DELETE, &format!("{}?epoch={epoch}", self.path));
        let reply = self.clients.call(node, Call::Group, Duration::ZERO, request).await;
        assert_eq!(reply.said, Said::Fine, "a member that is well may leave");
    }

    /// A call that hands in what was read. Where it is refused for now or the answer is lost, the same is to be sent again,
    /// to any node. A poll commits first and reads then: where it says that the database is away, the commit may be done.
    async fn post(&mut self, path: &str, body: &Value, wait: Duration) -> (u64, Reply) {
        let node = self.clients.any(&mut self.random);
        let request = self.clients.request(node, Method::POST, path).json(body);
        let sent = now_ms();
        let reply = self.clients.call(node, Call::Group, wait, request).await;
        if let (Said::Away | Said::Unknown | Said::Broken, Some((_, epoch))) = (reply.said, &self.run) {
            self.write(sent, *epoch, Told::Lost);
        }
        (sent, reply)
    }

    fn fenced(&mut self, sent: u64, problem: &Value) {
        let code = problem["code"].as_str().expect("a code").to_owned();
        let (_, epoch) = self.run.take().unwrap_or_else(|| panic!("who begins is not fenced: {problem}"));
        self.write(sent, epoch, Told::Fenced { code });
    }

    fn write(&self, sent: u64, epoch: u64, said: Told) {
        self.lines.lock().expect("nobody panics with the lines").push(Line::new(sent, epoch, said));
    }
}
