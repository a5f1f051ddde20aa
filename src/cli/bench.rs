//! `tidegate bench`: what a gateway does on this machine, with the disk beside it. Measures a gateway of its own in a
//! directory that is gone afterwards, or one that runs somewhere. The load comes from this process, on the same machine:
//! that is said, too.

mod fanout;
mod load;
mod process;

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use crate::cli::away::delete_topic;
use crate::cli::bench::load::Latencies;
use crate::cli::bench::process::Scratch;
use crate::cli::bench::process::Started;
use crate::cli::client::Client;
use crate::cli::client::Gateway;
use crate::cli::disk;
use crate::cli::disk::Kind;
use crate::cli::exit::Interrupted;
use crate::cli::output::print;
use crate::cli::output::table;
use crate::cli::progress::Progress;
use crate::cli::progress::bar;
use crate::tasks;

/// Times that a page is written and synced.
const SYNCS: usize = 200;

/// What is written in sequence at most, in bytes.
const WRITTEN_MAX: u64 = 1 << 30;

/// Steps of the bar.
const STEPS: f64 = 6.0;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// A gateway that runs; without it one is started.
    pub gateway: Option<Gateway>,
    /// The program to start.
    pub program: PathBuf,
    /// Where the gateway that is started has its data for the time, in a directory of its own.
    pub directory: PathBuf,
    /// How long each step takes.
    pub step: Duration,
    /// Event streams that are open at once.
    pub subscribers: usize,
    /// Connections that write at once.
    pub writers: usize,
}

/// Measures, and prints what was measured.
///
/// # Errors
/// If the gateway does not start, refuses or does not answer.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut stop = pin!(stop);
    let (gateway, started) = match &options.gateway {
        Some(gateway) => (gateway.clone(), None),
        None => {
            let scratch = Scratch::make(&options.directory)?;
            let started = tokio::select! {
                started = Started::start(&options.program, scratch) => started?,
                () = &mut stop => return Err(Interrupted.into()),
            };
            (Gateway { url: started.url().clone(), key: None }, Some(started))
        }
    };
    let mut client = Client::new(gateway.clone());
    let topic = format!("tidegate-bench-{:016x}", fastrand::u64(..));
    let mut bench = Bench {
        options: &options,
        client: client.clone(),
        topic,
        rows: Vec::new(),
        progress: Progress::new(),
        done: 0.0,
    };
    let measured = tokio::select! {
        measured = bench.measure(started.as_ref()) => measured,
        () = &mut stop => Err(Interrupted.into()),
    };
    let Bench { topic, rows, .. } = bench;
    if started.is_none() {
        delete_topic(&mut client, &topic).await;
    }
    measured?;
    let place = match &started {
        Some(started) => format!("a gateway of its own, SQLite in {}", started.place().display()),
        None => format!("the gateway at {}", gateway.url),
    };
    let build =
        if cfg!(debug_assertions) { " This is a debug build: several times slower than a release." } else { "" };
    Ok(print(&format!(
        "Measured: {place}, {} s a step; the load came from this process on this machine.{build}\n\n{}",
        options.step.as_secs_f64(),
        table(["WHAT", "RESULT", "P50 MS", "P99 MS"], &rows)
    ))?)
}

struct Bench<'a> {
    options: &'a Options,
    client: Client,
    topic: String,
    rows: Vec<[String; 4]>,
    progress: Progress,
    done: f64,
}

impl Bench<'_> {
    async fn measure(&mut self, started: Option<&Started>) -> anyhow::Result<()> {
        if let Some(started) = started {
            self.disk(started).await?;
        }
        let path = format!("/v1/topics/{}", self.topic);
        self.client.put(&path, &json!({ "partition_count": 4 })).await?;
        let (step, writers) = (self.options.step, self.options.writers);
        let (values, records) = (format!("{path}/values"), format!("{path}/records"));

        let value = load::value();
        let work = load::posts(self.client.clone(), &values, value.clone(), 1, step);
        let lone = self.step("one writer, one record of 100 bytes a POST", work).await?;
        self.row("one writer, 100 bytes a POST", format!("{:.0} POST/s", lone.rate()), Some(&lone));

        let work = load::posts(self.client.clone(), &values, value, writers, step);
        let many = self.step("many writers", work).await?;
        self.row(&format!("{writers} writers, 100 bytes a POST"), format!("{:.0} POST/s", many.rate()), Some(&many));

        let (batch, bytes) = load::batch();
        let work = load::posts(self.client.clone(), &records, batch, load::BATCH_WRITERS, step);
        let batches = self.step("batches", work).await?;
        let speed = format!("{:.0} MB/s", batches.rate() * bytes as f64 / 1e6);
        self.row("4 writers, 1,000 records of 1 KB a POST", speed, Some(&batches));

        let work = load::catch_up(self.client.clone(), &records, step);
        let speed = self.step("catching up", work).await?;
        self.row("one reader of all there is, as NDJSON", format!("{:.0} MB/s", speed / 1e6), None);

        let subscribers = self.options.subscribers;
        let work = Box::pin(fanout::measure(self.client.clone(), &path, subscribers, step));
        let fanned = self.step("event streams", work).await?;
        let speed = format!("{:.0} events/s", fanned.rate());
        self.row(&format!("{subscribers} event streams, {} records/s", fanout::RATE), speed, Some(&fanned));
        Ok(())
    }

    async fn disk(&mut self, started: &Started) -> anyhow::Result<()> {
        let (place, step) = (started.place().to_owned(), self.options.step);
        let work = tasks::blocking(move || {
            let (kind, _, _) = disk::space(&place)?;
            let times = disk::sync_times(&place, SYNCS)?;
            anyhow::Ok((kind, times, disk::write_speed(&place, step, WRITTEN_MAX)?))
        });
        let (kind, times, speed) = self.step("the disk", work).await?;
        let note = if kind == Kind::Memory { " (memory, no disk)" } else { "" };
        let times = Latencies::of(times);
        self.row(&format!("limit: one fdatasync of 4 KiB{note}"), format!("{:.0} /s", times.rate()), Some(&times));
        self.row(&format!("limit: write in sequence, synced a MiB{note}"), format!("{:.0} MB/s", speed / 1e6), None);
        Ok(())
    }

    /// Runs a step while the bar moves.
    async fn step<T>(&mut self, name: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let begun = Instant::now();
        let mut work = pin!(work);
        let mut looks = tokio::time::interval(Duration::from_millis(200));
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                _ = looks.tick() => {
                    let part = begun.elapsed().as_secs_f64() / self.options.step.as_secs_f64().max(0.001);
                    let part = (self.done + part.min(1.0)) / STEPS;
                    self.progress.show(|| format!("{} {name}", bar(part)));
                }
            }
        };
        self.done += 1.0;
        outcome
    }

    fn row(&mut self, what: &str, result: String, latencies: Option<&Latencies>) {
        let ms =
            |part| latencies.map_or_else(|| "-".to_owned(), |all| format!("{:.2}", all.at(part).as_secs_f64() * 1e3));
        self.rows.push([what.to_owned(), result, ms(0.5), ms(0.99)]);
    }
}
