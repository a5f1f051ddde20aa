//! Opening the database: the lock, the settings that durability rests on (set, then read back), the migrations.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::Row;
use sqlx::SqliteConnection;
use sqlx::migrate::MigrateError;
use sqlx::migrate::Migration;
use sqlx::migrate::MigrationType;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::Sqlite as Driver;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;
use tokio::sync::Mutex;
use tokio::sync::Notify;

use crate::store::directory;
use crate::store::error::StoreError;
use crate::store::open_error::OpenError;
use crate::store::options::Options;
use crate::store::sqlite::access;
use crate::store::sqlite::clock::Clock;
use crate::store::sqlite::database::Sqlite;
use crate::store::sqlite::groups::upkeep::restart_leases;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::read_error;

/// SQLite 3.7.0 to 3.51.2 can lose committed transactions when one connection resets the write-ahead log while another
/// checkpoints it (fixed in 3.51.3, see its release notes).
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// Bytes of a database page.
const PAGE_BYTES: u32 = 4096;

/// Distinct SQL texts kept prepared on the writing connection: one per number of batches in a flush, and the rest.
const WRITER_STATEMENTS: usize = 256;

/// Rows a reader may fetch ahead of us. A row can be a batch of megabytes, so few.
const READER_ROWS_AHEAD: usize = 2;

/// How long a reader waits for a free connection before it answers "not available".
const READER_WAIT: Duration = Duration::from_secs(3);

impl Sqlite {
    pub(super) async fn open(options: &Options) -> Result<Self, OpenError> {
        let file = options.data_dir.join("tidegate.db");
        let lock = directory::lock(&options.data_dir)?;
        let connect = connect_options(&file);

        let mut writer = connect
            .clone()
            .statement_cache_capacity(WRITER_STATEMENTS)
            .pragma("wal_autocheckpoint", "0")
            .connect()
            .await
            .map_err(|error| OpenError::File(file, error))?;
        check_library(&mut writer).await?;
        check_settings(&mut writer).await?;
        migrate(&mut writer).await?;
        let mut writer = Writer::new(writer, lock, options).await.map_err(OpenError::Store)?;
        access::prepare(&mut writer).await.map_err(OpenError::Store)?;
        let clock = Clock::start();
        restart_leases(&mut writer, clock.now()).await.map_err(OpenError::Store)?;

        let mut checkpointer =
            connect.clone().pragma("wal_autocheckpoint", "0").connect().await.map_err(OpenError::Database)?;
        check_settings(&mut checkpointer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers)
            .acquire_timeout(READER_WAIT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(connect.row_buffer_size(READER_ROWS_AHEAD).pragma("query_only", "on"))
            .await
            .map_err(OpenError::Database)?;
        Ok(Self {
            writer: Mutex::new(Some(writer)),
            readers,
            clock,
            checkpointer: Mutex::new(Some(checkpointer)),
            written: Notify::new(),
            wal_bytes: AtomicU64::new(0),
            uncopied_bytes: AtomicU64::new(0),
            wal_bytes_max: options.wal_bytes_max,
            wal_restart_at: AtomicU64::new(options.wal_bytes_max),
        })
    }

    pub(super) async fn reader(&self) -> Result<PoolConnection<Driver>, StoreError> {
        self.readers.acquire().await.map_err(read_error)
    }
}

pub(super) fn connect_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .page_size(PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("mmap_size", "0")
        .pragma("cache_size", "-8192")
        .disable_statement_logging()
}

pub(super) async fn check_library(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let text: String =
        sqlx::query_scalar("select sqlite_version()").fetch_one(connection).await.map_err(OpenError::Database)?;
    let mut numbers = text.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let version = (next(), next(), next());
    if version < SQLITE_VERSION_MIN { Err(OpenError::Library(text)) } else { Ok(()) }
}

pub(super) async fn check_settings(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let checks = [
        ("journal_mode", "pragma journal_mode", "wal"),
        ("synchronous", "pragma synchronous", "2"),
        ("foreign_keys", "pragma foreign_keys", "1"),
        ("mmap_size", "pragma mmap_size", "0"),
        ("busy_timeout", "pragma busy_timeout", "5000"),
        ("wal_autocheckpoint", "pragma wal_autocheckpoint", "0"),
    ];
    for (setting, sql, wanted) in checks {
        let row = sqlx::query(sql).fetch_one(&mut *connection).await.map_err(OpenError::Database)?;
        let found = row
            .try_get::<String, _>(0)
            .or_else(|_| row.try_get::<i64, _>(0).map(|number| number.to_string()))
            .map_err(OpenError::Database)?;
        if found != wanted {
            return Err(OpenError::Setting { setting, wanted, found });
        }
    }
    Ok(())
}

/// Brings the schema up to date. The files are part of the binary, so a running gateway needs no others.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let files = [
        ("topics", include_str!("../../../migrations/sqlite/0001_topics.sql")),
        ("batches", include_str!("../../../migrations/sqlite/0002_batches.sql")),
        ("idempotency", include_str!("../../../migrations/sqlite/0003_idempotency.sql")),
        ("groups", include_str!("../../../migrations/sqlite/0004_groups.sql")),
        ("access", include_str!("../../../migrations/sqlite/0005_access.sql")),
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
