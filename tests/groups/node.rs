//! The gateway as a process of its own, and what the test asks of it beside the members.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use reqwest::Client;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::GROUP;
use crate::TOPIC;

/// How long anything may take before it counts as lost.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A gateway with a data directory of its own; both end with the value.
pub(crate) struct Node {
    pub(crate) url: String,
    client: Client,
    child: Child,
    _data: TempDir,
}

impl Node {
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().expect("the temporary directory is writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TIDEGATE_") {
                command.env_remove(name);
            }
        }
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(data.path());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("cargo has built the binary");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let ready = lines.next().expect("the process says where it listens").expect("it says it in UTF-8");
        // Read to the end: a full pipe would stop the process.
        std::thread::spawn(move || lines.for_each(drop));
        let url = ready.split("listening on ").nth(1).unwrap_or_else(|| panic!("{ready}")).trim().to_owned();
        Self { url, client: client(), child, _data: data }
    }

    pub(crate) async fn create_topic(&self, partitions: usize) {
        let body = json!({ "partition_count": partitions });
        let answer = self.client.put(format!("{}/v1/topics/{TOPIC}", self.url)).json(&body).send().await;
        assert_eq!(answer.expect("an answer").status(), 201);
    }

    /// Writes `count` records of whatever partition.
    pub(crate) async fn produce(&self, count: usize) {
        let records: Vec<_> = (0..count).map(|n| json!({ "value": n })).collect();
        let call = self.client.post(format!("{}/v1/topics/{TOPIC}/records", self.url));
        let answer = call.json(&json!({ "records": records })).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    /// One past the last record of each partition.
    pub(crate) async fn high_watermarks(&self) -> Vec<usize> {
        let topic = self.get(&format!("/v1/topics/{TOPIC}")).await;
        numbers(&topic["partitions"], "high_watermark")
    }

    /// The committed offset of each partition, all of which have one.
    pub(crate) async fn committed(&self) -> Vec<usize> {
        let offsets = self.get(&format!("/v1/groups/{GROUP}/offsets")).await;
        numbers(&offsets["offsets"], "next_offset")
    }

    /// Waits until the group has read and committed everything.
    pub(crate) async fn caught_up(&self) {
        let begun = Instant::now();
        let mut group = self.get(&format!("/v1/groups/{GROUP}")).await;
        while group["lag"] != 0 {
            assert!(begun.elapsed() < DEADLINE, "the group does not catch up: {group:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            group = self.get(&format!("/v1/groups/{GROUP}")).await;
        }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A client that waits as long as it takes: an answer given up would leave open what was committed.
pub(crate) fn client() -> Client {
    Client::builder().no_proxy().build().expect("a client without TLS can be built")
}

fn numbers(list: &Value, name: &str) -> Vec<usize> {
    let list = list.as_array().unwrap_or_else(|| panic!("a list: {list}"));
    let number = |one: &Value| one[name].as_u64().and_then(|number| usize::try_from(number).ok());
    list.iter().map(|one| number(one).unwrap_or_else(|| panic!("no {name}: {one}"))).collect()
}
