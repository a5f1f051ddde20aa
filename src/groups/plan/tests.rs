//! Events one by one; `model` has them in any order.

mod model;
mod world;

use crate::groups::plan::Event;
use crate::groups::plan::Plan;
use crate::groups::plan::PlanError;
use crate::groups::plan::tests::world::LEASE_MS;
use crate::groups::plan::tests::world::World;
use crate::groups::plan::tests::world::everything;
use crate::groups::plan::tests::world::join;
use crate::groups::plan::tests::world::leave;
use crate::groups::plan::tests::world::name;
use crate::groups::plan::tests::world::resubscribe;
use crate::groups::plan::tests::world::topics;
use crate::model::group::GROUP_PARTITIONS_MAX;
use crate::model::group::MEMBERS_MAX;
use crate::model::group::Strategy as Sharing;
use crate::store::group_contract::GroupChange;

/// A plan's change as text: who begins, leaves, is ended; what is taken from its owner; the lines; who is woken.
fn text(plan: &Plan) -> String {
    let Some(GroupChange { runs, left, lapsed, overdue, assigned, .. }) = &plan.change else {
        return "nothing".to_owned();
    };
    let runs = runs.iter().map(|run| format!("+{}@{}", run.name, run.epoch));
    let left = left.iter().map(|name| format!("-{name}"));
    let lapsed = lapsed.iter().map(|(name, epoch)| format!("!{name}@{epoch}"));
    let overdue = overdue.iter().map(|id| format!("~{id}"));
    let lines = assigned.iter().map(|(id, to)| format!("{id}={}", to.as_ref().map_or("", |name| name.as_str())));
    let wake = plan.wake.iter().map(|name| format!("wake:{name}"));
    runs.chain(left).chain(lapsed).chain(overdue).chain(lines).chain(wake).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn expect(world: &mut World, event: Event, expected: &str) {
    let plan = world.handle(event).expect("it can be done");
    assert_eq!(text(&plan), expected);
}

/// Two members with two partitions each, all held.
fn pair() -> World {
    let mut world = World::new(&[("t", 4)]);
    for member in ["a", "b"] {
        world.handle(join(member, everything())).expect("there is room");
    }
    for member in ["a", "b", "a"] {
        assert!(world.step(&name(member), true));
    }
    world
}

#[test]
fn the_first_member_gets_all_and_the_second_half_of_it() {
    let mut world = World::new(&[("t", 4)]);
    expect(&mut world, join("b", everything()), "+b@41 1/0=b 1/1=b 1/2=b 1/3=b");
    world.step(&name("b"), true);
    expect(&mut world, join("a", everything()), "+a@42 1/2=a 1/3=a wake:b");
    assert!(world.row(0, 3).is_leaving());
    expect(&mut world, Event::Look, "nothing");
}

#[test]
fn a_new_run_of_a_name_takes_its_place_and_wakes_the_one_that_waits() {
    let mut world = pair();
    expect(&mut world, join("a", everything()), "+a@43 wake:a");
    assert_eq!(world.row(0, 0).owner, None, "what the former run held is free");
    assert_eq!(world.handle(resubscribe("a", None)).expect("it runs").epoch, 43);
}

#[test]
fn what_a_leaver_held_goes_to_the_others() {
    let mut world = pair();
    expect(&mut world, leave("b"), "-b 1/2=a 1/3=a wake:a wake:b");
    expect(&mut world, leave("b"), "nothing");
    expect(&mut world, join("c", everything()), "+c@43 1/2=c 1/3=c wake:a");
    expect(&mut world, leave("a"), "-a 1/0=c 1/1=c wake:a wake:c");
}

#[test]
fn who_waits_for_a_partition_is_woken_when_its_holder_begins_anew() {
    let mut world = pair();
    expect(&mut world, join("c", everything()), "+c@43 1/3=c wake:b");
    expect(&mut world, join("b", everything()), "+b@44 wake:b wake:c");
    assert_eq!(world.row(0, 3).owner, None);
}

#[test]
fn a_partition_that_was_to_move_stays_where_it_is_if_its_taker_goes() {
    let mut world = pair();
    expect(&mut world, join("c", everything()), "+c@43 1/3=c wake:b");
    expect(&mut world, leave("c"), "-c 1/3=b wake:b wake:c");
    assert!(!world.row(0, 3).is_leaving());
}

#[test]
fn a_silent_member_is_ended_once_another_is_there() {
    let mut world = pair();
    world.group.now += LEASE_MS;
    expect(&mut world, Event::Look, "nothing");
    world.group.now += 1;
    // Both are silent: whoever calls first takes up its lease.
    expect(&mut world, Event::Look, "nothing");
    world.step(&name("a"), true);
    expect(&mut world, Event::Look, "!b@42 1/2=a 1/3=a wake:a wake:b");
    expect(&mut world, Event::Look, "nothing");
    assert_eq!(world.handle(resubscribe("b", None)), Err(PlanError::NotRunning));
    expect(&mut world, join("b", everything()), "+b@43 1/2=b 1/3=b wake:a");
}

#[test]
fn whoever_joins_ends_all_who_are_silent_but_never_itself() {
    let mut world = pair();
    world.group.now += LEASE_MS + 1;
    expect(&mut world, join("a", everything()), "+a@43 !b@42 1/2=a 1/3=a wake:a wake:b");

    let mut world = pair();
    world.group.now += LEASE_MS + 1;
    expect(&mut world, resubscribe("a", None), "!b@42 1/2=a 1/3=a wake:a wake:b");
}

#[test]
fn what_is_not_let_go_of_in_time_is_taken_and_nothing_else() {
    let late = |mut world: World, member: &str| {
        world.group.now += LEASE_MS + 1;
        // Alive, but keeps what it is to let go of.
        world.step(&name(member), false);
        world
    };
    let mut world = pair();
    expect(&mut world, join("c", everything()), "+c@43 1/3=c wake:b");
    let mut world = late(world, "b");
    world.step(&name("c"), true);
    expect(&mut world, Event::Look, "!a@41 ~1/3 1/0=b 1/1=c wake:a wake:b wake:c");

    // `c` went silent as well: `b` is the last, and gets all.
    let mut world = pair();
    expect(&mut world, join("c", everything()), "+c@43 1/3=c wake:b");
    let mut world = late(world, "b");
    expect(&mut world, Event::Look, "!a@41 !c@43 1/0=b 1/1=b 1/3=b wake:a wake:b wake:c");

    // Nobody waits for what `b` reads no more: it may take its time.
    let mut world = World::new(&[("t", 1), ("u", 1)]);
    expect(&mut world, join("a", topics(&["u"])), "+a@41 2/0=a");
    expect(&mut world, join("b", topics(&["t"])), "+b@42 1/0=b");
    world.step(&name("b"), true);
    expect(&mut world, resubscribe("b", Some(topics(&["x"]))), "+b@42 1/0= wake:b");
    let mut world = late(world, "b");
    world.step(&name("a"), true);
    expect(&mut world, Event::Look, "nothing");
}

#[test]
fn topics_come_grow_and_go() {
    let mut world = pair();
    world.create_topic("u", 1);
    world.topics[0].config.partition_count = 5;
    expect(&mut world, Event::Look, "1/4=a 2/0=b wake:a wake:b");
    world.topics.remove(0);
    expect(&mut world, Event::Look, "1/0= 1/1= 1/2= 1/3= 1/4= wake:a wake:b");
    // A topic of the same name is another one.
    world.create_topic("t", 1);
    expect(&mut world, Event::Look, "3/0=a wake:a");
}

#[test]
fn who_goes_on_as_before_changes_nothing_and_otherwise_only_what_it_says() {
    let mut world = pair();
    expect(&mut world, resubscribe("a", Some(everything())), "nothing");
    expect(&mut world, resubscribe("a", Some(topics(&["u"]))), "+a@41 1/0=b 1/1=b wake:a wake:b");
    let slower =
        Event::Resubscribe { member: name("a"), subscription: None, lease_ms: Some(5 * LEASE_MS), strategy: None };
    let plan = world.handle(slower.clone()).expect("it runs");
    assert_eq!((text(&plan).as_str(), plan.epoch), ("+a@41", 41));
    let run = &plan.change.expect("the lease changes").runs[0];
    assert_eq!((&run.subscription, run.lease_ms), (&topics(&["u"]), 5 * LEASE_MS));
    expect(&mut world, slower, "nothing");
}

#[test]
fn the_last_who_names_a_strategy_says_how_all_is_shared() {
    let mut world = World::new(&[("t", 3), ("u", 3)]);
    let joins = |member: &str, strategy| {
        let (member, subscription) = (name(member), everything());
        Event::Join { member, subscription, lease_ms: LEASE_MS, strategy }
    };
    expect(&mut world, joins("a", Some(Sharing::Range)), "+a@41 1/0=a 1/1=a 1/2=a 2/0=a 2/1=a 2/2=a");
    expect(&mut world, joins("b", None), "+b@42 1/2=b 2/2=b wake:a");
    let dealt = Event::Resubscribe {
        member: name("a"),
        subscription: None,
        lease_ms: None,
        strategy: Some(Sharing::RoundRobin),
    };
    expect(&mut world, dealt, "1/1=b 1/2=a 2/0=b wake:a wake:b");
    assert_eq!(world.group.strategy, Sharing::RoundRobin);
    expect(&mut world, resubscribe("b", None), "nothing");
}

#[test]
fn a_full_group_takes_nobody_new_but_lets_old_names_begin_again() {
    let mut world = World::new(&[("t", 1)]);
    for i in 0..MEMBERS_MAX {
        // One change for each would be a quadratic test.
        let mut member = pair().group.members.remove(0);
        member.name = name(&format!("m{i:04}"));
        member.lease_end = Some(world.group.now + 1);
        world.group.members.push(member);
    }
    assert_eq!(world.handle(join("new", everything())), Err(PlanError::TooManyMembers));
    assert!(world.handle(join("m0007", everything())).is_ok());
    world.handle(leave("m0008")).expect("anybody may go");
    assert!(world.handle(join("new", everything())).is_ok());
    // Those who are ended by the one who joins make room as well.
    world.group.now += 2;
    assert!(world.handle(join("newer", everything())).is_ok());
}

#[test]
fn too_many_partitions_are_refused_but_stop_nobody_who_replaces_the_dead() {
    let half = GROUP_PARTITIONS_MAX as u32 / 2;
    let mut world = World::new(&[("t", half), ("u", half), ("v", 1)]);
    world.handle(join("a", topics(&["t", "u"]))).expect("just as many as may be");
    world.handle(join("b", topics(&["t"]))).expect("no more than before");
    assert_eq!(world.handle(join("b", everything())), Err(PlanError::TooManyPartitions));
    assert_eq!(world.handle(resubscribe("b", Some(everything()))), Err(PlanError::TooManyPartitions));
    world.topics[0].config.partition_count += 1;
    assert_eq!(world.handle(join("c", topics(&["t"]))), Err(PlanError::TooManyPartitions));
    assert!(world.handle(leave("a")).expect("anybody may go").change.is_some());
}
