//! A body of lines that is read while it grows: NDJSON, `values`, receipts.

use bytes::Buf;
use bytes::BytesMut;
use reqwest::Response;

use crate::harness::record::Record;
use crate::harness::wait::soon;

/// The lines of an answer, one at a time.
pub(crate) struct Lines {
    response: Response,
    pending: BytesMut,
}

impl Lines {
    pub(crate) fn of(response: Response) -> Self {
        Self { response, pending: BytesMut::new() }
    }

    /// The next line without its end, or `None` where the body ends after a whole line.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.pending) {
                let line = self.pending.split_to(end);
                self.pending.advance(1);
                return Some(String::from_utf8(line.to_vec()).expect("a line is UTF-8"));
            }
            match soon("the next line", self.response.chunk()).await.expect("the body goes on or ends whole") {
                Some(piece) => self.pending.extend_from_slice(&piece),
                None => {
                    assert!(self.pending.is_empty(), "the body ends within a line: {:?}", self.pending);
                    return None;
                }
            }
        }
    }

    /// The next line that is not empty: a record.
    pub(crate) async fn record(&mut self) -> Record {
        loop {
            let line = self.next().await.expect("a record before the end");
            if !line.is_empty() {
                return serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            }
        }
    }

    /// The next `count` records.
    pub(crate) async fn records(&mut self, count: usize) -> Vec<Record> {
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            records.push(self.record().await);
        }
        records
    }
}
