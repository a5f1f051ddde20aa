//! Reading topics page by page, with a cursor of the reader's own.

use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::client::Client;
use crate::cli::page::Page;
use crate::cli::problem::CallError;
use crate::model::name::TopicName;

/// Where a reader stands.
#[derive(Debug)]
pub struct Reader {
    topics: String,
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
    /// A reader that begins at `from`, which is `earliest` by default.
    pub fn new(topics: &[TopicName], from: Option<String>) -> Self {
        // Names are of letters, digits, `.`, `_` and `-`.
        let topics: Vec<_> = topics.iter().map(|topic| format!("topic={topic}")).collect();
        Self { topics: topics.join("&"), from, cursor: None }
    }

    /// The next records; waits for the first of them.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn next(&mut self, client: &mut Client, max_records: u64, wait_ms: u64) -> Result<Page, CallError> {
        let mut path = format!("/v1/records?{}&max_records={max_records}&wait_ms={wait_ms}", self.topics);
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
