//! The part of `groups` that measures members without anything to do: the CPU time that a gateway takes for 1,000 of
//! them, beside as many plain readers that wait in the same way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use memchr::memmem;
use tokio::time::MissedTickBehavior;

use crate::Bench;
use crate::client::Connection;
use crate::client::each_line;
use crate::data;
use crate::member::Member;
use crate::member::PlainReader;
use crate::process::Process;
use crate::produce::PROBE;
use crate::produce::create_topic;
use crate::report::Aim;

/// Each with a topic of its own.
const GROUPS: usize = 100;
/// Members of a group, and partitions of its topic: one for each.
const MEMBERS: usize = 10;
const CLIENTS: usize = GROUPS * MEMBERS;

/// Two clients begin so far from each other that all of them are spread over one wait, as those are that do not know of
/// each other. If they act together later, then because the gateway answers them together.
const APART: Duration = Duration::from_millis(WAIT_MS / CLIENTS as u64);
/// How long a poll waits for a record: half the default lease, which is the longest.
const WAIT_MS: u64 = 5_000;

/// Streams are sent a sign of life as often as that, all at once: a measurement has a whole number of them.
const HEARTBEAT_SECONDS: u64 = 15;

/// Percent of one core that 1,000 idle members may cost.
const AIM: f64 = 5.0;

/// How clients wait, and what the client process is told to be them: members, or plain readers.
const KINDS: [(&str, &str, &str); 2] =
    [("event streams", "member-streams", "plain-streams"), ("long polls", "member-polls", "plain-polls")];

/// 1,000 members in 100 groups, beside 1,000 plain readers of the same topics.
pub(crate) async fn at_rest(bench: &mut Bench) -> Result<()> {
    bench.measure_conditions(PROBE)?;
    let nobody = measure(bench, "nobody").await?;
    bench.row("at rest, nobody there, CPU", "% core", nobody.map(|it| it.percent), None, Aim::None);
    for (name, members, plain) in KINDS {
        bench.conditions.clear();
        bench.measure_conditions(PROBE)?;
        let value = measure(bench, members).await?;
        bench.measure_conditions(PROBE)?;
        let base = measure(bench, plain).await?;
        let compare = |figure: fn(&Usage) -> f64| (value.as_ref().map(figure), base.as_ref().map(figure));
        let row = format!("at rest, 1,000 members, {name}");
        let (value, base) = compare(|it| it.percent);
        bench.row(&format!("{row}, CPU"), "% core", value, base, Aim::To(AIM));
        let (value, base) = compare(|it| it.answers_per_second);
        if base.is_some_and(|rate| rate > 0.0) {
            bench.row(&format!("{row}, answers"), "/s", value, base, Aim::None);
        }
    }
    Ok(())
}

/// What a gateway did for its clients.
struct Usage {
    /// CPU time, in percent of one core.
    percent: f64,
    /// Long polls.
    answers_per_second: f64,
}

/// Measures a gateway once all clients are where they stay.
async fn measure(bench: &Bench, kind: &str) -> Result<Option<Usage>> {
    let Some(server) = bench.gateway(&format!("rest-{kind}")).await? else { return Ok(None) };
    for group in 0..GROUPS {
        create_topic(&server, &topic(group), MEMBERS as u32).await?;
    }
    let mut clients = None;
    if kind != "nobody" {
        let arguments = ["--role", "rest", &server.address.to_string(), kind];
        let log = bench.folder().join("rest.log");
        let mut process = Process::start(&std::env::current_exe()?, &arguments, &log)?;
        process.line("settled").await?;
        clients = Some(process);
    }
    // What joining left to do.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let window = Duration::from_secs(bench.seconds.max(1).div_ceil(HEARTBEAT_SECONDS) * HEARTBEAT_SECONDS);
    let answers_before = answers(clients.as_mut()).await?;
    let (cpu_before, start) = (server.process.cpu_seconds()?, Instant::now());
    tokio::time::sleep(window).await;
    let (used, seconds) = (server.process.cpu_seconds()? - cpu_before, start.elapsed().as_secs_f64());
    let answered = answers(clients.as_mut()).await? - answers_before;
    Ok(Some(Usage { percent: 100.0 * used / seconds, answers_per_second: answered / seconds }))
}

/// How many long polls have been answered so far; fails if a client is not where it is to stay.
async fn answers(clients: Option<&mut Process>) -> Result<f64> {
    let Some(clients) = clients else { return Ok(0.0) };
    clients.tell("summary")?;
    let summary = clients.line("summary ").await?;
    let counts: Vec<usize> = summary.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let &[settled, ended, answers] = &counts[..] else { bail!("a summary has three figures: {summary}") };
    ensure!((settled, ended) == (CLIENTS, 0), "of {CLIENTS} clients {settled} are settled, {ended} ended");
    Ok(answers as f64)
}

fn topic(group: usize) -> String {
    format!("rest-{group}")
}

/// How the clients stand.
struct Tally {
    /// How many partitions each member holds; one for a client that is no member and waits.
    held: Box<[AtomicUsize]>,
    /// Clients that are over.
    ended: AtomicU64,
    /// Long polls that were answered.
    answers: AtomicU64,
}

impl Tally {
    /// How many are where they are to stay: each member with its one partition.
    fn settled(&self) -> usize {
        self.held.iter().filter(|held| held.load(Ordering::Relaxed) == 1).count()
    }
}

/// The client process: opens everything, says when it has settled, then how it stands whenever it is asked on standard
/// input. Ends when that does.
pub(crate) async fn clients(address: &str, kind: &str) -> Result<()> {
    let address: SocketAddr = address.parse()?;
    let held = (0..CLIENTS).map(|_| AtomicUsize::new(0)).collect();
    let tally = Arc::new(Tally { held, ended: AtomicU64::new(0), answers: AtomicU64::new(0) });
    let mut ticks = tokio::time::interval(APART);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..CLIENTS {
        ticks.tick().await;
        let tally = Arc::clone(&tally);
        match kind {
            "member-streams" | "plain-streams" => stream(address, number, kind, tally).await?,
            "member-polls" => polls(address, number, tally).await?,
            "plain-polls" => plain_polls(address, number, tally).await?,
            other => bail!("no clients `{other}`"),
        }
    }
    while tally.settled() < CLIENTS {
        ensure!(tally.ended.load(Ordering::Relaxed) == 0, "a client ended before all had settled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("settled");
    let asked = tokio::task::spawn_blocking(move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            let (ended, answers) = (tally.ended.load(Ordering::Relaxed), tally.answers.load(Ordering::Relaxed));
            println!("summary {} {ended} {answers}", tally.settled());
        }
        // Nobody will ask again. The connections are closed by the end of the process.
        std::process::exit(0)
    });
    asked.await.context("standard input")
}

/// Opens an event stream, of a member or not, and reads on in the background.
async fn stream(address: SocketAddr, number: usize, kind: &str, tally: Arc<Tally>) -> Result<()> {
    let group = number / MEMBERS;
    let is_member = kind == "member-streams";
    let path = if is_member {
        format!("/v1/groups/g-{group}/members/m-{number}/records?topic={}", topic(group))
    } else {
        format!("/v1/topics/{}/records?from=latest", topic(group))
    };
    let mut connection = Connection::open(address, 4 * 1024).await?;
    let (status, mut body) = connection.send(&data::get(&path, "text/event-stream")).await?;
    ensure!(status == 200, "answered {status}");
    if !is_member {
        tally.held[number].store(1, Ordering::Relaxed);
    }
    tokio::spawn(async move {
        let mut rest = Vec::new();
        // Nothing is produced: whatever has data says what the member holds.
        let mut line = |line: &[u8]| {
            if line.starts_with(b"data:") {
                let held = memmem::find_iter(line, br#""partition":"#).count();
                tally.held[number].store(held, Ordering::Relaxed);
            }
        };
        while let Ok(true) =
            connection.piece(&mut body, &mut |piece: &[u8]| each_line(&mut rest, piece, &mut line)).await
        {}
        tally.ended.fetch_add(1, Ordering::Relaxed);
    });
    Ok(())
}

/// Joins, then polls again and again in the background.
async fn polls(address: SocketAddr, number: usize, tally: Arc<Tally>) -> Result<()> {
    let group = number / MEMBERS;
    let terms = format!(r#""topics":["{}"]"#, topic(group));
    let mut member = Member::open(address, &format!("g-{group}"), &format!("m-{number}"), terms, 4 * 1024).await?;
    member.poll(r#""wait_ms":0"#).await?;
    let options = format!(r#""wait_ms":{WAIT_MS}"#);
    tokio::spawn(async move {
        loop {
            match member.poll(&options).await {
                Ok(ending) => tally.held[number].store(ending.assignments.len(), Ordering::Relaxed),
                Err(problem) => break eprintln!("member {number}: {problem:#}"),
            }
            tally.answers.fetch_add(1, Ordering::Relaxed);
        }
        tally.ended.fetch_add(1, Ordering::Relaxed);
    });
    Ok(())
}

/// Reads again and again in the background.
async fn plain_polls(address: SocketAddr, number: usize, tally: Arc<Tally>) -> Result<()> {
    let path = format!("/v1/topics/{}/records?wait_ms={WAIT_MS}", topic(number / MEMBERS));
    let mut reader = PlainReader::open(address, path, "latest", 4 * 1024).await?;
    tally.held[number].store(1, Ordering::Relaxed);
    tokio::spawn(async move {
        loop {
            if let Err(problem) = reader.read().await {
                break eprintln!("reader {number}: {problem:#}");
            }
            tally.answers.fetch_add(1, Ordering::Relaxed);
        }
        tally.ended.fetch_add(1, Ordering::Relaxed);
    });
    Ok(())
}
