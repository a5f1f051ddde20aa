//! The cursor of a group member: which records were returned to it that are not known to be committed, and in which run.
//!
//! It serves as `cursor` of a poll, as the position a commit names and as the `id:` of an event. It carries the member's
//! epoch and that of each partition, so that a commit by cursor is fenced with nothing else to send. As with every
//! cursor, its text stays below 1.5 KiB ([`MemberCursor::has_room`]).
//!
//! ```text
//! base64url( version|flags u8 · bearer u32 · held u32 · epoch varint · turn varint · width u8 · topic_count varint
//!            per topic: id varint · incarnation u16 · count varint · [partition delta varint · epoch varint]*
//!            next offset (width bytes, little endian)*  · CRC-32C u32 of all before )
//! ```

use std::collections::BTreeMap;

use crate::model::codec::put_varint;
use crate::model::codec::take_varint;
use crate::model::cursor::PARTITIONS_MAX;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::token;
use crate::model::topic::PartitionId;
use crate::model::topic::TopicId;

/// The first byte: tells it from the cursor of a plain read.
const VERSION: u8 = 2 << 4;

/// A flag in the first byte.
const STREAMED: u8 = 1;

/// Longest text that is written: 1,536 characters and no more.
const TEXT_BYTES_MAX: usize = 1535;

/// What stands before and after the partitions at most: fixed bytes, three varints, the checksum.
const FRAME_BYTES_MAX: usize = 1 + 4 + 4 + 10 + 10 + 1 + 3 + 4;

/// What was returned of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    /// The lowest bytes of the topic's incarnation: another database counts topics from 1 as well.
    pub incarnation: u16,
    /// The epoch of the partition under which it was returned.
    pub epoch: u64,
    /// One past the last record returned.
    pub next_offset: u64,
}

/// A member's position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberCursor {
    bearer: u32,
    /// The epoch of the member's run.
    pub epoch: u64,
    /// Digest of the partitions that the member was told it holds: an answer that says otherwise is not to wait.
    pub held: u32,
    /// It is the id of an event: others may be on their way that it does not tell of.
    pub streamed: bool,
    /// How many of the member's partitions were served before it was the turn of the next.
    pub turn: usize,
    /// By partition, what was returned of it; at most [`PARTITIONS_MAX`].
    pub partitions: BTreeMap<PartitionId, Returned>,
}

/// The text is no cursor of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not the cursor of a group member, or it was cut or changed on its way: send it exactly as it was received"
)]
pub struct Malformed;

impl MemberCursor {
    /// Nothing returned yet in this run.
    pub fn new(group: &GroupName, member: &MemberName, epoch: u64) -> Self {
        Self { bearer: bearer(group, member), epoch, held: 0, streamed: false, turn: 0, partitions: BTreeMap::new() }
    }

    /// Whether it was given to this member of this group.
    pub fn belongs_to(&self, group: &GroupName, member: &MemberName) -> bool {
        self.bearer == bearer(group, member)
    }

    /// Whether records of `partition` up to `high_watermark` may be returned too: the text stays in bounds then.
    pub fn has_room(&self, partition: &PartitionId, high_watermark: u64) -> bool {
        if self.partitions.contains_key(partition) {
            return true;
        }
        // A byte more than is needed now: offsets grow while their partitions stay in the cursor.
        let width = (self.width().max(width_of(high_watermark)) + 1).min(8);
        let body = self.body_bytes(width) + ENTRY_BYTES_MAX;
        self.partitions.len() < PARTITIONS_MAX && (body * 4).div_ceil(3) <= TEXT_BYTES_MAX
    }

    /// How long the body is at that width of offsets, or a little more.
    fn body_bytes(&self, width: usize) -> usize {
        let mut topic = None;
        let entries = self.partitions.iter().map(|(id, returned)| {
            let new = topic.replace(id.topic) != Some(id.topic);
            let topic = if new { varint_bytes(id.topic.0.unsigned_abs()) + 2 + 2 } else { 0 };
            topic + varint_bytes(u64::from(id.partition)) + varint_bytes(returned.epoch) + width
        });
        FRAME_BYTES_MAX + entries.sum::<usize>()
    }

    /// The bytes that the largest offset needs.
    fn width(&self) -> usize {
        width_of(self.partitions.values().map(|returned| returned.next_offset).max().unwrap_or(0))
    }

    /// Appends the token to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let width = self.width();
        let mut bytes = Vec::with_capacity(self.body_bytes(width));
        bytes.push(VERSION | u8::from(self.streamed));
        bytes.extend_from_slice(&self.bearer.to_le_bytes());
        bytes.extend_from_slice(&self.held.to_le_bytes());
        put_varint(&mut bytes, self.epoch as usize);
        put_varint(&mut bytes, self.turn);
        bytes.push(width as u8);
        let entries: Vec<(&PartitionId, &Returned)> = self.partitions.iter().collect();
        let topics: Vec<&[(&PartitionId, &Returned)]> = entries.chunk_by(|a, b| a.0.topic == b.0.topic).collect();
        put_varint(&mut bytes, topics.len());
        for topic in topics {
            let (id, returned) = topic[0];
            put_varint(&mut bytes, id.topic.0 as usize);
            bytes.extend_from_slice(&returned.incarnation.to_le_bytes());
            put_varint(&mut bytes, topic.len());
            let mut last = 0;
            for (id, returned) in topic {
                put_varint(&mut bytes, (id.partition - last) as usize);
                put_varint(&mut bytes, returned.epoch as usize);
                last = id.partition;
            }
        }
        for returned in self.partitions.values() {
            bytes.extend_from_slice(&returned.next_offset.to_le_bytes()[..width]);
        }
        token::seal(bytes, out);
    }

    /// Reads a token. Only what [`MemberCursor::write`] gave is taken.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(text: &str) -> Result<Self, Malformed> {
        token::open(text, TEXT_BYTES_MAX).and_then(|bytes| Self::parse(&bytes)).ok_or(Malformed)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let ([version, b0, b1, b2, b3, held @ ..], mut rest) = bytes.split_first_chunk::<9>()?;
        let streamed = version & STREAMED != 0;
        if version & !STREAMED != VERSION {
            return None;
        }
        let epoch = take_varint(&mut rest).ok()? as u64;
        let turn = take_varint(&mut rest).ok()?;
        let (width, after) = rest.split_first()?;
        rest = after;
        let width = usize::from(*width);
        if !(1..=8).contains(&width) {
            return None;
        }
        let mut entries = Vec::new();
        for _ in 0..take_varint(&mut rest).ok()? {
            let topic = TopicId(i64::try_from(take_varint(&mut rest).ok()?).ok()?);
            let (incarnation, after) = rest.split_first_chunk::<2>()?;
            rest = after;
            let incarnation = u16::from_le_bytes(*incarnation);
            let mut partition = 0u32;
            for _ in 0..take_varint(&mut rest).ok()? {
                partition = partition.checked_add(u32::try_from(take_varint(&mut rest).ok()?).ok()?)?;
                let epoch = take_varint(&mut rest).ok()? as u64;
                if entries.len() == PARTITIONS_MAX {
                    return None;
                }
                entries.push((PartitionId { topic, partition }, incarnation, epoch));
            }
        }
        if rest.len() != entries.len() * width {
            return None;
        }
        let mut partitions = BTreeMap::new();
        for ((id, incarnation, epoch), bytes) in entries.into_iter().zip(rest.chunks_exact(width)) {
            let mut offset = [0; 8];
            offset[..width].copy_from_slice(bytes);
            partitions.insert(id, Returned { incarnation, epoch, next_offset: u64::from_le_bytes(offset) });
        }
        let bearer = u32::from_le_bytes([*b0, *b1, *b2, *b3]);
        Some(Self { bearer, epoch, held: u32::from_le_bytes(*held), streamed, turn, partitions })
    }
}

impl std::fmt::Display for MemberCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).expect("base64 is ASCII"))
    }
}

/// One more partition at most: a topic of its own, its number, epoch and offset.
const ENTRY_BYTES_MAX: usize = 9 + 2 + 2 + 5 + 9 + 8;

fn width_of(offset: u64) -> usize {
    (u64::BITS - offset.leading_zeros()).div_ceil(8).max(1) as usize
}

fn varint_bytes(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()).div_ceil(7).max(1) as usize
}

/// Ties a cursor to a member of a group.
fn bearer(group: &GroupName, member: &MemberName) -> u32 {
    // No name has a blank, so `a`,`bc` and `ab`,`c` differ.
    crc32c::crc32c(format!("{group} {member}").as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    fn names() -> (GroupName, MemberName) {
        ("g".parse().expect("a name"), "m".parse().expect("a name"))
    }

    /// All of one topic have the same incarnation.
    fn partitions(count: std::ops::Range<usize>) -> impl Strategy<Value = BTreeMap<PartitionId, Returned>> {
        let id = (1..1i64 << 40, any::<u32>()).prop_map(|(t, partition)| PartitionId { topic: TopicId(t), partition });
        let returned = (0..1u64 << 34, 0..1u64 << 53);
        let returned = returned.prop_map(|(epoch, next_offset)| Returned { incarnation: 0, epoch, next_offset });
        btree_map(id, returned, count).prop_map(|mut partitions| {
            partitions.iter_mut().for_each(|(id, returned)| returned.incarnation = id.topic.0 as u16);
            partitions
        })
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(partitions in partitions(0..40), epoch in 0..1u64 << 40, held in any::<u32>(), streamed in any::<bool>(), turn in 0..1_000_000usize) {
            let (group, member) = names();
            let cursor = MemberCursor { epoch, held, streamed, turn, partitions, ..MemberCursor::new(&group, &member, 0) };
            let text = cursor.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            let again = MemberCursor::read(&text);
            prop_assert!(again == Err(Malformed) && text.len() > TEXT_BYTES_MAX || again.as_ref() == Ok(&cursor));
            prop_assert!(cursor.belongs_to(&group, &member));
            prop_assert!(!cursor.belongs_to(&"gm".parse().expect("a name"), &member));
        }

        #[test]
        fn what_has_room_stays_in_bounds(partitions in partitions(0..200)) {
            let (group, member) = names();
            let mut cursor = MemberCursor::new(&group, &member, 1 << 40);
            for (id, returned) in partitions {
                if cursor.has_room(&id, returned.next_offset) {
                    cursor.partitions.insert(id, returned);
                    prop_assert!(cursor.to_string().len() < 1536);
                }
            }
        }

        #[test]
        fn garbage_is_refused(text in ".{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(MemberCursor::read(&text).is_err());
            prop_assert!(MemberCursor::parse(&bytes).is_none_or(|c| c.partitions.len() <= PARTITIONS_MAX));
        }
    }

    #[test]
    fn a_plain_cursor_is_none_of_a_member() {
        let plain = crate::model::cursor::Cursor::new(std::iter::empty(), false, 0).to_string();
        assert_eq!(MemberCursor::read(&plain), Err(Malformed));
        let (group, member) = names();
        let ours = MemberCursor::new(&group, &member, 1).to_string();
        assert!(crate::model::cursor::Cursor::read(&ours).is_err());
    }

    #[test]
    fn an_ordinary_member_may_have_all_its_partitions_in_flight() {
        let (group, member) = names();
        let mut cursor = MemberCursor::new(&group, &member, 1000);
        for partition in 0..PARTITIONS_MAX as u32 {
            let id = PartitionId { topic: TopicId(7), partition };
            assert!(cursor.has_room(&id, 1 << 31), "{partition}");
            cursor.partitions.insert(id, Returned { incarnation: 9, epoch: 40, next_offset: 1 << 31 });
        }
        assert!(cursor.to_string().len() < 1536);
    }
}
