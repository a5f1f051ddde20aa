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
use crate::store::sqlite::database::Sqlite;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::close;
use crate::store::sqlite::writer::number;
use crate::store::sqlite::writer::store_error;

/// A passive checkpoint begins when this much was written since the last: enough to write pages once that changed many times.
const CHECKPOINT_BYTES: u64 = 16 << 20;

/// A page in the log: its header and itself.
const FRAME_BYTES: u64 = 24 + 4096;

/// What a small flush costs in the log at least: a page of the table, a page of the index.
const FLUSH_BYTES_MIN: u64 = 2 * FRAME_BYTES;

/// A checkpoint is due after this much quiet, too, so that an idle gateway has a small log.
const QUIET: Duration = Duration::from_secs(5);

/// How far a checkpoint goes (sqlite.org/pragma.html#pragma_wal_checkpoint).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Copies what it can without waiting for anyone.
    Passive,
    /// Waits for readers, copies all, and has the next commit start the log over.
    Restart,
    /// The same, and cuts the file to nothing.
    Truncate,
}

impl Mode {
    fn sql(self) -> &'static str {
        match self {
            Self::Passive => "pragma wal_checkpoint(passive)",
            Self::Restart => "pragma wal_checkpoint(restart)",
            Self::Truncate => "pragma wal_checkpoint(truncate)",
        }
    }
}

impl Sqlite {
    /// Counts what a write put in the log; past the cap, the writer empties it before it goes on.
    pub(super) async fn note_written(&self, payload_bytes: u64, writer: &mut Writer) {
        let bytes = payload_bytes + FLUSH_BYTES_MIN;
        let total = self.wal_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let uncopied = self.uncopied_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if total > self.wal_restart_at.load(Ordering::Relaxed) {
            if let Err(error) = self.checkpoint(&mut writer.connection, Mode::Restart).await {
                tracing::warn!(%error, "the write-ahead log could not be emptied and grows on");
                writer.note_error(&error);
            }
        } else if uncopied >= CHECKPOINT_BYTES {
            self.written.notify_one();
        }
    }

    /// Returns when the store is closed, or when a checkpoint failed so that nothing may be written any more.
    pub(super) async fn checkpoint_forever(&self) {
        loop {
            let quiet = timeout(QUIET, self.written.notified()).await.is_err();
            let mut checkpointer = self.checkpointer.lock().await;
            let Some(connection) = checkpointer.as_mut() else { return };
            if quiet && self.uncopied_bytes.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let done = self.checkpoint(connection, Mode::Passive).await;
            drop(checkpointer);
            let Err(error) = done else { continue };
            if let StoreError::Indefinite(_) = &error {
                // A failed fsync must not be tried again: the next one succeeds although pages may be lost (K-2).
                tracing::error!(%error, "a checkpoint failed: no more writes");
                if let Some(writer) = self.writer.lock().await.as_mut() {
                    writer.note_error(&error);
                }
                return;
            }
            tracing::warn!(%error, "a checkpoint failed; the next one tries again");
            tokio::time::sleep(QUIET).await;
        }
    }

    /// Leaves an empty log behind, so that the next start has nothing to recover, and lets go of the directory.
    pub(super) async fn finish(&self) {
        if let Some(connection) = self.checkpointer.lock().await.take() {
            close(connection).await;
        }
        let Some(mut writer) = self.writer.lock().await.take() else { return };
        if writer.check().is_ok()
            && let Err(error) = self.checkpoint(&mut writer.connection, Mode::Truncate).await
        {
            tracing::warn!(%error, "the write-ahead log could not be emptied; the next start will recover it");
        }
        writer.close().await;
    }

    async fn checkpoint(&self, connection: &mut SqliteConnection, mode: Mode) -> Result<(), StoreError> {
        self.uncopied_bytes.store(0, Ordering::Relaxed);
        let rows = sqlx::query(mode.sql()).fetch_all(connection).await.map_err(store_error)?;
        let Some(row) = rows.first() else { return Ok(()) };
        // Whether it was held up, frames in the log, frames copied; the counts are -1 where it could not begin.
        let frames: i64 = row.try_get(1).map_err(StoreError::corrupt)?;
        if frames >= 0 {
            // A passive checkpoint leaves it to a later commit to start the log over, which may have to wait for
            // readers: its frames count until a checkpoint finds fewer. The others have seen to it themselves.
            let emptied = mode != Mode::Passive && number(row, 0)? == 0;
            let bytes = if emptied { 0 } else { frames.unsigned_abs() * FRAME_BYTES };
            self.wal_bytes.store(bytes, Ordering::Relaxed);
            if mode != Mode::Passive {
                // Held up by who reads for long (a backup): not tried again, and waited for, at every flush.
                self.wal_restart_at.store(bytes + self.wal_bytes_max, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
