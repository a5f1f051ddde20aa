//! Every upper bound that a request meets, in one place. Each is a flag, and `GET /v1` tells them.

use std::time::Duration;

use serde::Serialize;

/// Offsets, counts and times are whole numbers that every JSON reader holds exactly: below 2^53 (RFC 8259 §6).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// The body of a call that sets or asks for one thing, in bytes: the largest is a key with 64 permissions of two names each,
/// some 36 KiB.
pub const SETTINGS_BYTES_MAX: usize = 64 << 10;

/// The body of a call of a group's member, or about its offsets, in bytes: 10,000 offsets in topics with the longest names
/// are 3.2 MB, a subscription to 1,000 such topics and a cursor a tenth of that.
pub const GROUP_BYTES_MAX: usize = 4 << 20;

/// The bounds of requests (api.md §0). Beyond: 413 for sizes and counts of records, 400 for the parts of a record, 414
/// and 431 for the request line and headers, 503 for what is bounded for all together; `max_records`, `max_bytes` and `wait_ms` are lowered instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Key, headers and value of one record together, in bytes.
    pub record_bytes: usize,
    /// The body of one request, in bytes.
    pub request_bytes: usize,
    /// The bodies of all requests under way together, in bytes.
    pub bodies_bytes: usize,
    /// Records in one request.
    pub request_records: usize,
    /// The key of a record, in bytes.
    pub key_bytes: usize,
    /// Headers of one record.
    pub record_headers: usize,
    /// Names and values of one record's headers together, in bytes.
    pub record_header_bytes: usize,
    /// How deep arrays and objects of a JSON value may nest.
    pub json_depth: usize,
    /// The largest `max_records` of a read.
    pub max_records: usize,
    /// The largest `max_bytes` of a read.
    pub max_bytes: usize,
    /// The longest wait of a long poll, in milliseconds.
    pub wait_ms: u64,
    /// Partitions that one read may cover.
    pub read_partitions: usize,
    /// Partitions of all topics together.
    pub partitions: u64,
    /// Path and query of a request, in bytes.
    pub uri_bytes: usize,
    /// One request header, name and value, in bytes.
    pub header_bytes: usize,
    /// All request headers together, in bytes.
    pub headers_bytes: usize,
    /// How many request headers.
    pub headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes: 1 << 20,
            request_bytes: 16 << 20,
            bodies_bytes: 256 << 20,
            request_records: 10_000,
            key_bytes: 4 << 10,
            record_headers: 64,
            record_header_bytes: 8 << 10,
            json_depth: 64,
            max_records: 10_000,
            max_bytes: 16 << 20,
            wait_ms: 55_000,
            read_partitions: crate::model::cursor::PARTITIONS_MAX,
            partitions: 1_000_000,
            uri_bytes: 8 << 10,
            header_bytes: 8 << 10,
            headers_bytes: 32 << 10,
            headers: 64,
        }
    }
}

impl Limits {
    /// [`Limits::wait_ms`] as a duration.
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }

    /// What the bodies of one caller's requests under way may take together, in bytes: a quarter of what all may, so that
    /// nobody stops the others alone; but as much as two bodies, since one that is packed takes more than itself.
    pub fn caller_bodies_bytes(&self) -> usize {
        (self.bodies_bytes / 4).max(self.request_bytes.saturating_mul(2))
    }
}
