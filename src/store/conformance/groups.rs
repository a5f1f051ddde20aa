//! Consumer groups: made, listed, changed by compare-and-set. Short ways for the other behaviours of groups, too.

use std::time::Duration;

use tokio::time::sleep;
use tokio::time::timeout;

use crate::model::group::Group;
use crate::model::group::GroupId;
use crate::model::group::GroupPartition;
use crate::model::group::Strategy;
use crate::model::group::Subscription;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::store::conformance::bench::Bench;
use crate::store::error::StoreError;
use crate::store::group_contract::Changed;
use crate::store::group_contract::Commit;
use crate::store::group_contract::GroupChange;
use crate::store::group_contract::MemberRun;
use crate::store::group_contract::NamedOffset;
use crate::store::group_contract::Position;
use crate::store::group_contract::Step;
use crate::store::group_contract::StepRefused;
use crate::store::group_contract::Stepped;

/// A lease that no test outlives.
pub(super) const LONG: u64 = 600_000;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The group that most tests are about.
pub(super) fn g() -> GroupName {
    "g".parse().expect("a name")
}

pub(super) fn name(member: &str) -> MemberName {
    member.parse().expect("a name")
}

/// A run that reads all topics.
pub(super) fn run(member: &str, epoch: u64, lease_ms: u64) -> MemberRun {
    MemberRun { name: name(member), epoch, subscription: Subscription::Prefix(String::new()), lease_ms }
}

/// A change of nothing, to be filled in.
pub(in crate::store) fn change_of(group: &Group) -> GroupChange {
    GroupChange {
        group: group.id,
        version: group.version,
        strategy: group.strategy,
        runs: vec![],
        left: vec![],
        lapsed: vec![],
        overdue: vec![],
        assigned: vec![],
    }
}

/// A step of `g` that takes part in the hand-over, with nothing returned.
pub(super) fn step(member: &str, epoch: u64, commit: Commit) -> Step {
    Step { group: g(), member: name(member), epoch, commit, hand_over: Some(vec![]) }
}

pub(super) fn offset(partition: PartitionId, next_offset: u64) -> NamedOffset {
    NamedOffset { partition, next_offset, metadata: Some("note".into()) }
}

impl Bench {
    /// A group that there is.
    pub(super) async fn found(&self, group: &GroupName) -> Group {
        self.group(group).await.expect("read").expect("there is one")
    }

    /// Makes `g` if there is none, begins runs with epochs that follow its last, and assigns; all must be done.
    pub(super) async fn join(&self, members: &[(&str, u64)], assigned: &[(PartitionId, Option<&str>)]) -> Group {
        let group = self.create_group(&g()).await.expect("made");
        let runs =
            (group.last_epoch + 1..).zip(members).map(|(epoch, (member, lease_ms))| run(member, epoch, *lease_ms));
        let assigned = assigned.iter().map(|(id, to)| (*id, to.map(name))).collect();
        self.change(GroupChange { runs: runs.collect(), assigned, ..change_of(&group) }).await;
        self.found(&g()).await
    }

    /// A change that must be done.
    pub(super) async fn change(&self, change: GroupChange) {
        assert_eq!(self.change_group(change).await.expect("asked"), Changed::Done);
    }

    /// One step by itself.
    pub(super) async fn take(&self, step: Step) -> Result<Stepped, StepRefused> {
        let mut outcomes = self.step(vec![step]).await.expect("taken");
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }

    /// Waits until the database's clock is past a moment.
    pub(super) async fn past(&self, moment: Millis) -> Group {
        let wait = async {
            loop {
                let group = self.found(&g()).await;
                if group.now > moment {
                    return group;
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("time passes")
    }
}

/// When the lease of a member ends.
pub(super) fn lease_end(group: &Group, member: &str) -> Millis {
    group.member(&name(member)).expect("a member").lease_end.expect("it runs")
}

/// Owner, assignee and epoch of a partition.
pub(super) fn standing(group: &Group, id: PartitionId) -> (Option<&str>, Option<&str>, u64) {
    let row = row(group, id);
    (row.owner.as_ref().map(MemberName::as_str), row.assignee.as_ref().map(MemberName::as_str), row.epoch)
}

/// The row of a partition.
pub(super) fn row(group: &Group, id: PartitionId) -> &GroupPartition {
    group.partitions.iter().find(|row| row.id == id).expect("it has a row")
}

pub(in crate::store) async fn a_group_is_made_once(bench: Bench) {
    assert_eq!(bench.group(&g()).await.expect("asked"), None);
    let made = bench.create_group(&g()).await.expect("made");
    assert_eq!((made.name.as_str(), made.version, made.last_epoch, made.strategy), ("g", 0, 0, Strategy::Sticky));
    assert!(made.members.is_empty() && made.partitions.is_empty());
    let (again, found) = (bench.create_group(&g()).await.expect("asked"), bench.found(&g()).await);
    assert_eq!((again.id, found.id), (made.id, made.id));
    assert!(made.now <= again.now && again.now <= found.now, "the clock does not go back");
    let other = bench.create_group(&"h".parse().expect("a name")).await.expect("made");
    assert_ne!(other.id, made.id);
}

pub(in crate::store) async fn groups_are_bounded(bench: Bench) {
    let create = async |number: u64| bench.create_group(&format!("g{number}").parse().expect("a name")).await;
    for number in 0..50 {
        create(number).await.expect("made");
    }
    assert!(matches!(create(50).await, Err(StoreError::TooManyGroups { limit: 50 })));
    create(0).await.expect("there is one");
    bench.delete_group(&"g1".parse().expect("a name"), false).await.expect("asked");
    create(50).await.expect("made");
}

pub(in crate::store) async fn a_change_is_done_whole(bench: Bench) {
    let topic = bench.topic("t", 3).await;
    let group = bench.create_group(&g()).await.expect("made");
    let topics = ["a.b", "t"].map(|name| name.parse().expect("a name")).to_vec();
    let subscriptions =
        [Subscription::Topics(topics), Subscription::Prefix("t\"".into()), Subscription::Topics(vec![])];
    let runs = subscriptions.iter().zip([("b", 2), ("a", 3), ("c", 9)]);
    let runs = runs.map(|(subscription, (name, epoch))| MemberRun {
        subscription: subscription.clone(),
        ..run(name, epoch, 1000 * epoch)
    });
    let assigned = [(2, Some("a")), (0, Some("b")), (1, None)];
    let assigned = assigned.map(|(partition, to)| (topic.partition(partition), to.map(name))).to_vec();
    let strategy = Strategy::RoundRobin;
    bench.change(GroupChange { runs: runs.collect(), assigned, strategy, ..change_of(&group) }).await;

    let after = bench.found(&g()).await;
    assert_eq!((after.id, after.version, after.last_epoch, after.strategy), (group.id, 1, 9, strategy));
    let members: Vec<_> = after.members.iter().map(|row| (row.name.as_str(), row.epoch, row.lease_ms)).collect();
    assert_eq!(members, [("a", 3, 3000), ("b", 2, 2000), ("c", 9, 9000)]);
    assert_eq!(after.member(&name("b")).map(|row| &row.subscription), Some(&subscriptions[0]));
    assert_eq!(after.member(&name("a")).map(|row| &row.subscription), Some(&subscriptions[1]));
    assert_eq!(after.member(&name("c")).map(|row| &row.subscription), Some(&subscriptions[2]));
    for member in &after.members {
        let end = member.lease_end.expect("it runs");
        assert!((group.now..=after.now).contains(&(end - member.lease_ms)), "its lease is whole");
    }
    let ids: Vec<_> = after.partitions.iter().map(|row| row.id).collect();
    assert_eq!(ids, [topic.partition(0), topic.partition(1), topic.partition(2)], "in order");
    let expected = GroupPartition { assignee: Some(name("b")), ..GroupPartition::new(topic.partition(0)) };
    assert_eq!(after.partitions[0], expected, "held by nobody yet");
    assert_eq!(standing(&after, topic.partition(1)), (None, None, 0));
}

pub(in crate::store) async fn of_changes_from_one_version_one_is_done(bench: Bench) {
    let group = bench.create_group(&g()).await.expect("made");
    let names: Vec<String> = (0..8).map(|i| format!("m{i}")).collect();
    let changes = (1..).zip(&names).map(|(epoch, name)| {
        let change = GroupChange { runs: vec![run(name, epoch, LONG)], ..change_of(&group) };
        bench.change_group(change)
    });
    let done = futures_util::future::join_all(changes).await;
    let done = done.into_iter().filter(|done| matches!(done, Ok(Changed::Done))).count();
    let after = bench.found(&g()).await;
    assert_eq!((done, after.version, after.members.len()), (1, 1, 1));
    let nowhere = GroupChange { group: GroupId(99), ..change_of(&after) };
    assert_eq!(bench.change_group(nowhere).await.expect("asked"), Changed::Conflict);
}

pub(in crate::store) async fn a_group_is_read_as_of_one_moment(bench: Bench) {
    let topic = bench.topic("t", 2).await;
    let (p, q) = (topic.partition(0), topic.partition(1));
    bench.join(&[], &[(p, Some("m0")), (q, Some("m0"))]).await;
    let write = async {
        for _ in 0..40 {
            // The member in it, and whom both partitions are for, bear the number of the version.
            let group = bench.found(&g()).await;
            let next = format!("m{}", group.version);
            let left = group.members.iter().map(|member| member.name.clone()).collect();
            let assigned = vec![(p, Some(name(&next))), (q, Some(name(&next)))];
            let runs = vec![run(&next, group.last_epoch + 1, LONG)];
            bench.change(GroupChange { runs, left, assigned, ..change_of(&group) }).await;
        }
    };
    let read = async {
        loop {
            let group = bench.found(&g()).await;
            let expected = format!("m{}", group.version - 1);
            assert_eq!(standing(&group, p).1, Some(expected.as_str()));
            assert_eq!(standing(&group, q).1, Some(expected.as_str()));
            assert!(group.version == 1 || group.members.iter().all(|member| member.name.as_str() == expected));
        }
    };
    tokio::select! { () = write => {}, () = read => {} }
}

pub(in crate::store) async fn a_new_run_frees_and_one_that_goes_on_keeps(bench: Bench) {
    let topic = bench.topic("t", 2).await;
    let (p, q) = (topic.partition(0), topic.partition(1));
    bench.join(&[("a", LONG), ("b", LONG)], &[(p, Some("a")), (q, Some("b"))]).await;
    bench.take(step("a", 1, Commit::Nothing)).await.expect("taken");
    bench.take(step("b", 2, Commit::Nothing)).await.expect("taken");
    let group = bench.found(&g()).await;
    let goes_on = MemberRun { subscription: Subscription::Prefix("x".into()), ..run("b", 2, 2 * LONG) };
    bench.change(GroupChange { runs: vec![run("a", 3, LONG), goes_on], ..change_of(&group) }).await;
    let group = bench.found(&g()).await;
    assert_eq!(standing(&group, p), (None, Some("a"), 1), "free, and still for the name");
    assert_eq!(standing(&group, q), (Some("b"), Some("b"), 1));
    assert_eq!(row(&group, q).lease_end, lease_end(&group, "b"), "renewed with its owner");
    assert_eq!(group.member(&name("b")).expect("there").subscription, Subscription::Prefix("x".into()));
    let stale = bench.take(step("a", 1, Commit::Nothing)).await;
    assert_eq!(stale, Err(StepRefused::StaleEpoch { current: 3, partitions: vec![] }));
    let held = bench.take(step("a", 3, Commit::Nothing)).await.expect("taken").held;
    assert_eq!(held.iter().map(|row| (row.id, row.epoch)).collect::<Vec<_>>(), [(p, 2)]);
}

pub(in crate::store) async fn who_leaves_is_forgotten_and_holds_nothing(bench: Bench) {
    let p = bench.topic("t", 1).await.partition(0);
    bench.join(&[("a", LONG), ("b", LONG)], &[(p, Some("a"))]).await;
    bench.take(step("a", 1, Commit::Offsets(vec![]))).await.expect("taken");
    let group = bench.found(&g()).await;
    let assigned = vec![(p, Some(name("b")))];
    bench.change(GroupChange { left: vec![name("a"), name("nobody")], assigned, ..change_of(&group) }).await;
    let group = bench.found(&g()).await;
    assert_eq!(group.members.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!((standing(&group, p), group.last_epoch), ((None, Some("b"), 1), 2));
    assert_eq!(bench.take(step("a", 1, Commit::Nothing)).await, Err(StepRefused::UnknownMember));
    // The same change again is of another version.
    let again = GroupChange { version: group.version - 1, ..change_of(&group) };
    assert_eq!(bench.change_group(again).await.expect("asked"), Changed::Conflict);
}

pub(in crate::store) async fn a_run_is_ended_only_once_its_lease_is_over(bench: Bench) {
    let p = bench.topic("t", 1).await.partition(0);
    bench.join(&[("runs", LONG), ("a", 20)], &[(p, Some("a"))]).await;
    bench.take(step("a", 2, Commit::Nothing)).await.expect("taken");
    let group = bench.found(&g()).await;
    let end = async |lapsed: &[(&str, u64)], group: &Group| {
        let lapsed = lapsed.iter().map(|(member, epoch)| (name(member), *epoch)).collect();
        bench.change_group(GroupChange { lapsed, ..change_of(group) }).await.expect("asked")
    };
    let group = bench.past(lease_end(&group, "a")).await;
    assert!(group.member(&name("a")).expect("there").has_lapsed(group.now));
    for not_over in [("runs", 1), ("a", 1), ("nobody", 1)] {
        assert_eq!(end(&[("a", 2), not_over], &group).await, Changed::Conflict, "{not_over:?}");
    }
    assert_eq!(bench.found(&g()).await.version, group.version, "nothing changed");
    assert_eq!(end(&[("a", 2)], &group).await, Changed::Done);
    let group = bench.found(&g()).await;
    let ended = group.member(&name("a")).expect("its name is kept");
    assert_eq!((ended.epoch, ended.lease_end, standing(&group, p)), (2, None, (None, Some("a"), 1)));
    assert_eq!(end(&[("a", 2)], &group).await, Changed::Conflict, "only once");
    assert_eq!(bench.take(step("a", 2, Commit::Nothing)).await, Err(StepRefused::LeaseLost { partitions: vec![] }));
    // Whoever was lapsed when it was looked at, but has called since, goes on.
    let group = bench.join(&[("b", 20)], &[(p, Some("b"))]).await;
    let group = bench.past(lease_end(&group, "b")).await;
    bench.change(GroupChange { runs: vec![run("b", 3, LONG)], ..change_of(&group) }).await;
    let group = bench.found(&g()).await;
    assert_eq!(end(&[("b", 3)], &group).await, Changed::Conflict);
}

pub(in crate::store) async fn a_partition_that_is_not_let_go_of_is_taken(bench: Bench) {
    let p = bench.topic("t", 1).await.partition(0);
    bench.join(&[("a", 20), ("b", LONG)], &[(p, Some("a"))]).await;
    bench.take(step("a", 1, Commit::Nothing)).await.expect("taken");
    let group = bench.join(&[], &[(p, Some("b"))]).await;
    let until = row(&group, p).lease_end;
    bench.change(GroupChange { runs: vec![run("a", 1, LONG)], ..change_of(&group) }).await;
    let keeps = Step { hand_over: None, ..step("a", 1, Commit::Nothing) };
    bench.take(keeps).await.expect("its run goes on");
    let group = bench.past(until).await;
    assert_eq!((row(&group, p).lease_end, standing(&group, p).0), (until, Some("a")), "it is renewed no more");
    assert!(!group.member(&name("a")).expect("there").has_lapsed(group.now), "the member is");
    assert_eq!(bench.lapses(until).await.expect("looked").groups, [g()]);
    let end = GroupChange { lapsed: vec![(name("a"), 1)], ..change_of(&group) };
    assert_eq!(bench.change_group(end).await.expect("asked"), Changed::Conflict, "its run goes on");
    bench.change(GroupChange { overdue: vec![p], ..change_of(&group) }).await;
    let held = bench.take(step("b", 2, Commit::Nothing)).await.expect("taken").held;
    assert_eq!(held.iter().map(|row| (row.id, row.epoch)).collect::<Vec<_>>(), [(p, 2)]);
    bench.take(step("a", 1, Commit::Nothing)).await.expect("its run goes on");
    let late = Position { partition: p, epoch: 1, next_offset: 3 };
    let refused = bench.take(step("a", 1, Commit::Cursor(vec![late]))).await;
    assert!(matches!(refused, Err(StepRefused::LeaseLost { .. })), "{refused:?}");
}

pub(in crate::store) async fn a_partition_that_nobody_waits_for_may_stay(bench: Bench) {
    let p = bench.topic("t", 1).await.partition(0);
    bench.join(&[("a", 20), ("b", LONG)], &[(p, Some("a"))]).await;
    bench.take(step("a", 1, Commit::Nothing)).await.expect("taken");
    let group = bench.join(&[], &[(p, None)]).await;
    let until = row(&group, p).lease_end;
    bench.change(GroupChange { runs: vec![run("a", 1, LONG)], ..change_of(&group) }).await;
    let group = bench.past(until).await;
    assert_eq!(bench.lapses(0).await.expect("looked").groups, []);
    let take = GroupChange { overdue: vec![p], ..change_of(&group) };
    assert_eq!(bench.change_group(take).await.expect("asked"), Changed::Conflict);
    assert_eq!(standing(&bench.found(&g()).await, p).0, Some("a"));
}

pub(in crate::store) async fn groups_are_listed_by_name_with_their_active_members(bench: Bench) {
    for name in ["b", "g", "a-b", "B", "a"] {
        bench.create_group(&name.parse().expect("a name")).await.expect("made");
    }
    let group = bench.join(&[("a", LONG), ("b", LONG), ("late", 1)], &[]).await;
    bench.past(lease_end(&group, "late")).await;
    let list = async |after: Option<&str>, limit| {
        let groups = bench.groups(after, limit).await.expect("listed");
        groups.into_iter().map(|group| (group.name.to_string(), group.members)).collect::<Vec<_>>()
    };
    let all = [("B", 0), ("a", 0), ("a-b", 0), ("b", 0), ("g", 2)].map(|(name, members)| (name.to_owned(), members));
    assert_eq!(list(None, 9).await, all);
    assert_eq!(list(None, 2).await, all[..2]);
    assert_eq!(list(Some("a"), 2).await, all[2..4]);
    assert_eq!(list(Some("c"), 2).await, all[4..], "`after` need not be in the list");
    assert_eq!(list(Some("g"), 2).await, []);
}
