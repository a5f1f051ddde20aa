//! Who may hold what: topics with the same readers are taken together, so that sharing out never asks for one partition
//! what it already knows of its neighbours.

use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::model::group::Subscription;
use crate::model::name::MemberName;
use crate::model::topic::Topic;

/// A member to whom partitions can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber<'a> {
    /// Its name; no two bear the same.
    pub name: &'a MemberName,
    /// What it reads.
    pub subscription: &'a Subscription,
}

/// Topics that are read by the same members.
#[derive(Debug)]
pub(super) struct Pool<'a> {
    /// These members, as places in [`Coverage::members`], rising; never empty.
    pub(super) eligible: Vec<usize>,
    /// The topics, by name.
    pub(super) topics: Vec<&'a Topic>,
}

/// Members, topics, and who covers which.
#[derive(Debug)]
pub(super) struct Coverage<'a> {
    /// All members, by name.
    pub(super) members: Vec<&'a MemberName>,
    /// The topics that somebody covers, by name, each with the place of its pool.
    pub(super) topics: Vec<(&'a Topic, usize)>,
    /// All such topics once more, by who reads them.
    pub(super) pools: Vec<Pool<'a>>,
}

impl<'a> Coverage<'a> {
    pub(super) fn new(subscribers: &[Subscriber<'a>], topics: &'a [Topic]) -> Self {
        let mut subscribers = subscribers.to_vec();
        subscribers.sort_unstable_by_key(|subscriber| subscriber.name);
        let mut by_name: Vec<&Topic> = topics.iter().collect();
        by_name.sort_unstable_by_key(|topic| &topic.name);

        // Most members of a group subscribe to the same: each subscription is matched with the topics once.
        let mut readers: Vec<Vec<usize>> = Vec::new();
        let mut covered_by: Vec<Vec<usize>> = vec![Vec::new(); by_name.len()];
        let mut known: HashMap<&Subscription, usize> = HashMap::new();
        for (member, subscriber) in subscribers.iter().enumerate() {
            let kind = *known.entry(subscriber.subscription).or_insert_with(|| {
                for topic in covered(subscriber.subscription, &by_name) {
                    covered_by[topic].push(readers.len());
                }
                readers.push(Vec::new());
                readers.len() - 1
            });
            readers[kind].push(member);
        }

        let mut coverage = Self {
            members: subscribers.iter().map(|subscriber| subscriber.name).collect(),
            topics: Vec::new(),
            pools: Vec::new(),
        };
        let mut pools: HashMap<Vec<usize>, usize> = HashMap::new();
        for (topic, kinds) in by_name.into_iter().zip(covered_by) {
            if kinds.is_empty() {
                continue;
            }
            let pool = *pools.entry(kinds).or_insert_with_key(|kinds| {
                let eligible: BTreeSet<usize> = kinds.iter().flat_map(|kind| readers[*kind].iter().copied()).collect();
                coverage.pools.push(Pool { eligible: eligible.into_iter().collect(), topics: Vec::new() });
                coverage.pools.len() - 1
            });
            coverage.pools[pool].topics.push(topic);
            coverage.topics.push((topic, pool));
        }
        coverage
    }
}

/// The places of the topics that a subscription covers, among `topics` sorted by name.
fn covered(subscription: &Subscription, topics: &[&Topic]) -> Vec<usize> {
    match subscription {
        Subscription::Topics(names) => {
            names.iter().filter_map(|name| topics.binary_search_by_key(&name, |topic| &topic.name).ok()).collect()
        }
        Subscription::Prefix(prefix) => {
            let from = topics.partition_point(|topic| topic.name.as_str() < prefix.as_str());
            (from..topics.len()).take_while(|place| subscription.covers(&topics[*place].name)).collect()
        }
    }
}
