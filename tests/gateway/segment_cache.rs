//! The segment cache is disposable: whatever happens to its files, answers stay equal to what was produced.

use std::fs;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;
use crate::harness::wait::eventually;

on_each_backend!(
    a_deleted_cache_changes_nothing,
    truncated_files_change_nothing,
    flipped_bits_change_nothing,
    swapped_files_change_nothing,
    strange_things_in_place_of_files_change_nothing,
    damage_under_load_changes_nothing,
    a_small_budget_is_kept_and_changes_nothing,
    a_topic_made_anew_never_shows_the_files_of_the_old_one,
);

const PARTITIONS: u32 = 2;
const VALUE_BYTES: usize = 20_000;
const BATCHES: u64 = 12;
const PER_BATCH: u64 = 50;

/// The value of the record at a place; values differ everywhere, so that swapped data is seen.
fn value_at(topic: &str, partition: u32, offset: u64) -> Value {
    let seed = format!("{topic}/{partition}/{offset};");
    json!(seed.repeat(VALUE_BYTES / seed.len()))
}

/// A topic of 24 MB whose every record says where it belongs.
async fn filled(gateway: &Gateway, name: &str) -> Topic {
    let topic = gateway.topic(name, PARTITIONS).await;
    for batch in 0..BATCHES {
        for partition in 0..PARTITIONS {
            let range = batch * PER_BATCH..(batch + 1) * PER_BATCH;
            let records: Vec<_> = range
                .map(|offset| json!({ "partition": partition, "value": value_at(name, partition, offset) }))
                .collect();
            topic.produce(&json!(records)).await;
        }
    }
    topic
}

/// Reads everything and compares it with what was produced; any refusal fails.
async fn assert_whole(topic: &Topic) {
    let mut next = [0; PARTITIONS as usize];
    for record in topic.read_all().await {
        let expected = &mut next[record.partition as usize];
        assert_eq!(record.offset, *expected, "partition {}", record.partition);
        let value = value_at(&topic.name, record.partition, record.offset).to_string();
        assert!(record.value() == value, "another value at {}/{}", record.partition, record.offset);
        *expected += 1;
    }
    assert_eq!(next, [BATCHES * PER_BATCH; PARTITIONS as usize]);
}

fn cache_dir(gateway: &Gateway) -> PathBuf {
    gateway.data_dir().join("segments")
}

/// All regular files below a directory; what vanishes meanwhile is left out.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn size_below(directory: &Path) -> u64 {
    let sizes = files_below(directory).into_iter().filter_map(|file| fs::metadata(file).ok());
    sizes.map(|metadata| metadata.len()).sum()
}

/// Waits until the cache has files, so that there is something to damage.
async fn cached_files(gateway: &Gateway) -> Vec<PathBuf> {
    eventually("files in the segment cache", async || {
        let files = files_below(&cache_dir(gateway));
        (!files.is_empty()).then_some(files)
    })
    .await
}

/// Damages the cache of a stopped gateway, then of a running one, and reads everything after each.
async fn survives(backend: Backend, damage: impl Fn(&[PathBuf])) {
    let mut gateway = Gateway::start(backend).await;
    let topic = filled(&gateway, "history").await;
    // Nothing is in memory after a restart: what is read now leaves its files.
    gateway.restart().await;
    assert_whole(&topic).await;
    cached_files(&gateway).await;
    gateway.stop().await;
    damage(&files_below(&cache_dir(&gateway)));
    gateway.start_again().await;
    assert_whole(&topic).await;
    assert_whole(&topic).await;

    damage(&cached_files(&gateway).await);
    assert_whole(&topic).await;
    assert_whole(&topic).await;
    gateway.kill9().await;
    gateway.start_again().await;
    assert_whole(&topic).await;
    let receipt = topic.produce(&json!([{ "partition": 0, "value": 1 }])).await;
    assert_eq!(receipt[0].offset, BATCHES * PER_BATCH);
}

async fn a_deleted_cache_changes_nothing(backend: Backend) {
    survives(backend, |files| {
        let segments = files[0].ancestors().find(|path| path.ends_with("segments")).expect("the cache's directory");
        fs::remove_dir_all(segments).expect("the directory is ours");
    })
    .await;
}

async fn truncated_files_change_nothing(backend: Backend) {
    survives(backend, |files| {
        for (n, path) in files.iter().enumerate() {
            let Ok(file) = OpenOptions::new().write(true).open(path) else { continue };
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            // To nothing, within the header, within a frame, and by one byte.
            let cut = [0, 5, length / 2, length.saturating_sub(1)][n % 4];
            file.set_len(cut).expect("the file is ours");
        }
    })
    .await;
}

async fn flipped_bits_change_nothing(backend: Backend) {
    survives(backend, |files| {
        for path in files {
            let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else { continue };
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            // One bit in the header, then one in every 50,000 bytes.
            for at in (0..length).step_by(50_000).chain([length.saturating_sub(1)]) {
                let mut byte = [0];
                if file.read_exact_at(&mut byte, at).is_ok() {
                    file.write_all_at(&[byte[0] ^ 1 << (at % 8)], at).expect("the file is ours");
                }
            }
        }
    })
    .await;
}

async fn swapped_files_change_nothing(backend: Backend) {
    survives(backend, |files| {
        // Each file gets the content of another, of the other partition as well.
        let contents: Vec<_> = files.iter().filter_map(|path| fs::read(path).ok()).collect();
        for (path, content) in files.iter().zip(contents.iter().cycle().skip(1)) {
            fs::write(path, content).ok();
        }
    })
    .await;
}

async fn strange_things_in_place_of_files_change_nothing(backend: Backend) {
    survives(backend, |files| {
        for (n, path) in files.iter().enumerate() {
            if n % 3 == 2 {
                // As root this forbids nothing; elsewhere the file cannot be opened.
                fs::set_permissions(path, fs::Permissions::from_mode(0o000)).ok();
                continue;
            }
            fs::remove_file(path).ok();
            if n % 3 == 0 {
                fs::create_dir(path).ok();
            } else {
                std::os::unix::fs::symlink("/dev/zero", path).ok();
            }
        }
    })
    .await;
}

async fn damage_under_load_changes_nothing(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = filled(&gateway, "history").await;
    gateway.restart().await;
    let busy = gateway.topic("busy", 1).await;
    let writing = tokio::spawn(async move {
        for n in 0..200 {
            busy.count(0, n..n + 1).await;
        }
        busy
    });
    for round in 0..12 {
        let reading = {
            let topic = Topic::named(&gateway.client().another(), "history");
            tokio::spawn(async move { assert_whole(&topic).await })
        };
        for (n, path) in files_below(&cache_dir(&gateway)).into_iter().enumerate() {
            match (round + n) % 4 {
                0 => drop(fs::remove_file(path)),
                1 => drop(fs::write(path, b"garbage")),
                2 => drop(OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(100))),
                _ => drop(OpenOptions::new().append(true).open(path).and_then(|file| file.write_at(b"x", 60))),
            }
        }
        if round % 4 == 3 {
            fs::remove_dir_all(cache_dir(&gateway)).ok();
        }
        reading.await.expect("the reader sees nothing of it");
    }
    let busy = writing.await.expect("the writer sees nothing of it");
    assert_eq!(busy.read_all().await.len(), 200);
    assert_whole(&topic).await;
}

async fn a_small_budget_is_kept_and_changes_nothing(backend: Backend) {
    const BUDGET: u64 = 2 << 20;
    let mut gateway = Gateway::with(backend, &["--segment-cache-bytes", &BUDGET.to_string()]).await;
    let (one, two) = (filled(&gateway, "one").await, filled(&gateway, "two").await);
    for topic in [&one, &two, &one] {
        assert_whole(topic).await;
    }
    gateway.restart().await;
    for topic in [&two, &one, &two] {
        assert_whole(topic).await;
    }
    // 72 MB were read through it.
    let room = BUDGET + (8 << 20);
    eventually("a cache within its budget and one segment", async || {
        (size_below(&cache_dir(&gateway)) <= room).then_some(())
    })
    .await;
}

async fn a_topic_made_anew_never_shows_the_files_of_the_old_one(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    let topic = filled(&gateway, "history").await;
    gateway.restart().await;
    assert_whole(&topic).await;
    let old: Vec<_> = cached_files(&gateway).await.into_iter().map(|path| (fs::read(&path), path)).collect();
    topic.delete().await;
    let topic = gateway.topic("history", PARTITIONS).await;
    let records: Vec<_> = (0..50).map(|n| json!({ "partition": 0, "value": n })).collect();
    topic.produce(&json!(records)).await;
    gateway.stop().await;
    // The worst that a restored backup of the directory could do: the old files are back, and in place of the new.
    let new = files_below(&cache_dir(&gateway));
    for (n, (content, path)) in old.into_iter().enumerate() {
        let content = content.expect("the file was there");
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("the directory is ours");
        fs::write(&path, &content).expect("the directory is ours");
        if let Some(new) = new.get(n) {
            fs::write(new, &content).expect("the directory is ours");
        }
    }
    gateway.start_again().await;
    let values: Vec<_> = topic.read_all().await.iter().map(|record| record.value().to_owned()).collect();
    assert_eq!(values, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}
