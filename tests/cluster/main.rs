//! The acceptance test of several nodes on one PostgreSQL, with real processes: producers, readers and groups go to any
//! of two nodes, while each of the nodes and PostgreSQL itself are killed with `kill -9` and run again.
//!
//! What was acknowledged is in the log where it was acknowledged; every reader sees the whole log, each record once;
//! groups skip nothing. The short run is part of the suite. The full one: `TIDEGATE_CLUSTER_SECONDS=600 cargo test --test
//! cluster -- --nocapture`, in which each node is killed five times and PostgreSQL twice.

mod answers;
mod check;
mod clients;
mod crew;
#[path = "../groups/check.rs"]
mod group_check;
#[path = "../groups/line.rs"]
mod line;
mod member;
mod node;
mod postgres;
mod producer;
mod readers;
mod trouble;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::task::block_in_place;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::answers::Call;
use crate::answers::Outage;
use crate::answers::Said;
use crate::check::Log;
use crate::clients::Clients;
use crate::crew::Crew;
use crate::line::now_ms;
use crate::node::Node;
use crate::postgres::Postgres;
use crate::producer::Manner;
use crate::producer::Produced;
use crate::producer::Producer;
use crate::readers::Reader;
use crate::trouble::Victim;

const TOPIC: &str = "work";
const PARTITIONS: usize = 6;
const NODES: usize = 2;
const GROUPS: usize = 2;
const MEMBERS: usize = 3;

/// Readers of each kind.
const READERS: usize = 3;

/// What producers do when an outcome is unknown, and whether their records have keys.
const PRODUCERS: [(Manner, bool); 4] =
    [(Manner::Key, false), (Manner::Key, true), (Manner::Again, false), (Manner::GiveUp, true)];

/// The lease of every member, in milliseconds.
const LEASE_MS: u64 = 2000;

/// How long anything may take before it counts as lost.
const DEADLINE: Duration = Duration::from_secs(60);

/// From here on it is the full run.
const FULL_SECONDS: usize = 600;

fn setting(name: &str, default: usize) -> usize {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")),
        Err(_) => default,
    }
}

/// Everything that can be killed.
struct Scene {
    nodes: Vec<Node>,
    postgres: Postgres,
    crews: Vec<Crew>,
    outages: Vec<Outage>,
    random: fastrand::Rng,
}

impl Scene {
    /// Kills all victims, evenly over the time there is.
    async fn trouble(&mut self, victims: &[Victim], seconds: usize) {
        let gap =
            Duration::from_secs(u64::try_from(seconds).expect("few")) / u32::try_from(victims.len() + 1).expect("few");
        let mut pace = interval(gap);
        // The first tick is at once.
        pace.tick().await;
        for victim in victims {
            pace.tick().await;
            let away = victim.away(&mut self.random);
            println!("{victim:?} is killed, for {} ms", away.as_millis());
            match victim {
                Victim::Node(node) => self.kill_node(*node, away).await,
                Victim::Database => self.kill_database(away).await,
            }
        }
        pace.tick().await;
    }

    /// A member of each group goes with the node; others come with its return.
    async fn kill_node(&mut self, node: usize, away: Duration) {
        self.nodes[node].kill9();
        for crew in &mut self.crews {
            crew.kill_one().await;
        }
        tokio::time::sleep(away).await;
        block_in_place(|| self.nodes[node].run());
        self.crews.iter_mut().for_each(Crew::add);
    }

    async fn kill_database(&mut self, away: Duration) {
        let from = now_ms();
        block_in_place(|| self.postgres.kill9());
        tokio::time::sleep(away).await;
        block_in_place(|| self.postgres.run_again());
        self.outages.push(Outage { from, until: now_ms() });
    }
}

/// All clients that are no members.
struct Load {
    producers: Vec<JoinHandle<Produced>>,
    readers: Vec<(Arc<Reader>, JoinHandle<()>)>,
    end_of_producers: CancellationToken,
    end_of_readers: CancellationToken,
}

impl Load {
    fn start(clients: &Arc<Clients>, random: &mut fastrand::Rng) -> Self {
        let (end_of_producers, end_of_readers) = (CancellationToken::new(), CancellationToken::new());
        let producers = PRODUCERS.into_iter().enumerate().map(|(number, (manner, has_keys))| {
            let producer = Producer { number, manner, has_keys, random: random.fork(), clients: Arc::clone(clients) };
            tokio::spawn(producer.produce(end_of_producers.clone()))
        });
        let producers = producers.collect();
        let mut readers = Vec::new();
        for number in 0..READERS {
            let (stop, random) = (end_of_readers.clone(), random.fork());
            let reader = Reader::new(format!("plain reader {number}"), clients);
            readers.push((Arc::clone(&reader), tokio::spawn(reader.pages(random, stop))));
        }
        for number in 0..READERS {
            let (stop, random) = (end_of_readers.clone(), random.fork());
            let reader = Reader::new(format!("stream reader {number}"), clients);
            readers.push((Arc::clone(&reader), tokio::spawn(reader.streams(random, number == 0, stop))));
        }
        Self { producers, readers, end_of_producers, end_of_readers }
    }

    /// Lets the producers finish what they are at.
    async fn end_producers(&mut self) -> Vec<Produced> {
        self.end_of_producers.cancel();
        let mut all = Vec::new();
        for producer in self.producers.drain(..) {
            all.push(producer.await.expect("a producer is told nothing that is wrong"));
        }
        all
    }

    /// Waits until every reader has seen so much, and ends them.
    async fn end_readers(self, records: usize) -> Vec<Arc<Reader>> {
        until("the readers see everything", async || {
            self.readers.iter().all(|(reader, task)| task.is_finished() || reader.count() >= records)
        })
        .await;
        self.end_of_readers.cancel();
        let mut all = Vec::new();
        for (reader, task) in self.readers {
            task.await.expect("a reader is told nothing that is wrong");
            all.push(reader);
        }
        all
    }
}

/// Waits for a condition.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < DEADLINE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn create_topic(clients: &Clients) {
    let body = json!({ "partition_count": PARTITIONS });
    let request = clients.request(0, Method::PUT, &format!("/v1/topics/{TOPIC}")).json(&body);
    let reply = clients.call(0, Call::Produce, Duration::ZERO, request).await;
    assert_eq!(reply.said, Said::Fine, "{}", reply.body);
}

/// The log as one node has it.
async fn log(clients: &Clients, node: usize) -> Log {
    let mut partitions = Vec::new();
    for partition in 0..PARTITIONS {
        partitions.push(clients.partition(node, partition).await);
    }
    Log::new(partitions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_skipped_while_nodes_and_the_database_are_killed() {
    let seconds = setting("TIDEGATE_CLUSTER_SECONDS", 25);
    let (each_node, database) = if seconds >= FULL_SECONDS { (5, 2) } else { (2, 1) };
    let seed = u64::try_from(setting("TIDEGATE_CLUSTER_SEED", fastrand::usize(..1_000_000))).expect("a number");
    println!("TIDEGATE_CLUSTER_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let postgres = block_in_place(Postgres::start);
    let nodes: Vec<Node> = block_in_place(|| (0..NODES).map(|_| Node::start(&postgres.url)).collect());
    let clients = Arc::new(Clients::new(nodes.iter().map(|node| node.url.clone()).collect()));
    create_topic(&clients).await;
    let mut crews: Vec<Crew> =
        (0..GROUPS).map(|number| Crew::new(format!("group-{number}"), &clients, random.fork())).collect();
    for crew in &mut crews {
        (0..MEMBERS).for_each(|_| crew.add());
    }
    let mut load = Load::start(&clients, &mut random);
    let mut scene = Scene { nodes, postgres, crews, outages: Vec::new(), random: random.fork() };
    let victims = trouble::plan(&mut random, NODES, each_node, database);
    scene.trouble(&victims, seconds).await;

    // Everything is drained.
    let produced = load.end_producers().await;
    let ends = clients.high_watermarks(0).await;
    let readers = load.end_readers(ends.iter().sum()).await;
    let logs = [log(&clients, 0).await, log(&clients, 1).await];
    assert_eq!((logs[0].ends(), logs[1].ends()), (ends.clone(), ends.clone()), "the nodes have one log");
    let writes: Vec<_> = produced.iter().flat_map(|one| one.writes.iter().cloned()).collect();
    for log in &logs {
        for reader in &readers {
            check::reader(log, &reader.seen.lock().expect("nobody panics with what was seen"));
        }
    }
    let of_writes = logs.each_ref().map(|log| check::writes(log, &writes));
    let mut of_groups = Vec::new();
    for (number, crew) in scene.crews.drain(..).enumerate() {
        let node = number % NODES;
        until("the groups commit everything", async || !crew.is_well() || crew.is_done(node).await).await;
        of_groups.push(crew.check(&ends, node).await);
    }

    let (looks, replays) = produced.iter().fold((0, 0), |sum, one| (sum.0 + one.looks, sum.1 + one.replays));
    println!("seed {seed}, {seconds} s, {each_node} kills of each node, {database} of PostgreSQL: {}", of_writes[0]);
    println!("{looks} reads of what another node acknowledged, {replays} repeats of what another node acknowledged");
    for reader in &readers[READERS..] {
        let [cut, broken, problem] = *reader.ends.lock().expect("nobody panics with the ends");
        let who = &reader.seen.lock().expect("nobody panics with what was seen").who;
        println!("{who}: {cut} streams cut, {broken} broken or without a node, {problem} ended with a problem");
    }
    let answers = clients.answers();
    println!("{}", answers::check(&answers, &scene.outages));
    println!(
        "first write of each node after PostgreSQL came back, ms: {:?}",
        answers::returns(&answers, &scene.outages, NODES)
    );
    let (mut alone, mut after_another) = (Vec::new(), Vec::new());
    for (told, times) in of_groups {
        println!("{told}");
        alone.extend(times.alone);
        after_another.extend(times.after_another);
    }
    report("take-overs", alone);
    report("take-overs with another member in trouble", after_another);
    for node in &scene.nodes {
        assert!(!node.told().contains("panicked"), "{}", node.told());
    }
}

/// Prints how long take-overs took. The machine may be busy: the contract's bound is told, not asserted.
fn report(what: &str, mut times: Vec<u64>) {
    times.sort_unstable();
    let Some(max) = times.last() else {
        println!("no {what}");
        return;
    };
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let (count, p50, p99, bound) = (times.len(), at(50), at(99), LEASE_MS + 1000);
    println!("{count} {what}: p50 {p50} ms, p99 {p99} ms, max {max} ms (lease + 1 s = {bound} ms)");
}
