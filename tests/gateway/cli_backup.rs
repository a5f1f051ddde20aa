//! `tidegate backup`: a copy taken while the gateway runs is whole, and a gateway can be started on it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::run_to_its_end;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::on_sqlite;
use crate::harness::terminal::run_with;

on_sqlite!(
    "PostgreSQL is backed up by its own tools":
    a_copy_holds_all_that_was_acknowledged_before_it,
    a_copy_of_a_stopped_gateway_is_the_same,
    nothing_is_overwritten_and_nothing_is_made_of_nothing,
);

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

async fn a_copy_holds_all_that_was_acknowledged_before_it(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..500).await;
    topic.count(1, 0..3).await;
    let mut member = Member::new(&gateway, "billing", "m", json!({ "topics": ["orders"] }));
    member.begin().await;
    member.commit_offsets(json!([{ "topic": "orders", "partition": 0, "next_offset": 4 }])).await.is(200);

    // Somebody writes on all the while.
    let writer = gateway.client();
    let writing = tokio::spawn(async move {
        loop {
            writer.post("/v1/topics/others/values").body("1").send().await.is(201);
        }
    });
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let to = directory.path().join("copy");
    let arguments = ["backup", text(&to), "--data-dir", text(&gateway.data_dir())].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = run_with(gateway.address(), &arguments, "").await;
    assert!(done.printed().contains("checked and on the disk"), "{done:?}");
    writing.abort();
    let mode = std::fs::metadata(to.join("tidegate.db")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "only its owner may read it: {mode:o}");
    let files: Vec<_> =
        std::fs::read_dir(&to).expect("it is there").map(|file| file.expect("a name").file_name()).collect();
    assert_eq!(files, ["tidegate.db"]);

    topic.count(0, 500..510).await;
    gateway.stop().await;
    gateway.put_data(&to);
    gateway.start_again().await;
    assert_eq!(topic.high_watermark(0).await, 500, "as it stood then");
    assert_eq!(topic.high_watermark(1).await, 3);
    assert_eq!(committed(&gateway, "billing", "orders", 0).await, Some(4));
    topic.count(0, 500..501).await;
}

async fn a_copy_of_a_stopped_gateway_is_the_same(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    gateway.stop().await;
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let (to, from) = (directory.path().to_owned(), gateway.data_dir());
    run_with(gateway.address(), &["backup", text(&to), "--data-dir", text(&from)], "").await.printed();
    gateway.put_data(&to);
    gateway.start_again().await;
    assert_eq!(topic.high_watermark(0).await, 10);
}

async fn nothing_is_overwritten_and_nothing_is_made_of_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let (to, from) = (directory.path().to_owned(), gateway.data_dir());
    std::fs::write(to.join("tidegate.db"), "mine").expect("it is ours");
    let taken = run_with(gateway.address(), &["backup", text(&to), "--data-dir", text(&from)], "").await;
    assert!(taken.refused(1).contains("nothing is overwritten"), "{taken:?}");
    assert_eq!(std::fs::read_to_string(to.join("tidegate.db")).expect("it is there"), "mine");

    let (empty, nowhere) = (directory.path().join("empty"), directory.path().join("to"));
    std::fs::create_dir(&empty).expect("it is ours");
    let nothing = run_with(gateway.address(), &["backup", text(&nowhere), "--data-dir", text(&empty)], "").await;
    assert!(nothing.refused(1).contains("--data-dir"), "{nothing:?}");
    assert!(!nowhere.exists());

    // What is no database is not copied, and leaves nothing.
    std::fs::write(empty.join("tidegate.db"), "no database at all".repeat(1000)).expect("it is ours");
    let damaged = run_with(gateway.address(), &["backup", text(&nowhere), "--data-dir", text(&empty)], "").await;
    assert!(damaged.refused(1).contains("not a database"), "{damaged:?}");
    assert_eq!(std::fs::read_dir(&nowhere).map_or(0, Iterator::count), 0);
    // As the gateway itself would say.
    let (status, _) = run_to_its_end(&empty, &[]).await;
    assert!(!status.success());
}
