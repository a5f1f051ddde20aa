//! Connections: what each session is set to, whatever the server's own settings say.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::PgPool;
use sqlx::Row;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgPoolOptions;
use tokio::time::timeout;

/// How long a call waits for a free connection, or for a new one: the better part of its patience is for the call itself.
const ACQUIRE_MAX: Duration = Duration::from_secs(2);

/// How long the lane waits for a new connection: shorter, since what it writes was waiting already.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// A connection that was idle for longer is asked whether it is still there before it is used.
const TRUSTED: Duration = Duration::from_secs(1);

/// How long a connection that is given back may take to say how it is.
const RELEASE_MAX: Duration = Duration::from_secs(1);

/// A paused or vanished node holds no lock for longer than five seconds: neither in a statement, nor between two, nor
/// with an answer that nobody takes. `synchronous_commit` is pinned, so that it cannot be turned off under an open
/// session; where the administrator asks for more than `on`, it stays.
const SESSION: &str = "
    set default_transaction_isolation = 'read committed';
    set default_transaction_read_only = off;
    set statement_timeout = '4s';
    set lock_timeout = '4s';
    set idle_in_transaction_session_timeout = '5s';
    set tcp_user_timeout = '5s';
    set tcp_keepalives_idle = 5;
    set tcp_keepalives_interval = 1;
    set tcp_keepalives_count = 5;
    set jit = off;
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'off' then 'on' when 'local' then 'on' else current_setting('synchronous_commit') end, false);
    select case when current_setting('server_version_num')::integer >= 140000
        then set_config('client_connection_check_interval', '1s', false) end";

/// For the migrations, which take as long as they take.
const MIGRATION: &str = "
    set client_min_messages = warning;
    set default_transaction_isolation = 'read committed';
    set default_transaction_read_only = off;
    set statement_timeout = 0;
    set lock_timeout = 0;
    set idle_in_transaction_session_timeout = 0";

/// The lane runs one function whose plans are known: through the primary keys, however small the tables were when it
/// was planned and however large they are by now.
const LANE: &str = "
    set enable_seqscan = off;
    set enable_hashjoin = off;
    set enable_mergejoin = off;
    set plan_cache_mode = force_generic_plan";

/// A vacuum that waits for the table for longer than a second would end one of the server's own that is at work on it
/// (`deadlock_timeout`). That it runs without pauses is the server's default for a vacuum that somebody asks for.
const VACUUM: &str = "
    set statement_timeout = 0;
    set lock_timeout = '500ms';
    set vacuum_cost_delay = 0";

/// The pool, with one connection made.
pub(super) async fn pool(options: PgConnectOptions, connections: u32) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_MAX)
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > TRUSTED {
                    let answer = timeout(RELEASE_MAX, connection.ping()).await;
                    return Ok(matches!(answer, Ok(Ok(()))));
                }
                Ok(true)
            })
        })
        // A call that was cut short may leave a transaction open, in which the next would write without ever committing
        // (sqlx issue 4393). `rollback` would do, but outside of a transaction the server logs a warning each time; in
        // one, `now()` is the time of its beginning. (Asked as a simple query: else each of its messages has a time.)
        .after_release(|connection, _| {
            Box::pin(async move {
                let asked = sqlx::raw_sql("select now() = statement_timestamp()").fetch_all(connection);
                let Ok(Ok(rows)) = timeout(RELEASE_MAX, asked).await else { return Ok(false) };
                rows.first().map_or(Ok(false), |row| row.try_get(0))
            })
        })
        .connect_with(options)
        .await
}

/// The connections that tell and listen, made when they are needed. What they tell is a hint: it need not reach the disk.
pub(super) fn herald(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(ACQUIRE_MAX)
        .after_connect(|connection, _| {
            Box::pin(async move {
                prepare(connection).await?;
                sqlx::raw_sql("set synchronous_commit = off").execute(connection).await.map(drop)
            })
        })
        .connect_lazy_with(options)
}

/// A connection for a lane.
pub(super) async fn lane(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connect = async {
        let mut connection = options.connect().await?;
        prepare(&mut connection).await?;
        sqlx::raw_sql(LANE).execute(&mut connection).await?;
        Ok(connection)
    };
    timeout(CONNECT_MAX, connect).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// A connection for vacuuming: it takes as long as it takes, but waits for nobody for long.
pub(super) async fn vacuum(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connect = async {
        let mut connection = options.connect().await?;
        prepare(&mut connection).await?;
        sqlx::raw_sql(VACUUM).execute(&mut connection).await?;
        Ok(connection)
    };
    timeout(CONNECT_MAX, connect).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// A connection for looking at the server, and for migrations.
pub(super) async fn first(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::raw_sql(MIGRATION).execute(&mut connection).await?;
    Ok(connection)
}

/// Sets up a session. Refused on a standby: the address may lead to another server than it did before.
async fn prepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(SESSION).execute(&mut *connection).await?;
    let rows: Vec<bool> = sqlx::query_scalar("select pg_is_in_recovery()").fetch_all(connection).await?;
    if rows == [true] {
        return Err(sqlx::Error::Configuration("the database is a standby in recovery".into()));
    }
    Ok(())
}
