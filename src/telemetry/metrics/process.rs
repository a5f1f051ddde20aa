//! What the kernel says of this process (proc(5)), under the names that Prometheus' own clients give it. Where there is
//! no `/proc` nothing is told.

use std::fs;

use crate::telemetry::metrics::exposition::Exposition;
use crate::telemetry::metrics::exposition::Metric;
use crate::telemetry::metrics::exposition::Samples;
use crate::telemetry::metrics::exposition::Type;

/// The figures of this moment.
#[derive(Debug, Default)]
pub(super) struct Process {
    cpu_seconds: Option<f64>,
    start_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

impl Process {
    /// Looks now.
    pub(super) fn now() -> Self {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The second field is the name of the program in brackets, which may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
        // Counted as proc(5) counts, from 1, with two fields before the bracket.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let booted = booted();
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) as f64 / ticks),
            start_seconds: field(22).zip(booted).map(|(started, booted)| booted as f64 + started as f64 / ticks),
            resident_bytes: field(24).map(|pages| pages * rustix::param::page_size() as u64),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            max_fds: max_fds(),
        }
    }

    /// Tells them.
    pub(super) fn write(&self, out: &mut Exposition) {
        out.family("process_cpu_seconds_total", "Processor time used.", &Figure::<true, _>(self.cpu_seconds));
        out.family(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970.",
            &Figure::<false, _>(self.start_seconds),
        );
        out.family("process_resident_memory_bytes", "Memory in use.", &Figure::<false, _>(self.resident_bytes));
        out.family("process_open_fds", "Files and sockets open.", &Figure::<false, _>(self.open_fds));
        out.family("process_max_fds", "Files and sockets that may be open.", &Figure::<false, _>(self.max_fds));
    }
}

/// When the machine was started, in seconds since 1970.
fn booted() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn max_fds() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// A figure, if it is known.
struct Figure<const COUNTER: bool, T = f64>(Option<T>);

impl<const COUNTER: bool, T: std::fmt::Display> Metric for Figure<COUNTER, T> {
    const TYPE: Type = if COUNTER { Type::Counter } else { Type::Gauge };

    fn is_zero(&self) -> bool {
        self.0.is_none()
    }

    fn write(&self, samples: &mut Samples<'_>) {
        if let Some(value) = &self.0 {
            samples.sample("", value);
        }
    }
}
