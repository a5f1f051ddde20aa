//! The table: each figure beside its limit, with what is to be reached and how the machine was in that minute.

use std::path::Path;

use crate::conditions::Conditions;
use crate::conditions::file_system;

/// What a figure must come to.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    /// For information.
    None,
    /// value / limit is at least this.
    RatioFrom(f64),
    /// value / limit is at most this.
    RatioTo(f64),
    /// value − limit is at most this, in the row's unit.
    Above(f64),
    /// The value itself is at most this.
    To(f64),
}

/// One line of the table. `None` was not measured, or there is no such limit.
pub(crate) struct Row<'a> {
    pub(crate) what: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) value: Option<f64>,
    pub(crate) limit: Option<f64>,
    pub(crate) aim: Aim,
}

/// Prints what the figures were measured on, and the head of the table.
pub(crate) fn print_head(folder: &Path) {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let file_system = file_system(folder);
    println!(
        "{processors} CPUs, kernel {}, data on {file_system}, load average before {}",
        kernel.trim(),
        load.split(' ').next().unwrap_or("?"),
    );
    if file_system == "tmpfs" {
        println!("THE DATA IS NOT ON A DISK: no durable figure below means anything");
    }
    println!(
        "\n{:<46} {:>9} {:>9} {:<6} {:>6}  {:<14} {:>10} {:>9} {:>6}",
        "what", "value", "limit", "unit", "ratio", "to reach", "fdatasync", "write", "others",
    );
    println!("{:>105} {:>9} {:>6}", "4 KiB, ms", "MB/s", "% CPU");
}

/// Prints one line.
pub(crate) fn print(row: &Row<'_>, conditions: &[Conditions]) {
    let ratio = row.value.zip(row.limit).map(|(value, limit)| value / limit);
    let (aim, reached) = match row.aim {
        Aim::None => (String::new(), None),
        Aim::RatioFrom(least) => (format!("≥ {least}"), ratio.map(|ratio| ratio >= least)),
        Aim::RatioTo(most) => (format!("≤ {most}"), ratio.map(|ratio| ratio <= most)),
        Aim::Above(most) => {
            (format!("≤ +{most}"), row.value.zip(row.limit).map(|(value, limit)| value - limit <= most))
        }
        Aim::To(most) => (format!("≤ {most} {}", row.unit), row.value.map(|value| value <= most)),
    };
    let mark = match reached {
        None => "",
        Some(true) => " yes",
        Some(false) => " NO",
    };
    println!(
        "{:<46} {:>9} {:>9} {:<6} {:>6}  {:<14} {:>10} {:>9} {:>6}",
        row.what,
        figure(row.value),
        figure(row.limit),
        row.unit,
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        aim + mark,
        range(conditions, |now| now.sync_p50_ms, 2),
        range(conditions, |now| now.sequential, 0),
        range(conditions, |now| now.busy.round().max(1.0), 0),
    );
}

/// The median, or from the least to the most when they are so far apart that rounds are hardly comparable.
fn range(conditions: &[Conditions], figure: fn(&Conditions) -> f64, digits: usize) -> String {
    let least = conditions.iter().map(figure).fold(f64::INFINITY, f64::min);
    let most = conditions.iter().map(figure).fold(0.0, f64::max);
    if most > 2.0 * least {
        return format!("{least:.digits$}–{most:.digits$}");
    }
    format!("{:.digits$}", median(conditions.iter().map(figure)).unwrap_or_default())
}

fn figure(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() < 10.0 => format!("{value:.3}"),
        Some(value) if value.abs() < 1_000.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}

/// The median of what was measured; none of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}
