//! One process per data directory, and settings that cannot be are refused at the start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::run_to_its_end;
use crate::harness::on_each_backend;

on_each_backend!(
    a_second_process_on_the_same_data_is_refused_with_a_sentence,
    a_crashed_process_leaves_no_lock_behind,
    a_bad_flag_is_refused_at_the_start,
    the_data_directory_holds_what_is_said_and_nothing_else,
    a_directory_that_others_can_change_is_refused,
);

async fn a_second_process_on_the_same_data_is_refused_with_a_sentence(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let (status, stderr) = gateway.twin().await;
    assert!(!status.success());
    let directory = gateway.data_dir();
    assert!(stderr.contains(&*directory.to_string_lossy()), "it says which directory: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    topic.count(0, 0..1).await;
}

async fn a_crashed_process_leaves_no_lock_behind(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..1).await;
    for _ in 0..3 {
        gateway.kill9().await;
        gateway.start_again().await;
    }
    assert_eq!(topic.read("").await.records.len(), 1);
}

async fn a_directory_that_others_can_change_is_refused(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..1).await;
    gateway.stop().await;
    let (data, segments) = (gateway.data_dir(), gateway.data_dir().join("segments"));
    let refused = async |words: &[&str]| {
        let (status, stderr) = gateway.twin().await;
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{words:?}: {stderr}");
    };
    let open_to = |mode| fs::set_permissions(&data, fs::Permissions::from_mode(mode)).expect("it is ours");
    open_to(0o777);
    refused(&["data directory", "chmod o-w"]).await;
    open_to(0o700);
    let elsewhere = tempfile::tempdir().expect("the temporary directory is writable");
    fs::remove_dir_all(&segments).expect("it is ours");
    symlink(elsewhere.path(), &segments).expect("a link");
    refused(&["segments", "symbolic link"]).await;
    fs::remove_file(&segments).expect("it is ours");
    // The directory itself may be elsewhere, as on a larger disk; with the sticky bit nobody changes what is another's.
    let moved = elsewhere.path().join("data");
    fs::rename(&data, &moved).expect("the same disk");
    symlink(&moved, &data).expect("a link");
    fs::set_permissions(&moved, fs::Permissions::from_mode(0o1777)).expect("it is ours");
    gateway.start_again().await;
    gateway.get("/v1/topics/orders").send().await.is(200);
}

async fn a_bad_flag_is_refused_at_the_start(_: Backend) {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    for (flags, named) in [
        (["--heartbeat-ms", "soon"], "heartbeat-ms"),
        (["--default-partitions", "0"], "default-partitions"),
        (["--segment-cache-bytes", "lots"], "segment-cache-bytes"),
        (["--cors-origin", "*"], "cors-origin"),
        (["--no-such-flag", "1"], "no-such-flag"),
    ] {
        let (status, stderr) = run_to_its_end(&directory.path().join("data"), &flags).await;
        assert!(!status.success(), "{flags:?}");
        assert!(stderr.contains(named) && !stderr.contains("panicked"), "{flags:?}: {stderr}");
    }
}

async fn the_data_directory_holds_what_is_said_and_nothing_else(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    topic.count(2, 0..100).await;
    topic.read_all().await;
    gateway.restart().await;
    topic.read_all().await;
    let mut names: Vec<_> = fs::read_dir(gateway.data_dir())
        .expect("the directory is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let known: &[&str] = match backend {
        Backend::Sqlite => &["segments", "tidegate.db", "tidegate.db-shm", "tidegate.db-wal", "tidegate.db.lock"],
        Backend::Postgres => &["segments", "tidegate.db.lock"],
    };
    assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
    assert_eq!(names.iter().any(|name| name == "tidegate.db"), backend == Backend::Sqlite, "{names:?}");
}
