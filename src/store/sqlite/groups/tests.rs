//! What is SQLite's own of groups: query plans, damage, errors of the disk, what is not written, a look that is cut.

use crate::model::group::Group;
use crate::model::group::Subscription;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::topic::PartitionId;
use crate::store::conformance::groups::change_of;
use crate::store::contract::Upkeep;
use crate::store::error::StoreError;
use crate::store::group_contract::Changed;
use crate::store::group_contract::Commit;
use crate::store::group_contract::GroupChange;
use crate::store::group_contract::GroupStore;
use crate::store::group_contract::MemberRun;
use crate::store::group_contract::Reset;
use crate::store::group_contract::Step;
use crate::store::sqlite::Sqlite;
use crate::store::sqlite::groups::load;
use crate::store::sqlite::groups::read;
use crate::store::sqlite::groups::upkeep;
use crate::store::sqlite::tests::break_files;
use crate::store::sqlite::tests::execute;
use crate::store::sqlite::tests::fresh;
use crate::store::sqlite::tests::partition;
use crate::store::sqlite::tests::plan;
use crate::store::sqlite::tests::raw;

fn g() -> GroupName {
    "g".parse().expect("a name")
}

fn a() -> MemberName {
    "a".parse().expect("a name")
}

fn step(epoch: u64) -> Step {
    Step { group: g(), member: a(), epoch, commit: Commit::Nothing, hand_over: Some(vec![]) }
}

/// The group `g`, whose member `a` (epoch 1) holds that partition.
async fn held(store: &Sqlite, id: PartitionId) -> Group {
    let group = store.create_group(&g()).await.expect("made");
    let run = MemberRun { name: a(), epoch: 1, subscription: Subscription::Prefix(String::new()), lease_ms: 600_000 };
    let change = GroupChange { runs: vec![run], assigned: vec![(id, Some(a()))], ..change_of(&group) };
    assert_eq!(store.change_group(change).await.expect("asked"), Changed::Done);
    assert!(matches!(&store.step(vec![step(1)]).await.expect("taken")[..], [Ok(done)] if done.held.len() == 1));
    store.group(&g()).await.expect("read").expect("there is one")
}

#[tokio::test]
async fn no_query_reads_a_table_of_groups_from_end_to_end() {
    let (_place, options, store) = fresh().await;
    let mut connection = raw(&options).await;
    // Each query, and all the ways in which it must look into tables.
    let expected: [(&str, &[&str]); 11] = [
        (load::BY_NAME, &["SEARCH g USING INDEX groups_by_name (name=?)"]),
        (load::BY_ID, &["SEARCH g USING INTEGER PRIMARY KEY (rowid=?)"]),
        (load::MEMBERS, &["SEARCH m USING PRIMARY KEY (group_id=? AND member=?)"]),
        (
            load::PARTITIONS,
            &[
                "SEARCH p USING INDEX group_partitions_by_owner (group_id=? AND owner=?)",
                "SEARCH p USING INDEX group_partitions_by_assignee (group_id=? AND assignee=?)",
                "SEARCH p USING PRIMARY KEY (group_id=? AND topic_id=? AND partition=?)",
            ],
        ),
        (read::MEMBERS, &["SEARCH m USING PRIMARY KEY (group_id=?)"]),
        (read::PARTITIONS, &["SEARCH p USING PRIMARY KEY (group_id=?)"]),
        (read::LIST, &["SEARCH g USING INDEX groups_by_name (name>?)", "SEARCH m USING PRIMARY KEY (group_id=?)"]),
        (
            read::LAPSES,
            &[
                "SEARCH group_members USING COVERING INDEX group_members_by_lease (lease_end>? AND lease_end<?)",
                "SEARCH group_partitions USING INDEX group_partitions_leaving (lease_end>? AND lease_end<?)",
                "SEARCH g USING INTEGER PRIMARY KEY (rowid=?)",
            ],
        ),
        (
            upkeep::ANY_LEASE,
            &[
                "SEARCH group_members USING COVERING INDEX group_members_by_lease (lease_end>?)",
                "SCAN group_partitions USING COVERING INDEX group_partitions_by_owner",
            ],
        ),
        (
            upkeep::PURGE_MEMBERS,
            &[
                "SEARCH group_members USING PRIMARY KEY (group_id=? AND member=?)",
                "SEARCH group_members USING COVERING INDEX group_members_ended (ended_at<?)",
            ],
        ),
        (
            upkeep::FORGET_TOPIC,
            &[
                "SEARCH group_partitions USING PRIMARY KEY (group_id=? AND topic_id=? AND partition=?)",
                "SEARCH group_partitions USING COVERING INDEX group_partitions_by_topic (topic_id=?)",
            ],
        ),
    ];
    for (sql, expected) in expected {
        let plan = plan(&mut connection, sql).await;
        let made = ["SCAN asked VIRTUAL TABLE", "SCAN (subquery", "SCAN lapse", "SCAN CONSTANT ROW"];
        let is_made = |line: &&String| made.iter().any(|made| line.starts_with(made));
        let looks = plan.iter().filter(|line| line.starts_with("SEARCH") || line.starts_with("SCAN"));
        let looks: Vec<&String> = looks.filter(|line| !is_made(line)).collect();
        assert_eq!(looks, expected, "{sql}\n{plan:#?}");
    }
    store.close().await;
}

#[tokio::test]
async fn what_changes_nothing_is_not_written() {
    let (_place, options, store) = fresh().await;
    let here = partition(&store, "t").await;
    let group = held(&store, here).await;
    let log = options.data_dir.join("tidegate.db-wal");
    let written = || log.metadata().expect("there is one").len();
    let before = written();
    assert!(store.step(vec![step(2), step(3)]).await.expect("taken").iter().all(Result::is_err));
    let conflict = GroupChange { version: 0, ..change_of(&group) };
    assert_eq!(store.change_group(conflict).await.expect("asked"), Changed::Conflict);
    store.create_group(&g()).await.expect("there is one");
    store.reset_offsets(&g(), &[Reset { partition: here, next_offset: 1 }], false).await.expect("asked");
    store.delete_group(&g(), false).await.expect("asked");
    store.lapses(0).await.expect("looked");
    assert_eq!(written(), before);
    assert!(store.step(vec![step(1)]).await.expect("taken")[0].is_ok());
    assert!(written() > before, "a renewal is");
    store.close().await;
}

#[tokio::test]
async fn damaged_rows_are_an_error() {
    let spoils = [
        "update groups set name = 'not a name'",
        "update groups set strategy = 'chance'",
        "update groups set version = -1",
        "update group_members set member = ''",
        "update group_members set epoch = -1",
        "update group_members set subscription = '{}'",
        "update group_members set subscription = '{\"topics\":[\"b\",\"a\"]}'",
        "update group_members set subscription = '{\"topics\":[\"no name\"]}'",
        "update group_members set lease_end = -1",
        "update group_partitions set partition = 1 << 32",
        "update group_partitions set owner = 'not a name'",
        "update group_partitions set assignee = ''",
        "update group_partitions set committed_offset = -1",
        "update group_partitions set epoch = -1",
    ];
    for spoil in spoils {
        let (_place, options, store) = fresh().await;
        held(&store, partition(&store, "t").await).await;
        execute(&mut raw(&options).await, spoil).await;
        let is_damage = |done: Result<(), StoreError>| matches!(done, Err(StoreError::Corrupt(_)));
        if spoil.contains(" name = ") {
            assert!(is_damage(store.groups(None, 9).await.map(drop)), "{spoil}");
        } else {
            assert!(is_damage(store.group(&g()).await.map(drop)), "{spoil}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn after_an_io_error_of_a_group_nothing_is_written_any_more() {
    for call in 0..6 {
        let (_place, options, store) = fresh().await;
        let here = partition(&store, "t").await;
        let group = held(&store, here).await;
        break_files(&store, &options).await;
        let first = match call {
            0 => store.step(vec![step(1)]).await.map(drop),
            1 => store.change_group(change_of(&group)).await.map(drop),
            2 => store.create_group(&"new".parse().expect("a name")).await.map(drop),
            3 => store.reset_offsets(&g(), &[Reset { partition: here, next_offset: 1 }], true).await.map(drop),
            4 => store.delete_group(&g(), true).await.map(drop),
            _ => store.purge_members(1).await.map(drop),
        };
        let unknown = |done: Result<(), StoreError>| matches!(done, Err(StoreError::Indefinite(_)));
        assert!(unknown(first.clone()), "call {call}: {first:?}");
        assert!(unknown(store.step(vec![]).await.map(drop)));
        store.close().await;
    }
}

/// The clock that they were told by stopped with the process (decision 28).
#[tokio::test]
async fn leases_run_anew_after_a_start() {
    let (_place, options, store) = fresh().await;
    let here = partition(&store, "t").await;
    let group = held(&store, here).await;
    // It is to be let go of, and has a lease all the same.
    let change = GroupChange { assigned: vec![(here, None)], ..change_of(&group) };
    assert_eq!(store.change_group(change).await.expect("asked"), Changed::Done);
    let before = store.group(&g()).await.expect("read").expect("there is one");
    store.close().await;
    let store = Sqlite::open(&options).await.expect("opened");
    let after = store.group(&g()).await.expect("read").expect("there is one");
    let (member, row) = (&after.members[0], &after.partitions[0]);
    let begin = member.lease_end.expect("it runs") - member.lease_ms;
    assert!((before.now..=after.now).contains(&begin), "{member:?}");
    assert_eq!((row.owner.as_ref(), Some(row.lease_end)), (Some(&a()), member.lease_end));
    store.close().await;
}

/// Readers have a snapshot each, and give it back: else a checkpoint would wait for it.
#[tokio::test]
async fn a_reader_keeps_no_snapshot() {
    let (_place, options, store) = fresh().await;
    held(&store, partition(&store, "t").await).await;
    for _ in 0..2 * options.readers {
        store.group(&g()).await.expect("read");
        store.group(&"nowhere".parse().expect("a name")).await.expect("read");
    }
    store.step(vec![step(1)]).await.expect("taken");
    let mut other = raw(&options).await;
    let checkpoint = sqlx::query_as("pragma wal_checkpoint(truncate)").fetch_one(&mut other).await;
    let (held_up, frames, _): (i64, i64, i64) = checkpoint.expect("ran");
    assert_eq!((held_up, frames), (0, 0));
    store.close().await;
}

#[tokio::test]
async fn a_look_for_lapses_that_is_cut_misses_none() {
    let (_place, options, store) = fresh().await;
    // Each group with two members: one lapsed a millisecond after that of the group before, one after all of those.
    let fill = "
        with recursive number (n) as (select 1 union all select n + 1 from number where n < 2500)
        insert into groups (name, version, last_epoch, strategy) select 'g' || n, 1, 1, 'sticky' from number;
        insert into group_members (group_id, member, epoch, subscription, lease_ms, lease_end)
        select id, 'a', 1, '{\"topics\":[]}', 1, 1000 + id from groups
        union all select id, 'b', 1, '{\"topics\":[]}', 1, 9000 + id from groups";
    execute(&mut raw(&options).await, fill).await;
    let (mut since, mut seen) = (0, Vec::new());
    let mut looks = 0;
    loop {
        let lapses = store.lapses(since).await.expect("looked");
        assert!(lapses.groups.len() <= 1000 && lapses.until > since);
        if lapses.groups.is_empty() {
            break;
        }
        seen.extend(lapses.groups.iter().map(GroupName::to_string));
        since = lapses.until;
        looks += 1;
    }
    assert!(looks >= 3);
    for group in 1..=2500 {
        assert!(seen.contains(&format!("g{group}")), "g{group}");
    }
    store.close().await;
}
