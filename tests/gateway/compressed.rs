//! Bodies that come packed, and answers that are wanted so.

use std::io::Read;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::read::GzEncoder;
use futures_util::future::join_all;
use reqwest::Body;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::client::assert_names;
use crate::harness::gateway::Gateway;
use crate::harness::on_sqlite;
use crate::harness::topic::Topic;

on_sqlite!("what is packed is unpacked before it is known what it asks for":
    every_way_to_produce_takes_packed_bodies,
    what_is_not_what_it_says_is_refused_and_writes_nothing,
    other_codings_are_refused_by_name,
    a_bomb_is_refused_before_it_is_made,
    a_thousand_bombs_at_once_stay_within_the_memory,
    a_stream_of_packed_lines_has_no_total_size_and_is_no_bomb,
    pages_and_dumps_are_packed_for_those_who_ask,
    streams_and_small_answers_are_never_packed,
    a_packed_answer_has_a_tag_of_its_own,
    a_head_says_what_a_get_would,
);

const MIB: usize = 1 << 20;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    GzEncoder::new(plain, Compression::best()).read_to_end(&mut packed).expect("a slice is read");
    packed
}

fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut plain).expect("whole gzip");
    plain
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    zstd_safe::compress(&mut packed, plain, 3).expect("room for all");
    packed
}

fn unzstd(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(64 * MIB);
    let mut decoder = zstd_safe::DCtx::create();
    let mut input = zstd_safe::InBuffer::around(packed);
    let mut output = zstd_safe::OutBuffer::around(&mut plain);
    let left = decoder.decompress_stream(&mut output, &mut input).expect("zstd");
    assert_eq!((left, input.pos()), (0, packed.len()), "one whole frame");
    plain
}

pub(crate) fn pack(coding: &str, plain: &[u8]) -> Vec<u8> {
    if coding == "gzip" { gzip(plain) } else { zstd(plain) }
}

async fn post(topic: &Topic, path: &str, kind: &str, coding: &str, body: impl Into<Body>) -> Answer {
    let call = topic.client.post(&topic.path(path)).header("content-type", kind);
    call.header("content-encoding", coding).body(body).send().await
}

async fn every_way_to_produce_takes_packed_bodies(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for coding in ["gzip", "zstd"] {
        let topic = gateway.topic(coding, 1).await;
        let batch = json!({ "records": [{ "key": "a", "value": [1.0, 2] }, { "value": "b" }] }).to_string();
        post(&topic, "/records", "application/json", coding, pack(coding, batch.as_bytes())).await.is(200);
        let lines = b"{\"value\":3}\n{\"value\":4}\n";
        let kind = "application/x-ndjson";
        let streamed = post(&topic, "/records", kind, coding, pack(coding, lines)).await.is(200);
        assert_eq!(streamed.text().lines().last(), Some(r#"{"records":2}"#));
        post(&topic, "/records?atomic=true", kind, coding, pack(coding, lines)).await.is(200);
        post(&topic, "/values", "text/plain", coding, pack(coding, b"raw")).await.is(201);
        let configuration = pack(coding, br#"{"retention_ms":1000000}"#);
        let call = gateway.patch(&topic.path("")).header("content-encoding", coding).body(configuration);
        assert_eq!(call.send().await.is(200).json()["retention_ms"], 1_000_000);
        let page = topic.read("").await;
        assert_eq!(page.values(), ["[1.0,2]", "\"b\"", "3", "4", "3", "4", "\"raw\""]);
    }
    let topic = gateway.topic("members", 1).await;
    let twice = [gzip(b"[1,"), gzip(b"2]")].concat();
    post(&topic, "/values", "application/json", "x-gzip", twice).await.is(201);
    assert_eq!(topic.read("").await.values(), ["[1,2]"], "members are one body");
}

async fn what_is_not_what_it_says_is_refused_and_writes_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for coding in ["gzip", "zstd"] {
        let good = pack(coding, "\"".repeat(2).as_bytes());
        let garbage: Vec<u8> = (0..MIB as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut corrupt = pack(coding, format!("\"{}\"", "abc".repeat(1_000)).as_bytes());
        let middle = corrupt.len() / 2;
        corrupt[middle] ^= 0x55;
        corrupt[middle + 1] ^= 0x55;
        for (what, body) in [
            ("cut short", good[..good.len() - 1].to_vec()),
            ("cut in the head", good[..3].to_vec()),
            ("not packed", b"\"x\"".to_vec()),
            ("with garbage behind it", [good.clone(), garbage].concat()),
            ("with zeros behind it", [good.clone(), vec![0; 100]].concat()),
            ("changed", corrupt),
        ] {
            for path in ["/values", "/records", "/records?atomic=true"] {
                let kind = if path == "/values" { "application/json" } else { "application/x-ndjson" };
                let answer = post(&topic, path, kind, coding, body.clone()).await;
                assert_eq!(answer.status, 400, "{coding} {what} {path}: {}", answer.text());
            }
        }
    }
    // A window of 2 GiB (RFC 8878 section 3.1.1.1.2), and an empty last block.
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0].to_vec();
    let problem =
        post(&topic, "/values", "application/json", "zstd", wide).await.refused_write(400, "invalid_parameter");
    assert_names(&problem, &["zstd", "8 MiB"]);
    assert_eq!(topic.high_watermark(0).await, 0);
}

async fn other_codings_are_refused_by_name(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for coding in ["br", "deflate", "gzip, gzip", "gzip,zstd", "gzip;q=1", "aws-chunked"] {
        for (path, kind) in [("/values", "application/json"), ("/records", "application/x-ndjson")] {
            let answer = post(&topic, path, kind, coding, gzip(gzip(b"1").as_slice())).await;
            assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd"), "{coding}");
            assert_names(&answer.refused_write(415, "unsupported_media_type"), &["gzip", "zstd", "identity"]);
        }
    }
    post(&topic, "/values", "application/json", "identity", "1").await.is(201);
    assert_eq!(topic.high_watermark(0).await, 1);
}

async fn a_bomb_is_refused_before_it_is_made(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let bomb = vec![b' '; 1 << 28];
    for coding in ["gzip", "zstd"] {
        let packed = pack(coding, &bomb);
        assert!(packed.len() < MIB, "{}", packed.len());
        let before = gateway.memory("VmHWM");
        for path in ["/values", "/records", "/records?atomic=true"] {
            let kind = if path == "/records" { "application/json" } else { "application/x-ndjson" };
            post(&topic, path, kind, coding, packed.clone()).await.refused_write(413, "request_too_large");
        }
        // The request limit, twice while it is copied, and no more.
        let grown = gateway.memory("VmHWM").saturating_sub(before);
        assert!(grown < 100 * MIB as u64, "{coding}: {} MiB", grown / MIB as u64);
    }
    assert_eq!(topic.high_watermark(0).await, 0);
}

async fn a_thousand_bombs_at_once_stay_within_the_memory(backend: Backend) {
    let gateway = Gateway::with(backend, &["--bodies-bytes-max", "67108864"]).await;
    let topic = gateway.topic("orders", 1).await;
    let packed = zstd(&vec![b' '; 1 << 26]);
    let before = gateway.memory("VmHWM");
    let answers = join_all((0..1_000).map(|_| async {
        let topic = &topic;
        post(topic, "/values", "application/json", "zstd", packed.clone()).await
    }));
    for answer in answers.await {
        match answer.status {
            413 => answer.refused_write(413, "request_too_large"),
            503 => answer.refused_write(503, "overloaded"),
            _ => answer.refused_write(429, "rate_limited"), // all of them are one caller
        };
    }
    // 64 MiB of bodies, up to twice as much where they grow, and a thousand connections with their decoders.
    let grown = gateway.memory("VmHWM").saturating_sub(before);
    assert!(grown < 600 * MIB as u64, "{} MiB", grown / MIB as u64);
    post(&topic, "/values", "application/json", "zstd", zstd(b"1")).await.is(201);
}

async fn a_stream_of_packed_lines_has_no_total_size_and_is_no_bomb(backend: Backend) {
    let gateway = Gateway::with(backend, &["--request-bytes-max", "1048576"]).await;
    let topic = gateway.topic("orders", 1).await;
    let lines: String = (0..40_000u64)
        .map(|n| format!("{{\"value\":\"{:x}\"}}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 3))
        .collect();
    assert!(lines.len() > MIB);
    let path = "/records?receipts=none";
    let kind = "application/x-ndjson";
    let answer = post(&topic, path, kind, "gzip", gzip(lines.as_bytes())).await.is(200);
    assert_eq!(answer.text().trim(), r#"{"records":40000}"#);
    let bomb = gzip("{\"value\":1}\n".repeat(3_000_000).as_bytes());
    let answer = post(&topic, path, kind, "gzip", bomb).await.is(200);
    let last: serde_json::Value = serde_json::from_str(answer.text().trim()).expect("the last line");
    assert_eq!(last["problem"]["code"], "request_too_large", "{last}");
    let written = last["records"].as_u64().expect("a number");
    assert!(written < 1_500_000, "what was made of it is not much more than the limit: {written}");
    assert_eq!(topic.high_watermark(0).await, 40_000 + written);
}

async fn pages_and_dumps_are_packed_for_those_who_ask(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for n in 0..4 {
        topic.count(0, n * 2_000..(n + 1) * 2_000).await;
    }
    let paths = [
        topic.path("/records?max_records=100"),
        topic.path("/records?max_records=8000&max_bytes=16777216"),
        topic.path("/records?format=ndjson"),
        topic.path("/records?format=values&max_records=5000"),
        "/".to_owned(),
        "/problems".to_owned(),
        "/openapi.json".to_owned(),
    ];
    for path in &paths {
        let plain = gateway.get(path).send().await.is(200);
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        for (accepted, coding) in [("gzip", "gzip"), ("gzip, deflate, br, zstd", "zstd"), ("gzip, zstd;q=0.5", "gzip")]
        {
            let packed = gateway.get(path).header("accept-encoding", accepted).send().await.is(200);
            assert_eq!(packed.header("content-encoding"), Some(coding), "{path}");
            assert!(packed.body.len() < plain.body.len(), "{path}: {} of {}", packed.body.len(), plain.body.len());
            let unpacked = if coding == "gzip" { gunzip(&packed.body) } else { unzstd(&packed.body) };
            assert_eq!(unpacked, plain.body, "{path} {coding}");
            for name in ["tidegate-cursor", "tidegate-at-tail", "link", "content-type", "cache-control"] {
                assert_eq!(packed.header(name), plain.header(name), "{path} {name}");
            }
        }
        let vary: Vec<_> = plain.headers.get_all("vary").iter().filter_map(|line| line.to_str().ok()).collect();
        assert!(vary.join(", ").contains("Accept-Encoding"), "{path}: {vary:?}");
    }
    let mut member = json!({ "topics": ["orders"], "max_records": 500 });
    member["lease_ms"] = json!(60_000);
    let poll = gateway.post("/v1/groups/g/members/m/poll").header("accept-encoding", "gzip").json(&member);
    let polled = poll.send().await.is(200);
    assert_eq!(polled.header("content-encoding"), Some("gzip"));
    let polled: serde_json::Value = serde_json::from_slice(&gunzip(&polled.body)).expect("JSON");
    assert_eq!(polled["records"].as_array().map(Vec::len), Some(500));
}

async fn streams_and_small_answers_are_never_packed(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..2_000).await;
    let open = async |path: &str, accept: &str| {
        let call = gateway.get(path).header("accept", accept).header("accept-encoding", "gzip, zstd");
        call.open().await
    };
    for (path, accept) in [
        (topic.path("/records"), "text/event-stream"),
        (topic.path("/records?format=ndjson&follow=true"), "*/*"),
        ("/v1/groups/g/records?topic=orders".to_owned(), "text/event-stream"),
        (topic.path(""), "*/*"),
        ("/healthz".to_owned(), "*/*"),
        ("/v1/topics/none".to_owned(), "*/*"),
    ] {
        let response = open(&path, accept).await;
        assert_eq!(response.headers().get("content-encoding"), None, "{path}");
    }
    let lines: String = (0..2_000).map(|n| format!("{{\"value\":{n}}}\n")).collect();
    let receipts = gateway.post(&topic.path("/records")).header("accept-encoding", "gzip").ndjson(lines).send().await;
    assert_eq!(receipts.is(200).header("content-encoding"), None, "receipts come one by one");
}

async fn a_packed_answer_has_a_tag_of_its_own(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..1_000).await;
    let cursor = topic.read("max_records=2").await.cursor;
    let path = topic.path(&format!("/records?cursor={cursor}&max_records=500&format=json"));
    let get = async |accepted: &str, tag: &str| {
        let mut call = gateway.get(&path).header("accept-encoding", accepted);
        if !tag.is_empty() {
            call = call.header("if-none-match", tag);
        }
        call.send().await
    };
    let tag = |answer: &Answer| answer.header("etag").expect("an immutable page has a tag").to_owned();
    let tags = [tag(&get("identity", "").await), tag(&get("gzip", "").await), tag(&get("zstd", "").await)];
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2], "{tags:?}");
    for (accepted, own) in [("identity", &tags[0]), ("gzip", &tags[1]), ("zstd", &tags[2])] {
        for given in [own.clone(), format!("\"x\", W/{own}")] {
            let same = get(accepted, &given).await.is(304);
            assert_eq!((same.header("etag"), same.body.len()), (Some(own.as_str()), 0), "{accepted} {given}");
            assert_eq!((same.header("content-encoding"), same.header("content-length")), (None, None));
        }
    }
    get("gzip", "\"x-gzip\"").await.is(200);
}

async fn a_head_says_what_a_get_would(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..1_000).await;
    for path in ["/", "/openapi.json", "/v1", &topic.path("/records?max_records=500")] {
        let ask =
            async |method: &str| gateway.request(method, path).header("accept-encoding", "gzip").send().await.is(200);
        let (head, get) = (ask("HEAD").await, ask("GET").await);
        assert!(head.body.is_empty());
        assert_eq!(head.header("content-encoding"), get.header("content-encoding"), "{path}");
        if let Some(length) = head.header("content-length") {
            assert_eq!(Some(length), get.header("content-length"), "{path}");
        }
    }
}
