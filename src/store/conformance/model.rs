//! The store against a model: any order of appends, trims, purges and reopens gives what a list of records would.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;

use crate::model::topic::PartitionId;
use crate::model::topic::Topic;
use crate::store::conformance::bench::Bench;
use crate::store::conformance::bench::Open;
use crate::store::conformance::bench::bases;
use crate::store::conformance::bench::run;
use crate::store::conformance::bench::values;
use crate::store::contract::Write;

/// Partitions in play.
const PARTITIONS: u32 = 3;

/// Each case opens databases and waits for their disk, so few.
const CASES: u32 = 24;

#[derive(Debug, Clone)]
enum Step {
    /// The writes of one flush: for each, how many records go to which partitions.
    Append(Vec<Vec<(u32, usize)>>),
    /// Moves a log start to so many hundredths of what the partition ever held, and a bit beyond.
    Advance(u32, u64),
    /// One turn of a purge.
    Purge(u32, u64),
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    let write = vec((0..PARTITIONS, 1..5_usize), 1..4);
    prop_oneof![
        6 => vec(write, 1..5).prop_map(Step::Append),
        3 => (0..PARTITIONS, prop_oneof![0..100_u64, Just(110)]).prop_map(|(partition, hundredths)| Step::Advance(partition, hundredths)),
        3 => (0..PARTITIONS, prop_oneof![1..300_u64, Just(1 << 20)]).prop_map(|(partition, bytes_max)| Step::Purge(partition, bytes_max)),
        2 => Just(Step::Reopen),
    ]
}

/// What one partition must hold.
#[derive(Debug, Default)]
struct Log {
    start: u64,
    records: Vec<String>,
}

/// Runs the model against the store that `open` opens.
pub(in crate::store) fn holds(open: Open) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(any_step(), 1..25), |steps| {
        runtime.block_on(async {
            let mut bench = Bench::new(open).await;
            let topic = bench.topic("model", PARTITIONS).await;
            let mut logs: HashMap<PartitionId, Log> = HashMap::new();
            for step in steps {
                take(&mut bench, &topic, &mut logs, step).await;
                for partition in 0..PARTITIONS {
                    check(&bench, topic.partition(partition), &logs).await;
                }
            }
            bench.close().await;
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

async fn take(bench: &mut Bench, topic: &Topic, logs: &mut HashMap<PartitionId, Log>, step: Step) {
    match step {
        Step::Append(counts) => {
            let mut writes = Vec::new();
            let mut expected = Vec::new();
            for counts in counts {
                let (mut runs, mut bases) = (Vec::new(), Vec::new());
                for (number, count) in counts {
                    let log = logs.entry(topic.partition(number)).or_default();
                    let base = log.records.len();
                    bases.push(base as u64);
                    log.records.extend((base..base + count).map(|i| format!("record {i} of partition {number}")));
                    let new: Vec<&str> = log.records[base..].iter().map(String::as_str).collect();
                    runs.push(run(topic.partition(number), &new));
                }
                writes.push(Write { runs, idempotency: None });
                expected.push(bases);
            }
            assert_eq!(bases(&bench.append(writes).await.expect("appended")), expected);
        }
        Step::Advance(number, hundredths) => {
            let log = logs.entry(topic.partition(number)).or_default();
            let end = log.records.len() as u64;
            let to = end * hundredths / 100;
            log.start = log.start.max(to.min(end));
            assert_eq!(bench.advance_start(topic.partition(number), to).await.expect("moved"), log.start);
        }
        Step::Purge(number, bytes_max) => {
            bench.purge(topic.partition(number), bytes_max).await.expect("purged");
        }
        Step::Reopen => bench.reopen().await,
    }
}

async fn check(bench: &Bench, partition: PartitionId, logs: &HashMap<PartitionId, Log>) {
    let empty = Log::default();
    let log = logs.get(&partition).unwrap_or(&empty);
    let end = log.records.len() as u64;
    assert_eq!(bench.span(partition).await, (log.start, end));
    for from in [log.start, log.start.midpoint(end), end] {
        let batches = bench.store.read(partition, from, usize::MAX).await.expect("read");
        let read: Vec<_> = values(&batches).into_iter().filter(|(offset, _)| *offset >= from).collect();
        let expected = (from..end).map(|offset| (offset, log.records[usize::try_from(offset).expect("small")].clone()));
        assert_eq!(read, expected.collect::<Vec<_>>());
        if from == log.start && from < end {
            let bytes: u64 = batches.iter().map(|batch| batch.bytes().len() as u64).sum();
            assert_eq!(bench.bounds(partition).await.expect("asked").map(|bounds| bounds.bytes), Some(bytes));
        }
    }
}
