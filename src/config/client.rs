//! The flags of the commands that are clients of a gateway.

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use clap::value_parser;

use crate::cli::client::Gateway;
use crate::cli::consume;
use crate::cli::groups;
use crate::cli::member;
use crate::cli::page;
use crate::cli::url::ServerUrl;
use crate::model::group::LEASE_MS;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::name::NAME_BYTES_MAX;
use crate::model::name::TopicName;
use crate::model::position::Position;

/// What the exit status of a client command says.
const EXIT_STATUS: &str = "Exit status:\n  \
    0  done; also when it was ended by Ctrl-C, SIGTERM, or a reader that closed standard output\n  \
    1  the gateway refused or did not answer; one sentence on standard error says why\n  \
    2  the command line is wrong";

/// The gateway that is spoken to.
#[derive(Debug, Args)]
#[allow(rustdoc::bare_urls)] // these comments are the help text
struct Server {
    /// The gateway; only http:// URLs
    #[arg(long, env = "TIDEGATE_URL", value_name = "URL", default_value = "http://127.0.0.1:8080", global = true)]
    url: ServerUrl,
    /// The key to call it with; better said by the variable, since others can see a command line
    #[arg(long, env = "TIDEGATE_KEY", value_name = "KEY", hide_env_values = true, global = true)]
    key: Option<String>,
}

impl From<Server> for Gateway {
    fn from(Server { url, key }: Server) -> Self {
        Self { url, key }
    }
}

/// `tidegate groups`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(super) struct Groups {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: GroupsCommand,
}

#[derive(Debug, Subcommand)]
enum GroupsCommand {
    /// List groups: state, members whose lease runs, how partitions are shared out
    #[command(after_help = EXIT_STATUS)]
    List {
        /// Print the API's answers as they are, a page a line
        #[arg(long)]
        json: bool,
    },
    /// Show a group: its members and their leases, who holds which partition, what is committed and how far behind it is
    #[command(after_help = EXIT_STATUS)]
    Describe {
        /// The group
        #[arg(value_name = "GROUP")]
        group: GroupName,
        /// Print the API's answer as it is
        #[arg(long)]
        json: bool,
    },
    /// Set where a group goes on in a topic, and print what changed; a group that does not exist is made
    #[command(after_help = EXIT_STATUS)]
    Reset(ResetFlags),
    /// Delete a group with all that it has committed
    #[command(after_help = EXIT_STATUS)]
    Delete {
        /// The group
        #[arg(value_name = "GROUP")]
        group: GroupName,
        /// Also while it has members: their next call is refused
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
struct ResetFlags {
    /// The group
    #[arg(value_name = "GROUP")]
    group: GroupName,
    /// The topic
    #[arg(long, value_name = "TOPIC")]
    topic: TopicName,
    /// Only this partition; all of the topic without it
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(0..=i64::from(i32::MAX)))]
    partition: Option<u32>,
    /// `earliest`, `latest`, -N (N records before the end), an RFC 3339 time, or milliseconds since 1970
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true, value_parser = position,
        required_unless_present = "offset", conflicts_with = "offset")]
    to: Option<String>,
    /// The offset of the next record to read, instead of --to
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(0..1 << 53))]
    offset: Option<u64>,
    /// Only print what would change
    #[arg(long)]
    dry_run: bool,
    /// Also take partitions from members that hold them: their next call is told
    #[arg(long)]
    force: bool,
}

impl Groups {
    /// The gateway, and what to do there.
    pub(super) fn into_parts(self) -> (Gateway, groups::Action) {
        let action = match self.command {
            GroupsCommand::List { json } => groups::Action::List { json },
            GroupsCommand::Describe { group, json } => groups::Action::Describe { group, json },
            GroupsCommand::Delete { group, force } => groups::Action::Delete { group, force },
            GroupsCommand::Reset(flags) => {
                let ResetFlags { group, topic, partition, to, offset, dry_run, force } = flags;
                let reset = groups::Reset { topic, partition, to, offset, dry_run, force };
                groups::Action::Reset { group, reset }
            }
        };
        (self.server.into(), action)
    }
}

/// How a record is committed, for those who read the help.
const ABOUT_GROUPS: &str = "With --group the command is a member of a consumer group: it shares the partitions with the \
    other members, commits a page once all of it is written, and leaves when it ends. A record that was printed may come \
    again after a crash or a lost lease; none is skipped. What a reader took and threw away counts as printed: for the \
    first N records say --max N rather than `| head`.";

/// `tidegate consume`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS, after_long_help = format!("{ABOUT_GROUPS}\n\n{EXIT_STATUS}"))]
pub(super) struct Consume {
    #[command(flatten)]
    server: Server,
    /// A topic to read (repeatable)
    #[arg(long, value_name = "TOPIC", required_unless_present = "topic_prefix", conflicts_with = "topic_prefix")]
    topic: Vec<TopicName>,
    /// All topics whose names begin so, now and later; with --group
    #[arg(long, value_name = "PREFIX", requires = "group", value_parser = prefix)]
    topic_prefix: Option<String>,
    /// Read as a member of this consumer group; without it, alone and without committing
    #[arg(long, value_name = "GROUP")]
    group: Option<GroupName>,
    /// The member's name: another run of that name is taken over from; without it a name is made
    #[arg(long, value_name = "NAME", requires = "group")]
    member: Option<MemberName>,
    /// Where to begin (in a group: where it has committed nothing): `earliest` (the default), `latest`, -N (N records before
    /// the end of each partition), an RFC 3339 time, or milliseconds since 1970
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true, value_parser = position)]
    from: Option<String>,
    /// What a line is
    #[arg(long, value_enum, default_value_t = LineFormat::Json)]
    format: LineFormat,
    /// End after N records
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Wait for more records at the end instead of ending there
    #[arg(long)]
    follow: bool,
    /// How long the member may be silent before others get its partitions, in milliseconds [default: 10000]
    #[arg(long, value_name = "MS", requires = "group",
        value_parser = value_parser!(u64).range(*LEASE_MS.start()..=*LEASE_MS.end()))]
    lease_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LineFormat {
    /// The record as a JSON object
    Json,
    /// Its value alone: bytes as a base64 string, a tombstone as null
    Values,
}

impl From<Consume> for consume::Options {
    fn from(flags: Consume) -> Self {
        let Consume { server, topic, topic_prefix, group, member, from, format, max, follow, lease_ms } = flags;
        let source = match group {
            None => consume::Source::Topics { topics: topic, from },
            Some(group) => {
                let topics = topic_prefix.map_or(member::Topics::Named(topic), member::Topics::Prefix);
                consume::Source::Group(Box::new(member::Terms { group, member, topics, from, lease_ms }))
            }
        };
        let format = match format {
            LineFormat::Json => page::Format::Json,
            LineFormat::Values => page::Format::Values,
        };
        Self { gateway: server.into(), source, format, max, follow }
    }
}

/// Checks a position, and leaves it as it is written: the gateway reads it.
fn position(text: &str) -> Result<String, String> {
    text.parse::<Position>().map(|_| text.to_owned()).map_err(|why| why.to_string())
}

/// The beginning of a name.
fn prefix(text: &str) -> Result<String, String> {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if text.len() <= NAME_BYTES_MAX && text.bytes().all(alphabet) {
        Ok(text.to_owned())
    } else {
        Err(format!("the beginning of a topic's name is at most {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -"))
    }
}
