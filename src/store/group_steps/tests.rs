//! The rules one by one, and any interleaving of them.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::group::GroupId;
use crate::model::group::GroupPartition;
use crate::model::group::Member;
use crate::model::group::Strategy as Sharing;
use crate::model::group::Subscription;
use crate::model::name::MemberName;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::model::topic::TopicId;
use crate::store::group_changes::change;
use crate::store::group_contract::Changed;
use crate::store::group_contract::Commit;
use crate::store::group_contract::GroupChange;
use crate::store::group_contract::MemberRun;
use crate::store::group_contract::NamedOffset;
use crate::store::group_contract::Position;
use crate::store::group_contract::Step;
use crate::store::group_contract::StepRefused;
use crate::store::group_rows::GroupRows;
use crate::store::group_steps::take;

const LEASE_MS: u64 = 100;

fn id(partition: u32) -> PartitionId {
    PartitionId { topic: TopicId(1), partition }
}

fn name(member: &str) -> MemberName {
    member.parse().expect("a name")
}

fn member(named: &str, epoch: u64, lease_end: Option<Millis>) -> Member {
    let subscription = Subscription::Prefix(String::new());
    Member { name: name(named), epoch, subscription, lease_ms: LEASE_MS, lease_end }
}

/// A partition at epoch 5 whose lease ends at 50, with 10 committed.
fn row(partition: u32, owner: Option<&str>, assignee: Option<&str>) -> GroupPartition {
    GroupPartition {
        owner: owner.map(name),
        assignee: assignee.map(name),
        epoch: 5,
        lease_end: if owner.is_some() { 50 } else { 0 },
        committed: Some(10),
        metadata: Some("note".into()),
        ..GroupPartition::new(id(partition))
    }
}

/// A group of `a` (epoch 1), `b` (epoch 2), both with a lease up to 50, and `gone` (epoch 3), whose run was ended.
fn group(partitions: Vec<GroupPartition>) -> GroupRows {
    let mut group = GroupRows::new(GroupId(1), "g".parse().expect("a name"), 7, 3, Sharing::Sticky);
    group.add_member(member("a", 1, Some(50)));
    group.add_member(member("b", 2, Some(50)));
    group.add_member(member("gone", 3, None));
    partitions.into_iter().for_each(|row| group.add_partition(row));
    group
}

fn step(member: &str, epoch: u64, commit: Commit) -> Step {
    let group = "g".parse().expect("a name");
    Step { group, member: name(member), epoch, commit, hand_over: None }
}

fn handing(member: &str, epoch: u64, commit: Commit, returned: Vec<Position>) -> Step {
    Step { hand_over: Some(returned), ..step(member, epoch, commit) }
}

fn at(partition: u32, epoch: u64, next_offset: u64) -> Position {
    Position { partition: id(partition), epoch, next_offset }
}

fn offset(partition: u32, next_offset: u64) -> NamedOffset {
    NamedOffset { partition: id(partition), next_offset, metadata: Some("new".into()) }
}

fn ids(rows: &[GroupPartition]) -> Vec<u32> {
    rows.iter().map(|row| row.id.partition).collect()
}

/// The refusal of a step, which must not have changed anything.
fn refused(group: &mut GroupRows, step: &Step) -> StepRefused {
    let before = group.clone();
    let refusal = take(group, 20, step).expect_err("refused");
    assert_eq!(*group, before, "nothing changed");
    refusal
}

#[test]
fn the_epoch_decides_before_all_else() {
    let mut group = group(vec![row(0, Some("a"), Some("a"))]);
    let commit = || Commit::Cursor(vec![at(0, 5, 11), at(9, 1, 1)]);
    assert_eq!(refused(&mut group, &step("nobody", 1, commit())), StepRefused::UnknownMember);
    for stale in [0, 2, 99] {
        let refusal = refused(&mut group, &step("a", stale, commit()));
        let partitions = vec![row(0, Some("a"), Some("a")), GroupPartition::new(id(9))];
        assert_eq!(refusal, StepRefused::StaleEpoch { current: 1, partitions });
    }
    let refusal = refused(&mut group, &step("gone", 9, Commit::Nothing));
    assert_eq!(refusal, StepRefused::StaleEpoch { current: 3, partitions: vec![] }, "also of a run that was ended");
    let refusal = refused(&mut group, &step("gone", 3, Commit::Cursor(vec![at(0, 5, 1)])));
    let partitions = vec![row(0, Some("a"), Some("a"))];
    assert_eq!(refusal, StepRefused::LeaseLost { partitions }, "though the offset was reached");
}

#[test]
fn a_step_renews_what_stays_and_not_what_leaves() {
    let mut group = group(vec![
        row(0, Some("a"), Some("a")),
        row(1, Some("a"), Some("b")),
        row(2, Some("a"), None),
        row(3, Some("b"), Some("a")),
    ]);
    let done = take(&mut group, 60, &step("a", 1, Commit::Nothing)).expect("taken");
    assert_eq!((ids(&done.held), done.lease_ms, done.was_lapsed, done.version), (vec![0, 1, 2], LEASE_MS, true, 7));
    assert_eq!(done.held.iter().map(|row| row.lease_end).collect::<Vec<_>>(), [160, 50, 50]);
    assert_eq!(group.member(&name("a")).expect("there").lease_end, Some(160));
    assert_eq!(group.changed_members().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(group.changed_partitions().map(|row| row.id).collect::<Vec<_>>(), [id(0)]);
    assert!(!take(&mut group, 160, &step("a", 1, Commit::Nothing)).expect("taken").was_lapsed, "to the last");
}

#[test]
fn a_cursor_commits_forward_and_passes_over_what_was_reached() {
    let mut group = group(vec![
        row(0, Some("a"), Some("a")),
        row(1, Some("a"), Some("a")),
        row(2, Some("b"), Some("b")),
        GroupPartition { committed: None, ..row(3, Some("a"), Some("b")) },
    ]);
    let commit = Commit::Cursor(vec![at(3, 5, 4), at(0, 5, 12), at(1, 5, 9), at(2, 4, 10)]);
    let done = take(&mut group, 20, &step("a", 1, commit)).expect("taken");
    let committed: Vec<_> = done.committed.iter().map(|row| (row.id.partition, row.committed)).collect();
    assert_eq!(committed, [(3, Some(4)), (0, Some(12)), (1, Some(10)), (2, Some(10))]);
    let notes: Vec<_> = done.committed.iter().map(|row| row.metadata.as_deref()).collect();
    assert_eq!(notes, [None, None, Some("note"), Some("note")], "a note stays with its offset");
    // Another's, another epoch's, one without a row: all or nothing.
    let commit = Commit::Cursor(vec![at(1, 5, 99), at(2, 5, 11), at(0, 4, 13), at(9, 0, 1), at(0, 4, 12)]);
    let StepRefused::LeaseLost { partitions } = refused(&mut group, &step("a", 1, commit)) else { panic!("is lost") };
    assert_eq!(ids(&partitions), [2, 0, 9]);
}

#[test]
fn offsets_by_name_are_of_what_is_held_and_never_go_back() {
    let mut group = group(vec![
        row(0, Some("a"), Some("a")),
        row(1, Some("a"), Some("b")),
        row(2, Some("b"), Some("a")),
        row(3, None, Some("a")),
    ]);
    let commit = |offsets| step("a", 1, Commit::Offsets(offsets));
    let refusal = refused(&mut group, &commit(vec![offset(0, 9), offset(2, 11), offset(3, 10), offset(9, 0)]));
    let StepRefused::LeaseLost { partitions } = refusal else { panic!("not held: {refusal:?}") };
    assert_eq!(ids(&partitions), [2, 3, 9]);
    let refusal = refused(&mut group, &commit(vec![offset(0, 9), offset(1, 11)]));
    let partitions = vec![row(0, Some("a"), Some("a"))];
    assert_eq!(refusal, StepRefused::OffsetRegression { partitions });
    let done = take(&mut group, 20, &commit(vec![offset(1, 10), offset(0, 30), offset(0, 20)])).expect("taken");
    let committed: Vec<_> = done.committed.iter().map(|row| (row.id.partition, row.committed)).collect();
    assert_eq!(committed, [(1, Some(10)), (0, Some(30)), (0, Some(30))]);
    assert!(done.committed.iter().all(|row| row.metadata.as_deref() == Some("new")));
}

#[test]
fn a_beginning_counts_where_nothing_is_committed() {
    let fresh = |partition, owner| GroupPartition { committed: None, ..row(partition, owner, Some("a")) };
    let mut group = group(vec![fresh(0, Some("a")), row(1, Some("a"), Some("a")), fresh(2, Some("b")), fresh(3, None)]);
    let begin = (0..5).map(|partition| (id(partition), 40)).collect();
    let done = take(&mut group, 20, &step("a", 1, Commit::Begin(begin))).expect("never refused");
    let committed: Vec<_> = done.committed.iter().map(|row| row.committed).collect();
    assert_eq!(committed, [Some(40), Some(10), None, None, None]);
    assert!(group.partition(id(4)).is_none(), "it makes no row");
}

#[test]
fn a_partition_is_let_go_of_once_what_was_returned_is_committed() {
    let leaving = |partition| row(partition, Some("a"), Some("b"));
    let mut group = group(vec![
        leaving(0),
        leaving(1),
        leaving(2),
        row(3, Some("a"), None),
        GroupPartition { committed: None, ..leaving(4) },
        row(5, Some("a"), Some("a")),
    ]);
    // 0: not committed. 1: committed by this very step. 2: read under another epoch. 4: nothing settled yet.
    let returned = vec![at(0, 5, 11), at(1, 5, 12), at(2, 4, 99), at(4, 5, 0)];
    let done = take(&mut group, 20, &handing("a", 1, Commit::Cursor(vec![at(1, 5, 12)]), returned)).expect("taken");
    assert_eq!((ids(&done.held), done.freed_for), (vec![0, 4, 5], vec![name("b")]));
    assert_eq!(done.committed[0].owner, None, "as it stands after the hand-over");
    let done = take(&mut group, 20, &handing("b", 2, Commit::Nothing, vec![])).expect("taken");
    let held: Vec<_> =
        done.held.iter().map(|row| (row.id.partition, row.epoch, row.lease_end, row.committed)).collect();
    assert_eq!(held, [(1, 6, 120, Some(12)), (2, 6, 120, Some(10))]);
    assert_eq!(done.freed_for, []);
    let done = take(&mut group, 20, &handing("a", 1, Commit::Nothing, vec![])).expect("taken");
    assert_eq!((ids(&done.held), done.freed_for), (vec![5], vec![name("b")]), "nothing was returned of the others");
    let StepRefused::LeaseLost { partitions } = refused(&mut group, &step("a", 1, Commit::Cursor(vec![at(0, 5, 11)])))
    else {
        panic!("it let go");
    };
    assert_eq!(ids(&partitions), [0]);
}

#[test]
fn what_another_holds_is_not_taken_be_its_lease_over_or_not() {
    let mut group = group(vec![row(0, Some("b"), Some("a")), row(1, None, Some("b")), row(2, None, None)]);
    let done = take(&mut group, 1000, &handing("a", 1, Commit::Nothing, vec![])).expect("taken");
    assert_eq!(done.held, []);
    assert_eq!(group.changed_partitions().count(), 0);
}

#[test]
fn without_hand_over_nothing_moves() {
    let mut group = group(vec![row(0, Some("a"), Some("b")), row(1, None, Some("a"))]);
    let done = take(&mut group, 20, &step("a", 1, Commit::Nothing)).expect("taken");
    assert_eq!((ids(&done.held), done.freed_for), (vec![0], vec![]));
}

/// Members and partitions in play.
const MEMBERS: [&str; 3] = ["a", "b", "c"];
const PARTITIONS: u32 = 4;

#[derive(Debug, Clone)]
enum Move {
    /// A step of a member with the epoch of its run, or one off; positions by partition: how far the epoch is off, and
    /// an offset; those returned likewise.
    Step { member: usize, stale: bool, commit: u8, at: Vec<(u32, bool, u64)>, returned: Option<Vec<(u32, bool, u64)>> },
    /// A new run of a member.
    Begin(usize),
    /// A member leaves.
    Leave(usize),
    /// The run of a member is ended, if its lease allows.
    Lapse(usize),
    /// A partition that is overdue is taken.
    Take(u32),
    /// A partition is assigned.
    Assign(u32, Option<usize>),
    /// Time passes.
    Wait(Millis),
}

fn any_move() -> impl Strategy<Value = Move> {
    let positions = || vec((0..PARTITIONS, prop::bool::weighted(0.1), 0..20_u64), 0..3);
    prop_oneof![
        8 => (0..3_usize, prop::bool::weighted(0.1), 0..4_u8, positions(), prop::option::of(positions())).prop_map(
            |(member, stale, commit, at, returned)| Move::Step { member, stale, commit, at, returned }),
        2 => (0..3_usize).prop_map(Move::Begin),
        1 => (0..3_usize).prop_map(Move::Leave),
        2 => (0..3_usize).prop_map(Move::Lapse),
        2 => (0..4_u32).prop_map(Move::Take),
        6 => (0..PARTITIONS, prop::option::of(0..3_usize)).prop_map(|(partition, to)| Move::Assign(partition, to)),
        2 => (1..2 * LEASE_MS).prop_map(Move::Wait),
    ]
}

/// All rows of the group, as a database would have them: only what was marked as changed gets in.
#[derive(Debug, Clone, Default)]
struct Table {
    version: u64,
    last_epoch: u64,
    members: HashMap<MemberName, Member>,
    partitions: HashMap<PartitionId, GroupPartition>,
}

impl Table {
    fn load(&self) -> GroupRows {
        let name = "g".parse().expect("a name");
        let mut group = GroupRows::new(GroupId(1), name, self.version, self.last_epoch, Sharing::Sticky);
        self.members.values().cloned().for_each(|row| group.add_member(row));
        self.partitions.values().cloned().for_each(|row| group.add_partition(row));
        group
    }

    fn save(&mut self, group: &GroupRows, left: &[MemberName]) {
        (self.version, self.last_epoch) = (group.version, group.last_epoch);
        self.members.retain(|name, _| !left.contains(name));
        self.members.extend(group.changed_members().map(|row| (row.name.clone(), row.clone())));
        self.partitions.extend(group.changed_partitions().map(|row| (row.id, row.clone())));
        for id in (0..PARTITIONS).map(id) {
            assert_eq!(group.partition(id), self.partitions.get(&id), "all changes are marked");
        }
        self.members.keys().for_each(|name| assert_eq!(group.member(name), self.members.get(name)));
    }

    fn epoch_of(&self, partition: u32) -> u64 {
        self.partitions.get(&id(partition)).map_or(0, |row| row.epoch)
    }

    /// A change of nothing, to be filled in.
    fn change(&self) -> GroupChange {
        GroupChange {
            group: GroupId(1),
            version: self.version,
            strategy: Sharing::Sticky,
            runs: vec![],
            left: vec![],
            lapsed: vec![],
            overdue: vec![],
            assigned: vec![],
        }
    }
}

fn play(table: &mut Table, now: &mut Millis, turn: Move) {
    let before = table.clone();
    let change = match turn {
        Move::Wait(ms) => return *now += ms,
        Move::Step { member, stale, commit, at, returned } => {
            return step_and_check(table, *now, MEMBERS[member], stale, commit, at, returned);
        }
        Move::Begin(member) => {
            let epoch = table.last_epoch + 1;
            let subscription = Subscription::Prefix(String::new());
            let run = MemberRun { name: name(MEMBERS[member]), epoch, subscription, lease_ms: LEASE_MS };
            GroupChange { runs: vec![run], ..table.change() }
        }
        Move::Leave(member) => GroupChange { left: vec![name(MEMBERS[member])], ..table.change() },
        Move::Lapse(member) => {
            let Some(member) = table.members.get(MEMBERS[member]) else { return };
            GroupChange { lapsed: vec![(member.name.clone(), member.epoch)], ..table.change() }
        }
        Move::Take(partition) => GroupChange { overdue: vec![id(partition)], ..table.change() },
        Move::Assign(partition, to) => {
            GroupChange { assigned: vec![(id(partition), to.map(|to| name(MEMBERS[to])))], ..table.change() }
        }
    };
    let mut group = table.load();
    let done = self::change(&mut group, *now, &change);
    if done == Changed::Conflict {
        assert_eq!(group, before.load());
        assert!(!change.lapsed.is_empty() || !change.overdue.is_empty(), "only a lease that runs is in the way");
    }
    table.save(&group, if done == Changed::Done { &change.left } else { &[] });
    for (id, row) in &table.partitions {
        let fresh = GroupPartition::new(*id);
        let was = before.partitions.get(id).unwrap_or(&fresh);
        assert!(row.owner == was.owner || row.owner.is_none(), "a change gives nothing");
        assert_eq!((row.epoch, row.committed), (was.epoch, was.committed));
        let ended = row.owner != was.owner && !change.lapsed.is_empty();
        let owner = was.owner.as_ref().and_then(|owner| before.members.get(owner));
        assert!(!ended || owner.is_some_and(|owner| owner.has_lapsed(*now)), "no lease is cut short");
        let taken = row.owner != was.owner && !change.overdue.is_empty();
        assert!(!taken || was.is_leaving() && was.lease_end < *now, "only what was to be let go of is taken");
    }
}

fn step_and_check(
    table: &mut Table,
    now: Millis,
    member: &str,
    stale: bool,
    commit: u8,
    at: Vec<(u32, bool, u64)>,
    returned: Option<Vec<(u32, bool, u64)>>,
) {
    let before = table.clone();
    let run = table.members.get(member).map_or(0, |row| row.epoch);
    let position = |(partition, stale, next_offset): (u32, bool, u64)| {
        self::at(partition, table.epoch_of(partition).wrapping_sub(u64::from(stale)), next_offset)
    };
    let named: Vec<u32> = at.iter().map(|(partition, ..)| *partition).collect();
    let positions: Vec<Position> = at.into_iter().map(position).collect();
    let commit = match commit {
        0 => Commit::Nothing,
        1 => Commit::Cursor(positions.clone()),
        2 => Commit::Offsets(positions.iter().map(|at| offset(at.partition.partition, at.next_offset)).collect()),
        _ => Commit::Begin(positions.iter().map(|at| (at.partition, at.next_offset)).collect()),
    };
    let step = Step {
        hand_over: returned.map(|returned| returned.into_iter().map(position).collect()),
        ..step(member, if stale { run.wrapping_sub(1) } else { run }, commit)
    };
    let mut group = table.load();
    let done = take(&mut group, now, &step);
    table.save(&group, &[]);
    let is_running = before.members.get(member).is_some_and(Member::is_running);
    assert!(done.is_err() || (is_running && !stale), "an epoch that is over does nothing");
    if done.is_err() {
        assert_eq!(group, before.load(), "a refused step changes nothing");
    }
    for (id, row) in &table.partitions {
        let was = &before.partitions[id];
        let claimed = row.owner != was.owner && row.owner.is_some();
        assert_eq!(row.epoch, was.epoch + u64::from(claimed), "one more with every claim, and only then");
        assert!(!claimed || (was.owner.is_none() && row.is_held_by(&name(member)) && row.assignee == row.owner));
        assert!(row.owner == was.owner || was.owner.as_ref().is_none_or(|owner| *owner == name(member)));
        assert!(row.committed >= was.committed, "nothing goes back");
        let commits = row.committed != was.committed;
        assert!(!commits || (was.is_held_by(&name(member)) && named.contains(&id.partition)), "only what it holds");
        assert!(
            !commits
                || !matches!(&step.commit, Commit::Cursor(positions)
            if !positions.iter().any(|at| at.partition == *id && at.epoch == was.epoch)),
            "only under its epoch"
        );
        assert_eq!(row.assignee, was.assignee, "a step assigns nothing");
    }
    if let Ok(done) = done {
        assert!(done.held.iter().all(|row| row.is_held_by(&name(member)) && table.partitions[&row.id] == *row));
        let held = table.partitions.values().filter(|row| row.is_held_by(&name(member))).count();
        assert_eq!(done.held.len(), held);
    }
}

proptest! {
    #[test]
    fn any_interleaving_keeps_to_the_rules(turns in vec(any_move(), 1..80)) {
        let (mut table, mut now) = (Table::default(), 1000);
        for turn in turns {
            play(&mut table, &mut now, turn);
        }
    }
}
