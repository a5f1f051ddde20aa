//! Keeps groups going between calls: renews the leases of members that stream, ends runs whose lease ran out, and takes
//! in topics that come, grow or go. One task for all groups of this node.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::broker::error::Error;
use crate::broker::groups::presence::Presence;
use crate::broker::handle::Broker;
use crate::groups::StepError;
use crate::groups::Urgency;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::time::Millis;
use crate::signal::Signal;
use crate::store::error::StoreError;
use crate::store::group_contract::Commit;
use crate::store::group_contract::Step;
use crate::tasks::Tasks;

/// How often it looks. A partition waits for its next owner at most this long after a lease ran out.
const TICK: Duration = Duration::from_millis(250);

/// How often members are forgotten whose run was ended long ago.
const PURGE_EVERY: Duration = Duration::from_secs(600);

/// How long it is known that a run was ended because its lease ran out: a later call is told that there is no such member.
const ENDED_KEPT_MS: u64 = 24 * 3_600_000;

impl Broker {
    /// Keeps a member's lease renewed for as long as the returned value lives, and replaces what kept it before. `signal` is
    /// raised if a renewal is refused.
    pub fn keep_present(
        &self,
        group: &GroupName,
        member: &MemberName,
        epoch: u64,
        lease_ms: u64,
        signal: &Arc<Signal>,
    ) -> Arc<Presence> {
        self.presences().add(Presence::new(group, member, epoch, lease_ms, signal))
    }

    /// Starts keeping groups.
    pub fn keep_groups(&self, tasks: &Tasks) {
        let keeper = Keeper { broker: self.clone(), since: 0, purged: Instant::now() };
        tasks.spawn("group keeper", keeper.run(tasks.stopping().clone()));
    }
}

struct Keeper {
    broker: Broker,
    /// Leases that ran out before this, by the database's clock, were seen to.
    since: Millis,
    purged: Instant,
}

impl Keeper {
    async fn run(mut self, stopping: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let (_, seen, _) = tokio::join!(
                self.broker.renew_presences(),
                self.broker.look_around(self.since),
                self.broker.look_after_waiting()
            );
            match seen {
                Ok(until) => self.since = until,
                // The next turn looks from the same moment on. That the database is away was said where that was found.
                Err(StoreError::Unavailable(why)) => tracing::debug!("could not look after the groups: {why}"),
                Err(error) => tracing::warn!(%error, "could not look after the groups: {error}"),
            }
            if self.purged.elapsed() >= PURGE_EVERY {
                self.purged = Instant::now();
                if let Err(error) = self.broker.forget_ended(self.since).await {
                    tracing::warn!(%error, "could not forget members that ended: {error}");
                }
            }
        }
    }
}

impl Broker {
    /// Renews what is due, all in one transaction.
    async fn renew_presences(&self) {
        let due = self.presences().due();
        let renewals = due.iter().map(|presence| async {
            let step = Step {
                group: presence.group.clone(),
                member: presence.member.clone(),
                epoch: presence.epoch,
                commit: Commit::Nothing,
                hand_over: None,
            };
            match self.groups().step(step, Urgency::Now).await {
                Ok(stepped) if stepped.was_lapsed => {
                    if let Err(error) = self.look(&presence.group).await {
                        tracing::warn!(group = %presence.group, %error, "could not look at a group: {error}");
                    }
                }
                Ok(_) => {}
                // The member finds out by its own next step.
                Err(StepError::Refused(_)) => presence.signal.raise(),
                Err(_) => presence.again(),
            }
        });
        join_all(renewals).await;
    }

    /// Wakes members for whom another node left something to do, should it not have told.
    async fn look_after_waiting(&self) {
        if self.store().is_shared()
            && let Err(error) = self.wake_members(self.groups().waiting()).await
        {
            tracing::debug!(%error, "could not look after members that wait: {error}");
        }
    }

    /// Looks at the groups around which something has changed; up to which time leases are seen to.
    async fn look_around(&self, since: Millis) -> Result<Millis, StoreError> {
        let news = self.catalog().take_news();
        let reading = if news.is_empty() { Vec::new() } else { self.slots().reading(&news) };
        let lapses = self.store().lapses(since).await?;
        let mut until = lapses.until;
        for group in reading.iter().chain(&lapses.groups) {
            match self.look(group).await {
                Ok(()) | Err(Error::UnknownGroup(_)) => {}
                Err(error) => {
                    tracing::warn!(%group, %error, "could not look at group `{group}`: {error}");
                    self.catalog().bring_back(&news);
                    until = since;
                }
            }
        }
        Ok(until)
    }

    async fn forget_ended(&self, now: Millis) -> Result<(), StoreError> {
        while self.store().purge_members(now.saturating_sub(ENDED_KEPT_MS)).await? {}
        Ok(())
    }
}
