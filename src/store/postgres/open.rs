//! Opening the database: the settings that durability rests on are looked at, the migrations are applied.

use std::borrow::Cow;
use std::fs::File;
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::Row;
use sqlx::migrate::MigrateError;
use sqlx::migrate::Migration;
use sqlx::migrate::MigrationType;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::store::directory;
use crate::store::open_error::OpenError;
use crate::store::options::Options;
use crate::store::options::PostgresUrl;
use crate::store::postgres::access;
use crate::store::postgres::connect;
use crate::store::postgres::database::Postgres;
use crate::store::postgres::debt::Debt;
use crate::store::postgres::health::Health;
use crate::store::postgres::lane::Lane;
use crate::store::postgres::news::Herald;

/// The oldest PostgreSQL that will do, as `server_version_num` has it.
const VERSION_MIN: i32 = 130_000;

/// How long the database may take to answer for the first time.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(10);

impl Postgres {
    pub(super) async fn open(url: &PostgresUrl, options: &Options) -> Result<Self, OpenError> {
        // It is that of the segment files here.
        let directory = directory::lock(&options.data_dir)?;
        Self::connect(url, options, options.lanes, Some(directory)).await
    }

    /// Connects with so many lanes.
    pub(super) async fn connect(
        url: &PostgresUrl,
        options: &Options,
        lane_count: u32,
        directory: Option<File>,
    ) -> Result<Self, OpenError> {
        let connect_options = connect_options(url)?;
        let first = timeout(FIRST_ANSWER_MAX, connect::first(&connect_options)).await;
        let mut first = first.map_err(|_| OpenError::Silent)?.map_err(OpenError::Database)?;
        check(&mut first).await?;
        migrate(&mut first).await?;
        access::prepare(&mut first).await.map_err(OpenError::Database)?;
        first.close().await.map_err(OpenError::Database)?;

        let mut lanes = Vec::new();
        for _ in 0..lane_count {
            lanes.push(Mutex::new(Lane::open(connect_options.clone()).await.map_err(OpenError::Store)?));
        }
        let pool = connect::pool(connect_options.clone(), options.readers).await.map_err(OpenError::Database)?;
        let herald = Herald::new(connect::herald(connect_options));
        let Options { partitions_max, groups_max, idempotency_ms, .. } = *options;
        let directory = Mutex::new(directory);
        let (number, debt, health) = (fastrand::i64(..), Debt::default(), Health::new());
        Ok(Self { lanes, pool, health, herald, number, debt, partitions_max, groups_max, idempotency_ms, directory })
    }
}

pub(super) fn connect_options(url: &PostgresUrl) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(url.as_str()).map_err(OpenError::Database)?;
    Ok(options.application_name("tidegate").disable_statement_logging())
}

/// Refuses a server that could lose what it has acknowledged.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), OpenError> {
    let sql = "
        select current_setting('server_version_num')::integer, current_setting('server_version'), pg_is_in_recovery(),
            current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')";
    let row = sqlx::query(sql).fetch_one(connection).await.map_err(OpenError::Database)?;
    if row.try_get::<i32, _>(0).map_err(OpenError::Database)? < VERSION_MIN {
        return Err(OpenError::Server(row.try_get(1).map_err(OpenError::Database)?));
    }
    if row.try_get(2).map_err(OpenError::Database)? {
        return Err(OpenError::Standby);
    }
    // Where there are standbys, the administrator may ask for more than `on`.
    let settings: [(usize, &'static str, &[&str]); 3] = [
        (3, "fsync", &["on"]),
        (4, "full_page_writes", &["on"]),
        (5, "synchronous_commit", &["on", "remote_write", "remote_apply"]),
    ];
    for (column, setting, good) in settings {
        let found: String = row.try_get(column).map_err(OpenError::Database)?;
        if !good.contains(&found.as_str()) {
            return Err(OpenError::Setting { setting, wanted: "on", found });
        }
    }
    Ok(())
}

/// Brings the schema up to date, one node at a time (sqlx takes an advisory lock for it).
async fn migrate(connection: &mut PgConnection) -> Result<(), OpenError> {
    let files = [
        ("topics", include_str!("../../../migrations/postgres/0001_topics.sql")),
        ("batches", include_str!("../../../migrations/postgres/0002_batches.sql")),
        ("idempotency", include_str!("../../../migrations/postgres/0003_idempotency.sql")),
        ("groups", include_str!("../../../migrations/postgres/0004_groups.sql")),
        ("access", include_str!("../../../migrations/postgres/0005_access.sql")),
    ];
    let migrations = (1..).zip(files).map(|(version, (name, sql))| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sqlx::SqlStr::from_static(sql), false)
    });
    let migrator = Migrator { migrations: migrations.collect(), ..Migrator::DEFAULT };
    match migrator.run(connection).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(OpenError::Newer(version)),
        Err(error) => Err(OpenError::Migration(error)),
    }
}
