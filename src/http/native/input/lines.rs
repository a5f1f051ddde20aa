//! NDJSON cut into lines: a body that is there as a whole, and one that arrives in pieces.
//!
//! A line ends with `\n` or `\r\n`, the last one also with the body. Lines of nothing but white space count, but say
//! nothing.

use std::mem;

use bytes::Bytes;
use memchr::memchr;

use crate::http::native::input::refusal::Refusal;
use crate::model::limits::Limits;

/// The lines of a whole body: their numbers, from 1, and their text.
#[derive(Debug, Clone)]
pub struct Lines<'b> {
    rest: &'b [u8],
    number: usize,
}

impl<'b> Lines<'b> {
    /// The lines of `body`.
    pub fn new(body: &'b [u8]) -> Self {
        Self { rest: body, number: 0 }
    }
}

impl<'b> Iterator for Lines<'b> {
    type Item = (usize, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            self.number += 1;
            if !is_blank(line) {
                return Some((self.number, trim_end(line)));
            }
        }
        None
    }
}

/// A line of a streamed body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// Its text without the line's end; never empty.
    pub text: Bytes,
}

/// Cuts a streamed body into lines as it arrives. Holds one unfinished line and the piece that came last.
#[derive(Debug)]
pub struct LineSplitter {
    /// The beginning of a line whose end has not arrived.
    begun: Vec<u8>,
    piece: Bytes,
    number: usize,
    line_max: usize,
    record_max: usize,
}

impl LineSplitter {
    /// A splitter that refuses lines which cannot be a record within `limits`, whatever stands in them.
    pub fn new(limits: &Limits) -> Self {
        Self {
            begun: Vec::new(),
            piece: Bytes::new(),
            number: 0,
            line_max: line_bytes_max(limits),
            record_max: limits.record_bytes,
        }
    }

    /// Adds the next piece of the body. All lines of the one before must have been taken.
    pub fn push(&mut self, piece: Bytes) {
        debug_assert!(self.piece.is_empty(), "lines of the last piece are left");
        self.piece = piece;
    }

    /// The next line that is complete; `None` if the next piece is needed for it.
    pub fn next_line(&mut self) -> Result<Option<Line>, Refusal> {
        while let Some(end) = memchr(b'\n', &self.piece) {
            let mut text = self.piece.split_to(end + 1);
            text.truncate(end);
            if let Some(line) = self.complete(text)? {
                return Ok(Some(line));
            }
        }
        let rest = mem::take(&mut self.piece);
        self.check_length(self.begun.len() + rest.len())?;
        self.begun.extend_from_slice(&rest);
        Ok(None)
    }

    /// The last line, if the body ended without a line's end.
    pub fn finish(mut self) -> Result<Option<Line>, Refusal> {
        self.complete(Bytes::new())
    }

    /// How many lines were met, those included that say nothing.
    pub fn lines(&self) -> usize {
        self.number
    }

    fn complete(&mut self, end: Bytes) -> Result<Option<Line>, Refusal> {
        self.check_length(self.begun.len() + end.len())?;
        self.number += 1;
        let mut text = if self.begun.is_empty() {
            end
        } else {
            self.begun.extend_from_slice(&end);
            Bytes::from(mem::take(&mut self.begun))
        };
        text.truncate(trim_end(&text).len());
        Ok((!is_blank(&text)).then_some(Line { number: self.number, text }))
    }

    fn check_length(&self, length: usize) -> Result<(), Refusal> {
        if length <= self.line_max {
            return Ok(());
        }
        Err(Refusal::record_too_large(format!("line {}", self.number + 1), self.record_max))
    }
}

/// The longest line that can hold a record within `limits`: a value in base64, key and headers wholly in `\u00xx`
/// escapes, and 16 KiB for names of members, numbers and white space.
fn line_bytes_max(limits: &Limits) -> usize {
    limits.record_bytes.div_ceil(3) * 4 + 6 * (limits.key_bytes + limits.record_header_bytes) + (16 << 10)
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

fn trim_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn whole(body: &[u8]) -> Vec<(usize, Vec<u8>)> {
        Lines::new(body).map(|(number, text)| (number, text.to_vec())).collect()
    }

    fn streamed<'p>(pieces: impl Iterator<Item = &'p [u8]>, limits: &Limits) -> Result<Vec<(usize, Vec<u8>)>, Refusal> {
        let mut splitter = LineSplitter::new(limits);
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(Bytes::copy_from_slice(piece));
            while let Some(line) = splitter.next_line()? {
                lines.push((line.number, line.text.to_vec()));
            }
        }
        lines.extend(splitter.finish()?.map(|line| (line.number, line.text.to_vec())));
        Ok(lines)
    }

    #[test]
    fn lines_are_counted_and_cut() {
        let line = |number, text: &str| (number, text.as_bytes().to_vec());
        assert_eq!(whole(b""), []);
        assert_eq!(whole(b"\n\r\n  \n"), []);
        assert_eq!(whole(b"a"), [line(1, "a")]);
        assert_eq!(whole(b"a\r\n\nb\r\n"), [line(1, "a"), line(3, "b")]);
        assert_eq!(whole(b" \na b \n"), [line(2, "a b ")]);
    }

    #[test]
    fn a_line_without_end_is_refused_while_it_arrives() {
        let limits = Limits { record_bytes: 300, key_bytes: 0, record_header_bytes: 0, ..Limits::default() };
        let most = line_bytes_max(&limits);
        let fits = vec![b'x'; most];
        assert_eq!(streamed(fits.chunks(1000), &limits).map(|lines| lines.len()), Ok(1));
        let mut splitter = LineSplitter::new(&limits);
        splitter.push(Bytes::from_static(b"{}\n"));
        assert!(matches!(splitter.next_line(), Ok(Some(Line { number: 1, .. }))));
        assert_eq!(splitter.next_line(), Ok(None));
        splitter.push(fits.into());
        assert_eq!(splitter.next_line(), Ok(None));
        splitter.push(Bytes::from_static(b"x"));
        let refusal = splitter.next_line().expect_err("one byte too long");
        assert_eq!(refusal, Refusal::record_too_large("line 2".to_owned(), 300));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(body in vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), Just(b' ')], 0..60), size in 1..20usize) {
            prop_assert_eq!(streamed(body.chunks(size), &Limits::default()), Ok(whole(&body)));
        }
    }
}
