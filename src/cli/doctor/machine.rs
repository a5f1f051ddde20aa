//! The disk of the data directory, and what the process may open.

use std::path::Path;
use std::time::Duration;

use rustix::process::Resource;
use rustix::process::getrlimit;

use crate::cli::disk;
use crate::cli::disk::Kind;
use crate::model::finding::Finding;

/// How many times a page is written and synced.
const SYNCS: usize = 50;

/// Every acknowledgement waits for one; a good disk takes a tenth of a millisecond, a spinning one eight.
const SYNC_SLOW: Duration = Duration::from_millis(10);

/// No disk is so fast: somebody says that it is there before it is.
const SYNC_INCREDIBLE: Duration = Duration::from_micros(15);

/// Below this much free space the segment cache keeps nothing (`--segment-min-free-bytes`).
const FREE_LITTLE: u64 = 1 << 30;

/// Below this much, writes are about to be refused.
const FREE_NONE: u64 = 64 << 20;

/// Files beside connections: the database, segments, standard streams.
const FILES_BESIDE: u64 = 200;

pub(super) fn inspect(data_dir: &Path, connections_max: u64) -> Vec<Finding> {
    let directory = disk::nearest(data_dir);
    let mut findings = Vec::new();
    match disk::space(&directory) {
        Ok(space) => findings.extend(space_of(&directory, space)),
        Err(error) => findings.push(Finding::fail("disk", format!("{} cannot be read: {error}", directory.display()))),
    }
    findings.push(sync(&directory));
    findings.push(files(connections_max));
    findings
}

fn space_of(directory: &Path, (kind, free, all): (Kind, u64, u64)) -> Vec<Finding> {
    let place = directory.display();
    let free_text = format!("{} MiB of {} MiB are free in {place}", free >> 20, all >> 20);
    let room = if free < FREE_NONE {
        Finding::fail("disk", format!("{free_text}: writes are refused once it is full; make room"))
    } else if free < FREE_LITTLE {
        Finding::warn("disk", format!("{free_text}: below 1 GiB no history is kept in segment files; make room"))
    } else {
        Finding::ok("disk", free_text)
    };
    let kind = match kind {
        Kind::Local => None,
        Kind::Memory => {
            Some(Finding::fail("disk", format!("{place} is in memory: nothing outlives the machine; use a disk")))
        }
        Kind::Network => Some(Finding::fail(
            "disk",
            format!("{place} is on another machine, where SQLite's locks do not hold; use a local disk, or PostgreSQL"),
        )),
    };
    std::iter::once(room).chain(kind).collect()
}

fn sync(directory: &Path) -> Finding {
    let times = match disk::sync_times(directory, SYNCS) {
        Ok(times) => times,
        Err(error) => return Finding::fail("fsync", format!("{} cannot be written: {error}", directory.display())),
    };
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let text = format!("4 KiB take {:.2} ms, at most {:.2} ms of {SYNCS}", ms(median), ms(longest));
    if median > SYNC_SLOW {
        Finding::warn("fsync", format!("{text}: each acknowledgement waits so long; use a faster disk, send batches"))
    } else if median < SYNC_INCREDIBLE {
        let advice = "faster than disks are: does it keep what it says through a power cut?";
        Finding::warn("fsync", format!("{text}: {advice}"))
    } else {
        Finding::ok("fsync", text)
    }
}

fn files(connections_max: u64) -> Finding {
    let limits = getrlimit(Resource::Nofile);
    let (needed, may) = (connections_max + FILES_BESIDE, limits.current.unwrap_or(u64::MAX));
    let text = format!("{may} may be open here, {needed} may be needed");
    if may >= needed {
        Finding::ok("open files", text)
    } else {
        let advice = "LimitNOFILE= of systemd, ulimits of a container, ulimit -n; or lower --connections-max";
        Finding::warn("open files", format!("{text} ({connections_max} connections): raise {advice}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::Level;

    #[test]
    fn a_full_disk_and_one_that_is_none_are_failures() {
        let levels = |kind, free| -> Vec<Level> {
            space_of(Path::new("/d"), (kind, free, 1 << 40)).iter().map(|finding| finding.level).collect()
        };
        assert_eq!(levels(Kind::Local, 1 << 39), [Level::Ok]);
        assert_eq!(levels(Kind::Local, 1 << 29), [Level::Warn]);
        assert_eq!(levels(Kind::Local, 1 << 20), [Level::Fail]);
        assert_eq!(levels(Kind::Memory, 1 << 39), [Level::Ok, Level::Fail]);
        assert_eq!(levels(Kind::Network, 1 << 39), [Level::Ok, Level::Fail]);
    }
}
