//! Keeps groups going between calls: renews the leases of members that stream, ends runs whose lease ran out, and takes
//! in topics that come, grow or go. One task for all groups of this node.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::broker::error::Error;
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

/// A stream's lease is renewed when a third of it has passed: two renewals may fail.
const RENEWALS_PER_LEASE: u32 = 3;

/// How often members are forgotten whose run was ended long ago.
const PURGE_EVERY: Duration = Duration::from_secs(600);

/// How long it is known that a run was ended because its lease ran out: a later call is told that there is no such member.
const ENDED_KEPT_MS: u64 = 24 * 3_600_000;

/// The members that this node keeps alive, each by its latest stream.
#[derive(Default)]
pub(in crate::broker) struct Presences {
    by_member: Mutex<HashMap<(GroupName, MemberName), Weak<Presence>>>,
}

/// While it lives, the lease of its member is renewed.
pub struct Presence {
    group: GroupName,
    member: MemberName,
    epoch: u64,
    renew_every: Duration,
    due: Mutex<Instant>,
    replaced: AtomicBool,
    /// Raised if the renewal is refused, and when it is replaced.
    signal: Arc<Signal>,
}

impl Presence {
    /// Whether the member has another stream by now: this one is to end.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = *due <= now && !self.is_replaced();
        if is_due {
            *due = now + self.renew_every;
        }
        is_due
    }

    fn again(&self) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Presences {
    fn add(&self, presence: &Arc<Presence>) {
        let key = (presence.group.clone(), presence.member.clone());
        let mut by_member = self.by_member.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(former) = by_member.insert(key, Arc::downgrade(presence)).and_then(|former| former.upgrade()) {
            former.replaced.store(true, Ordering::Release);
            former.signal.raise();
        }
    }

    fn due(&self) -> Vec<Arc<Presence>> {
        let now = Instant::now();
        let mut by_member = self.by_member.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        by_member.retain(|_, presence| match presence.upgrade() {
            Some(presence) => {
                if presence.is_due(now) {
                    due.push(presence);
                }
                true
            }
            None => false,
        });
        due
    }
}

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
        let renew_every = Duration::from_millis(lease_ms) / RENEWALS_PER_LEASE;
        let presence = Arc::new(Presence {
            group: group.clone(),
            member: member.clone(),
            epoch,
            renew_every,
            due: Mutex::new(Instant::now() + renew_every),
            replaced: AtomicBool::new(false),
            signal: Arc::clone(signal),
        });
        self.presences().add(&presence);
        presence
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
            let (_, seen) = tokio::join!(self.broker.renew_presences(), self.broker.look_around(self.since));
            match seen {
                Ok(until) => self.since = until,
                // The next turn looks from the same moment on.
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
