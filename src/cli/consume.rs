//! `tidegate consume`: records as lines on standard output, read alone or as a member of a group.

use std::future::Future;
use std::io;
use std::io::ErrorKind;
use std::io::IsTerminal;
use std::pin::Pin;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use tokio::time::timeout;

use crate::cli::client::Client;
use crate::cli::client::Gateway;
use crate::cli::member::Member;
use crate::cli::member::Terms;
use crate::cli::output::Output;
use crate::cli::output::reader_gone;
use crate::cli::output::say;
use crate::cli::page::Format;
use crate::cli::page::Page;
use crate::cli::patience::Patience;
use crate::cli::problem::CallError;
use crate::cli::reader::Reader;
use crate::cli::reader::Selection;

/// Records in a page.
const PAGE_RECORDS: u64 = 500;

/// How long a poll waits for a record, in milliseconds: below what proxies commonly allow.
const WAIT_MS: u64 = 20_000;

/// How long committing and leaving may take at the end: whoever pressed Ctrl-C waits for it.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// What to read, and how to print it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The gateway.
    pub gateway: Gateway,
    /// What to read.
    pub source: Source,
    /// How records are printed.
    pub format: Format,
    /// How many records are printed at most.
    pub max: Option<u64>,
    /// Whether to wait for more at the end.
    pub follow: bool,
}

/// How to read.
#[derive(Debug, Clone)]
pub enum Source {
    /// Alone; nothing is committed.
    Alone(Selection),
    /// As a member of a group.
    Group(Box<Terms>),
}

/// What is read from.
enum Feed {
    Reader(Reader),
    Member(Box<Member>),
}

/// Who ends the command before its time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interruption {
    /// A signal.
    Signal,
    /// Nobody reads standard output any more.
    ReaderGone,
}

/// Prints records until there are no more, `stop` ends, or nobody reads standard output.
///
/// # Errors
/// If the gateway refuses, or standard output cannot be written. What was printed is committed all the same.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut feed = match options.source.clone() {
        Source::Alone(selection) => Feed::Reader(Reader::new(&selection)),
        Source::Group(terms) => Feed::Member(Box::new(Member::new(*terms))),
    };
    let mut client = Client::new(options.gateway.clone());
    let interruption = async {
        tokio::select! {
            () = stop => Interruption::Signal,
            () = reader_gone() => Interruption::ReaderGone,
        }
    };
    let outcome = copy(&options, &mut feed, &mut client, pin!(interruption)).await;
    if let Feed::Member(member) = &mut feed {
        match timeout(LEAVE_MAX, member.leave(&mut client)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => say(&format!("the group was not left in good order: {error}")),
            Err(_) => say("the group was not left: no answer in time; the lease runs out by itself"),
        }
    }
    outcome
}

async fn copy(
    options: &Options,
    feed: &mut Feed,
    client: &mut Client,
    mut interruption: Pin<&mut impl Future<Output = Interruption>>,
) -> anyhow::Result<()> {
    let mut output = Output::open().context("standard output")?;
    let is_terminal = io::stdout().is_terminal();
    let mut patience = Patience::new(options.follow);
    let mut left = options.max.unwrap_or(u64::MAX);
    while left > 0 {
        let page = tokio::select! {
            biased;
            _ = &mut interruption => return Ok(()),
            page = next(options, feed, client, &mut patience, left.min(PAGE_RECORDS)) => page?,
        };
        if page.records.is_empty() && page.is_end && !options.follow {
            return Ok(());
        }
        let mut interrupted = None;
        let written = {
            let lines = page.lines(options.format)?;
            let mut write = pin!(output.write(if is_terminal { lines.harmless() } else { lines }));
            tokio::select! {
                biased;
                written = &mut write => written,
                by = &mut interruption => {
                    interrupted = Some(by);
                    // Where the reader is gone the write fails at once, and only then is all counted that it took.
                    if by == Interruption::ReaderGone { write.await } else { Ok(()) }
                }
            }
        };
        let gone = written.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        let printed = output.taken(gone || interrupted == Some(Interruption::ReaderGone));
        if let Feed::Member(member) = feed {
            member.printed(&page, printed)?;
        }
        if gone || interrupted.is_some() {
            return Ok(());
        }
        written.context("standard output")?;
        left -= u64::try_from(printed).expect("records in a page");
    }
    Ok(())
}

/// The next page, whatever it takes.
async fn next(
    options: &Options,
    feed: &mut Feed,
    client: &mut Client,
    patience: &mut Patience,
    max_records: u64,
) -> Result<Page, CallError> {
    let wait_ms = if options.follow { WAIT_MS } else { 0 };
    loop {
        let page = match feed {
            Feed::Reader(reader) => reader.next(client, max_records, wait_ms).await,
            Feed::Member(member) => member.next(client, max_records, wait_ms).await,
        };
        match page {
            Ok(page) => {
                patience.restore();
                return Ok(page);
            }
            Err(error) => {
                if !go_on(feed, &error) {
                    patience.bear(error).await?;
                }
            }
        }
    }
}

/// Goes on another way, if the refusal says which.
fn go_on(feed: &mut Feed, error: &CallError) -> bool {
    let Some(problem) = error.problem() else { return false };
    match (feed, problem.body.retry.as_str(), &problem.body.cursor) {
        (Feed::Member(member), "rejoin", _) => {
            say(&format!("{problem}; joining again: records that were printed and not committed may come again"));
            member.rejoin();
        }
        (feed, _, Some(cursor)) if problem.status == 410 => {
            say(&format!("{problem}; going on behind what is gone"));
            match feed {
                Feed::Reader(reader) => reader.pass(cursor.clone()),
                Feed::Member(member) => member.pass(cursor.clone()),
            }
        }
        _ => return false,
    }
    true
}
