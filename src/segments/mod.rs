//! The segment cache: files of contiguous runs of a partition's batches, so that readers of history neither queue
//! behind writers nor load the database.
//!
//! It is a cache and nothing else. The database is the truth; the directory may be deleted, cut, or damaged at any
//! time, also while it is read, and answers stay right, only slower. Hence its rules: nothing is served whose every
//! byte has not been checked; on any doubt the file is dropped, counted, and the answer is "not here"; nothing is ever
//! fsynced; no error reaches a caller.
//!
//! It does not know what exists. Whether a topic is there, where its log starts and ends, is asked elsewhere *before*
//! the cache is read; and only batches read as committed may be offered to it.
//!
//! All functions block (file I/O): call them where blocking is allowed.

mod file;
mod format;
mod index;
mod layout;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;

use crate::model::batch::RecordBatch;
use crate::model::topic::PartitionId;
use crate::segments::file::Files;
pub use crate::segments::file::Foreign;
pub use crate::segments::file::refuse_foreign;
use crate::segments::format::SegmentId;
use crate::segments::format::frame_bytes;
use crate::segments::index::Bounds;
use crate::segments::index::Held;
use crate::segments::index::Index;
use crate::segments::index::Lookup;
use crate::segments::index::Plan;
use crate::segments::index::Write;
use crate::segments::layout::Layout;

/// The default of [`Options::bytes_max`]: 1 GiB.
pub const BYTES_MAX_DEFAULT: u64 = 1 << 30;

/// Where a segment stops growing, unless a sixteenth of the cache is less. Large enough that opening a file is nothing
/// beside reading it, small enough that evicting one is little.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Small caches still get segments of this size.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// A file costs memory (some 200 bytes and its marks) however small it is: one is allowed for so many bytes of budget.
const BYTES_PER_FILE: u64 = 64 << 10;
/// The largest number of files, whatever the budget.
const FILES_MAX: usize = 1 << 16;
/// How long nothing is written after writing failed or the disk was full.
const PAUSE: Duration = Duration::from_secs(15);

/// Where the cache lives and how large it may be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory; made if it is missing (its parent must be there), and nobody else's.
    pub dir: PathBuf,
    /// Bytes on disk at most. 0 turns the cache off and removes what an earlier run has left.
    pub bytes_max: u64,
    /// Bytes of the disk that must stay free: the database lives there too.
    pub min_free_bytes: u64,
}

/// Figures of the cache. The first two are of now, the others count since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Files held.
    pub files: u64,
    /// Bytes on disk, each file in whole blocks of 4 KiB.
    pub bytes: u64,
    /// Reads that were answered.
    pub hits: u64,
    /// Reads that were not.
    pub misses: u64,
    /// Files dropped because they were not as they had been written.
    pub damaged: u64,
    /// Files dropped to make room.
    pub evicted: u64,
}

/// The cache. Shared by reference between threads.
#[derive(Debug)]
pub struct SegmentCache {
    files: Files,
    /// `None` if the cache is off.
    bounds: Option<Bounds>,
    min_free_bytes: u64,
    index: Mutex<Index>,
    paused_until: Mutex<Option<Instant>>,
    hits: AtomicU64,
    misses: AtomicU64,
    damaged: AtomicU64,
    evicted: AtomicU64,
}

impl SegmentCache {
    /// Finds the files of an earlier run. They are only listed here; each is checked when it is first wanted. A
    /// directory that cannot be used turns the cache off, with a warning.
    pub fn open(options: Options) -> SegmentCache {
        let Options { dir, bytes_max, min_free_bytes } = options;
        let bounds = Bounds {
            bytes: bytes_max,
            files: usize::try_from(bytes_max / BYTES_PER_FILE).unwrap_or(FILES_MAX).clamp(1, FILES_MAX),
            segment_bytes: (bytes_max / 16).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES),
        };
        let files = Files::new(dir.clone());
        let prepared = if bytes_max == 0 { Ok(()) } else { files.prepare() };
        let (bounds, index) = match prepared.and_then(|()| listed(&files, bounds)) {
            Ok(index) => ((bytes_max > 0).then_some(bounds), index),
            Err(error) => {
                if bytes_max > 0 {
                    tracing::warn!(
                        dir = %dir.display(), %error,
                        "the segment cache is off: its directory cannot be used; reading history will be slower"
                    );
                }
                (None, Index::default())
            }
        };
        SegmentCache {
            files,
            bounds,
            min_free_bytes,
            index: Mutex::new(index),
            paused_until: Mutex::new(None),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    /// Batches from the one that holds `from` on, contiguous, of at most `bytes_max` bytes but at least one batch; or
    /// `None` if that one is not here. They share one allocation, which lives as long as any of them. There may be
    /// more in the next file: ask again from where they end.
    pub fn read(
        &self,
        partition: PartitionId,
        incarnation: u64,
        from: u64,
        bytes_max: usize,
    ) -> Option<Vec<RecordBatch>> {
        self.bounds?;
        let at = SegmentId { incarnation, partition: partition.partition, base_offset: from };
        let batches = self.read_at(at, partition, bytes_max);
        let counter = if batches.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Relaxed);
        batches
    }

    /// Offers a contiguous run of committed batches, as just read from the table. What is here already, and what
    /// another thread is writing at the moment, is passed over; the rest lengthens the segment that ends where it
    /// begins, or becomes a new one.
    pub fn admit(&self, partition: PartitionId, incarnation: u64, batches: &[RecordBatch]) {
        let Some(bounds) = self.bounds else { return };
        let contiguous = batches.is_sorted_by(|a, b| a.next_offset() == b.base_offset);
        if !contiguous || batches.iter().any(|batch| batch.partition != partition) || self.is_paused() {
            return;
        }
        let mut rest = batches;
        while let Some(first) = rest.first() {
            let from = SegmentId { incarnation, partition: partition.partition, base_offset: first.base_offset };
            let plan = self.index().plan(from, rest, bounds);
            let done = match plan {
                Plan::Decline => return,
                Plan::Covered(count) => count,
                Plan::Unknown(held) => {
                    self.learn(held);
                    0
                }
                Plan::Write(write) => {
                    let count = write.batches;
                    if !self.fill(from, &rest[..count], &write) {
                        return;
                    }
                    count
                }
            };
            rest = &rest[done..];
        }
    }

    /// Drops all files of a topic that was deleted.
    pub fn forget_topic(&self, incarnation: u64) {
        let first = SegmentId { incarnation, partition: 0, base_offset: 0 };
        let last = SegmentId { incarnation, partition: u32::MAX, base_offset: u64::MAX };
        let gone = self.index().forget(first..=last, true, |_, _, _| true);
        self.remove_all(&gone);
    }

    /// Drops the files that lie wholly before the start of the log.
    pub fn forget_below(&self, partition: PartitionId, incarnation: u64, log_start_offset: u64) {
        let range = whole_partition(partition, incarnation);
        let gone = self.index().forget(range, false, |_, end, next| {
            // Segments do not overlap, so a file that has not been looked into ends before the next.
            end.or(next).is_some_and(|end| end <= log_start_offset)
        });
        self.remove_all(&gone);
    }

    /// Drops the files that reach beyond the end of the log. To be called when a partition's high watermark is first
    /// loaded, before anything is appended: after the database was put back from an older copy, the offsets beyond it
    /// will be given to other records, and what the files have there must not be taken for them.
    pub fn forget_beyond(&self, partition: PartitionId, incarnation: u64, high_watermark: u64) {
        let last = SegmentId { incarnation, partition: partition.partition, base_offset: high_watermark };
        let unknown = match self.index().find(last, 0) {
            Lookup::Unknown(held) => Some(held),
            Lookup::Here(..) | Lookup::Nowhere => None,
        };
        if let Some(held) = unknown {
            self.learn(held);
        }
        let gone = self.index().forget(whole_partition(partition, incarnation), true, |id, end, _| {
            id.base_offset >= high_watermark || end.is_some_and(|end| end > high_watermark)
        });
        self.remove_all(&gone);
    }

    /// Gives up files if the disk has less free than it should. Writing checks that by itself; this is for the times
    /// when only others write.
    pub fn make_way(&self) {
        if self.bounds.is_some() && !self.has_room(0) {
            self.give_up_a_quarter();
        }
    }

    /// The figures.
    pub fn stats(&self) -> Stats {
        let index = self.index();
        Stats {
            files: index.files() as u64,
            bytes: index.bytes(),
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            damaged: self.damaged.load(Relaxed),
            evicted: self.evicted.load(Relaxed),
        }
    }

    fn read_at(&self, at: SegmentId, partition: PartitionId, bytes_max: usize) -> Option<Vec<RecordBatch>> {
        let mut lookup = self.index().find(at, bytes_max as u64);
        if let Lookup::Unknown(held) = lookup {
            self.learn(held);
            lookup = self.index().find(at, bytes_max as u64);
        }
        let Lookup::Here(held, span) = lookup else { return None };
        let batches = self.files.read(held.id, partition, span, at.base_offset, bytes_max);
        if batches.is_none() {
            self.drop_damaged(held);
        }
        batches
    }

    /// Looks into a file that an earlier run has written.
    fn learn(&self, held: Held) {
        match self.files.scan(held.id) {
            Some((layout, length)) => self.index().learn(held, layout, length),
            None => self.drop_damaged(held),
        }
    }

    /// Carries out a plan; `false` if that failed.
    fn fill(&self, from: SegmentId, batches: &[RecordBatch], plan: &Write) -> bool {
        let reservation = Reservation { cache: self, token: plan.token };
        self.evicted.fetch_add(plan.evicted.len() as u64, Relaxed);
        self.remove_all(&plan.evicted);
        let written = if self.has_room(plan.bytes) {
            match plan.append_to {
                Some((held, length)) => self.files.append(held.id, length, batches),
                None => self.files.create(from, batches),
            }
        } else {
            Err(io::ErrorKind::StorageFull.into())
        };
        match (written, plan.append_to) {
            (Ok(()), Some((held, _))) => {
                self.index().lengthened(held, batches);
                true
            }
            (Ok(()), None) => {
                let mut layout = Layout::new(from.base_offset);
                for batch in batches {
                    layout.push(batch.next_offset(), frame_bytes(batch));
                }
                let mut index = self.index();
                let wanted = index.end_fill(reservation.token);
                if wanted {
                    index.insert(from, layout.length, Some(layout));
                }
                drop(index);
                if !wanted {
                    self.files.remove(from);
                }
                wanted
            }
            (Err(error), append_to) => {
                self.fill_failed(&error, append_to.map(|(held, _)| held));
                false
            }
        }
    }

    fn fill_failed(&self, error: &io::Error, append_to: Option<Held>) {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if full {
            self.give_up_a_quarter();
        }
        if let Some(held) = append_to {
            // It may end in half a frame, or be something else altogether. A file that was evicted, or whose directory
            // was removed, costs no pause: the next run makes a new one.
            if !full {
                self.drop_damaged(held);
                return;
            }
            if self.index().remove(held) {
                self.files.remove(held.id);
            }
        }
        tracing::warn!(%error, pause_s = PAUSE.as_secs(), "the segment cache could not write and pauses");
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }

    fn give_up_a_quarter(&self) {
        let gone = {
            let mut index = self.index();
            let (held, files) = (index.bytes(), index.files());
            // At least one file, however few there are.
            index.evict_to((held - held / 4).min(held.saturating_sub(1)), files)
        };
        self.evicted.fetch_add(gone.len() as u64, Relaxed);
        self.remove_all(&gone);
    }

    fn drop_damaged(&self, held: Held) {
        // If it is gone from the index it was evicted or forgotten meanwhile, and nothing was wrong with it.
        if self.index().remove(held) {
            self.damaged.fetch_add(1, Relaxed);
            self.files.remove(held.id);
            tracing::info!(segment = %held.id, "dropped a segment file that was not as it had been written");
        }
    }

    fn remove_all(&self, ids: &[SegmentId]) {
        ids.iter().for_each(|id| self.files.remove(*id));
    }

    /// Whether so many bytes can be written and enough stays free. A system that does not say will say so on writing.
    fn has_room(&self, bytes: u64) -> bool {
        self.files.free_bytes().is_none_or(|free| free >= self.min_free_bytes.saturating_add(bytes))
    }

    fn is_paused(&self) -> bool {
        let until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Each change of the index leaves it whole, so a panic elsewhere while it was locked does no harm.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a reservation however its fill ends.
struct Reservation<'a> {
    cache: &'a SegmentCache,
    token: u64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.cache.index().end_fill(self.token);
    }
}

/// The files there are, those written last counting as read last; what is beyond the bounds is removed.
fn listed(files: &Files, bounds: Bounds) -> io::Result<Index> {
    let mut found = files.list()?;
    found.sort_unstable_by_key(|file| (file.modified, file.id));
    let mut index = Index::default();
    for file in found {
        index.insert(file.id, file.bytes, None);
    }
    let files_max = if bounds.bytes == 0 { 0 } else { bounds.files };
    for id in index.evict_to(bounds.bytes, files_max) {
        files.remove(id);
    }
    Ok(index)
}

fn whole_partition(partition: PartitionId, incarnation: u64) -> RangeInclusive<SegmentId> {
    let partition = partition.partition;
    SegmentId { incarnation, partition, base_offset: 0 }..=SegmentId { incarnation, partition, base_offset: u64::MAX }
}
