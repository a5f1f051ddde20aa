//! The bounds of one record, however it was sent.

use crate::http::native::input::refusal::Place;
use crate::http::native::input::refusal::Refusal;
use crate::model::limits::Limits;
use crate::model::record::NewRecord;
use crate::model::time::Millis;
use crate::model::time::TIMESTAMP_AHEAD_MAX_MS;

/// What is beyond it is no number of a partition, as in paths and queries: the databases keep them in 32 bits with a sign.
const PARTITION_MAX: u32 = i32::MAX as u32;

/// What records are held against: the limits, and the clock as it stood when the request came.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'l> {
    /// The limits of the server.
    pub limits: &'l Limits,
    /// The time of the request.
    pub now: Millis,
}

impl Bounds<'_> {
    /// Whether `record`, which stands at `place`, may be taken.
    pub fn check(&self, record: &NewRecord<'_>, place: Place) -> Result<(), Refusal> {
        let limits = self.limits;
        let key = record.key.as_ref().map_or(0, |key| key.len());
        if key > limits.key_bytes {
            let why = format!("it has {key} bytes; a key may have {}", limits.key_bytes);
            return Err(Refusal::invalid(place.path("key"), why));
        }
        self.check_header_count(record.headers.len(), place)?;
        let headers: usize = record.headers.iter().map(|h| h.name.len() + h.value.as_bytes().len()).sum();
        if headers > limits.record_header_bytes {
            let most = limits.record_header_bytes;
            let why = format!("names and values have {headers} bytes together; they may have {most}");
            return Err(Refusal::invalid(place.path("headers"), why));
        }
        if key + headers + record.value.as_bytes().len() > limits.record_bytes {
            return Err(Refusal::record_too_large(place.path(""), limits.record_bytes));
        }
        if record.partition > Some(PARTITION_MAX) {
            let why = format!("no partition is beyond {PARTITION_MAX}");
            return Err(Refusal::invalid(place.path("partition"), why));
        }
        match record.timestamp {
            Some(timestamp) if timestamp > self.now.saturating_add(TIMESTAMP_AHEAD_MAX_MS) => {
                let why = "it is more than an hour ahead of the server's clock; \
                           it counts milliseconds since 1970-01-01T00:00:00Z";
                Err(Refusal::invalid(place.path("timestamp"), why))
            }
            _ => Ok(()),
        }
    }

    /// Whether a record may have `count` headers.
    pub fn check_header_count(&self, count: usize, place: Place) -> Result<(), Refusal> {
        if count <= self.limits.record_headers {
            return Ok(());
        }
        let why = format!("a record may have {} headers", self.limits.record_headers);
        Err(Refusal::invalid(place.path("headers"), why))
    }
}
