//! The machine as it is this minute: every durable figure is held against its disk, and both depend on who else runs.
//!
//! A median of 2–4 ms for an fdatasync that takes 0.1 ms a minute later is rarely the disk. When every CPU is taken, a
//! thread whose write is done waits for the next tick of the scheduler, 4 ms at 250 Hz.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;

use crate::client::Latencies;

const PAGE: usize = 4 * 1024;
const MEBIBYTE: usize = 1 << 20;

/// What a scenario found.
#[derive(Clone, Copy)]
pub(crate) struct Conditions {
    /// How much of all CPUs others used while we slept, in percent.
    pub(crate) busy: f64,
    /// Write of 4 KiB in place + fdatasync, median.
    pub(crate) sync_p50_ms: f64,
    pub(crate) sync_p99_ms: f64,
    /// Appending 1 MiB + fdatasync, again and again to one file, in MB/s.
    pub(crate) sequential: f64,
}

/// Measures the disk under `folder` for about `duration`, half of it for each figure. Blocks.
pub(crate) fn measure(folder: &Path, duration: Duration) -> Result<Conditions> {
    let busy = busy(Duration::from_millis(200))?;
    let (mut syncs, sequential) = (syncs(folder, duration / 2)?, sequential(folder, duration / 2)?);
    Ok(Conditions { busy, sync_p50_ms: syncs.quantile_ms(0.5), sync_p99_ms: syncs.quantile_ms(0.99), sequential })
}

fn busy(duration: Duration) -> Result<f64> {
    let (idle_before, all_before) = ticks()?;
    std::thread::sleep(duration);
    let (idle, all) = ticks()?;
    Ok(100.0 * (1.0 - (idle - idle_before) / (all - all_before).max(1.0)))
}

/// Idle ticks and all ticks of all CPUs since the start of the machine.
fn ticks() -> Result<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("first line of /proc/stat")?;
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in the first two already.
    let ticks: Vec<f64> = line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>()?;
    Ok((ticks.iter().skip(3).take(2).sum(), ticks.iter().sum()))
}

/// Overwrites pages of a preallocated file, as a write-ahead log that is used again does.
fn syncs(folder: &Path, duration: Duration) -> Result<Latencies> {
    let file = create(&folder.join("sync.probe"))?;
    file.write_all_at(&noise(4 * MEBIBYTE), 0)?;
    file.sync_all()?;
    let page = noise(PAGE);
    let mut latencies = Latencies::default();
    let start = Instant::now();
    while start.elapsed() < duration || latencies.0.is_empty() {
        let before = Instant::now();
        file.write_all_at(&page, (latencies.0.len() * PAGE % (4 * MEBIBYTE)) as u64)?;
        file.sync_data()?;
        latencies.0.push(before.elapsed().as_nanos() as u64);
    }
    std::fs::remove_file(folder.join("sync.probe"))?;
    Ok(latencies)
}

fn sequential(folder: &Path, duration: Duration) -> Result<f64> {
    let mut file = create(&folder.join("sequential.probe"))?;
    let piece = noise(MEBIBYTE);
    let (mut written, start) = (0, Instant::now());
    while start.elapsed() < duration || written == 0 {
        file.write_all(&piece)?;
        file.sync_data()?;
        written += piece.len();
    }
    let seconds = start.elapsed().as_secs_f64();
    std::fs::remove_file(folder.join("sequential.probe"))?;
    Ok(written as f64 / 1e6 / seconds)
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(path)
}

/// Bytes that no layer below can compress or recognise as zeros.
fn noise(length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(6);
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes);
    bytes
}

/// The type of the file system that holds `folder`, as the kernel names it.
pub(crate) fn file_system(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut best = (0, "unknown");
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        if let (Some(mounted_at), Some(kind)) = (words.next(), words.next())
            && folder.starts_with(mounted_at)
            && mounted_at.len() >= best.0
        {
            best = (mounted_at.len(), kind);
        }
    }
    best.1.to_owned()
}
