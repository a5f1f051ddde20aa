//! The files themselves: find, read, write aside and rename, lengthen, remove. What is read is checked here, byte by
//! byte, before anyone sees it.
//!
//! Every file is opened anew for every use (microseconds beside the reading itself), never through a link and never
//! waiting for a FIFO's other end; so whatever has been put in its place is seen at once, and no descriptors are held.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufWriter;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::process::geteuid;

use crate::model::batch::RecordBatch;
use crate::model::topic::PartitionId;
use crate::segments::format::ASIDE;
use crate::segments::format::FRAME_HEAD_BYTES;
use crate::segments::format::FRAME_HEADER_BYTES;
use crate::segments::format::HEADER_BYTES;
use crate::segments::format::SegmentId;
use crate::segments::format::frame_header;
use crate::segments::format::parse_frame;
use crate::segments::layout::Layout;
use crate::segments::layout::Span;

/// How much is read at once where only the heads of frames are wanted.
const SCAN_BYTES: usize = 64 << 10;
/// What is gathered before a write; larger batches are written as they are.
const WRITE_BYTES: usize = 128 << 10;

/// The directory of the segment files.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
}

/// A file found in the directory; nothing is known of what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// What its name says.
    pub(super) id: SegmentId,
    /// Its length in bytes.
    pub(super) bytes: u64,
    /// When it was last written.
    pub(super) modified: SystemTime,
}

/// The directory is not one that only we write to.
#[derive(Debug, thiserror::Error)]
pub enum Foreign {
    /// It leads elsewhere.
    #[error("{} is a symbolic link, through which others' files could be changed: remove it, it is made anew", .0.display())]
    Link(PathBuf),
    /// It is another's.
    #[error("{} belongs to another user, who could change what is read from it: remove it, it is made anew", .0.display())]
    Owner(PathBuf),
}

/// Refuses a directory of segments that is a link or another user's. One that is not there yet is fine.
///
/// # Errors
/// [`Foreign`].
pub fn refuse_foreign(dir: &Path) -> Result<(), Foreign> {
    match fs::symlink_metadata(dir) {
        Ok(found) if found.is_symlink() => Err(Foreign::Link(dir.to_owned())),
        Ok(found) if found.uid() != geteuid().as_raw() => Err(Foreign::Owner(dir.to_owned())),
        _ => Ok(()),
    }
}

impl Files {
    /// Takes the directory without touching it.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Makes sure that the directory is there and only ours.
    pub(super) fn prepare(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if !fs::symlink_metadata(&self.dir)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o700))
    }

    /// The segment files there are. What a dead process left half-written, and what is no file but bears a segment's
    /// name, is removed; other names are left alone.
    pub(super) fn list(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let aside = name.strip_suffix(ASIDE);
            let Some(id) = SegmentId::from_name(aside.unwrap_or(name)) else { continue };
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() && aside.is_none() => found.push(Found {
                    id,
                    bytes: metadata.len(),
                    modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                }),
                _ => self.remove_name(name),
            }
        }
        Ok(found)
    }

    /// Walks over the heads of a file's frames. Returns its layout and its length, or `None` if it is not the segment
    /// that its name says, or holds no whole frame. A tail that is no frame is what a crash leaves: the file ends there.
    pub(super) fn scan(&self, id: SegmentId) -> Option<(Layout, u64)> {
        let (file, length) = self.open(id).ok()?;
        let mut window = Vec::with_capacity(SCAN_BYTES);
        let mut window_at = 0;
        read_at(&file, &mut window, 0, SCAN_BYTES)?;
        if !window.starts_with(&id.header()) {
            return None;
        }
        let seed = id.seed();
        let mut layout = Layout::new(id.base_offset);
        while length.saturating_sub(layout.length) >= FRAME_HEAD_BYTES as u64 {
            if layout.length + FRAME_HEAD_BYTES as u64 > window_at + window.len() as u64 {
                window_at = layout.length;
                read_at(&file, &mut window, window_at, SCAN_BYTES)?;
            }
            let at = usize::try_from(layout.length - window_at).ok()?;
            let Some(frame) = window.get(at..).and_then(|bytes| parse_frame(seed, bytes)) else { break };
            let bytes = frame.bytes() as u64;
            if frame.base_offset != layout.end_offset || bytes > length - layout.length {
                break;
            }
            layout.push(frame.next_offset, bytes);
        }
        (layout.end_offset > id.base_offset).then_some((layout, length))
    }

    /// The batches of a span from the one that holds `from` on, about `bytes_max` bytes. `None` if a single bit of what
    /// is asked for is not as it was written. The batches share one allocation of the span's size.
    pub(super) fn read(
        &self,
        id: SegmentId,
        partition: PartitionId,
        span: Span,
        from: u64,
        bytes_max: usize,
    ) -> Option<Vec<RecordBatch>> {
        let length = usize::try_from(span.length).ok()?;
        let (file, _) = self.open(id).ok()?;
        let mut chunk = Vec::with_capacity(length);
        read_at(&file, &mut chunk, span.position, length)?;
        if chunk.len() < length {
            return None;
        }
        let mut chunk = Bytes::from(chunk);
        let seed = id.seed();
        let mut batches = Vec::new();
        let mut offset = span.base_offset;
        let mut bytes = 0;
        while !chunk.is_empty() {
            let frame = parse_frame(seed, &chunk).filter(|frame| frame.base_offset == offset)?;
            if frame.bytes() > chunk.len() {
                return None;
            }
            let sealed = chunk.split_to(frame.bytes()).slice(FRAME_HEADER_BYTES..);
            offset = frame.next_offset;
            if offset <= from {
                continue;
            }
            bytes += sealed.len();
            if bytes > bytes_max && !batches.is_empty() {
                break;
            }
            let batch = RecordBatch::open(partition, frame.base_offset, sealed).ok()?;
            if batch.count != frame.count {
                return None;
            }
            batches.push(batch);
        }
        (!batches.is_empty()).then_some(batches)
    }

    /// Writes a new file aside and puts it in its place.
    pub(super) fn create(&self, id: SegmentId, batches: &[RecordBatch]) -> io::Result<()> {
        let aside = format!("{id}{ASIDE}");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let open = || options.open(self.dir.join(&aside));
        let file = match open() {
            // Someone has removed the directory, which is allowed at any time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.prepare().and_then(|()| open()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove_name(&aside);
                open()
            }
            other => other,
        }?;
        let mut out = BufWriter::with_capacity(WRITE_BYTES, file);
        let written = out
            .write_all(&id.header())
            .and_then(|()| write_frames(&mut out, id, batches))
            .and_then(|()| fs::rename(self.dir.join(&aside), self.path(id)));
        if written.is_err() {
            self.remove_name(&aside);
        }
        written
    }

    /// Lengthens a file that holds `length` bytes of frames and header. After an error the file must be dropped.
    pub(super) fn append(&self, id: SegmentId, length: u64, batches: &[RecordBatch]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = self.open_with(id, options.read(true).write(true))?;
        let metadata = file.metadata()?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        // Whatever lies there instead of our file must not be written to.
        if header != id.header() || metadata.nlink() != 1 || metadata.len() < length {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if metadata.len() > length {
            file.set_len(length)?;
        }
        file.seek(SeekFrom::Start(length))?;
        write_frames(&mut BufWriter::with_capacity(WRITE_BYTES, file), id, batches)
    }

    /// Removes a segment's file, or what stands in its place.
    pub(super) fn remove(&self, id: SegmentId) {
        self.remove_name(&id.to_string());
    }

    /// Bytes that may still be written to the disk; `None` if the system does not say.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.dir).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn open(&self, id: SegmentId) -> io::Result<(File, u64)> {
        let file = self.open_with(id, OpenOptions::new().read(true))?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    /// Opens a regular file and nothing else.
    fn open_with(&self, id: SegmentId, options: &mut OpenOptions) -> io::Result<File> {
        let careful = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = options.custom_flags(careful).open(self.path(id))?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn path(&self, id: SegmentId) -> PathBuf {
        self.dir.join(id.to_string())
    }

    /// What cannot be removed stays: it is never believed, and there is nobody to tell.
    fn remove_name(&self, name: &str) {
        let path = self.dir.join(name);
        if fs::remove_file(&path).is_err() {
            let _ = fs::remove_dir(&path);
        }
    }
}

fn write_frames(out: &mut BufWriter<File>, id: SegmentId, batches: &[RecordBatch]) -> io::Result<()> {
    let seed = id.seed();
    for batch in batches {
        let header = frame_header(seed, batch).ok_or(io::ErrorKind::InvalidInput)?;
        out.write_all(&header)?;
        out.write_all(batch.bytes())?;
    }
    out.flush()
}

/// Reads `length` bytes, or what there is of them, into the emptied buffer. The memory is not zeroed first: at the
/// speed of the page cache that would be a good part of the work.
fn read_at(file: &File, buffer: &mut Vec<u8>, position: u64, length: usize) -> Option<()> {
    buffer.clear();
    buffer.reserve_exact(length);
    while buffer.len() < length {
        let at = position + buffer.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(buffer), at) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    buffer.truncate(length);
    Some(())
}
