//! The sticky strategy (after KIP-54): as even as can be, and of all even ways the one that moves little.
//!
//! What members have and may keep is kept; the rest goes to whoever has least; then partitions move from whoever has
//! most to whoever has least, while these differ by two or more. Where all members read the same, shares then differ by
//! one at most and no way of sharing out so evenly moves fewer. Where they do not, no single move makes it more even.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::groups::coverage::Coverage;
use crate::groups::coverage::Pool;
use crate::model::name::MemberName;
use crate::model::topic::PartitionId;

/// Who has what of one pool: partitions by member, those a member has had longest first. Nobody is in it with nothing.
type Held = BTreeMap<usize, Vec<PartitionId>>;

pub(super) fn assign<'a>(
    coverage: &Coverage<'a>,
    current: &BTreeMap<PartitionId, &MemberName>,
) -> BTreeMap<PartitionId, &'a MemberName> {
    let mut loads = vec![0; coverage.members.len()];
    let (mut held, free) = keep(coverage, current, &mut loads);

    // Whom few can hold goes first: the others then make up for the difference.
    let mut order: Vec<usize> = (0..coverage.pools.len()).collect();
    order.sort_by_key(|pool| coverage.pools[*pool].eligible.len());
    for pool in &order {
        give(&free[*pool], &coverage.pools[*pool].eligible, &mut loads, &mut held[*pool]);
    }
    // A member may be in several pools, so evening out one can upset another. Each move makes the sum of the squares of
    // all loads smaller: it ends.
    loop {
        let mut moved = false;
        for pool in &order {
            moved |= even_out(&coverage.pools[*pool].eligible, &mut loads, &mut held[*pool]);
        }
        if !moved {
            break;
        }
    }

    let all = held.into_iter().flatten();
    all.flat_map(|(member, has)| has.into_iter().map(move |partition| (partition, coverage.members[member]))).collect()
}

/// For each pool what its members keep, and what nobody has.
fn keep(
    coverage: &Coverage<'_>,
    current: &BTreeMap<PartitionId, &MemberName>,
    loads: &mut [usize],
) -> (Vec<Held>, Vec<Vec<PartitionId>>) {
    let places: HashMap<&MemberName, usize> =
        coverage.members.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let keeps = |pool: &Pool<'_>| {
        let (mut held, mut free) = (Held::new(), Vec::new());
        for topic in &pool.topics {
            for partition in (0..topic.config.partition_count).map(|number| topic.partition(number)) {
                let had_by = current.get(&partition).and_then(|name| places.get(name));
                match had_by.filter(|member| pool.eligible.binary_search(member).is_ok()) {
                    Some(member) => {
                        held.entry(*member).or_default().push(partition);
                        loads[*member] += 1;
                    }
                    None => free.push(partition),
                }
            }
        }
        (held, free)
    };
    coverage.pools.iter().map(keeps).unzip()
}

/// Gives each free partition to whoever has least of all, the first by name among equals.
fn give(free: &[PartitionId], eligible: &[usize], loads: &mut [usize], held: &mut Held) {
    if free.is_empty() {
        return;
    }
    let mut by_load: BTreeSet<(usize, usize)> = eligible.iter().map(|member| (loads[*member], *member)).collect();
    for partition in free {
        let (load, member) = by_load.pop_first().expect("a pool has members");
        by_load.insert((load + 1, member));
        loads[member] = load + 1;
        held.entry(member).or_default().push(*partition);
    }
}

/// Moves partitions of one pool, what came last first, until no holder has two more than another member could do with.
/// True if any moved.
fn even_out(eligible: &[usize], loads: &mut [usize], held: &mut Held) -> bool {
    let most = held.keys().map(|member| loads[*member]).max().unwrap_or(0);
    let least = eligible.iter().map(|member| loads[*member]).min().unwrap_or(0);
    if most < least + 2 {
        return false;
    }
    let mut takers: BTreeSet<(usize, usize)> = eligible.iter().map(|member| (loads[*member], *member)).collect();
    let mut givers: BTreeSet<(usize, usize)> = held.keys().map(|member| (loads[*member], *member)).collect();
    while let (Some((most, giver)), Some((least, taker))) = (givers.last().copied(), takers.first().copied()) {
        if most < least + 2 {
            break;
        }
        let has = held.get_mut(&giver).expect("who gives has something");
        let partition = has.pop().expect("who gives has something");
        let is_empty = has.is_empty();
        givers.remove(&(most, giver));
        if is_empty {
            held.remove(&giver);
        } else {
            givers.insert((most - 1, giver));
        }
        takers.remove(&(most, giver));
        takers.insert((most - 1, giver));
        loads[giver] = most - 1;

        givers.remove(&(least, taker));
        givers.insert((least + 1, taker));
        takers.remove(&(least, taker));
        takers.insert((least + 1, taker));
        loads[taker] = least + 1;
        held.entry(taker).or_default().push(partition);
    }
    true
}
