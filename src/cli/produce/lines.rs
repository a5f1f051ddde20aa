//! Lines of standard input as records: what a line becomes, and how lines are handed on as they come.

use std::io;
use std::io::BufRead;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use memchr::memchr;
use memchr::memmem;
use serde_json::value::RawValue;
use tokio::sync::mpsc::Sender;

/// The longest line, in bytes: far above what a gateway takes as one record.
const LINE_BYTES_MAX: usize = 64 << 20;

/// What the value of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A JSON string.
    Text,
    /// Any JSON, kept as it is.
    Json,
    /// Bytes.
    Bytes,
    /// There is more than a value: a whole record, as `tidegate consume` prints it.
    Record,
}

/// How a line becomes a record.
#[derive(Debug, Clone)]
pub struct Encoding {
    /// What it is.
    pub shape: Shape,
    /// The key of every record.
    pub key: Option<String>,
    /// What stands between the key and the value of a line.
    pub key_separator: Option<String>,
    /// The partition of every record.
    pub partition: Option<u32>,
}

/// Why a line is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// Text is UTF-8.
    #[error("it is not UTF-8; with --format bytes it can be sent")]
    NoText,
    /// JSON was promised.
    #[error("it is not JSON: {0}")]
    NoJson(String),
    /// A record is an object.
    #[error("it is not a record, which is a JSON object such as {{\"value\":1}}")]
    NoRecord,
    /// A key was promised.
    #[error("it has no key: the separator is not in it")]
    NoKey,
}

impl Encoding {
    /// Adds the record of a line, as a line of NDJSON.
    ///
    /// # Errors
    /// As [`BadLine`] says; nothing is added then.
    pub fn encode(&self, line: &[u8], out: &mut Vec<u8>) -> Result<(), BadLine> {
        if self.shape == Shape::Record {
            let record = json(line)?;
            if !record.get().starts_with('{') {
                return Err(BadLine::NoRecord);
            }
            push_line(out, record.get().as_bytes());
            return Ok(());
        }
        let (key, value) = match &self.key_separator {
            None => (self.key.as_deref().map(str::as_bytes), line),
            Some(separator) => {
                let at = memmem::find(line, separator.as_bytes()).ok_or(BadLine::NoKey)?;
                (Some(&line[..at]), &line[at + separator.len()..])
            }
        };
        let value = match self.shape {
            Shape::Text => string("value", str::from_utf8(value).map_err(|_| BadLine::NoText)?),
            Shape::Bytes => string("value_base64", &BASE64_STANDARD.encode(value)),
            Shape::Json | Shape::Record => format!("\"value\":{}", json(value)?.get()),
        };
        let mut record = String::from("{");
        if let Some(partition) = self.partition {
            record.push_str(&format!("\"partition\":{partition},"));
        }
        if let Some(key) = key {
            record.push_str(&match str::from_utf8(key) {
                Ok(text) => string("key", text),
                Err(_) => string("key_base64", &BASE64_STANDARD.encode(key)),
            });
            record.push(',');
        }
        record.push_str(&value);
        record.push('}');
        push_line(out, record.as_bytes());
        Ok(())
    }
}

/// JSON on one line: what came on one has no line feed between its tokens.
fn json(text: &[u8]) -> Result<&RawValue, BadLine> {
    serde_json::from_slice(text).map_err(|why| BadLine::NoJson(why.to_string()))
}

fn string(name: &str, text: &str) -> String {
    format!("\"{name}\":{}", serde_json::to_string(text).expect("a text serializes"))
}

fn push_line(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// Records of some lines.
#[derive(Debug)]
pub struct Chunk {
    /// The records, a line each.
    pub bytes: Bytes,
    /// How many.
    pub records: u64,
}

/// Why no more lines are read.
#[derive(Debug, thiserror::Error)]
pub enum BadInput {
    /// A line is no record.
    #[error("line {line} cannot be sent: {why}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// Why.
        why: BadLine,
    },
    /// A line is too long.
    #[error("line {0} is longer than {LINE_BYTES_MAX} bytes")]
    TooLong(u64),
    /// Reading failed.
    #[error("standard input cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// Reads lines to the end, or until nobody wants more, and hands them on as they come: what a slow writer has written is
/// sent at once, what a fast one has written goes together.
pub fn read(mut input: impl BufRead, encoding: &Encoding, chunks: &Sender<Result<Chunk, BadInput>>) {
    let mut reader = Lines { encoding, line: 0, begun: Vec::new(), out: Vec::new(), records: 0 };
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                chunks.blocking_send(Err(error.into())).ok();
                return;
            }
        };
        let (length, is_end) = (available.len(), available.is_empty());
        let taken = if is_end { reader.end() } else { reader.take(available) };
        input.consume(length);
        // What was good before a bad line is sent.
        let good = reader.chunk();
        if good.records > 0 && chunks.blocking_send(Ok(good)).is_err() {
            return;
        }
        if let Err(bad) = taken {
            chunks.blocking_send(Err(bad)).ok();
            return;
        }
        if is_end {
            return;
        }
    }
}

struct Lines<'a> {
    encoding: &'a Encoding,
    /// Lines taken so far.
    line: u64,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    out: Vec<u8>,
    records: u64,
}

impl Lines<'_> {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), BadInput> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.begun.is_empty() {
                self.encode(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.begun);
                whole.extend_from_slice(line);
                self.encode(&whole)?;
            }
            bytes = rest;
        }
        self.begun.extend_from_slice(bytes);
        if self.begun.len() > LINE_BYTES_MAX {
            return Err(BadInput::TooLong(self.line + 1));
        }
        Ok(())
    }

    /// The last line may have no end.
    fn end(&mut self) -> Result<(), BadInput> {
        let last = std::mem::take(&mut self.begun);
        if last.is_empty() { Ok(()) } else { self.encode(&last) }
    }

    fn encode(&mut self, line: &[u8]) -> Result<(), BadInput> {
        self.line += 1;
        let done = self.encoding.encode(line, &mut self.out);
        done.map_err(|why| BadInput::Line { line: self.line, why })?;
        self.records += 1;
        Ok(())
    }

    fn chunk(&mut self) -> Chunk {
        Chunk { bytes: std::mem::take(&mut self.out).into(), records: std::mem::take(&mut self.records) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn encoding(shape: Shape) -> Encoding {
        Encoding { shape, key: None, key_separator: None, partition: None }
    }

    fn encoded(encoding: &Encoding, line: &[u8]) -> Result<String, BadLine> {
        let mut out = Vec::new();
        encoding.encode(line, &mut out).map(|()| String::from_utf8(out).expect("JSON is UTF-8"))
    }

    #[test]
    fn a_line_is_a_value_of_its_shape() {
        for (shape, line, record) in [
            (Shape::Text, &b"say \"hi\"\t"[..], Ok("{\"value\":\"say \\\"hi\\\"\\t\"}\n")),
            (Shape::Text, b"", Ok("{\"value\":\"\"}\n")),
            (Shape::Text, b"\xff", Err(BadLine::NoText)),
            (Shape::Bytes, b"\xff\x00", Ok("{\"value_base64\":\"/wA=\"}\n")),
            (Shape::Json, b" {\"a\":1e400} ", Ok("{\"value\":{\"a\":1e400}}\n")),
            (Shape::Record, b"{\"key\":\"k\",\"value\":1}", Ok("{\"key\":\"k\",\"value\":1}\n")),
            (Shape::Record, b"7", Err(BadLine::NoRecord)),
        ] {
            assert_eq!(encoded(&encoding(shape), line), record.map(str::to_owned));
        }
        // Two members where one value was promised.
        for line in ["1},{\"value\":2", "1,\"key\":\"k\"", ""] {
            let refused = encoded(&encoding(Shape::Json), line.as_bytes());
            assert!(matches!(refused, Err(BadLine::NoJson(_))), "{line}: {refused:?}");
        }
    }

    #[test]
    fn a_key_is_given_or_stands_before_the_separator() {
        let split = Encoding { key_separator: Some(": ".to_owned()), partition: Some(3), ..encoding(Shape::Json) };
        assert_eq!(encoded(&split, b"a:b: [1]"), Ok("{\"partition\":3,\"key\":\"a:b\",\"value\":[1]}\n".to_owned()));
        assert_eq!(encoded(&split, b"a:[1]"), Err(BadLine::NoKey));
        let given = Encoding { key: Some("k".to_owned()), ..encoding(Shape::Text) };
        assert_eq!(encoded(&given, b"v"), Ok("{\"key\":\"k\",\"value\":\"v\"}\n".to_owned()));
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let text = "one\ntwo\n\nthree without an end";
        for size in 1..12 {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
            read(BufReader::with_capacity(size, text.as_bytes()), &encoding(Shape::Text), &sender);
            drop(sender);
            let (mut all, mut records) = (Vec::new(), 0);
            while let Some(chunk) = receiver.blocking_recv() {
                let chunk = chunk.expect("good lines");
                all.extend_from_slice(&chunk.bytes);
                records += chunk.records;
            }
            let lines =
                "{\"value\":\"one\"}\n{\"value\":\"two\"}\n{\"value\":\"\"}\n{\"value\":\"three without an end\"}\n";
            assert_eq!((String::from_utf8_lossy(&all).as_ref(), records), (lines, 4));
        }
    }

    #[test]
    fn what_is_good_before_a_bad_line_is_handed_on() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
        read(&b"1\n2\nthree\n4\n"[..], &encoding(Shape::Json), &sender);
        assert_eq!(receiver.blocking_recv().expect("a chunk").expect("good").records, 2);
        let bad = receiver.blocking_recv().expect("a reason").expect_err("bad");
        assert!(matches!(bad, BadInput::Line { line: 3, why: BadLine::NoJson(_) }), "{bad}");
    }
}
