//! `tidegate produce`: lines of standard input, or one file, as records. What was acknowledged is told to the line.

pub mod file;
pub mod lines;
mod stream;

use crate::cli::client::Client;
use crate::cli::client::Gateway;
use crate::cli::produce::file::FileValue;
use crate::cli::produce::lines::Encoding;
use crate::model::name::TopicName;

/// What to write, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The gateway.
    pub gateway: Gateway,
    /// The topic.
    pub topic: TopicName,
    /// What is written.
    pub source: Source,
    /// Whether receipts are printed, as the gateway writes them.
    pub receipts: bool,
}

/// Where records come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Standard input, a line a record.
    Lines(Encoding),
    /// One file, which is one value.
    File(FileValue),
}

/// Writes until the source ends, or `stop` does; waits until what was sent is acknowledged.
///
/// # Errors
/// If not all is written. The sentence says what is written, what is not, and of what it is not known.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let Options { gateway, topic, source, receipts } = options;
    let client = Client::new(gateway);
    match source {
        Source::Lines(encoding) => stream::run(&client, &topic, encoding, receipts, stop).await,
        Source::File(value) => file::run(client, &topic, &value, receipts).await,
    }
}
