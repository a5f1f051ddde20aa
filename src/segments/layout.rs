//! Where the frames of one file lie: enough to find any offset without reading the file from its start.

use crate::segments::format::HEADER_BYTES;

/// How far marks are apart, in bytes: a read begins at most so far before what it wants, and the marks of a file take
/// 16 bytes per so many.
const MARK_EVERY: u64 = 32 << 10;

/// The first frame behind every [`MARK_EVERY`] bytes, and where the file ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Offset after the last record.
    pub(super) end_offset: u64,
    /// Bytes of the header and all frames.
    pub(super) length: u64,
    marks: Vec<Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    offset: u64,
    position: u64,
}

/// A run of whole frames in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Offset of the first record.
    pub(super) base_offset: u64,
    /// Where in the file it begins.
    pub(super) position: u64,
    /// How many bytes.
    pub(super) length: u64,
}

impl Layout {
    /// A file with a header and no frame yet.
    pub(super) fn new(base_offset: u64) -> Self {
        Self { end_offset: base_offset, length: HEADER_BYTES as u64, marks: Vec::new() }
    }

    /// Adds a frame at the end.
    pub(super) fn push(&mut self, next_offset: u64, bytes: u64) {
        if self.marks.last().is_none_or(|mark| self.length - mark.position >= MARK_EVERY) {
            self.marks.push(Mark { offset: self.end_offset, position: self.length });
        }
        self.end_offset = next_offset;
        self.length += bytes;
    }

    /// Where to read for `from`: a run of frames of which one holds it, about `bytes_max` from there on.
    pub(super) fn span(&self, from: u64, bytes_max: u64) -> Option<Span> {
        if from >= self.end_offset {
            return None;
        }
        let after = self.marks.partition_point(|mark| mark.offset <= from);
        let begin = self.marks.get(after.checked_sub(1)?)?;
        let limit = begin.position.saturating_add(MARK_EVERY).saturating_add(bytes_max);
        let end = if self.length <= limit {
            self.length
        } else {
            // At least up to the next mark: `from` lies before it.
            let beyond = self.marks.partition_point(|mark| mark.position <= limit);
            self.marks.get((beyond - 1).max(after)).map_or(self.length, |mark| mark.position)
        };
        Some(Span { base_offset: begin.offset, position: begin.position, length: end - begin.position })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_span_holds_its_offset_and_about_the_bytes_asked_for(
            frames in prop::collection::vec((1..50u64, 30..90_000u64), 1..60),
            base in 0..1000u64,
            at in any::<prop::sample::Index>(),
            bytes_max in 0..500_000u64,
        ) {
            let mut layout = Layout::new(base);
            let mut edges = vec![(layout.end_offset, layout.length)];
            for (count, bytes) in frames {
                layout.push(layout.end_offset + count, bytes);
                edges.push((layout.end_offset, layout.length));
            }
            let from = base + at.index((layout.end_offset - base) as usize) as u64;
            let span = layout.span(from, bytes_max).expect("inside");
            let begin = edges.iter().position(|edge| *edge == (span.base_offset, span.position)).expect("an edge");
            let end = edges.iter().position(|edge| edge.1 == span.position + span.length).expect("an edge");
            prop_assert!(edges[begin].0 <= from && from < edges[end].0);
            // One frame of any size may stand before `from`, and one may be the answer.
            prop_assert!(span.length <= bytes_max + 2 * MARK_EVERY + 2 * 90_000);
            let whole = layout.length - span.position;
            prop_assert!(span.length == whole || span.length + 2 * 90_000 + MARK_EVERY >= bytes_max);
            prop_assert_eq!(layout.span(layout.end_offset, bytes_max), None);
            if base > 0 {
                prop_assert_eq!(layout.span(base - 1, bytes_max), None);
            }
        }
    }
}
