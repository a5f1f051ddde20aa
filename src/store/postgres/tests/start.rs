//! The start: what is refused, what each session is set to, and how queries look into tables.

use sqlx::AssertSqlSafe;
use sqlx::Connection;
use sqlx::PgConnection;

use crate::model::topic::PartitionId;
use crate::model::topic::TopicId;
use crate::store::contract::LogStore;
use crate::store::contract::TopicStore;
use crate::store::contract::Upkeep;
use crate::store::error::StoreError;
use crate::store::open_error::OpenError;
use crate::store::postgres::database::Postgres;
use crate::store::postgres::groups;
use crate::store::postgres::keys;
use crate::store::postgres::open::check;
use crate::store::postgres::purge;
use crate::store::postgres::read;
use crate::store::postgres::tests::place::execute;
use crate::store::postgres::tests::place::fresh;
use crate::store::postgres::tests::place::node;
use crate::store::postgres::tests::place::put;
use crate::store::postgres::tests::place::raw;
use crate::store::postgres::tests::place::topic;
use crate::store::postgres::topics;

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (_directory, options, place, store) = fresh().await;
    store.close().await;
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9000, 'from the future', true, ''::bytea, 1)";
    execute(&mut raw(&place.name).await, newer).await;
    assert!(matches!(Postgres::open(&place.url, &options).await, Err(OpenError::Newer(9000))));
}

#[tokio::test]
async fn a_directory_is_one_processs_own() {
    let (_directory, options, place, store) = fresh().await;
    let second = Postgres::open(&place.url, &options).await;
    assert!(matches!(second, Err(OpenError::Locked(directory)) if directory == options.data_dir));
    store.close().await;
    Postgres::open(&place.url, &options).await.expect("closing lets go of it").close().await;
}

#[tokio::test]
async fn two_nodes_can_start_at_once() {
    let (_directory, options, place, store) = fresh().await;
    store.close().await;
    execute(&mut raw(&place.name).await, "drop schema public cascade; create schema public").await;
    let (one, other) = tokio::join!(node(&place.url, &options), node(&place.url, &options));
    let here = topic(&one, "a").await[0];
    assert_eq!(put(&one, here, "a").await.expect("appended"), 0);
    assert_eq!(put(&other, here, "b").await.expect("appended"), 1);
}

#[tokio::test]
async fn a_server_that_may_lose_commits_is_refused() {
    let (_directory, options, place, store) = fresh().await;
    store.close().await;
    let mut connection = raw(&place.name).await;
    check(&mut connection).await.expect("all is well");
    for (value, good) in [("off", false), ("local", false), ("on", true), ("remote_apply", true)] {
        execute(&mut connection, format!("alter database {} set synchronous_commit = {value}", place.name)).await;
        let opened = Postgres::open(&place.url, &options).await;
        match opened {
            Ok(store) => {
                assert!(good, "{value}");
                store.close().await;
            }
            Err(OpenError::Setting { setting: "synchronous_commit", found, .. }) => {
                assert!(!good && found == value, "{value}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    let sql = AssertSqlSafe(format!("select current_setting('{name}')"));
    sqlx::query_scalar(sql).fetch_one(connection).await.expect("a setting")
}

/// Whatever an administrator sets for the database.
#[tokio::test]
async fn each_session_has_the_settings_that_it_needs() {
    let (_directory, options, place, store) = fresh().await;
    store.close().await;
    let odd = [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "statement_timeout = 0",
        "lock_timeout = 0",
        "idle_in_transaction_session_timeout = 0",
    ];
    let mut connection = raw(&place.name).await;
    for odd in odd {
        execute(&mut connection, format!("alter database {} set {odd}", place.name)).await;
    }
    let store = Postgres::open(&place.url, &options).await.expect("opened");
    let here = topic(&store, "a").await[0];
    put(&store, here, "a").await.expect("appended");
    // Turned off under its feet.
    execute(&mut connection, format!("alter database {} set synchronous_commit = off", place.name)).await;
    let mut lane = store.lanes[0].lock().await;
    let (mut pooled, _) = store.connection().await.expect("there is one");
    for connection in [lane.connection().await.expect("there is one"), &mut *pooled] {
        let expected = [
            ("default_transaction_isolation", "read committed"),
            ("default_transaction_read_only", "off"),
            ("statement_timeout", "4s"),
            ("lock_timeout", "4s"),
            ("idle_in_transaction_session_timeout", "5s"),
            ("synchronous_commit", "on"),
            ("application_name", "tidegate"),
        ];
        for (name, expected) in expected {
            assert_eq!(setting(connection, name).await, expected, "{name}");
        }
    }
    let (new, _) = store.connection().await.expect("a new one");
    assert_eq!(setting(&mut new.detach(), "synchronous_commit").await, "on", "also on a new connection");
}

#[tokio::test]
async fn damage_is_an_error_and_never_other_data() {
    let (_directory, _options, place, store) = fresh().await;
    let [here, other, ..] = topic(&store, "a").await;
    for text in ["first", "second", "third"] {
        put(&store, here, text).await.expect("appended");
        put(&store, other, text).await.expect("appended");
    }
    let mut raw = raw(&place.name).await;
    let flip = "update batches set payload = set_byte(payload, 20, 1) where partition = 0 and base_offset = 1";
    execute(&mut raw, flip).await;
    let corrupt = async |from| matches!(store.read(here, from, usize::MAX).await, Err(StoreError::Corrupt(_)));
    assert!(corrupt(0).await && corrupt(1).await);
    assert_eq!(store.read(here, 0, 1).await.expect("it stops before").len(), 1);
    assert_eq!(store.read(here, 2, 1).await.expect("it begins behind").len(), 1);
    assert_eq!(store.read(other, 0, usize::MAX).await.expect("intact").len(), 3);
    // A hole is damage, too.
    execute(&mut raw, "delete from batches where partition = 0 and base_offset = 1").await;
    assert!(corrupt(0).await);
    assert_eq!(put(&store, here, "fourth").await.expect("appended"), 3);
}

#[tokio::test]
async fn a_purged_topic_leaves_no_row() {
    let (_directory, _options, place, store) = fresh().await;
    let [here, there, ..] = topic(&store, "a").await;
    for text in ["a", "b", "c"] {
        put(&store, here, text).await.expect("appended");
        put(&store, there, text).await.expect("appended");
    }
    store.advance_start(here, 2).await.expect("moved");
    assert!(store.delete_topic(here.topic).await.expect("deleted"));
    while store.purge_deleted_topics(1).await.expect("purged") {}
    let sql =
        "select (select count(*) from topics) + (select count(*) from partitions) + (select count(*) from batches)";
    let rows: i64 = sqlx::query_scalar(sql).fetch_one(&mut raw(&place.name).await).await.expect("counted");
    assert_eq!(rows, 0);
}

/// 100,000 partitions cost the row of their topic, until they are written.
#[tokio::test]
async fn partitions_that_were_never_written_have_no_row() {
    let (_directory, _options, place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    let mut raw = raw(&place.name).await;
    let count = async |raw: &mut PgConnection| -> i64 {
        sqlx::query_scalar("select count(*) from partitions").fetch_one(raw).await.expect("counted")
    };
    store.advance_start(here, 1).await.expect("asked");
    assert_eq!(count(&mut raw).await, 0);
    put(&store, here, "a").await.expect("appended");
    assert_eq!(count(&mut raw).await, 1);
}

/// The plan of a query as a prepared statement, where a way through an index is there to be taken: the tables are too
/// small for the planner to take it by itself.
async fn plan(connection: &mut PgConnection, sql: &str) -> String {
    let parameters = (1..).take_while(|number| sql.contains(&format!("${number}"))).count();
    let nulls = vec!["null"; parameters].join(",");
    let nulls = if nulls.is_empty() { nulls } else { format!("({nulls})") };
    execute(connection, "set enable_seqscan = off; set plan_cache_mode = force_generic_plan").await;
    execute(connection, format!("prepare asked as {sql}")).await;
    let explain = AssertSqlSafe(format!("explain execute asked{nulls}"));
    let rows: Vec<String> =
        sqlx::query_scalar(explain).persistent(false).fetch_all(&mut *connection).await.expect("a plan");
    execute(connection, "deallocate asked").await;
    rows.join("\n")
}

#[tokio::test]
async fn no_query_reads_a_table_from_end_to_end() {
    let (_directory, _options, place, store) = fresh().await;
    store.close().await;
    let mut connection = raw(&place.name).await;
    let queries = [
        read::BOUNDS,
        read::ALL_BOUNDS,
        read::REACHED,
        read::TIMELY,
        read::YOUNG,
        read::WITHIN,
        read::PARTITIONS,
        purge::BELOW_START,
        purge::DELETE_UP_TO,
        purge::DELETED_TOPIC,
        purge::CLOSE_PARTITIONS,
        purge::LEFT_BEHIND,
        purge::DELETE_LEFT_BEHIND,
        keys::LOOK_UP,
        keys::PURGE,
        topics::BY_NAME,
        topics::LIST,
        groups::load::BY_NAME,
        groups::load::BY_ID,
        groups::load::MEMBERS,
        groups::load::PARTITIONS,
        groups::read::MEMBERS,
        groups::read::PARTITIONS,
        groups::read::LIST,
        groups::read::LAPSES,
        groups::upkeep::PURGE_MEMBERS,
    ];
    for sql in queries {
        let plan = plan(&mut connection, sql).await;
        assert!(!plan.contains("Seq Scan"), "{sql}\n{plan}");
        assert!(plan.contains("Index"), "{sql}\n{plan}");
    }
    connection.close().await.expect("closed");
}

#[tokio::test]
async fn a_topic_that_is_not_there_has_nothing() {
    let (_directory, _options, _place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    let nowhere = PartitionId { topic: TopicId(here.topic.0 + 1), partition: u32::MAX };
    assert_eq!(store.bounds(nowhere).await.expect("asked"), None);
    assert!(store.read(nowhere, 0, 1).await.expect("asked").is_empty());
    assert_eq!(store.advance_start(nowhere, 1).await.expect("asked"), 0);
}
