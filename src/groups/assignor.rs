//! Shares the partitions of topics out among the members of a group, by the strategies of [`Strategy`].
//!
//! Whatever the strategy: each partition of each topic that somebody covers gets one member that covers it, and the
//! same input gives the same answer, in whatever order it comes.

use std::collections::BTreeMap;

use crate::groups::coverage::Coverage;
pub use crate::groups::coverage::Subscriber;
use crate::groups::sticky;
use crate::model::group::Strategy;
use crate::model::name::MemberName;
use crate::model::topic::PartitionId;
use crate::model::topic::Topic;

/// Who is to hold what. Partitions that nobody is to hold are not in it.
pub type Assignment<'a> = BTreeMap<PartitionId, &'a MemberName>;

/// Shares out the partitions of `topics`. `current` says who has what so far; only [`Strategy::Sticky`] looks at it, and
/// it may name members and partitions that are gone.
pub fn assign<'a>(
    strategy: Strategy,
    members: &[Subscriber<'a>],
    topics: &'a [Topic],
    current: &Assignment<'_>,
) -> Assignment<'a> {
    let coverage = Coverage::new(members, topics);
    match strategy {
        Strategy::Sticky => sticky::assign(&coverage, current),
        Strategy::Range => range(&coverage),
        Strategy::RoundRobin => round_robin(&coverage),
    }
}

/// Each topic in contiguous runs to its readers by name; the first readers get one more where it does not come out even.
fn range<'a>(coverage: &Coverage<'a>) -> Assignment<'a> {
    let mut assignment = Assignment::new();
    for pool in &coverage.pools {
        for topic in &pool.topics {
            let count = topic.config.partition_count as usize;
            let (each, more) = (count / pool.eligible.len(), count % pool.eligible.len());
            let runs = pool.eligible.iter().enumerate();
            let runs = runs.flat_map(|(place, member)| std::iter::repeat_n(*member, each + usize::from(place < more)));
            assignment.extend(partitions(topic).zip(runs.map(|member| coverage.members[member])));
        }
    }
    assignment
}

/// All partitions, by topic name and number, in turn to the members by name; a turn of somebody who does not read the
/// topic goes to the next.
fn round_robin<'a>(coverage: &Coverage<'a>) -> Assignment<'a> {
    let mut assignment = Assignment::new();
    let mut turn = 0;
    for (topic, pool) in &coverage.topics {
        let eligible = &coverage.pools[*pool].eligible;
        for partition in partitions(topic) {
            let place = eligible.partition_point(|member| *member < turn);
            let member = eligible.get(place).copied().unwrap_or(eligible[0]);
            assignment.insert(partition, coverage.members[member]);
            turn = (member + 1) % coverage.members.len();
        }
    }
    assignment
}

fn partitions(topic: &Topic) -> impl Iterator<Item = PartitionId> {
    (0..topic.config.partition_count).map(|partition| topic.partition(partition))
}

#[cfg(test)]
mod tests;
