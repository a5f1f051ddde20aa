//! The table from what the broker refuses to what a client is told.

use std::time::Duration;

use serde::Serialize;

use crate::broker::error::Error;
use crate::broker::error::NamedPartition;
use crate::broker::error::Unreadable;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::native::input::refusal::Refusal;
use crate::http::native::input::refusal::RefusalKind;
use crate::http::native::topics::bodies::TopicBody;

/// How long a client waits before it comes back to a gateway that is busy.
const BUSY: Duration = Duration::from_secs(1);

/// How long before it comes back to one whose database is away.
const AWAY: Duration = Duration::from_secs(2);

/// How long before it tries to write again on a full disk.
const FULL: Duration = Duration::from_secs(5);

/// A position that cannot be read, as it is told.
#[derive(Debug, Serialize)]
pub struct UnreadableBody<'a> {
    topic: &'a str,
    partition: u32,
    requested_offset: u64,
    log_start_offset: u64,
    high_watermark: u64,
}

impl<'a> From<&'a Unreadable> for UnreadableBody<'a> {
    fn from(found: &'a Unreadable) -> Self {
        Self {
            topic: found.topic.as_str(),
            partition: found.partition,
            requested_offset: found.requested_offset,
            log_start_offset: found.log_start_offset,
            high_watermark: found.high_watermark,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = match &error {
            Error::Internal(what) => {
                tracing::error!("{what}");
                sentence(&error.to_string())
            }
            _ => sentence(&error.to_string()),
        };
        let problem = |code| Problem::new(code, detail.clone());
        match error {
            Error::UnknownTopic(name) => problem(Code::UnknownTopic).with("topic", name.as_str()),
            Error::UnknownPartition { topic, partition, partition_count } => problem(Code::UnknownPartition)
                .with("topic", topic.as_str())
                .with("partition", partition)
                .with("partition_count", partition_count),
            Error::UnknownOffset(found) => with_positions(problem(Code::UnknownOffset), &[found]),
            Error::TopicExists(topic) => problem(Code::TopicExists).with("current", TopicBody::from(&*topic)),
            Error::PartitionsShrink(topic) => problem(Code::PartitionsShrink).with("current", TopicBody::from(&*topic)),
            Error::QuotaExceeded { limit } | Error::TooManyGroups { limit } => {
                problem(Code::QuotaExceeded).with("limit", limit)
            }
            Error::TooManyPartitions { limit, .. } => problem(Code::TooManyPartitions).with("limit", limit),
            Error::InvalidCursor(_) => problem(Code::InvalidCursor),
            Error::OffsetExpired { partitions, cursor } => {
                let problem = with_positions(problem(Code::OffsetExpired), &partitions);
                cursor.iter().fold(problem, |problem, cursor| go_on(problem, cursor))
            }
            Error::TopicRecreated { topic, partitions, cursor } => {
                let problem = with_positions(problem(Code::TopicRecreated), &partitions);
                go_on(problem.with("topic", topic.as_str()), &cursor)
            }
            Error::OffsetOutOfRange(partitions) => with_positions(problem(Code::OffsetOutOfRange), &partitions),
            Error::UnknownGroup(name) => problem(Code::UnknownGroup).with("group", name.as_str()),
            Error::UnknownMember { group, member } => {
                problem(Code::UnknownMember).with("group", group.as_str()).with("member", member.as_str())
            }
            Error::StaleEpoch { current, partitions, .. } => {
                problem(Code::StaleEpoch).with("current_epoch", current).with("partitions", concerned(&partitions))
            }
            Error::NotPermitted => problem(Code::Forbidden),
            Error::LeaseLost { partitions, .. } => problem(Code::LeaseLost).with("partitions", concerned(&partitions)),
            Error::OffsetRegression(partitions) => {
                problem(Code::OffsetRegression).with("partitions", concerned(&partitions))
            }
            Error::GroupActive { partitions, .. } => {
                problem(Code::GroupActive).with("partitions", concerned(&partitions))
            }
            Error::TooManyMembers { limit, .. } => problem(Code::QuotaExceeded).with("limit", limit),
            Error::TooManyGroupPartitions { limit, .. } => problem(Code::TooManyPartitions).with("limit", limit),
            Error::IdempotencyKeyReused => problem(Code::IdempotencyKeyReused),
            Error::Overloaded => problem(Code::Overloaded).retry_after(BUSY),
            Error::Draining => problem(Code::Draining).retry_after(BUSY),
            Error::StorageFull => problem(Code::StorageFull).retry_after(FULL),
            Error::DatabaseUnavailable => problem(Code::DatabaseUnavailable).retry_after(AWAY),
            Error::OutcomeUnknown => problem(Code::OutcomeUnknown).outcome_unknown(),
            Error::Internal(_) => problem(Code::Internal),
        }
    }
}

/// How a problem is told to one who asked for an event stream: a browser's `EventSource` gives up for ever on any status
/// but 200, and only what lasts may have that effect.
pub fn for_stream(problem: impl Into<Problem>) -> Problem {
    let problem = problem.into();
    let passing = matches!(problem.code(), Code::Overloaded | Code::DatabaseUnavailable | Code::Draining);
    if passing { problem.as_event_stream() } else { problem }
}

/// A partition as its group has it, as it is told to one who was refused because of it.
#[derive(Debug, Serialize)]
struct ConcernedBody<'a> {
    topic: &'a str,
    partition: u32,
    current_epoch: u64,
}

fn concerned(partitions: &[NamedPartition]) -> Vec<ConcernedBody<'_>> {
    let bodies = partitions.iter().map(|named| ConcernedBody {
        topic: named.topic.as_str(),
        partition: named.partition,
        current_epoch: named.state.epoch,
    });
    bodies.collect()
}

fn with_positions(problem: Problem, partitions: &[Unreadable]) -> Problem {
    let bodies: Vec<UnreadableBody<'_>> = partitions.iter().map(UnreadableBody::from).collect();
    let problem = problem.with("partitions", bodies);
    match partitions {
        [only] => problem.with("log_start_offset", only.log_start_offset).with("high_watermark", only.high_watermark),
        _ => problem,
    }
}

/// The way on behind what is gone. The call that meets it adds the `Link`, which repeats its query.
fn go_on(problem: Problem, cursor: &str) -> Problem {
    problem.with("cursor", cursor)
}

/// Where to go on behind what is gone, if there is something.
pub fn way_on(error: &Error) -> Option<&str> {
    match error {
        Error::OffsetExpired { cursor, .. } => cursor.as_deref(),
        Error::TopicRecreated { cursor, .. } => Some(cursor),
        _ => None,
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let Refusal { kind, detail } = refusal;
        let problem = |code| Problem::new(code, sentence(&detail));
        match kind {
            RefusalKind::MalformedJson { line, column } => {
                problem(Code::MalformedJson).with("line", line).with("column", column)
            }
            RefusalKind::UnknownField { field, known } => {
                problem(Code::UnknownField).with("field", field).with("known", known)
            }
            RefusalKind::InvalidRecord { path } => problem(Code::InvalidRecord).with("record", path),
            RefusalKind::RecordTooLarge { limit, path } => {
                problem(Code::RecordTooLarge).with("limit", limit).with("record", path)
            }
            RefusalKind::TooManyRecords { limit } => problem(Code::RequestTooLarge).with("limit", limit),
            RefusalKind::UnsupportedMediaType => problem(Code::UnsupportedMediaType),
        }
    }
}

/// A clause as a sentence of its own.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    match letters.next() {
        // What begins with a quoted or dotted name stays as it is.
        Some(first) if clause.split_whitespace().next().is_some_and(|w| w.bytes().all(|b| b.is_ascii_alphabetic())) => {
            format!("{}{}.", first.to_uppercase(), letters.as_str())
        }
        _ => format!("{clause}."),
    }
}
