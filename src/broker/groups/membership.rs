//! Who is in a group: joining, leaving, and looking at what has changed around it. Each is a pure plan, made from the group
//! as it stands and taken by compare-and-set.

use std::collections::BTreeMap;

use crate::broker::error::Error;
use crate::broker::handle::Broker;
use crate::groups::plan::Event;
use crate::groups::plan::PlanError;
use crate::groups::plan::plan;
use crate::model::group::GROUP_PARTITIONS_MAX;
use crate::model::group::Group;
use crate::model::group::MEMBERS_MAX;
use crate::model::group::Member;
use crate::model::group::Strategy;
use crate::model::group::Subscription;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::name::TopicName;
use crate::model::topic::Topic;
use crate::store::group_contract::Changed;
use crate::store::group_contract::GroupChange;
use crate::store::group_contract::MemberRun;
use crate::tasks;

/// How often a change is tried that others keep overtaking.
const ATTEMPTS_MAX: usize = 16;

/// Topics asked for at once.
const TOPICS_PAGE: usize = 1_000;

/// How a member takes part.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Which topics it reads; needed to begin.
    pub subscription: Option<Subscription>,
    /// How long it may be silent, in milliseconds.
    pub lease_ms: Option<u64>,
    /// How the group shares its partitions out from now on.
    pub strategy: Option<Strategy>,
}

impl Broker {
    /// Begins a run of a member: its epoch. The group is made if there is none; a former run of that name is fenced.
    ///
    /// # Errors
    /// [`Error::TooManyMembers`], [`Error::TooManyGroupPartitions`]; errors of the store.
    pub(super) async fn join(&self, group: &GroupName, member: &MemberName, join: Event) -> Result<u64, Error> {
        let (broker, group, member) = (self.clone(), group.clone(), member.clone());
        // A client that hangs up has joined all the same, and its lease runs out by itself.
        tasks::run(async move {
            let epoch = broker.change(&group, true, |_| Ok(join.clone())).await?;
            tracing::debug!(%group, %member, epoch, "member `{member}` begins in group `{group}`");
            Ok(epoch)
        })
        .await
    }

    /// Takes over terms that differ from those of the member's run; a run that is over is left to its next step.
    pub(super) async fn renegotiate(
        &self,
        group: &GroupName,
        member: &MemberName,
        epoch: u64,
        terms: &Terms,
    ) -> Result<(), Error> {
        let agrees = |strategy: Strategy, known: &Member| {
            known.name == *member
                && known.epoch == epoch
                && terms.subscription.as_ref().is_none_or(|given| *given == known.subscription)
                && terms.lease_ms.is_none_or(|given| given == known.lease_ms)
                && terms.strategy.is_none_or(|given| given == strategy)
        };
        if self.slots().of(group).members(agrees) {
            return Ok(());
        }
        let (broker, group, member, terms) = (self.clone(), group.clone(), member.clone(), terms.clone());
        tasks::run(async move {
            let event = |group: &Group| {
                let running = group.member(&member).is_some_and(|known| known.is_running() && known.epoch == epoch);
                let Terms { subscription, lease_ms, strategy } = terms.clone();
                let member = member.clone();
                Ok(if running { Event::Resubscribe { member, subscription, lease_ms, strategy } } else { Event::Look })
            };
            broker.change(&group, false, event).await.map(drop)
        })
        .await
    }

    /// Takes a member out of its group: what it held is free at once. With an epoch, only that run.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], [`Error::UnknownMember`], [`Error::StaleEpoch`].
    pub async fn leave(&self, group: &GroupName, member: &MemberName, epoch: Option<u64>) -> Result<(), Error> {
        let (broker, group, member) = (self.clone(), group.clone(), member.clone());
        tasks::run(async move {
            let event = |state: &Group| match state.member(&member) {
                None => Err(Error::UnknownMember { group: state.name.clone(), member: member.clone() }),
                Some(known) if epoch.is_some_and(|epoch| epoch != known.epoch) => {
                    Err(Error::StaleEpoch { member: member.clone(), current: known.epoch, partitions: Vec::new() })
                }
                Some(_) => Ok(Event::Leave { member: member.clone() }),
            };
            broker.change(&group, false, event).await.map(drop)
        })
        .await
    }

    /// Looks at a group for the first time on this node: topics may have come while nobody looked.
    pub(super) async fn look_first(&self, group: &GroupName) -> Result<(), Error> {
        if self.slots().of(group).is_seen() { Ok(()) } else { self.look(group).await }
    }

    /// Takes in what has changed around a group: topics, and leases that ran out.
    pub(super) async fn look(&self, group: &GroupName) -> Result<(), Error> {
        let (broker, group) = (self.clone(), group.clone());
        tasks::run(async move { broker.change(&group, false, |_| Ok(Event::Look)).await.map(drop) }).await
    }

    /// Plans and takes a change until it meets the group as it was planned from. Not to be dropped halfway.
    async fn change(
        &self,
        name: &GroupName,
        make: bool,
        event: impl Fn(&Group) -> Result<Event, Error>,
    ) -> Result<u64, Error> {
        let slot = self.slots().of(name);
        let _turn = slot.turn.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            let group = match self.store().group(name).await? {
                Some(group) => group,
                None if make => self.store().create_group(name).await?,
                None => return Err(Error::UnknownGroup(name.clone())),
            };
            let event = event(&group)?;
            let topics = self.covered(&group, &event).await?;
            let plan = plan(&group, event, &topics).map_err(|error| refused(name, error))?;
            let Some(change) = plan.change else {
                slot.see(group.strategy, group.members);
                return Ok(plan.epoch);
            };
            let strategy = change.strategy;
            let members = members_after(&group, &change);
            if self.store().change_group(change).await? == Changed::Done {
                slot.see(strategy, members);
                self.groups().wake(name, &plan.wake);
                return Ok(plan.epoch);
            }
        }
        Err(Error::Overloaded)
    }

    /// The living topics that the group's members, and the one of the event, read.
    async fn covered(&self, group: &Group, event: &Event) -> Result<Vec<Topic>, Error> {
        let members = group.members.iter().filter(|member| member.is_running()).map(|member| &member.subscription);
        let mut names: Vec<&TopicName> = Vec::new();
        let mut prefixes: Vec<&str> = Vec::new();
        for subscription in members.chain(event.subscription()) {
            match subscription {
                Subscription::Topics(topics) => names.extend(topics),
                Subscription::Prefix(prefix) => prefixes.push(prefix),
            }
        }
        names.sort_unstable();
        names.dedup();
        prefixes.sort_unstable();
        prefixes.dedup();
        let mut topics = BTreeMap::new();
        for name in names {
            if let Some(known) = self.catalog().find(name).await? {
                topics.insert(name.clone(), known.topic.clone());
            }
        }
        for prefix in prefixes {
            let mut after: Option<String> = None;
            loop {
                let page = self.topics(prefix, after.as_deref(), TOPICS_PAGE).await?;
                let last = page.last().map(|topic| topic.name.to_string());
                let full = page.len() == TOPICS_PAGE;
                topics.extend(page.into_iter().map(|topic| (topic.name.clone(), topic)));
                if !full {
                    break;
                }
                after = last;
            }
        }
        Ok(topics.into_values().collect())
    }
}

/// The members of a group once `change` is taken.
fn members_after(group: &Group, change: &GroupChange) -> Vec<Member> {
    let gone = |member: &Member| {
        change.left.contains(&member.name)
            || change.lapsed.iter().any(|(name, _)| *name == member.name)
            || change.runs.iter().any(|run| run.name == member.name)
    };
    let runs = change.runs.iter().cloned().map(|MemberRun { name, epoch, subscription, lease_ms }| {
        let lease_end = Some(group.now + lease_ms);
        Member { name, epoch, subscription, lease_ms, lease_end }
    });
    group.members.iter().filter(|member| !gone(member)).cloned().chain(runs).collect()
}

fn refused(group: &GroupName, error: PlanError) -> Error {
    match error {
        PlanError::TooManyMembers => Error::TooManyMembers { group: group.clone(), limit: MEMBERS_MAX },
        PlanError::TooManyPartitions => {
            Error::TooManyGroupPartitions { group: group.clone(), limit: GROUP_PARTITIONS_MAX }
        }
        PlanError::NotRunning => Error::Internal(format!("a run of group `{group}` went on that was over")),
    }
}
