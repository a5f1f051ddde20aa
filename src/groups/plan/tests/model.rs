//! Whatever happens to a group, in whatever order: what must hold after every event, and where it all ends.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::groups::plan::Event;
use crate::groups::plan::Plan;
use crate::groups::plan::tests::world::LEASE_MS;
use crate::groups::plan::tests::world::World;
use crate::groups::plan::tests::world::everything;
use crate::groups::plan::tests::world::topics;
use crate::model::group::Group;
use crate::model::group::Strategy as Sharing;
use crate::model::group::Subscription;
use crate::model::name::MemberName;
use crate::model::topic::PartitionId;

#[derive(Debug, Clone)]
enum Act {
    Plan(Event),
    /// The clock goes on.
    Advance(u64),
    /// A member calls; it hands over only where told.
    Step(MemberName, bool),
    /// A topic of that number is made, or grows.
    Grow(usize, u32),
    /// A topic of that number is deleted, if there is one.
    Delete(usize),
}

const TOPICS: [&str; 3] = ["t0", "t1", "u0"];

fn any_member() -> impl Strategy<Value = MemberName> {
    (0..5).prop_map(|i| format!("m{i}").parse().expect("a name"))
}

fn any_subscription() -> impl Strategy<Value = Subscription> {
    prop_oneof![
        4 => Just(everything()),
        1 => Just(Subscription::Prefix("t".to_owned())),
        1 => Just(topics(&["t0"])),
        1 => Just(topics(&["t1", "u0"])),
        1 => Just(topics(&["not-there"])),
    ]
}

fn any_sharing() -> impl Strategy<Value = Option<Sharing>> {
    option::weighted(0.1, prop::sample::select(Sharing::ALL.to_vec()))
}

fn any_act() -> impl Strategy<Value = Act> {
    let join = (any_member(), any_subscription(), any_sharing()).prop_map(|(member, subscription, strategy)| {
        Act::Plan(Event::Join { member, subscription, lease_ms: LEASE_MS, strategy })
    });
    let resubscribe =
        (any_member(), option::of(any_subscription()), any_sharing()).prop_map(|(member, subscription, strategy)| {
            Act::Plan(Event::Resubscribe { member, subscription, lease_ms: None, strategy })
        });
    prop_oneof![
        4 => join,
        1 => resubscribe,
        1 => any_member().prop_map(|member| Act::Plan(Event::Leave { member })),
        3 => Just(Act::Plan(Event::Look)),
        4 => (1..LEASE_MS).prop_map(Act::Advance),
        8 => (any_member(), prop::bool::weighted(0.6)).prop_map(|(member, hands_over)| Act::Step(member, hands_over)),
        1 => (0..TOPICS.len(), 1..4u32).prop_map(|(topic, by)| Act::Grow(topic, by)),
        1 => (0..TOPICS.len()).prop_map(Act::Delete),
    ]
}

/// What must hold after a plan was made for `event` and written.
fn check(before: &Group, event: &Event, plan: &Plan, world: &World) -> Result<(), TestCaseError> {
    let group = &world.group;
    let subscriptions: BTreeMap<&MemberName, &Subscription> =
        world.running().map(|member| (&member.name, &member.subscription)).collect();
    let rows: BTreeMap<PartitionId, _> = group.partitions.iter().map(|row| (row.id, row)).collect();

    // Nothing is forgotten, and nothing is with somebody who does not read it.
    let mut living = BTreeSet::new();
    for (topic, id) in world.living() {
        living.insert(id);
        let is_covered = subscriptions.values().any(|reads| reads.covers(&topic.name));
        let assignee = rows.get(&id).and_then(|row| row.assignee.as_ref());
        prop_assert_eq!(assignee.is_some(), is_covered, "{}", id);
        if let Some(assignee) = assignee {
            prop_assert!(subscriptions.get(assignee).is_some_and(|reads| reads.covers(&topic.name)), "{}", id);
        }
    }
    for row in group.partitions.iter().filter(|row| !living.contains(&row.id)) {
        prop_assert_eq!(&row.assignee, &None, "its topic is gone");
    }
    // Only runs hold anything, and a new one begins with nothing.
    for owner in group.partitions.iter().filter_map(|row| row.owner.as_ref()) {
        prop_assert!(subscriptions.contains_key(owner));
        let has_just_joined = matches!(event, Event::Join { member, .. } if member == owner);
        prop_assert!(!has_just_joined, "{} begins with what a former run held", owner);
    }

    // Somebody who runs is left, unless the last one left by itself; and whoever should be ended is, if another is there.
    let actor = match event {
        Event::Join { member, .. } | Event::Resubscribe { member, .. } => Some(member),
        Event::Leave { .. } | Event::Look => None,
    };
    let lapsed = plan.change.iter().flat_map(|change| &change.lapsed);
    let lapsed: BTreeSet<&MemberName> = lapsed.map(|(name, _)| name).collect();
    prop_assert!(lapsed.is_empty() || !subscriptions.is_empty());
    prop_assert!(actor.is_none_or(|actor| !lapsed.contains(actor) && subscriptions.contains_key(actor)));
    let silent = |name: &MemberName| group.member(name).is_some_and(|member| member.has_lapsed(group.now));
    let any_alive = subscriptions.keys().any(|name| !silent(name) || Some(*name) == actor);
    for name in subscriptions.keys().filter(|name| Some(**name) != actor) {
        prop_assert!(!silent(name) || !any_alive, "{} goes on though silent", name);
    }
    for name in &lapsed {
        let was_silent = before.member(name).is_some_and(|member| member.has_lapsed(before.now));
        prop_assert!(was_silent, "{} was ended for nothing", name);
    }
    // What somebody waits for is not kept beyond its lease.
    for row in before.partitions.iter().filter(|row| row.is_leaving() && row.assignee.is_some()) {
        let now = rows.get(&row.id).expect("rows stay");
        prop_assert!(row.lease_end >= before.now || now.owner.is_none() || !now.is_leaving(), "{:?} is kept", now);
    }

    // Whoever may wait for something that happened is woken; nobody is woken for nothing.
    prop_assert!(plan.wake.is_sorted_by(|a, b| a < b));
    prop_assert!(plan.change.is_some() || plan.wake.is_empty());
    let was_running = |name: &MemberName| before.member(name).is_some_and(|member| member.is_running());
    for name in before.members.iter().map(|member| &member.name).filter(|name| was_running(name)) {
        let has = |group: &Group| -> Vec<PartitionId> {
            group.partitions.iter().filter(|row| row.assignee.as_ref() == Some(name)).map(|row| row.id).collect()
        };
        let is_replaced = matches!(event, Event::Join { member, .. } if member == name);
        let came_free = before.partitions.iter().any(|row| {
            row.owner.is_some()
                && rows.get(&row.id).is_some_and(|now| now.owner.is_none() && now.assignee.as_ref() == Some(name))
        });
        if is_replaced || came_free || has(before) != has(group) || !subscriptions.contains_key(name) {
            prop_assert!(plan.wake.contains(name), "{} sleeps on", name);
        }
    }
    if let Event::Join { member, .. } = event {
        prop_assert_eq!(plan.wake.contains(member), was_running(member));
        prop_assert_eq!(plan.epoch, before.last_epoch + 1);
    }
    Ok(())
}

fn act(world: &mut World, act: Act) -> Result<(), TestCaseError> {
    match act {
        Act::Plan(event) => {
            let before = world.group.clone();
            match world.handle(event.clone()) {
                Ok(plan) => check(&before, &event, &plan, world)?,
                Err(error) => {
                    let Event::Resubscribe { member, .. } = &event else { panic!("{error}") };
                    prop_assert!(before.member(member).is_none_or(|member| !member.is_running()));
                }
            }
        }
        Act::Advance(by) => world.group.now += by,
        Act::Step(member, hands_over) => {
            world.step(&member, hands_over);
        }
        Act::Grow(number, by) => {
            let name = TOPICS[number];
            match world.topics.iter_mut().find(|topic| topic.name.as_str() == name) {
                Some(topic) => topic.config.partition_count += by,
                None => world.create_topic(name, by),
            }
        }
        Act::Delete(number) => world.topics.retain(|topic| topic.name.as_str() != TOPICS[number]),
    }
    Ok(())
}

/// All members call until nothing changes any more: then everybody holds what it is to hold.
fn settle(world: &mut World) -> Result<(), TestCaseError> {
    let members: Vec<MemberName> = world.running().map(|member| member.name.clone()).collect();
    for member in &members {
        prop_assert!(world.step(member, true), "whoever runs may call");
    }
    act(world, Act::Plan(Event::Look))?;
    prop_assert_eq!(world.running().count(), members.len(), "nobody who hands over in time is ended");
    // Once around to let go, once to take.
    for member in members.iter().chain(&members) {
        world.step(member, true);
    }
    for row in &world.group.partitions {
        prop_assert_eq!(&row.owner, &row.assignee, "{}", row.id);
    }
    let last = world.handle(Event::Look).expect("a look is never refused");
    prop_assert_eq!(last, Plan { change: None, wake: Vec::new(), epoch: 0 });

    let mut subscriptions = world.running().map(|member| &member.subscription);
    let first = subscriptions.next();
    if subscriptions.all(|other| Some(other) == first) && world.group.strategy != Sharing::Range {
        let holds = |name| world.group.partitions.iter().filter(|row| row.is_held_by(name)).count();
        let shares: Vec<usize> = members.iter().map(holds).collect();
        let (most, least) = (shares.iter().max().unwrap_or(&0), shares.iter().min().unwrap_or(&0));
        prop_assert!(most - least <= 1, "{:?}", shares);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn in_whatever_order_things_happen_no_partition_is_forgotten_and_all_comes_to_rest(acts in vec(any_act(), 1..60)) {
        let mut world = World::new(&[("t0", 4), ("u0", 2)]);
        for next in acts {
            act(&mut world, next)?;
        }
        settle(&mut world)?;
    }
}
