//! Checkpoints: copying the write-ahead log back into the database without holding up writers.
//!
//! A passive checkpoint runs beside the writer on a connection of its own and copies what is committed. When it has
//! caught up, the next commit begins the log anew from the front, whose blocks are allocated already: so commits stay
//! cheap. Under a load that never pauses it cannot catch up fully; past a cap the writer finishes the job itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::Row;
use sqlx::SqliteConnection;
use tokio::time::timeout;

use crate::store::error::StoreError;
use crate::store::sqlite::Sqlite;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::number;
use crate::store::sqlite::writer::store_error;

/// A passive checkpoint begins when this much was written since the last: enough to write pages once that changed many times.
const CHECKPOINT_BYTES: u64 = 16 << 20;

/// What a small flush costs in the log at least: a page of the table, a page of the index, their frame headers.
const FLUSH_BYTES_MIN: u64 = 2 * (4096 + 24);

/// A checkpoint is due after this much quiet, too, so that an idle gateway has a small log.
const QUIET: Duration = Duration::from_secs(5);

impl Sqlite {
    /// Counts what a write put in the log; past the cap, the writer empties it before it goes on.
    pub(super) async fn note_written(&self, bytes: u64, writer: &mut Writer) {
        let bytes = bytes + FLUSH_BYTES_MIN;
        let total = self.wal_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let uncopied = self.uncopied_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if total > self.wal_bytes_max {
            if let Err(error) = self.checkpoint(&mut writer.connection, "pragma wal_checkpoint(restart)").await {
                tracing::warn!(%error, "the write-ahead log could not be emptied and grows on");
            }
        } else if uncopied >= CHECKPOINT_BYTES {
            self.written.notify_one();
        }
    }

    pub(super) async fn checkpoint_forever(&self) {
        loop {
            let quiet = timeout(QUIET, self.written.notified()).await.is_err();
            if quiet && self.uncopied_bytes.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut connection = self.checkpointer.lock().await;
            if let Err(error) = self.checkpoint(&mut connection, "pragma wal_checkpoint(passive)").await {
                tracing::warn!(%error, "a checkpoint failed; the next one tries again");
                tokio::time::sleep(QUIET).await;
            }
        }
    }

    /// Leaves an empty log behind, so that the next start has nothing to recover.
    pub(super) async fn checkpoint_at_the_end(&self) {
        let mut writer = self.writer.lock().await;
        if let Err(error) = self.checkpoint(&mut writer.connection, "pragma wal_checkpoint(truncate)").await {
            tracing::warn!(%error, "the write-ahead log could not be emptied; the next start will recover it");
        }
    }

    async fn checkpoint(&self, connection: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
        self.uncopied_bytes.store(0, Ordering::Relaxed);
        let row = sqlx::query(sql).fetch_one(connection).await.map_err(store_error)?;
        // busy, frames in the log, frames copied; the counts are -1 where the checkpoint could not begin.
        let frames: i64 = row.try_get(1).map_err(StoreError::corrupt)?;
        if frames >= 0 {
            let left = number(&row, 1)?.saturating_sub(number(&row, 2)?);
            // All copied: the next commit starts the log over. Else what is there stays until then.
            let bytes = if left == 0 { 0 } else { frames.unsigned_abs() * FLUSH_BYTES_MIN / 2 };
            self.wal_bytes.store(bytes, Ordering::Relaxed);
        }
        Ok(())
    }
}
