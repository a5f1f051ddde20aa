//! Idempotency keys: a retry is answered, not written; a key is in the log exactly if its records are.

use crate::model::batch::Run;
use crate::model::time;
use crate::store::conformance::bench::Bench;
use crate::store::conformance::bench::bases;
use crate::store::conformance::bench::run;
use crate::store::conformance::bench::write;
use crate::store::contract::Appended;
use crate::store::contract::Idempotency;
use crate::store::contract::Refused;
use crate::store::contract::Replay;
use crate::store::contract::Write;

fn digest(number: u32) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&number.to_le_bytes());
    digest
}

fn keyed(key: u32, request: u32, runs: Vec<Run>) -> Write {
    let receipt = format!("receipt of {request}").into_bytes();
    let idempotency = Idempotency { digest: digest(key), fingerprint: digest(request), receipt };
    Write { runs, idempotency: Some(idempotency) }
}

async fn one(bench: &Bench, write: Write) -> Result<Appended, Refused> {
    let mut flushed = bench.append(vec![write]).await.expect("appended");
    assert_eq!(flushed.outcomes.len(), 1);
    flushed.outcomes.remove(0)
}

pub(in crate::store) async fn a_retry_gets_the_first_answer(mut bench: Bench) {
    let topic = bench.topic("a", 3).await;
    let (p0, p2) = (topic.partition(0), topic.partition(2));
    bench.put(p2, &["before"]).await;
    let request = || keyed(1, 10, vec![run(p2, &["a", "b"]), run(p0, &["c"])]);
    assert_eq!(one(&bench, request()).await, Ok(Appended { base_offsets: vec![1, 0] }));
    let replay = Replay { runs: vec![(p2, 1), (p0, 0)], receipt: b"receipt of 10".to_vec() };
    assert_eq!(one(&bench, request()).await, Err(Refused::Replayed(replay.clone())));
    bench.put(p0, &["after"]).await;
    bench.reopen().await;
    // The receipt of then is what counts, and a neighbour in the flush is written.
    let mut again = request();
    again.idempotency.as_mut().expect("it has a key").receipt = b"another".to_vec();
    let flushed = bench.append(vec![again, write([run(p0, &["d"])])]).await.expect("appended");
    assert_eq!(flushed.outcomes, [Err(Refused::Replayed(replay)), Ok(Appended { base_offsets: vec![2] })]);
    assert_eq!(flushed.batches.len(), 1);
    assert_eq!((bench.span(p2).await, bench.span(p0).await), ((0, 3), (0, 3)));
}

pub(in crate::store) async fn a_key_with_another_request_is_refused(bench: Bench) {
    let here = bench.topic("a", 1).await.partition(0);
    one(&bench, keyed(1, 10, vec![run(here, &["a"])])).await.expect("taken");
    assert_eq!(one(&bench, keyed(1, 11, vec![run(here, &["b"])])).await, Err(Refused::KeyReused));
    assert!(one(&bench, keyed(2, 10, vec![run(here, &["c"])])).await.is_ok(), "another key, the same request");
    assert_eq!(bench.all(here, 0).await, [(0, "a".to_owned()), (1, "c".to_owned())]);
}

pub(in crate::store) async fn an_expired_key_counts_no_more(mut bench: Bench) {
    let here = bench.topic("a", 1).await.partition(0);
    bench.options.idempotency_ms = 50;
    bench.reopen().await;
    one(&bench, keyed(1, 10, vec![run(here, &["a"])])).await.expect("taken");
    tokio::time::sleep(std::time::Duration::from_millis(80)).await;
    assert_eq!(one(&bench, keyed(1, 11, vec![run(here, &["b"])])).await, Ok(Appended { base_offsets: vec![1] }));
    bench.options.idempotency_ms = 86_400_000;
    bench.reopen().await;
    assert_eq!(one(&bench, keyed(1, 10, vec![run(here, &["a"])])).await, Err(Refused::KeyReused), "the new one holds");
}

pub(in crate::store) async fn a_key_goes_with_its_topic(mut bench: Bench) {
    let (gone, stays) = (bench.topic("gone", 1).await, bench.topic("stays", 1).await);
    let runs = || vec![run(stays.partition(0), &["a"]), run(gone.partition(0), &["b"])];
    one(&bench, keyed(1, 10, runs())).await.expect("taken");
    one(&bench, keyed(2, 20, vec![run(stays.partition(0), &["c"])])).await.expect("taken");
    bench.delete_topic(gone.id).await.expect("deleted");
    bench.reopen().await;
    assert_eq!(one(&bench, keyed(1, 10, runs())).await, Err(Refused::UnknownPartition(gone.partition(0))));
    let anew = bench.topic("gone", 1).await;
    let retried = one(&bench, keyed(1, 10, vec![run(anew.partition(0), &["b"])])).await;
    assert_eq!(retried, Ok(Appended { base_offsets: vec![0] }));
    let kept = one(&bench, keyed(2, 20, vec![run(stays.partition(0), &["c"])])).await;
    assert!(matches!(kept, Err(Refused::Replayed(_))));
}

pub(in crate::store) async fn a_key_is_kept_only_with_its_records(bench: Bench) {
    let topic = bench.topic("a", 1).await;
    let (here, beyond) = (topic.partition(0), topic.partition(1));
    let refused = one(&bench, keyed(1, 10, vec![run(here, &["a"]), run(beyond, &["a"])])).await;
    assert_eq!(refused, Err(Refused::UnknownPartition(beyond)));
    // So the key is free: a caller that made the partition meanwhile is served.
    assert_eq!(one(&bench, keyed(1, 11, vec![run(here, &["b"])])).await, Ok(Appended { base_offsets: vec![0] }));
    // A reused key leaves the first one as it was.
    assert_eq!(one(&bench, keyed(1, 12, vec![run(here, &["c"])])).await, Err(Refused::KeyReused));
    assert!(matches!(one(&bench, keyed(1, 11, vec![run(here, &["b"])])).await, Err(Refused::Replayed(_))));
    assert_eq!(bench.span(here).await, (0, 1));
}

pub(in crate::store) async fn many_keys_in_one_flush(bench: Bench) {
    let here = bench.topic("a", 1).await.partition(0);
    let writes = |request| (0..1100).map(|i| keyed(i, i + request, vec![run(here, &["v"])])).collect::<Vec<_>>();
    let flushed = bench.append(writes(0)).await.expect("appended");
    assert_eq!(bases(&flushed), (0..1100).map(|offset| vec![offset]).collect::<Vec<_>>());
    let again = bench.append(writes(0)).await.expect("asked");
    for (i, outcome) in (0..).zip(&again.outcomes) {
        let Err(Refused::Replayed(replay)) = outcome else { panic!("{i}: {outcome:?}") };
        assert_eq!(replay.runs, [(here, i)]);
    }
    let other = bench.append(writes(1)).await.expect("asked");
    assert!(other.outcomes.iter().all(|outcome| *outcome == Err(Refused::KeyReused)));
    assert_eq!(bench.span(here).await, (0, 1100));
}

pub(in crate::store) async fn old_keys_are_purged_in_turns(bench: Bench) {
    let here = bench.topic("a", 1).await.partition(0);
    let writes = (0..1100).map(|i| keyed(i, i, vec![run(here, &["v"])])).collect();
    bench.append(writes).await.expect("appended");
    assert!(!bench.purge_idempotency_keys(time::now() - 60_000).await.expect("purged"), "none is as old");
    assert!(matches!(one(&bench, keyed(7, 7, vec![run(here, &["v"])])).await, Err(Refused::Replayed(_))));
    let mut turns = 1;
    while bench.purge_idempotency_keys(time::now() + 60_000).await.expect("purged") {
        turns += 1;
    }
    assert!(turns > 1, "a turn is bounded");
    assert_eq!(one(&bench, keyed(7, 7, vec![run(here, &["v"])])).await, Ok(Appended { base_offsets: vec![1100] }));
}
