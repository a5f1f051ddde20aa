//! The flags of `tidegate topics`.

use clap::Args;
use clap::Subcommand;
use clap::value_parser;
use serde_json::Value;

use crate::cli::client::Gateway;
use crate::cli::topics;
use crate::cli::topics::Settings;
use crate::config::client::EXIT_STATUS;
use crate::config::client::Server;
use crate::config::client::prefix;
use crate::model::name::TopicName;
use crate::model::topic::PARTITION_COUNT_MAX;

/// `tidegate topics`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(super) struct Topics {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List topics and their settings
    #[command(after_help = EXIT_STATUS)]
    List {
        /// Only topics whose names begin so
        #[arg(value_name = "PREFIX", default_value = "", hide_default_value = true, value_parser = prefix)]
        prefix: String,
        /// Print the API's answers as they are, a page a line
        #[arg(long)]
        json: bool,
    },
    /// Show a topic: its settings, and what each partition holds
    #[command(after_help = EXIT_STATUS)]
    Describe {
        /// The topic
        #[arg(value_name = "TOPIC")]
        topic: TopicName,
        /// Print the API's answer as it is
        #[arg(long)]
        json: bool,
    },
    /// Make a topic; one that is there already with these settings is left as it is
    #[command(after_help = EXIT_STATUS)]
    Create(Change),
    /// Change a topic: only what is named
    #[command(after_help = EXIT_STATUS)]
    Configure(Change),
    /// Delete a topic with all its records
    #[command(after_help = EXIT_STATUS)]
    Delete {
        /// The topic
        #[arg(value_name = "TOPIC")]
        topic: TopicName,
    },
    /// Delete the oldest records of a partition
    #[command(after_help = EXIT_STATUS)]
    Trim {
        /// The topic
        #[arg(value_name = "TOPIC")]
        topic: TopicName,
        /// The partition
        #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(0..=i64::from(i32::MAX)))]
        partition: u32,
        /// The first offset to keep
        #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(0..1 << 53))]
        before_offset: u64,
    },
}

#[derive(Debug, Args)]
struct Change {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: TopicName,
    /// How many partitions; may only grow
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=i64::from(PARTITION_COUNT_MAX)))]
    partitions: Option<u32>,
    /// How long records are kept, in milliseconds; -1 for ever, `default` as the gateway has it
    #[arg(long, value_name = "MS", value_parser = limit, allow_hyphen_values = true)]
    retention_ms: Option<Value>,
    /// How many bytes each partition keeps at least; -1 for all, `default` as the gateway has it
    #[arg(long, value_name = "BYTES", value_parser = limit, allow_hyphen_values = true)]
    retention_bytes: Option<Value>,
    /// Print the API's answer as it is
    #[arg(long)]
    json: bool,
}

/// A number of at least -1, or `default`, which the API writes as `null`.
fn limit(text: &str) -> Result<Value, String> {
    match text.parse::<i64>() {
        _ if text == "default" => Ok(Value::Null),
        Ok(number) if (-1..1 << 53).contains(&number) => Ok(number.into()),
        _ => Err("a number from 0 on, -1 for no limit, or `default`".to_owned()),
    }
}

impl Change {
    fn into_parts(self) -> (TopicName, Settings, bool) {
        let Self { topic, partitions, retention_ms, retention_bytes, json } = self;
        (topic, Settings { partition_count: partitions, retention_ms, retention_bytes }, json)
    }
}

impl Topics {
    /// The gateway, and what to do there.
    pub(super) fn into_parts(self) -> (Gateway, topics::Action) {
        let action = match self.command {
            Command::List { prefix, json } => topics::Action::List { prefix, json },
            Command::Describe { topic, json } => topics::Action::Describe { topic, json },
            Command::Create(change) => {
                let (topic, settings, json) = change.into_parts();
                topics::Action::Create { topic, settings, json }
            }
            Command::Configure(change) => {
                let (topic, settings, json) = change.into_parts();
                topics::Action::Configure { topic, settings, json }
            }
            Command::Delete { topic } => topics::Action::Delete { topic },
            Command::Trim { topic, partition, before_offset } => {
                topics::Action::Trim { topic, partition, before_offset }
            }
        };
        (self.server.into(), action)
    }
}
