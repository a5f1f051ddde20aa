//! What a cache may keep: only pages of history that are full and immutable.

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;

on_each_backend!(
    a_full_page_of_history_may_be_kept,
    everything_else_must_not_be_kept,
    an_etag_of_another_page_does_not_match,
    caching_can_be_turned_off,
);

/// A topic of one partition with ten records, and a cursor that is at its second.
async fn history(gateway: &Gateway) -> (Topic, String) {
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..10).await;
    let cursor = topic.read("max_records=2").await.cursor;
    (topic, cursor)
}

async fn a_full_page_of_history_may_be_kept(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (topic, cursor) = history(&gateway).await;
    for format in ["json", "ndjson", "values"] {
        let query = format!("cursor={cursor}&max_records=3&format={format}");
        let page = topic.try_read(&query).await.is(200);
        assert_eq!(page.header("cache-control"), Some("public, max-age=3600, immutable"), "{format}");
        let etag = page.header("etag").expect("an immutable page has a tag").to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");

        let call = gateway.get(&topic.path(&format!("/records?{query}")));
        let same = call.header("if-none-match", &etag).send().await.is(304);
        assert!(same.body.is_empty() && same.header("etag") == Some(&etag));
        let call = gateway.get(&topic.path(&format!("/records?{query}")));
        let other = call.header("if-none-match", "\"other\"").send().await.is(200);
        assert_eq!(other.body, page.body);
        topic.count(0, 0..1).await;
        assert_eq!(topic.try_read(&query).await.is(200).body, page.body, "it does not change when records come");
    }
    let by_accept = topic.try_read(&format!("cursor={cursor}&max_records=3")).await.is(200);
    assert_eq!(by_accept.header("cache-control"), Some("private, max-age=3600, immutable"));
}

async fn everything_else_must_not_be_kept(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (topic, cursor) = history(&gateway).await;
    let wide = gateway.topic("wide", 2).await;
    wide.count(0, 0..10).await;
    let of_two = wide.read("max_records=2").await.cursor;
    for path in [
        topic.path("/records?max_records=3"),
        topic.path("/records?from=earliest&max_records=3&format=json"),
        topic.path(&format!("/records?cursor={cursor}&format=json")),
        topic.path(&format!("/records?cursor={cursor}&max_records=8&format=json")),
        topic.path(&format!("/records?cursor={cursor}&max_records=3&lag=true&format=json")),
        topic.path("/partitions/0/records?offset=2&max_records=3&format=json"),
        wide.path(&format!("/records?cursor={of_two}&max_records=3&format=json")),
        topic.path(""),
        "/v1/topics".to_owned(),
        topic.path("/records?cursor=damaged"),
    ] {
        let answer = gateway.get(&path).send().await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("etag"), None, "{path}");
    }
}

async fn an_etag_of_another_page_does_not_match(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (topic, cursor) = history(&gateway).await;
    let tag = async |query: String| {
        let page = topic.try_read(&format!("cursor={cursor}&{query}")).await.is(200);
        page.header("etag").expect("an immutable page has a tag").to_owned()
    };
    let tags = [
        tag("max_records=3&format=json".to_owned()).await,
        tag("max_records=4&format=json".to_owned()).await,
        tag("max_records=3&format=ndjson".to_owned()).await,
        tag("max_records=3&format=values".to_owned()).await,
    ];
    for (n, tag) in tags.iter().enumerate() {
        assert!(!tags[n + 1..].contains(tag), "{tags:?}");
    }
}

async fn caching_can_be_turned_off(backend: Backend) {
    let gateway = Gateway::with(backend, &["--cache-max-age-ms", "0"]).await;
    let (topic, cursor) = history(&gateway).await;
    let page = topic.try_read(&format!("cursor={cursor}&max_records=3&format=json")).await.is(200);
    assert_eq!((page.header("cache-control"), page.header("etag")), (Some("no-store"), None));
}
