//! How metrics are told: the text formats of Prometheus (version 0.0.4) and of OpenMetrics (version 1.0.0), which differ
//! in a few words. prometheus.io/docs/instrumenting/exposition_formats, prometheus.io/docs/specs/om/open_metrics_spec.

use std::fmt::Display;
use std::fmt::Write;

/// Which text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What every scraper reads.
    Prometheus,
    /// For those who ask for it.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type` of the text.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What kind of metric it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It comes and goes.
    Gauge,
    /// It has buckets.
    Histogram,
}

impl Type {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Something that has samples.
pub trait Metric {
    /// Of which kind.
    const TYPE: Type;
    /// Whether it has never been touched.
    fn is_zero(&self) -> bool;
    /// Tells its samples.
    fn write(&self, samples: &mut Samples<'_>);
}

/// A text that is being written.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    text: String,
}

/// The samples of one family.
#[derive(Debug)]
pub struct Samples<'a> {
    text: &'a mut String,
    name: &'a str,
    /// Labels that all samples have for now, as written, each with a comma before it.
    labels: String,
}

impl Exposition {
    /// An empty text.
    pub fn new(format: Format) -> Self {
        Self { format, text: String::with_capacity(32 << 10) }
    }

    /// Tells a family: what it is, and its samples.
    pub fn family<M: Metric>(&mut self, name: &str, help: &str, metric: &M) {
        let open = self.format == Format::OpenMetrics;
        // OpenMetrics counts `_total` as a part of the sample, not of the family.
        let family = if open && M::TYPE == Type::Counter { name.trim_end_matches("_total") } else { name };
        let kind = M::TYPE.as_str();
        self.line(format_args!("# HELP {family} {}", help.trim()));
        self.line(format_args!("# TYPE {family} {kind}"));
        if open && let Some(unit) = ["seconds", "bytes"].iter().find(|unit| family.ends_with(*unit)) {
            self.line(format_args!("# UNIT {family} {unit}"));
        }
        metric.write(&mut Samples { text: &mut self.text, name, labels: String::new() });
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("writing to a string");
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

impl Samples<'_> {
    /// Tells samples that have one more label.
    pub fn labelled(&mut self, label: &str, value: &str, tell: impl FnOnce(&mut Self)) {
        let before = self.labels.len();
        self.labels.push_str(if before == 0 { "" } else { "," });
        self.labels.push_str(label);
        self.labels.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => self.labels.push_str("\\\\"),
                '"' => self.labels.push_str("\\\""),
                '\n' => self.labels.push_str("\\n"),
                c => self.labels.push(c),
            }
        }
        self.labels.push('"');
        tell(self);
        self.labels.truncate(before);
    }

    /// One sample; `suffix` is what its name has beyond the family's.
    pub fn sample(&mut self, suffix: &str, value: impl Display) {
        let Self { text, name, labels } = self;
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        writeln!(text, "{name}{suffix}{open}{labels}{close} {value}").expect("writing to a string");
    }

    /// How many values are at most `bound`.
    pub fn bucket(&mut self, bound: f64, count: u64) {
        // With a point, as OpenMetrics wants numbers here, and Prometheus from version 3 on.
        let bound = if bound.is_infinite() { "+Inf".to_owned() } else { format!("{bound:?}") };
        self.labelled("le", &bound, |samples| samples.sample("_bucket", count));
    }
}
