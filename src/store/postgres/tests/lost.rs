//! Answers that are lost, statements that come late, servers that go away and come back.

use std::time::Duration;
use std::time::Instant;

use sqlx::Row;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::TopicConfig;
use crate::store::Options;
use crate::store::conformance::bench::run;
use crate::store::conformance::bench::values;
use crate::store::conformance::bench::write;
use crate::store::contract::Appended;
use crate::store::contract::Idempotency;
use crate::store::contract::LogStore;
use crate::store::contract::Refused;
use crate::store::contract::TopicStore;
use crate::store::contract::Upkeep;
use crate::store::contract::Write;
use crate::store::error::StoreError;
use crate::store::postgres::database::Postgres;
use crate::store::postgres::tests::place::Place;
use crate::store::postgres::tests::place::execute;
use crate::store::postgres::tests::place::fresh;
use crate::store::postgres::tests::place::node;
use crate::store::postgres::tests::place::put;
use crate::store::postgres::tests::place::raw;
use crate::store::postgres::tests::place::topic;
use crate::store::postgres::tests::proxy::Mode;
use crate::store::postgres::tests::proxy::Proxy;

/// How long a call may take, whatever happens.
const CALL_MAX: Duration = Duration::from_secs(5);

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

async fn behind_proxy(place: &Place, options: &Options) -> (Proxy, Postgres) {
    let (proxy, url) = Proxy::to(&place.url).await;
    (proxy, node(&url, options).await)
}

async fn texts(store: &Postgres, partition: PartitionId) -> Vec<String> {
    let read = values(&store.read(partition, 0, usize::MAX).await.expect("read"));
    assert!(read.iter().zip(0..).all(|((offset, _), expected)| *offset == expected), "dense");
    read.into_iter().map(|(_, text)| text).collect()
}

/// Asks again until it works.
async fn eventually<T>(mut call: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    let begun = Instant::now();
    loop {
        match call().await {
            Ok(done) => return done,
            Err(error) => assert!(begun.elapsed() < CALL_MAX, "{error}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_out() {
    let (_directory, options, place, store) = fresh().await;
    let [here, there, ..] = topic(&store, "a").await;
    let (proxy, store) = behind_proxy(&place, &options).await;
    put(&store, here, "before").await.expect("appended");
    proxy.set(Mode::LoseAnswer);
    let key = Idempotency { digest: [1; 32], fingerprint: [1; 32], receipt: vec![] };
    let keyed = Write { runs: vec![run(there, &["a", "b"]), run(here, &["c"])], idempotency: Some(key) };
    let writes = vec![write([run(here, &["d"])]), keyed.clone()];
    let flushed = store.append(writes).await.expect("it is in, and that is found out");
    let taken = |bases: &[u64]| Ok(Appended { base_offsets: bases.to_vec() });
    assert_eq!(flushed.outcomes, [taken(&[1]), taken(&[0, 2])]);
    assert_eq!(flushed.batches, {
        let mut read = store.read(here, 1, 1).await.expect("read");
        read.extend(store.read(there, 0, 1).await.expect("read"));
        read
    });
    assert_eq!(put(&store, here, "after").await.expect("appended"), 3);
    assert_eq!(texts(&store, here).await, ["before", "d", "c", "after"]);
    let again = store.append(vec![keyed]).await.expect("asked");
    assert!(matches!(&again.outcomes[0], Err(Refused::Replayed(replay)) if replay.runs == [(there, 0), (here, 2)]));
}

#[tokio::test]
async fn a_statement_that_comes_late_is_shut_out() {
    let (_directory, options, place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    let (proxy, store) = behind_proxy(&place, &options).await;
    put(&store, here, "before").await.expect("appended");
    proxy.set(Mode::Hold);
    assert_eq!(put(&store, here, "held back").await.expect("written by another connection"), 1);
    let answer = proxy.release().await;
    assert!(answer.contains("TG004"), "{answer}");
    assert_eq!(put(&store, here, "after").await.expect("appended"), 2);
    assert_eq!(texts(&store, here).await, ["before", "held back", "after"]);
}

#[tokio::test]
async fn silence_is_answered_in_time_and_work_goes_on_after_it() {
    let (_directory, options, place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    let (proxy, store) = behind_proxy(&place, &options).await;
    put(&store, here, "before").await.expect("appended");
    proxy.set(Mode::Silent);
    let (begun, name) = (Instant::now(), "b".parse().expect("a name"));
    let (written, read, made) = tokio::join!(
        timeout(CALL_MAX, put(&store, here, "lost")),
        timeout(CALL_MAX, store.read(here, 0, 1)),
        timeout(
            CALL_MAX,
            store.create_topic(&name, TopicConfig { partition_count: 1, retention: Retention::default() })
        ),
    );
    assert!(matches!(written.expect("in time"), Err(StoreError::Unresolved(_))));
    assert!(matches!(read.expect("in time"), Err(StoreError::Unavailable(_))));
    assert!(matches!(made.expect("in time"), Err(StoreError::Unresolved(_) | StoreError::Unavailable(_))));
    // Who comes later does not wait as long.
    let late = timeout(Duration::from_secs(4), put(&store, here, "late")).await.expect("in time");
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?} after {:?}", begun.elapsed());
    proxy.set(Mode::Pass);
    assert_eq!(eventually(async || put(&store, here, "after").await).await, 1);
    eventually(async || store.read(here, 0, 1).await).await;
    assert_eq!(texts(&store, here).await, ["before", "after"]);
    store.close().await;
}

async fn terminate(place: &Place) {
    let sql = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'", place.name);
    execute(&mut raw("postgres").await, sql).await;
}

#[tokio::test]
async fn sessions_that_were_ended_are_made_anew() {
    let (_directory, _options, place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    for round in 0..5 {
        assert_eq!(put(&store, here, "v").await.expect("appended"), round);
        terminate(&place).await;
    }
    assert_eq!(eventually(async || store.bounds(here).await).await.expect("there").high_watermark, 5);
    assert_eq!(texts(&store, here).await.len(), 5);
}

#[tokio::test]
async fn a_database_that_is_away_is_an_answer_and_its_return_is_noticed() {
    let (_directory, _options, place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    put(&store, here, "before").await.expect("appended");
    let mut server = raw("postgres").await;
    execute(&mut server, format!("alter database {} allow_connections false", place.name)).await;
    terminate(&place).await;
    // The first may have been under way when its session ended: after that, nothing is in doubt.
    let first = timeout(CALL_MAX, put(&store, here, "lost")).await.expect("in time");
    assert!(matches!(first, Err(StoreError::Unresolved(_) | StoreError::Unavailable(_))), "{first:?}");
    for _ in 0..50 {
        let away = timeout(CALL_MAX, put(&store, here, "lost")).await.expect("in time");
        assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    }
    assert!(matches!(timeout(CALL_MAX, store.ping()).await.expect("in time"), Err(StoreError::Unavailable(_))));
    execute(&mut server, format!("alter database {} allow_connections true", place.name)).await;
    assert_eq!(eventually(async || put(&store, here, "after").await).await, 1);
    eventually(async || store.ping().await).await;
    assert_eq!(texts(&store, here).await, ["before", "after"]);
}

/// Nothing is sent to a server that went away while there was nothing to write: so nothing is in doubt.
#[tokio::test]
async fn after_a_silence_nothing_is_in_doubt() {
    let (_directory, _options, place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    put(&store, here, "before").await.expect("appended");
    let mut server = raw("postgres").await;
    execute(&mut server, format!("alter database {} allow_connections false", place.name)).await;
    terminate(&place).await;
    store.lanes[0].lock().await.be_silent_since(Duration::from_secs(2));
    let begun = Instant::now();
    assert!(matches!(put(&store, here, "lost").await, Err(StoreError::Unavailable(_))));
    assert!(begun.elapsed() < Duration::from_secs(3));
    execute(&mut server, format!("alter database {} allow_connections true", place.name)).await;
    assert_eq!(eventually(async || put(&store, here, "after").await).await, 1);
}

#[tokio::test]
async fn a_lane_whose_row_was_forgotten_gets_another() {
    let (_directory, _options, place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    put(&store, here, "before").await.expect("appended");
    execute(&mut raw(&place.name).await, "delete from lanes").await;
    assert_eq!(put(&store, here, "after").await.expect("appended"), 1);
    execute(&mut raw(&place.name).await, "update lanes set touched_at = 0").await;
    let mut looking = raw(&place.name).await;
    let forgotten = async {
        let sql = "select count(*) from lanes";
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut looking).await.expect("counted") > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        taken = timeout(PATIENCE, forgotten) => taken.expect("it is taken for one of a node that is gone"),
        () = store.run_upkeep() => panic!("it goes on"),
    }
    assert_eq!(put(&store, here, "after").await.expect("appended"), 2);
}

/// What is given back in order is used again.
#[tokio::test]
async fn connections_are_kept() {
    let (_directory, _options, _place, store) = fresh().await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let (mut connection, _) = store.connection().await.expect("there is one");
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *connection).await.expect("asked");
        seen.insert(pid);
    }
    assert!(seen.len() <= 2, "{seen:?}");
}

/// What a dropped call leaves on its connection must not swallow the next one's commit (sqlx issue 4393).
#[tokio::test]
async fn a_call_that_was_cut_short_leaves_no_transaction_behind() {
    let (_directory, options, place, store) = fresh().await;
    for begin in ["begin", "begin; select 1", "begin; select 1 / 0"] {
        let (mut left, _) = store.connection().await.expect("there is one");
        let _ = sqlx::raw_sql(begin).execute(&mut *left).await;
        drop(left);
        let next = [store.connection().await.expect("there is one"), store.connection().await.expect("another")];
        for (mut connection, _) in next {
            let asked = sqlx::raw_sql("select now() = statement_timestamp()").fetch_one(&mut *connection).await;
            assert!(asked.expect("asked").get::<bool, _>(0), "{begin}");
        }
    }
    // Calls cut short anywhere, up to twice what one takes here: whatever was answered is there.
    let config = TopicConfig { partition_count: 1, retention: Retention::default() };
    let begun = Instant::now();
    store.create_topic(&"uncut".parse().expect("a name"), config).await.expect("made");
    let step = begun.elapsed() / 100;
    let mut answered = Vec::new();
    for number in 0..200_u32 {
        let name = format!("t{number}").parse().expect("a name");
        let call = store.create_topic(&name, config);
        if let Ok(done) = timeout(step * number, call).await {
            done.expect("made");
            answered.push(name);
        }
    }
    assert!(!answered.is_empty() && answered.len() < 200, "{}", answered.len());
    let (_, other) = behind_proxy(&place, &options).await;
    for name in answered {
        assert!(other.topic(&name).await.expect("asked").is_some(), "{name}");
    }
    let idle = "select count(*) from pg_stat_activity
        where datname = current_database() and state like 'idle in transaction%'";
    let mut raw = raw(&place.name).await;
    let begun = Instant::now();
    while sqlx::query_scalar::<_, i64>(idle).fetch_one(&mut raw).await.expect("asked") > 0 {
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}
