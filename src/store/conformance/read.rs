//! Reading: batches by offset, bounds, seeks by time, sweeps.

use crate::model::topic::LogBounds;
use crate::model::topic::PartitionId;
use crate::store::conformance::bench::Bench;
use crate::store::conformance::bench::run;
use crate::store::conformance::bench::run_at;
use crate::store::conformance::bench::write;
use crate::store::contract::Stocked;
use crate::store::contract::Write;

pub(in crate::store) async fn reading_begins_with_the_batch_that_holds_the_offset(bench: Bench) {
    let topic = bench.topic("a", 2).await;
    let here = topic.partition(0);
    assert!(bench.store.read(here, 0, 100).await.expect("read").is_empty(), "nothing was written");
    for values in [&["a", "b", "c"][..], &["d"], &["e", "f"]] {
        bench.put(here, values).await;
        bench.put(topic.partition(1), &["other"]).await;
    }
    let bases = async |from| {
        let batches = bench.store.read(here, from, usize::MAX).await.expect("read");
        batches.iter().map(|batch| batch.base_offset).collect::<Vec<_>>()
    };
    assert_eq!(bases(0).await, [0, 3, 4]);
    assert_eq!(bases(2).await, [0, 3, 4]);
    assert_eq!(bases(3).await, [3, 4]);
    assert_eq!(bases(5).await, [4]);
    assert!(bases(6).await.is_empty(), "the end");
    assert!(bases(1 << 52).await.is_empty(), "past the end");
}

pub(in crate::store) async fn reading_stops_at_the_byte_budget(bench: Bench) {
    let here = bench.topic("a", 1).await.partition(0);
    for _ in 0..10 {
        bench.put(here, &["0123456789"]).await;
    }
    let one = bench.store.read(here, 0, 0).await.expect("read");
    assert_eq!(one.len(), 1, "one at least");
    let size = one[0].bytes().len();
    let count = async |bytes_max| bench.store.read(here, 4, bytes_max).await.expect("read").len();
    assert_eq!(count(1).await, 1);
    assert_eq!(count(2 * size).await, 2);
    assert_eq!(count(2 * size + 1).await, 3, "about as many");
    assert_eq!(count(100 * size).await, 6);
    let batches = bench.store.read(here, 4, 3 * size).await.expect("read");
    assert!(batches.windows(2).all(|pair| pair[0].next_offset() == pair[1].base_offset));
    // Connections are as good as new after a read that stopped early.
    for from in 0..10 {
        assert_eq!(bench.store.read(here, from, 1).await.expect("read")[0].base_offset, from);
    }
}

async fn bytes(bench: &Bench, partition: PartitionId, from: u64) -> u64 {
    let batches = bench.store.read(partition, from, usize::MAX).await.expect("read");
    batches.iter().map(|batch| batch.bytes().len() as u64).sum()
}

pub(in crate::store) async fn bounds_tell_start_end_and_bytes(mut bench: Bench) {
    let topic = bench.topic("a", 2).await;
    let here = topic.partition(0);
    assert_eq!(bench.bounds(here).await.expect("asked"), Some(LogBounds::default()));
    assert_eq!(bench.bounds(topic.partition(2)).await.expect("asked"), None);
    for values in [&["a", "bb"][..], &["ccc"], &["dddd", "e", "f"]] {
        bench.put(here, values).await;
        bench.put(topic.partition(1), &["elsewhere"]).await;
    }
    // From each start on, before and after what lies below is gone, and after a reopen.
    for start in 0..=6 {
        let kept = if start == 6 { 0 } else { bytes(&bench, here, start).await };
        bench.advance_start(here, start).await.expect("moved");
        let expected = LogBounds { log_start_offset: start, high_watermark: 6, bytes: kept };
        assert_eq!(bench.bounds(here).await.expect("asked"), Some(expected), "before the purge");
        while bench.purge(here, 1).await.expect("purged") {}
        assert_eq!(bench.bounds(here).await.expect("asked"), Some(expected), "after the purge");
        bench.reopen().await;
        assert_eq!(bench.bounds(here).await.expect("asked"), Some(expected), "after a reopen");
    }
    bench.put(here, &["anew"]).await;
    let expected = LogBounds { log_start_offset: 6, high_watermark: 7, bytes: bytes(&bench, here, 6).await };
    assert_eq!(bench.bounds(here).await.expect("asked"), Some(expected));
}

pub(in crate::store) async fn bounds_of_all_partitions_that_were_written(bench: Bench) {
    let (topic, other) = (bench.topic("a", 200).await, bench.topic("b", 3).await);
    assert!(bench.all_bounds(topic.id).await.expect("asked").is_empty());
    bench.put(other.partition(1), &["x"]).await;
    for partition in [199, 3, 57, 0] {
        bench.put(topic.partition(partition), &["a", "b"]).await;
        bench.put(topic.partition(partition), &["c"]).await;
    }
    bench.advance_start(topic.partition(57), 1).await.expect("moved");
    bench.advance_start(topic.partition(3), 3).await.expect("moved");
    while bench.purge(topic.partition(3), 1 << 20).await.expect("purged") {}
    let all = bench.all_bounds(topic.id).await.expect("asked");
    assert_eq!(all.iter().map(|(partition, _)| *partition).collect::<Vec<_>>(), [0, 3, 57, 199]);
    for (partition, bounds) in all {
        assert_eq!(bench.bounds(topic.partition(partition)).await.expect("asked"), Some(bounds));
    }
    assert_eq!(bench.all_bounds(other.id).await.expect("asked").len(), 1);
}

pub(in crate::store) async fn seeks_find_the_first_batch_in_time(mut bench: Bench) {
    let topic = bench.topic("a", 2).await;
    let here = topic.partition(0);
    assert_eq!(bench.seek_time(here, 0).await.expect("sought"), None);
    // Clients' clocks: out of order within batches and across them.
    let batches: [&[u64]; 8] = [&[50, 10], &[20], &[90, 30], &[40], &[60, 70], &[90], &[100, 5, 200], &[7]];
    let mut times: Vec<u64> = Vec::new();
    for batch in batches {
        bench.reopen().await; // what a batch carries on from the one before must not hang on memory
        let values: Vec<(&str, u64)> = batch.iter().map(|time| ("v", *time)).collect();
        bench.append(vec![Write { runs: vec![run_at(here, &values)], idempotency: None }]).await.expect("appended");
        bench.append(vec![write([run_at(topic.partition(1), &[("v", 1 << 40)])])]).await.expect("appended");
        times.extend(batch);
    }
    for start in 0..=times.len() {
        bench.advance_start(here, start as u64).await.expect("moved");
        if start % 3 == 2 {
            while bench.purge(here, 1 << 20).await.expect("purged") {}
        }
        for time in 0..=210 {
            let expected = (start..times.len()).find(|at| times[*at] >= time);
            let found = bench.seek_time(here, time).await.expect("sought");
            let holds =
                |at: usize| found.as_ref().is_some_and(|b| (b.base_offset..b.next_offset()).contains(&(at as u64)));
            assert_eq!(found.is_some(), expected.is_some(), "time {time} from {start}");
            assert!(expected.is_none_or(holds), "time {time} from {start}: {found:?}");
        }
    }
}

pub(in crate::store) async fn seeks_pass_over_what_was_trimmed(bench: Bench) {
    let here = bench.topic("a", 1).await.partition(0);
    bench.append(vec![write([run_at(here, &[("far ahead", 1000), ("x", 1)])])]).await.expect("appended");
    for time in 10..40 {
        bench.append(vec![write([run_at(here, &[("v", time)])])]).await.expect("appended");
    }
    let base = async |time| bench.seek_time(here, time).await.expect("sought").map(|batch| batch.base_offset);
    assert_eq!(base(20).await, Some(0));
    // The record that was ahead goes, its batch stays: the log begins with `x`.
    bench.advance_start(here, 1).await.expect("moved");
    assert_eq!(base(20).await, Some(12));
    assert_eq!(base(0).await, Some(0));
    bench.advance_start(here, 5).await.expect("moved");
    while bench.purge(here, 1 << 20).await.expect("purged") {}
    assert_eq!(base(0).await, Some(5));
    assert_eq!(base(39).await, Some(31));
    assert_eq!(base(40).await, None);
}

pub(in crate::store) async fn sweeps_find_every_partition(bench: Bench) {
    let (a, b, c) = (bench.topic("a", 300).await, bench.topic("b", 1).await, bench.topic("c", 20).await);
    let mut expected = Vec::new();
    for partition in [a.partition(0), a.partition(1), a.partition(255), a.partition(299), b.partition(0)] {
        expected.push(partition);
    }
    expected.extend((0..20).map(|partition| c.partition(partition)));
    for partition in &expected {
        bench.append(vec![write([run(*partition, &["a"])])]).await.expect("appended");
        bench.append(vec![write([run(*partition, &["b"])])]).await.expect("appended");
    }
    for limit in [1, 2, 7, 100] {
        let mut seen: Vec<PartitionId> = Vec::new();
        loop {
            let page = bench.partitions_with_batches(seen.last().copied(), limit).await.expect("asked");
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            assert!(page.iter().all(|stocked| !stocked.has_dropped));
            seen.extend(page.iter().map(|stocked| stocked.id));
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
    let next = async || bench.partitions_with_batches(Some(a.partition(299)), 1).await.expect("asked")[0];
    let b_0 = |has_dropped| Stocked { id: b.partition(0), has_dropped };
    bench.advance_start(b.partition(0), 1).await.expect("moved");
    assert_eq!(next().await, b_0(true), "the first batch waits to be deleted");
    while bench.purge(b.partition(0), 1 << 20).await.expect("purged") {}
    assert_eq!(next().await, b_0(false));
    // Those whose batches are all gone are passed over.
    bench.advance_start(b.partition(0), 2).await.expect("moved");
    while bench.purge(b.partition(0), 1 << 20).await.expect("purged") {}
    assert_eq!(next().await, Stocked { id: c.partition(0), has_dropped: false });
}

pub(in crate::store) async fn everything_survives_a_reopen(mut bench: Bench) {
    let topic = bench.topic("a", 3).await;
    bench.put(topic.partition(0), &["a", "b"]).await;
    bench.put(topic.partition(2), &["c"]).await;
    bench.advance_start(topic.partition(0), 1).await.expect("moved");
    let before = bench.all_bounds(topic.id).await.expect("asked");
    bench.reopen().await;
    assert_eq!(bench.store.topic(&topic.name).await.expect("asked"), Some(topic.clone()));
    assert_eq!(bench.all_bounds(topic.id).await.expect("asked"), before);
    assert_eq!(bench.all(topic.partition(0), 1).await, [(0, "a".to_owned()), (1, "b".to_owned())]);
    assert_eq!(bench.all(topic.partition(2), 0).await, [(0, "c".to_owned())]);
    let with = bench.partitions_with_batches(None, 9).await.expect("asked");
    let stocked = |number| Stocked { id: topic.partition(number), has_dropped: false };
    assert_eq!(with, [stocked(0), stocked(2)], "the start lies within a batch");
}
