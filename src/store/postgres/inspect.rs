//! Looking at the server: settings, room for connections, its clock. Nothing is changed.

use std::time::Duration;
use std::time::Instant;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::Row;
use tokio::time::timeout;

use crate::model::finding::Finding;
use crate::model::time::now;
use crate::store::open_error::OpenError;
use crate::store::options::Options;
use crate::store::options::PostgresUrl;
use crate::store::postgres::open::check;
use crate::store::postgres::open::connect_options;

/// How long the server may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Connections of a node beside readers and lanes: the one that tells, the one that listens, and one at its start.
const CONNECTIONS_BESIDE: i64 = 3;

/// Two clocks that differ by more make timestamps and retention odd.
const CLOCKS_APART: Duration = Duration::from_secs(1);

/// Round trips of which the shortest counts.
const ROUND_TRIPS: usize = 5;

/// A flush is a round trip and the server's own fsync.
const ROUND_TRIP_SLOW: Duration = Duration::from_millis(10);

/// How the server is.
pub(in crate::store) async fn inspect(url: &PostgresUrl, options: &Options) -> Vec<Finding> {
    match timeout(ANSWER_MAX, look(url, options)).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => vec![Finding::fail("database", error.to_string())],
        Err(_) => vec![Finding::fail("database", OpenError::Silent.to_string())],
    }
}

async fn look(url: &PostgresUrl, options: &Options) -> Result<Vec<Finding>, OpenError> {
    let mut connection = connect_options(url)?.connect().await.map_err(OpenError::Database)?;
    check(&mut connection).await?;
    let findings = vec![
        settings(&mut connection).await.map_err(OpenError::Database)?,
        room(&mut connection, options).await.map_err(OpenError::Database)?,
        clock(&mut connection).await.map_err(OpenError::Database)?,
    ];
    connection.close().await.map_err(OpenError::Database)?;
    Ok(findings)
}

/// Those that could lose records were refused before.
async fn settings(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let sql = "
        select current_setting('server_version'), current_setting('synchronous_commit'),
            current_setting('synchronous_standby_names')";
    let row = sqlx::query(sql).fetch_one(connection).await?;
    let (version, commit, standbys): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let text = format!("PostgreSQL {version}, not in recovery, fsync on, synchronous_commit {commit}");
    Ok(if standbys.is_empty() {
        let advice = "no synchronous_standby_names: a failover may lose the last acknowledged records";
        Finding::warn("database", format!("{text}; {advice}"))
    } else {
        Finding::ok("database", format!("{text}, with synchronous standbys"))
    })
}

async fn room(connection: &mut PgConnection, options: &Options) -> Result<Finding, sqlx::Error> {
    let sql = "
        select current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
            (select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid())";
    let row = sqlx::query(sql).fetch_one(connection).await?;
    let (all, taken): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let needed = i64::from(options.readers) + i64::from(options.lanes) + CONNECTIONS_BESIDE;
    let text = format!("{taken} of {all} are taken, a node takes {needed}");
    Ok(if all - taken >= needed {
        Finding::ok("connections", text)
    } else {
        let advice = "another node will not find room: raise max_connections, or lower --readers or --lanes";
        Finding::warn("connections", format!("{text}; {advice}"))
    })
}

async fn clock(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let mut best: Option<(Duration, u64)> = None;
    for _ in 0..ROUND_TRIPS {
        let (begun, before) = (Instant::now(), now());
        let there: i64 = sqlx::query_scalar("select (extract(epoch from clock_timestamp()) * 1000)::bigint")
            .fetch_one(&mut *connection)
            .await?;
        let round_trip = begun.elapsed();
        let half = u64::try_from(round_trip.as_millis() / 2).unwrap_or(u64::MAX);
        let apart = there.unsigned_abs().abs_diff(before + half);
        if best.is_none_or(|(shortest, _)| round_trip < shortest) {
            best = Some((round_trip, apart));
        }
    }
    let (round_trip, apart) = best.expect("there was at least one round trip");
    let text = format!("{apart} ms from the database's; a round trip takes {:.2} ms", round_trip.as_secs_f64() * 1e3);
    Ok(if Duration::from_millis(apart) > CLOCKS_APART {
        Finding::warn("clock", format!("{text}: have both machines keep time by NTP"))
    } else if round_trip > ROUND_TRIP_SLOW {
        Finding::warn("clock", format!("{text}: every acknowledgement waits for one; run the node nearer to it"))
    } else {
        Finding::ok("clock", text)
    })
}
