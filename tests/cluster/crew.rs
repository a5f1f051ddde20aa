//! The members of one group, those that ended included.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::LEASE_MS;
use crate::clients::Clients;
use crate::clients::numbers;
use crate::group_check;
use crate::group_check::TakeOvers;
use crate::group_check::Trouble;
use crate::group_check::Witness;
use crate::line::now_ms;
use crate::member::Member;

pub(crate) struct Crew {
    group: String,
    clients: Arc<Clients>,
    random: fastrand::Rng,
    started: usize,
    working: Vec<Member>,
    stop: CancellationToken,
    ended: Vec<Witness>,
    troubles: Vec<Trouble>,
}

impl Crew {
    pub(crate) fn new(group: String, clients: &Arc<Clients>, random: fastrand::Rng) -> Self {
        Self {
            group,
            clients: Arc::clone(clients),
            random,
            started: 0,
            working: Vec::new(),
            stop: CancellationToken::new(),
            ended: Vec::new(),
            troubles: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self) {
        self.started += 1;
        let (name, random) = (format!("m{}", self.started), self.random.fork());
        self.working.push(Member::start(&self.clients, &self.group, name, random, self.stop.clone()));
    }

    /// Kills one, as a machine takes with it what runs on it.
    pub(crate) async fn kill_one(&mut self) {
        let member = self.working.swap_remove(self.random.usize(..self.working.len()));
        let label = member.name.clone();
        self.troubles.push(Trouble { at: now_ms(), label: label.clone() });
        let lines = member.kill().await;
        self.ended.push(Witness { label, killed: true, is_steady: false, lines });
    }

    pub(crate) fn is_well(&self) -> bool {
        self.working.iter().all(Member::is_well)
    }

    /// Whether everything is read and committed.
    pub(crate) async fn is_done(&self, node: usize) -> bool {
        self.clients.get(node, &format!("/v1/groups/{}", self.group)).await["lag"] == 0
    }

    /// Lets all commit and leave, checks what all were told and what is committed, and says in numbers what it was.
    pub(crate) async fn check(mut self, ends: &[usize], node: usize) -> (String, TakeOvers) {
        self.stop.cancel();
        for member in std::mem::take(&mut self.working) {
            let label = member.name.clone();
            self.ended.push(Witness { label, killed: false, is_steady: false, lines: member.retired().await });
        }
        let offsets = self.clients.get(node, &format!("/v1/groups/{}/offsets", self.group)).await;
        let committed = numbers(&offsets["offsets"], "next_offset");
        assert_eq!(committed, ends, "{}: everything is committed, and nothing beyond", self.group);
        let told = group_check::check(&self.ended, ends, LEASE_MS);
        (format!("{}: {told}", self.group), group_check::take_overs(&self.ended, &self.troubles, LEASE_MS))
    }
}
