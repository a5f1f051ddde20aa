//! A cursor: the whole position of a reader over many partitions, as one short opaque token.
//!
//! It serves as `cursor`, as `Last-Event-ID` and as the `id:` of an event. It must stay below 1.5 KiB with
//! [`PARTITIONS_MAX`] partitions, because proxies fail on header lines of some 2,000 characters; so it holds digests of
//! the topics instead of their names, and offsets at the width that the largest of them needs.
//!
//! ```text
//! base64url( version|flags u8 · turn u8 · width u8 · names u32 · incarnations u64 · topic_count varint
//!            per topic: check u8 · count varint · [partition delta varint]*  (only when partitions were listed)
//!            offset (width bytes, little endian)*  · CRC-32C u32 of all before )
//! ```
//! A topic that did not exist when the cursor was made stands in it with no partition at all.

use crate::model::codec::put_varint;
use crate::model::codec::take_varint;
use crate::model::name::TopicName;
use crate::model::token;

/// How many partitions one read, and so one cursor, covers (api.md §4).
pub const PARTITIONS_MAX: usize = 128;

/// Longest text that can be a cursor; longer ones are refused unread.
const TEXT_BYTES_MAX: usize = 4096;

const VERSION: u8 = 1 << 4;
const LISTED: u8 = 1;

/// A partition and the offset to read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The partition.
    pub partition: u32,
    /// The offset of the record to read next.
    pub offset: u64,
}

/// The position in one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPosition {
    /// The lowest byte of the topic's incarnation: tells which of several topics was made anew.
    check: u8,
    /// Sorted by partition; empty if the topic did not exist.
    pub partitions: Vec<Next>,
}

impl TopicPosition {
    /// Whether the topic may be of this incarnation. Another one passes as well, one time in 256.
    pub fn may_be_of(&self, incarnation: u64) -> bool {
        self.check == incarnation as u8
    }
}

/// A reader's whole position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    names: u32,
    incarnations: u64,
    /// Which of all partitions, counted through, the next page begins with: so that none waits for ever behind the
    /// others, and a repeated read gives the same page.
    pub turn: u8,
    /// The reader had named its partitions: those that are added later are not its own.
    pub listed: bool,
    /// One per topic, in the order of names.
    pub topics: Vec<TopicPosition>,
}

/// A topic as a cursor sees it: its name, and its incarnation if it exists.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Its name.
    pub name: &'a TopicName,
    /// Its incarnation; `None` if there is no such topic.
    pub incarnation: Option<u64>,
}

/// Why a cursor cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// No cursor of ours, or damaged on its way.
    #[error("this is not a cursor, or it was cut or changed on its way: send it exactly as it was received")]
    Malformed,
    /// A cursor of other topics.
    #[error("this cursor was made for other topics: repeat the topics of the read that gave it")]
    OtherTopics,
    /// The topic at this index was deleted, and is gone or was made anew.
    #[error("the topic was deleted after this cursor was made")]
    Recreated(usize),
}

impl Cursor {
    /// The position `partitions` in `topics`, both in the order of names.
    pub fn new<'a>(topics: impl Iterator<Item = (Identity<'a>, Vec<Next>)>, listed: bool, turn: usize) -> Self {
        let mut names = Digest::default();
        let mut incarnations = Digest::default();
        let topics = topics
            .map(|(identity, partitions)| {
                names.add_name(identity.name);
                incarnations.add(identity.incarnation.unwrap_or(0));
                TopicPosition { check: identity.incarnation.unwrap_or(0) as u8, partitions }
            })
            .collect();
        Self { names: names.0 as u32, incarnations: incarnations.0, turn: turn as u8, listed, topics }
    }

    /// Whether this cursor belongs to `topics` (in the order of names). A topic that was absent then may exist now.
    pub fn check<'a>(&self, topics: impl Iterator<Item = Identity<'a>> + Clone) -> Result<(), CursorError> {
        let mut names = Digest::default();
        topics.clone().for_each(|topic| names.add_name(topic.name));
        if names.0 as u32 != self.names || topics.clone().count() != self.topics.len() {
            return Err(CursorError::OtherTopics);
        }
        let mut incarnations = Digest::default();
        let mut suspect = None;
        for (i, (topic, then)) in topics.zip(&self.topics).enumerate() {
            let was_absent = then.partitions.is_empty();
            let now = topic.incarnation.unwrap_or(0);
            incarnations.add(if was_absent { 0 } else { now });
            if !was_absent && !then.may_be_of(now) {
                suspect.get_or_insert(i);
            }
        }
        match suspect {
            Some(i) => Err(CursorError::Recreated(i)),
            // Two incarnations share their lowest byte one time in 256: the digest over all tells, if not which.
            None if incarnations.0 != self.incarnations => {
                Err(CursorError::Recreated(self.topics.iter().position(|t| !t.partitions.is_empty()).unwrap_or(0)))
            }
            None => Ok(()),
        }
    }

    /// Appends the token to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let offsets = || self.topics.iter().flat_map(|topic| &topic.partitions).map(|next| next.offset);
        let largest = offsets().max().unwrap_or(0);
        let width = (u64::BITS - largest.leading_zeros()).div_ceil(8).max(1) as usize;
        let mut bytes = Vec::with_capacity(32 + offsets().count() * (width + 1));
        bytes.push(VERSION | if self.listed { LISTED } else { 0 });
        bytes.push(self.turn);
        bytes.push(width as u8);
        bytes.extend_from_slice(&self.names.to_le_bytes());
        bytes.extend_from_slice(&self.incarnations.to_le_bytes());
        put_varint(&mut bytes, self.topics.len());
        for topic in &self.topics {
            bytes.push(topic.check);
            put_varint(&mut bytes, topic.partitions.len());
            if self.listed {
                let mut last = 0;
                for next in &topic.partitions {
                    put_varint(&mut bytes, (next.partition - last) as usize);
                    last = next.partition;
                }
            }
        }
        offsets().for_each(|offset| bytes.extend_from_slice(&offset.to_le_bytes()[..width]));
        token::seal(bytes, out);
    }

    /// Reads a token. Only what [`Cursor::write`] gave is taken.
    pub fn read(text: &str) -> Result<Self, CursorError> {
        token::open(text, TEXT_BYTES_MAX).and_then(|bytes| Self::parse(&bytes)).ok_or(CursorError::Malformed)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (fixed, mut rest) = bytes.split_first_chunk::<15>()?;
        let [flags, turn, width, n0, n1, n2, n3, incarnations @ ..] = *fixed;
        let (listed, width) = (flags & LISTED != 0, usize::from(width));
        if flags & !LISTED != VERSION || !(1..=8).contains(&width) {
            return None;
        }
        let mut counted = 0;
        let mut topics = Vec::new();
        for _ in 0..take_varint(&mut rest).ok()? {
            let (check, after) = rest.split_first()?;
            rest = after;
            let count = take_varint(&mut rest).ok()?;
            counted += count;
            if counted > PARTITIONS_MAX || topics.len() >= PARTITIONS_MAX {
                return None;
            }
            let mut partitions = Vec::with_capacity(count);
            let mut last = 0u32;
            for i in 0..count {
                last = if listed {
                    last.checked_add(u32::try_from(take_varint(&mut rest).ok()?).ok()?)?
                } else {
                    u32::try_from(i).ok()?
                };
                partitions.push(Next { partition: last, offset: 0 });
            }
            topics.push(TopicPosition { check: *check, partitions });
        }
        if rest.len() != counted * width {
            return None;
        }
        let slots = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        for (slot, bytes) in slots.zip(rest.chunks_exact(width)) {
            let mut offset = [0; 8];
            offset[..width].copy_from_slice(bytes);
            slot.offset = u64::from_le_bytes(offset);
        }
        let names = u32::from_le_bytes([n0, n1, n2, n3]);
        Some(Self { names, incarnations: u64::from_le_bytes(incarnations), turn, listed, topics })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).expect("base64 is ASCII"))
    }
}

/// FNV-1a, 64 bits: stable over versions and machines, which the standard library's hasher does not promise.
#[derive(Clone, Copy)]
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn add_byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    fn add(&mut self, number: u64) {
        number.to_le_bytes().into_iter().for_each(|byte| self.add_byte(byte));
    }

    fn add_name(&mut self, name: &TopicName) {
        name.as_str().bytes().for_each(|byte| self.add_byte(byte));
        self.add_byte(0); // no name has this byte, so `a`,`bc` and `ab`,`c` differ
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn names(count: usize) -> Vec<TopicName> {
        (0..count).map(|i| format!("topic-{i:03}").parse().expect("a name")).collect()
    }

    fn cursor(offsets: &[Vec<u64>], incarnations: &[u64], turn: usize) -> (Cursor, Vec<TopicName>) {
        let names = names(offsets.len());
        let topics = offsets.iter().zip(incarnations).zip(&names).map(|((offsets, incarnation), name)| {
            let next = |(i, offset): (usize, &u64)| Next { partition: i as u32, offset: *offset };
            let incarnation = (!offsets.is_empty()).then_some(*incarnation);
            (Identity { name, incarnation }, offsets.iter().enumerate().map(next).collect())
        });
        (Cursor::new(topics, false, turn), names)
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(
            offsets in vec(vec(0..1u64 << 53, 0..12), 1..10),
            incarnation in 1..u64::MAX,
            turn in 0..100usize,
        ) {
            let incarnations = vec![incarnation; offsets.len()];
            let (cursor, names) = cursor(&offsets, &incarnations, turn);
            let text = cursor.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            let again = Cursor::read(&text).expect("our own");
            prop_assert_eq!(&again, &cursor);
            let now = names.iter().map(|name| Identity { name, incarnation: Some(incarnation) });
            prop_assert_eq!(again.check(now), Ok(()));
        }

        #[test]
        fn listed_partitions_survive(listed in btree_map(any::<u32>(), 0..1u64 << 40, 1..20)) {
            let name: TopicName = "t".parse().expect("a name");
            let next: Vec<Next> = listed.iter().map(|(p, o)| Next { partition: *p, offset: *o }).collect();
            let identity = Identity { name: &name, incarnation: Some(9) };
            let cursor = Cursor::new([(identity, next)].into_iter(), true, 0);
            prop_assert_eq!(Cursor::read(&cursor.to_string()), Ok(cursor));
        }

        #[test]
        fn a_changed_cursor_is_refused(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]", offset in 0..1u64 << 53) {
            let (cursor, _) = cursor(&[vec![offset, 1]], &[77], 0);
            let text = cursor.to_string();
            let at = at.index(text.len());
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            prop_assert!(changed == text || Cursor::read(&changed) == Err(CursorError::Malformed));
            prop_assert_eq!(Cursor::read(&text[..at]), Err(CursorError::Malformed));
        }

        #[test]
        fn garbage_is_refused(text in ".{0,80}", bytes in vec(any::<u8>(), 0..80)) {
            prop_assert!(Cursor::read(&text).is_err());
            prop_assert!(Cursor::parse(&bytes).is_none_or(|c| c.topics.len() <= PARTITIONS_MAX));
        }
    }

    #[test]
    fn the_largest_cursor_stays_below_a_proxys_header_line() {
        // 2^48 records in one partition take nine years at a million a second.
        let offsets = vec![vec![(1 << 48) - 1]; PARTITIONS_MAX];
        let (many_topics, _) = cursor(&offsets, &[u64::MAX; PARTITIONS_MAX], 0);
        assert!(many_topics.to_string().len() < 1536);
        let (one_topic, _) = cursor(&[vec![(1 << 53) - 1; PARTITIONS_MAX]], &[u64::MAX], 0);
        assert!(one_topic.to_string().len() < 1536);
    }

    #[test]
    fn a_cursor_knows_its_topics() {
        let (cursor, names) = cursor(&[vec![3], vec![], vec![5]], &[100, 0, 200], 0);
        let with = |incarnations: [Option<u64>; 3]| {
            let topics = names.iter().zip(incarnations).map(|(name, incarnation)| Identity { name, incarnation });
            cursor.check(topics.collect::<Vec<_>>().into_iter())
        };
        assert_eq!(with([Some(100), None, Some(200)]), Ok(()));
        assert_eq!(with([Some(100), Some(7), Some(200)]), Ok(()), "a topic that came into being");
        assert_eq!(with([Some(100), None, Some(201)]), Err(CursorError::Recreated(2)));
        assert_eq!(with([None, None, Some(200)]), Err(CursorError::Recreated(0)));
        assert_eq!(with([Some(100 + 256), None, Some(200)]), Err(CursorError::Recreated(0)), "same lowest byte");
        let other: TopicName = "other".parse().expect("a name");
        let foreign = [Identity { name: &other, incarnation: Some(100) }];
        assert_eq!(cursor.check(foreign.into_iter()), Err(CursorError::OtherTopics));
    }
}
