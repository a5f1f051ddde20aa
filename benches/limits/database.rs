//! Databases of a PostgreSQL that somebody else runs: one is made for each run, looked into while it is measured, and
//! dropped.

use anyhow::Context;
use anyhow::Result;
use sqlx::AssertSqlSafe;
use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

/// A database of one's own on that server.
pub(crate) struct Database {
    server: PgConnectOptions,
    name: String,
    /// Where it is, for a node.
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
    /// Makes one named after `what` on the server that `url` leads to.
    pub(crate) async fn create(url: &str, what: &str) -> Result<Self> {
        let server: PgConnectOptions = url.parse().context("--database-url")?;
        let name = format!("tidegate_limits_{}_{what}", std::process::id());
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (address, _) = address.rsplit_once('/').context("--database-url names no database")?;
        let database = Self { url: format!("{address}/{name}?{query}"), server, name };
        database.tell_server("create database").await?;
        Ok(database)
    }

    /// Drops it, whoever is connected to it.
    pub(crate) async fn drop_it(self) -> Result<()> {
        self.tell_server("drop database").await
    }

    async fn tell_server(&self, command: &str) -> Result<()> {
        let mut connection = self.server.clone().disable_statement_logging().connect().await.context("connect")?;
        let force = if command.starts_with("drop") { " with (force)" } else { "" };
        let sql = format!("{command} {}{force}", self.name);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.with_context(|| command.to_owned())?;
        Ok(connection.close().await?)
    }

    /// A connection to look into it.
    pub(crate) async fn look(&self) -> Result<PgConnection> {
        Ok(self.server.clone().database(&self.name).disable_statement_logging().connect().await?)
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
