//! Append: dense offsets, one batch per partition and flush, all of a write or nothing.

use crate::model::topic::PartitionId;
use crate::model::topic::TopicId;
use crate::store::conformance::bench::Bench;
use crate::store::conformance::bench::bases;
use crate::store::conformance::bench::run;
use crate::store::conformance::bench::values;
use crate::store::conformance::bench::write;
use crate::store::contract::Appended;
use crate::store::contract::Refused;

pub(in crate::store) async fn offsets_are_dense(mut bench: Bench) {
    let topic = bench.topic("a", 2).await;
    let (here, there) = (topic.partition(0), topic.partition(1));
    assert_eq!(bench.put(here, &["a", "b"]).await, 0);
    assert_eq!(bench.put(here, &["c"]).await, 2);
    assert_eq!(bench.put(there, &["x"]).await, 0);
    bench.reopen().await;
    assert_eq!(bench.put(here, &["d"]).await, 3);
    let expected = ["a", "b", "c", "d"].map(String::from);
    assert_eq!(bench.all(here, 0).await, (0..).zip(expected).collect::<Vec<_>>());
    assert_eq!(bench.all(there, 0).await, [(0, "x".to_owned())]);
    assert_eq!(bench.span(here).await, (0, 4));
}

pub(in crate::store) async fn writes_to_one_partition_become_one_batch(bench: Bench) {
    let topic = bench.topic("a", 1).await;
    let here = topic.partition(0);
    bench.put(here, &["first"]).await;
    let writes = vec![write([run(here, &["a", "b"])]), write([run(here, &["c"])]), write([run(here, &["d", "e"])])];
    let flushed = bench.append(writes).await.expect("appended");
    assert_eq!(bases(&flushed), [[1], [3], [4]]);
    let [batch] = &flushed.batches[..] else { panic!("one batch") };
    assert_eq!((batch.partition, batch.base_offset, batch.next_offset()), (here, 1, 6));
    let read = bench.store.read(here, 1, 1).await.expect("read");
    assert_eq!(read, flushed.batches, "what readers of the flush get is what lies in the log");
    let expected = ["a", "b", "c", "d", "e"].map(String::from);
    assert_eq!(values(&read), (1..).zip(expected).collect::<Vec<_>>());
}

pub(in crate::store) async fn a_write_spans_partitions_and_topics(bench: Bench) {
    let (a, b) = (bench.topic("a", 2).await, bench.topic("b", 1).await);
    bench.put(b.partition(0), &["0", "1", "2"]).await;
    let writes = vec![
        write([run(a.partition(1), &["x"]), run(b.partition(0), &["y", "z"]), run(a.partition(0), &["w"])]),
        write([run(b.partition(0), &["q"]), run(a.partition(1), &["r"])]),
    ];
    let flushed = bench.append(writes).await.expect("appended");
    assert_eq!(bases(&flushed), [vec![0, 3, 0], vec![5, 1]]);
    assert_eq!(flushed.batches.len(), 3);
    assert_eq!(bench.all(a.partition(1), 0).await, [(0, "x".to_owned()), (1, "r".to_owned())]);
    assert_eq!(bench.all(b.partition(0), 5).await[0], (3, "y".to_owned()), "the batch begins before");
    assert_eq!(bench.span(a.partition(0)).await, (0, 1));
}

pub(in crate::store) async fn unknown_partitions_are_refused_whole(bench: Bench) {
    let topic = bench.topic("a", 1).await;
    let (here, beyond) = (topic.partition(0), topic.partition(1));
    let nowhere = PartitionId { topic: TopicId(77), partition: 0 };
    let writes = vec![
        write([run(here, &["a"])]),
        write([run(here, &["lost"]), run(beyond, &["lost"])]),
        write([run(nowhere, &["lost"])]),
        write([run(here, &["b"])]),
    ];
    let flushed = bench.append(writes).await.expect("appended");
    let taken = |base| Ok(Appended { base_offsets: vec![base] });
    let refused = |partition| Err(Refused::UnknownPartition(partition));
    assert_eq!(flushed.outcomes, [taken(0), refused(beyond), refused(nowhere), taken(1)]);
    assert_eq!(flushed.batches.len(), 1);
    assert_eq!(bench.all(here, 0).await, [(0, "a".to_owned()), (1, "b".to_owned())]);
    assert_eq!(bench.bounds(beyond).await.expect("asked"), None);
    assert!(bench.store.read(beyond, 0, 1).await.expect("asked").is_empty());
}

pub(in crate::store) async fn a_deleted_topic_takes_nothing_but_its_neighbours_do(bench: Bench) {
    let (gone, stays) = (bench.topic("gone", 1).await, bench.topic("stays", 1).await);
    bench.put(gone.partition(0), &["a"]).await;
    bench.delete_topic(gone.id).await.expect("deleted");
    let writes = vec![
        write([run(gone.partition(0), &["late"])]),
        write([run(stays.partition(0), &["b"])]),
        write([run(stays.partition(0), &["late"]), run(gone.partition(0), &["late"])]),
    ];
    let flushed = bench.append(writes).await.expect("appended");
    let refused = || Err(Refused::UnknownPartition(gone.partition(0)));
    assert_eq!(flushed.outcomes, [refused(), Ok(Appended { base_offsets: vec![0] }), refused()]);
    assert_eq!(bench.all(stays.partition(0), 0).await, [(0, "b".to_owned())]);
}

pub(in crate::store) async fn flushes_of_many_batches_are_whole(bench: Bench) {
    let topic = bench.topic("many", 300).await;
    let mut expected = 0;
    for count in [1, 63, 64, 65, 128, 129, 201, 300] {
        let text = count.to_string();
        let writes = (0..count).map(|p| write([run(topic.partition(p), &[&text, "2"])])).collect();
        let flushed = bench.append(writes).await.expect("appended");
        assert_eq!(flushed.batches.len(), count as usize);
        assert_eq!(bases(&flushed)[0], [expected]);
        expected += 2;
        let bounds = bench.all_bounds(topic.id).await.expect("asked");
        assert_eq!(bounds.len(), count as usize, "every partition up to here has been written");
        let last = bench.all(topic.partition(count - 1), 0).await;
        assert_eq!(last.last().map(|(_, value)| value.as_str()), Some("2"));
        assert!(last.iter().any(|(_, value)| *value == text));
    }
}

pub(in crate::store) async fn an_empty_flush_does_nothing(bench: Bench) {
    let flushed = bench.append(Vec::new()).await.expect("nothing to do");
    assert!(flushed.outcomes.is_empty() && flushed.batches.is_empty());
}
