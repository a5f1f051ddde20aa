//! Request bodies of JSON records, into records that borrow from them: the batch `{"records":[…]}` and the NDJSON line.
//!
//! One pass, without a document in between: each record is checked and converted as soon as it is read, so a body of
//! many tiny records costs no more memory than the records that are allowed. The place of an error is known from where
//! the pass stands, so nothing is parsed twice to name it.

use std::collections::HashMap;
use std::fmt;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;

use crate::http::native::input::bounds::Bounds;
use crate::http::native::input::envelope::Envelope;
use crate::http::native::input::envelope::MEMBERS;
use crate::http::native::input::envelope::Member;
use crate::http::native::input::headers::Sender;
use crate::http::native::input::json_text;
use crate::http::native::input::json_text::Text;
use crate::http::native::input::lines::Lines;
use crate::http::native::input::refusal::Place;
use crate::http::native::input::refusal::Refusal;
use crate::http::native::input::refusal::Stop;
use crate::http::native::input::refusal::clip;
use crate::model::name::NameError;
use crate::model::name::TopicName;
use crate::model::record::NewRecord;

/// The members of a batch.
const BATCH: &[&str] = &["records"];

/// The topics that the records of one write name, each once; [`NewRecord::topic`] is the index. A streamed body takes
/// a new one for each write, so that it does not grow with the stream.
#[derive(Debug, Default)]
pub struct Topics {
    names: Vec<TopicName>,
    indices: HashMap<TopicName, usize>,
    last: usize,
}

impl Topics {
    /// The names in the order in which they were first met.
    pub fn into_names(self) -> Vec<TopicName> {
        self.names
    }

    fn index(&mut self, text: &str) -> Result<usize, NameError> {
        // As a rule a record goes where the one before it went.
        if self.names.get(self.last).is_none_or(|name| name.as_str() != text) {
            self.last = match self.indices.get(text) {
                Some(index) => *index,
                None => {
                    let name: TopicName = text.parse()?;
                    self.names.push(name.clone());
                    self.indices.insert(name, self.names.len() - 1);
                    self.names.len() - 1
                }
            };
        }
        Ok(self.last)
    }
}

/// The records of a JSON batch, at least one. With `topics`, each record names its topic; without, the path does, and
/// the member `topic` has no effect.
pub fn batch<'de>(
    body: &'de [u8],
    bounds: &Bounds<'_>,
    topics: Option<&mut Topics>,
) -> Result<Vec<NewRecord<'de>>, Refusal> {
    let text = json_text::utf8(body).map_err(|at| Refusal::malformed(at, None))?;
    let mut pass = Pass::new(bounds, topics, None);
    let records = pass.run(text, |pass, de| Batch(pass).deserialize(de))?;
    if records.is_empty() {
        return Err(Refusal::invalid("records".to_owned(), "it must hold at least one record"));
    }
    Ok(records)
}

/// The record of one NDJSON line; `number` is the line's, from 1, and `text` may not be empty.
pub fn line<'de>(
    text: &'de [u8],
    number: usize,
    bounds: &Bounds<'_>,
    topics: Option<&mut Topics>,
) -> Result<NewRecord<'de>, Refusal> {
    let text = json_text::utf8(text).map_err(|at| Refusal::malformed(at, Some(number)))?;
    let mut pass = Pass::new(bounds, topics, Some(number));
    pass.run(text, |pass, de| One(pass).deserialize(de))
}

/// The records of a whole NDJSON body that is one write (`?atomic=true`), at least one.
pub fn lines<'de>(
    body: &'de [u8],
    bounds: &Bounds<'_>,
    mut topics: Option<&mut Topics>,
) -> Result<Vec<NewRecord<'de>>, Refusal> {
    let limit = bounds.limits.request_records;
    let mut records = Vec::with_capacity(capacity(body.len(), limit));
    for (number, text) in Lines::new(body) {
        if records.len() == limit {
            return Err(Refusal::too_many_records(limit));
        }
        records.push(line(text, number, bounds, topics.as_deref_mut())?);
    }
    if records.is_empty() {
        return Err(Refusal::invalid("line 1".to_owned(), "the body must have at least one line with a record"));
    }
    Ok(records)
}

/// Room for the records of a body, guessed at 128 bytes each.
fn capacity(body: usize, limit: usize) -> usize {
    (body / 128 + 1).min(limit)
}

/// One pass over a body, and where it stands.
struct Pass<'p> {
    bounds: &'p Bounds<'p>,
    topics: Option<&'p mut Topics>,
    /// The number of the only line, if the text is a line.
    line: Option<usize>,
    /// How many records of the list are behind us; `None` outside the list.
    record: Option<usize>,
    member: Option<Member>,
    stop: Stop,
}

impl<'p> Pass<'p> {
    fn new(bounds: &'p Bounds<'p>, topics: Option<&'p mut Topics>, line: Option<usize>) -> Self {
        Self { bounds, topics, line, record: None, member: None, stop: Stop::default() }
    }

    fn run<'de, T>(
        &mut self,
        text: &'de str,
        read: impl FnOnce(&mut Self, &mut serde_json::Deserializer<serde_json::de::StrRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, Refusal> {
        let mut de = serde_json::Deserializer::from_str(text);
        let done = read(self, &mut de);
        done.and_then(|value| de.end().map(|()| value)).map_err(|error| self.explain(text, &error))
    }

    /// Where the current record stands; `None` before the first.
    fn place(&self) -> Option<Place> {
        self.line.map(Place::Line).or(self.record.map(Place::Record))
    }

    fn explain(&mut self, text: &str, error: &serde_json::Error) -> Refusal {
        if let Some(refusal) = self.stop.take() {
            return refusal;
        }
        // A type that does not fit ends the pass early, and half a surrogate pair is good JSON that no string of ours
        // can hold: only a look at the whole tells whether it is JSON at all.
        if let Err(malformed) = serde_json::from_str::<&RawValue>(text) {
            return Refusal::malformed(malformed.into(), self.line);
        }
        let reason = json_text::reason(error);
        let met = clip(&reason);
        match (self.place(), self.member) {
            (None, _) => Refusal::invalid("records".to_owned(), format!("the body is {{\"records\":[…]}}; met {met}")),
            (Some(place), None) => Refusal::invalid(place.path(""), format!("a record is a JSON object; {met}")),
            (Some(place), Some(member)) => {
                Refusal::invalid(place.path(member.name()), format!("{}; {met}", member.expects()))
            }
        }
    }
}

/// `{"records":[…]}`.
struct Batch<'a, 'p>(&'a mut Pass<'p>);

impl<'de> DeserializeSeed<'de> for Batch<'_, '_> {
    type Value = Vec<NewRecord<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Batch<'_, '_> {
    type Value = Vec<NewRecord<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the member `records`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut records = None;
        while let Some(Text(name)) = map.next_key()? {
            if name != BATCH[0] {
                return Err(self.0.stop.with(Refusal::unknown_field("", &name, BATCH)));
            }
            if records.is_some() {
                let twice = Refusal::invalid("records".to_owned(), "the body has this member twice");
                return Err(self.0.stop.with(twice));
            }
            records = Some(map.next_value_seed(Records(self.0))?);
            self.0.record = None;
        }
        records.ok_or_else(|| {
            self.0.stop.with(Refusal::invalid("records".to_owned(), "it is missing; the body is {\"records\":[…]}"))
        })
    }
}

/// The list of records.
struct Records<'a, 'p>(&'a mut Pass<'p>);

impl<'de> DeserializeSeed<'de> for Records<'_, '_> {
    type Value = Vec<NewRecord<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_, '_> {
    type Value = Vec<NewRecord<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let limit = self.0.bounds.limits.request_records;
        let mut records = Vec::new();
        loop {
            if records.len() == limit {
                return match seq.next_element::<IgnoredAny>()? {
                    Some(_) => Err(self.0.stop.with(Refusal::too_many_records(limit))),
                    None => Ok(records),
                };
            }
            self.0.record = Some(records.len());
            self.0.member = None;
            match seq.next_element_seed(One(self.0))? {
                Some(record) => records.push(record),
                None => return Ok(records),
            }
        }
    }
}

/// One record.
struct One<'a, 'p>(&'a mut Pass<'p>);

impl<'de> DeserializeSeed<'de> for One<'_, '_> {
    type Value = NewRecord<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One<'_, '_> {
    type Value = NewRecord<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NewRecord<'de>, A::Error> {
        let pass = self.0;
        let place = pass.place().unwrap_or(Place::Request);
        let mut envelope = Envelope::default();
        while let Some(Text(name)) = map.next_key()? {
            let Some(member) = Member::named(&name) else {
                return Err(pass.stop.with(Refusal::unknown_field(&place.path(""), &name, MEMBERS)));
            };
            if !envelope.meet(member) {
                let twice = Refusal::invalid(place.path(member.name()), "the record has this member twice");
                return Err(pass.stop.with(twice));
            }
            pass.member = Some(member);
            envelope.take(member, &mut map, Sender { bounds: pass.bounds, place, stop: &mut pass.stop })?;
            pass.member = None;
        }
        let topic = match (&mut pass.topics, &envelope.topic) {
            (None, _) => Ok(0),
            (Some(topics), Some(name)) => topics.index(name).map_err(|error| error.to_string()),
            (Some(_), None) => Err("it is missing; on this path each record names its topic".to_owned()),
        };
        let made = topic
            .map_err(|why| Refusal::invalid(place.path("topic"), why))
            .and_then(|topic| envelope.into_record(topic, pass.bounds, place));
        made.map_err(|refusal| pass.stop.with(refusal))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::http::native::input::refusal::RefusalKind;
    use crate::model::limits::Limits;

    const NOW: u64 = 1_732_233_600_000;

    fn with_limits<T>(limits: Limits, read: impl FnOnce(&Bounds<'_>) -> T) -> T {
        read(&Bounds { limits: &limits, now: NOW })
    }

    fn records(members: &str) -> Result<NewRecord<'static>, Refusal> {
        let body = format!("{{\"records\":[{{\"value\":0}},{{{members}}}]}}").leak();
        with_limits(Limits::default(), |bounds| batch(body.as_bytes(), bounds, None))
            .map(|mut records| records.pop().expect("two records"))
    }

    fn refused(body: &str) -> Refusal {
        with_limits(Limits::default(), |bounds| batch(body.as_bytes(), bounds, None)).expect_err(body)
    }

    #[test]
    fn unknown_members_are_named() {
        let refusal = records(r#""valeu":1"#).expect_err("unknown");
        assert_eq!(refusal.kind, RefusalKind::UnknownField { field: "valeu".to_owned(), known: MEMBERS });
        assert!(
            refusal.detail.starts_with("records[1]: there is no member `valeu`; known are key, key_base64, value,")
        );
        let refusal = refused(r#"{"record":[]}"#);
        assert_eq!(refusal.kind, RefusalKind::UnknownField { field: "record".to_owned(), known: BATCH });
        assert_eq!(refusal.detail, "there is no member `record`; known are records");
        let refusal = records(r#""value":1,"header_list":[{"key":"a","value":"b"}]"#).expect_err("unknown");
        assert!(matches!(&refusal.kind, RefusalKind::UnknownField { field, .. } if field == "key"));
        assert!(refusal.detail.starts_with("records[1].header_list[0]: there is no member `key`"));
        let long = refused(&format!("{{\"{}\":1}}", "ä".repeat(100_000)));
        assert!(long.detail.len() < 1000, "a refusal does not grow with what is refused");
        let long = records(&format!("\"value\":1,\"partition\":\"{}\"", "x".repeat(100_000))).expect_err("no number");
        assert!(long.detail.len() < 1000);
    }

    #[test]
    fn the_body_must_be_a_batch() {
        for (body, why) in [
            ("[]", "the body is {\"records\":[…]}; met invalid type: sequence"),
            ("5", "the body is {\"records\":[…]}"),
            ("{\"records\":{}}", "the body is {\"records\":[…]}; met invalid type: map, expected a list of records"),
            ("{\"records\":null}", "the body is {\"records\":[…]}"),
            ("{}", "it is missing; the body is {\"records\":[…]}"),
            ("{\"records\":[]}", "it must hold at least one record"),
            ("{\"records\":[],\"records\":[]}", "the body has this member twice"),
        ] {
            let refusal = refused(body);
            assert_eq!(refusal.kind, RefusalKind::InvalidRecord { path: "records".to_owned() }, "{body}");
            assert!(refusal.detail.starts_with(&format!("records: {why}")), "{}", refusal.detail);
        }
        let refusal = refused(r#"{"records":[{"value":1},[]]}"#);
        assert_eq!(refusal.kind, RefusalKind::InvalidRecord { path: "records[1]".to_owned() });
    }

    #[test]
    fn what_is_not_json_is_told_by_line_and_column() {
        for (body, line, column) in [
            ("", 1, 1),
            ("{\n\"records\": [{\"value\": 01}]}", 2, 24),
            ("{\"records\":[{\"value\":1}]} x", 1, 27),
            ("{\"records\":[{\"value\":1}", 1, 23),
            ("{\"records\":[{\"key\":5,\"value\":}]}", 1, 30),
            ("\u{feff}{\"records\":[]}", 1, 1),
        ] {
            assert_eq!(refused(body).kind, RefusalKind::MalformedJson { line, column }, "{body}");
        }
        let refusal = with_limits(Limits::default(), |bounds| batch(b"{\"records\":[\n\xff]}", bounds, None));
        let refusal = refusal.expect_err("not UTF-8");
        assert_eq!(refusal.detail, "line 2, column 1: the body is not JSON: the bytes are not UTF-8");
    }

    #[test]
    fn bounds_hold_at_the_limit_and_break_beyond() {
        let limits = || Limits {
            record_bytes: 100,
            request_records: 3,
            key_bytes: 4,
            record_headers: 2,
            record_header_bytes: 10,
            ..Limits::default()
        };
        let read = |body: String| with_limits(limits(), |bounds| batch(body.as_bytes(), bounds, None).map(|r| r.len()));
        let one = |members: String| read(format!("{{\"records\":[{{{members}}}]}}"));
        let kind = |done: Result<usize, Refusal>| done.expect_err("beyond the limit").kind;
        let invalid = |path: &str| RefusalKind::InvalidRecord { path: path.to_owned() };

        assert_eq!(read(format!("{{\"records\":[{}]}}", [r#"{"value":1}"#; 3].join(","))), Ok(3));
        let many = format!("{{\"records\":[{}]}}", [r#"{"value":1}"#; 4].join(","));
        assert_eq!(kind(read(many)), RefusalKind::TooManyRecords { limit: 3 });

        let sized = |x: usize| format!(r#""key":"kk","headers":{{"h":"v"}},"value":"{}""#, "x".repeat(x - 6));
        assert_eq!(one(sized(100)), Ok(1));
        let too_large = RefusalKind::RecordTooLarge { limit: 100, path: "records[0]".to_owned() };
        assert_eq!(kind(one(sized(101))), too_large);

        assert_eq!(one(r#""value":1,"key":"1234""#.to_owned()), Ok(1));
        assert_eq!(kind(one(r#""value":1,"key":"12345""#.to_owned())), invalid("records[0].key"));
        assert_eq!(one(r#""value":1,"headers":{"a":"1234","b":"1234"}"#.to_owned()), Ok(1));
        let wide = r#""value":1,"headers":{"a":"1234","b":"12345"}"#.to_owned();
        assert_eq!(kind(one(wide)), invalid("records[0].headers"));
        let many = r#""value":1,"headers":{"a":"","b":"","c":""}"#.to_owned();
        assert_eq!(kind(one(many)), invalid("records[0].headers"));
        let entries = [r#"{"name":"a","value":""}"#; 3].join(",");
        assert_eq!(kind(one(format!(r#""value":1,"header_list":[{entries}]"#))), invalid("records[0].headers"));
    }

    #[test]
    fn topics_are_named_once() {
        let read = |body: &str| {
            let mut topics = Topics::default();
            let records = with_limits(Limits::default(), |bounds| {
                batch(body.as_bytes(), bounds, Some(&mut topics)).map(|r| r.iter().map(|r| r.topic).collect::<Vec<_>>())
            });
            (records, topics.into_names().iter().map(TopicName::to_string).collect::<Vec<_>>())
        };
        let body = r#"{"records":[{"topic":"b","value":1},{"value":1,"topic":"a"},{"topic":"a","value":1},{"topic":"b","value":1}]}"#;
        assert_eq!(read(body), (Ok(vec![0, 1, 1, 0]), vec!["b".to_owned(), "a".to_owned()]));
        for (topic, why) in [
            (r#""value":1"#, "it is missing; on this path each record names its topic"),
            (r#""value":1,"topic":null"#, "it is missing"),
            (r#""value":1,"topic":"a/b""#, "a name is made of A-Z a-z 0-9 . _ - only"),
            (r#""value":1,"topic":"""#, "a name has 1 to 249 characters"),
            (r#""value":1,"topic":"__x""#, "names that begin with `__` are reserved"),
            (r#""value":1,"topic":1"#, "a topic is a string; invalid type"),
        ] {
            let refusal = read(&format!("{{\"records\":[{{{topic}}}]}}")).0.expect_err(topic);
            assert_eq!(refusal.kind, RefusalKind::InvalidRecord { path: "records[0].topic".to_owned() });
            assert!(refusal.detail.starts_with(&format!("records[0].topic: {why}")), "{}", refusal.detail);
        }
    }

    #[test]
    fn lines_are_records_and_their_refusals_name_the_line() {
        let read = |body: &[u8]| {
            let limits = Limits { request_records: 3, ..Limits::default() };
            with_limits(limits, |bounds| lines(body, bounds, None).map(|records| records.len()))
        };
        assert_eq!(read(b"{\"value\":1}\r\n\n{\"value\":null}\n{\"value_base64\":\"\"}"), Ok(3));
        let refusal = read(b"{\"value\":1}\n\n{\"value\":1,\"key\":2}\n").expect_err("a key is text");
        assert_eq!(refusal.kind, RefusalKind::InvalidRecord { path: "line 3: key".to_owned() });
        assert!(refusal.detail.starts_with("line 3: key: a key is a string"));
        let refusal = read(b"{\"value\":1}\n{\"value\":\n").expect_err("cut");
        assert_eq!(refusal.kind, RefusalKind::MalformedJson { line: 2, column: 9 });
        assert!(refusal.detail.starts_with("line 2, column 9: each line must be one JSON object"));
        let refusal = read(b"{\"value\":1} {\"value\":1}").expect_err("two on a line");
        assert_eq!(refusal.kind, RefusalKind::MalformedJson { line: 1, column: 13 });
        let refusal = read(b"\n\"a\"\n").expect_err("no object");
        assert_eq!(refusal.kind, RefusalKind::InvalidRecord { path: "line 2".to_owned() });
        let refusal = read(b"{\"vaule\":1}").expect_err("unknown");
        assert!(refusal.detail.starts_with("line 1: there is no member `vaule`"));
        assert_eq!(read(b"\n\n").expect_err("empty").kind, RefusalKind::InvalidRecord { path: "line 1".to_owned() });
        let many = read("{\"value\":1}\n".repeat(4).as_bytes()).expect_err("too many");
        assert_eq!(many.kind, RefusalKind::TooManyRecords { limit: 3 });
        let bom = read(b"\xef\xbb\xbf{\"value\":1}").expect_err("BOM");
        assert!(bom.detail.contains("byte order mark"));
    }

    proptest! {
        #[test]
        fn never_panics_on_what_is_no_batch(bytes in vec(any::<u8>(), 0..80), cut in any::<prop::sample::Index>()) {
            let whole = r#"{"records":[{"key":"é","value":{"a":[1]},"header_list":[{"name":"a","value_base64":"/w=="}]}]}"#;
            let mut broken = whole.as_bytes().to_vec();
            let at = cut.index(broken.len());
            broken[at] = bytes.first().copied().unwrap_or(b'"');
            with_limits(Limits::default(), |bounds| {
                for body in [&bytes[..], &broken, &whole.as_bytes()[..at]] {
                    let _ = batch(body, bounds, Some(&mut Topics::default()));
                    let _ = lines(body, bounds, None);
                }
            });
        }
    }
}
