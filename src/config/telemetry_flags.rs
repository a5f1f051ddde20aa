//! The flags of logs, metrics and traces.

use clap::Args;
use clap::ValueEnum;
use clap::value_parser;

use crate::broker;
use crate::telemetry;
use crate::telemetry::traces;
use crate::telemetry::traces::endpoint::Endpoint;
use crate::telemetry::traces::endpoint::EndpointError;

#[derive(Debug, Args)]
pub(super) struct Telemetry {
    /// How log lines look
    #[arg(long, env = "TIDEGATE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged: a level (error, warn, info, debug, trace), or `info,tidegate::http=debug`
    #[arg(long, env = "TIDEGATE_LOG", value_name = "FILTER", default_value_t = telemetry::Options::default().filter)]
    log: String,
    /// Partitions whose lag /metrics tells at most, of all consumer groups together; two series each
    #[arg(long, env = "TIDEGATE_METRICS_LAG_PARTITIONS", value_name = "N",
        default_value_t = broker::Options::default().lag_partitions as u64, value_parser = value_parser!(u64).range(0..=100_000))]
    pub(super) metrics_lag_partitions: u64,
    /// Collector that spans are sent to by OTLP over HTTP, such as http://127.0.0.1:4318; none are made without one
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", hide_env_values = true)]
    otlp_endpoint: Option<String>,
    /// What the node is called in traces
    #[arg(long, env = "OTEL_SERVICE_NAME", value_name = "NAME", default_value_t = traces::Options::default().service_name)]
    otel_service_name: String,
    /// Of the requests that do not say by `traceparent` whether they are traced, how many are: from 0 to 1
    #[arg(long, env = "TIDEGATE_TRACE_RATIO", value_name = "RATIO", default_value_t = traces::Options::default().ratio,
        value_parser = ratio)]
    trace_ratio: f64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Lines of text
    Text,
    /// A JSON object per line
    Json,
}

impl Telemetry {
    /// The options. The endpoint is read here and not while the flags are parsed: a flag that is refused there is shown
    /// with its value, and this one may hold a password.
    pub(super) fn into_options(self) -> Result<(telemetry::Options, traces::Options), EndpointError> {
        let flags = self;
        let format = match flags.log_format {
            LogFormat::Text => telemetry::Format::Text,
            LogFormat::Json => telemetry::Format::Json,
        };
        let traces = traces::Options {
            endpoint: flags.otlp_endpoint.as_deref().map(str::parse::<Endpoint>).transpose()?,
            service_name: flags.otel_service_name,
            ratio: flags.trace_ratio,
        };
        Ok((telemetry::Options { format, filter: flags.log }, traces))
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| format!("`{text}` is not a number from 0 to 1"))
}
