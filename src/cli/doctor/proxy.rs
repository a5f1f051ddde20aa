//! What stands between clients and the gateway, tried as clients use it: does it hold back events, polls or receipts,
//! does it cut what is silent?

use std::convert::Infallible;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::cli::client::Answer;
use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::problem::CallError;
use crate::cli::progress::Progress;
use crate::cli::url::ServerUrl;
use crate::model::finding::Finding;
use crate::model::time::now;

/// What comes later than this is held back by somebody.
const HELD_BACK: Duration = Duration::from_secs(5);

/// What comes later than this is slow for a page that shows what happens.
const SLOW: Duration = Duration::from_millis(500);

/// Events and receipts that are timed.
const TIMES: u32 = 5;

/// A stream is never silent for longer (`--heartbeat-ms`), and some time for the way.
const HEARTBEAT: Duration = Duration::from_secs(16);

/// How long the gateway's clock may be apart from ours without a word.
const CLOCKS_APART_MS: u64 = 2_000;

const UNBUFFERED: &str = "turn off buffering of answers there (nginx: proxy_buffering off; see deploy/nginx.conf)";

/// What was found.
pub(super) struct Seen {
    pub(super) findings: Vec<Finding>,
    /// The topic may have been made; it is left to the caller.
    pub(super) has_topic: bool,
}

/// Tries all of it.
pub(super) async fn inspect(
    client: &mut Client,
    url: &ServerUrl,
    topic: &str,
    silence: Duration,
    progress: &mut Progress,
) -> Seen {
    let doctor = Doctor { url: url.to_string(), topic: topic.to_owned() };
    let mut findings = Vec::new();
    progress.show(|| format!("asking {url}"));
    if let Err(error) = doctor.make_topic(client).await {
        return Seen { findings: vec![doctor.refused(&error)], has_topic: false };
    }
    match doctor.reach(client).await {
        Ok(found) => findings.push(found),
        Err(error) => return Seen { findings: vec![doctor.refused(&error)], has_topic: true },
    }
    progress.show(|| format!("events through {url}"));
    findings.push(doctor.events(client).await.unwrap_or_else(|error| doctor.fail(format!("events: {error}"))));
    progress.show(|| format!("receipts through {url}"));
    findings.push(doctor.receipts(client).await.unwrap_or_else(|error| doctor.fail(format!("receipts: {error}"))));
    let begun = Instant::now();
    let quiet = async {
        let (poll, stream) =
            tokio::join!(doctor.silent_poll(client.clone(), silence), doctor.silent_stream(client, silence));
        [poll, stream]
    };
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    tokio::pin!(quiet);
    loop {
        tokio::select! {
            found = &mut quiet => {
                findings.extend(found);
                return Seen { findings, has_topic: true };
            }
            _ = looks.tick() => {
                let (past, all) = (begun.elapsed().as_secs(), silence.as_secs());
                progress.show(|| format!("silence through {url}, {past} of {all} s"));
            }
        }
    }
}

struct Doctor {
    url: String,
    topic: String,
}

#[derive(Deserialize)]
struct Receipt {
    timestamp: u64,
}

impl Doctor {
    async fn make_topic(&self, client: &mut Client) -> Result<(), CallError> {
        let settings = json!({ "partition_count": 1, "retention_ms": 600_000 });
        client.put(&format!("/v1/topics/{}", self.topic), &settings).await.map(drop)
    }

    /// Writes a record, and compares clocks.
    async fn reach(&self, client: &mut Client) -> Result<Finding, CallError> {
        let path = format!("/v1/topics/{}", self.topic);
        let begun = Instant::now();
        let before = now();
        let receipt = client.post(&format!("{path}/values"), &0).await?;
        let took = begun.elapsed();
        let Receipt { timestamp } = client.read(&receipt)?;
        let there = before + u64::try_from(took.as_millis() / 2).unwrap_or(u64::MAX);
        let apart = timestamp.abs_diff(there);
        let text = format!("{}: written in {}", self.url, ms(took));
        Ok(if apart > CLOCKS_APART_MS {
            let advice = "have both machines keep time by NTP";
            Finding::warn("proxy", format!("{text}; the gateway's clock is {apart} ms from this one's: {advice}"))
        } else {
            Finding::ok("proxy", text)
        })
    }

    fn refused(&self, error: &CallError) -> Finding {
        let code = error.problem().map_or("", |problem| problem.body.code.as_str());
        let advice = match code {
            "host_not_allowed" => ": start the gateway with --public-url, and have the proxy pass Host on as it came",
            "unauthorized" | "forbidden" => ": the doctor makes a topic `tidegate-doctor-…`; give it a key that may",
            _ => "",
        };
        self.fail(format!("{error}{advice}"))
    }

    fn fail(&self, text: String) -> Finding {
        Finding::fail("proxy", format!("{}: {text}", self.url))
    }

    fn path(&self) -> String {
        format!("/v1/topics/{}/records", self.topic)
    }

    /// A stream as a browser asks for it, once its head is there. `None` if that is held back.
    async fn open(&self, client: &Client) -> Result<Option<(Answer, Duration)>, CallError> {
        let call = Call::get(format!("{}?from=latest&format=sse", self.path()))
            .accept("text/event-stream")
            .header("accept-encoding", "gzip");
        let begun = Instant::now();
        let first = async {
            let mut stream = client.open(call).await?.accepted().await?;
            if stream.header("content-encoding").is_none() {
                block(&mut stream).await?;
            }
            Ok(stream)
        };
        match timeout(HELD_BACK, first).await {
            Ok(stream) => stream.map(|stream| Some((stream, begun.elapsed()))),
            Err(_) => Ok(None),
        }
    }

    async fn events(&self, client: &mut Client) -> Result<Finding, CallError> {
        let Some((mut stream, head)) = self.open(client).await? else {
            return Ok(self.fail(format!("event streams are held back, not even their head comes: {UNBUFFERED}")));
        };
        if let Some(encoding) = stream.header("content-encoding") {
            let text =
                format!("event streams are compressed ({encoding}), so events may wait: exempt text/event-stream");
            return Ok(self.fail(text));
        }
        let mut longest = Duration::ZERO;
        for n in 0..TIMES {
            client.post(&format!("/v1/topics/{}/values", self.topic), &n).await?;
            let acknowledged = Instant::now();
            let came = async {
                while !block(&mut stream).await? {}
                Ok::<_, CallError>(acknowledged.elapsed())
            };
            match timeout(HELD_BACK, came).await {
                Ok(came) => longest = longest.max(came?),
                Err(_) => return Ok(self.fail(format!("events are held back: {UNBUFFERED}"))),
            }
        }
        let text = format!(
            "{}: an event stream begins after {}, events come after at most {}",
            self.url,
            ms(head),
            ms(longest)
        );
        Ok(if longest > SLOW { Finding::warn("events", format!("{text}: slow")) } else { Finding::ok("events", text) })
    }

    /// Lines that go out one by one, each after the receipt of the one before.
    async fn receipts(&self, client: &Client) -> Result<Finding, CallError> {
        let (mut body, sent) = Channel::<Bytes, Infallible>::new(1);
        let call = Call::post_stream(self.path(), sent.boxed())
            .accept("application/x-ndjson")
            .header("content-type", "application/x-ndjson");
        let line = Bytes::from_static(b"{\"value\":0}\n");
        // It takes one before anybody asks for it, and not the next before that.
        body.send_data(line.clone()).await.ok();
        let advice = "turn off buffering of requests there (nginx: proxy_request_buffering off)";
        let held_back = || {
            let text = format!("{}: receipts are held back while a request is under way: {advice}", self.url);
            Finding::warn("receipts", text)
        };
        let Ok(answer) = timeout(HELD_BACK, client.open(call)).await else { return Ok(held_back()) };
        let mut answer = answer?.accepted().await?;
        let mut longest = Duration::ZERO;
        let mut begun = Instant::now();
        for n in 1..=TIMES {
            match timeout(HELD_BACK, answer.line()).await {
                Ok(line) => line?.ok_or_else(|| answer.broken_off()).map(drop)?,
                Err(_) => return Ok(held_back()),
            }
            longest = longest.max(begun.elapsed());
            begun = Instant::now();
            if n < TIMES && body.send_data(line.clone()).await.is_err() {
                return Err(answer.broken_off());
            }
        }
        Ok(Finding::ok(
            "receipts",
            format!("{}: they come while a request is under way, after {}", self.url, ms(longest)),
        ))
    }

    async fn silent_poll(&self, client: Client, silence: Duration) -> Finding {
        let wait_ms = silence.as_millis();
        let call = Call::get(format!("{}?from=latest&wait_ms={wait_ms}", self.path()));
        let begun = Instant::now();
        let answer = timeout(silence + HELD_BACK, async { client.open(call).await?.accepted().await?.all().await });
        let (subject, text) = ("long polls", format!("{}: one that waited {}", self.url, seconds(silence)));
        match answer.await {
            Ok(Ok(_)) => Finding::ok(subject, format!("{text} was answered")),
            Ok(Err(error)) => {
                let advice =
                    "raise its read timeout above 60 s (nginx: proxy_read_timeout 75s), or poll with less wait_ms";
                Finding::fail(subject, format!("{text} was cut after {}: {error}; {advice}", seconds(begun.elapsed())))
            }
            Err(_) => Finding::fail(subject, format!("{text} is held back: {UNBUFFERED}")),
        }
    }

    async fn silent_stream(&self, client: &Client, silence: Duration) -> Finding {
        let subject = "silence";
        let mut stream = match self.open(client).await {
            Ok(Some((stream, _))) => stream,
            Ok(None) => return Finding::fail(subject, format!("{}: event streams are held back", self.url)),
            Err(error) => return Finding::fail(subject, format!("{}: {error}", self.url)),
        };
        let text = format!("{}: a stream", self.url);
        let begun = Instant::now();
        let mut beats = 0;
        let listening = async {
            loop {
                block(&mut stream).await?;
                beats += 1;
            }
        };
        match timeout(silence, listening).await {
            Ok(Err::<Infallible, CallError>(error)) => {
                let advice = "raise its read timeout above the gateway's --heartbeat-ms";
                Finding::fail(subject, format!("{text} was cut after {}: {error}; {advice}", seconds(begun.elapsed())))
            }
            Ok(Ok(never)) => match never {},
            Err(_) if beats == 0 && silence > HEARTBEAT => {
                Finding::fail(subject, format!("{text} got no sign of life in {}: {UNBUFFERED}", seconds(silence)))
            }
            Err(_) => {
                Finding::ok(subject, format!("{text} stayed open for {}, signs of life: {beats}", seconds(silence)))
            }
        }
    }
}

/// Reads up to the blank line that ends a block; whether it held a record.
async fn block(stream: &mut Answer) -> Result<bool, CallError> {
    let mut has_data = false;
    loop {
        match stream.line().await? {
            None => return Err(stream.broken_off()),
            Some(line) if line.is_empty() => return Ok(has_data),
            Some(line) => has_data |= line.starts_with(b"data:"),
        }
    }
}

fn ms(time: Duration) -> String {
    format!("{:.0} ms", (time.as_secs_f64() * 1e3).max(1.0))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
