//! Several nodes on one database: dense offsets, prefixes for every reader, one copy under one key, no early takeover.

use std::time::Duration;
use std::time::Instant;

use tokio::time::timeout;

use crate::model::batch::Run;
use crate::model::group::Subscription;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::TopicConfig;
use crate::store::Options;
use crate::store::cluster_contract::ClusterStore;
use crate::store::cluster_contract::News;
use crate::store::conformance::bench::run;
use crate::store::conformance::bench::values;
use crate::store::contract::Creation;
use crate::store::contract::Idempotency;
use crate::store::contract::LogStore;
use crate::store::contract::Refused;
use crate::store::contract::TopicStore;
use crate::store::contract::Upkeep;
use crate::store::contract::Write;
use crate::store::error::StoreError;
use crate::store::group_contract::Changed;
use crate::store::group_contract::GroupChange;
use crate::store::group_contract::GroupStore;
use crate::store::group_contract::MemberRun;
use crate::store::postgres::database::Postgres;
use crate::store::postgres::tests::place::Place;
use crate::store::postgres::tests::place::execute;
use crate::store::postgres::tests::place::fresh;
use crate::store::postgres::tests::place::node;
use crate::store::postgres::tests::place::put;
use crate::store::postgres::tests::place::raw;
use crate::store::postgres::tests::place::topic;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

async fn second(place: &Place, options: &Options) -> Postgres {
    node(&place.url, options).await
}

/// Each writer writes to all partitions, each in an order of its own: whoever locked as they come would deadlock.
async fn write_much(store: &Postgres, writer: usize, all: &[PartitionId]) -> Vec<(PartitionId, u64, String)> {
    let mut acknowledged = Vec::new();
    for flush in 0..60 {
        let mut order = all.to_vec();
        fastrand::shuffle(&mut order);
        order.truncate(1 + flush % all.len());
        let text = format!("{writer}/{flush}");
        let runs: Vec<Run> = order.iter().map(|partition| run(*partition, &[&text, "and another"])).collect();
        let flushed = store.append(vec![Write { runs, idempotency: None }]).await.expect("appended");
        let appended = flushed.outcomes[0].as_ref().expect("taken");
        let bases = order.iter().zip(&appended.base_offsets);
        acknowledged.extend(bases.map(|(partition, base)| (*partition, *base, text.clone())));
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reader_sees_a_prefix_whatever_the_writers_do() {
    let (_directory, options, place, one) = fresh().await;
    let (other, third) = (second(&place, &options).await, second(&place, &options).await);
    let all = topic(&one, "a").await;
    let writing =
        async { tokio::join!(write_much(&one, 1, &all), write_much(&other, 2, &all), write_much(&third, 3, &all)) };
    let reading = async {
        let mut seen = [0_u64; 4];
        loop {
            for (next, partition) in seen.iter_mut().zip(&all) {
                let high_watermark = one.bounds(*partition).await.expect("asked").expect("there").high_watermark;
                assert!(high_watermark >= *next, "it never falls");
                let batches = other.read(*partition, *next, usize::MAX).await.expect("read");
                if let Some(first) = batches.first() {
                    assert_eq!(first.base_offset, *next, "nothing is skipped");
                }
                let end = batches.last().map_or(*next, |batch| batch.next_offset());
                assert!(end >= high_watermark, "what one node knows of, the other can read");
                *next = end;
            }
        }
    };
    let (a, b, c) = tokio::select! {
        done = timeout(PATIENCE, writing) => done.expect("in time"),
        () = reading => panic!("readers never end"),
    };
    let acknowledged = [a, b, c].concat();
    let mut records = 0;
    for partition in all {
        let read = values(&third.read(partition, 0, usize::MAX).await.expect("read"));
        assert!(read.iter().zip(0..).all(|((offset, _), expected)| *offset == expected), "dense");
        records += read.len();
        for (_, base, text) in acknowledged.iter().filter(|(of, ..)| *of == partition) {
            assert_eq!(read[usize::try_from(*base).expect("small")].1, *text, "where it was acknowledged");
        }
    }
    assert_eq!(records, 2 * acknowledged.len(), "each once");
}

/// The first appends to a partition make its row: from all sides at once.
#[tokio::test]
async fn first_appends_may_meet() {
    let (_directory, options, place, one) = fresh().await;
    let other = second(&place, &options).await;
    for round in 0..20 {
        let all = topic(&one, &format!("t{round}")).await;
        let write = |order: [usize; 4]| {
            let runs = order.map(|at| run(all[at], &["v"])).to_vec();
            vec![Write { runs, idempotency: None }]
        };
        let (a, b) = tokio::join!(one.append(write([0, 1, 2, 3])), other.append(write([3, 1, 0, 2])));
        a.expect("appended");
        b.expect("appended");
        for partition in all {
            assert_eq!(one.bounds(partition).await.expect("asked").expect("there").high_watermark, 2);
        }
    }
}

#[tokio::test]
async fn twins_under_one_key_are_written_once() {
    let (_directory, options, place, one) = fresh().await;
    let other = second(&place, &options).await;
    let [here, ..] = topic(&one, "a").await;
    for round in 0..30_u8 {
        let write = || {
            let idempotency = Idempotency { digest: [round; 32], fingerprint: [7; 32], receipt: vec![round] };
            let neighbour = Write { runs: vec![run(here, &["neighbour"])], idempotency: None };
            vec![Write { runs: vec![run(here, &["keyed"])], idempotency: Some(idempotency) }, neighbour]
        };
        if round % 2 == 1 {
            // One that has run out is there before.
            let old = format!(
                "insert into idempotency_keys values (decode(repeat('{round:02x}', 32), 'hex'), 0, '', '{{}}', '{{}}', '{{}}', '')"
            );
            execute(&mut raw(&place.name).await, old).await;
        }
        let (a, b) = tokio::join!(one.append(write()), other.append(write()));
        let (a, b) = (a.expect("appended").outcomes, b.expect("appended").outcomes);
        let (winner, loser) = if a[0].is_ok() { (&a, &b) } else { (&b, &a) };
        let base = winner[0].as_ref().expect("one of them is written").base_offsets[0];
        let Err(Refused::Replayed(replay)) = &loser[0] else { panic!("{loser:?}") };
        assert_eq!((&replay.runs[..], &replay.receipt[..]), (&[(here, base)][..], &[round][..]));
        assert!(winner[1].is_ok() && loser[1].is_ok());
        let high_watermark = one.bounds(here).await.expect("asked").expect("there").high_watermark;
        assert_eq!(high_watermark, 3 * u64::from(round + 1));
    }
}

/// What one node deletes, no other writes to; and nothing that is late stays behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_meets_appends_of_another_node() {
    let (_directory, options, place, one) = fresh().await;
    let other = second(&place, &options).await;
    for round in 0..10 {
        let all = topic(&one, &format!("t{round}")).await;
        let appends = async {
            loop {
                for partition in all {
                    let flushed =
                        other.append(vec![Write { runs: vec![run(partition, &["v"])], idempotency: None }]).await;
                    if flushed.expect("appended").outcomes[0] == Err(Refused::UnknownPartition(partition)) {
                        return;
                    }
                }
            }
        };
        let deletes = async {
            while one.bounds(all[round % 4]).await.expect("asked").expect("there").high_watermark == 0 {}
            assert!(one.delete_topic(all[0].topic).await.expect("deleted"));
            while one.purge_deleted_topics(1 << 20).await.expect("purged") {}
        };
        timeout(PATIENCE, async { tokio::join!(appends, deletes) }).await.expect("in time");
    }
    let sql =
        "select (select count(*) from topics) + (select count(*) from partitions) + (select count(*) from batches)";
    let rows: i64 = sqlx::query_scalar(sql).fetch_one(&mut raw(&place.name).await).await.expect("counted");
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn partitions_of_all_nodes_are_bounded_together() {
    let (_directory, options, place, one) = fresh().await;
    let other = second(&place, &options).await;
    let config = TopicConfig { partition_count: 300, retention: Retention::default() };
    let made = futures_util::future::join_all((0..8).map(|number| {
        let store = if number % 2 == 0 { &one } else { &other };
        async move { store.create_topic(&format!("t{number}").parse().expect("a name"), config).await }
    }));
    let made = timeout(PATIENCE, made).await.expect("in time");
    let created = made.iter().filter(|made| matches!(made, Ok(Creation::Created(_)))).count();
    let refused = made.iter().filter(|made| matches!(made, Ok(Creation::TooManyPartitions))).count();
    assert_eq!((created, refused), (3, 5), "at most {}", options.partitions_max);
}

/// A transaction that is under way when somebody looks for lapses may give a lease that ends before that look: the next
/// one has to begin before.
#[tokio::test]
async fn a_look_for_lapses_misses_none_of_a_slow_transaction() {
    let (_directory, options, place, one) = fresh().await;
    let other = second(&place, &options).await;
    let name = "g".parse().expect("a name");
    let group = one.create_group(&name).await.expect("made");
    let change = GroupChange {
        group: group.id,
        version: group.version,
        strategy: group.strategy,
        runs: vec![MemberRun {
            name: "a".parse().expect("a name"),
            epoch: 1,
            subscription: Subscription::Prefix(String::new()),
            lease_ms: 1,
        }],
        left: vec![],
        lapsed: vec![],
        overdue: vec![],
        assigned: vec![],
    };
    // It has to wait for the row of a member, after it has asked for the time.
    let mut in_the_way = raw(&place.name).await;
    execute(&mut in_the_way, "begin; lock table group_members in exclusive mode").await;
    let look = async {
        let waiting = "select count(*) from pg_locks where not granted and relation = 'group_members'::regclass";
        let mut raw = raw(&place.name).await;
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut raw).await.expect("asked") == 0 {}
        let begun = other.lapses(0).await.expect("looked");
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let look = other.lapses(begun.until).await.expect("looked");
        assert!(look.groups.is_empty());
        execute(&mut in_the_way, "rollback").await;
        look.until
    };
    let (changed, until) = tokio::join!(one.change_group(change), look);
    assert_eq!(changed.expect("asked"), Changed::Done);
    let next = other.lapses(until).await.expect("looked");
    assert_eq!(next.groups, [name]);
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_an_answer_and_writes_nothing() {
    let (_directory, _options, place, store) = fresh().await;
    let [here, ..] = topic(&store, "a").await;
    put(&store, here, "before").await.expect("appended");
    let mut in_the_way = raw(&place.name).await;
    execute(&mut in_the_way, "begin; select 1 from partitions for update").await;
    let begun = Instant::now();
    assert!(matches!(put(&store, here, "late").await, Err(StoreError::Unavailable(_))));
    assert!(begun.elapsed() < Duration::from_secs(5));
    execute(&mut in_the_way, "rollback").await;
    assert_eq!(put(&store, here, "after").await.expect("appended"), 1);
    assert_eq!(values(&store.read(here, 0, usize::MAX).await.expect("read")).len(), 2);
}

/// A node that is paused within a transaction, where no other can get past it.
#[tokio::test]
async fn a_paused_node_stands_in_the_way_for_five_seconds_at_most() {
    let (_directory, options, place, one) = fresh().await;
    let other = second(&place, &options).await;
    let name = "g".parse().expect("a name");
    let group = one.create_group(&name).await.expect("made");
    let (mut paused, _) = one.connection().await.expect("there is one");
    let lock = "begin; select 1 from groups for update; select 1 from topic_totals for update";
    sqlx::raw_sql(lock).execute(&mut *paused).await.expect("locked");
    let begun = Instant::now();
    let change = || GroupChange {
        group: group.id,
        version: group.version,
        strategy: group.strategy,
        runs: vec![],
        left: vec![],
        lapsed: vec![],
        overdue: vec![],
        assigned: vec![],
    };
    while other.change_group(change()).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(7));
    }
    topic(&other, "a").await;
    assert!(begun.elapsed() > Duration::from_secs(4), "it was locked");
}

/// As many partitions as a flush can have.
#[tokio::test]
async fn a_flush_of_very_many_partitions_is_one_of_many_milliseconds() {
    let (_directory, options, place, _) = fresh().await;
    let store = node(&place.url, &Options { partitions_max: 1 << 20, ..options }).await;
    let config = TopicConfig { partition_count: 100_000, retention: Retention::default() };
    let Ok(Creation::Created(topic)) = store.create_topic(&"wide".parse().expect("a name"), config).await else {
        panic!("not made");
    };
    let writes = |from: u32| {
        let partitions = (from..from + 4096).map(|number| topic.partition(number));
        partitions.map(|partition| Write { runs: vec![run(partition, &["v"])], idempotency: None }).collect::<Vec<_>>()
    };
    for from in [0, 0, 50_000, 2048] {
        let flushed = store.append(writes(from)).await.expect("appended");
        assert!(flushed.outcomes.iter().all(Result::is_ok));
    }
    let all = store.all_bounds(topic.id).await.expect("asked");
    assert_eq!(all.len(), 2 * 4096 + 2048);
    assert_eq!(all[3000].1.high_watermark, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_closes_while_nobody_takes_what_it_hears() {
    let (_directory, options, place, store) = fresh().await;
    let other = second(&place, &options).await;
    topic(&store, "orders").await;
    let heard = async {
        let tells = async {
            // It may not listen yet: told again until it is heard.
            loop {
                other.herald.topic("orders".parse().expect("a name"));
                tokio::select! {
                    () = other.herald.tell_forever() => {}
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
            }
        };
        tokio::select! {
            news = async {
                loop {
                    let news = store.news().await.expect("heard");
                    if !news.is_empty() {
                        break news;
                    }
                }
            } => news,
            () = tells => unreachable!("it tells for ever"),
        }
    };
    let news = timeout(PATIENCE, heard).await.expect("what is told is heard");
    assert!(matches!(&news[..], [News::Topic(_), ..]), "{news:?}");
    timeout(Duration::from_secs(5), store.close()).await.expect("the connection that listens holds nobody up");
    assert!(store.news().await.is_err(), "it is closed");
    other.close().await;
}
