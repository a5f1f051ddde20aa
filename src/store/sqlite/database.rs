//! The connections of one database, and how a writing call begins and ends.

use std::sync::atomic::AtomicU64;

use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use tokio::sync::MappedMutexGuard;
use tokio::sync::Mutex;
use tokio::sync::MutexGuard;
use tokio::sync::Notify;

use crate::store::error::StoreError;
use crate::store::sqlite::clock::Clock;
use crate::store::sqlite::writer::Writer;

/// The database of one data directory, which is this process's alone.
#[derive(Debug)]
pub(super) struct Sqlite {
    /// `None` once the store is closed.
    pub(super) writer: Mutex<Option<Writer>>,
    pub(super) readers: SqlitePool,
    /// What leases are told by.
    pub(super) clock: Clock,
    /// For passive checkpoints, which copy the write-ahead log back while writers go on. `None` once the store is
    /// closed.
    pub(super) checkpointer: Mutex<Option<SqliteConnection>>,
    /// Wakes the checkpointer when enough was written.
    pub(super) written: Notify,
    /// Bytes in the write-ahead log, as far as known.
    pub(super) wal_bytes: AtomicU64,
    /// Those written since the last checkpoint began.
    pub(super) uncopied_bytes: AtomicU64,
    pub(super) wal_bytes_max: u64,
    /// The writer empties the log past this: the cap, and beyond it while somebody reads from the log for long.
    pub(super) wal_restart_at: AtomicU64,
}

impl Sqlite {
    /// The writing connection, as soon as it is free. Refused once a write has ended in the open, and once closed.
    pub(super) async fn writer(&self) -> Result<MappedMutexGuard<'_, Writer>, StoreError> {
        let writer = MutexGuard::try_map(self.writer.lock().await, Option::as_mut);
        let writer = writer.map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
        writer.check()?;
        Ok(writer)
    }

    /// Ends every writing call: draws the consequences of an error, counts what was written.
    pub(super) async fn settle<T>(
        &self,
        mut writer: MappedMutexGuard<'_, Writer>,
        payload_bytes: u64,
        done: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &done {
            Ok(_) => self.note_written(payload_bytes, &mut writer).await,
            Err(error) => writer.note_error(error),
        }
        done
    }
}
