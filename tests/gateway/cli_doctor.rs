//! `tidegate doctor`: what is well, what is not, and what stands before the gateway, tried with a real nginx.

use std::path::Path;

use crate::harness::Backend;
use crate::harness::front::Nginx;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::terminal::Ended;
use crate::harness::terminal::run_with;

on_each_backend!(a_healthy_gateway_is_well);

on_sqlite!(
    "what is before it or below it is the same":
    the_proxy_that_is_shipped_is_well,
    a_proxy_that_buffers_is_found_out,
    a_proxy_that_cuts_what_is_silent_is_found_out,
    a_name_that_is_not_served_is_told,
    a_disk_that_is_none_is_told,
);

/// Lines of the subject.
fn of<'a>(ended: &'a Ended, subject: &str) -> Vec<&'a str> {
    let lines = ended.stdout.lines().filter(|line| line.get(6..).is_some_and(|rest| rest.starts_with(subject)));
    let lines: Vec<_> = lines.collect();
    assert!(!lines.is_empty(), "nothing of {subject}: {ended:?}");
    lines
}

async fn doctor(gateway: &Gateway, flags: &[&str]) -> Ended {
    let data_dir = gateway.data_dir();
    let place = ["doctor", "--silence-ms", "3000", "--data-dir", data_dir.to_str().expect("UTF-8")];
    run_with(gateway.address(), &[&place[..], flags].concat(), "").await
}

/// The doctor's answer about a gateway behind nginx with edits to the shipped configuration; its topic must be gone.
async fn behind(edits: &[(&str, &str)]) -> Ended {
    let gateway = Gateway::start(Backend::Sqlite).await;
    let front = Nginx::start([gateway.address(); 2], edits).await;
    let url = format!("http://{}", front.address());
    let told = doctor(&gateway, &["--public-url", &url]).await;
    let topics = gateway.get("/v1/topics").send().await.is(200).json();
    assert_eq!(topics["topics"].as_array().map(Vec::len), Some(0), "{topics}");
    told
}

async fn a_healthy_gateway_is_well(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let url = gateway.database_url();
    let flags: Vec<&str> = url.iter().flat_map(|url| ["--database-url", url]).collect();
    let told = doctor(&gateway, &flags).await;
    // The disk of a test may be small, slow, or memory; what is told of it is tested beside the code.
    let database = of(&told, "database")[0];
    match backend {
        Backend::Sqlite => assert!(database.starts_with("ok    database      SQLite 3."), "{told:?}"),
        Backend::Postgres => {
            assert!(database.contains("PostgreSQL") && database.contains("synchronous_standby_names"), "{told:?}");
            assert!(of(&told, "clock")[0].contains("ms from the database's"), "{told:?}");
            assert!(of(&told, "connections")[0].starts_with("ok"), "{told:?}");
        }
    }
    assert!(database.contains("wal") || database.contains("synchronous_commit on"), "{told:?}");
    assert!(of(&told, "fsync")[0].contains(" ms"), "{told:?}");
    assert!(of(&told, "open files")[0].contains("may be open"), "{told:?}");
    assert!(of(&told, "proxy")[0].contains("--public-url"), "{told:?}");
}

async fn the_proxy_that_is_shipped_is_well(_: Backend) {
    let told = behind(&[]).await;
    for subject in ["proxy", "receipts", "long polls", "silence"] {
        assert!(of(&told, subject)[0].starts_with("ok"), "{told:?}");
    }
    assert!(!of(&told, "events")[0].starts_with("FAIL"), "{told:?}");
}

async fn a_proxy_that_buffers_is_found_out(_: Backend) {
    // nginx's defaults; by HTTP/1.1 it would pass on each chunk as it comes.
    let told = behind(&[
        ("proxy_buffering off;", "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"),
        ("proxy_http_version 1.1;", "proxy_http_version 1.0;"),
        ("proxy_request_buffering off;", "proxy_request_buffering on;"),
    ])
    .await;
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let is_advice = |line: &str| line.starts_with("FAIL") && line.contains("proxy_buffering off");
    assert!(told.stdout.lines().any(is_advice), "{told:?}");
    let receipts = of(&told, "receipts")[0];
    assert!(receipts.starts_with("warn") && receipts.contains("proxy_request_buffering off"), "{told:?}");
    assert!(of(&told, "long polls")[0].starts_with("ok"), "a finite answer passes: {told:?}");
}

async fn a_proxy_that_cuts_what_is_silent_is_found_out(_: Backend) {
    let told = behind(&[("proxy_read_timeout 75s;", "proxy_read_timeout 1s;")]).await;
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let poll = of(&told, "long polls")[0];
    assert!(poll.starts_with("FAIL") && poll.contains("read timeout"), "{told:?}");
    assert!(of(&told, "silence")[0].starts_with("FAIL"), "{told:?}");
}

async fn a_name_that_is_not_served_is_told(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let front = Nginx::start(
        [gateway.address(); 2],
        &[("proxy_set_header Host $http_host;", "proxy_set_header Host events.example.com;")],
    )
    .await;
    let url = format!("http://{}", front.address());
    let told = doctor(&gateway, &["--public-url", &url]).await;
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(told.stdout.contains("host_not_allowed") && told.stdout.contains("--public-url"), "{told:?}");
    let nobody = doctor(&gateway, &["--public-url", "http://127.0.0.1:1"]).await;
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(nobody.stdout.contains("127.0.0.1:1"), "{nobody:?}");
}

async fn a_disk_that_is_none_is_told(backend: Backend) {
    assert!(Path::new("/dev/shm").is_dir(), "Linux has memory there");
    let gateway = Gateway::start(backend).await;
    let told = run_with(gateway.address(), &["doctor", "--data-dir", "/dev/shm/tidegate-is-not-there"], "").await;
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(of(&told, "disk").iter().any(|line| line.starts_with("FAIL") && line.contains("in memory")), "{told:?}");
    assert!(of(&told, "database")[0].contains("there is none"), "{told:?}");
    assert!(!Path::new("/dev/shm/tidegate-is-not-there").exists());
}
