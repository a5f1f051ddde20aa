//! The project's own benchmark: each figure of the gateway BESIDE its limit, measured in the same run, on the same
//! machine, with the same load generator, in turns. A figure alone says little here: disks and neighbours vary by ten.
//!
//! `cargo bench --bench limits -- [WHAT...] [OPTIONS]`; `--help` says more.
//! Never part of a test: `cargo test --all-targets` runs it without `--bench`, and then it measures nothing.

mod catchup;
mod client;
mod cluster;
mod conditions;
mod data;
mod database;
mod fanout;
mod groups;
mod member;
mod pgbench;
mod process;
mod produce;
mod reference;
mod report;
mod rest;
mod retention;
mod scale;

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use tempfile::TempDir;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::conditions::Conditions;
use crate::process::Server;
use crate::report::Aim;
use crate::report::Row;
use crate::report::median;

/// As in the gateway, so that both sides of a comparison have the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
cargo bench --bench limits -- [WHAT...] [OPTIONS]

  produce      one 100-byte record per POST, 64 and 256 connections   | a bare axum handler
  lone         the same, one at a time                                | one fdatasync of 4 KiB
  batch        1,000 records of 1 KB per POST, 4 connections          | write + fdatasync per MiB
  catchup      512 MiB as NDJSON to one reader                        | nginx with the same file
  sse          50 records/s to 1,000 and 5,000 subscribers            | a bare axum broadcast
  memory       at rest, and per idle subscriber                       | a bare axum broadcast
  partitions   100,000 partitions, 1,000 of them active               | 1,000 partitions
  restart      from exec to listening with 1 GiB kept                 | with nothing kept
  groups       members at rest, joining, polling, taking over         | plain readers; the lease
  cluster      one node and two on PostgreSQL: small, large, SSE      | pgbench, same server; one node
  retention    size on disk in PostgreSQL while records come and go   | what is kept of them
               (only when asked for by name)

  --seconds N    length of a turn (3); each side has three, in alternation
  --limits       measure only the limits
  --binary PATH  measure another build of the gateway

  For `cluster` and `retention`:
  --database-url URL  a PostgreSQL where databases may be made; each run makes its own, and drops them
  --gigabytes N       how much comes and goes for `retention` (10); a tenth of it is kept";

const ALL: [&str; 10] =
    ["produce", "lone", "batch", "catchup", "sse", "memory", "partitions", "restart", "groups", "cluster"];

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // cargo says `--bench` when it is to be a benchmark, and puts it last.
    let asked = arguments.iter().position(|argument| argument == "--bench").map(|at| arguments.remove(at)).is_some();
    if !asked && arguments.first().is_none_or(|argument| argument != "--role") {
        println!("nothing measured: run `cargo bench --bench limits`");
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().expect("without a runtime there is nothing to report");
    let outcome = runtime.block_on(async {
        match arguments[..] {
            ["--role", "subscribe", address, count] => fanout::subscribe(address, count).await,
            ["--role", "rest", address, kind] => rest::clients(address, kind).await,
            ["--role", role] => reference::serve(role, None).await,
            ["--role", role, file] => reference::serve(role, Some(file)).await,
            ref options => run(options).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &[&str]) -> Result<()> {
    let mut what = Vec::new();
    let mut seconds = 3;
    let mut binary = Some(PathBuf::from(env!("CARGO_BIN_EXE_tidegate")));
    let mut database_url = None;
    let mut gigabytes = 10;
    let mut options = options.iter();
    while let Some(&option) = options.next() {
        match option {
            "--help" => {
                println!("{HELP}");
                return Ok(());
            }
            "--seconds" => seconds = options.next().context("--seconds N")?.parse().context("--seconds")?,
            "--limits" => binary = None,
            "--binary" => binary = Some(options.next().context("--binary PATH")?.into()),
            "--database-url" => database_url = Some(options.next().context("--database-url URL")?.to_string()),
            "--gigabytes" => gigabytes = options.next().context("--gigabytes N")?.parse().context("--gigabytes")?,
            name if ALL.contains(&name) || name == "retention" => what.push(name),
            other => bail!("`{other}` is nothing to measure\n\n{HELP}"),
        }
    }
    if what.is_empty() {
        what = ALL.to_vec();
        // The one that needs more than this program can start by itself.
        what.retain(|name| *name != "cluster" || database_url.is_some());
    }
    // In the target folder, because the system's folder for temporary files is often not on a disk.
    let folder = tempfile::Builder::new().prefix("limits-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut bench = Bench { seconds, binary, database_url, gigabytes, conditions: Vec::new(), folder };
    report::print_head(bench.folder());
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // Dropping the measurements ends their processes and removes their files.
    tokio::select! {
        outcome = measure(&mut bench, &what) => outcome,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

/// One scenario that fails does not keep the others from being measured.
async fn measure(bench: &mut Bench, what: &[&str]) -> Result<()> {
    // Far more than any scenario needs, so that a server that hangs does not hang the benchmark.
    let patience = Duration::from_secs(180 + 40 * bench.seconds);
    let mut failed = Vec::new();
    for &name in what {
        let patience = if name == "retention" { patience + retention::patience(bench) } else { patience };
        bench.conditions.clear();
        bench.measure_conditions(Duration::from_secs(1))?;
        let scenario = async {
            match name {
                "produce" => produce::produce(bench).await,
                "lone" => produce::lone(bench).await,
                "batch" => produce::batch(bench).await,
                "catchup" => catchup::catchup(bench).await,
                "sse" => fanout::sse(bench).await,
                "memory" => fanout::memory(bench).await,
                "partitions" => scale::partitions(bench).await,
                "restart" => scale::restart(bench).await,
                "groups" => groups::groups(bench).await,
                "retention" => retention::retention(bench).await,
                _ => cluster::cluster(bench).await,
            }
        };
        let outcome = tokio::time::timeout(patience, scenario).await;
        if let Err(problem) = outcome.unwrap_or_else(|_| bail!("not done after {patience:?}")) {
            println!("{name}: FAILED: {problem:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// What the scenarios share.
struct Bench {
    /// The length of a turn.
    seconds: u64,
    /// None: only the limits are measured.
    binary: Option<PathBuf>,
    /// A PostgreSQL server, if there is one to measure on.
    database_url: Option<String>,
    /// How much comes and goes, in 10^9 bytes.
    gigabytes: u64,
    /// As it has been during the scenario.
    conditions: Vec<Conditions>,
    folder: TempDir,
}

impl Bench {
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn limits_only(&self) -> bool {
        self.binary.is_none()
    }

    /// Starts the gateway on the folder `data`, new or from before.
    async fn gateway(&self, data: &str) -> Result<Option<Server>> {
        match &self.binary {
            Some(binary) => Ok(Some(Server::gateway(binary, self.folder(), data).await?)),
            None => Ok(None),
        }
    }

    /// Removes a folder with much data before its time.
    fn forget(&self, data: &str) {
        // What cannot be removed now is removed with the whole folder, or reported then.
        let _ = std::fs::remove_dir_all(self.folder().join(data));
    }

    /// Every scenario does so before each round.
    fn measure_conditions(&mut self, duration: Duration) -> Result<()> {
        let now = tokio::task::block_in_place(|| conditions::measure(self.folder(), duration))?;
        self.conditions.push(now);
        Ok(())
    }

    /// The median over the rounds so far.
    fn conditions(&self, figure: fn(&Conditions) -> f64) -> Option<f64> {
        median(self.conditions.iter().map(figure))
    }

    fn row(&self, what: &str, unit: &str, value: Option<f64>, limit: Option<f64>, aim: Aim) {
        report::print(&Row { what, unit, value, limit, aim }, &self.conditions);
    }
}
