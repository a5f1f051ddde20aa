//! Keeping the logs short: one node at a time, by the database's clock, and in the space that is there.

use std::time::Duration;
use std::time::Instant;

use sqlx::PgConnection;
use tokio::time::sleep;

use crate::model::time;
use crate::model::topic::Retention;
use crate::store::contract::LogStore;
use crate::store::contract::Upkeep;
use crate::store::error::StoreError;
use crate::store::postgres::tests::place::execute;
use crate::store::postgres::tests::place::fresh;
use crate::store::postgres::tests::place::node;
use crate::store::postgres::tests::place::put;
use crate::store::postgres::tests::place::raw;
use crate::store::postgres::tests::place::topic;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn one_node_sweeps_until_its_lease_is_over() {
    let (_directory, options, place, one) = fresh().await;
    let other = node(&place.url, &options).await;
    assert!(one.sweep_turn().await.expect("asked").is_some());
    assert_eq!(other.sweep_turn().await.expect("asked"), None);
    let mut raw = raw(&place.name).await;
    // So it stands when a node says nothing for a while, whatever became of its connections.
    execute(&mut raw, "update sweeps set held_until = tidegate_now()").await;
    assert!(other.sweep_turn().await.expect("asked").is_some());
    assert_eq!(one.sweep_turn().await.expect("asked"), None, "it comes back late");
    execute(&mut raw, "update sweeps set held_until = tidegate_now() + 1000").await;
    assert!(other.sweep_turn().await.expect("asked").is_some());
    let left: i64 = sqlx::query_scalar("select held_until - tidegate_now() from sweeps")
        .fetch_one(&mut raw)
        .await
        .expect("one row");
    assert!(left > 1_000, "asking makes it last: {left} ms");
}

/// `tidegate_now()` as it would be on a server whose clock differs from ours by so much.
async fn set_clock(connection: &mut PgConnection, by_ms: i64) {
    let sql = format!(
        "create or replace function tidegate_now() returns bigint language sql volatile as
         $$ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint + {by_ms} $$"
    );
    execute(connection, sql).await;
}

#[tokio::test]
async fn age_is_told_by_the_clock_of_the_database() {
    const HOUR: i64 = 3_600_000;
    let (_directory, _options, place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    let mut raw = raw(&place.name).await;
    let expired = async || -> Result<Option<u64>, StoreError> {
        let now = store.sweep_turn().await?.expect("there is one node");
        store.expired_until(here, Retention { ms: Some(HOUR.unsigned_abs()), bytes: None }, now).await
    };
    set_clock(&mut raw, -48 * HOUR).await;
    put(&store, here, "a").await.expect("appended");
    assert_eq!(expired().await.expect("asked"), None, "by our clock it is two days old");
    set_clock(&mut raw, -46 * HOUR).await;
    assert_eq!(expired().await.expect("asked"), Some(1), "two hours later");
    let now = store.sweep_turn().await.expect("asked").expect("there is one node");
    assert!(now < time::now());
}

#[tokio::test]
async fn what_was_deleted_is_vacuumed_and_its_space_used_again() {
    const BATCH_BYTES: usize = 256 << 10;
    const BATCHES: usize = 128;
    let (_directory, _options, place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    let mut raw = raw(&place.name).await;
    // Nobody else does.
    execute(&mut raw, "alter table batches set (autovacuum_enabled = off, toast.autovacuum_enabled = off)").await;
    let value = "x".repeat(BATCH_BYTES);
    let turns = async {
        for _ in 0..6 {
            let mut end = 0;
            for _ in 0..BATCHES {
                end = put(&store, here, &value).await.expect("appended") + 1;
            }
            store.advance_start(here, end).await.expect("moved");
            while store.purge(here, 8 << 20).await.expect("purged") {}
            let deleted = Instant::now();
            while store.debt.bytes() > 0 {
                assert!(deleted.elapsed() < PATIENCE, "{} bytes are not vacuumed", store.debt.bytes());
                sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::select! { () = turns => {}, () = store.run_upkeep() => panic!("upkeep ends with the store") }
    let size: i64 =
        sqlx::query_scalar("select pg_total_relation_size('batches')").fetch_one(&mut raw).await.expect("a size");
    let turn = (BATCHES * BATCH_BYTES) as i64;
    assert!(size < 2 * turn, "{size} bytes after six turns of {turn}");
}
