//! Looking at a database from another process than the gateway's, and copying it. Nothing is changed: the connection is
//! read-only, and of the same library, so that it is safe beside a running gateway (migrations/README.md).

use std::fs::File;
use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::Row;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;

use crate::model::finding::Finding;
use crate::store::open_error::OpenError;
use crate::store::sqlite::open::check_library;

/// How the database of a data directory is; it may be missing.
pub(in crate::store) async fn inspect(data_dir: &Path) -> Vec<Finding> {
    let file = data_dir.join("tidegate.db");
    if !file.exists() {
        let text = format!("there is none in {} yet: the first start makes it", data_dir.display());
        return vec![Finding::ok("database", text)];
    }
    match look(&file).await {
        Ok(finding) => vec![finding],
        Err(error) => vec![Finding::fail("database", error.to_string())],
    }
}

async fn look(file: &Path) -> Result<Finding, OpenError> {
    let mut connection = open(file).await?;
    check_library(&mut connection).await?;
    let sql = "
        select sqlite_version(), (select journal_mode from pragma_journal_mode),
            (select page_count from pragma_page_count) * (select page_size from pragma_page_size),
            (select max(version) from _sqlx_migrations)";
    let row = sqlx::query(sql).fetch_one(&mut connection).await.map_err(OpenError::Database)?;
    connection.close().await.map_err(OpenError::Database)?;
    let text = |column| row.try_get::<String, _>(column).map_err(OpenError::Database);
    let number = |column| row.try_get::<i64, _>(column).map_err(OpenError::Database);
    let (version, mode, bytes, migration) = (text(0)?, text(1)?, number(2)?, number(3)?);
    // It is a property of the file, and a copy that no gateway has opened yet has another.
    let mode = if mode == "wal" { mode } else { format!("{mode} (the next start makes it wal)") };
    Ok(Finding::ok(
        "database",
        format!("SQLite {version}, journal_mode {mode}, synchronous full; migration {migration}, {bytes} bytes"),
    ))
}

/// Nothing is set that would have to be written.
async fn open(file: &Path) -> Result<SqliteConnection, OpenError> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true).disable_statement_logging();
    options.connect().await.map_err(|error| OpenError::File(file.to_owned(), error))
}

/// How many bytes the database of a data directory has.
pub(in crate::store) async fn bytes(data_dir: &Path) -> Result<u64, OpenError> {
    let mut connection = open(&data_dir.join("tidegate.db")).await?;
    let sql = "select (select page_count from pragma_page_count) * (select page_size from pragma_page_size)";
    let bytes: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.map_err(OpenError::Database)?;
    connection.close().await.map_err(OpenError::Database)?;
    Ok(bytes.unsigned_abs())
}

/// Copies the database as it stands at one moment to a file that does not exist yet, checks the copy, and has it on the
/// disk before it returns.
pub(in crate::store) async fn copy(data_dir: &Path, to: &Path) -> Result<(), OpenError> {
    let unusable = |error| OpenError::Directory(to.to_owned(), error);
    let mut connection = open(&data_dir.join("tidegate.db")).await?;
    check_library(&mut connection).await?;
    let target = to.to_string_lossy().into_owned();
    sqlx::query("vacuum into ?").bind(target).execute(&mut connection).await.map_err(OpenError::Database)?;
    connection.close().await.map_err(OpenError::Database)?;

    let mut copied = open(to).await?;
    let found: String =
        sqlx::query_scalar("pragma quick_check(1)").fetch_one(&mut copied).await.map_err(OpenError::Database)?;
    copied.close().await.map_err(OpenError::Database)?;
    if found != "ok" {
        return Err(OpenError::Damaged(found));
    }
    File::open(to).and_then(|file| file.sync_all()).map_err(unusable)
}
