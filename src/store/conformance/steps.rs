//! Steps of members: in batches, each by the rules (`group_steps.rs` has them one by one), and what of them is kept.

use crate::model::group::GroupPartition;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::store::conformance::bench::Bench;
use crate::store::conformance::groups::LONG;
use crate::store::conformance::groups::change_of;
use crate::store::conformance::groups::g;
use crate::store::conformance::groups::lease_end;
use crate::store::conformance::groups::name;
use crate::store::conformance::groups::offset;
use crate::store::conformance::groups::row;
use crate::store::conformance::groups::run;
use crate::store::conformance::groups::standing;
use crate::store::conformance::groups::step;
use crate::store::group_contract::Changed;
use crate::store::group_contract::Commit;
use crate::store::group_contract::GroupChange;
use crate::store::group_contract::NamedOffset;
use crate::store::group_contract::Position;
use crate::store::group_contract::Step;
use crate::store::group_contract::StepRefused;

pub(in crate::store) async fn a_partition_moves_within_one_batch(bench: Bench) {
    let p = bench.topic("t", 1).await.partition(0);
    bench.join(&[("a", LONG), ("b", LONG)], &[(p, Some("a"))]).await;
    let begins = bench.take(step("a", 1, Commit::Nothing)).await.expect("taken");
    assert_eq!((begins.held.len(), begins.lease_ms, begins.was_lapsed, begins.version), (1, LONG, false, 1));
    bench.take(step("a", 1, Commit::Begin(vec![(p, 3)]))).await.expect("taken");
    bench.join(&[], &[(p, Some("b"))]).await;
    let at = |next_offset| Position { partition: p, epoch: 1, next_offset };
    // What was returned is not committed: b has to wait. Then it is, and b takes the offset over in the same batch.
    let waits = Step { hand_over: Some(vec![at(8)]), ..step("a", 1, Commit::Cursor(vec![at(5)])) };
    let goes = Step { hand_over: Some(vec![at(8)]), ..step("a", 1, Commit::Cursor(vec![at(8)])) };
    let b = || step("b", 2, Commit::Nothing);
    let late = step("a", 1, Commit::Cursor(vec![at(9)]));
    let again = step("a", 1, Commit::Cursor(vec![at(8)]));
    let outcomes = bench.step(vec![waits, b(), goes, b(), late, again]).await.expect("taken");
    let [Ok(waits), Ok(b_waits), Ok(goes), Ok(b_takes), Err(late), Ok(again)] = &outcomes[..] else {
        panic!("not these: {outcomes:#?}");
    };
    assert_eq!((waits.committed[0].committed, waits.held.len(), b_waits.held.len()), (Some(5), 1, 0));
    assert_eq!((goes.committed[0].committed, goes.held.len()), (Some(8), 0));
    assert_eq!((&goes.freed_for[..], &waits.freed_for[..]), (&[name("b")][..], &[][..]));
    let held: Vec<_> = b_takes.held.iter().map(|row| (row.id, row.epoch, row.committed)).collect();
    assert_eq!(held, [(p, 2, Some(8))]);
    assert_eq!(*late, StepRefused::LeaseLost { partitions: b_takes.held.clone() });
    assert_eq!((again.held.len(), &again.committed), (0, &b_takes.held), "the repeat of a lost answer");
    let group = bench.found(&g()).await;
    assert_eq!(group.partitions, b_takes.held);
    assert_eq!(group.version, 2, "steps change no assignment");
}

pub(in crate::store) async fn a_refused_step_leaves_its_neighbours(bench: Bench) {
    let topic = bench.topic("t", 2).await;
    let (p, q) = (topic.partition(0), topic.partition(1));
    bench.join(&[("a", LONG), ("b", LONG)], &[(p, Some("a")), (q, Some("b"))]).await;
    let offsets = |offsets| Commit::Offsets(offsets);
    let nowhere = Step { group: "nowhere".parse().expect("a name"), ..step("a", 1, Commit::Nothing) };
    let outcomes = bench
        .step(vec![
            step("a", 1, Commit::Nothing),
            step("a", 1, offsets(vec![offset(p, 5)])),
            nowhere,
            step("nobody", 1, Commit::Nothing),
            step("a", 2, offsets(vec![offset(q, 1)])),
            step("a", 1, offsets(vec![offset(p, 6), offset(q, 1)])),
            step("a", 1, offsets(vec![offset(p, 4)])),
            step("b", 2, Commit::Nothing),
        ])
        .await
        .expect("taken");
    let group = bench.found(&g()).await;
    let of = |id| row(&group, id).clone();
    let free = |epoch| GroupPartition { assignee: Some(name("b")), epoch, ..GroupPartition::new(q) };
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok() && outcomes[7].is_ok());
    assert_eq!(outcomes[2], Err(StepRefused::UnknownGroup));
    assert_eq!(outcomes[3], Err(StepRefused::UnknownMember));
    assert_eq!(outcomes[4], Err(StepRefused::StaleEpoch { current: 1, partitions: vec![free(0)] }));
    assert_eq!(outcomes[5], Err(StepRefused::LeaseLost { partitions: vec![free(0)] }));
    assert_eq!(outcomes[6], Err(StepRefused::OffsetRegression { partitions: vec![of(p)] }));
    assert_eq!((of(p).committed, standing(&group, q)), (Some(5), (Some("b"), Some("b"), 1)));
    assert_eq!(bench.step(vec![]).await.expect("nothing to do"), []);
}

pub(in crate::store) async fn a_lease_that_ran_out_is_taken_up_again(bench: Bench) {
    let p = bench.topic("t", 1).await.partition(0);
    bench.join(&[("a", 20)], &[(p, Some("a"))]).await;
    bench.take(step("a", 1, Commit::Nothing)).await.expect("taken");
    let before = bench.found(&g()).await;
    assert_eq!(row(&before, p).lease_end, lease_end(&before, "a"));
    bench.past(lease_end(&before, "a")).await;
    let done = bench.take(step("a", 1, Commit::Offsets(vec![offset(p, 1)]))).await.expect("nobody claimed it");
    assert!(done.was_lapsed);
    assert_eq!(done.held.iter().map(|row| (row.epoch, row.committed)).collect::<Vec<_>>(), [(1, Some(1))]);
    let after = bench.found(&g()).await;
    assert!(lease_end(&after, "a") > lease_end(&before, "a"));
    assert_eq!(row(&after, p).lease_end, lease_end(&after, "a"));
}

pub(in crate::store) async fn notes_come_back_as_they_were(mut bench: Bench) {
    let notes =
        ["", "plain", "\"quoted\" \\ {}[]", "ä 漢 🦀 \u{7f}\u{2028}", "line\r\nline\ttab", "a\0b", "null", "1e3"];
    let topic = bench.topic("t", 9).await;
    let ids: Vec<_> = (0..9).map(|partition| topic.partition(partition)).collect();
    let assigned: Vec<_> = ids.iter().map(|id| (*id, Some("a"))).collect();
    bench.join(&[("a", LONG)], &assigned).await;
    bench.take(step("a", 1, Commit::Nothing)).await.expect("taken");
    let texts = notes.iter().map(|note| Some((*note).to_owned())).chain([None]);
    let offsets = ids.iter().zip(texts.clone());
    let offsets = offsets.map(|(id, metadata)| NamedOffset { partition: *id, next_offset: (1 << 53) - 1, metadata });
    bench.take(step("a", 1, Commit::Offsets(offsets.collect()))).await.expect("taken");
    bench.reopen().await;
    let group = bench.found(&g()).await;
    let kept: Vec<_> = group.partitions.iter().map(|row| row.metadata.clone()).collect();
    assert_eq!(kept, texts.collect::<Vec<_>>());
    assert!(group.partitions.iter().all(|row| row.committed == Some((1 << 53) - 1)));
}

pub(in crate::store) async fn one_batch_serves_many_members_of_many_groups(bench: Bench) {
    let topic = bench.topic("t", 100).await;
    let groups: Vec<GroupName> = (0..4).map(|i| format!("g{i}").parse().expect("a name")).collect();
    let members: Vec<String> = (0..100).map(|i| format!("m{i}")).collect();
    for group in &groups {
        let group = bench.create_group(group).await.expect("made");
        let runs = (1..).zip(&members).map(|(epoch, member)| run(member, epoch, LONG)).collect();
        let assigned = (0..).zip(&members).map(|(i, member)| (topic.partition(i), Some(name(member)))).collect();
        let change = GroupChange { runs, assigned, ..change_of(&group) };
        assert_eq!(bench.change_group(change).await.expect("asked"), Changed::Done);
    }
    let everyone = groups.iter().flat_map(|group| (1..).zip(&members).map(move |member| (group, member)));
    let steps = everyone
        .clone()
        .map(|(group, (epoch, member))| Step { group: group.clone(), ..step(member, epoch, Commit::Nothing) });
    let claims = bench.step(steps.collect()).await.expect("taken");
    assert_eq!(claims.len(), 400);
    for ((_, (epoch, _)), claim) in everyone.clone().zip(&claims) {
        let held = &claim.as_ref().expect("taken").held;
        let number = u32::try_from(epoch - 1).expect("small");
        assert_eq!(held.iter().map(|row| (row.id, row.epoch)).collect::<Vec<_>>(), [(topic.partition(number), 1)]);
    }
    let commits = everyone.map(|(group, (epoch, member))| {
        let partition = topic.partition(u32::try_from(epoch - 1).expect("small"));
        let commit = Commit::Cursor(vec![Position { partition, epoch: 1, next_offset: epoch }]);
        Step { group: group.clone(), ..step(member, epoch, commit) }
    });
    assert!(bench.step(commits.collect()).await.expect("taken").iter().all(Result::is_ok));
    for group in &groups {
        let group = bench.found(group).await;
        for (row, offset) in group.partitions.iter().zip(1..) {
            assert_eq!((row.committed, row.owner.as_ref().map(MemberName::as_str)), {
                (Some(offset), Some(members[row.id.partition as usize].as_str()))
            });
        }
    }
}

pub(in crate::store) async fn a_partition_that_leaves_again_has_its_owners_lease(bench: Bench) {
    let p = bench.topic("t", 1).await.partition(0);
    bench.join(&[("a", 40), ("b", LONG)], &[(p, Some("a"))]).await;
    bench.take(step("a", 1, Commit::Nothing)).await.expect("taken");
    bench.join(&[], &[(p, Some("b"))]).await;
    let left = row(&bench.found(&g()).await, p).lease_end;
    bench.past(left).await;
    bench.take(Step { hand_over: None, ..step("a", 1, Commit::Nothing) }).await.expect("its own lease runs");
    bench.join(&[], &[(p, Some("a"))]).await;
    bench.join(&[], &[(p, Some("b"))]).await;
    let group = bench.found(&g()).await;
    assert_eq!(row(&group, p).lease_end, lease_end(&group, "a"));
}
