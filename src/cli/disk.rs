//! What a disk does: the time of an fsync, the speed of writing in sequence, free space, and what kind it is. The files
//! that are written have no name, so nothing is left behind however the process ends.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::fstatfs;
use rustix::fs::fstatvfs;

/// A page of the database.
const PAGE_BYTES: usize = 4096;

/// `TMPFS_MAGIC`, `RAMFS_MAGIC`, `NFS_SUPER_MAGIC`, `SMB2_SUPER_MAGIC`, `CIFS_SUPER_MAGIC` of Linux's magic.h.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
const OVER_NETWORK: [u64; 3] = [0x6969, 0xfe53_4d42, 0xff53_4d42];

/// What a directory lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A disk of this machine, as far as can be told.
    Local,
    /// Memory: nothing outlives the machine.
    Memory,
    /// Another machine's disk: locks and shared memory cannot be relied on.
    Network,
}

/// The directory, or the nearest one above it that exists.
pub fn nearest(directory: &Path) -> PathBuf {
    // A relative path ends in the empty one, which is where we are.
    let mut above =
        directory.ancestors().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    above.find(|above| above.is_dir()).unwrap_or(directory).to_owned()
}

/// What it lies on, free bytes for those who are not root, and all bytes.
///
/// # Errors
/// If it cannot be opened.
pub fn space(directory: &Path) -> io::Result<(Kind, u64, u64)> {
    let directory = File::open(directory)?;
    // Its type is a signed long on some machines, and the numbers have 32 bits.
    let magic = fstatfs(&directory)?.f_type as u64 & 0xffff_ffff;
    let kind = match magic {
        magic if IN_MEMORY.contains(&magic) => Kind::Memory,
        magic if OVER_NETWORK.contains(&magic) => Kind::Network,
        _ => Kind::Local,
    };
    let space = fstatvfs(&directory)?;
    Ok((kind, space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize))
}

/// How long writing 4 KiB and having them on the disk takes, in ascending order, of `count` times in place.
///
/// # Errors
/// If the directory cannot be written to.
pub fn sync_times(directory: &Path, count: usize) -> io::Result<Vec<Duration>> {
    let file = nameless(directory)?;
    let page = [7; PAGE_BYTES];
    file.write_all_at(&page, 0)?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        file.write_all_at(&page, 0)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

/// Bytes a second, written in sequence and synced once a MiB, for as long as `length`, at most `bytes_max`.
///
/// # Errors
/// If the directory cannot be written to.
pub fn write_speed(directory: &Path, length: Duration, bytes_max: u64) -> io::Result<f64> {
    let mut file = nameless(directory)?;
    let block = vec![7; 1 << 20];
    let (begun, mut bytes) = (Instant::now(), 0);
    while begun.elapsed() < length && bytes < bytes_max {
        file.write_all(&block)?;
        file.sync_data()?;
        bytes += block.len() as u64;
    }
    Ok(bytes as f64 / begun.elapsed().as_secs_f64())
}

fn nameless(directory: &Path) -> io::Result<File> {
    let path = directory.join(format!(".tidegate-{:016x}", fastrand::u64(..)));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_behind() {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        assert_eq!(sync_times(directory.path(), 3).expect("written").len(), 3);
        assert!(write_speed(directory.path(), Duration::from_millis(1), 1 << 20).expect("written") > 0.0);
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 0);
    }

    #[test]
    fn what_is_not_there_yet_lies_on_what_is() {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        assert_eq!(nearest(&directory.path().join("a/b")), directory.path());
        assert_eq!(nearest(Path::new("not-there/at-all")), Path::new("."));
        let (_, free, all) = space(directory.path()).expect("readable");
        assert!(free <= all && all > 0);
    }

    #[test]
    fn memory_is_known() {
        if let Ok((kind, _, _)) = space(Path::new("/dev/shm")) {
            assert_eq!(kind, Kind::Memory);
        }
    }
}
