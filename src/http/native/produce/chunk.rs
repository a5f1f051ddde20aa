//! A chunk of the lines of a stream, written together. Each line counts for itself: what is wrong with one takes none of
//! those before it along.

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::error::Error;
use crate::broker::produce::Produce;
use crate::broker::produce::Produced;
use crate::http::kit::caller::Asking;
use crate::http::kit::problem::Problem;
use crate::http::native::input::bounds::Bounds;
use crate::http::native::input::decode;
use crate::http::native::input::decode::Topics;
use crate::http::native::input::lines::Line;
use crate::http::native::input::refusal::Refusal;
use crate::model::limits::Limits;
use crate::model::name::TopicName;
use crate::model::record::NewRecord;
use crate::model::time;

/// Where the lines of a stream go.
pub struct Target {
    /// What writes them.
    pub broker: Broker,
    /// Who has them written.
    pub asking: Asking,
    /// What they are held against.
    pub limits: Arc<Limits>,
    /// The topic; without it each line names its own.
    pub topic: Option<TopicName>,
    /// Whether topics that do not exist are made.
    pub create: bool,
}

/// What became of a chunk.
pub struct Written {
    /// The topics of its records, by index.
    pub topics: Vec<TopicName>,
    /// The lines that are written: all, or those before the one that `problem` is about; `None` if there are none.
    pub produced: Option<Produced>,
    /// What ended it. Of the lines from there on none is written, as far as the problem does not say otherwise.
    pub problem: Option<Problem>,
}

impl Target {
    /// Writes lines as one commit, up to the first that is refused.
    pub async fn write(self: Arc<Self>, lines: Vec<Line>) -> Written {
        let bounds = Bounds { limits: &self.limits, now: time::now() };
        let mut named = Topics::default();
        let names = self.topic.is_none().then_some(&mut named);
        let (records, refusal) = decode_until_refused(&lines, &bounds, names);
        let topics = self.topic.as_ref().map_or_else(|| named.into_names(), |topic| vec![topic.clone()]);
        let mut problem = refusal.map(Problem::from);
        let mut records = records;
        for (index, topic) in topics.iter().enumerate() {
            if let Err(forbidden) = self.asking.produces([topic]) {
                // Topics stand in the order of the lines that first name them: those before this one are permitted.
                let good = records.iter().position(|record| record.topic == index).unwrap_or(records.len());
                problem = Some(forbidden);
                records.truncate(good);
                break;
            }
        }
        let mut request = Produce { topics, records, create: self.create, idempotency: None };
        let mut produced = None;
        while !request.records.is_empty() {
            forget_unused_topics(&mut request);
            match self.broker.produce(&request).await {
                Ok(done) => {
                    produced = Some(done);
                    break;
                }
                // Nothing was written. The lines before the one concerned go without it.
                Err(error) => {
                    let good = self.good_before(&error, &request).await;
                    problem = Some(error.into());
                    request.records.truncate(good);
                }
            }
        }
        Written { topics: request.topics, produced, problem }
    }

    /// How many records stand before the first one that `error` is about; none where it is about all.
    async fn good_before(&self, error: &Error, request: &Produce<'_>) -> usize {
        let named = |index: usize| &request.topics[index];
        let concerned = |record: &NewRecord<'_>| match error {
            Error::UnknownTopic(topic) => named(record.topic) == topic,
            Error::UnknownPartition { topic, partition, .. } => {
                named(record.topic) == topic && record.partition == Some(*partition)
            }
            _ => true,
        };
        if let Error::QuotaExceeded { .. } = error {
            // It does not say which topic could not be made: the first that is not there.
            for (index, name) in request.topics.iter().enumerate() {
                if self.broker.topic(name).await.is_err() {
                    return request.records.iter().position(|record| record.topic == index).unwrap_or(0);
                }
            }
        }
        request.records.iter().position(concerned).unwrap_or(0)
    }
}

/// The records of lines, up to the first that is none.
fn decode_until_refused<'l>(
    lines: &'l [Line],
    bounds: &Bounds<'_>,
    mut topics: Option<&mut Topics>,
) -> (Vec<NewRecord<'l>>, Option<Refusal>) {
    let mut records = Vec::with_capacity(lines.len());
    for line in lines {
        match decode::line(&line.text, line.number, bounds, topics.as_deref_mut()) {
            Ok(record) => records.push(record),
            Err(refusal) => return (records, Some(refusal)),
        }
    }
    (records, None)
}

/// Drops the topics that only lines behind the records name: they must not be made for nothing. Topics stand in the
/// order in which lines first name them, so they are the last.
fn forget_unused_topics(request: &mut Produce<'_>) {
    let used = request.records.iter().map(|record| record.topic + 1).max();
    request.topics.truncate(used.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_refused_line_leaves_those_before_it_and_no_trace_of_its_topic() {
        let texts = [r#"{"topic":"a","value":1}"#, r#"{"topic":"b","value":1}"#, r#"{"topic":"c"}"#, "x"];
        let lines: Vec<Line> =
            (1..).zip(texts).map(|(number, text)| Line { number, text: Bytes::from(text) }).collect();
        let limits = Limits::default();
        let mut topics = Topics::default();
        let (records, refusal) = decode_until_refused(&lines, &Bounds { limits: &limits, now: 0 }, Some(&mut topics));
        assert!(refusal.expect("line 3 has no value").detail.starts_with("line 3: value"));
        let mut request = Produce { topics: topics.into_names(), records, create: true, idempotency: None };
        assert_eq!((request.records.len(), request.topics.len()), (2, 3));
        forget_unused_topics(&mut request);
        assert_eq!(request.topics.iter().map(TopicName::as_str).collect::<Vec<_>>(), ["a", "b"]);
    }
}
