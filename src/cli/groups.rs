//! `tidegate groups`: looking at consumer groups, resetting and deleting them.

use std::str;

use serde::Deserialize;
use serde::Serialize;

use crate::cli::client::Client;
use crate::cli::client::Gateway;
use crate::cli::output::print;
use crate::cli::output::table;
use crate::cli::problem::CallError;
use crate::model::name::GroupName;
use crate::model::name::TopicName;
use crate::model::time::now;

/// What to do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Show all groups.
    List {
        /// The API's answers as they are, one a line, instead of a table.
        json: bool,
    },
    /// Show one group.
    Describe {
        /// The group.
        group: GroupName,
        /// The API's answer as it is, instead of tables.
        json: bool,
    },
    /// Set where a group goes on.
    Reset {
        /// The group.
        group: GroupName,
        /// Where to.
        reset: Reset,
    },
    /// Forget a group.
    Delete {
        /// The group.
        group: GroupName,
        /// Also while it has members.
        force: bool,
    },
}

/// A reset as the API takes it; either `to` or `offset` is given.
#[derive(Debug, Clone, Serialize)]
pub struct Reset {
    /// The topic.
    #[serde(serialize_with = "as_text")]
    pub topic: TopicName,
    /// Only this partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// A position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// An offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Only say what would come of it.
    pub dry_run: bool,
    /// Take partitions from the members that hold them.
    pub force: bool,
}

fn as_text<S: serde::Serializer>(name: &TopicName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

/// Does it, and prints what came of it.
///
/// # Errors
/// If the gateway refuses or does not answer, or standard output cannot be written.
pub async fn run(gateway: Gateway, action: Action) -> anyhow::Result<()> {
    let mut client = Client::new(gateway);
    match action {
        Action::List { json } => list(&mut client, json).await,
        Action::Describe { group, json } => describe(&mut client, &group, json).await,
        Action::Reset { group, reset } => {
            let body = client.put(&format!("/v1/groups/{group}/offsets"), &reset).await?;
            Ok(print(&reset_table(client.read(&body)?))?)
        }
        Action::Delete { group, force } => {
            let query = if force { "?force=true" } else { "" };
            Ok(client.delete(&format!("/v1/groups/{group}{query}")).await?)
        }
    }
}

#[derive(Deserialize)]
struct GroupList {
    groups: Vec<GroupSummary>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct GroupSummary {
    group: String,
    state: String,
    strategy: String,
    members: u64,
}

async fn list(client: &mut Client, json: bool) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut path = "/v1/groups?limit=1000".to_owned();
    loop {
        let body = client.get(&path).await?;
        let page: GroupList = client.read(&body)?;
        if json {
            print_as_it_is(&body)?;
        } else {
            rows.extend(page.groups.into_iter().map(|g| [g.group, g.state, g.members.to_string(), g.strategy]));
        }
        match page.next_page_token {
            // A token is of letters, digits, `-` and `_`.
            Some(token) => path = format!("/v1/groups?limit=1000&page_token={token}"),
            None => break,
        }
    }
    if !json {
        print(&table(["GROUP", "STATE", "MEMBERS", "STRATEGY"], &rows))?;
    }
    Ok(())
}

fn print_as_it_is(body: &[u8]) -> anyhow::Result<()> {
    let text = str::from_utf8(body)?;
    Ok(print(&format!("{}\n", text.trim_end()))?)
}

#[derive(Deserialize)]
struct Group {
    group: String,
    state: String,
    strategy: String,
    members: Vec<Member>,
    partitions: Vec<Partition>,
    lag: u64,
    lag_ms: u64,
}

#[derive(Deserialize)]
struct Member {
    member_id: String,
    epoch: u64,
    lease_ends_at: u64,
    assignments: Vec<Held>,
}

#[derive(Deserialize)]
struct Held {
    topic: String,
    partition: u32,
}

#[derive(Deserialize)]
struct Partition {
    topic: String,
    partition: u32,
    owner: Option<String>,
    next_offset: Option<u64>,
    high_watermark: u64,
    lag: u64,
    lag_ms: u64,
}

async fn describe(client: &mut Client, group: &GroupName, json: bool) -> anyhow::Result<()> {
    let body = client.get(&format!("/v1/groups/{group}")).await?;
    if json {
        return print_as_it_is(&body);
    }
    let group: Result<Group, CallError> = client.read(&body);
    Ok(print(&described(group?, now()))?)
}

/// A group in words and tables. Leases are measured by the clock of this machine, which reads `now`.
fn described(group: Group, now: u64) -> String {
    let Group { group, state, strategy, members, partitions, lag, lag_ms } = group;
    let mut out = format!("{group}: {state}, {strategy}\n\n");
    let members: Vec<_> = members
        .into_iter()
        .map(|member| {
            let lease_left = member.lease_ends_at.saturating_sub(now);
            [member.member_id, member.epoch.to_string(), seconds(lease_left), assignments(&member.assignments)]
        })
        .collect();
    out.push_str(&table(["MEMBER", "EPOCH", "LEASE LEFT", "ASSIGNMENTS"], &members));
    out.push('\n');
    let count = partitions.len();
    let partitions: Vec<_> = partitions
        .into_iter()
        .map(|partition| {
            let Partition { topic, partition, owner, next_offset, high_watermark, lag, lag_ms } = partition;
            let [partition, end, lag] = [partition.into(), high_watermark, lag].map(|number: u64| number.to_string());
            [topic, partition, or_dash(owner), or_dash(next_offset), end, lag, seconds(lag_ms)]
        })
        .collect();
    out.push_str(&table(["TOPIC", "PARTITION", "OWNER", "COMMITTED", "END", "LAG", "LAG AGE"], &partitions));
    out.push_str(&format!(
        "\ntotal: {}, {}, lag {}, the oldest {} old\n",
        counted(members.len() as u64, "member"),
        counted(count as u64, "partition"),
        counted(lag, "record"),
        seconds(lag_ms)
    ));
    out
}

/// `1 member`, `2 members`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `clicks/0-3,7 orders/1`, of a list in order.
fn assignments(held: &[Held]) -> String {
    let mut out = String::new();
    let mut i = 0;
    while i < held.len() {
        let first = i;
        while held
            .get(i + 1)
            .is_some_and(|next| next.topic == held[first].topic && next.partition == held[i].partition + 1)
        {
            i += 1;
        }
        let is_new = first == 0 || held[first - 1].topic != held[first].topic;
        let separator = if first == 0 {
            ""
        } else if is_new {
            " "
        } else {
            ","
        };
        out.push_str(separator);
        if is_new {
            out.push_str(&held[first].topic);
            out.push('/');
        }
        out.push_str(&held[first].partition.to_string());
        if i > first {
            out.push_str(&format!("-{}", held[i].partition));
        }
        i += 1;
    }
    if out.is_empty() { "-".to_owned() } else { out }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[derive(Deserialize)]
struct ResetAnswer {
    offsets: Vec<Moved>,
}

#[derive(Deserialize)]
struct Moved {
    topic: String,
    partition: u32,
    from_offset: Option<u64>,
    next_offset: u64,
}

fn reset_table(answer: ResetAnswer) -> String {
    let row = |moved: Moved| {
        [moved.topic, moved.partition.to_string(), or_dash(moved.from_offset), moved.next_offset.to_string()]
    };
    let rows: Vec<_> = answer.offsets.into_iter().map(row).collect();
    table(["TOPIC", "PARTITION", "FROM", "TO"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_partitions_are_drawn_together() {
        let held = |list: &[(&str, u32)]| {
            list.iter().map(|(topic, partition)| Held { topic: (*topic).to_owned(), partition: *partition }).collect()
        };
        let text = |list: &[(&str, u32)]| assignments(&Vec::from_iter::<Vec<Held>>(held(list)));
        assert_eq!(text(&[]), "-");
        assert_eq!(text(&[("a", 0)]), "a/0");
        assert_eq!(text(&[("a", 0), ("a", 1), ("a", 2), ("a", 5), ("b", 6)]), "a/0-2,5 b/6");
    }

    #[test]
    fn times_are_in_seconds() {
        assert_eq!(seconds(0), "0.0 s");
        assert_eq!(seconds(12_390), "12.3 s");
    }
}
