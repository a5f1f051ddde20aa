//! One streamed NDJSON request: lines go out while receipts come in, and both are counted.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::io::BufReader;
use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use http_body_util::channel::Sender;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::client::Line;
use crate::cli::exit::Interrupted;
use crate::cli::output::Lines;
use crate::cli::output::Output;
use crate::cli::output::say;
use crate::cli::problem::CallError;
use crate::cli::problem::Problem;
use crate::cli::produce::lines;
use crate::cli::produce::lines::BadInput;
use crate::cli::produce::lines::Chunk;
use crate::cli::produce::lines::Encoding;
use crate::cli::progress::Progress;
use crate::model::name::TopicName;
use crate::tasks;
use crate::tasks::Tasks;

/// What is read of standard input at once, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Chunks that wait for the gateway to take them.
const CHUNKS_WAITING: usize = 4;

/// How long the last receipts may take once the command was told to stop.
const RECEIPTS_MAX: Duration = Duration::from_secs(5);

/// Why no more is sent.
enum Ending {
    /// Standard input ended.
    Input,
    /// A line is no record.
    Bad(BadInput),
    /// A signal came.
    Signal,
    /// Nobody takes it any more; the answer says why.
    Closed,
}

/// How the gateway's answer ended.
enum Answered {
    /// All that was sent is written.
    All,
    /// A line was refused.
    Refused(Problem),
}

/// Lines that went out, and those that are durable. A line is a record: both are counted alike.
#[derive(Default)]
struct Tally {
    sent: Cell<u64>,
    acknowledged: Cell<u64>,
}

impl Tally {
    /// What is written, in words.
    fn written(&self) -> String {
        match self.acknowledged.get() {
            0 => "nothing is written".to_owned(),
            1 => "line 1 is written".to_owned(),
            n => format!("lines 1 to {n} are written"),
        }
    }

    /// The lines that were sent and not acknowledged, in words.
    fn open(&self) -> Option<String> {
        let (first, last) = (self.acknowledged.get() + 1, self.sent.get());
        match last.checked_sub(first)? {
            0 => Some(format!("line {first} was sent and may be written or not")),
            _ => Some(format!("lines {first} to {last} were sent and may be written or not")),
        }
    }
}

/// Sends the lines of standard input.
pub(super) async fn run(
    client: &Client,
    topic: &TopicName,
    encoding: Encoding,
    receipts: bool,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (filled, mut chunks) = mpsc::channel(CHUNKS_WAITING);
    let read = move || lines::read(BufReader::with_capacity(READ_BYTES, io::stdin().lock()), &encoding, &filled);
    Tasks::default().spawn("standard input", tasks::blocking(read));

    let mut stop = pin!(stop);
    // Without a line there is no request, which could make a topic.
    let first = tokio::select! {
        () = &mut stop => return Err(Interrupted.into()),
        first = chunks.recv() => match first {
            None => return Ok(()),
            Some(first) => first.map_err(|bad| anyhow::anyhow!("{bad}; nothing is written"))?,
        },
    };
    let line = client.connect().await.context("nothing is written, and nothing was sent")?;
    let tally = Tally::default();
    let (body, sent) = Channel::<Bytes, Infallible>::new(1);
    let call = Call::post_stream(format!("/v1/topics/{topic}/records"), sent.boxed())
        .accept("application/x-ndjson")
        .header("content-type", "application/x-ndjson");
    let mut receiving = pin!(receive(client, line, call, receipts, &tally));
    let mut sending = pin!(send(first, &mut chunks, body, stop, &tally));
    let (ending, answered) = tokio::select! {
        answered = &mut receiving => (Ending::Closed, Some(answered)),
        ending = &mut sending => (ending, None),
    };
    let answered = match (answered, &ending) {
        (Some(answered), _) => Some(answered),
        (None, Ending::Signal) => timeout(RECEIPTS_MAX, receiving).await.ok(),
        (None, _) => Some(receiving.await),
    };
    report(&tally, ending, answered)
}

async fn send(
    first: Chunk,
    chunks: &mut mpsc::Receiver<Result<Chunk, BadInput>>,
    mut body: Sender<Bytes, Infallible>,
    mut stop: impl Future<Output = ()> + Unpin,
    tally: &Tally,
) -> Ending {
    let mut next = first;
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ending::Signal,
            taken = body.send_data(next.bytes) => if taken.is_err() { return Ending::Closed },
        }
        tally.sent.set(tally.sent.get() + next.records);
        next = tokio::select! {
            biased;
            () = &mut stop => return Ending::Signal,
            chunk = chunks.recv() => match chunk {
                None => return Ending::Input,
                Some(Err(bad)) => return Ending::Bad(bad),
                Some(Ok(chunk)) => chunk,
            },
        };
    }
}

/// The last line of the answer; a receipt has none of its members.
#[derive(Deserialize)]
struct LastLine<'a> {
    records: Option<u64>,
    #[serde(borrow)]
    problem: Option<&'a RawValue>,
}

async fn receive(client: &Client, line: Line, call: Call, receipts: bool, tally: &Tally) -> anyhow::Result<Answered> {
    let mut answer = client.open_on(line, call).await?.accepted().await?;
    let mut output = if receipts { Some(Output::open().context("standard output")?) } else { None };
    let mut progress = Progress::new();
    let begun = Instant::now();
    while let Some(line) = answer.line().await? {
        if line.is_empty() {
            continue;
        }
        let LastLine { records, problem } = client.read(&line)?;
        let Some(records) = records else {
            tally.acknowledged.set(tally.acknowledged.get() + 1);
            if let Some(to) = &mut output {
                let mut lines = Lines::default();
                lines.push(&line);
                match to.write(lines).await {
                    // Whoever does not want more receipts still wants the records to be written.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => output = None,
                    written => written.context("standard output")?,
                }
            }
            progress.show(|| {
                let (records, seconds) = (tally.acknowledged.get(), begun.elapsed().as_secs_f64());
                format!("{records} records are written, {:.0} a second", records as f64 / seconds)
            });
            continue;
        };
        tally.acknowledged.set(records);
        return Ok(match problem {
            None => Answered::All,
            Some(problem) => Answered::Refused(Problem::read(0, None, problem.get().as_bytes())),
        });
    }
    Err(answer.broken_off().into())
}

fn report(tally: &Tally, ending: Ending, answered: Option<anyhow::Result<Answered>>) -> anyhow::Result<()> {
    let written = tally.written();
    let error = match answered {
        Some(Ok(Answered::All)) => {
            return match ending {
                Ending::Input | Ending::Closed => {
                    if io::stderr().is_terminal() {
                        say(&written);
                    }
                    Ok(())
                }
                Ending::Bad(bad) => Err(anyhow::anyhow!("{bad}; {written}, and nothing after")),
                Ending::Signal => Err(anyhow::Error::new(Interrupted).context(format!("{written}, and nothing after"))),
            };
        }
        Some(Ok(Answered::Refused(problem))) => CallError::Refused(Box::new(problem)).into(),
        Some(Err(error)) => error,
        None => Interrupted.into(),
    };
    let is_refusal = error.downcast_ref::<CallError>().is_some_and(CallError::is_refusal);
    let told = match tally.open() {
        _ if is_refusal => format!("{written}, line {} is refused and nothing after", tally.acknowledged.get() + 1),
        Some(open) => format!("{written}, {open}, and nothing after was sent"),
        None => format!("{written}, and nothing after"),
    };
    Err(error.context(told))
}
