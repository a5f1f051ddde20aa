//! The flags of `tidegate keys`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;

use crate::access::keys::NewKey;
use crate::cli::client::Gateway;
use crate::cli::keys;
use crate::cli::url::ServerUrl;
use crate::model::key::KeyLimits;
use crate::model::key::KeyName;
use crate::model::limits::INTEGER_MAX;
use crate::model::permission::Pattern;
use crate::model::permission::Permission;
use crate::model::permission::PermissionError;
use crate::model::permission::Rights;
use crate::model::permission::Verb;
use crate::model::position::Position;
use crate::model::secret::KeyId;
use crate::model::time::Millis;
use crate::store;
use crate::store::PostgresUrl;

/// How keys are reached, for those who read the help.
const ABOUT_KEYS: &str = "With --url (or TIDEGATE_URL) the command asks the gateway there, with --key (or TIDEGATE_KEY). \
    Without it, it works on the database itself: that of --data-dir, which no running gateway may have, or that of \
    --database-url, beside any number of them. So the first key can be made before the gateway is started.";

/// `tidegate keys`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_KEYS)]
pub(super) struct Keys {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Args)]
#[allow(rustdoc::bare_urls)] // these comments are the help text
struct Place {
    /// The gateway to ask, an http:// or https:// URL
    #[arg(long, env = "TIDEGATE_URL", value_name = "URL", global = true)]
    url: Option<ServerUrl>,
    /// The key to call it with; better said by the variable, since others can see a command line
    #[arg(long, env = "TIDEGATE_KEY", value_name = "KEY", hide_env_values = true, global = true)]
    key: Option<String>,
    /// Directory of the database, where no gateway is asked
    #[arg(long, env = "TIDEGATE_DATA_DIR", value_name = "DIR", default_value = "./tidegate-data", global = true)]
    data_dir: PathBuf,
    /// PostgreSQL database to use instead
    #[arg(long, env = "TIDEGATE_DATABASE_URL", value_name = "URL", hide_env_values = true, global = true)]
    database_url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key and print it: this once, it is kept nowhere. The first one must allow 'admin:*'
    Create {
        /// What people call it
        #[arg(long, value_name = "NAME")]
        name: KeyName,
        /// What it allows (repeatable): VERB:TOPIC or VERB:TOPIC:GROUP, of which TOPIC and GROUP are a name or the beginning
        /// of names and `*`, and VERB is produce, consume, admin, or metrics alone. 'admin:*' is everything, groups too
        #[arg(long, value_name = "PERMISSION", required = true, value_parser = permission)]
        allow: Vec<Permission>,
        /// Until when it counts: an RFC 3339 time, or milliseconds since 1970
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires_at: Option<Millis>,
        #[command(flatten)]
        limits: LimitFlags,
    },
    /// List keys, without their secrets
    List {
        /// Print a JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Delete a key: nothing is taken with it any more, and streams that were opened with it end
    Delete {
        /// The key's id, as it stands in the list
        #[arg(value_name = "ID")]
        id: KeyId,
    },
}

/// What whoever has the key may do at each node; without these nothing is bounded.
#[derive(Debug, Args)]
struct LimitFlags {
    /// Requests a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=INTEGER_MAX))]
    requests_per_second: Option<u64>,
    /// Records written a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=INTEGER_MAX))]
    records_per_second: Option<u64>,
    /// Bytes of request bodies a second
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=INTEGER_MAX))]
    bytes_per_second: Option<u64>,
    /// Endless answers open at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=INTEGER_MAX))]
    streams: Option<u64>,
}

impl From<LimitFlags> for KeyLimits {
    fn from(flags: LimitFlags) -> Self {
        let LimitFlags { requests_per_second, records_per_second, bytes_per_second, streams } = flags;
        Self { requests_per_second, records_per_second, bytes_per_second, streams }
    }
}

impl Keys {
    /// The URL of the database, as it was given.
    pub(super) fn take_database_url(&mut self) -> Option<String> {
        self.place.database_url.take()
    }

    /// Where the keys are, and what to do with them; `postgres` is the database of [`Self::take_database_url`].
    ///
    /// # Errors
    /// More permissions than a key can have.
    pub(super) fn into_command(self, postgres: Option<PostgresUrl>) -> Result<keys::Command, PermissionError> {
        let Place { url, key, data_dir, database_url: _ } = self.place;
        let place = match url {
            Some(url) => keys::Place::Gateway(Gateway { url, key }),
            None => keys::Place::Database(Box::new(store_options(data_dir, postgres))),
        };
        let action = match self.command {
            KeysCommand::Create { name, allow, expires_at, limits } => {
                let rights = Rights::new(allow)?;
                keys::Action::Create(NewKey { name, rights, limits: limits.into(), expires_at })
            }
            KeysCommand::List { json } => keys::Action::List { json },
            KeysCommand::Delete { id } => keys::Action::Delete { id },
        };
        Ok(keys::Command { place, action })
    }
}

/// A connection or two for a few statements; nothing is written to a log.
fn store_options(data_dir: PathBuf, postgres: Option<PostgresUrl>) -> store::Options {
    store::Options {
        data_dir,
        postgres,
        partitions_max: 0,
        groups_max: 0,
        idempotency_ms: 0,
        wal_bytes_max: store::WAL_BYTES_MAX_DEFAULT,
        readers: 1,
        lanes: 0,
    }
}

/// A permission; on the command line `admin:*` is what people mean by it: everything.
fn permission(text: &str) -> Result<Permission, PermissionError> {
    let permission: Permission = text.parse()?;
    let is_all_topics = permission.topic().is_some_and(Pattern::is_all) && permission.group().is_none();
    if permission.verb() == Verb::Admin && is_all_topics {
        return Permission::new(Verb::Admin, Some(Pattern::all()), Some(Pattern::all()));
    }
    Ok(permission)
}

fn time(text: &str) -> Result<Millis, String> {
    match text.parse() {
        Ok(Position::Time(time)) => Ok(time),
        _ => Err(format!("`{text}` is neither an RFC 3339 time nor milliseconds since 1970")),
    }
}
