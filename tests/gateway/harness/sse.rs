//! A reader of `text/event-stream` after the WHATWG text, with the blocks that fire nothing kept as well.

use std::collections::VecDeque;

use bytes::BytesMut;
use reqwest::Response;
use serde_json::Value;

use crate::harness::record::Record;
use crate::harness::wait::soon;

/// What stands between two blank lines of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The `id` field, if the block has one.
    pub(crate) id: Option<String>,
    /// The `event` field, if the block has one.
    pub(crate) event: Option<String>,
    /// The `data` fields joined by line feeds; a block without fires nothing.
    pub(crate) data: Option<String>,
    /// The `retry` field in milliseconds.
    pub(crate) retry: Option<u64>,
}

impl Block {
    /// The record that a message carries.
    pub(crate) fn record(&self) -> Record {
        assert_eq!(self.event, None, "a record has no event name: {self:?}");
        assert!(self.id.is_some(), "a record has an id: {self:?}");
        let data = self.data.as_ref().unwrap_or_else(|| panic!("no data: {self:?}"));
        serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
    }

    /// The data of an event that is no record.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.data.as_deref().unwrap_or_default()).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

/// One connection of an `EventSource`.
pub(crate) struct EventStream {
    response: Response,
    parser: Parser,
    /// What a browser would send as `Last-Event-ID` when it comes back now.
    pub(crate) last_event_id: String,
}

impl EventStream {
    /// A stream, if the answer is one.
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status().as_u16(), 200);
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        assert!(header("content-type").is_some_and(|value| value.starts_with("text/event-stream")));
        assert_eq!(header("cache-control"), Some("no-cache, no-transform"));
        assert_eq!(header("x-accel-buffering"), Some("no"));
        Self { response, parser: Parser::default(), last_event_id: String::new() }
    }

    /// The next block, or `None` where the stream ends between two blocks.
    pub(crate) async fn block(&mut self) -> Option<Block> {
        let block = self.try_block().await.expect("the stream goes on or ends whole");
        assert!(block.is_some() || self.parser.is_between_blocks(), "the stream ends within a block");
        block
    }

    /// The next block, or `None` where the stream ends, in order or not: its node may have died.
    pub(crate) async fn block_or_cut(&mut self) -> Option<Block> {
        self.try_block().await.ok().flatten()
    }

    async fn try_block(&mut self) -> Result<Option<Block>, reqwest::Error> {
        loop {
            if let Some(block) = self.parser.blocks.pop_front() {
                if let Some(id) = &block.id {
                    self.last_event_id.clone_from(id);
                }
                return Ok(Some(block));
            }
            match soon("the next block of an event stream", self.response.chunk()).await? {
                Some(piece) => self.parser.feed(&piece),
                None => return Ok(None),
            }
        }
    }

    /// The next block that fires something, or `None` at the end.
    pub(crate) async fn try_event(&mut self) -> Option<Block> {
        loop {
            match self.block().await {
                Some(block) if block.data.is_none() => {}
                other => return other,
            }
        }
    }

    /// The next block that fires something.
    pub(crate) async fn event(&mut self) -> Block {
        self.try_event().await.expect("an event before the end")
    }

    /// The next record; any other event is a failure.
    pub(crate) async fn record(&mut self) -> Record {
        self.event().await.record()
    }

    /// The next `count` records.
    pub(crate) async fn records(&mut self, count: usize) -> Vec<Record> {
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            records.push(self.record().await);
        }
        records
    }

    /// The next `count` records, each with the id of its event.
    pub(crate) async fn records_with_ids(&mut self, count: usize) -> Vec<(String, Record)> {
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            let event = self.event().await;
            let record = event.record();
            records.push((event.id.unwrap_or_default(), record));
        }
        records
    }
}

/// The line and field rules of "9.2.6 Interpreting an event stream".
#[derive(Default)]
struct Parser {
    started: bool,
    pending: BytesMut,
    block: Block,
    touched: bool,
    blocks: VecDeque<Block>,
}

impl Parser {
    fn feed(&mut self, piece: &[u8]) {
        self.pending.extend_from_slice(piece);
        while let Some((length, end)) = self.line_end() {
            let line = self.pending.split_to(length + end);
            let mut line = &line[..length];
            if !std::mem::replace(&mut self.started, true) {
                line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
            }
            let line = std::str::from_utf8(line).expect("an event stream is UTF-8").to_owned();
            self.line(&line);
        }
    }

    /// The length of the first line and of its end, once both are known.
    fn line_end(&self) -> Option<(usize, usize)> {
        let at = memchr::memchr2(b'\r', b'\n', &self.pending)?;
        match (self.pending[at], self.pending.get(at + 1)) {
            (b'\n', _) => Some((at, 1)),
            (_, Some(b'\n')) => Some((at, 2)),
            (_, Some(_)) => Some((at, 1)),
            // Whether a line feed follows is not known yet.
            (_, None) => None,
        }
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            if std::mem::take(&mut self.touched) {
                self.blocks.push_back(std::mem::take(&mut self.block));
            }
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            // A line that begins with a colon is a comment.
            "" => return,
            "event" => self.block.event = Some(value.to_owned()),
            "data" => match &mut self.block.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.block.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.block.id = Some(value.to_owned()),
            "retry" => self.block.retry = Some(value.parse().expect("retry is a number")),
            other => panic!("a field that no browser knows: {other:?}"),
        }
        self.touched = true;
    }

    fn is_between_blocks(&self) -> bool {
        self.pending.is_empty() && !self.touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way to cut the stream into two pieces must give the same blocks.
    fn parse(stream: &str) -> Vec<Block> {
        let whole = |pieces: &[&[u8]]| {
            let mut parser = Parser::default();
            pieces.iter().for_each(|piece| parser.feed(piece));
            assert!(parser.is_between_blocks(), "{stream:?}");
            Vec::from(parser.blocks)
        };
        let expected = whole(&[stream.as_bytes()]);
        for cut in 0..stream.len() {
            let (begin, rest) = stream.as_bytes().split_at(cut);
            assert_eq!(whole(&[begin, rest]), expected, "cut at {cut}");
        }
        expected
    }

    #[test]
    fn streams_are_read_as_the_standard_says() {
        let blocks =
            parse("\u{feff}: comment\n\nid: 1\r\ndata:two\r\ndata:  lines\r\n\r\nretry:5\nid\nevent: x\ndata\n\n");
        let message = Block { id: Some("1".into()), data: Some("two\n lines".into()), ..Block::default() };
        let named =
            Block { id: Some(String::new()), event: Some("x".into()), data: Some(String::new()), retry: Some(5) };
        assert_eq!(blocks, [message, named]);
    }
}
