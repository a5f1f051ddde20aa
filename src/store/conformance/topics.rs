//! Topics: made once, listed by name, changed, deleted, made anew.

use crate::model::topic::Retention;
use crate::model::topic::TopicConfig;
use crate::model::topic::TopicId;
use crate::store::conformance::bench::Bench;
use crate::store::conformance::bench::run;
use crate::store::conformance::bench::write;
use crate::store::contract::Configuration;
use crate::store::contract::Creation;
use crate::store::error::StoreError;

fn config(partition_count: u32) -> TopicConfig {
    TopicConfig { partition_count, retention: Retention { ms: None, bytes: Some(7) } }
}

pub(in crate::store) async fn creating_twice_finds_the_first(bench: Bench) {
    let name = "clicks".parse().expect("a name");
    let Creation::Created(first) = bench.create_topic(&name, config(3)).await.expect("asked") else { panic!("is new") };
    assert_eq!((first.name.as_str(), first.config), ("clicks", config(3)));
    assert_ne!(first.incarnation, 0);
    let again = bench.create_topic(&name, TopicConfig { partition_count: 9, ..config(9) }).await.expect("asked");
    assert_eq!(again, Creation::Exists(first.clone()));
    assert_eq!(bench.store.topic(&name).await.expect("asked"), Some(first));
    assert_eq!(bench.store.topic(&"other".parse().expect("a name")).await.expect("asked"), None);
}

pub(in crate::store) async fn partitions_of_all_topics_are_bounded(mut bench: Bench) {
    let big = bench.topic("big", 990).await;
    let name = "more".parse().expect("a name");
    let create = async |bench: &Bench, count| bench.create_topic(&name, config(count)).await.expect("asked");
    assert_eq!(create(&bench, 11).await, Creation::TooManyPartitions);
    assert_eq!(bench.store.topic(&name).await.expect("asked"), None);
    let Creation::Created(more) = create(&bench, 10).await else { panic!("just fits") };
    let grown = bench.configure_topic(more.id, config(11)).await.expect("asked");
    assert_eq!(grown, Configuration::TooManyPartitions);
    // The count is found again, and what a deletion frees can be taken.
    bench.reopen().await;
    assert_eq!(bench.configure_topic(more.id, config(11)).await.expect("asked"), Configuration::TooManyPartitions);
    assert!(bench.delete_topic(big.id).await.expect("asked"));
    assert!(matches!(bench.configure_topic(more.id, config(1000)).await, Ok(Configuration::Changed(_))));
    // At the bound, other settings still change.
    let retention = Retention { ms: Some(5), bytes: None };
    let changed = bench.configure_topic(more.id, TopicConfig { partition_count: 1000, retention }).await;
    assert!(matches!(changed, Ok(Configuration::Changed(topic)) if topic.config.retention == retention));
}

async fn listed(bench: &Bench, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let topics = bench.topics(prefix, after, limit).await.expect("listed");
    topics.iter().map(|topic| topic.name.to_string()).collect()
}

pub(in crate::store) async fn lists_take_prefixes_literally(bench: Bench) {
    for name in ["a_b", "axb", "a.b", "a-b", "A_b", "b", "a", "ab"] {
        bench.topic(name, 1).await;
    }
    assert_eq!(listed(&bench, "", None, 99).await, ["A_b", "a", "a-b", "a.b", "a_b", "ab", "axb", "b"]);
    assert_eq!(listed(&bench, "a", None, 99).await, ["a", "a-b", "a.b", "a_b", "ab", "axb"]);
    assert_eq!(listed(&bench, "a_", None, 99).await, ["a_b"]);
    assert_eq!(listed(&bench, "a.", None, 99).await, ["a.b"]);
    assert_eq!(listed(&bench, "a-", None, 99).await, ["a-b"]);
    for none in ["%", "a%", "a*", "a_b_", "~", "ä", "'"] {
        assert!(listed(&bench, none, None, 99).await.is_empty(), "{none}");
    }
}

pub(in crate::store) async fn lists_come_in_pages(bench: Bench) {
    let mut names: Vec<String> = (0..25).map(|i| format!("t{i}")).collect();
    for name in &names {
        bench.topic(name, 1).await;
    }
    bench.topic("u", 1).await;
    names.sort();
    let mut seen: Vec<String> = Vec::new();
    loop {
        let page = listed(&bench, "t", seen.last().map(String::as_str), 7).await;
        assert!(page.len() <= 7);
        let Some(_) = page.last() else { break };
        seen.extend(page);
    }
    assert_eq!(seen, names);
    assert!(listed(&bench, "t", None, 0).await.is_empty());
    assert_eq!(listed(&bench, "t2", Some("t"), 2).await, ["t2", "t20"], "`after` need not be in the list");
}

pub(in crate::store) async fn settings_change_and_partitions_only_grow(bench: Bench) {
    let topic = bench.topic("grows", 2).await;
    assert_eq!(bench.bounds(topic.partition(2)).await.expect("asked"), None);
    let Configuration::Changed(changed) = bench.configure_topic(topic.id, config(4)).await.expect("asked") else {
        panic!("it grows");
    };
    assert_eq!((changed.id, changed.incarnation, changed.config), (topic.id, topic.incarnation, config(4)));
    assert_eq!(bench.store.topic(&topic.name).await.expect("asked"), Some(changed.clone()));
    assert_eq!(bench.topic_by_id(topic.id).await.expect("asked"), Some(changed.clone()));
    assert_eq!(bench.topic_by_id(TopicId(99)).await.expect("asked"), None);
    assert_eq!(changed.former_partition_counts, [2]);
    assert_eq!(bench.put(topic.partition(3), &["a"]).await, 0);
    let shrunk = bench.configure_topic(topic.id, config(3)).await.expect("asked");
    assert_eq!(shrunk, Configuration::Shrinks(changed));
    assert_eq!(bench.configure_topic(TopicId(99), config(3)).await.expect("asked"), Configuration::Unknown);
}

pub(in crate::store) async fn a_deleted_topic_is_unknown_and_its_name_free(mut bench: Bench) {
    let old = bench.topic("again", 1).await;
    bench.put(old.partition(0), &["a", "b"]).await;
    assert!(bench.delete_topic(old.id).await.expect("asked"));
    assert!(!bench.delete_topic(old.id).await.expect("asked"), "only once");
    assert!(!bench.delete_topic(TopicId(99)).await.expect("asked"));
    assert_eq!(bench.store.topic(&old.name).await.expect("asked"), None);
    assert_eq!(bench.topic_by_id(old.id).await.expect("asked"), None);
    assert!(listed(&bench, "", None, 9).await.is_empty());
    assert_eq!(bench.bounds(old.partition(0)).await.expect("asked"), None);
    assert_eq!(bench.advance_start(old.partition(0), 1).await.expect("asked"), 0);
    assert_eq!(bench.seek_time(old.partition(0), 0).await.expect("asked"), None);
    assert_eq!(bench.configure_topic(old.id, config(2)).await.expect("asked"), Configuration::Unknown);
    let new = bench.topic("again", 1).await;
    assert_ne!((new.id, new.incarnation), (old.id, old.incarnation));
    assert_ne!(new.id, old.id);
    assert_ne!(new.incarnation, old.incarnation);
    assert_eq!(bench.span(new.partition(0)).await, (0, 0));
    assert_eq!(bench.put(new.partition(0), &["c"]).await, 0);
    // The row's number is not used again either, whatever was purged.
    assert!(bench.delete_topic(new.id).await.expect("asked"));
    while bench.purge_deleted_topics(1 << 20).await.expect("purged") {}
    bench.reopen().await;
    let newest = bench.topic("again", 1).await;
    assert!(newest.id > new.id);
}

pub(in crate::store) async fn topics_survive_a_reopen(mut bench: Bench) {
    let a = bench.topic("a", 3).await;
    let b = bench.topic("b", 1).await;
    bench.delete_topic(b.id).await.expect("asked");
    bench.reopen().await;
    assert_eq!(bench.topics("", None, 9).await.expect("listed"), [a]);
}

pub(in crate::store) async fn a_closed_store_answers_with_an_error(bench: Bench) {
    let topic = bench.topic("a", 1).await;
    bench.ping().await.expect("open");
    bench.close().await;
    assert!(matches!(bench.ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(bench.store.topic(&topic.name).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(bench.delete_topic(topic.id).await, Err(StoreError::Unavailable(_))));
    let late = bench.append(vec![write([run(topic.partition(0), &["late"])])]).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))));
    bench.run_upkeep().await;
    bench.close().await;
}
