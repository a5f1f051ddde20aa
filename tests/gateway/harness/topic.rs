//! One topic: the short words in which tests write to it and read from it.

use reqwest::Body;
use serde_json::Value;
use serde_json::json;

use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::lines::Lines;
use crate::harness::record::Page;
use crate::harness::record::Receipt;
use crate::harness::record::Receipts;
use crate::harness::record::Record;
use crate::harness::sse::EventStream;

/// A topic and a client to speak of it.
#[derive(Clone)]
pub(crate) struct Topic {
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Topic {
    /// Creates the topic.
    pub(crate) async fn create(client: &Client, name: &str, partitions: u32) -> Self {
        let topic = Self::named(client, name);
        client.put(&topic.path("")).json(&json!({ "partition_count": partitions })).send().await.is(201);
        topic
    }

    /// A topic that may or may not be there.
    pub(crate) fn named(client: &Client, name: &str) -> Self {
        Self { client: client.clone(), name: name.to_owned() }
    }

    /// The topic's own path with `tail` behind it.
    pub(crate) fn path(&self, tail: &str) -> String {
        format!("/v1/topics/{}{tail}", self.name)
    }

    /// Writes a list of records at once.
    pub(crate) async fn produce(&self, records: &Value) -> Vec<Receipt> {
        self.produce_raw(json!({ "records": records }).to_string()).await
    }

    /// Writes a batch whose JSON text is given.
    pub(crate) async fn produce_raw(&self, batch: impl Into<Body>) -> Vec<Receipt> {
        let answer = self.client.post(&self.path("/records")).raw_json(batch).send().await;
        answer.is(200).parse::<Receipts>().offsets
    }

    /// Writes the numbers of `range` as values of one partition, in one request.
    pub(crate) async fn count(&self, partition: u32, range: std::ops::Range<u64>) -> Vec<Receipt> {
        let records: Vec<Value> = range.map(|n| json!({ "partition": partition, "value": n })).collect();
        self.produce(&json!(records)).await
    }

    /// Writes one JSON value.
    pub(crate) async fn value(&self, value: impl Into<Body>) -> Receipt {
        let answer = self.client.post(&self.path("/values")).raw_json(value).send().await.is(201);
        serde_json::from_value(strip(answer.json(), "stored_as")).expect("a raw produce answers with a receipt")
    }

    /// One finite read in JSON. `query` is without its question mark.
    pub(crate) async fn read(&self, query: &str) -> Page {
        read(&self.client, &format!("{}?{query}", self.path("/records"))).await
    }

    /// A read that may be refused.
    pub(crate) async fn try_read(&self, query: &str) -> Answer {
        self.client.get(&format!("{}?{query}", self.path("/records"))).send().await
    }

    /// Every record from the log start on, page by page until the tail.
    pub(crate) async fn read_all(&self) -> Vec<Record> {
        let mut page = self.read("max_records=1000").await;
        let mut records = std::mem::take(&mut page.records);
        while !page.at_tail {
            page = self.read(&format!("max_records=1000&cursor={}", page.cursor)).await;
            records.append(&mut page.records);
        }
        records
    }

    /// Opens an event stream. `query` is without its question mark.
    pub(crate) async fn events(&self, query: &str) -> EventStream {
        self.client.get(&format!("{}?{query}", self.path("/records"))).events().await
    }

    /// Opens an event stream that goes on after `id`.
    pub(crate) async fn resume(&self, query: &str, id: &str) -> EventStream {
        let call = self.client.get(&format!("{}?{query}", self.path("/records")));
        call.header("last-event-id", id).events().await
    }

    /// Opens a stream of lines. `query` is without its question mark.
    pub(crate) async fn lines(&self, query: &str) -> Lines {
        self.client.get(&format!("{}?{query}", self.path("/records"))).lines().await
    }

    pub(crate) async fn describe(&self) -> Value {
        self.client.get(&self.path("")).send().await.is(200).json()
    }

    pub(crate) async fn delete(&self) {
        self.client.delete(&self.path("")).send().await.is(204);
    }

    pub(crate) async fn grow_to(&self, partitions: u32) {
        let change = json!({ "partition_count": partitions });
        self.client.patch(&self.path("")).json(&change).send().await.is(200);
    }

    /// Removes the records of one partition that are before `offset`.
    pub(crate) async fn trim(&self, partition: u32, offset: u64) {
        let path = self.path(&format!("/partitions/{partition}/records?before_offset={offset}"));
        let answer = self.client.delete(&path).send().await.is(200).json();
        assert_eq!(answer["log_start_offset"], offset);
    }

    /// The offset one past the last record of a partition.
    pub(crate) async fn high_watermark(&self, partition: u32) -> u64 {
        let answer = self.client.get(&self.path(&format!("/partitions/{partition}"))).send().await.is(200);
        answer.json()["high_watermark"].as_u64().expect("a partition has a high watermark")
    }
}

/// A finite read in JSON, with what must hold for every such answer.
pub(crate) async fn read(client: &Client, path: &str) -> Page {
    let answer = client.get(path).send().await.is(200);
    let mut page: Page = answer.parse();
    assert_eq!(answer.header("tidegate-cursor"), Some(page.cursor.as_str()));
    assert_eq!(answer.header("tidegate-at-tail"), Some(if page.at_tail { "true" } else { "false" }));
    assert!(!page.cursor.is_empty() && page.cursor.len() < 1536, "a cursor of {} bytes", page.cursor.len());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    assert!(page.cursor.bytes().all(plain), "{}", page.cursor);
    page.next = next_link(&answer);
    assert!(page.next.contains(&format!("cursor={}", page.cursor)), "{}", page.next);
    page
}

/// The target of `Link rel="next"`.
pub(crate) fn next_link(answer: &Answer) -> String {
    let link = answer.header("link").expect("the answer names the next page");
    let (target, parameters) =
        link.strip_prefix('<').and_then(|rest| rest.split_once('>')).unwrap_or_else(|| panic!("{link}"));
    assert!(parameters.contains(r#"rel="next""#), "{link}");
    target.to_owned()
}

fn strip(mut answer: Value, member: &str) -> Value {
    answer.as_object_mut().expect("the answer is an object").remove(member);
    answer
}
