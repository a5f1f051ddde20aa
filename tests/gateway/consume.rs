//! Finite reads in JSON: how much, of which partitions and keys, in which format, and what is refused.

use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::assert_names;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::record::places;
use crate::harness::topic::Topic;
use crate::harness::topic::read;

on_each_backend!(
    a_topic_is_read_page_by_page_by_following_the_link,
    max_records_and_max_bytes_end_a_page,
    partitions_may_be_chosen,
    a_key_finds_its_records_and_no_others,
    a_search_that_finds_nothing_in_reach_says_that_it_is_not_at_the_tail,
    a_key_is_found_in_both_partitions_after_the_topic_grew,
    several_topics_are_read_at_once,
    lag_counts_what_is_left,
    a_missing_topic_is_404_unless_it_is_waited_for,
    the_format_is_taken_from_the_query_then_from_accept,
    what_nobody_accepts_is_406,
    parameters_of_another_mode_are_refused,
    an_unknown_parameter_is_named_beside_the_known_ones,
    an_offset_reads_one_partition_from_there,
    head_answers_at_once_with_the_headers_of_get,
);

async fn a_topic_is_read_page_by_page_by_following_the_link(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 3).await;
    for partition in 0..3 {
        topic.count(partition, 0..11).await;
    }
    let mut page = topic.read("max_records=4").await;
    let mut read_so_far = page.records.clone();
    while !page.at_tail {
        assert!(page.next.contains("max_records=4"), "{}", page.next);
        page = topic.read(page.next.trim_start_matches('?')).await;
        assert!(page.records.len() <= 4);
        read_so_far.extend(page.records.iter().cloned());
    }
    assert_eq!(read_so_far.len(), 33);
    for partition in 0..3 {
        let of_one = read_so_far.iter().filter(|record| record.partition == partition);
        assert_eq!(of_one.map(|record| record.offset).collect::<Vec<_>>(), (0..11).collect::<Vec<_>>());
    }
}

async fn max_records_and_max_bytes_end_a_page(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let value = json!("x".repeat(10_000));
    let records: Vec<_> = (0..600).map(|_| json!({ "value": value })).collect();
    topic.produce(&json!(records[..300])).await;
    topic.produce(&json!(records[300..])).await;

    assert_eq!(topic.read("max_records=7").await.offsets(), (0..7).collect::<Vec<_>>());
    assert_eq!(topic.read("max_bytes=1").await.offsets(), [0], "one at least, however large");
    let some = topic.read("max_bytes=100000").await;
    assert!((8..=10).contains(&some.records.len()) && !some.at_tail, "{} records", some.records.len());
    let usual = topic.read("").await.records.len();
    assert!((95..=105).contains(&usual), "1 MiB by default and not {usual} records");
    assert_eq!(topic.read("max_bytes=16777216").await.records.len(), 500, "500 records by default");
    let all = topic.read("max_bytes=16777216&max_records=600").await;
    assert!(all.records.len() == 600 && all.at_tail);
}

async fn partitions_may_be_chosen(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    for partition in 0..4 {
        topic.count(partition, 0..2).await;
    }
    let page = topic.read("partition=3&partition=1").await;
    let mut partitions: Vec<_> = page.records.iter().map(|record| record.partition).collect();
    partitions.sort_unstable();
    assert_eq!(partitions, [1, 1, 3, 3]);
    topic.try_read("partition=4").await.problem(404, "unknown_partition");
    for wrong in ["partition=-1", "partition=01", "partition=1.0", "partition=1e3", "partition=2147483648"] {
        topic.try_read(wrong).await.problem(400, "invalid_parameter");
    }
    let several = gateway.get("/v1/records?topic=orders&topic=others&partition=1").send().await;
    several.refusal(400);
}

async fn a_key_finds_its_records_and_no_others(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 4).await;
    let records: Vec<_> = (0..100).map(|n| json!({ "key": format!("k{}", n % 10), "value": n })).collect();
    topic.produce(&json!(records)).await;
    topic
        .produce(&json!([{ "value": "no key" }, { "key": "", "value": "empty" }, { "key_base64": "/w==", "value": 1 }]))
        .await;

    let found = topic.read("key=k3").await;
    assert_eq!(found.values(), ["3", "13", "23", "33", "43", "53", "63", "73", "83", "93"]);
    assert!(found.at_tail);
    let first = topic.read("key=k3&max_records=4").await;
    assert_eq!(first.values(), ["3", "13", "23", "33"]);
    let rest = topic.read(&format!("key=k3&cursor={}", first.cursor)).await;
    assert_eq!(rest.values(), ["43", "53", "63", "73", "83", "93"]);
    assert_eq!(topic.read("key=").await.values(), [r#""empty""#]);
    assert_eq!(topic.read("key_base64=_w%3D%3D").await.records.len(), 1);
    assert_eq!(topic.read("key_base64=%2Fw%3D%3D").await.records.len(), 1);
    assert_eq!(topic.read("key=nobody").await.records.len(), 0);

    let home = found.records[0].partition;
    topic.produce(&json!([{ "key": "k3", "partition": (home + 1) % 4, "value": "elsewhere" }])).await;
    let elsewhere = topic.read(&format!("key=k3&partition={}", (home + 1) % 4)).await;
    assert_eq!(elsewhere.values(), [r#""elsewhere""#], "with `partition` those named are searched");
}

async fn a_search_that_finds_nothing_in_reach_says_that_it_is_not_at_the_tail(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let noise = json!([{ "key": "noise", "value": "x".repeat(50_000) }]);
    for _ in 0..20 {
        topic.produce(&noise).await;
    }
    topic.produce(&json!([{ "key": "needle", "value": 1 }])).await;
    let mut page = topic.read("key=needle&max_bytes=200000").await;
    assert!(page.records.is_empty() && !page.at_tail, "a search has an end");
    let mut rounds = 1;
    while page.records.is_empty() {
        assert!(!page.at_tail && rounds < 30, "the search goes on");
        page = topic.read(&format!("key=needle&max_bytes=200000&cursor={}", page.cursor)).await;
        rounds += 1;
    }
    assert_eq!((page.offsets(), page.at_tail), (vec![20], true));
}

async fn a_key_is_found_in_both_partitions_after_the_topic_grew(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.produce(&json!([{ "key": "21", "value": 1 }, { "key": "foobar", "value": 1 }])).await;
    topic.grow_to(5).await;
    let moved = topic.produce(&json!([{ "key": "21", "value": 2 }, { "key": "foobar", "value": 2 }])).await;
    assert!(moved.iter().any(|receipt| receipt.partition != 0), "the test needs a key that moves");
    for key in ["21", "foobar"] {
        let page = topic.read(&format!("key={key}")).await;
        let mut values = page.values();
        values.sort_unstable();
        assert_eq!(values, ["1", "2"], "{key}");
    }
}

async fn several_topics_are_read_at_once(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let (a, b) = (gateway.topic("a", 2).await, gateway.topic("b", 1).await);
    gateway.topic("c", 1).await.count(0, 0..1).await;
    a.count(1, 0..3).await;
    b.count(0, 0..3).await;
    let page = read(&gateway, "/v1/records?topic=a&topic=b").await;
    let mut found = places(&page.records);
    found.sort();
    let place = |topic: &str, partition, offset| (topic.to_owned(), partition, offset);
    let expected =
        [place("a", 1, 0), place("a", 1, 1), place("a", 1, 2), place("b", 0, 0), place("b", 0, 1), place("b", 0, 2)];
    assert_eq!(found, expected);
    let next = read(&gateway, &format!("/v1/records{}", page.next)).await;
    assert!(page.next.contains("topic=a") && page.next.contains("topic=b") && next.records.is_empty());
    gateway.get("/v1/records").send().await.problem(400, "missing_parameter");
    gateway.get("/v1/records?topic=a&topic=none").send().await.problem(404, "unknown_topic");
    gateway.get("/v1/records?topic=a&topic=__b").send().await.problem(400, "invalid_name");
}

async fn lag_counts_what_is_left(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(0, 0..10).await;
    topic.count(1, 0..5).await;
    assert_eq!(topic.read("max_records=4&lag=true").await.lag, Some(11));
    assert_eq!(topic.read("lag=true").await.lag, Some(0));
    assert_eq!(topic.read("partition=1&from=-3&max_records=1&lag=true").await.lag, Some(2));
    assert_eq!(topic.read("").await.lag, None);
}

async fn a_missing_topic_is_404_unless_it_is_waited_for(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = Topic::named(&gateway, "later");
    topic.try_read("").await.problem(404, "unknown_topic");
    for from in ["earliest", "latest", "-1"] {
        let empty = topic.read(&format!("wait_for_topic=true&from={from}")).await;
        assert!(empty.records.is_empty());
        let name = format!("later-{from}").replace('-', "_");
        let other = Topic::named(&gateway, &name);
        let waited = other.read(&format!("wait_for_topic=true&from={from}")).await;
        gateway.topic(&name, 2).await.count(1, 0..2).await;
        let found = other.read(&format!("cursor={}", waited.cursor)).await;
        assert_eq!(found.values(), ["0", "1"], "every record it ever gets comes after the request, from={from}");
    }
    gateway.get("/v1/topics/later").send().await.problem(404, "unknown_topic");
}

async fn the_format_is_taken_from_the_query_then_from_accept(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..2).await;
    let (json, ndjson, sse) = ("application/json", "application/x-ndjson", "text/event-stream");
    for (query, accept, expected) in [
        ("", "*/*", json),
        ("", "application/*", json),
        ("", "application/x-ndjson, application/json", json),
        ("", "application/json;q=0.5, application/x-ndjson;q=0.9", ndjson),
        ("", "application/x-ndjson", ndjson),
        ("", "text/html, application/json;q=0.1", json),
        ("", "text/event-stream", sse),
        ("", "application/json;q=0, */*", ndjson),
        ("?format=json", "text/event-stream", json),
        ("?format=ndjson", "application/json", ndjson),
        ("?format=sse", "application/json", sse),
        ("?format=values", "application/json", ndjson),
    ] {
        let response = gateway.get(&topic.path(&format!("/records{query}"))).header("accept", accept).open().await;
        assert_eq!(response.status().as_u16(), 200, "{query} {accept}");
        let found = response.headers()["content-type"].to_str().expect("ASCII");
        assert!(found.starts_with(expected), "{query} {accept}: {found}");
        let vary = response.headers()["vary"].to_str().expect("ASCII").to_lowercase();
        assert!(vary.contains("accept") && vary.contains("origin"), "{vary}");
    }
}

async fn what_nobody_accepts_is_406(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for accept in ["text/html", "image/*", "text/*"] {
        let answer = gateway.get(&topic.path("/records")).header("accept", accept).send().await;
        let problem = answer.problem(406, "not_acceptable");
        assert_names(&problem, &["application/json", "application/x-ndjson", "text/event-stream"]);
    }
    let problem = topic.try_read("format=xml").await.problem(400, "invalid_parameter");
    assert_names(&problem, &["json", "ndjson", "values", "sse"]);
}

async fn parameters_of_another_mode_are_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for query in [
        "format=sse&max_records=1",
        "format=sse&max_bytes=1",
        "format=sse&wait_ms=1",
        "format=sse&lag=true",
        "format=sse&follow=true",
        "format=ndjson&follow=true&max_records=1",
        "format=ndjson&follow=true&wait_ms=1",
        "format=ndjson&lag=true",
        "format=json&follow=true",
        "format=json&last_event_id=x",
        "offset=0",
        "before_offset=0",
    ] {
        topic.try_read(query).await.refusal(400);
    }
}

async fn an_unknown_parameter_is_named_beside_the_known_ones(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let problem = topic.try_read("maxrecords=1").await.problem(400, "unknown_parameter");
    assert_names(&problem, &["maxrecords", "max_records", "wait_ms", "cursor", "from"]);
    for path in ["/v1/topics?prefx=a", "/v1/topics/orders?x=1", "/v1?x=1", "/v1/topics/orders/partitions/0?x=1"] {
        gateway.get(path).send().await.problem(400, "unknown_parameter");
    }
    gateway.delete("/v1/topics/orders?force=true").send().await.refused_write(400, "unknown_parameter");
}

async fn an_offset_reads_one_partition_from_there(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 2).await;
    topic.count(1, 0..5).await;
    let path = |query: &str| topic.path(&format!("/partitions/1/records?{query}"));
    assert_eq!(read(&gateway, &path("offset=3")).await.offsets(), [3, 4]);
    let end = read(&gateway, &path("offset=5")).await;
    assert!(end.records.is_empty() && end.at_tail);
    let beyond = gateway.get(&path("offset=6")).send().await;
    let problem = beyond.problem(416, "offset_out_of_range");
    let partition = json!({
        "topic": "orders", "partition": 1, "requested_offset": 6, "log_start_offset": 0, "high_watermark": 5,
    });
    assert_eq!(problem["partitions"], json!([partition]));
    assert_eq!((&problem["log_start_offset"], &problem["high_watermark"]), (&json!(0), &json!(5)));
    for wrong in ["offset=-1", "offset=1.5", "offset=9223372036854775808", "offset="] {
        gateway.get(&path(wrong)).send().await.problem(400, "invalid_parameter");
    }
    gateway.get(&topic.path("/partitions/2/records?offset=0")).send().await.problem(404, "unknown_partition");
}

async fn head_answers_at_once_with_the_headers_of_get(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..2).await;
    for query in ["", "?format=ndjson", "?from=latest&wait_ms=55000", "?format=sse", "?format=ndjson&follow=true"] {
        let path = topic.path(&format!("/records{query}"));
        let head = gateway.request("HEAD", &path).send().await.is(200);
        assert!(head.body.is_empty(), "{query}");
        assert!(head.header("content-type").is_some(), "{query}");
    }
    let head = gateway.request("HEAD", &topic.path("/records")).send().await.is(200);
    let get = gateway.get(&topic.path("/records")).send().await.is(200);
    for name in ["content-type", "tidegate-cursor", "tidegate-at-tail", "link", "cache-control"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}
