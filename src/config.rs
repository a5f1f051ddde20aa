//! Flags and environment, and nothing else that knows of them: each floor's options are filled here, with a sentence for
//! every value that cannot be. A flag wins over its environment variable, both over the default.

mod callers;
mod client;
mod client_produce;
mod client_topics;
mod jwt;
mod keys;
mod machine;
mod print;
mod telemetry_flags;
mod tls;

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use clap::Args;
use clap::CommandFactory;
use clap::FromArgMatches;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::error::ErrorKind;
use clap::value_parser;

use crate::access;
use crate::broker;
use crate::cli;
use crate::cli::backup;
use crate::cli::bench;
use crate::cli::client::Gateway;
use crate::cli::consume;
use crate::cli::doctor;
use crate::cli::groups;
use crate::cli::health;
use crate::cli::produce;
use crate::cli::topics;
use crate::config::callers::CallerFlags;
use crate::config::client::Consume;
use crate::config::client::Groups;
use crate::config::client_produce::Produce;
use crate::config::client_topics::Topics as TopicsCommand;
use crate::config::jwt::Jwt;
use crate::config::keys::Keys;
use crate::config::machine::Backup;
use crate::config::machine::Bench;
use crate::config::machine::Doctor;
use crate::config::telemetry_flags::Telemetry;
use crate::config::tls::TlsFlags;
use crate::http;
use crate::http::native;
use crate::http::origins::parse_origin;
use crate::log;
use crate::model::cursor::PARTITIONS_MAX;
use crate::model::limits::Limits;
use crate::model::permission::PermissionError;
use crate::model::secret::AdminKey;
use crate::model::secret::BadAdminKey;
use crate::model::topic::PARTITION_COUNT_MAX;
use crate::segments;
use crate::store;
use crate::telemetry;
use crate::telemetry::traces;
use crate::telemetry::traces::endpoint::EndpointError;

/// All there is to know before the node starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 picks one.
    pub listen: SocketAddr,
    /// Where the data is.
    pub store: store::Options,
    /// The files that history is read from.
    pub segments: segments::Options,
    /// How callers say who they are.
    pub access: access::Options,
    /// Whether it may listen beyond loopback while callers need not say who they are.
    pub insecure_no_auth: bool,
    /// How much the logs hold.
    pub log: log::Options,
    /// How the gateway behaves where callers leave it open.
    pub broker: broker::Options,
    /// How the native API behaves where its contract leaves it open.
    pub native: native::Options,
    /// How the gateway meets its clients.
    pub http: http::Options,
    /// What is logged, and how.
    pub telemetry: telemetry::Options,
    /// Where spans go.
    pub traces: traces::Options,
}

/// What the command line asks for.
#[derive(Debug, Clone)]
pub enum Invocation {
    /// Run the node.
    Serve(Box<Config>),
    /// Print what the node would run with.
    PrintConfig(String),
    /// Ask whether the node on this address is well.
    Health(health::Place),
    /// Print the OpenAPI document.
    OpenApi,
    /// See to the topics of the gateway there.
    Topics(Gateway, topics::Action),
    /// Write records.
    Produce(Box<produce::Options>),
    /// See to the consumer groups of the gateway there.
    Groups(Gateway, groups::Action),
    /// See to API keys.
    Keys(Box<cli::keys::Command>),
    /// Print records.
    Consume(Box<consume::Options>),
    /// Look whether the gateway has what it relies on.
    Doctor(Box<doctor::Options>),
    /// Measure.
    Bench(Box<bench::Options>),
    /// Copy the embedded database.
    Backup(backup::Options),
    /// Print what a shell needs to complete our command lines.
    Completions(Shell),
}

/// Reads the command line and the environment. Ends the process with a sentence if they cannot be, and with the help if
/// that is asked for.
pub fn from_command_line() -> Invocation {
    invocation(Cli::command().get_matches()).unwrap_or_else(|refusal| refusal.exit())
}

fn invocation(mut matches: ArgMatches) -> Result<Invocation, clap::Error> {
    let cli = Cli::from_arg_matches_mut(&mut matches.clone())?;
    let (serve, given) = match &cli.command {
        None => (Some(&cli.serve), matches),
        Some(Command::Serve(serve)) => {
            let (_, given) = matches.remove_subcommand().expect("the command was found in it");
            (Some(&**serve), given)
        }
        Some(_) => (None, matches),
    };
    let printed = serve.is_some_and(|serve| serve.print_config).then(|| print::render(&Cli::command(), &given));
    let invocation = cli.try_into()?;
    Ok(printed.map_or(invocation, Invocation::PrintConfig))
}

impl TryFrom<Cli> for Invocation {
    type Error = clap::Error;

    fn try_from(cli: Cli) -> Result<Self, clap::Error> {
        Ok(match cli.command {
            Some(Command::Serve(serve)) => Self::Serve(Box::new((*serve).try_into()?)),
            None => Self::Serve(Box::new(cli.serve.try_into()?)),
            Some(Command::Health { listen, tls_cert }) => {
                Self::Health(health::Place { listen, tls: tls_cert.is_some() })
            }
            Some(Command::Openapi) => Self::OpenApi,
            Some(Command::Topics(flags)) => {
                let (gateway, action) = flags.into_parts();
                Self::Topics(gateway, action)
            }
            Some(Command::Produce(flags)) => {
                let contradiction = |why| Cli::command().error(ErrorKind::ArgumentConflict, why);
                Self::Produce(Box::new(flags.into_options().map_err(contradiction)?))
            }
            Some(Command::Doctor(mut flags)) => {
                let postgres = database_url(flags.database_url.take())?;
                Self::Doctor(Box::new(flags.into_options(postgres)))
            }
            Some(Command::Bench(flags)) => {
                let nowhere = |why| Cli::command().error(ErrorKind::Io, format!("where is this program? {why}"));
                Self::Bench(Box::new(flags.into_options().map_err(nowhere)?))
            }
            Some(Command::Backup(flags)) => Self::Backup(flags.into()),
            Some(Command::Completions { shell }) => Self::Completions(shell),
            Some(Command::Groups(flags)) => {
                let (gateway, action) = flags.into_parts();
                Self::Groups(gateway, action)
            }
            Some(Command::Keys(mut flags)) => {
                let postgres = database_url(flags.take_database_url())?;
                let too_many = |why: PermissionError| Cli::command().error(ErrorKind::TooManyValues, why.to_string());
                Self::Keys(Box::new(flags.into_command(postgres).map_err(too_many)?))
            }
            Some(Command::Consume(flags)) => Self::Consume(Box::new((*flags).into())),
        })
    }
}

/// Reads the database's URL. Not while the flags are parsed: a flag that is refused there is shown with its value, and
/// this one may hold a password.
fn database_url(text: Option<String>) -> Result<Option<store::PostgresUrl>, clap::Error> {
    let refusal = |bad: store::BadPostgresUrl| {
        Cli::command().error(ErrorKind::ValueValidation, format!("--database-url cannot be used: {bad}"))
    };
    text.map(|text| text.parse().map_err(refusal)).transpose()
}

/// Lets a directory pass that can be the data's own. The root of all files is nobody's, and is what a variable that is
/// not set leaves of `$PLACE/`.
fn own_directory(directory: PathBuf) -> Result<PathBuf, clap::Error> {
    if directory.has_root() && directory.components().count() == 1 {
        let why = "--data-dir cannot be /: it is a directory of the gateway's own, such as /var/lib/tidegate";
        return Err(Cli::command().error(ErrorKind::ValueValidation, why));
    }
    Ok(directory)
}

/// Reads the operator's key; not while the flags are parsed, for the same reason.
fn admin_key(text: Option<String>) -> Result<Option<AdminKey>, clap::Error> {
    let refusal = |bad: BadAdminKey| {
        Cli::command().error(ErrorKind::ValueValidation, format!("--admin-key cannot be used: {bad}"))
    };
    text.map(|text| text.parse().map_err(refusal)).transpose()
}

/// Partitioned, durable, replayable event logs over plain HTTP.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    args_conflicts_with_subcommands = true,
    allow_negative_numbers = true,
    max_term_width = 110
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (also without any command)
    Serve(Box<Serve>),
    /// Ask the gateway on this machine whether it is well; exits with 0 if it is
    Health {
        /// Where it listens
        #[arg(long, env = "TIDEGATE_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Its certificate, if it has one: then it is asked over TLS
        #[arg(long, env = "TIDEGATE_TLS_CERT", value_name = "FILE")]
        tls_cert: Option<PathBuf>,
    },
    /// Print the OpenAPI document of the HTTP API
    Openapi,
    /// List, describe, create, configure, trim and delete topics
    Topics(TopicsCommand),
    /// Write records: lines of standard input, or a file
    Produce(Box<Produce>),
    /// List, describe, reset and delete consumer groups
    Groups(Groups),
    /// Make, list and delete API keys
    Keys(Box<Keys>),
    /// Print records as lines, alone or as a member of a consumer group
    Consume(Box<Consume>),
    /// Look whether the gateway has what it relies on: database, disk, limits, clock, and proxies before it
    Doctor(Box<Doctor>),
    /// Measure what a gateway does on this machine
    Bench(Bench),
    /// Copy the embedded database, also while the gateway runs
    Backup(Backup),
    /// Print a completion script for a shell, such as `tidegate completions bash > /etc/bash_completion.d/tidegate`
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
}

/// A shell that can complete command lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

/// The script that has a shell complete our command lines.
pub fn completions(shell: Shell) -> Vec<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tidegate", &mut script);
    script
}

#[derive(Debug, Args)]
struct Serve {
    /// Address to listen on; port 0 picks one, and the line `listening on http://ADDR` (https://ADDR with TLS) tells it
    #[arg(long, env = "TIDEGATE_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Print what the gateway would run with, as environment variables and without secrets, and end
    #[arg(long)]
    print_config: bool,
    #[command(flatten, next_help_heading = "Storage")]
    storage: Storage,
    #[command(flatten, next_help_heading = "Topics")]
    topics: Topics,
    #[command(flatten, next_help_heading = "Streams and caching")]
    streams: Streams,
    #[command(flatten, next_help_heading = "Browsers and names")]
    names: Names,
    #[command(flatten, next_help_heading = "Who may do what")]
    access: AccessFlags,
    #[command(flatten, next_help_heading = "JSON Web Tokens")]
    jwt: Jwt,
    #[command(flatten, next_help_heading = "TLS")]
    tls: TlsFlags,
    #[command(flatten, next_help_heading = "Limits of requests")]
    limits: LimitFlags,
    #[command(flatten, next_help_heading = "Limits of callers")]
    callers: CallerFlags,
    #[command(flatten, next_help_heading = "Connections")]
    connections: Connections,
    #[command(flatten, next_help_heading = "Logs, metrics and traces")]
    telemetry: Telemetry,
}

#[derive(Debug, Args)]
struct Storage {
    /// Directory of the data: tidegate.db, and segments/ which may be deleted at any time
    #[arg(long, env = "TIDEGATE_DATA_DIR", value_name = "DIR", default_value = "./tidegate-data")]
    data_dir: PathBuf,
    /// PostgreSQL database to use instead of SQLite, such as postgres://user:password@host/name?sslmode=verify-full;
    /// --data-dir then holds only segments/
    #[arg(long, env = "TIDEGATE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Files that history is read from, in bytes; 0 turns them off
    #[arg(long, env = "TIDEGATE_SEGMENT_CACHE_BYTES", value_name = "BYTES",
        default_value_t = segments::BYTES_MAX_DEFAULT)]
    segment_cache_bytes: u64,
    /// Free space on the disk that the segment files leave alone, in bytes
    #[arg(long, env = "TIDEGATE_SEGMENT_MIN_FREE_BYTES", value_name = "BYTES", default_value_t = 1 << 30)]
    segment_min_free_bytes: u64,
    /// Newest records of all topics kept in memory, in bytes
    #[arg(long, env = "TIDEGATE_TAIL_BYTES", value_name = "BYTES",
        default_value_t = log::Options::default().tail_bytes as u64, value_parser = value_parser!(u64).range(1 << 16..=1 << 40))]
    tail_bytes: u64,
    /// Records that wait for their commit, in bytes; beyond it a produce is refused as `overloaded`
    #[arg(long, env = "TIDEGATE_QUEUE_BYTES", value_name = "BYTES",
        default_value_t = log::Options::default().queue_bytes as u64, value_parser = value_parser!(u64).range(1 << 20..=1 << 31))]
    queue_bytes: u64,
    /// Consumer groups that there may be
    #[arg(long, env = "TIDEGATE_GROUPS_MAX", value_name = "N", default_value_t = store::GROUPS_MAX_DEFAULT,
        value_parser = value_parser!(u64).range(1..=10_000_000))]
    groups_max: u64,
    /// How large SQLite's write-ahead log may grow before producers wait for its checkpoint, in bytes
    #[arg(long, env = "TIDEGATE_WAL_BYTES", value_name = "BYTES", default_value_t = store::WAL_BYTES_MAX_DEFAULT,
        value_parser = value_parser!(u64).range(1 << 20..=1 << 40))]
    wal_bytes: u64,
    /// Connections to the database beside the one that writes records
    #[arg(long, env = "TIDEGATE_READERS", value_name = "N", default_value_t = store::READERS_DEFAULT,
        value_parser = value_parser!(u32).range(1..=64))]
    readers: u32,
    /// On PostgreSQL, connections that write records: so many flushes may be under way at once
    #[arg(long, env = "TIDEGATE_LANES", value_name = "N", default_value_t = store::LANES_DEFAULT,
        value_parser = value_parser!(u32).range(1..=64))]
    lanes: u32,
    /// How often retention looks for records to drop, in milliseconds
    #[arg(long, env = "TIDEGATE_RETENTION_CHECK_MS", value_name = "MS",
        default_value_t = ms(log::Options::default().retention_interval), value_parser = value_parser!(u64).range(10..=86_400_000))]
    retention_check_ms: u64,
    /// How long an Idempotency-Key is kept, in milliseconds
    #[arg(long, env = "TIDEGATE_IDEMPOTENCY_MS", value_name = "MS",
        default_value_t = log::Options::default().idempotency_ms, value_parser = value_parser!(u64).range(1_000..=31_536_000_000))]
    idempotency_ms: u64,
}

#[derive(Debug, Args)]
struct Topics {
    /// Whether the first produce to a topic makes it
    #[arg(long, env = "TIDEGATE_AUTO_CREATE_TOPICS", value_name = "BOOL", action = clap::ArgAction::Set,
        default_value_t = broker::Options::default().auto_create_topics, num_args = 0..=1, default_missing_value = "true")]
    auto_create_topics: bool,
    /// Partitions of a topic that names no number
    #[arg(long, env = "TIDEGATE_DEFAULT_PARTITIONS", value_name = "N",
        default_value_t = broker::Options::default().default_partitions, value_parser = value_parser!(u32).range(1..=i64::from(PARTITION_COUNT_MAX)))]
    default_partitions: u32,
}

#[derive(Debug, Args)]
struct Streams {
    /// Longest silence of a stream, in milliseconds: then a sign of life is sent
    #[arg(long, env = "TIDEGATE_HEARTBEAT_MS", value_name = "MS", default_value_t = ms(native::Options::default().heartbeat),
        value_parser = value_parser!(u64).range(10..=3_600_000))]
    heartbeat_ms: u64,
    /// How long clients may keep answers that never change, in milliseconds; 0 turns caching off
    #[arg(long, env = "TIDEGATE_CACHE_MAX_AGE_MS", value_name = "MS",
        default_value_t = ms(native::Options::default().cache_max_age))]
    cache_max_age_ms: u64,
}

#[derive(Debug, Args)]
#[allow(rustdoc::bare_urls)] // these comments are the help text
struct Names {
    /// A name that may stand in `Host`, beside loopback and the addresses listened on (repeatable, or comma-separated)
    #[arg(long, env = "TIDEGATE_ALLOWED_HOST", value_name = "NAME", value_delimiter = ',', value_parser = host_name)]
    allowed_host: Vec<String>,
    /// Where the gateway is found from outside, such as https://events.example.com: pages there are its own (repeatable)
    #[arg(long, env = "TIDEGATE_PUBLIC_URL", value_name = "URL", value_delimiter = ',', value_parser = parse_origin)]
    public_url: Vec<String>,
    /// Origin of other web pages that may use the gateway, such as https://app.example.com (repeatable)
    #[arg(long, env = "TIDEGATE_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = parse_origin)]
    cors_origin: Vec<String>,
}

#[derive(Debug, Args)]
struct AccessFlags {
    /// A key that may do everything, of at least 32 characters; better said by the variable, since others can see a command
    /// line. From then on every call needs a key, for good
    #[arg(long, env = "TIDEGATE_ADMIN_KEY", value_name = "KEY", hide_env_values = true)]
    admin_key: Option<String>,
    /// Listen on an address that others can reach although no call needs a key: whoever reaches it may do everything
    #[arg(long, env = "TIDEGATE_INSECURE_NO_AUTH", value_name = "BOOL", action = clap::ArgAction::Set,
        default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    insecure_no_auth: bool,
    /// Bad credentials that one address may show in a minute, good ones apart; beyond it, it is told to wait
    #[arg(long, env = "TIDEGATE_ADDRESS_AUTH_FAILURES_PER_MINUTE", value_name = "N", default_value_t = access::FAILURES_PER_MINUTE,
        value_parser = clap::value_parser!(u32).range(1..))]
    address_auth_failures_per_minute: u32,
}

/// Sizes at most 1 GiB: beyond, one request could take all the memory there is.
const BYTES_MAX: u64 = 1 << 30;
/// The parts of a request's head must fit into the 64 KiB that are read of it at all (and 100 headers, hyper's bound).
const HEAD_BYTES_MAX: u64 = 60 << 10;

#[derive(Debug, Args)]
struct LimitFlags {
    /// Key, headers and value of one record together, in bytes
    #[arg(long, env = "TIDEGATE_RECORD_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().record_bytes as u64,
        value_parser = value_parser!(u64).range(1..=BYTES_MAX))]
    record_bytes_max: u64,
    /// Body of one request, in bytes (a streamed NDJSON has no bound)
    #[arg(long, env = "TIDEGATE_REQUEST_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().request_bytes as u64,
        value_parser = value_parser!(u64).range(1..=BYTES_MAX))]
    request_bytes_max: u64,
    /// Bodies of all requests under way together, in bytes; beyond it a request is refused as `overloaded`. One caller may
    /// hold a quarter of it, and two of the largest requests in any case
    #[arg(long, env = "TIDEGATE_BODIES_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().bodies_bytes as u64,
        value_parser = value_parser!(u64).range(1 << 20..=1 << 40))]
    bodies_bytes_max: u64,
    /// Records in one request
    #[arg(long, env = "TIDEGATE_REQUEST_RECORDS_MAX", value_name = "N", default_value_t = Limits::default().request_records as u64,
        value_parser = value_parser!(u64).range(1..=1_000_000))]
    request_records_max: u64,
    /// Key of a record, in bytes
    #[arg(long, env = "TIDEGATE_KEY_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().key_bytes as u64,
        value_parser = value_parser!(u64).range(1..=1 << 20))]
    key_bytes_max: u64,
    /// Headers of one record
    #[arg(long, env = "TIDEGATE_RECORD_HEADERS_MAX", value_name = "N", default_value_t = Limits::default().record_headers as u64,
        value_parser = value_parser!(u64).range(0..=10_000))]
    record_headers_max: u64,
    /// Names and values of one record's headers together, in bytes
    #[arg(long, env = "TIDEGATE_RECORD_HEADER_BYTES_MAX", value_name = "BYTES",
        default_value_t = Limits::default().record_header_bytes as u64, value_parser = value_parser!(u64).range(0..=1 << 20))]
    record_header_bytes_max: u64,
    /// Levels of arrays and objects in a JSON value
    #[arg(long, env = "TIDEGATE_JSON_DEPTH_MAX", value_name = "N", default_value_t = Limits::default().json_depth as u64,
        value_parser = value_parser!(u64).range(1..=127))]
    json_depth_max: u64,
    /// Records in one answer
    #[arg(long, env = "TIDEGATE_MAX_RECORDS", value_name = "N", default_value_t = Limits::default().max_records as u64,
        value_parser = value_parser!(u64).range(1..=1_000_000))]
    max_records: u64,
    /// Records of one answer together, in bytes
    #[arg(long, env = "TIDEGATE_MAX_BYTES", value_name = "BYTES", default_value_t = Limits::default().max_bytes as u64,
        value_parser = value_parser!(u64).range(1..=BYTES_MAX))]
    max_bytes: u64,
    /// Longest wait of a long poll, in milliseconds
    #[arg(long, env = "TIDEGATE_WAIT_MS_MAX", value_name = "MS", default_value_t = Limits::default().wait_ms,
        value_parser = value_parser!(u64).range(0..=900_000))]
    wait_ms_max: u64,
    /// Partitions of all topics together
    #[arg(long, env = "TIDEGATE_PARTITIONS_MAX", value_name = "N", default_value_t = Limits::default().partitions,
        value_parser = value_parser!(u64).range(1..=100_000_000))]
    partitions_max: u64,
    /// Partitions that one read may cover
    #[arg(long, env = "TIDEGATE_READ_PARTITIONS_MAX", value_name = "N", default_value_t = Limits::default().read_partitions as u64,
        value_parser = value_parser!(u64).range(1..=PARTITIONS_MAX as u64))]
    read_partitions_max: u64,
    /// Path and query of a request, in bytes
    #[arg(long, env = "TIDEGATE_URI_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().uri_bytes as u64,
        value_parser = value_parser!(u64).range(1_024..=HEAD_BYTES_MAX))]
    uri_bytes_max: u64,
    /// One request header, name and value, in bytes
    #[arg(long, env = "TIDEGATE_HEADER_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().header_bytes as u64,
        value_parser = value_parser!(u64).range(1_024..=HEAD_BYTES_MAX))]
    header_bytes_max: u64,
    /// All headers of a request together, in bytes
    #[arg(long, env = "TIDEGATE_HEADERS_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().headers_bytes as u64,
        value_parser = value_parser!(u64).range(1_024..=HEAD_BYTES_MAX))]
    headers_bytes_max: u64,
    /// How many headers of a request
    #[arg(long, env = "TIDEGATE_HEADERS_MAX", value_name = "N", default_value_t = Limits::default().headers as u64,
        value_parser = value_parser!(u64).range(8..=100))]
    headers_max: u64,
}

#[derive(Debug, Args)]
struct Connections {
    /// Connections at once; beyond it new ones wait
    #[arg(long, env = "TIDEGATE_CONNECTIONS_MAX", value_name = "N",
        default_value_t = http::server::Options::default().connections_max as u64,
        value_parser = value_parser!(u64).range(1..=10_000_000))]
    connections_max: u64,
    /// How long the head of a request may take, and before it the TLS handshake, in milliseconds
    #[arg(long, env = "TIDEGATE_HEADER_READ_MS_MAX", value_name = "MS",
        default_value_t = ms(http::server::Options::default().header_read_max),
        value_parser = value_parser!(u64).range(100..=3_600_000))]
    header_read_ms_max: u64,
    /// How long a connection may be silent between requests, in milliseconds
    #[arg(long, env = "TIDEGATE_IDLE_MS_MAX", value_name = "MS",
        default_value_t = ms(http::server::Options::default().idle_max),
        value_parser = value_parser!(u64).range(100..=3_600_000))]
    idle_ms_max: u64,
    /// How long a client may read nothing while there is something to read, in milliseconds
    #[arg(long, env = "TIDEGATE_WRITE_STALL_MS_MAX", value_name = "MS",
        default_value_t = ms(http::server::Options::default().write_stall_max),
        value_parser = value_parser!(u64).range(100..=3_600_000))]
    write_stall_ms_max: u64,
    /// Requests at once on one HTTP/2 connection
    #[arg(long, env = "TIDEGATE_HTTP2_STREAMS_MAX", value_name = "N",
        default_value_t = http::server::Options::default().http2_streams_max,
        value_parser = value_parser!(u32).range(1..=100_000))]
    http2_streams_max: u32,
    /// How long requests under way may take when the gateway shuts down, in milliseconds
    #[arg(long, env = "TIDEGATE_DRAIN_MS_MAX", value_name = "MS",
        default_value_t = ms(http::server::Options::default().drain_max),
        value_parser = value_parser!(u64).range(0..=3_600_000))]
    drain_ms_max: u64,
}

impl TryFrom<Serve> for Config {
    type Error = clap::Error;

    fn try_from(serve: Serve) -> Result<Self, clap::Error> {
        let lag_partitions = count(serve.telemetry.metrics_lag_partitions);
        let bad_endpoint = |why: EndpointError| {
            Cli::command().error(ErrorKind::ValueValidation, format!("--otlp-endpoint cannot be used: {why}"))
        };
        let (telemetry, traces) = serve.telemetry.into_options().map_err(bad_endpoint)?;
        let limits = Limits::from(serve.limits);
        let mut storage = serve.storage;
        storage.data_dir = own_directory(storage.data_dir)?;
        Ok(Self {
            listen: serve.listen,
            segments: segments::Options {
                dir: storage.data_dir.join("segments"),
                bytes_max: storage.segment_cache_bytes,
                min_free_bytes: storage.segment_min_free_bytes,
            },
            store: store::Options {
                data_dir: storage.data_dir,
                postgres: database_url(storage.database_url)?,
                partitions_max: limits.partitions,
                groups_max: storage.groups_max,
                idempotency_ms: storage.idempotency_ms,
                wal_bytes_max: storage.wal_bytes,
                readers: storage.readers,
                lanes: storage.lanes,
            },
            access: access::Options {
                admin_key: admin_key(serve.access.admin_key)?,
                jwt: serve.jwt.options().map_err(|why| Cli::command().error(ErrorKind::ValueValidation, why))?,
                failures_per_minute: serve.access.address_auth_failures_per_minute,
            },
            insecure_no_auth: serve.access.insecure_no_auth,
            log: log::Options {
                queue_bytes: count(storage.queue_bytes),
                tail_bytes: count(storage.tail_bytes),
                retention_interval: Duration::from_millis(storage.retention_check_ms),
                idempotency_ms: storage.idempotency_ms,
            },
            broker: broker::Options {
                auto_create_topics: serve.topics.auto_create_topics,
                default_partitions: serve.topics.default_partitions,
                lag_partitions,
            },
            native: native::Options {
                heartbeat: Duration::from_millis(serve.streams.heartbeat_ms),
                cache_max_age: Duration::from_millis(serve.streams.cache_max_age_ms),
            },
            http: http::Options {
                allowed_hosts: serve.names.allowed_host,
                public_urls: serve.names.public_url,
                cors_origins: serve.names.cors_origin,
                limits,
                limiter: serve.callers.into(),
                server: serve.connections.into(),
                tls: serve.tls.into(),
            },
            telemetry,
            traces,
        })
    }
}

impl From<LimitFlags> for Limits {
    fn from(flags: LimitFlags) -> Self {
        Self {
            record_bytes: count(flags.record_bytes_max),
            request_bytes: count(flags.request_bytes_max),
            bodies_bytes: count(flags.bodies_bytes_max),
            request_records: count(flags.request_records_max),
            key_bytes: count(flags.key_bytes_max),
            record_headers: count(flags.record_headers_max),
            record_header_bytes: count(flags.record_header_bytes_max),
            json_depth: count(flags.json_depth_max),
            max_records: count(flags.max_records),
            max_bytes: count(flags.max_bytes),
            wait_ms: flags.wait_ms_max,
            read_partitions: count(flags.read_partitions_max),
            partitions: flags.partitions_max,
            uri_bytes: count(flags.uri_bytes_max),
            header_bytes: count(flags.header_bytes_max),
            headers_bytes: count(flags.headers_bytes_max),
            headers: count(flags.headers_max),
        }
    }
}

impl From<Connections> for http::server::Options {
    fn from(flags: Connections) -> Self {
        Self {
            connections_max: count(flags.connections_max),
            header_read_max: Duration::from_millis(flags.header_read_ms_max),
            idle_max: Duration::from_millis(flags.idle_ms_max),
            write_stall_max: Duration::from_millis(flags.write_stall_ms_max),
            http2_streams_max: flags.http2_streams_max,
            drain_max: Duration::from_millis(flags.drain_ms_max),
        }
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).expect("the parser's bound fits")
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a default is short")
}

/// A name as it may stand in `Host`, without a port.
fn host_name(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let is_address = bare.parse::<IpAddr>().is_ok();
    let is_name = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    match (is_address, is_name) {
        (true, _) if bare.parse::<Ipv4Addr>().is_ok() => Ok(bare.to_owned()),
        (true, _) => Ok(format!("[{bare}]")),
        (false, true) => Ok(text.to_owned()),
        (false, false) => {
            Err(format!("`{text}` is not a host name: letters, digits, `.`, `-` and `_`, without a port"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Config, clap::Error> {
        match invocation(Cli::command().try_get_matches_from([&["tidegate"], line].concat())?)? {
            Invocation::Serve(config) => Ok(*config),
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default() {
        for line in [&["--listen", "127.0.0.1:0"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            assert_eq!(parse(line).expect("good").listen.port(), 0);
        }
    }

    #[test]
    fn defaults_are_those_of_the_floors() {
        let config = parse(&[]).expect("good");
        assert_eq!(config.http.limits, Limits::default());
        assert_eq!(config.http.server.idle_max, http::server::Options::default().idle_max);
    }

    #[test]
    fn bad_values_are_refused() {
        for line in [
            &["--listen", "8080"][..],
            &["--cors-origin", "*"],
            &["--cors-origin", "null"],
            &["--allowed-host", "a:80"],
            &["--record-bytes-max", "0"],
            &["--idle-ms-max", "-1"],
            &["--address-requests-per-s", "0"],
            &["--trusted-proxy", "10.0.0.1/8"],
            &["--tls-cert", "cert.pem"],
            &["--tls-key", "key.pem"],
            &["--database-url", "mysql://host/name"],
            &["--database-url", "postgres://host:port/name"],
            &["--database-url", "host=here user=me"],
            &["--admin-key", "short"],
            &["--otlp-endpoint", "https://collector"],
            &["--trace-ratio", "1.1"],
            &["--trace-ratio", "NaN"],
            &["--nonsense"],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn the_password_of_a_collector_is_not_shown() {
        let refused = parse(&["--otlp-endpoint", "http://u:SECRET@host"]).expect_err("no place for a password");
        let told = refused.to_string();
        assert!(told.contains("--otlp-endpoint") && !told.contains("SECRET"), "{told}");
    }

    #[test]
    fn a_database_url_is_never_shown() {
        let good = parse(&["--database-url", "postgresql://me:hush@host/name?sslmode=require"]).expect("good");
        assert!(good.store.postgres.is_some() && !format!("{good:?}").contains("hush"));
        for bad in ["postgres://me:hush@host:port/name", "mysql://me:hush@host/name"] {
            let refusal = parse(&["--database-url", bad]).expect_err("refused").to_string();
            assert!(refusal.contains("postgres://user:password@host") && !refusal.contains("hush"), "{refusal}");
        }
        assert_eq!(parse(&[]).expect("good").store.postgres, None);
    }

    #[test]
    fn the_root_of_all_files_is_no_place_for_data() {
        for root in ["/", "//", "/."] {
            let refusal = parse(&["--data-dir", root]).expect_err("refused").to_string();
            assert!(refusal.contains("/var/lib/tidegate"), "{root}: {refusal}");
        }
        for good in ["/data", ".", "..", "data/"] {
            assert_eq!(parse(&["--data-dir", good]).expect("good").store.data_dir, PathBuf::from(good));
        }
    }

    #[test]
    fn an_admin_key_is_never_shown() {
        let good = "correct.horse.battery.staple.1975";
        let config = parse(&["--admin-key", good]).expect("good");
        assert!(config.access.admin_key.is_some_and(|key| key.is(good)) && !format!("{config:?}").contains(good));
        let refusal = parse(&["--admin-key", "not.long.enough"]).expect_err("refused").to_string();
        assert!(refusal.contains("at least 32") && !refusal.contains("not.long.enough"), "{refusal}");
    }

    #[test]
    fn the_configuration_is_printed_without_secrets_and_can_be_used_again() {
        let url = "postgres://me:hush@host/name";
        for line in [
            &["--print-config", "--database-url", url, "--allowed-host", "a,b", "--lanes", "7"][..],
            &[
                "serve",
                "--database-url",
                url,
                "--allowed-host",
                "a",
                "--allowed-host",
                "b",
                "--lanes=7",
                "--print-config",
            ],
        ] {
            let matches = Cli::command().try_get_matches_from([&["tidegate"], line].concat()).expect("good");
            let Ok(Invocation::PrintConfig(text)) = invocation(matches) else { panic!("{line:?}") };
            let set: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(set, ["TIDEGATE_LANES=7", "TIDEGATE_ALLOWED_HOST=a,b"], "{text}");
            assert!(
                text.contains("\n#TIDEGATE_LISTEN=127.0.0.1:8080\n") && text.contains("\n#TIDEGATE_CORS_ORIGIN=\n")
            );
            assert!(text.contains("#TIDEGATE_DATABASE_URL=(set, and not shown)") && !text.contains("hush"), "{text}");
        }
        let bad = Cli::command().try_get_matches_from(["tidegate", "--print-config", "--database-url", "mysql://x"]);
        assert!(invocation(bad.expect("it parses")).is_err(), "what cannot be is refused all the same");
    }

    #[test]
    fn every_flag_has_a_variable() {
        for argument in Cli::command()
            .get_arguments()
            .filter(|a| !matches!(a.get_id().as_str(), "help" | "version" | "print_config"))
        {
            let name = argument.get_long().expect("a long flag").to_uppercase().replace('-', "_");
            let variable = argument.get_env().and_then(|v| v.to_str()).expect("a variable");
            // These have names that every program shares that makes spans.
            let shared = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME"].contains(&variable);
            assert!(shared || variable == format!("TIDEGATE_{name}"), "{variable} for {name}");
        }
    }
}
