//! Databases for tests: one for each directory of options, made when it is first asked for, dropped with its last user.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::Weak;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use sqlx::AssertSqlSafe;
use sqlx::ConnectOptions;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::TopicConfig;
use crate::store::Options;
use crate::store::PostgresUrl;
use crate::store::conformance::bench::bases;
use crate::store::conformance::bench::options;
use crate::store::conformance::bench::run;
use crate::store::conformance::bench::write;
use crate::store::contract::Creation;
use crate::store::contract::LogStore;
use crate::store::contract::TopicStore;
use crate::store::error::StoreError;
use crate::store::postgres::database::Postgres;

static PLACES: LazyLock<Mutex<HashMap<PathBuf, Weak<Place>>>> = LazyLock::new(Mutex::default);

static MADE: AtomicU32 = AtomicU32::new(0);

/// A database.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) url: PostgresUrl,
}

/// The address of a database of the server that the tests use.
fn url(database: &str) -> String {
    let server = std::env::var("TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!(
            "this test needs a PostgreSQL: run ./test.sh, which starts one, or set TEST_POSTGRES_URL, such as \
             postgres://user:password@127.0.0.1:5432/postgres, to one where databases can be made"
        )
    });
    let (server, query) = server.split_once('?').unwrap_or((&server, ""));
    let (server, _) = server.rsplit_once('/').expect("TEST_POSTGRES_URL names a database");
    format!("{server}/{database}?{query}")
}

/// A connection of someone else.
pub(super) async fn raw(database: &str) -> PgConnection {
    let options: PgConnectOptions = url(database).parse().expect("TEST_POSTGRES_URL is a URL");
    options.connect().await.expect("TEST_POSTGRES_URL answers")
}

pub(super) async fn execute(connection: &mut PgConnection, sql: impl Into<String>) {
    let sql = sql.into();
    sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(connection).await.expect(&sql);
}

impl Place {
    /// The database that belongs to these options.
    pub(super) async fn of(options: &Options) -> Arc<Self> {
        let known = PLACES.lock().expect("nobody panics in it").get(&options.data_dir).and_then(Weak::upgrade);
        if let Some(place) = known {
            return place;
        }
        let name = format!("tidegate_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        execute(&mut raw("postgres").await, format!("create database {name}")).await;
        let url = url(&name).parse().expect("a URL");
        let place = Arc::new(Self { name, url });
        PLACES.lock().expect("nobody panics in it").insert(options.data_dir.clone(), Arc::downgrade(&place));
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let name = self.name.clone();
        // Not on the test's own runtime, which is about to end.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                execute(&mut raw("postgres").await, format!("drop database {name} with (force)")).await;
            });
        });
        if dropped.join().is_err() {
            eprintln!("{} could not be dropped", self.name);
        }
    }
}

/// An empty store.
pub(super) async fn fresh() -> (TempDir, Options, Arc<Place>, Postgres) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = options(&directory);
    let place = Place::of(&options).await;
    let store = Postgres::open(&place.url, &options).await.expect("opened");
    (directory, options, place, store)
}

/// A further node on the same database, with a data directory of its own.
pub(super) async fn node(place: &PostgresUrl, options: &Options) -> Postgres {
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let options = Options { data_dir: options.data_dir.join(format!("node{number}")), ..options.clone() };
    Postgres::open(place, &options).await.expect("opened")
}

/// A topic with four partitions.
pub(super) async fn topic(store: &Postgres, name: &str) -> [PartitionId; 4] {
    let config = TopicConfig { partition_count: 4, retention: Retention::default() };
    let Ok(Creation::Created(topic)) = store.create_topic(&name.parse().expect("a name"), config).await else {
        panic!("not made");
    };
    [0, 1, 2, 3].map(|number| topic.partition(number))
}

pub(super) async fn put(store: &Postgres, partition: PartitionId, text: &str) -> Result<u64, StoreError> {
    store.append(vec![write([run(partition, &[text])])]).await.map(|flushed| bases(&flushed)[0][0])
}
