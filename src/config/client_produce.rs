//! The flags of `tidegate produce`.

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use clap::value_parser;

use crate::cli::produce;
use crate::cli::produce::file;
use crate::cli::produce::lines;
use crate::config::client::EXIT_STATUS;
use crate::config::client::Server;
use crate::model::name::TopicName;

/// What is promised of it, for those who read the help.
const ABOUT: &str = "Each line of standard input, without the line feed at its end, is a record, which is sent as soon as \
    it is there. The command ends when all is durable. If the connection breaks or a line is refused, standard error says \
    which lines are written, which are not, and which may be: `tail -n +N` goes on behind them. A file is sent with an \
    idempotency key, so that it is written once.";

/// `tidegate produce`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS, after_long_help = format!("{ABOUT}\n\n{EXIT_STATUS}"))]
pub(super) struct Produce {
    #[command(flatten)]
    server: Server,
    /// The topic to write to
    #[arg(value_name = "TOPIC")]
    topic: TopicName,
    /// What a line is [default: text]; with --file, what the file is [default: the gateway looks]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The key of all records
    #[arg(long, value_name = "KEY", conflicts_with = "key_separator")]
    record_key: Option<String>,
    /// A line is its key, this text, and its value
    #[arg(long, value_name = "TEXT", conflicts_with = "file", value_parser = NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    /// The partition of all records
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(0..=i64::from(i32::MAX)))]
    partition: Option<u32>,
    /// Send this file as one record, instead of the lines of standard input
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Print a receipt for each record: partition, offset, timestamp
    #[arg(long)]
    receipts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A text
    Text,
    /// Any JSON
    Json,
    /// Bytes
    Bytes,
    /// A record as `tidegate consume` prints it: a JSON object with `value`, and perhaps `key`, `headers`, `partition`
    Record,
}

impl Produce {
    /// What to write.
    ///
    /// # Errors
    /// A sentence, where flags contradict each other.
    pub(super) fn into_options(self) -> Result<produce::Options, &'static str> {
        let Self { server, topic, format, record_key: key, key_separator, partition, file: path, receipts } = self;
        if format == Some(Format::Record) && (key.is_some() || key_separator.is_some() || partition.is_some()) {
            return Err("with --format record the key and the partition stand in the record");
        }
        let source = match path {
            Some(path) => {
                let content_type = match format {
                    None => None,
                    Some(Format::Text) => Some("text/plain"),
                    Some(Format::Json) => Some("application/json"),
                    Some(Format::Bytes) => Some("application/octet-stream"),
                    Some(Format::Record) => return Err("a --file is one value: text, json or bytes"),
                };
                produce::Source::File(file::FileValue { path, content_type, key, partition })
            }
            None => {
                let shape = match format {
                    None | Some(Format::Text) => lines::Shape::Text,
                    Some(Format::Json) => lines::Shape::Json,
                    Some(Format::Bytes) => lines::Shape::Bytes,
                    Some(Format::Record) => lines::Shape::Record,
                };
                produce::Source::Lines(lines::Encoding { shape, key, key_separator, partition })
            }
        };
        Ok(produce::Options { gateway: server.into(), topic, source, receipts })
    }
}
