//! How all clients ask: any node, and every answer is written down.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::Client;
use reqwest::Method;
use reqwest::RequestBuilder;
use serde_json::Value;

use crate::DEADLINE;
use crate::TOPIC;
use crate::answers::Answer;
use crate::answers::Call;
use crate::answers::Said;
use crate::answers::classify;
use crate::line::now_ms;

/// Before a client asks again after a refusal. Shorter than it is told to wait, so that nodes are asked when they are
/// away and just back.
const PAUSE: Duration = Duration::from_millis(100);

/// The nodes as clients see them.
pub(crate) struct Clients {
    pub(crate) urls: Vec<String>,
    http: Client,
    answers: Mutex<Vec<Answer>>,
}

/// How one call ended, with the answer's body where it has one.
pub(crate) struct Reply {
    pub(crate) said: Said,
    pub(crate) body: Value,
}

impl Clients {
    pub(crate) fn new(urls: Vec<String>) -> Self {
        // Long past any answer that is in time: a node that never answers fails the test instead of holding it up.
        let http = Client::builder().no_proxy().timeout(DEADLINE).build().expect("a client without TLS can be built");
        Self { urls, http, answers: Mutex::default() }
    }

    pub(crate) fn any(&self, random: &mut fastrand::Rng) -> usize {
        random.usize(0..self.urls.len())
    }

    pub(crate) fn request(&self, node: usize, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.urls[node]))
    }

    /// Asks and writes down the answer; panics where it is one that no node may give.
    pub(crate) async fn call(&self, node: usize, call: Call, wait: Duration, request: RequestBuilder) -> Reply {
        let sent = now_ms();
        let reply = reply(call, request).await;
        let wait = u64::try_from(wait.as_millis()).expect("a wait is short");
        let answer = Answer { node, call, said: reply.said, sent, at: now_ms(), wait };
        self.answers.lock().expect("nobody panics with the answers").push(answer);
        if !matches!(reply.said, Said::Fine | Said::Fenced) {
            tokio::time::sleep(PAUSE).await;
        }
        reply
    }

    /// What any node answers to a read that it must answer: everybody is well.
    pub(crate) async fn get(&self, node: usize, path: &str) -> Value {
        let reply = self.call(node, Call::Read, Duration::ZERO, self.request(node, Method::GET, path)).await;
        assert_eq!(reply.said, Said::Fine, "node {node}: {path}");
        reply.body
    }

    /// One past the last record of each partition.
    pub(crate) async fn high_watermarks(&self, node: usize) -> Vec<usize> {
        numbers(&self.get(node, &format!("/v1/topics/{TOPIC}")).await["partitions"], "high_watermark")
    }

    /// Everything in a partition: offsets and the ids of the records.
    pub(crate) async fn partition(&self, node: usize, partition: usize) -> Vec<(usize, u64)> {
        let mut records = Vec::new();
        loop {
            let offset = records.last().map_or(0, |(offset, _)| offset + 1);
            let path = format!("/v1/topics/{TOPIC}/partitions/{partition}/records?offset={offset}&max_records=10000");
            let page = self.get(node, &path).await;
            let list = page["records"].as_array().expect("a list of records");
            records.extend(list.iter().map(|record| (number(&record["offset"]), id(record))));
            if page["at_tail"] == true {
                return records;
            }
        }
    }

    pub(crate) fn answers(&self) -> Vec<Answer> {
        self.answers.lock().expect("nobody panics with the answers").clone()
    }
}

async fn reply(call: Call, request: RequestBuilder) -> Reply {
    let failed = |error: reqwest::Error| {
        assert!(!error.is_timeout(), "{call:?} was not answered at all: {error}");
        let said = if error.is_connect() { Said::NoNode } else { Said::Broken };
        Reply { said, body: Value::Null }
    };
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return failed(error),
    };
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = match response.bytes().await {
        Ok(bytes) => bytes,
        Err(error) => return failed(error),
    };
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("answers are JSON") };
    let said = classify(call, status, headers.contains_key("retry-after"), &body);
    Reply { said: said.unwrap_or_else(|wrong| panic!("{wrong}")), body }
}

/// The id that a producer gave to a record.
pub(crate) fn id(record: &Value) -> u64 {
    record["value"]["id"].as_u64().unwrap_or_else(|| panic!("a record without an id: {record}"))
}

pub(crate) fn number(value: &Value) -> usize {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or_else(|| panic!("a number: {value}"))
}

/// One number of each in a list.
pub(crate) fn numbers(list: &Value, name: &str) -> Vec<usize> {
    let list = list.as_array().unwrap_or_else(|| panic!("a list: {list}"));
    list.iter().map(|one| number(&one[name])).collect()
}
