//! What is SQLite's own: the lock, settings and schema at the start, damage, a full disk, query plans, the file's size.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::Row;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::TopicConfig;
use crate::store::Options;
use crate::store::conformance::bench::Opened;
use crate::store::conformance::bench::bases;
use crate::store::conformance::bench::options;
use crate::store::conformance::bench::run;
use crate::store::conformance::bench::values;
use crate::store::conformance::bench::write;
use crate::store::conformance::conformance;
use crate::store::contract::Creation;
use crate::store::contract::Idempotency;
use crate::store::contract::LogStore;
use crate::store::contract::Refused;
use crate::store::contract::TopicStore;
use crate::store::contract::Upkeep;
use crate::store::contract::Write;
use crate::store::error::StoreError;
use crate::store::open_error::OpenError;
use crate::store::sqlite::Sqlite;
use crate::store::sqlite::keys;
use crate::store::sqlite::open;
use crate::store::sqlite::purge;
use crate::store::sqlite::read;
use crate::store::sqlite::topics;
use crate::store::sqlite::writer;

fn open_sqlite(options: Options) -> std::pin::Pin<Box<dyn Future<Output = Opened>>> {
    Box::pin(async move { Opened { store: Arc::new(Sqlite::open(&options).await.expect("opened")), place: None } })
}

conformance!(conforms, crate::store::sqlite::tests::open_sqlite);

pub(super) async fn fresh() -> (TempDir, Options, Sqlite) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let options = options(&place);
    let store = Sqlite::open(&options).await.expect("opened");
    (place, options, store)
}

pub(super) async fn partition(store: &Sqlite, name: &str) -> PartitionId {
    let config = TopicConfig { partition_count: 2, retention: Retention::default() };
    let Ok(Creation::Created(topic)) = store.create_topic(&name.parse().expect("a name"), config).await else {
        panic!("not made");
    };
    topic.partition(0)
}

async fn put(store: &Sqlite, partition: PartitionId, text: &str) -> Result<u64, StoreError> {
    store.append(vec![write([run(partition, &[text])])]).await.map(|flushed| bases(&flushed)[0][0])
}

/// A connection of someone else.
pub(super) async fn raw(options: &Options) -> SqliteConnection {
    let file = options.data_dir.join("tidegate.db");
    SqliteConnectOptions::new().filename(file).connect().await.expect("connected")
}

pub(super) async fn execute(connection: &mut SqliteConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.expect(sql);
}

/// Runs a text on the store's own writing connection.
async fn on_writer(store: &Sqlite, sql: String) {
    let mut writer = store.writer.lock().await;
    let connection = &mut writer.as_mut().expect("open").connection;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.expect("done");
}

#[tokio::test]
async fn a_directory_is_one_processs_own() {
    let (_place, options, store) = fresh().await;
    let second = Sqlite::open(&options).await;
    assert!(matches!(second, Err(OpenError::Locked(directory)) if directory == options.data_dir));
    store.close().await;
    Sqlite::open(&options).await.expect("closing lets go of it").close().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (_place, options, store) = fresh().await;
    store.close().await;
    let mut other = raw(&options).await;
    execute(
        &mut other,
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9000, 'from the future', true, x'00', 1)",
    )
    .await;
    other.close().await.expect("closed");
    assert!(matches!(Sqlite::open(&options).await, Err(OpenError::Newer(9000))));
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_not_overwritten() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let options = options(&place);
    std::fs::create_dir_all(&options.data_dir).expect("made");
    let file = options.data_dir.join("tidegate.db");
    let text = "not a database, but something dear to its owner. ".repeat(200);
    std::fs::write(&file, &text).expect("written");
    assert!(matches!(Sqlite::open(&options).await, Err(OpenError::File(named, _)) if named == file));
    assert_eq!(std::fs::read_to_string(&file).expect("read"), text);
}

#[tokio::test]
async fn every_spoiled_setting_is_refused() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let spoiled = [
        ("journal_mode", "delete"),
        ("synchronous", "normal"),
        ("foreign_keys", "off"),
        ("mmap_size", "1048576"),
        ("busy_timeout", "1"),
        ("wal_autocheckpoint", "1000"),
    ];
    for (setting, value) in spoiled {
        let file = place.path().join(setting);
        let connect = open::connect_options(&file).pragma("wal_autocheckpoint", "0");
        let mut connection = connect.connect().await.expect("connected");
        open::check_settings(&mut connection).await.expect("all is well");
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("pragma {setting} = {value}")))
            .execute(&mut connection)
            .await
            .expect("spoiled");
        let refusal = open::check_settings(&mut connection).await;
        assert!(matches!(refusal, Err(OpenError::Setting { setting: named, .. }) if named == setting), "{setting}");
    }
}

#[tokio::test]
async fn damage_is_an_error_and_never_other_data() {
    let (_place, options, store) = fresh().await;
    let (here, other) = (partition(&store, "a").await, partition(&store, "b").await);
    for text in ["first", "second", "third"] {
        put(&store, here, text).await.expect("appended");
        put(&store, other, text).await.expect("appended");
    }
    let mut raw = raw(&options).await;
    let flip = "update batches set payload =
            cast(substr(payload, 1, 20) || char(1) || substr(payload, 22) as blob)
        where topic_id = 1 and base_offset = 1";
    execute(&mut raw, flip).await;
    let corrupt = async |from| matches!(store.read(here, from, usize::MAX).await, Err(StoreError::Corrupt(_)));
    assert!(corrupt(0).await && corrupt(1).await);
    assert!(matches!(store.seek_time(here, 0).await, Ok(Some(batch)) if batch.base_offset == 0));
    assert_eq!(values(&store.read(here, 0, 1).await.expect("it stops before")), [(0, "first".to_owned())]);
    assert_eq!(values(&store.read(here, 2, 1).await.expect("it begins behind")), [(2, "third".to_owned())]);
    assert_eq!(store.read(other, 0, usize::MAX).await.expect("intact").len(), 3);
    // A hole is damage, too.
    execute(&mut raw, "delete from batches where topic_id = 1 and base_offset = 1").await;
    assert!(corrupt(0).await);
    assert_eq!(put(&store, here, "fourth").await.expect("appended"), 3);
}

fn keyed(runs: Vec<crate::model::batch::Run>, key: u8) -> Write {
    let idempotency = Idempotency { digest: [key; 32], fingerprint: [key; 32], receipt: vec![key] };
    Write { runs, idempotency: Some(idempotency) }
}

/// A bound on the file's pages stands in for the disk: SQLite gives the same result code for both.
#[tokio::test]
async fn a_full_disk_takes_nothing_and_room_is_used_again() {
    let (_place, options, store) = fresh().await;
    let (here, other) = (partition(&store, "a").await, partition(&store, "b").await);
    put(&store, here, "before").await.expect("appended");
    on_writer(&store, "pragma max_page_count = 1".into()).await; // no fewer than there are
    let big = "x".repeat(100_000);
    for _ in 0..3 {
        assert!(matches!(put(&store, here, &big).await, Err(StoreError::Full)), "one statement");
        let write = keyed(vec![run(other, &["small"]), run(here, &[&big])], 1);
        assert!(matches!(store.append(vec![write]).await, Err(StoreError::Full)), "a transaction");
    }
    assert_eq!(store.bounds(other).await.expect("asked").expect("a partition").high_watermark, 0);
    assert_eq!(values(&store.read(here, 0, usize::MAX).await.expect("reads go on")), [(0, "before".to_owned())]);
    // No transaction was left open: others can write at once.
    let mut raw = raw(&options).await;
    execute(&mut raw, "pragma busy_timeout = 0").await;
    execute(&mut raw, "begin immediate; rollback").await;
    on_writer(&store, "pragma max_page_count = 1000000".into()).await;
    let flushed = store.append(vec![keyed(vec![run(other, &["small"]), run(here, &[&big])], 1)]).await;
    assert_eq!(bases(&flushed.expect("there is room")), [[0, 1]]);
    let again = store.append(vec![keyed(vec![run(other, &["small"]), run(here, &[&big])], 1)]).await.expect("asked");
    assert!(matches!(again.outcomes[..], [Err(Refused::Replayed(_))]));
    assert_eq!(put(&store, here, "after").await.expect("appended"), 2);
    let sound: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&mut raw).await.expect("checked");
    assert_eq!(sound, "ok");
}

/// Cuts the log from under the store, so that whatever it wants from there is an i/o error.
pub(super) async fn break_files(store: &Sqlite, options: &Options) {
    let log = std::fs::OpenOptions::new().write(true).open(options.data_dir.join("tidegate.db-wal")).expect("opened");
    on_writer(store, "pragma shrink_memory".into()).await;
    log.set_len(0).expect("cut");
}

#[tokio::test]
async fn after_an_io_error_nothing_is_written_any_more() {
    for call in 0..7 {
        let (_place, options, store) = fresh().await;
        let here = partition(&store, "a").await;
        put(&store, here, "before").await.expect("appended");
        break_files(&store, &options).await;
        let name = "b".parse().expect("a name");
        let config = TopicConfig { partition_count: 2, retention: Retention::default() };
        let first = match call {
            0 => put(&store, here, "a").await.map(drop),
            1 => store.configure_topic(here.topic, config).await.map(drop),
            2 => store.delete_topic(here.topic).await.map(drop),
            3 => store.advance_start(here, 1).await.map(drop),
            4 => store.purge(here, 1).await.map(drop),
            5 => store.purge_deleted_topics(1).await.map(drop),
            _ => store.purge_idempotency_keys(1).await.map(drop),
        };
        let unknown = |done: Result<(), StoreError>| matches!(done, Err(StoreError::Indefinite(_)));
        assert!(unknown(first.clone()), "call {call}: {first:?}");
        assert!(unknown(put(&store, here, "a").await.map(drop)));
        assert!(unknown(store.create_topic(&name, config).await.map(drop)));
        assert!(unknown(store.delete_topic(here.topic).await.map(drop)));
        assert!(unknown(store.purge(here, 1).await.map(drop)));
        store.close().await;
    }
}

/// What readers meet is no unknown outcome: they write nothing.
#[tokio::test]
async fn an_io_error_of_a_reader_is_passing() {
    let (_place, options, store) = fresh().await;
    let here = partition(&store, "a").await;
    put(&store, here, "before").await.expect("appended");
    break_files(&store, &options).await;
    assert!(matches!(store.read(here, 0, 1).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_purged_topic_leaves_no_row() {
    let (_place, options, store) = fresh().await;
    let here = partition(&store, "a").await;
    for text in ["a", "b", "c"] {
        put(&store, here, text).await.expect("appended");
    }
    store.advance_start(here, 2).await.expect("moved");
    assert!(store.delete_topic(here.topic).await.expect("deleted"));
    while store.purge_deleted_topics(1).await.expect("purged") {}
    let sql =
        "select (select count(*) from topics) + (select count(*) from log_starts) + (select count(*) from batches)";
    let rows: i64 = sqlx::query_scalar(sql).fetch_one(&mut raw(&options).await).await.expect("counted");
    assert_eq!(rows, 0);
}

pub(super) async fn plan(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("explain query plan {sql}"));
    let rows = sqlx::query(explain).fetch_all(connection).await.expect("a plan");
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

#[tokio::test]
async fn no_query_reads_a_table_from_end_to_end() {
    let (_place, options, store) = fresh().await;
    let mut connection = raw(&options).await;
    let by_offset = [
        read::BATCHES,
        read::BOUNDS,
        read::ALL_BOUNDS,
        read::REACHED,
        read::TIMELY,
        read::YOUNG,
        read::WITHIN,
        read::PARTITIONS,
        writer::HEAD,
        purge::BELOW_START,
        purge::DELETE_UP_TO,
        purge::LEFT_BEHIND,
        purge::DELETE_LEFT_BEHIND,
    ];
    let others = [purge::DELETED_TOPIC, topics::BY_NAME, topics::LIST, keys::PURGE];
    // Tables that a query makes of the few rows it is about may be read whole.
    let made = ["SCAN place", "SCAN written", "SCAN known", "SCAN (subquery", "SCAN CONSTANT"];
    for sql in by_offset.into_iter().chain(others) {
        let plan = plan(&mut connection, sql).await;
        let indexed = |line: &str| line.contains("USING COVERING INDEX") || line.contains("USING INDEX");
        let ordered = [topics::LIST, purge::DELETED_TOPIC, keys::PURGE].contains(&sql);
        for line in plan.iter().filter(|line| line.starts_with("SCAN")) {
            let allowed = made.iter().any(|made| line.starts_with(made)) || ordered && indexed(line);
            assert!(allowed || sql == keys::PURGE, "{line}\nin the plan of {sql}\n{plan:#?}");
        }
        if by_offset.contains(&sql) {
            assert!(plan.iter().any(|line| line.contains("batches_by_offset")), "{sql}\n{plan:#?}");
        }
        if sql == read::PARTITIONS {
            assert!(plan.iter().any(|line| line.contains("(topic_id=? AND partition>?)")), "{plan:#?}");
        }
        if ![read::ALL_BOUNDS, read::PARTITIONS].contains(&sql) {
            assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{sql}\n{plan:#?}");
        }
    }
    store.close().await;
}

fn size(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).expect("listed");
    files.map(|file| file.expect("a file").metadata().expect("its size").len()).sum()
}

#[tokio::test]
async fn the_file_stays_small_over_ten_turnovers() {
    const KEPT: u64 = 4 << 20;
    let (_place, options, store) = fresh().await;
    let here = partition(&store, "a").await;
    let value = "x".repeat(64 << 10);
    let mut written = 0;
    let work = async {
        while written < 10 * KEPT {
            put(&store, here, &value).await.expect("appended");
            written += value.len() as u64;
            let retention = Retention { ms: None, bytes: Some(KEPT) };
            if let Some(until) = store.expired_until(here, retention, 0).await.expect("asked") {
                store.advance_start(here, until).await.expect("moved");
                while store.purge(here, 8 << 20).await.expect("purged") {}
            }
        }
    };
    tokio::select! { () = work => {}, () = store.run_upkeep() => panic!("upkeep ends with the store") }
    let bytes = store.bounds(here).await.expect("asked").expect("a partition").bytes;
    assert!((KEPT..KEPT + (128 << 10)).contains(&bytes), "{bytes}");
    let all = size(&options.data_dir);
    assert!(all < KEPT + KEPT / 2 + (64 << 20), "{all}");
    store.close().await;
    let all = size(&options.data_dir);
    assert!(all < 2 * KEPT, "without the write-ahead log: {all}");
}

/// Writes 30 MiB to a partition; returns the size of the write-ahead log.
async fn fill(store: &Sqlite, options: &Options, partition: PartitionId) -> u64 {
    let value = "x".repeat(1 << 20);
    for _ in 0..30 {
        put(store, partition, &value).await.expect("appended");
    }
    options.data_dir.join("tidegate.db-wal").metadata().expect("there is one").len()
}

#[tokio::test]
async fn past_its_cap_the_log_is_emptied_by_the_writer() {
    let (_place, options, store) = fresh().await;
    let here = partition(&store, "a").await;
    let log = fill(&store, &options, here).await;
    assert!(log < options.wal_bytes_max + (3 << 20), "{log}");
    store.close().await;
}

#[tokio::test]
async fn after_a_pause_the_log_starts_over() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let options = Options { wal_bytes_max: u64::MAX, ..options(&place) };
    let store = Sqlite::open(&options).await.expect("opened");
    let here = partition(&store, "a").await;
    let work = async {
        fill(&store, &options, here).await;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _idle = store.checkpointer.lock().await;
            if store.uncopied_bytes.load(Ordering::Relaxed) == 0 {
                break;
            }
        }
        fill(&store, &options, here).await
    };
    let log = tokio::select! {
        log = work => log,
        () = store.run_upkeep() => panic!("upkeep ends with the store"),
    };
    assert!(log < 45 << 20, "{log}");
    store.close().await;
}
