//! The handle of consumer groups: takes members' steps to the store and wakes members who wait.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::groups::stepper;
use crate::groups::stepper::Call;
use crate::groups::stepper::StepError;
use crate::groups::stepper::Urgency;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::signal::KeyedWaiters;
use crate::signal::Signal;
use crate::store::cluster_contract::Waiting;
use crate::store::contract::Store;
use crate::store::group_contract::Step;
use crate::store::group_contract::Stepped;
use crate::tasks::Tasks;

/// Steps that may wait for the store.
const QUEUE_STEPS: usize = 65_536;

/// Consumer groups as this node serves them. A clone is the same.
#[derive(Clone)]
pub struct Groups {
    inner: Arc<Inner>,
}

struct Inner {
    inbox: mpsc::Sender<Call>,
    /// By name: a change of this node knows whom it concerns.
    waiters: KeyedWaiters<(GroupName, MemberName)>,
    /// The same by run: the database is asked whom the changes of others concern.
    runs: KeyedWaiters<Waiting>,
}

/// Starts taking steps to the store.
pub fn start(store: Arc<dyn Store>, tasks: &Tasks) -> Groups {
    let (inbox, calls) = mpsc::channel(QUEUE_STEPS);
    let groups =
        Groups { inner: Arc::new(Inner { inbox, waiters: KeyedWaiters::default(), runs: KeyedWaiters::default() }) };
    let inner = Arc::downgrade(&groups.inner);
    let freed = move |step: &Step, stepped: &Stepped| {
        if let Some(inner) = inner.upgrade() {
            inner.wake(&step.group, &stepped.freed_for);
        }
    };
    tasks.spawn_essential("group steps", stepper::run(calls, store, tasks.stopping().clone(), freed));
    groups
}

impl Groups {
    /// Takes a step. It is taken even if the returned future is dropped.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn step(&self, step: Step, urgency: Urgency) -> Result<Stepped, StepError> {
        let (reply, outcome) = oneshot::channel();
        self.inner.inbox.try_send(Call { step, urgency, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StepError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StepError::Closed,
        })?;
        outcome.await.unwrap_or(Err(StepError::Closed))
    }

    /// Raises `signal` whenever the run may have to let go of a partition, may take one, or is over.
    pub fn wake_on_change(&self, run: Waiting, signal: &Arc<Signal>) {
        self.inner.waiters.add((run.group.clone(), run.member.clone()), signal);
        self.inner.runs.add(run, signal);
    }

    /// The runs of all groups that wait on this node.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.inner.runs.keys()
    }

    /// Those of one group.
    pub fn waiting_in(&self, group: &GroupName) -> Vec<Waiting> {
        self.waiting().into_iter().filter(|run| run.group == *group).collect()
    }

    /// Wakes a run.
    pub fn wake_run(&self, run: &Waiting) {
        self.inner.runs.raise(run);
    }

    /// Wakes these members of a group.
    pub fn wake(&self, group: &GroupName, members: &[MemberName]) {
        self.inner.wake(group, members);
    }
}

impl Inner {
    fn wake(&self, group: &GroupName, members: &[MemberName]) {
        for member in members {
            self.waiters.raise(&(group.clone(), member.clone()));
        }
    }
}
