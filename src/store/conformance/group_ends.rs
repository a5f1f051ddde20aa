//! What becomes of consumer groups: leases run out, members are forgotten, offsets are set, groups and topics are deleted,
//! and all of it outlives the process.

use crate::model::group::GroupPartition;
use crate::store::conformance::bench::Bench;
use crate::store::conformance::groups::LONG;
use crate::store::conformance::groups::change_of;
use crate::store::conformance::groups::g;
use crate::store::conformance::groups::lease_end;
use crate::store::conformance::groups::name;
use crate::store::conformance::groups::offset;
use crate::store::conformance::groups::row;
use crate::store::conformance::groups::standing;
use crate::store::conformance::groups::step;
use crate::store::error::StoreError;
use crate::store::group_contract::Changed;
use crate::store::group_contract::Commit;
use crate::store::group_contract::Forced;
use crate::store::group_contract::GroupChange;
use crate::store::group_contract::Reset;
use crate::store::group_contract::StepRefused;

pub(in crate::store) async fn lapses_are_found_from_where_the_last_look_ended(bench: Bench) {
    let long = bench.join(&[("stays", LONG)], &[]).await;
    let first = bench.lapses(0).await.expect("looked");
    assert!(first.groups.is_empty() && first.until >= long.now);
    let group = bench.join(&[("a", 1), ("b", 2)], &[]).await;
    let (a, b) = (lease_end(&group, "a"), lease_end(&group, "b"));
    bench.past(b).await;
    let second = bench.lapses(first.until).await.expect("looked");
    assert_eq!(second.groups, [g()], "each once");
    assert!(second.until > b);
    assert_eq!(bench.lapses(second.until).await.expect("looked").groups, []);
    assert_eq!(bench.lapses(a.min(b)).await.expect("looked").groups, [g()], "at or after");
    // A run that was ended has no lease.
    let group = bench.found(&g()).await;
    bench.change(GroupChange { lapsed: vec![(name("a"), 2), (name("b"), 3)], ..change_of(&group) }).await;
    assert_eq!(bench.lapses(0).await.expect("looked").groups, []);
}

pub(in crate::store) async fn ended_members_are_purged_in_turns(bench: Bench) {
    let names: Vec<String> = (0..600).map(|i| format!("m{i}")).collect();
    let members: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).chain([("stays", LONG)]).collect();
    let group = bench.join(&members, &[]).await;
    let group = bench.past(lease_end(&group, "m0")).await;
    let lapsed = group.members.iter().filter(|member| member.name.as_str() != "stays");
    let lapsed = lapsed.map(|member| (member.name.clone(), member.epoch)).collect();
    bench.change(GroupChange { lapsed, ..change_of(&group) }).await;
    assert!(!bench.purge_members(group.now).await.expect("purged"), "they were ended later");
    let group = bench.found(&g()).await;
    assert_eq!(group.members.len(), 601);
    assert!(bench.purge_members(group.now + 1).await.expect("purged"), "a turn is bounded");
    assert!(!bench.purge_members(group.now + 1).await.expect("purged"));
    let group = bench.found(&g()).await;
    assert_eq!(group.members.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["stays"]);
    assert_eq!(group.last_epoch, 601);
}

pub(in crate::store) async fn a_deleted_group_gives_no_epoch_again(mut bench: Bench) {
    let p = bench.topic("t", 1).await.partition(0);
    assert_eq!(bench.delete_group(&g(), true).await.expect("asked"), Forced::Unknown);
    let lower = "lower".parse().expect("a name");
    bench.create_group(&lower).await.expect("made");
    bench.join(&[("a", LONG), ("spare", LONG)], &[(p, Some("a"))]).await;
    assert_eq!(bench.delete_group(&g(), false).await.expect("asked"), Forced::Active(vec![]), "none holds any yet");
    let held = bench.take(step("a", 1, Commit::Nothing)).await.expect("taken").held;
    let old = bench.found(&g()).await;
    assert_eq!(bench.delete_group(&g(), false).await.expect("asked"), Forced::Active(held));
    assert_eq!(bench.found(&g()).await.members, old.members, "nothing changed");
    let done = bench.delete_group(&g(), true).await.expect("asked");
    assert_eq!(done, Forced::Done(vec![name("a"), name("spare")]));
    assert_eq!(bench.group(&g()).await.expect("asked"), None);
    assert_eq!(bench.take(step("a", 1, Commit::Nothing)).await, Err(StepRefused::UnknownGroup));
    bench.reopen().await;
    let new = bench.create_group(&g()).await.expect("made");
    assert_eq!((new.last_epoch, new.partitions.len(), new.members.len()), (2, 0, 0));
    assert_ne!(new.id, old.id);
    assert_eq!(bench.change_group(change_of(&old)).await.expect("asked"), Changed::Conflict);
    // Nobody active is in the way; one whose epochs are lower takes nothing back.
    for group in [&g(), &lower] {
        assert_eq!(bench.delete_group(group, false).await.expect("asked"), Forced::Done(vec![]));
    }
    assert_eq!(bench.create_group(&g()).await.expect("made").last_epoch, 2);
}

pub(in crate::store) async fn offsets_are_reset_forward_and_back(bench: Bench) {
    let topic = bench.topic("t", 3).await;
    let (p, q, r) = (topic.partition(0), topic.partition(1), topic.partition(2));
    let reset = |partition, next_offset| Reset { partition, next_offset };
    assert_eq!(bench.reset_offsets(&g(), &[reset(p, 1)], true).await.expect("asked"), Forced::Unknown);
    bench.join(&[("a", LONG), ("b", LONG), ("c", 20)], &[(p, Some("a")), (r, Some("c"))]).await;
    assert_eq!(bench.reset_offsets(&g(), &[reset(p, 5), reset(q, 7)], false).await.expect("asked"), {
        Forced::Done(vec![name("a")])
    });
    bench.take(step("a", 1, Commit::Nothing)).await.expect("taken");
    let held = bench.take(step("a", 1, Commit::Offsets(vec![offset(p, 9)]))).await.expect("taken").held;
    bench.join(&[], &[(p, Some("b"))]).await;
    let stands = bench.found(&g()).await.partitions;
    let in_the_way = bench.reset_offsets(&g(), &[reset(q, 0), reset(p, 0)], false).await.expect("asked");
    assert_eq!(in_the_way, Forced::Active(vec![GroupPartition { assignee: Some(name("b")), ..held[0].clone() }]));
    assert_eq!(bench.found(&g()).await.partitions, stands, "nothing changed");
    let done = bench.reset_offsets(&g(), &[reset(p, 2)], true).await.expect("asked");
    assert_eq!(done, Forced::Done(vec![name("a"), name("b")]), "its owner, and who is to hold it");
    let group = bench.found(&g()).await;
    let (p_row, q_row) = (row(&group, p), row(&group, q));
    assert_eq!((p_row.committed, &p_row.metadata, standing(&group, p)), (Some(2), &None, (None, Some("b"), 1)));
    assert_eq!((q_row.committed, standing(&group, q)), (Some(7), (None, None, 0)));
    let late = bench.take(step("a", 1, Commit::Offsets(vec![offset(p, 10)]))).await;
    assert!(matches!(late, Err(StepRefused::LeaseLost { partitions }) if partitions == [p_row.clone()]));
    // A lease that is over is not in the way; but its owner could commit over what was set, and so holds it no more.
    bench.take(step("c", 3, Commit::Nothing)).await.expect("taken");
    let group = bench.found(&g()).await;
    bench.past(row(&group, r).lease_end).await;
    assert_eq!(bench.reset_offsets(&g(), &[reset(r, 4)], false).await.expect("asked"), Forced::Done(vec![name("c")]));
    let held = bench.take(step("c", 3, Commit::Nothing)).await.expect("taken").held;
    assert_eq!(held.iter().map(|row| (row.epoch, row.committed)).collect::<Vec<_>>(), [(2, Some(4))], "taken anew");
}

pub(in crate::store) async fn a_deleted_topic_goes_from_its_groups(bench: Bench) {
    let (gone, stays) = (bench.topic("gone", 600).await, bench.topic("stays", 1).await.partition(0));
    let all: Vec<_> = (0..600).map(|i| (gone.partition(i), Some("a"))).chain([(stays, Some("a"))]).collect();
    bench.join(&[("a", LONG)], &all).await;
    assert_eq!(bench.take(step("a", 1, Commit::Nothing)).await.expect("taken").held.len(), 601);
    assert!(bench.delete_topic(gone.id).await.expect("deleted"));
    let mut turns = 0;
    while bench.purge_deleted_topics(1 << 20).await.expect("purged") {
        turns += 1;
    }
    assert!(turns > 2, "a turn is bounded: {turns}");
    let group = bench.found(&g()).await;
    assert_eq!(group.partitions.iter().map(|row| row.id).collect::<Vec<_>>(), [stays]);
    // What still names it makes no row of it anew, and commits nothing.
    let lost = bench.take(step("a", 1, Commit::Offsets(vec![offset(gone.partition(0), 1)]))).await;
    let expected = vec![GroupPartition::new(gone.partition(0))];
    assert_eq!(lost, Err(StepRefused::LeaseLost { partitions: expected }));
    let group = bench.join(&[], &[(gone.partition(1), Some("a"))]).await;
    assert_eq!(group.partitions.iter().map(|row| row.id).collect::<Vec<_>>(), [stays]);
}

pub(in crate::store) async fn groups_survive_a_reopen(mut bench: Bench) {
    let topic = bench.topic("t", 3).await;
    let [p, q, r] = [0, 1, 2].map(|partition| topic.partition(partition));
    bench.join(&[("a", LONG), ("b", 2 * LONG), ("c", 1)], &[(p, Some("a")), (q, Some("b")), (r, Some("b"))]).await;
    bench.take(step("a", 1, Commit::Nothing)).await.expect("taken");
    bench.take(step("b", 2, Commit::Nothing)).await.expect("taken");
    bench.take(step("a", 1, Commit::Offsets(vec![offset(p, 42)]))).await.expect("taken");
    let group = bench.join(&[], &[(q, Some("a"))]).await;
    let group = bench.past(lease_end(&group, "c")).await;
    bench.change(GroupChange { lapsed: vec![(name("c"), 3)], ..change_of(&group) }).await;
    let before = bench.found(&g()).await;
    bench.reopen().await;
    let after = bench.found(&g()).await;
    // But for the clock, all is as it was, and no lease is shorter.
    let mut as_before = after.clone();
    as_before.now = before.now;
    for (member, was) in as_before.members.iter_mut().zip(&before.members) {
        assert_eq!(member.is_running(), was.is_running());
        assert!(member.lease_end >= was.lease_end, "{member:?}");
        member.lease_end = was.lease_end;
    }
    for (row, was) in as_before.partitions.iter_mut().zip(&before.partitions) {
        assert!(row.lease_end >= was.lease_end, "{row:?}");
        row.lease_end = was.lease_end;
    }
    assert_eq!(as_before, before);
    bench.take(step("a", 1, Commit::Nothing)).await.expect("its run goes on");
}

pub(in crate::store) async fn a_closed_store_refuses_groups(bench: Bench) {
    let group = bench.join(&[("a", LONG)], &[]).await;
    bench.close().await;
    let closed = |done: Result<(), StoreError>| assert!(matches!(done, Err(StoreError::Unavailable(_))));
    closed(bench.group(&g()).await.map(drop));
    closed(bench.create_group(&g()).await.map(drop));
    closed(bench.groups(None, 9).await.map(drop));
    closed(bench.change_group(change_of(&group)).await.map(drop));
    closed(bench.step(vec![step("a", 1, Commit::Nothing)]).await.map(drop));
    closed(bench.reset_offsets(&g(), &[], true).await.map(drop));
    closed(bench.delete_group(&g(), true).await.map(drop));
    closed(bench.lapses(0).await.map(drop));
    closed(bench.purge_members(0).await.map(drop));
}
