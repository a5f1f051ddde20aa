//! Writers that send as soon as they are answered, a reader that reads all, and what it all took.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::cli::client::Call;
use crate::cli::client::Client;

/// Connections that send batches.
pub(super) const BATCH_WRITERS: usize = 4;

/// Records of a batch, and the length of each value.
const BATCH_RECORDS: usize = 1000;
const BATCH_VALUE_BYTES: usize = 1000;

/// What a record of the small kind is, in bytes.
const VALUE_BYTES: usize = 100;

/// How long things took, in ascending order, and the time in which all of it was done.
pub(super) struct Latencies {
    times: Vec<Duration>,
    whole: Duration,
}

impl Latencies {
    /// Of things that were done one after the other.
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let whole = times.iter().sum();
        Self { times, whole }
    }

    /// Of things that were done side by side within `whole`.
    pub(super) fn within(whole: Duration, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { times, whole }
    }

    /// How many a second.
    pub(super) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.whole.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The time that this part of them did not exceed; zero if there are none.
    pub(super) fn at(&self, part: f64) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
    }
}

/// A JSON text of 100 bytes.
pub(super) fn value() -> Bytes {
    format!("\"{}\"", "x".repeat(VALUE_BYTES - 2)).into()
}

/// A batch, and the bytes of its values.
pub(super) fn batch() -> (Bytes, usize) {
    let record = format!("{{\"value\":\"{}\"}}", "x".repeat(BATCH_VALUE_BYTES - 2));
    let records = vec![record.as_str(); BATCH_RECORDS].join(",");
    (format!("{{\"records\":[{records}]}}").into(), BATCH_RECORDS * BATCH_VALUE_BYTES)
}

/// Sends this body over and over, each writer over a connection of its own.
pub(super) async fn posts(
    client: Client,
    path: &str,
    body: Bytes,
    writers: usize,
    length: Duration,
) -> anyhow::Result<Latencies> {
    let begun = Instant::now();
    let writer = |mut client: Client| {
        let body = body.clone();
        async move {
            let mut times = Vec::new();
            while begun.elapsed() < length {
                let sent = Instant::now();
                let call = Call::post(path, body.clone()).header("content-type", "application/json");
                client.once(call).await?;
                times.push(sent.elapsed());
            }
            anyhow::Ok(times)
        }
    };
    let times = try_join_all((0..writers).map(|_| writer(client.clone()))).await?.concat();
    Ok(Latencies::within(begun.elapsed(), times))
}

/// Reads from the beginning to the end, and again until the time is over: bytes a second.
pub(super) async fn catch_up(client: Client, path: &str, length: Duration) -> anyhow::Result<f64> {
    let (begun, mut bytes) = (Instant::now(), 0);
    while begun.elapsed() < length {
        let call = Call::get(format!("{path}?format=ndjson")).accept("application/x-ndjson");
        let mut answer = client.open(call).await?.accepted().await?;
        while let Some(chunk) = answer.chunk().await? {
            bytes += chunk.len();
            if begun.elapsed() >= length {
                break;
            }
        }
    }
    Ok(bytes as f64 / begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let all = Latencies::of((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(
            (all.at(0.0), all.at(0.99), all.at(1.0)),
            (Duration::from_millis(1), Duration::from_millis(99), Duration::from_millis(100))
        );
        assert_eq!(all.rate().round(), 20.0);
        assert_eq!(Latencies::of(Vec::new()).at(0.5), Duration::ZERO);
    }

    #[test]
    fn bodies_are_as_large_as_they_say() {
        assert_eq!(value().len(), VALUE_BYTES);
        let (body, bytes) = batch();
        let parsed: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(parsed["records"].as_array().map(Vec::len), Some(BATCH_RECORDS));
        assert_eq!(bytes, 1_000_000);
    }
}
