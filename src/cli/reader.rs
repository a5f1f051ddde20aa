//! Reading topics page by page, with a cursor of the reader's own.

use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::client::Client;
use crate::cli::page::Page;
use crate::cli::problem::CallError;
use crate::model::name::TopicName;

/// What a reader reads.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The topics.
    pub topics: Vec<TopicName>,
    /// Only these partitions; all if there are none. Only with one topic.
    pub partitions: Vec<u32>,
    /// Only records with this key.
    pub key: Option<String>,
    /// Where to begin.
    pub from: Option<String>,
}

/// Where a reader stands.
#[derive(Debug)]
pub struct Reader {
    /// The path, and the part of the query that stays, up to the next parameter.
    path: String,
    from: Option<String>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    records: Vec<Box<RawValue>>,
    cursor: String,
    at_tail: bool,
}

impl Reader {
    /// A reader that begins where the selection says, at the earliest record by default.
    pub fn new(selection: &Selection) -> Self {
        let Selection { topics, partitions, key, from } = selection;
        // Names are of letters, digits, `.`, `_` and `-`.
        let (path, mut query) = match topics.as_slice() {
            [topic] => (format!("/v1/topics/{topic}/records"), Vec::new()),
            topics => ("/v1/records".to_owned(), topics.iter().map(|topic| format!("topic={topic}&")).collect()),
        };
        query.extend(partitions.iter().map(|partition| format!("partition={partition}&")));
        query.extend(key.iter().map(|key| format!("key={}&", utf8_percent_encode(key, NON_ALPHANUMERIC))));
        let path = format!("{path}?{}", query.concat());
        Self { path, from: from.clone(), cursor: None }
    }

    /// The next records; waits for the first of them.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn next(&mut self, client: &mut Client, max_records: u64, wait_ms: u64) -> Result<Page, CallError> {
        let mut path = format!("{}max_records={max_records}&wait_ms={wait_ms}", self.path);
        match (&self.cursor, &self.from) {
            (Some(cursor), _) => path.push_str(&format!("&cursor={cursor}")),
            (None, Some(from)) => path.push_str(&format!("&from={}", utf8_percent_encode(from, NON_ALPHANUMERIC))),
            (None, None) => {}
        }
        let body = client.get(&path).await?;
        let answer: Answer = client.read(&body)?;
        self.cursor = Some(answer.cursor);
        Ok(Page { records: answer.records, is_end: answer.at_tail })
    }

    /// Goes on behind what is gone.
    pub fn pass(&mut self, cursor: String) {
        self.cursor = Some(cursor);
    }
}
