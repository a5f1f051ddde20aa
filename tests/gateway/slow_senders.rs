//! Clients that begin a request and never end it: they are cut in time, and stop nobody else.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_sqlite;
use crate::harness::raw::Connection;
use crate::harness::wait::within;

on_sqlite!("slow clients never come as far as the database":
    ten_thousand_slow_heads_stop_nobody,
    slow_heads_are_all_cut,
    a_connection_that_sends_nothing_at_all_is_cut,
);

/// What the machine may take for thousands of connections.
const PATIENCE: Duration = Duration::from_secs(240);
/// Files of this process that are no slow client.
const OTHER_FILES: u64 = 1_000;
/// Connections that are opened at once: fewer than the kernel queues.
const AT_ONCE: usize = 500;

/// How many connections this process may open, of those wanted; the gateway has the same limit.
fn affordable(wanted: usize) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a limit may be raised to its maximum");
    let room = maximum.map_or(usize::MAX, |files| files.saturating_sub(OTHER_FILES) as usize);
    let count = wanted.min(room);
    if count < wanted {
        eprintln!("only {count} connections instead of {wanted}: the hard limit on open files is {maximum:?}");
    }
    assert!(count >= 1_000, "a limit of {maximum:?} open files is too low to show anything");
    count
}

/// Opens connections that each send the begin of a head.
async fn begin_heads(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let begin = async || {
        let mut stream = TcpStream::connect(address).await.expect("the gateway accepts");
        stream.write_all(b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nX-A: b").await.expect("it takes bytes");
        stream
    };
    let mut open = Vec::with_capacity(count);
    while open.len() < count {
        let next = AT_ONCE.min(count - open.len());
        open.extend(join_all((0..next).map(|_| begin())).await);
    }
    open
}

async fn ten_thousand_slow_heads_stop_nobody(backend: Backend) {
    let count = affordable(10_000);
    // Long enough that all are there at once, however slow the machine is.
    let gateway = Gateway::with(backend, &["--header-read-ms-max", "600000", "--idle-ms-max", "600000"]).await;
    let topic = gateway.topic("orders", 1).await;
    within(PATIENCE, "all of it", async {
        let mut slow = begin_heads(gateway.address(), count).await;
        let mut stream = topic.events("").await;
        for n in 0..100 {
            // Each a little more, so that none is simply silent.
            slow[usize::try_from(n).expect("small")].write_all(b"c").await.expect("it is still open");
            let other = gateway.client().another();
            other.get("/healthz").send().await.is(200); // on a connection of its own
            topic.count(0, n..n + 1).await;
            assert_eq!(stream.record().await.offset, n);
        }
        // None of them was let go to make room.
        let still_open = async |stream: &mut TcpStream| {
            stream.write_all(b": d\r\n\r\n").await.expect("it is still open");
            let mut status = [0; 12];
            stream.read_exact(&mut status).await.expect("an answer");
            assert_eq!(&status, b"HTTP/1.1 200", "a slow head is a head");
        };
        for chunk in slow.chunks_mut(AT_ONCE) {
            join_all(chunk.iter_mut().map(still_open)).await;
        }
    })
    .await;
    println!("{count} slow heads at once");
}

async fn slow_heads_are_all_cut(backend: Backend) {
    let count = affordable(2_000);
    let gateway = Gateway::with(backend, &["--header-read-ms-max", "1000"]).await;
    within(PATIENCE, "all of it", async {
        for mut stream in begin_heads(gateway.address(), count).await {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("a whole answer");
            assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
        }
    })
    .await;
    gateway.client().another().get("/healthz").send().await.is(200);
}

async fn a_connection_that_sends_nothing_at_all_is_cut(backend: Backend) {
    let gateway = Gateway::with(backend, &["--header-read-ms-max", "300"]).await;
    let mut silent = Connection::open(gateway.address()).await;
    assert_eq!(silent.everything().await, "", "it asked nothing, so it is told nothing");
}
