//! What lies in a segment file, and what it is called. Pure: no file is touched here.
//!
//! ```text
//! file   := header frame*
//! header := "TGsg" · version u32 · topic incarnation u64 · partition u32 · base offset u64 · CRC-32C u32 (of all before)
//! frame  := base offset u64 · count u32 · length u32 · CRC-32C u32 · sealed batch (`length` bytes)
//! ```
//! Numbers are little-endian. A batch guards its own bytes ([`RecordBatch::open`]) but does not know its place, so the
//! checksum of its frame binds the two: it covers the topic, the partition, the place, and the head of the batch, where
//! the batch's own checksum lies. A frame moved to another file, or a batch moved to another frame, is therefore seen.

use std::fmt;

use crate::model::batch::RecordBatch;

const MAGIC: [u8; 4] = *b"TGsg";
const VERSION: u32 = 1;

/// Bytes of a file before its first frame.
pub(super) const HEADER_BYTES: usize = 32;
/// The part of a header that is the same in every file of a partition.
const OWNER_BYTES: usize = 20;
/// Bytes of a frame before its batch.
pub(super) const FRAME_HEADER_BYTES: usize = 20;
/// What a frame's checksum covers of its batch: the version, the checksum and the count (`model/batch.rs`).
const BATCH_HEAD_BYTES: usize = 9;
/// Bytes that [`parse_frame`] must see. Every frame has at least as many.
pub(super) const FRAME_HEAD_BYTES: usize = FRAME_HEADER_BYTES + BATCH_HEAD_BYTES;

const EXTENSION: &str = ".seg";
/// Ends the name of a file that is still being written.
pub(super) const ASIDE: &str = ".tmp";

/// Which records a segment begins with. The order is that of the index: by partition, then by offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentId {
    /// The topic, told from any other that ever bore its name.
    pub(super) incarnation: u64,
    /// The partition's number.
    pub(super) partition: u32,
    /// The first offset.
    pub(super) base_offset: u64,
}

impl SegmentId {
    /// Takes back what [`fmt::Display`] made; nothing else is a segment's name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(EXTENSION)?.split('-');
        let id = Self {
            incarnation: u64::from_str_radix(parts.next()?, 16).ok()?,
            partition: parts.next()?.parse().ok()?,
            base_offset: parts.next()?.parse().ok()?,
        };
        (id.to_string() == name).then_some(id)
    }

    /// Whether both are of the same partition.
    pub(super) fn same_partition(self, other: Self) -> bool {
        (self.incarnation, self.partition) == (other.incarnation, other.partition)
    }

    /// The header of its file.
    pub(super) fn header(self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&MAGIC);
        header[4..8].copy_from_slice(&VERSION.to_le_bytes());
        header[8..16].copy_from_slice(&self.incarnation.to_le_bytes());
        header[16..20].copy_from_slice(&self.partition.to_le_bytes());
        header[20..28].copy_from_slice(&self.base_offset.to_le_bytes());
        let crc = crc32c::crc32c(&header[..28]);
        header[28..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// Where the checksums of its frames begin: the checksum of the format and the partition.
    pub(super) fn seed(self) -> u32 {
        crc32c::crc32c(&self.header()[..OWNER_BYTES])
    }
}

/// The name of its file: numbers only, so that no input ever is a part of a path.
impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:010}-{:020}{EXTENSION}", self.incarnation, self.partition, self.base_offset)
    }
}

/// What the head of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Offset of the first record.
    pub(super) base_offset: u64,
    /// How many records.
    pub(super) count: u32,
    /// Bytes of the batch.
    pub(super) length: usize,
    /// The offset after the last record.
    pub(super) next_offset: u64,
}

impl Frame {
    /// Bytes it takes in the file.
    pub(super) fn bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.length
    }
}

/// Bytes that a batch takes in a file.
pub(super) fn frame_bytes(batch: &RecordBatch) -> u64 {
    (FRAME_HEADER_BYTES + batch.bytes().len()) as u64
}

/// What precedes a batch in a file; `None` if the batch is too large for one.
pub(super) fn frame_header(seed: u32, batch: &RecordBatch) -> Option<[u8; FRAME_HEADER_BYTES]> {
    let length = u32::try_from(batch.bytes().len()).ok()?;
    let mut header = [0; FRAME_HEADER_BYTES];
    header[..8].copy_from_slice(&batch.base_offset.to_le_bytes());
    header[8..12].copy_from_slice(&batch.count.to_le_bytes());
    header[12..16].copy_from_slice(&length.to_le_bytes());
    let crc = checksum(seed, &header[..16], batch.bytes().get(..BATCH_HEAD_BYTES)?);
    header[16..].copy_from_slice(&crc.to_le_bytes());
    Some(header)
}

/// Reads the frame that `bytes` begin with. `None` if they are not the head of a frame of the seed's partition; nothing
/// is said about the batch itself, nor whether all of it is there.
pub(super) fn parse_frame(seed: u32, bytes: &[u8]) -> Option<Frame> {
    let (header, rest) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>()?;
    let batch_head = rest.get(..BATCH_HEAD_BYTES)?;
    let base_offset = u64::from_le_bytes(*header.first_chunk()?);
    let count = u32::from_le_bytes(*header[8..].first_chunk()?);
    let length = u32::from_le_bytes(*header[12..].first_chunk()?);
    let crc = u32::from_le_bytes(*header[16..].first_chunk()?);
    let length = usize::try_from(length).ok()?;
    if crc != checksum(seed, &header[..16], batch_head) || count == 0 || length < BATCH_HEAD_BYTES {
        return None;
    }
    Some(Frame { base_offset, count, length, next_offset: base_offset.checked_add(count.into())? })
}

fn checksum(seed: u32, header: &[u8], batch_head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, header), batch_head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_leads_back_to_its_segment(incarnation: u64, partition: u32, base_offset: u64) {
            let id = SegmentId { incarnation, partition, base_offset };
            prop_assert_eq!(SegmentId::from_name(&id.to_string()), Some(id));
        }

        #[test]
        fn garbage_is_no_frame_and_no_panic(seed: u32, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(parse_frame(seed, &bytes), None);
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in [
            "",
            ".seg",
            "1-2-3.seg",
            "0000000000000007-0000000003-00000000000000000040.seg.tmp",
            "000000000000000A-0000000003-00000000000000000040.seg",
            "+000000000000007-0000000003-00000000000000000040.seg",
            "0000000000000007-0000000003-00000000000000000040-1.seg",
            "../0000000000007-0000000003-00000000000000000040.seg",
        ] {
            assert_eq!(SegmentId::from_name(name), None, "{name}");
        }
    }
}
