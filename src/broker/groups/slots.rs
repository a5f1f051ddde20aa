//! What this node keeps of each group it serves: one turn at a time for changes, and who its members were after the last.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::model::group::Member;
use crate::model::group::Strategy;
use crate::model::name::GroupName;
use crate::model::name::TopicName;

/// Groups remembered at most; past that, those nobody changes right now are looked at again when they are called.
const SLOTS_MAX: usize = 10_000;

/// The groups that members of this node call.
#[derive(Default)]
pub(in crate::broker) struct Slots {
    slots: Mutex<HashMap<GroupName, Arc<Slot>>>,
}

/// One group. What is remembered may be old where several nodes serve it: it spares work, and decides nothing.
#[derive(Default)]
pub(in crate::broker) struct Slot {
    /// Held for the length of a change: the changes of one node do not stand in each other's way.
    pub(in crate::broker) turn: tokio::sync::Mutex<()>,
    seen: Mutex<Option<Seen>>,
}

/// A group's members as they were seen.
struct Seen {
    strategy: Strategy,
    members: Vec<Member>,
}

impl Slots {
    pub(in crate::broker) fn of(&self, group: &GroupName) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= SLOTS_MAX && !slots.contains_key(group) {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(group.clone()).or_default())
    }

    pub(in crate::broker) fn forget(&self, group: &GroupName) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
    }

    /// The groups with a member that reads one of these topics.
    pub(in crate::broker) fn reading(&self, topics: &HashSet<TopicName>) -> Vec<GroupName> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let reads =
            |slot: &Slot| slot.members(|_, member| topics.iter().any(|topic| member.subscription.covers(topic)));
        slots.iter().filter(|(_, slot)| reads(slot)).map(|(group, _)| group.clone()).collect()
    }
}

impl Slot {
    /// Whether the group was looked at since it was remembered.
    pub(in crate::broker) fn is_seen(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Remembers the members of the group as they stand.
    pub(in crate::broker) fn see(&self, strategy: Strategy, mut members: Vec<Member>) {
        members.retain(Member::is_running);
        let seen = Seen { strategy, members };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }

    /// Whether `holds` is true of a member that was seen, and of the strategy then.
    pub(in crate::broker) fn members(&self, holds: impl Fn(Strategy, &Member) -> bool) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().is_some_and(|seen| seen.members.iter().any(|member| holds(seen.strategy, member)))
    }
}
