//! `tidegate bench`: it measures, says what, and leaves nothing behind.

use std::path::Path;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::terminal::Running;
use crate::harness::terminal::run_with;
use crate::harness::wait::eventually;

on_each_backend!(a_gateway_that_runs_is_measured_and_left_as_it_was);

on_sqlite!(
    "it starts a gateway of its own":
    a_gateway_of_its_own_is_measured_and_gone,
    a_signal_takes_all_away,
);

const SHORT: [&str; 6] = ["--step-ms", "100", "--writers", "4", "--subscribers", "3"];

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).expect("it is there").next().is_none()
}

async fn a_gateway_of_its_own_is_measured_and_gone(backend: Backend) {
    // Only for its address, which must not be spoken to.
    let mut other = Gateway::start(backend).await;
    other.stop().await;
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let place = directory.path().to_str().expect("UTF-8");
    let measured = run_with(other.address(), &[&["bench", "--dir", place], &SHORT[..]].concat(), "").await;
    for what in ["limit: one fdatasync", "limit: write in sequence", "POST/s", "MB/s", "3 event streams", "events/s"] {
        assert!(measured.printed().contains(what), "it does not say {what}: {measured:?}");
    }
    assert!(measured.stdout.contains("a gateway of its own") && measured.stderr.is_empty(), "{measured:?}");
    assert!(is_empty(directory.path()), "nothing is left");
}

async fn a_gateway_that_runs_is_measured_and_left_as_it_was(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let url = format!("http://{}", gateway.address());
    let measured = run_with(gateway.address(), &[&["bench", "--url", &url], &SHORT[..]].concat(), "").await;
    assert!(measured.printed().contains(&url) && !measured.stdout.contains("limit:"), "{measured:?}");
    let topics = gateway.get("/v1/topics").send().await.is(200).json();
    assert_eq!(topics["topics"].as_array().map(Vec::len), Some(0), "{topics}");
}

async fn a_signal_takes_all_away(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let line = format!("bench --step-ms 60000 --dir {}", directory.path().display());
    let mut bench = Running::start(gateway.address(), &line);
    eventually("it has begun", async || (!is_empty(directory.path())).then_some(())).await;
    bench.terminate();
    assert_eq!(bench.ended().await.code(), Some(130));
    assert!(is_empty(directory.path()), "nothing is left");
}
