//! The acceptance test of consumer groups, with real processes: members over six partitions are killed, paused past
//! their leases, added and removed, and a page in a browser is cut and comes back, while records stream in.
//!
//! Nothing is skipped; nothing is committed by who was fenced; what is repeated is what a lease ran out over. The short
//! run is part of the suite. The full one: `TIDEGATE_GROUP_RECORDS=1000000 TIDEGATE_GROUP_SECONDS=120 cargo test --test
//! groups -- --nocapture`.

mod browser;
mod check;
mod line;
mod log;
mod member;
mod node;

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::check::Trouble;
use crate::check::Witness;
use crate::line::now_ms;
use crate::member::ORDERS;
use crate::member::Orders;
use crate::member::Worker;
use crate::node::Node;

const GROUP: &str = "workers";
const TOPIC: &str = "work";
const PARTITIONS: usize = 6;

/// The lease of every member.
const LEASE_MS: u64 = 2000;

/// For how many seconds a member is paused: past its lease.
const PAUSE_TICKS: u64 = 3;

/// How many processes there are; the page comes on top.
const MEMBERS_AT_FIRST: usize = 3;
const MEMBERS_MAX: usize = 5;

/// Writes in a second, of as many records each as it takes.
const WRITES_PER_SECOND: usize = 10;

fn setting(name: &str, default: usize) -> usize {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")),
        Err(_) => default,
    }
}

/// All members that are processes, those that ended included.
struct Crew {
    url: String,
    logs: TempDir,
    random: fastrand::Rng,
    /// How many were started.
    started: usize,
    working: Vec<Worker>,
    /// Who is paused, and the tick at which it goes on.
    paused: Vec<(u64, Worker)>,
    /// Those that ended, and whether they were killed.
    ended: Vec<(Orders, bool)>,
    troubles: Vec<Trouble>,
}

/// What tells a process from others of its name.
fn label(orders: &Orders) -> String {
    orders.log.file_name().expect("a log has a name").to_string_lossy().into_owned()
}

impl Crew {
    /// Starts a member under a name of its own, or under that of one that is gone.
    fn add(&mut self, name: Option<String>) {
        self.started += 1;
        let name = name.unwrap_or_else(|| format!("m{}", self.started));
        let log = self.logs.path().join(format!("{name}-{}", self.started));
        let orders = Orders { url: self.url.clone(), name, lease_ms: LEASE_MS, log };
        self.working.push(Worker::start(orders));
    }

    fn pick(&mut self) -> Worker {
        let index = self.random.usize(0..self.working.len());
        self.working.swap_remove(index)
    }

    fn trouble(&mut self, worker: &Worker) {
        self.troubles.push(Trouble { at: now_ms(), label: label(&worker.orders) });
    }

    /// Does what is due at this tick: kill, add, remove, pause, add and remove in turn, whom chance picks. Between a kill and a
    /// pause there is a lease, so that most take-overs are seen alone.
    async fn stir(&mut self, tick: u64) {
        self.resume(|until| until <= tick);
        match tick % 6 {
            0 => {
                let mut victim = self.pick();
                self.trouble(&victim);
                victim.kill9();
                let name = self.random.bool().then(|| victim.orders.name.clone());
                self.ended.push((victim.orders.clone(), true));
                self.add(name);
            }
            3 if self.working.len() > 1 => {
                let victim = self.pick();
                self.trouble(&victim);
                victim.signal("STOP");
                self.paused.push((tick + PAUSE_TICKS, victim));
            }
            1 | 4 if self.working.len() + self.paused.len() < MEMBERS_MAX => self.add(None),
            _ if self.working.len() > 1 => {
                let retired = self.pick();
                self.ended.push((retired.orders.clone(), false));
                retired.retire().await;
            }
            _ => self.add(None),
        }
    }

    /// Lets go on whose time has come.
    fn resume(&mut self, is_due: impl Fn(u64) -> bool) {
        let (due, paused) = std::mem::take(&mut self.paused).into_iter().partition(|(until, _)| is_due(*until));
        self.paused = paused;
        let due: Vec<(u64, Worker)> = due;
        for (_, worker) in due {
            worker.signal("CONT");
            self.working.push(worker);
        }
    }

    /// Lets all commit and leave, and returns what each of all times saw.
    async fn retire(&mut self) -> Vec<Witness> {
        for worker in std::mem::take(&mut self.working) {
            self.ended.push((worker.orders.clone(), false));
            worker.retire().await;
        }
        let witness = |(orders, killed): &(Orders, bool)| Witness {
            label: label(orders),
            killed: *killed,
            is_steady: false,
            lines: log::read(&orders.log),
        };
        self.ended.iter().map(witness).collect()
    }
}

/// Writes all records evenly over the time there is.
async fn produce(node: &Node, records: usize, seconds: usize) {
    let mut pace = interval(Duration::from_secs(1) / u32::try_from(WRITES_PER_SECOND).expect("few"));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let writes = seconds * WRITES_PER_SECOND;
    for write in 0..writes {
        pace.tick().await;
        node.produce(records * (write + 1) / writes - records * write / writes).await;
    }
}

/// Troubles the crew once a second.
async fn stir(crew: &mut Crew, seconds: usize) {
    let mut pace = interval(Duration::from_secs(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once.
    pace.tick().await;
    for tick in 0..u64::try_from(seconds).expect("few") {
        pace.tick().await;
        crew.stir(tick).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_skipped_while_members_come_and_go_and_crash() {
    let records = setting("TIDEGATE_GROUP_RECORDS", 60_000);
    let seconds = setting("TIDEGATE_GROUP_SECONDS", 12);
    let seed = u64::try_from(setting("TIDEGATE_GROUP_SEED", fastrand::usize(..1_000_000))).expect("a number");
    println!("TIDEGATE_GROUP_SEED={seed}");

    let node = Node::start();
    node.create_topic(PARTITIONS).await;
    let mut crew = Crew {
        url: node.url.clone(),
        logs: tempfile::tempdir().expect("the temporary directory is writable"),
        random: fastrand::Rng::with_seed(seed),
        started: 0,
        working: Vec::new(),
        paused: Vec::new(),
        ended: Vec::new(),
        troubles: Vec::new(),
    };
    for _ in 0..MEMBERS_AT_FIRST {
        crew.add(None);
    }
    let stop = CancellationToken::new();
    let page = tokio::spawn(browser::browse(node.url.clone(), LEASE_MS, stop.clone()));
    tokio::join!(produce(&node, records, seconds), stir(&mut crew, seconds));
    crew.resume(|_| true);
    node.caught_up().await;
    let mut witnesses = crew.retire().await;
    stop.cancel();
    let lines = page.await.expect("the page goes on to its end");
    witnesses.push(Witness { label: browser::NAME.to_owned(), killed: false, is_steady: true, lines });

    let ends = node.high_watermarks().await;
    assert_eq!((ends.len(), ends.iter().sum::<usize>()), (PARTITIONS, records));
    assert_eq!(node.committed().await, ends, "everything is committed, and nothing beyond");
    println!("{}", check::check(&witnesses, &ends, LEASE_MS));
    let times = check::take_overs(&witnesses, &crew.troubles, LEASE_MS);
    report("take-overs", &times.alone);
    report("take-overs with another member in trouble, perhaps the heir", &times.after_another);
}

/// Prints how long take-overs took. The machine may be busy: the contract's bound is told, not asserted.
fn report(what: &str, times: &[u64]) {
    let Some(max) = times.last() else {
        println!("no {what}");
        return;
    };
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let (count, p50, p99, bound) = (times.len(), at(50), at(99), LEASE_MS + 1000);
    println!("{count} {what}: p50 {p50} ms, p99 {p99} ms, max {max} ms (lease + 1 s = {bound} ms)");
}

#[tokio::test]
#[ignore = "what a member's process runs; the test above starts it"]
async fn a_member_in_a_process_of_its_own() {
    if let Ok(orders) = std::env::var(ORDERS) {
        member::work(serde_json::from_str(&orders).expect("orders are JSON")).await;
    }
}
