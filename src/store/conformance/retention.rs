//! Retention: the log start moves first, batches go later in slices, offsets are never given again.

use std::time::Duration;

use crate::model::time;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::store::conformance::bench::Bench;
use crate::store::conformance::bench::bases;
use crate::store::conformance::bench::run;
use crate::store::conformance::bench::run_at;
use crate::store::conformance::bench::write;
use crate::store::contract::Stocked;

pub(in crate::store) async fn the_start_moves_up_only(mut bench: Bench) {
    let topic = bench.topic("a", 2).await;
    let here = topic.partition(0);
    assert_eq!(bench.advance_start(here, 9).await.expect("moved"), 0, "never past the high watermark");
    bench.put(here, &["a", "b", "c"]).await;
    bench.put(here, &["d"]).await;
    assert_eq!(bench.advance_start(here, 2).await.expect("moved"), 2, "into the middle of a batch");
    assert_eq!(bench.advance_start(here, 1).await.expect("moved"), 2, "never down");
    assert_eq!(bench.span(here).await, (2, 4));
    assert_eq!(bench.all(here, 2).await[0].0, 0, "the batch stays whole");
    bench.reopen().await;
    assert_eq!(bench.advance_start(here, 0).await.expect("moved"), 2);
    assert_eq!(bench.advance_start(here, u64::MAX >> 12).await.expect("moved"), 4);
    assert_eq!(bench.span(here).await, (4, 4));
    assert_eq!(bench.put(here, &["e"]).await, 4);
    assert_eq!(bench.span(here).await, (4, 5));
    assert_eq!(bench.span(topic.partition(1)).await, (0, 0), "its neighbour");
    assert_eq!(bench.advance_start(topic.partition(2), 3).await.expect("moved"), 0, "there is none");
}

fn limits(ms: Option<u64>, bytes: Option<u64>) -> Retention {
    Retention { ms, bytes }
}

pub(in crate::store) async fn age_keeps_what_is_young(bench: Bench) {
    let here = bench.topic("a", 1).await.partition(0);
    let until = async |ms, now| bench.expired_until(here, limits(Some(ms), None), now).await.expect("asked");
    assert_eq!(until(0, time::now() + 1000).await, None, "an empty log");
    // What clients say of the time does not count.
    bench.append(vec![write([run_at(here, &[("a", u64::MAX >> 16), ("b", 1)])])]).await.expect("appended");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between = time::now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    bench.put(here, &["c"]).await;
    assert_eq!(until(0, between).await, Some(2));
    assert_eq!(until(5_000, between + 5_000).await, Some(2));
    assert_eq!(until(5_000, between).await, None);
    assert_eq!(until(u64::MAX, between).await, None);
    assert_eq!(until(0, time::now() + 60_000).await, Some(3), "all of it: the high watermark");
    assert_eq!(bench.expired_until(here, limits(None, None), u64::MAX >> 12).await.expect("asked"), None);
    bench.advance_start(here, 2).await.expect("moved");
    assert_eq!(until(0, between).await, None, "it is gone already");
    bench.advance_start(here, 3).await.expect("moved");
    assert_eq!(until(0, time::now() + 60_000).await, None);
}

pub(in crate::store) async fn bytes_keep_at_least_the_limit(bench: Bench) {
    let here = bench.topic("a", 1).await.partition(0);
    for i in 0..10_usize {
        bench.put(here, &["x".repeat(10 * i).as_str(), "y"]).await;
    }
    let sizes: Vec<u64> = {
        let batches = bench.store.read(here, 0, usize::MAX).await.expect("read");
        batches.iter().map(|batch| batch.bytes().len() as u64).collect()
    };
    let total: u64 = sizes.iter().sum();
    for start in [0, 3, 8] {
        bench.advance_start(here, start).await.expect("moved");
        if start == 8 {
            while bench.purge(here, 1 << 20).await.expect("purged") {}
        }
        for limit in (1..total + 20).step_by(3) {
            // Drop batches from the front as long as what is left is not below the limit.
            let mut first = 0;
            while first + 1 < sizes.len() && sizes[first + 1..].iter().sum::<u64>() >= limit {
                first += 1;
            }
            let expected = 2 * first as u64;
            let until = bench.expired_until(here, limits(None, Some(limit)), 0).await.expect("asked");
            assert_eq!(until, (expected > start).then_some(expected), "limit {limit} from {start}");
        }
    }
    // Whichever limit allows more.
    let both = bench.expired_until(here, limits(Some(0), Some(total)), time::now() + 60_000).await.expect("asked");
    assert_eq!(both, Some(20));
}

pub(in crate::store) async fn a_limit_of_no_bytes_keeps_the_newest_batch(bench: Bench) {
    let here = bench.topic("a", 1).await.partition(0);
    let until = async || bench.expired_until(here, limits(None, Some(0)), 0).await.expect("asked");
    assert_eq!(until().await, None);
    bench.put(here, &["a"]).await;
    assert_eq!(until().await, None);
    bench.put(here, &["b", "c"]).await;
    bench.put(here, &["d", "e"]).await;
    assert_eq!(until().await, Some(3));
    bench.advance_start(here, 5).await.expect("moved");
    assert_eq!(until().await, None);
}

async fn purge(bench: &Bench, partition: PartitionId, bytes_max: u64) -> u32 {
    let mut turns = 1;
    while bench.purge(partition, bytes_max).await.expect("purged") {
        turns += 1;
    }
    turns
}

pub(in crate::store) async fn purges_come_in_slices_and_offsets_go_on(mut bench: Bench) {
    let topic = bench.topic("a", 2).await;
    let (here, other) = (topic.partition(0), topic.partition(1));
    for i in 0..600 {
        let flushed = bench.append(vec![write([run(here, &["v", "w"]), run(other, &["o"])])]).await.expect("appended");
        assert_eq!(bases(&flushed), [[2 * i, i]]);
    }
    assert_eq!(purge(&bench, here, 1 << 20).await, 1, "nothing lies below the start");
    bench.advance_start(here, 20).await.expect("moved");
    let size = bench.store.read(here, 20, 1).await.expect("read")[0].bytes().len() as u64;
    assert!(purge(&bench, here, 2 * size).await >= 5, "two batches a turn");
    assert_eq!(bench.all(here, 0).await[0].0, 20, "the rest is there");
    bench.advance_start(here, 1200).await.expect("moved");
    assert!(purge(&bench, here, u64::MAX).await > 1, "a turn is bounded whatever the bytes");
    assert!(bench.all(here, 0).await.is_empty());
    assert_eq!(bench.span(here).await, (1200, 1200));
    bench.reopen().await;
    assert_eq!(bench.span(here).await, (1200, 1200), "an empty log keeps its high watermark");
    assert!(bench.all(here, 1200).await.is_empty());
    assert_eq!(bench.put(here, &["anew"]).await, 1200, "no offset is given twice");
    assert_eq!(bench.all(here, 1200).await, [(1200, "anew".to_owned())]);
    assert_eq!(bench.span(other).await, (0, 600));
    assert_eq!(bench.all(other, 0).await.len(), 600, "its neighbour");
}

pub(in crate::store) async fn a_purge_spares_the_batch_that_holds_the_start(bench: Bench) {
    let here = bench.topic("a", 1).await.partition(0);
    bench.put(here, &["a", "b"]).await;
    bench.put(here, &["c", "d", "e"]).await;
    bench.advance_start(here, 4).await.expect("moved");
    purge(&bench, here, 1 << 20).await;
    assert_eq!(bench.all(here, 0).await, [(2, "c".to_owned()), (3, "d".to_owned()), (4, "e".to_owned())]);
    assert_eq!(bench.span(here).await, (4, 5));
}

pub(in crate::store) async fn what_deleted_topics_left_goes(mut bench: Bench) {
    let (a, b, stays) = (bench.topic("a", 40).await, bench.topic("b", 1).await, bench.topic("stays", 1).await);
    assert!(!bench.purge_deleted_topics(1 << 20).await.expect("purged"), "none is deleted");
    for _ in 0..10 {
        let writes = (0..40).map(|p| write([run(a.partition(p), &["v"])])).collect();
        bench.append(writes).await.expect("appended");
    }
    bench.put(b.partition(0), &["b"]).await;
    bench.put(stays.partition(0), &["s"]).await;
    bench.advance_start(a.partition(3), 2).await.expect("moved");
    bench.delete_topic(a.id).await.expect("deleted");
    bench.delete_topic(b.id).await.expect("deleted");
    bench.reopen().await;
    let mut turns = 1;
    while bench.purge_deleted_topics(2000).await.expect("purged") {
        turns += 1;
    }
    assert!(turns > 4, "a turn is bounded");
    let left = bench.partitions_with_batches(None, 9).await.expect("asked");
    assert_eq!(left, [Stocked { id: stays.partition(0), has_dropped: false }]);
    assert!(bench.all_bounds(a.id).await.expect("asked").is_empty());
    assert_eq!(bench.all(stays.partition(0), 0).await, [(0, "s".to_owned())]);
}
