//! What files there are, who is filling one, and which goes first when room is needed. No I/O: callers hold its lock
//! for as long as a look-up takes and touch files afterwards.
//!
//! Segments of a partition do not overlap, because a fill takes only what no segment and no other fill has.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::ops::RangeInclusive;

use crate::model::batch::RecordBatch;
use crate::segments::format::HEADER_BYTES;
use crate::segments::format::SegmentId;
use crate::segments::format::frame_bytes;
use crate::segments::layout::Layout;
use crate::segments::layout::Span;

/// What a file takes of a disk: whole blocks of 4 KiB, as the usual file systems have it.
pub(super) fn disk_bytes(length: u64) -> u64 {
    length.next_multiple_of(4096)
}

/// How much the cache may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes on disk.
    pub(super) bytes: u64,
    /// Files.
    pub(super) files: usize,
    /// A file that has reached this is not lengthened any more.
    pub(super) segment_bytes: u64,
}

/// All segments, known by name; what is in those that an earlier process wrote is learned when they are first wanted.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: BTreeMap<SegmentId, Entry>,
    by_use: BTreeMap<u64, SegmentId>,
    fills: Vec<Fill>,
    bytes: u64,
    ticks: u64,
}

/// One particular file. The same name may bear another file later; what was found about one must not hit the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// Its name.
    pub(super) id: SegmentId,
    serial: u64,
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    used: u64,
    disk_bytes: u64,
    layout: Option<Layout>,
}

#[derive(Debug)]
struct Fill {
    token: u64,
    /// Partition and first offset.
    from: SegmentId,
    end_offset: u64,
    reserved: u64,
    unwanted: bool,
}

/// What the index says about an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// No file has it.
    Nowhere,
    /// This file might; it has to be scanned.
    Unknown(Held),
    /// It is in there.
    Here(Held, Span),
}

/// What is to be done with a run on offer.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nothing: it does not fit, or someone is at it.
    Decline,
    /// So many of its batches are here already.
    Covered(usize),
    /// This file has to be scanned first.
    Unknown(Held),
    /// Write.
    Write(Write),
}

/// A reserved place for the first batches of a run.
#[derive(Debug)]
pub(super) struct Write {
    /// Names the reservation.
    pub(super) token: u64,
    /// How many batches.
    pub(super) batches: usize,
    /// How many bytes of the disk, at most.
    pub(super) bytes: u64,
    /// A file to lengthen and how long it is, or none: then a new one is made.
    pub(super) append_to: Option<(Held, u64)>,
    /// Files that have to go first.
    pub(super) evicted: Vec<SegmentId>,
}

impl Index {
    /// Bytes on disk, without those being written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many files.
    pub(super) fn files(&self) -> usize {
        self.entries.len()
    }

    /// Adds a file as the most recently used.
    pub(super) fn insert(&mut self, id: SegmentId, length: u64, layout: Option<Layout>) {
        self.remove_id(id);
        let tick = self.tick();
        let disk_bytes = disk_bytes(length);
        self.bytes += disk_bytes;
        self.by_use.insert(tick, id);
        self.entries.insert(id, Entry { serial: tick, used: tick, disk_bytes, layout });
    }

    /// Looks for an offset (`at.base_offset`) and marks the file that may have it as used.
    pub(super) fn find(&mut self, at: SegmentId, bytes_max: u64) -> Lookup {
        let Some((id, entry)) = last_before(&self.entries, at) else { return Lookup::Nowhere };
        let held = Held { id, serial: entry.serial };
        let lookup = match &entry.layout {
            None => Lookup::Unknown(held),
            Some(layout) => match layout.span(at.base_offset, bytes_max) {
                None => return Lookup::Nowhere,
                Some(span) => Lookup::Here(held, span),
            },
        };
        self.touch(id);
        lookup
    }

    /// Notes what a scan has found.
    pub(super) fn learn(&mut self, held: Held, layout: Layout, length: u64) {
        if let Some(entry) = self.entries.get_mut(&held.id)
            && entry.serial == held.serial
            && entry.layout.is_none()
        {
            let disk_bytes = disk_bytes(length);
            self.bytes = self.bytes - entry.disk_bytes + disk_bytes;
            entry.disk_bytes = disk_bytes;
            entry.layout = Some(layout);
        }
    }

    /// Forgets a file; `false` if it was forgotten before.
    pub(super) fn remove(&mut self, held: Held) -> bool {
        let here = self.entries.get(&held.id).is_some_and(|entry| entry.serial == held.serial);
        if here {
            self.remove_id(held.id);
        }
        here
    }

    /// Decides about a run of one partition that begins at `from` and reserves the place for it.
    pub(super) fn plan(&mut self, from: SegmentId, batches: &[RecordBatch], bounds: Bounds) -> Plan {
        let mut append_to = None;
        if let Some((id, entry)) = last_before(&self.entries, from) {
            let held = Held { id, serial: entry.serial };
            match &entry.layout {
                None => return Plan::Unknown(held),
                Some(layout) if layout.end_offset > from.base_offset => {
                    return Plan::Covered(batches.partition_point(|batch| batch.base_offset < layout.end_offset));
                }
                Some(layout) if layout.end_offset == from.base_offset && layout.length < bounds.segment_bytes => {
                    append_to = Some((held, layout.length));
                }
                Some(_) => {}
            }
        }
        let length = append_to.map_or(HEADER_BYTES as u64, |(_, length)| length);
        let until = self.next_base(from).unwrap_or(u64::MAX);
        let (count, written) = how_many(batches, until, length, bounds.segment_bytes);
        let Some(last) = count.checked_sub(1).and_then(|last| batches.get(last)) else { return Plan::Decline };
        let end_offset = last.next_offset();
        // Room for the whole file, so that the one being lengthened need not give way to itself.
        let reserved = disk_bytes(length + written);
        let others: u64 = self.fills.iter().map(|fill| fill.reserved).sum();
        if reserved + others > bounds.bytes || self.fills.iter().any(|fill| fill.meets(from, end_offset)) {
            return Plan::Decline;
        }
        let mut room = bounds.bytes - reserved - others;
        if let Some((held, _)) = append_to {
            self.touch(held.id);
            room += self.entries.get(&held.id).map_or(0, |entry| entry.disk_bytes);
        }
        let files = bounds.files.saturating_sub(self.fills.len() + usize::from(append_to.is_none()));
        let evicted = self.evict_to(room, files.max(usize::from(append_to.is_some())));
        let token = self.tick();
        self.fills.push(Fill { token, from, end_offset, reserved, unwanted: false });
        Plan::Write(Write { token, batches: count, bytes: written, append_to, evicted })
    }

    /// Ends a reservation; `false` if what was written is not wanted any more.
    pub(super) fn end_fill(&mut self, token: u64) -> bool {
        match self.fills.iter().position(|fill| fill.token == token) {
            Some(at) => !self.fills.swap_remove(at).unwanted,
            None => false,
        }
    }

    /// Notes that a file was lengthened by these batches.
    pub(super) fn lengthened(&mut self, held: Held, batches: &[RecordBatch]) {
        if let Some(entry) = self.entries.get_mut(&held.id)
            && entry.serial == held.serial
            && let Some(layout) = &mut entry.layout
        {
            for batch in batches {
                layout.push(batch.next_offset(), frame_bytes(batch));
            }
            let disk_bytes = disk_bytes(layout.length);
            self.bytes = self.bytes - entry.disk_bytes + disk_bytes;
            entry.disk_bytes = disk_bytes;
        }
    }

    /// Forgets the least recently used files until no more than this is held; returns them.
    pub(super) fn evict_to(&mut self, bytes: u64, files: usize) -> Vec<SegmentId> {
        let mut evicted = Vec::new();
        while self.bytes > bytes || self.entries.len() > files {
            let Some((_, id)) = self.by_use.pop_first() else { break };
            self.remove_id(id);
            evicted.push(id);
        }
        evicted
    }

    /// Forgets the files of a range that `goes` says yes to, given each with the offset after its last record as far
    /// as that is known, and the first offset of the next file in the range. Fills under way are not wanted any more
    /// where `fills` is set.
    pub(super) fn forget(
        &mut self,
        range: RangeInclusive<SegmentId>,
        fills: bool,
        goes: impl Fn(SegmentId, Option<u64>, Option<u64>) -> bool,
    ) -> Vec<SegmentId> {
        if fills {
            self.fills.iter_mut().filter(|fill| range.contains(&fill.from)).for_each(|fill| fill.unwanted = true);
        }
        let mut gone = Vec::new();
        let mut entries = self.entries.range(range).peekable();
        while let Some((id, entry)) = entries.next() {
            let next = entries.peek().map(|(next, _)| next.base_offset);
            if goes(*id, entry.layout.as_ref().map(|layout| layout.end_offset), next) {
                gone.push(*id);
            }
        }
        for id in &gone {
            self.remove_id(*id);
        }
        gone
    }

    /// The first offset of the next segment of the partition.
    fn next_base(&self, from: SegmentId) -> Option<u64> {
        let next = self.entries.range((Bound::Excluded(from), Bound::Unbounded)).next()?.0;
        next.same_partition(from).then_some(next.base_offset)
    }

    fn remove_id(&mut self, id: SegmentId) {
        if let Some(entry) = self.entries.remove(&id) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.disk_bytes;
        }
    }

    fn touch(&mut self, id: SegmentId) {
        let tick = self.tick();
        if let Some(entry) = self.entries.get_mut(&id) {
            self.by_use.remove(&entry.used);
            entry.used = tick;
            self.by_use.insert(tick, id);
        }
    }

    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }
}

impl Fill {
    fn meets(&self, from: SegmentId, end_offset: u64) -> bool {
        self.from.same_partition(from) && self.from.base_offset < end_offset && from.base_offset < self.end_offset
    }
}

/// The last segment of the partition that begins at or before an offset.
fn last_before(entries: &BTreeMap<SegmentId, Entry>, at: SegmentId) -> Option<(SegmentId, &Entry)> {
    let (id, entry) = entries.range(..=at).next_back()?;
    id.same_partition(at).then_some((*id, entry))
}

/// How many batches go into a file that has `length` bytes, and how many bytes they add: all before `until` as long as
/// the file is below its size, at least one.
fn how_many(batches: &[RecordBatch], until: u64, length: u64, segment_bytes: u64) -> (usize, u64) {
    let (mut count, mut written) = (0, 0);
    for batch in batches {
        if batch.next_offset() > until || (count > 0 && length + written >= segment_bytes) {
            break;
        }
        count += 1;
        written += frame_bytes(batch);
    }
    (count, written)
}
