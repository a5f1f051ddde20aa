//! Many event streams of one topic: how long a record takes from its POST to each of them.

use std::cell::Cell;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::try_join_all;
use memchr::memmem;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::timeout;

use crate::cli::bench::load::Latencies;
use crate::cli::client::Answer;
use crate::cli::client::Call;
use crate::cli::client::Client;

/// Records a second.
pub(super) const RATE: u32 = 50;

/// How long the last event may take.
const LATE_MAX: Duration = Duration::from_secs(10);

/// Opens the streams, sends records at a steady rate, and times each at each stream. A record says when it was sent.
pub(super) async fn measure(
    mut client: Client,
    path: &str,
    subscribers: usize,
    length: Duration,
) -> anyhow::Result<Latencies> {
    let mut streams = Vec::with_capacity(subscribers);
    for _ in 0..subscribers {
        streams.push(open(&client, path).await?);
    }
    let count = (length.as_secs_f64() * f64::from(RATE)).ceil() as u64;
    let begun = Instant::now();
    let end = Cell::new(begun);
    let writing = async {
        let mut ticks = interval(Duration::from_secs(1) / RATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..count {
            ticks.tick().await;
            let sent = u64::try_from(begun.elapsed().as_micros()).expect("a measurement is short");
            client.post(&format!("{path}/values"), &sent).await?;
        }
        anyhow::Ok(())
    };
    let reading = try_join_all(streams.into_iter().map(|stream| read(stream, begun, count, &end)));
    let all = async { tokio::try_join!(writing, reading) };
    let ((), times) =
        timeout(length + LATE_MAX, all).await.map_err(|_| anyhow::anyhow!("events do not come in time"))??;
    Ok(Latencies::within(end.get() - begun, times.concat()))
}

/// A stream that stands: its head is there, with the position.
async fn open(client: &Client, path: &str) -> anyhow::Result<Answer> {
    let call = Call::get(format!("{path}/records?from=latest&format=sse")).accept("text/event-stream");
    let mut stream = client.open(call).await?.accepted().await?;
    while stream.line().await?.is_some_and(|line| !line.is_empty()) {}
    Ok(stream)
}

async fn read(mut stream: Answer, begun: Instant, count: u64, end: &Cell<Instant>) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while (times.len() as u64) < count {
        let line = stream.line().await?.ok_or_else(|| stream.broken_off())?;
        if let Some(sent) = sent_at(&line) {
            let now = Instant::now();
            times.push((now - begun).saturating_sub(sent));
            end.set(now);
        }
    }
    Ok(times)
}

/// When the record of a `data` line was sent.
fn sent_at(line: &[u8]) -> Option<Duration> {
    let record = line.strip_prefix(b"data:")?;
    let value = &record[memmem::find(record, b"\"value\":")? + 8..];
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&value[..digits]).ok()?.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_when_it_was_sent() {
        let line = br#"data: {"topic":"a","partition":0,"offset":4,"timestamp":17,"headers":{},"value":1234}"#;
        assert_eq!(sent_at(line), Some(Duration::from_micros(1234)));
        assert_eq!(sent_at(b"id: 7"), None);
    }
}
