//! Whatever is done to the files: what is served is what was offered, or nothing is.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::model::batch::Run;
use crate::model::record::NewRecord;
use crate::model::record::Value;
use crate::model::topic::TopicId;

const INCARNATION: u64 = 0xfeed_f00d;
const HERE: PartitionId = PartitionId { topic: TopicId(7), partition: 3 };
const MIB: u64 = 1 << 20;

fn batch(partition: PartitionId, base_offset: u64, count: u32, bytes: usize) -> RecordBatch {
    let mut run = Run::new(partition, 0);
    for at in 0..count {
        let value: Vec<u8> = (0..bytes).map(|i| (i as u64 + base_offset + u64::from(at)) as u8).collect();
        let value = Value::Bytes(value.into());
        run.push(&NewRecord { topic: 0, partition: None, key: None, value, headers: vec![], timestamp: None }, 1000);
    }
    RecordBatch::seal(partition, base_offset, std::iter::once(&run))
}

/// Batches of a partition from offset 0 on.
fn log(partition: PartitionId, sizes: &[(u32, usize)]) -> Vec<RecordBatch> {
    let mut next = 0;
    let place = |(count, bytes): &(u32, usize)| {
        let batch = batch(partition, next, *count, *bytes);
        next = batch.next_offset();
        batch
    };
    sizes.iter().map(place).collect()
}

fn small_log(partition: PartitionId) -> Vec<RecordBatch> {
    log(partition, &[(2, 5), (1, 9), (3, 1)])
}

fn open(dir: &Path, bytes_max: u64) -> SegmentCache {
    SegmentCache::open(Options { dir: dir.join("segments"), bytes_max, min_free_bytes: 0 })
}

fn names(dir: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> =
        fs::read_dir(dir.join("segments")).expect("listed").map(|entry| entry.expect("entry").path()).collect();
    names.sort();
    names
}

/// The only file, filled with a small log.
fn one_file(dir: &Path) -> (PathBuf, Vec<RecordBatch>) {
    let log = small_log(HERE);
    open(dir, MIB).admit(HERE, INCARNATION, &log);
    let names = names(dir);
    assert_eq!(names.len(), 1);
    (names[0].clone(), log)
}

/// Reads at every offset; returns how many of them were here. What is here must be right.
fn read_everywhere(cache: &SegmentCache, log: &[RecordBatch]) -> usize {
    let (first, last) = (&log[0], &log[log.len() - 1]);
    assert_eq!(cache.read(first.partition, INCARNATION, last.next_offset(), 1000), None);
    let reads = (first.base_offset..last.next_offset()).map(|from| {
        let Some(read) = cache.read(first.partition, INCARNATION, from, 1000) else { return 0 };
        let at = log.partition_point(|batch| batch.next_offset() <= from);
        assert!(!read.is_empty());
        assert_eq!(read, log[at..at + read.len()]);
        1
    });
    reads.sum()
}

#[test]
fn what_is_admitted_is_read_and_found_again() {
    let dir = TempDir::new().expect("dir");
    let log = log(HERE, &[(3, 100), (1, 0), (500, 90), (2, 70_000), (1, 300_000), (40, 10)]);
    let cache = open(dir.path(), 64 * MIB);
    assert_eq!(cache.read(HERE, INCARNATION, 0, 1000), None);
    cache.admit(HERE, INCARNATION, &log[..2]);
    cache.admit(HERE, INCARNATION, &log[1..4]);
    cache.admit(HERE, INCARNATION, &log[4..]);
    assert_eq!(names(dir.path()).len(), 1, "runs that follow each other lengthen one file");
    let again = open(dir.path(), 64 * MIB);
    for cache in [&cache, &again] {
        assert_eq!(read_everywhere(cache, &log), 547);
        assert_eq!(cache.read(HERE, INCARNATION, 4, usize::MAX).as_deref(), Some(&log[2..]));
        assert_eq!(cache.read(HERE, INCARNATION, 0, 0).as_deref(), Some(&log[..1]), "at least one batch");
        assert_eq!(cache.read(HERE, INCARNATION + 1, 0, 1000), None);
        assert_eq!(cache.read(PartitionId { partition: 4, ..HERE }, INCARNATION, 0, 1000), None);
    }
    again.admit(HERE, INCARNATION, &[batch(HERE, 547, 1, 1)]);
    assert_eq!(again.read(HERE, INCARNATION, 547, 1000).map(|batches| batches.len()), Some(1));
    assert_eq!(names(dir.path()).len(), 1, "a file of an earlier run is lengthened too");
    assert_eq!((cache.stats().damaged, again.stats().damaged), (0, 0));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("segments")), 0o700);
    assert_eq!(mode(&names(dir.path())[0]), 0o600);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Runs in any order, with restarts between, over a cache too small for all of them.
    #[test]
    fn any_offers_are_answered_right_and_never_overlap(
        sizes in prop::collection::vec((1..6u32, 0..4000usize), 1..30),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 1..8usize, any::<bool>()), 1..30),
        large: bool,
    ) {
        let dir = TempDir::new().expect("dir");
        let log = log(HERE, &sizes);
        let bytes_max = if large { 8 * MIB } else { 128 << 10 };
        let mut cache = open(dir.path(), bytes_max);
        for (at, count, restart) in steps {
            let at = at.index(log.len());
            let run = &log[at..(at + count).min(log.len())];
            cache.admit(HERE, INCARNATION, run);
            if large {
                let read = cache.read(HERE, INCARNATION, run[0].base_offset, 1).expect("just admitted");
                prop_assert_eq!(&read[..], &run[..1]);
            }
            prop_assert!(cache.stats().bytes <= bytes_max);
            if restart {
                cache = open(dir.path(), bytes_max);
            }
        }
        read_everywhere(&cache, &log);
        let stats = cache.stats();
        prop_assert_eq!(stats.damaged, 0);
        let on_disk: u64 = names(dir.path()).iter().map(|path| fs::metadata(path).expect("there").len()).sum();
        let all: u64 = log.iter().map(frame_bytes).sum();
        prop_assert!(on_disk <= all + 32 * stats.files, "nothing is kept twice");
        prop_assert_eq!(names(dir.path()).len() as u64, stats.files);
    }

    #[test]
    fn any_bytes_in_a_file_are_answered_right(
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let dir = TempDir::new().expect("dir");
        let (path, log) = one_file(dir.path());
        let mut bytes = fs::read(&path).expect("read");
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        bytes.splice(from.min(to)..from.max(to), garbage);
        mutilate(dir.path(), &path, &log, |path| fs::write(path, &bytes).expect("written"));
    }
}

/// Does harm to the file of a cache that has not looked into it, and of one that has, and reads everywhere.
fn mutilate(dir: &Path, path: &Path, log: &[RecordBatch], harm: impl Fn(&Path)) -> usize {
    let good = fs::read(path).expect("read");
    let mut seen = 0;
    for knows in [false, true] {
        let cache = open(dir, MIB);
        if knows {
            assert_eq!(read_everywhere(&cache, log), 6);
        }
        harm(path);
        let here = read_everywhere(&cache, log);
        assert!(here == 6 || cache.stats().damaged <= 1);
        seen += usize::from(cache.stats().damaged == 1);
        // The cache goes on as if nothing had been, whatever was there.
        cache.admit(HERE, INCARNATION, log);
        assert_eq!(read_everywhere(&cache, log), 6);
        fs::remove_file(path).expect("a file again");
        fs::write(path, &good).expect("restored");
    }
    seen
}

#[test]
fn every_truncation_is_seen() {
    let dir = TempDir::new().expect("dir");
    let (path, log) = one_file(dir.path());
    let good = fs::read(&path).expect("read");
    for length in 0..good.len() {
        let seen = mutilate(dir.path(), &path, &log, |path| {
            fs::File::options().write(true).open(path).expect("opened").set_len(length as u64).expect("cut");
        });
        assert!(seen >= 1, "a cache that knew the file misses what was cut at {length}");
        // A torn tail is no damage after a restart: the file ends before it.
        let first = 32 + 20 + log[0].bytes().len();
        assert_eq!(seen == 2, length < first, "cut at {length}");
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    let dir = TempDir::new().expect("dir");
    let (path, log) = one_file(dir.path());
    let good = fs::read(&path).expect("read");
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let seen = mutilate(dir.path(), &path, &log, |path| fs::write(path, &bytes).expect("written"));
        assert!(seen >= 1, "bit {bit}");
    }
}

#[test]
fn what_is_added_or_zeroed_does_no_harm() {
    let dir = TempDir::new().expect("dir");
    let (path, log) = one_file(dir.path());
    let good = fs::read(&path).expect("read");
    for tail in [&b"x"[..], &[0; 100], &good, &good[32..], &[0xff; 5000]] {
        mutilate(dir.path(), &path, &log, |path| fs::write(path, [&good, tail].concat()).expect("written"));
    }
    for at in 0..good.len() {
        let mut zeroed = good.clone();
        zeroed[at..].fill(0);
        mutilate(dir.path(), &path, &log, |path| fs::write(path, &zeroed).expect("written"));
    }
    // A frame, or a batch, in the place of another one of the same shape.
    let twins = self::log(HERE, &[(2, 8), (2, 8), (2, 8)]);
    let frame = twins[0].bytes().len() + 20;
    let id = SegmentId { incarnation: INCARNATION, partition: HERE.partition, base_offset: 0 };
    fs::remove_file(&path).expect("removed");
    open(dir.path(), MIB).admit(HERE, INCARNATION, &twins);
    let file = dir.path().join("segments").join(id.to_string());
    let good = fs::read(&file).expect("read");
    for skip in [0, 20] {
        mutilate(dir.path(), &file, &twins, |path| {
            let mut bytes = good.clone();
            bytes.copy_within(32 + skip..32 + frame, 32 + frame + skip);
            fs::write(path, bytes).expect("written");
        });
    }
}

#[test]
fn what_is_put_in_place_of_a_file_is_not_followed_nor_waited_for() {
    let dir = TempDir::new().expect("dir");
    let (path, log) = one_file(dir.path());
    let elsewhere = dir.path().join("elsewhere");
    fs::copy(&path, &elsewhere).expect("copied");
    let untouched = fs::read(&elsewhere).expect("read");
    let replace: [&dyn Fn(&Path); 6] = [
        &|path| fs::create_dir(path).expect("made"),
        &|path| assert!(Command::new("mkfifo").arg(path).status().expect("run").success()),
        &|path| symlink(&elsewhere, path).expect("linked"),
        &|path| symlink("/etc/passwd", path).expect("linked"),
        &|path| symlink("/dev/zero", path).expect("linked"),
        &|_| {},
    ];
    for replace in replace {
        let seen = mutilate(dir.path(), &path, &log, |path| {
            fs::remove_file(path).expect("removed");
            replace(path);
        });
        assert_eq!(seen, 2);
    }
    mutilate(dir.path(), &path, &log, |path| {
        fs::set_permissions(path, Permissions::from_mode(0o0)).expect("set");
    });
    // A second name of the file: it may be read, but is not written to.
    let cache = open(dir.path(), MIB);
    assert_eq!(read_everywhere(&cache, &log), 6);
    fs::remove_file(&path).expect("removed");
    fs::hard_link(&elsewhere, &path).expect("linked");
    cache.admit(HERE, INCARNATION, &[batch(HERE, 6, 1, 1)]);
    assert_eq!(fs::read(&elsewhere).expect("read"), untouched);
}

#[test]
fn swapped_and_renamed_files_are_not_believed() {
    let dir = TempDir::new().expect("dir");
    let there = PartitionId { partition: 4, ..HERE };
    let places = [(HERE, INCARNATION), (there, INCARNATION), (HERE, INCARNATION + 1)];
    // The same shape everywhere, so that only the checksums can tell.
    let logs = places.map(|(partition, incarnation)| {
        let log = log(partition, &[(2, 5), (1, 9), (3, 1)]);
        if incarnation == INCARNATION { log } else { self::log(partition, &[(2, 5), (1, 8), (3, 2)]) }
    });
    let fill = |cache: &SegmentCache| {
        for ((partition, incarnation), log) in places.iter().zip(&logs) {
            cache.admit(*partition, *incarnation, log);
        }
    };
    for knows in [false, true] {
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            fill(&open(dir.path(), MIB));
            let cache = open(dir.path(), MIB);
            let read = |at: usize| cache.read(places[at].0, places[at].1, 1, 1000);
            if knows {
                (0..3).for_each(|at| assert_eq!(read(at).as_deref(), Some(&logs[at][..])));
            }
            let name = |at: usize| {
                let id = SegmentId { incarnation: places[at].1, partition: places[at].0.partition, base_offset: 0 };
                dir.path().join("segments").join(id.to_string())
            };
            let (of_a, of_b) = (fs::read(name(a)).expect("read"), fs::read(name(b)).expect("read"));
            fs::write(name(a), of_b).expect("written");
            fs::write(name(b), of_a).expect("written");
            assert_eq!((read(a), read(b)), (None, None));
            let other = 3 - a - b;
            assert_eq!(read(other).as_deref(), Some(&logs[other][..]));
            assert_eq!(cache.stats().damaged, 2);
        }
    }
    // Another base in the name.
    fill(&open(dir.path(), MIB));
    let path = names(dir.path())[0].clone();
    let name = path.to_str().expect("text").replace("-00000000000000000000.", "-00000000000000000002.");
    fs::rename(&path, name).expect("renamed");
    let cache = open(dir.path(), MIB);
    assert_eq!(cache.read(HERE, INCARNATION, 2, 1000), None);
}

#[test]
fn the_directory_may_go_at_any_time() {
    let dir = TempDir::new().expect("dir");
    let log = small_log(HERE);
    let cache = open(dir.path(), MIB);
    cache.admit(HERE, INCARNATION, &log[..2]);
    fs::remove_dir_all(dir.path().join("segments")).expect("removed");
    assert_eq!(read_everywhere(&cache, &log), 0);
    cache.admit(HERE, INCARNATION, &log);
    assert_eq!(read_everywhere(&cache, &log), 6, "it is made anew");
    fs::remove_dir_all(dir.path().join("segments")).expect("removed");
    cache.admit(HERE, INCARNATION, &[batch(HERE, 6, 1, 1)]);
    cache.admit(HERE, INCARNATION, &log);
    assert_eq!(read_everywhere(&cache, &log), 6);
}

#[test]
fn a_directory_that_cannot_be_used_turns_the_cache_off() {
    let dir = TempDir::new().expect("dir");
    let log = small_log(HERE);
    let place = dir.path().join("segments");
    let check = |why: &str| {
        let cache = open(dir.path(), MIB);
        cache.admit(HERE, INCARNATION, &log);
        cache.forget_topic(INCARNATION);
        cache.make_way();
        assert_eq!(read_everywhere(&cache, &log), 0, "{why}");
        assert_eq!(cache.stats(), Stats::default(), "{why}");
    };
    fs::write(&place, b"mine").expect("written");
    check("a file");
    assert_eq!(fs::read(&place).expect("read"), b"mine");
    fs::remove_file(&place).expect("removed");
    fs::create_dir(dir.path().join("other")).expect("made");
    symlink(dir.path().join("other"), &place).expect("linked");
    check("a link");
    let nowhere = SegmentCache::open(Options { dir: dir.path().join("a/b"), bytes_max: MIB, min_free_bytes: 0 });
    nowhere.admit(HERE, INCARNATION, &log);
    assert_eq!(read_everywhere(&nowhere, &log), 0);
}

#[test]
fn off_leaves_nothing_behind_and_touches_nothing_else() {
    let dir = TempDir::new().expect("dir");
    let (path, log) = one_file(dir.path());
    let half = PathBuf::from(format!("{}.tmp", path.display()));
    let foreign = dir.path().join("segments/notes.txt");
    fs::write(&half, b"half").expect("written");
    fs::write(&foreign, b"notes").expect("written");
    open(dir.path(), MIB);
    assert!(path.exists() && !half.exists() && foreign.exists());
    let off = open(dir.path(), 0);
    assert!(!path.exists() && foreign.exists());
    off.admit(HERE, INCARNATION, &log);
    assert_eq!(read_everywhere(&off, &log), 0);
    assert_eq!(off.stats(), Stats::default());
}

#[test]
fn the_budget_holds_and_the_least_recently_read_go_first() {
    let dir = TempDir::new().expect("dir");
    let bytes_max = 512 << 10;
    let cache = open(dir.path(), bytes_max);
    let partition = |partition| PartitionId { partition, ..HERE };
    for n in 0..40 {
        cache.admit(partition(n), INCARNATION, &[batch(partition(n), 0, 1, 80_000)]);
        assert!(cache.read(partition(0), INCARNATION, 0, 1).is_some(), "what is read stays");
        assert!(cache.read(partition(n), INCARNATION, 0, 1).is_some());
        assert!(cache.stats().bytes <= bytes_max);
    }
    let stats = cache.stats();
    assert_eq!((stats.files, stats.evicted, stats.damaged), (6, 34, 0));
    assert_eq!(names(dir.path()).len(), 6);
    assert_eq!(cache.read(partition(1), INCARNATION, 0, 1), None);
    let smaller = open(dir.path(), 200 << 10);
    assert_eq!((smaller.stats().files, names(dir.path()).len()), (2, 2));
    smaller.admit(HERE, INCARNATION, &[batch(HERE, 0, 1, 300_000)]);
    assert_eq!(smaller.stats().files, 2, "what can never fit throws nothing out");
}

#[test]
fn a_long_run_becomes_files_of_bounded_size_and_count() {
    let dir = TempDir::new().expect("dir");
    let log = log(HERE, &[(1, 10_000); 40]);
    let cache = open(dir.path(), MIB);
    cache.admit(HERE, INCARNATION, &log);
    assert_eq!(read_everywhere(&cache, &log), 40);
    assert_eq!(cache.stats().files, 6);
    assert!(names(dir.path()).iter().all(|path| fs::metadata(path).expect("there").len() < 80_000));
    for n in 0..60 {
        let there = PartitionId { partition: 100 + n, ..HERE };
        cache.admit(there, INCARNATION, &small_log(there));
    }
    assert!(cache.stats().files <= 16);
}

#[test]
fn a_full_disk_costs_the_oldest_and_a_pause() {
    let dir = TempDir::new().expect("dir");
    let log = small_log(HERE);
    let mut cache = open(dir.path(), MIB);
    for n in 0..8 {
        let there = PartitionId { partition: 100 + n, ..HERE };
        cache.admit(there, INCARNATION, &small_log(there));
    }
    cache.min_free_bytes = u64::MAX;
    cache.admit(HERE, INCARNATION, &log);
    assert_eq!(cache.stats().files, 6);
    cache.min_free_bytes = 0;
    cache.admit(HERE, INCARNATION, &log);
    assert_eq!(read_everywhere(&cache, &log), 0, "nothing is written in the pause");
    cache.make_way();
    assert_eq!(cache.stats().files, 6);
    cache.min_free_bytes = u64::MAX;
    (0..8).for_each(|_| cache.make_way());
    assert_eq!((cache.stats().files, cache.stats().bytes, names(dir.path()).len()), (0, 0, 0));
}

#[test]
fn forgetting_takes_what_it_says_and_no_more() {
    let dir = TempDir::new().expect("dir");
    let log = log(HERE, &[(1, 40_000); 8]);
    for knows in [true, false] {
        let mut cache = open(dir.path(), 2 * MIB);
        cache.admit(HERE, INCARNATION, &log);
        cache.admit(HERE, INCARNATION + 1, &log);
        // Files: 0..4, 4..8 of each topic.
        assert_eq!(cache.stats().files, 4);
        if !knows {
            cache = open(dir.path(), 2 * MIB);
        }
        cache.forget_below(HERE, INCARNATION, 3);
        assert_eq!(cache.stats().files, 4);
        cache.forget_below(HERE, INCARNATION, 4);
        assert_eq!(read_everywhere(&cache, &log), 4);
        cache.forget_beyond(HERE, INCARNATION, 8);
        assert_eq!(read_everywhere(&cache, &log), 4);
        cache.forget_beyond(HERE, INCARNATION + 1, 7);
        assert_eq!(cache.read(HERE, INCARNATION + 1, 4, 1), None);
        assert!(cache.read(HERE, INCARNATION + 1, 3, 1).is_some());
        cache.forget_beyond(HERE, INCARNATION + 1, 0);
        assert_eq!(cache.read(HERE, INCARNATION + 1, 3, 1), None);
        cache.forget_topic(INCARNATION);
        assert_eq!((cache.stats().files, names(dir.path()).len()), (0, 0));
        assert_eq!(cache.stats().damaged, 0);
    }
}

#[test]
fn a_fill_that_was_forgotten_or_is_under_way_elsewhere_is_not_kept() {
    let dir = TempDir::new().expect("dir");
    let cache = open(dir.path(), MIB);
    let bounds = cache.bounds.expect("on");
    let log = small_log(HERE);
    let from = SegmentId { incarnation: INCARNATION, partition: HERE.partition, base_offset: 0 };
    let Plan::Write(write) = cache.index().plan(from, &log, bounds) else { panic!("a place") };
    cache.admit(HERE, INCARNATION, &log[1..]);
    assert_eq!(cache.stats().files, 0, "another is at it");
    cache.forget_topic(INCARNATION);
    assert!(!cache.fill(from, &log, &write));
    assert_eq!((cache.stats().files, names(dir.path()).len()), (0, 0));
    cache.admit(HERE, INCARNATION, &log);
    assert_eq!(read_everywhere(&cache, &log), 6);
}

#[test]
fn a_run_that_is_none_is_declined() {
    let dir = TempDir::new().expect("dir");
    let cache = open(dir.path(), MIB);
    let log = small_log(HERE);
    cache.admit(HERE, INCARNATION, &[]);
    cache.admit(HERE, INCARNATION, &[log[0].clone(), log[2].clone()]);
    cache.admit(PartitionId { partition: 9, ..HERE }, INCARNATION, &log);
    assert_eq!(cache.stats().files, 0);
}

/// Readers, fillers, and someone who breaks things, all at once.
#[test]
fn answers_stay_right_under_torture() {
    let dir = TempDir::new().expect("dir");
    let log = log(HERE, &[(3, 3000); 60]);
    let cache = open(dir.path(), 300 << 10);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..15 {
                    for at in (0..log.len()).step_by(4) {
                        let from = log[at].base_offset + 1;
                        match cache.read(HERE, INCARNATION, from, 40_000) {
                            Some(read) => assert_eq!(read, log[at..at + read.len()]),
                            None => cache.admit(HERE, INCARNATION, &log[at..(at + 6).min(log.len())]),
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            for round in 0..200 {
                for (n, path) in names(dir.path()).into_iter().enumerate() {
                    match (round + n) % 5 {
                        0 => drop(fs::remove_file(path)),
                        1 => drop(fs::write(path, b"garbage")),
                        2 => drop(fs::read(&path).and_then(|bytes| fs::write(&path, &bytes[..bytes.len() / 2]))),
                        3 => drop(fs::set_permissions(path, Permissions::from_mode(0o0))),
                        _ => {}
                    }
                }
                thread::yield_now();
            }
        });
    });
    assert!(cache.stats().bytes <= 300 << 10);
}
