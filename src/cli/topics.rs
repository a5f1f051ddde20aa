//! `tidegate topics`: looking at topics, making, changing, trimming and deleting them.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::client::Gateway;
use crate::cli::output::print;
use crate::cli::output::print_as_it_is;
use crate::cli::output::table;
use crate::cli::problem::CallError;
use crate::model::name::TopicName;

/// What to do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Show topics.
    List {
        /// Only those whose names begin so; empty for all.
        prefix: String,
        /// The API's answers as they are, one a line, instead of a table.
        json: bool,
    },
    /// Show one topic.
    Describe {
        /// The topic.
        topic: TopicName,
        /// The API's answer as it is, instead of a table.
        json: bool,
    },
    /// Make a topic, or find that it is there with these settings.
    Create {
        /// The topic.
        topic: TopicName,
        /// What is said of it.
        settings: Settings,
        /// The API's answer as it is, instead of a table.
        json: bool,
    },
    /// Change a topic.
    Configure {
        /// The topic.
        topic: TopicName,
        /// What changes.
        settings: Settings,
        /// The API's answer as it is, instead of a table.
        json: bool,
    },
    /// Delete a topic with all its records.
    Delete {
        /// The topic.
        topic: TopicName,
    },
    /// Delete the oldest records of a partition.
    Trim {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: u32,
        /// The first offset to keep.
        before_offset: u64,
    },
}

/// Settings as the API takes them. What is absent is left to the gateway, or as it is; `null` is the gateway's default.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Settings {
    /// How many partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_count: Option<u32>,
    /// How long records are kept, in milliseconds; -1 for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<Value>,
    /// How many bytes each partition keeps at least; -1 sets no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_bytes: Option<Value>,
}

/// Does it, and prints what came of it.
///
/// # Errors
/// If the gateway refuses or does not answer, or standard output cannot be written.
pub async fn run(gateway: Gateway, action: Action) -> anyhow::Result<()> {
    let mut client = Client::new(gateway);
    let (body, json) = match action {
        Action::List { prefix, json } => return list(&mut client, &prefix, json).await,
        Action::Describe { topic, json } => return describe(&mut client, &topic, json).await,
        Action::Create { topic, settings, json } => {
            let made = client.put(&format!("/v1/topics/{topic}"), &settings).await;
            (made.map_err(|error| in_other_words(error, &topic))?, json)
        }
        Action::Configure { topic, settings, json } => {
            (client.patch(&format!("/v1/topics/{topic}"), &settings).await?, json)
        }
        Action::Delete { topic } => return Ok(client.delete(&format!("/v1/topics/{topic}")).await.map(drop)?),
        Action::Trim { topic, partition, before_offset } => {
            let path = format!("/v1/topics/{topic}/partitions/{partition}/records?before_offset={before_offset}");
            let body = client.delete(&path).await?;
            let trimmed: Trimmed = client.read(&body)?;
            return Ok(print(&format!("the log begins at offset {}\n", trimmed.log_start_offset))?);
        }
    };
    if json {
        return print_as_it_is(&body);
    }
    let topic: Topic = client.read(&body)?;
    Ok(print(&table(TITLES, &[topic.row()]))?)
}

/// The gateway's sentence names calls of its API; here there are commands.
fn in_other_words(mut error: CallError, topic: &TopicName) -> CallError {
    if let CallError::Refused(problem) = &mut error
        && problem.body.code == "topic_exists"
    {
        problem.body.detail = format!(
            "Topic `{topic}` exists with other settings: `tidegate topics describe {topic}` shows it, `tidegate topics \
             configure {topic}` changes it."
        );
    }
    error
}

const TITLES: [&str; 4] = ["TOPIC", "PARTITIONS", "KEPT FOR", "KEPT BYTES"];

#[derive(Deserialize)]
struct Trimmed {
    log_start_offset: u64,
}

#[derive(Deserialize)]
struct Topic {
    topic: String,
    partition_count: u32,
    retention_ms: i64,
    retention_bytes: i64,
    #[serde(default)]
    partitions: Vec<Partition>,
}

#[derive(Deserialize)]
struct Partition {
    partition: u32,
    log_start_offset: u64,
    high_watermark: u64,
    records: u64,
    bytes: u64,
}

impl Topic {
    fn row(&self) -> [String; 4] {
        [self.topic.clone(), self.partition_count.to_string(), self.kept_for(), self.kept_bytes()]
    }

    fn kept_for(&self) -> String {
        u64::try_from(self.retention_ms).map_or_else(|_| "ever".to_owned(), duration)
    }

    fn kept_bytes(&self) -> String {
        u64::try_from(self.retention_bytes).map_or_else(|_| "all".to_owned(), |bytes| bytes.to_string())
    }
}

#[derive(Deserialize)]
struct TopicList {
    topics: Vec<Topic>,
    next_page_token: Option<String>,
}

async fn list(client: &mut Client, prefix: &str, json: bool) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let first = format!("/v1/topics?limit=1000&prefix={prefix}");
    let mut path = first.clone();
    loop {
        let body = client.get(&path).await?;
        let page: TopicList = client.read(&body)?;
        if json {
            print_as_it_is(&body)?;
        } else {
            rows.extend(page.topics.iter().map(Topic::row));
        }
        match page.next_page_token {
            // A token is of letters, digits, `-` and `_`.
            Some(token) => path = format!("{first}&page_token={token}"),
            None => break,
        }
    }
    if !json {
        print(&table(TITLES, &rows))?;
    }
    Ok(())
}

async fn describe(client: &mut Client, topic: &TopicName, json: bool) -> anyhow::Result<()> {
    let body = client.get(&format!("/v1/topics/{topic}")).await?;
    if json {
        return print_as_it_is(&body);
    }
    let topic: Topic = client.read(&body)?;
    let row = |p: &Partition| {
        let numbers = [u64::from(p.partition), p.log_start_offset, p.high_watermark, p.records, p.bytes];
        numbers.map(|number| number.to_string())
    };
    let rows: Vec<_> = topic.partitions.iter().map(row).collect();
    let (records, bytes) = topic.partitions.iter().fold((0, 0), |(r, b), p| (r + p.records, b + p.bytes));
    Ok(print(&format!(
        "{}: kept for {}, {} bytes a partition\n\n{}\ntotal: {records} records, {bytes} bytes\n",
        topic.topic,
        topic.kept_for(),
        topic.kept_bytes(),
        table(["PARTITION", "START", "END", "RECORDS", "BYTES"], &rows)
    ))?)
}

/// The largest unit that tells it whole.
fn duration(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    match units.into_iter().find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", ms / unit),
        None => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_whole() {
        for (ms, text) in [(604_800_000, "7 d"), (5_400_000, "90 min"), (0, "0 ms"), (1500, "1500 ms"), (2000, "2 s")] {
            assert_eq!(duration(ms), text);
        }
    }
}
