//! The writing connection and what it knows without asking: where each active partition ends.

use std::collections::HashMap;
use std::fs::File;
use std::time::Instant;

use sqlx::AssertSqlSafe;
use sqlx::Connection;
use sqlx::Row;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteArguments;
use sqlx::sqlite::SqliteRow;

use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::model::topic::TopicId;
use crate::store::error::StoreError;
use crate::store::options::Options;

/// Heads kept at most; past that, those idle for longest go and are read again when needed.
const HEADS_MAX: usize = 100_000;

/// The end of a partition's log. While it is loaded it is the truth: nobody else writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) next_offset: u64,
    pub(super) append_time: Millis,
    pub(super) running_max_timestamp: Millis,
    pub(super) end_bytes: u64,
    pub(super) touched: Instant,
}

/// All that writing needs.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: SqliteConnection,
    heads: HashMap<PartitionId, Head>,
    /// Partitions of all living topics.
    pub(super) partitions: u64,
    pub(super) partitions_max: u64,
    pub(super) groups_max: u64,
    pub(super) idempotency_ms: u64,
    /// Set when a write's outcome is unknown: the heads may be wrong, so nothing may be written on top of them.
    broken: Option<StoreError>,
    /// Keeps the data directory this process's own; let go after the connection.
    _lock: File,
}

impl Writer {
    pub(super) async fn new(
        mut connection: SqliteConnection,
        lock: File,
        options: &Options,
    ) -> Result<Self, StoreError> {
        let sql = "select coalesce(sum(partition_count), 0) from topics where deleted_at is null";
        let partitions: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.map_err(store_error)?;
        Ok(Self {
            connection,
            heads: HashMap::new(),
            partitions: partitions.unsigned_abs(),
            partitions_max: options.partitions_max,
            groups_max: options.groups_max,
            idempotency_ms: options.idempotency_ms,
            broken: None,
            _lock: lock,
        })
    }

    /// Refuses to go on after a write whose outcome is unknown.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Breaks the writer for good if `error` leaves open what is in the database.
    pub(super) fn note_error(&mut self, error: &StoreError) {
        if let (StoreError::Indefinite(_), None) = (error, &self.broken) {
            self.broken = Some(error.clone());
        }
    }

    /// The end of a partition; `None` if it does not exist.
    pub(super) async fn head(&mut self, partition: PartitionId) -> Result<Option<Head>, StoreError> {
        if let Some(head) = self.heads.get_mut(&partition) {
            head.touched = Instant::now();
            return Ok(Some(*head));
        }
        let Some(head) = load_head(&mut self.connection, partition).await? else { return Ok(None) };
        if self.heads.len() >= HEADS_MAX {
            self.drop_idle_heads();
        }
        self.heads.insert(partition, head);
        Ok(Some(head))
    }

    /// Records that a batch was committed at the end of a partition.
    pub(super) fn advance(&mut self, partition: PartitionId, to: Head) {
        self.heads.insert(partition, Head { touched: Instant::now(), ..to });
    }

    /// Forgets the heads of a topic that is no more.
    pub(super) fn forget_topic(&mut self, topic: TopicId) {
        self.heads.retain(|partition, _| partition.topic != topic);
    }

    /// Closes the connection, then lets go of the directory.
    pub(super) async fn close(self) {
        close(self.connection).await;
    }

    fn drop_idle_heads(&mut self) {
        let mut times: Vec<Instant> = self.heads.values().map(|head| head.touched).collect();
        let (_, median, _) = times.select_nth_unstable(HEADS_MAX / 2);
        let median = *median;
        self.heads.retain(|_, head| head.touched > median);
    }

    /// Runs one text of statements that end in a commit, all or nothing. An error leaves no transaction open.
    pub(super) async fn commit(&mut self, sql: String, arguments: SqliteArguments) -> Result<(), StoreError> {
        let done = sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut self.connection).await;
        let Err(error) = done.map_err(store_error) else { return Ok(()) };
        match sqlx::raw_sql("rollback").execute(&mut self.connection).await {
            Ok(_) => Err(error),
            // There was no transaction (any more); that is the state we want.
            Err(refusal) if result_code(&refusal) == Some(SQLITE_ERROR) => Err(error),
            Err(stuck) => Err(StoreError::Indefinite(format!("{error}; then the rollback failed: {stuck}").into())),
        }
    }
}

/// Closes a connection; it is gone either way.
pub(super) async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "a connection to the database did not close cleanly");
    }
}

pub(super) const HEAD: &str = "
    select coalesce(s.log_start_offset, 0), b.base_offset + b.record_count, b.append_time,
           b.running_max_timestamp, b.end_bytes
    from topics t
    left join log_starts s on s.topic_id = t.id and s.partition = ?2
    left join batches b on b.id = (
        select id from batches where topic_id = ?1 and partition = ?2 order by base_offset desc limit 1)
    where t.id = ?1 and t.deleted_at is null and t.partition_count > ?2";

async fn load_head(connection: &mut SqliteConnection, partition: PartitionId) -> Result<Option<Head>, StoreError> {
    let row = sqlx::query(HEAD)
        .bind(partition.topic.0)
        .bind(i64::from(partition.partition))
        .fetch_optional(connection)
        .await
        .map_err(store_error)?;
    let Some(row) = row else { return Ok(None) };
    let end = |column| optional(&row, column);
    Ok(Some(Head {
        next_offset: number(&row, 0)?.max(end(1)?),
        append_time: end(2)?,
        running_max_timestamp: end(3)?,
        end_bytes: end(4)?,
        touched: Instant::now(),
    }))
}

/// A column that holds a number that is never negative.
pub(super) fn number(row: &SqliteRow, column: usize) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(column).map_err(StoreError::corrupt)?;
    u64::try_from(value).map_err(StoreError::corrupt)
}

/// The same where there may be no number: then 0.
pub(super) fn optional(row: &SqliteRow, column: usize) -> Result<u64, StoreError> {
    let value: Option<i64> = row.try_get(column).map_err(StoreError::corrupt)?;
    u64::try_from(value.unwrap_or(0)).map_err(StoreError::corrupt)
}

/// A number as SQLite keeps it. Offsets, times and sizes stay below 2^53.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).expect("offsets, times and sizes stay far below 2^63")
}

/// What an error of SQLite means for the outcome. The result codes are those of sqlite.org/rescode.html.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    let text = error.to_string().into();
    match result_code(&error) {
        // Some frame could not be written, so the one that commits was not.
        Some(13) => StoreError::Full,
        // SQLITE_IOERR: a failed fsync may have reached the disk all the same, and must not be tried again.
        Some(10) => StoreError::Indefinite(text),
        // SQLITE_CORRUPT, SQLITE_NOTADB
        Some(11 | 26) => StoreError::Corrupt(text),
        _ if matches!(error, sqlx::Error::WorkerCrashed) => StoreError::Indefinite(text),
        _ => StoreError::Unavailable(text),
    }
}

/// The same for what only reads.
pub(super) fn read_error(error: sqlx::Error) -> StoreError {
    nothing_written(store_error(error))
}

/// An error of a call that wrote nothing: no outcome can be in doubt.
pub(super) fn nothing_written(error: StoreError) -> StoreError {
    match error {
        StoreError::Indefinite(text) => StoreError::Unavailable(text),
        other => other,
    }
}

/// The generic error: here, a rollback outside a transaction.
const SQLITE_ERROR: i32 = 1;

/// SQLite's primary result code, if the error is SQLite's.
fn result_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}
