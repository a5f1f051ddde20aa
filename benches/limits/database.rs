//! A database of a run's own on a PostgreSQL that somebody else runs: looked into while it is measured, and dropped.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use sqlx::ConnectOptions;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

/// A database that is dropped with its handle, whoever is connected to it.
pub(crate) struct Database {
    /// Where the programs of PostgreSQL are.
    pub(crate) programs: PathBuf,
    server: String,
    name: String,
    /// Where it is.
    pub(crate) url: String,
}

/// How large a database is, in bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sizes {
    /// Record batches that are kept.
    pub(crate) kept: f64,
    /// Record batches that ever came.
    pub(crate) came: f64,
    /// The table of batches on disk, with all that belongs to it.
    pub(crate) batches: f64,
    /// All other tables of the gateway.
    pub(crate) others: f64,
}

const SIZES: &str = "
    select coalesce(sum(end_bytes - start_bytes), 0)::float8, coalesce(sum(end_bytes), 0)::float8,
        pg_total_relation_size('batches')::float8,
        (select sum(pg_total_relation_size(oid))::float8 from pg_class
         where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'batches')
    from partitions";

impl Database {
    /// Makes an empty one, named after `what`, on the server that `server` names a database of.
    pub(crate) fn create(server: &str, what: &str) -> Result<Self> {
        let programs = programs().context("pgbench and psql are not installed")?;
        let (address, query) = server.split_once('?').unwrap_or((server, ""));
        let (address, _) = address.rsplit_once('/').context("--database-url names no database")?;
        let name = format!("tidegate_limits_{}_{what}", std::process::id());
        psql(&programs, server, &format!("create database {name}"))?;
        Ok(Self { url: format!("{address}/{name}?{query}"), programs, server: server.to_owned(), name })
    }

    /// Statements of its own.
    pub(crate) fn run(&self, sql: &str) -> Result<()> {
        psql(&self.programs, &self.url, sql)
    }

    /// A connection to look into it.
    pub(crate) async fn look(&self) -> Result<PgConnection> {
        let options: PgConnectOptions = self.url.parse().context("--database-url")?;
        Ok(options.disable_statement_logging().connect().await?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = psql(&self.programs, &self.server, &format!("drop database {} with (force)", self.name));
        if let Err(problem) = dropped {
            eprintln!("the database {} is left: {problem:#}", self.name);
        }
    }
}

impl Sizes {
    /// As they are now.
    pub(crate) async fn now(connection: &mut PgConnection) -> Result<Self> {
        let (kept, came, batches, others) = sqlx::query_as(SIZES).fetch_one(connection).await?;
        Ok(Self { kept, came, batches, others })
    }

    /// How much larger the table is than what it keeps.
    pub(crate) fn ratio(&self) -> f64 {
        self.batches / self.kept
    }
}

fn psql(programs: &Path, url: &str, sql: &str) -> Result<()> {
    let mut command = Command::new(programs.join("psql"));
    command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--command", sql, url]);
    let status = command.stdin(Stdio::null()).status().context("start psql")?;
    ensure!(status.success(), "psql failed: {status}");
    Ok(())
}

/// Where the programs of PostgreSQL are: Debian keeps those of a server out of the path.
fn programs() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let folders: Vec<PathBuf> = in_path;
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let mut of_debian: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    of_debian.sort();
    let has_both = |folder: &PathBuf| ["pgbench", "psql"].iter().all(|program| folder.join(program).exists());
    folders.into_iter().chain(of_debian.into_iter().rev()).find(has_both)
}
