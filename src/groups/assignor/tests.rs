//! The strategies: by Kafka's own examples, and by what holds for any members and topics.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::collection::btree_set;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::groups::assignor::Assignment;
use crate::groups::assignor::Subscriber;
use crate::groups::assignor::assign;
use crate::model::group::Strategy as Sharing;
use crate::model::group::Subscription;
use crate::model::name::MemberName;
use crate::model::topic::PartitionId;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;
use crate::model::topic::TopicId;

/// Members with what they read.
type Members = Vec<(MemberName, Subscription)>;

/// Topics `t0`, `t1` and so on, with so many partitions each.
fn topics(partition_counts: &[u32]) -> Vec<Topic> {
    let topic = |(i, partition_count): (usize, &u32)| Topic {
        id: TopicId(i as i64),
        incarnation: 1 + i as u64,
        name: format!("t{i}").parse().expect("a name"),
        config: TopicConfig { partition_count: *partition_count, retention: Retention::default() },
        former_partition_counts: Vec::new(),
        created_at: 0,
    };
    partition_counts.iter().enumerate().map(topic).collect()
}

fn member(name: &str, topics: &[&str]) -> (MemberName, Subscription) {
    let names = topics.iter().map(|topic| topic.parse().expect("a name")).collect();
    (name.parse().expect("a name"), Subscription::Topics(names))
}

fn share<'a>(sharing: Sharing, members: &'a Members, topics: &'a [Topic], current: &Assignment<'_>) -> Assignment<'a> {
    let subscribers: Vec<_> = members.iter().map(|(name, subscription)| Subscriber { name, subscription }).collect();
    assign(sharing, &subscribers, topics, current)
}

/// An assignment as `C0: t0p0 t0p1, C1: t1p0`.
fn text(assignment: &Assignment<'_>) -> String {
    let mut by_member: BTreeMap<&MemberName, String> = BTreeMap::new();
    for (partition, name) in assignment {
        let part = format!(" t{}p{}", partition.topic.0, partition.partition);
        by_member.entry(name).or_default().push_str(&part);
    }
    by_member.iter().map(|(name, parts)| format!("{name}:{parts}")).collect::<Vec<_>>().join(", ")
}

fn partition(topic: i64, partition: u32) -> PartitionId {
    PartitionId { topic: TopicId(topic), partition }
}

#[test]
fn every_strategy_does_what_its_namesake_in_kafka_is_documented_to_do() {
    let same = |names: &[&str], read: &[&str]| names.iter().map(|name| member(name, read)).collect::<Members>();
    let two = same(&["C0", "C1"], &["t0", "t1"]);
    let three = same(&["C0", "C1", "C2"], &["t0", "t1", "t2", "t3"]);
    let unlike = vec![member("C0", &["t0"]), member("C1", &["t0", "t1"]), member("C2", &["t0", "t1", "t2"])];
    for (sharing, members, partition_counts, expected) in [
        (Sharing::Range, &two, &[3, 3][..], "C0: t0p0 t0p1 t1p0 t1p1, C1: t0p2 t1p2"),
        (Sharing::RoundRobin, &two, &[3, 3], "C0: t0p0 t0p2 t1p1, C1: t0p1 t1p0 t1p2"),
        (Sharing::RoundRobin, &unlike, &[1, 2, 3], "C0: t0p0, C1: t1p0, C2: t1p1 t2p0 t2p1 t2p2"),
        (Sharing::Sticky, &three, &[2, 2, 2, 2], "C0: t0p0 t1p1 t3p0, C1: t0p1 t2p0 t3p1, C2: t1p0 t2p1"),
        (Sharing::Sticky, &unlike, &[1, 2, 3], "C0: t0p0, C1: t1p0 t1p1, C2: t2p0 t2p1 t2p2"),
    ] {
        let topics = topics(partition_counts);
        let assignment = share(sharing, members, &topics, &Assignment::new());
        assert_eq!(text(&assignment), expected, "{sharing}");
    }
}

#[test]
fn sticky_moves_only_what_the_one_who_went_had() {
    let read = ["t0", "t1", "t2", "t3"];
    let mut members: Members = ["C0", "C1", "C2"].iter().map(|name| member(name, &read)).collect();
    let four = topics(&[2, 2, 2, 2]);
    let before = members.clone();
    let before = share(Sharing::Sticky, &before, &four, &Assignment::new());
    members.remove(1);
    let after = share(Sharing::Sticky, &members, &four, &before);
    assert_eq!(text(&after), "C0: t0p0 t1p1 t2p0 t3p0, C2: t0p1 t1p0 t2p1 t3p1", "StickyAssignor, example 1");

    let mut members = vec![member("C0", &["t0"]), member("C1", &["t0", "t1"]), member("C2", &["t0", "t1", "t2"])];
    let three = topics(&[1, 2, 3]);
    let before = members.clone();
    let before = share(Sharing::Sticky, &before, &three, &Assignment::new());
    members.remove(0);
    let after = share(Sharing::Sticky, &members, &three, &before);
    assert_eq!(text(&after), "C1: t0p0 t1p0 t1p1, C2: t2p0 t2p1 t2p2", "StickyAssignor, example 2");
}

#[test]
fn sticky_takes_from_whoever_has_most_and_forgets_what_cannot_stay() {
    let topics = topics(&[6, 1]);
    let (a, b) = (member("a", &["t0"]), member("b", &["t0", "t1"]));
    let gone: MemberName = "gone".parse().expect("a name");
    // `a` has all, even what it does not read; one belongs to somebody who is gone, one does not exist.
    let mut current: Assignment<'_> = (0..5).map(|i| (partition(0, i), &a.0)).collect();
    current.extend([(partition(1, 0), &a.0), (partition(0, 5), &gone), (partition(9, 0), &a.0)]);
    let members = vec![a.clone(), b];
    let assignment = share(Sharing::Sticky, &members, &topics, &current);
    assert_eq!(text(&assignment), "a: t0p0 t0p1 t0p2 t0p3, b: t0p4 t0p5 t1p0");
}

#[test]
fn a_prefix_is_read_like_a_list_and_without_readers_nothing_is_given() {
    let topics = topics(&[2, 2]);
    let prefix = |name: &str, prefix: &str| (name.parse().expect("a name"), Subscription::Prefix(prefix.to_owned()));
    for sharing in Sharing::ALL {
        let members = vec![prefix("all", "t"), prefix("none", "u"), prefix("one", "t1")];
        let assignment = share(sharing, &members, &topics, &Assignment::new());
        let read: BTreeSet<&str> = assignment.values().map(|name| name.as_str()).collect();
        assert_eq!(read, BTreeSet::from(["all", "one"]), "{sharing}");
        assert_eq!(assignment.len(), 4, "{sharing}");
        let nobody = vec![prefix("none", "u")];
        assert_eq!(share(sharing, &nobody, &topics, &assignment), Assignment::new(), "{sharing}");
        assert_eq!(share(sharing, &Vec::new(), &topics, &assignment), Assignment::new(), "{sharing}");
    }
}

#[test]
fn a_thousand_members_who_come_to_one_with_all_partitions_get_ten_each() {
    let topics = topics(&[100; 100]);
    let prefix = Subscription::Prefix("t".to_owned());
    let members: Members = (0..1_000).map(|i| (format!("m{i:03}").parse().expect("a name"), prefix.clone())).collect();
    let alone = members[..1].to_vec();
    let current = share(Sharing::Sticky, &alone, &topics, &Assignment::new());
    let assignment = share(Sharing::Sticky, &members, &topics, &current);
    assert_eq!(assignment.len(), 10_000);
    assert_eq!(loads(&assignment, &members), vec![10; 1_000]);
    assert_eq!(kept(&current, &assignment), 10, "the one keeps its share");
}

/// How many each member has, in order.
fn loads(assignment: &Assignment<'_>, members: &Members) -> Vec<usize> {
    let mut counts: BTreeMap<&MemberName, usize> = members.iter().map(|(name, _)| (name, 0)).collect();
    for name in assignment.values() {
        *counts.get_mut(*name).expect("only members are given partitions") += 1;
    }
    members.iter().map(|(name, _)| counts[name]).collect()
}

fn kept(before: &Assignment<'_>, after: &Assignment<'_>) -> usize {
    after.iter().filter(|(partition, name)| before.get(partition) == Some(name)).count()
}

fn spread(loads: &[usize]) -> usize {
    loads.iter().max().unwrap_or(&0) - loads.iter().min().unwrap_or(&0)
}

fn any_sharing() -> impl Strategy<Value = Sharing> {
    prop::sample::select(Sharing::ALL.to_vec())
}

fn any_subscription() -> impl Strategy<Value = Subscription> {
    let listed = btree_set(0..7, 0..6).prop_map(|topics| {
        let names = topics.into_iter().map(|i| format!("t{i}").parse().expect("a name"));
        Subscription::Topics(names.collect())
    });
    let prefix =
        prop::sample::select(vec!["", "t", "t2", "u"]).prop_map(|prefix| Subscription::Prefix(prefix.to_owned()));
    prop_oneof![3 => listed, 1 => prefix]
}

fn any_members() -> impl Strategy<Value = Members> {
    let named = |(i, subscription)| (format!("m{i}").parse().expect("a name"), subscription);
    vec(any_subscription(), 0..9).prop_map(move |all| all.into_iter().enumerate().map(named).collect())
}

/// Members who all read everything, and who has what; `m8` and above are nobody.
fn any_equals() -> impl Strategy<Value = (Members, Vec<Topic>, BTreeMap<PartitionId, MemberName>)> {
    (1..8usize, vec((1..6u32, vec(option::weighted(0.8, 0..10u32), 6)), 1..6)).prop_map(|(count, rows)| {
        let everything = Subscription::Prefix(String::new());
        let name = |i: u32| format!("m{i}").parse::<MemberName>().expect("a name");
        let members = (0..count).map(|i| (name(i as u32), everything.clone())).collect();
        let counts: Vec<u32> = rows.iter().map(|(count, _)| *count).collect();
        let mut had = BTreeMap::new();
        for (topic, (_, holders)) in rows.iter().enumerate() {
            for (number, holder) in holders.iter().enumerate() {
                // Skewed, so that some have much.
                let holder = holder.map(|holder| if holder > 7 { holder } else { holder / 2 });
                had.extend(holder.map(|holder| (partition(topic as i64, number as u32), name(holder))));
            }
        }
        (members, topics(&counts), had)
    })
}

proptest! {
    #[test]
    fn every_covered_partition_has_one_member_that_covers_it(
        sharing in any_sharing(),
        members in any_members(),
        former in any_members(),
        partition_counts in vec(1..6u32, 0..7),
    ) {
        let topics = topics(&partition_counts);
        let current = share(Sharing::Sticky, &former, &topics, &Assignment::new());
        let assignment = share(sharing, &members, &topics, &current);
        for topic in &topics {
            let readers: Vec<&MemberName> =
                members.iter().filter(|(_, reads)| reads.covers(&topic.name)).map(|(name, _)| name).collect();
            for number in 0..topic.config.partition_count {
                let has = assignment.get(&topic.partition(number));
                prop_assert_eq!(has.is_some(), !readers.is_empty());
                prop_assert!(has.is_none_or(|name| readers.contains(name)));
            }
        }
        let covered = |topic: &&Topic| members.iter().any(|(_, reads)| reads.covers(&topic.name));
        let count: u32 = topics.iter().filter(covered).map(|topic| topic.config.partition_count).sum();
        prop_assert_eq!(assignment.len(), count as usize, "and nothing else is given");
    }

    #[test]
    fn the_order_of_what_is_given_does_not_matter(
        sharing in any_sharing(),
        members in any_members(),
        partition_counts in vec(1..6u32, 0..7),
        turn in 0..8usize,
    ) {
        let topics = topics(&partition_counts);
        let (mut other_members, mut other_topics) = (members.clone(), topics.clone());
        other_members.reverse();
        other_members.rotate_left(turn % members.len().max(1));
        other_topics.rotate_right(turn % topics.len().max(1));
        let one = share(sharing, &members, &topics, &Assignment::new());
        prop_assert_eq!(one, share(sharing, &other_members, &other_topics, &Assignment::new()));
    }

    #[test]
    fn equals_get_equal_shares_and_sticky_moves_no_more_than_that_takes((members, topics, had) in any_equals()) {
        let current: Assignment<'_> = had.iter().map(|(partition, name)| (*partition, name)).collect();
        let dealt = share(Sharing::RoundRobin, &members, &topics, &current);
        prop_assert!(spread(&loads(&dealt, &members)) <= 1);

        let shared = share(Sharing::Sticky, &members, &topics, &current);
        prop_assert!(spread(&loads(&shared, &members)) <= 1);

        // Of what it has, each may keep the lower share, and as many as the upper share goes round may keep one more.
        let valid = current.iter().filter(|(partition, name)| {
            shared.contains_key(partition) && members.iter().any(|(member, _)| member == **name)
        });
        let has = loads(&valid.map(|(partition, name)| (*partition, *name)).collect(), &members);
        let (low, upper_count) = (shared.len() / members.len(), shared.len() % members.len());
        let can_stay: usize = has.iter().map(|count| *count.min(&low)).sum();
        let can_stay = can_stay + upper_count.min(has.iter().filter(|count| **count > low).count());
        prop_assert_eq!(kept(&current, &shared), can_stay);
    }

    #[test]
    fn what_sticky_made_it_leaves_alone_and_no_single_move_would_even_it_out(
        members in any_members(),
        former in any_members(),
        partition_counts in vec(1..6u32, 0..7),
    ) {
        let topics = topics(&partition_counts);
        let current = share(Sharing::RoundRobin, &former, &topics, &Assignment::new());
        let shared = share(Sharing::Sticky, &members, &topics, &current);
        prop_assert_eq!(&share(Sharing::Sticky, &members, &topics, &shared), &shared);

        let loads = loads(&shared, &members);
        for (partition, name) in &shared {
            let topic = &topics[partition.topic.0 as usize];
            let load = members.iter().position(|(member, _)| member == *name).map(|place| loads[place]);
            for ((_, reads), other) in members.iter().zip(&loads) {
                prop_assert!(!reads.covers(&topic.name) || load < Some(other + 2), "{:?}", &shared);
            }
        }
    }

    #[test]
    fn range_gives_neighbours_of_each_topic_in_the_order_of_names(
        members in any_members(),
        partition_counts in vec(1..12u32, 0..7),
    ) {
        let topics = topics(&partition_counts);
        let assignment = share(Sharing::Range, &members, &topics, &Assignment::new());
        for topic in &topics {
            let given: Vec<&MemberName> =
                (0..topic.config.partition_count).filter_map(|i| assignment.get(&topic.partition(i)).copied()).collect();
            prop_assert!(given.is_sorted());
            let readers = members.iter().filter(|(_, reads)| reads.covers(&topic.name));
            let shares: Vec<usize> =
                readers.map(|(name, _)| given.iter().filter(|given| **given == name).count()).collect();
            prop_assert!(spread(&shares) <= 1 && shares.is_sorted_by(|a, b| a >= b), "{:?}", shares);
        }
    }
}
