//! Wall-clock time, in one place: milliseconds since the Unix epoch.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Milliseconds since the Unix epoch.
pub type Millis = u64;

/// How far in the future a client's timestamp may lie (api.md §1): one hour.
pub const TIMESTAMP_AHEAD_MAX_MS: Millis = 3_600_000;

/// The same clock in nanoseconds, for spans.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The wall clock of this machine, in milliseconds since the Unix epoch. A clock before 1970 reads as 0.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
