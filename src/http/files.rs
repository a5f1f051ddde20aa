//! How many files the process may have open: each connection is one.

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

/// Files that are kept for what is no connection: the database, segments, the log.
const RESERVED: u64 = 256;

/// Raises the process's limit on open files as far as the system lets it, and returns how many connections fit below it
/// beside everything else. Many systems start a process with 1,024 and let it have far more: the low number is for
/// programs that use `select`.
pub(crate) fn room_for_connections() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit on open files stays as it was");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Half of very few is better than none.
    usize::try_from(files.saturating_sub(RESERVED).max(files / 2)).unwrap_or(usize::MAX)
}
