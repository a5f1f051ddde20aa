//! What a member was told, answer by answer.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;

/// Neighbouring records of one partition: from the first offset to one past the last.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Span {
    pub(crate) partition: usize,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// What an answer said to a member.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// It was well.
    Fine {
        /// Everything that the run had read before is committed.
        confirms: bool,
        /// The partitions that it holds.
        held: Vec<usize>,
        /// What it reads with this answer.
        read: Vec<Span>,
    },
    /// Nothing: everything that the run had read before was handed in, and whether it is committed was not learned.
    Lost,
    /// The run is over, and nothing of what it handed in with this call is kept.
    Fenced {
        /// The code of the problem.
        code: String,
    },
}

/// One answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Line {
    /// When it was written down, in milliseconds since 1970.
    pub(crate) at: u64,
    /// When the request was sent.
    pub(crate) sent: u64,
    /// The run that it belongs to.
    pub(crate) epoch: u64,
    /// What it said.
    pub(crate) said: Said,
}

impl Line {
    pub(crate) fn new(sent: u64, epoch: u64, said: Said) -> Self {
        Self { at: now_ms(), sent, epoch, said }
    }

    /// Whether the member held the partition then.
    pub(crate) fn holds(&self, partition: usize) -> bool {
        matches!(&self.said, Said::Fine { held, .. } if held.contains(&partition))
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_millis()).expect("milliseconds fit for ages")
}

/// Joins single offsets to spans.
pub(crate) fn spans(places: impl IntoIterator<Item = (usize, usize)>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (partition, offset) in places {
        match spans.iter_mut().find(|span| span.partition == partition && span.to == offset) {
            Some(span) => span.to += 1,
            None => spans.push(Span { partition, from: offset, to: offset + 1 }),
        }
    }
    spans
}
