//! A lane: the one connection that appends, and how it finds out what became of a flush whose answer was lost.
//!
//! Each flush is one statement in autocommit, so a node that is paused halfway holds no lock. It is never cancelled from
//! here: a connection that does not answer in time is dropped, and whether the flush is in is read from the lane's row
//! (migrations/postgres/0002_batches.sql), on a new connection, before anything else is written.

use std::time::Duration;
use std::time::Instant;

use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::Row;
use sqlx::postgres::PgConnectOptions;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::store::error::StoreError;
use crate::store::postgres::connect;
use crate::store::postgres::error::database_error;
use crate::store::postgres::error::is_definite;
use crate::store::postgres::error::read_error;

/// How long the answer to a flush is waited for: a bit longer than the server lets a statement run.
const ANSWER_MAX: Duration = Duration::from_millis(4_200);

/// How long a new connection and what became of the last flush may take: less than a call, so that who waits behind it is
/// answered in time.
const RAISE_MAX: Duration = Duration::from_millis(2_500);

/// After a connection could not be made, none is tried for this long; doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest such pause: the database is back for at most this long before it is noticed.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// After this much silence the connection is asked whether it is still there: a flush that is sent to nobody has an
/// unknown outcome, and a question that is has not.
const TRUSTED: Duration = Duration::from_secs(1);

/// How long the answer to that may take.
const PING_MAX: Duration = Duration::from_secs(1);

/// How long a farewell may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// What one flush writes, as [the function](self) takes it. Its number is given by the lane.
#[derive(Debug, Default)]
pub(super) struct Flush<'a> {
    /// One of each per batch.
    pub(super) topics: Vec<i64>,
    pub(super) partitions: Vec<i32>,
    pub(super) counts: Vec<i32>,
    pub(super) timestamps: Vec<i64>,
    pub(super) payloads: Vec<&'a [u8]>,
    /// One of each per key.
    pub(super) digests: Vec<&'a [u8]>,
    pub(super) fingerprints: Vec<&'a [u8]>,
    pub(super) receipts: Vec<&'a [u8]>,
    /// One of each per run of a write with a key: which key, which batch (both from 1), behind how many records.
    pub(super) run_keys: Vec<i32>,
    pub(super) run_batches: Vec<i32>,
    pub(super) run_befores: Vec<i64>,
    /// How long keys count, in milliseconds.
    pub(super) keys_kept_ms: i64,
}

/// Why a flush did not get in. Nothing was written, except where the store's error says otherwise.
#[derive(Debug)]
pub(super) enum Failure {
    /// There are no partitions for these batches.
    Unknown(Vec<usize>),
    /// These keys were used before.
    KeysTaken(Vec<usize>),
    /// For a reason that has passed: it may be tried again.
    Passing(StoreError),
    /// The flush fails.
    Store(StoreError),
}

/// What a new connection finds.
enum Settled {
    /// The flush is in, with these base offsets.
    In(Vec<i64>),
    /// It is not, and never will be.
    Out,
}

/// The connection, and what is known of the lane's row.
#[derive(Debug)]
pub(super) struct Lane {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    /// Its row, and the epoch in it.
    id: i64,
    epoch: i64,
    /// The number of the last flush that was sent.
    flushes: i64,
    /// When the server last answered.
    answered: Instant,
    /// Before this, no connection is tried.
    pause_until: Option<Instant>,
    pause: Duration,
    closed: bool,
}

impl Lane {
    pub(super) async fn open(options: PgConnectOptions) -> Result<Self, StoreError> {
        let (id, closed, pause) = (fastrand::i64(..), false, PAUSE_MIN);
        let mut lane = Self {
            options,
            connection: None,
            id,
            epoch: 0,
            flushes: 0,
            answered: Instant::now(),
            pause_until: None,
            pause,
            closed,
        };
        lane.connect().await?;
        Ok(lane)
    }

    /// The connection, for a look beside the flushes.
    pub(super) async fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        self.connect().await?;
        self.connection.as_mut().ok_or_else(|| StoreError::Unavailable("there is no connection".into()))
    }

    /// Drops a connection that failed: whatever it was at, its end is found out on the next.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// As if nothing had been written for so long.
    #[cfg(test)]
    pub(super) fn be_silent_since(&mut self, silence: Duration) {
        self.answered = self.answered.checked_sub(silence).expect("the machine runs for longer");
    }

    pub(super) async fn close(&mut self) {
        self.closed = true;
        if let Some(connection) = self.connection.take() {
            let _ = timeout(CLOSE_MAX, connection.close()).await;
        }
    }

    /// Writes a flush; returns the base offset of each batch. An outcome that is unknown is found out until `deadline`.
    pub(super) async fn flush(&mut self, flush: &Flush<'_>, deadline: Instant) -> Result<Vec<i64>, Failure> {
        self.check().await;
        self.connect().await.map_err(Failure::Store)?;
        self.flushes += 1;
        let (id, epoch, number) = (self.id, self.epoch, self.flushes);
        let connection = self.connection().await.map_err(Failure::Store)?;
        let until = deadline.min(Instant::now() + ANSWER_MAX);
        let lost: String = match timeout_at(until.into(), send(connection, (id, epoch, number), flush)).await {
            Ok(Ok(bases)) => {
                self.answered = Instant::now();
                return Ok(bases);
            }
            Ok(Err(error)) if is_definite(&error) => return Err(self.failure(error)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".into(),
        };
        self.disconnect();
        tracing::warn!(error = %lost, "the answer to a flush was lost; finding out what became of it");
        match timeout_at(deadline.into(), self.settle(number)).await {
            Ok(Settled::In(bases)) => Ok(bases),
            Ok(Settled::Out) => Err(Failure::Passing(StoreError::Unavailable(lost.into()))),
            Err(_) => {
                self.disconnect();
                // Those who waited behind this flush are not to wait for the same again.
                self.pause_until = Some(Instant::now() + PAUSE_MAX);
                Err(Failure::Store(StoreError::Unresolved(lost.into())))
            }
        }
    }

    /// What became of a flush: asked until there is an answer.
    async fn settle(&mut self, number: i64) -> Settled {
        loop {
            match self.raise().await {
                Ok((last, bases)) => return if last == number { Settled::In(bases) } else { Settled::Out },
                Err(_) => sleep(self.pause).await,
            }
        }
    }

    /// Drops a connection that was silent for a while, and that nobody is behind any more.
    async fn check(&mut self) {
        let Some(connection) = self.connection.as_mut().filter(|_| self.answered.elapsed() > TRUSTED) else { return };
        if matches!(timeout(PING_MAX, connection.ping()).await, Ok(Ok(()))) {
            self.answered = Instant::now();
        } else {
            self.disconnect();
        }
    }

    /// Makes a connection where there is none.
    async fn connect(&mut self) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        if self.connection.is_some() {
            return Ok(());
        }
        if self.pause_until.is_some_and(|until| Instant::now() < until) {
            return Err(StoreError::Unavailable("it did not answer a moment ago".into()));
        }
        self.raise().await.map(drop)
    }

    /// Makes a connection and raises the lane's epoch on it: what an earlier connection has sent is committed by then, or
    /// will never be. Returns the last flush that is in, and its base offsets.
    async fn raise(&mut self) -> Result<(i64, Vec<i64>), StoreError> {
        let raised = async {
            let mut connection = connect::lane(&self.options).await?;
            let found = raise(&mut connection, self.id).await?;
            Ok::<_, sqlx::Error>((connection, found))
        };
        match timeout(RAISE_MAX, raised).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok((connection, (epoch, last, bases))) => {
                (self.connection, self.epoch) = (Some(connection), epoch);
                (self.pause_until, self.pause, self.answered) = (None, PAUSE_MIN, Instant::now());
                Ok((last, bases))
            }
            Err(error) => {
                // Not all nodes at once.
                let pause = self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                self.pause_until = Some(Instant::now() + pause);
                self.pause = (2 * self.pause).min(PAUSE_MAX);
                Err(read_error(error))
            }
        }
    }

    /// What an error that the server gave itself means.
    fn failure(&mut self, error: sqlx::Error) -> Failure {
        let known = database_error(&error).map(|error| (error.code().to_owned(), error.detail().map(indices)));
        match known {
            Some((code, Some(at))) if code == "TG001" && !at.is_empty() => Failure::Unknown(at),
            Some((code, Some(at))) if code == "TG003" && !at.is_empty() => Failure::KeysTaken(at),
            Some((code, _)) if code == "TG004" => {
                // Its row was forgotten: a new connection makes one.
                self.disconnect();
                Failure::Passing(read_error(error))
            }
            // A partition that went away, a serialization failure, a deadlock.
            Some((code, _)) if ["TG002", "40001", "40P01"].contains(&code.as_str()) => {
                Failure::Passing(read_error(error))
            }
            _ => Failure::Store(read_error(error)),
        }
    }
}

/// A list of indices from 1, as one from 0.
fn indices(detail: &str) -> Vec<usize> {
    detail.split(',').filter_map(|number| number.parse::<usize>().ok()?.checked_sub(1)).collect()
}

async fn raise(connection: &mut PgConnection, lane: i64) -> Result<(i64, i64, Vec<i64>), sqlx::Error> {
    // A new row for a lane that has none: nothing of it is in.
    let sql = "
        insert into lanes (lane, epoch, last_flush, touched_at, last_bases) values ($1, 1, 0, tidegate_now(), '{}')
        on conflict (lane) do update set epoch = lanes.epoch + 1, touched_at = excluded.touched_at
        returning epoch, last_flush, last_bases";
    // All rows are fetched, not one: else the end of the transaction is not waited for.
    let rows = sqlx::query(sql).bind(lane).fetch_all(connection).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
}

async fn send(
    connection: &mut PgConnection,
    (lane, epoch, number): (i64, i64, i64),
    flush: &Flush<'_>,
) -> Result<Vec<i64>, sqlx::Error> {
    let sql = "select tidegate_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    let rows: Vec<Vec<i64>> = sqlx::query_scalar(sql)
        .bind(lane)
        .bind(epoch)
        .bind(number)
        .bind(&flush.topics)
        .bind(&flush.partitions)
        .bind(&flush.counts)
        .bind(&flush.timestamps)
        .bind(&flush.payloads)
        .bind(&flush.digests)
        .bind(&flush.fingerprints)
        .bind(&flush.receipts)
        .bind(flush.keys_kept_ms)
        .bind(&flush.run_keys)
        .bind(&flush.run_batches)
        .bind(&flush.run_befores)
        .fetch_all(connection)
        .await?;
    rows.into_iter().next().ok_or(sqlx::Error::RowNotFound)
}
