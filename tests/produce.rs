//! Produce and topics over real sockets: the server in this process, on a port of its own, over a real database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Client;
use reqwest::RequestBuilder;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use tidegate::access;
use tidegate::broker;
use tidegate::broker::Broker;
use tidegate::groups;
use tidegate::http;
use tidegate::http::native;
use tidegate::http::native::Api;
use tidegate::http::ops::Ops;
use tidegate::http::ops::Readiness;
use tidegate::http::ops::metrics::Figures;
use tidegate::http::ops::metrics::Scrape;
use tidegate::log;
use tidegate::model::limits::Limits;
use tidegate::segments;
use tidegate::segments::SegmentCache;
use tidegate::store;
use tidegate::tasks::Tasks;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

struct Ready;

#[async_trait]
impl Readiness for Ready {
    async fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

#[async_trait]
impl Figures for Ready {
    async fn take(&self) {}
}

struct Node {
    address: SocketAddr,
    client: Client,
    server: Tasks,
    logs: log::Logs,
    writers: Tasks,
    _dir: TempDir,
}

impl Node {
    async fn start() -> Self {
        Self::start_with(native::Options::default()).await
    }

    async fn start_with(options: native::Options) -> Self {
        let dir = TempDir::new().expect("a directory");
        let limits = Limits { partitions: 40, ..Limits::default() };
        let kept = store::Options {
            data_dir: dir.path().to_owned(),
            postgres: None,
            partitions_max: limits.partitions,
            groups_max: 0,
            idempotency_ms: 60_000,
            wal_bytes_max: 64 << 20,
            readers: 2,
            lanes: 2,
        };
        let metrics = http::metrics();
        let store = store::open(&kept).await.expect("a database");
        let segments = segments::Options { dir: dir.path().join("segments"), bytes_max: 0, min_free_bytes: 0 };
        let writers = Tasks::default();
        let segments = Arc::new(SegmentCache::open(segments));
        let logs = log::start(Arc::clone(&store), segments, &log::Options::default(), &metrics, &writers);
        let groups = groups::start(Arc::clone(&store), Arc::clone(&metrics), &writers);
        let access = access::start(Arc::clone(&store), access::Options::default(), &writers).await.expect("read");
        let options_of_broker = broker::Options::default();
        let broker = Broker::new(store, logs.clone(), groups, limits.clone(), options_of_broker, Arc::clone(&metrics));
        let server = Tasks::default();
        let draining = server.stopping().clone();
        let api = Api::new(broker, access.clone(), options, draining.clone(), &writers);
        let ops = Ops {
            readiness: Arc::new(Ready),
            scrape: Scrape { metrics: Arc::clone(&metrics), figures: Arc::new(Ready) },
            draining: draining.clone(),
            limits: Arc::new(limits),
        };
        let front = http::front(http::router(api, ops, &access), access, &http::Options::default(), metrics, None);
        let listener = http::server::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let address = listener.local_addr().expect("an address");
        server.spawn("http", http::server::serve(listener, front, http::server::Options::default(), None, draining));
        Self { address, client: Client::new(), server, logs, writers, _dir: dir }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(self.url(path))).await
    }

    async fn high_watermark(&self, topic: &str) -> u64 {
        let (_, body) = self.get(&format!("/v1/topics/{topic}/partitions/0")).await;
        body["high_watermark"].as_u64().expect("a number")
    }

    /// A connection on which a stream of lines is begun.
    async fn stream(&self, path: &str) -> Wire {
        let mut socket = TcpStream::connect(self.address).await.expect("a connection");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.expect("sent");
        Wire(BufReader::new(socket))
    }

    async fn stop(self) {
        self.server.stop(PATIENCE).await.expect("the server ends");
        self.logs.close();
        self.writers.stop(PATIENCE).await.expect("the writers end");
    }
}

/// Both directions of one HTTP/1.1 connection, chunk by chunk.
struct Wire(BufReader<TcpStream>);

impl Wire {
    async fn send(&mut self, text: &str) {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        self.0.write_all(chunk.as_bytes()).await.expect("sent");
    }

    async fn finish(&mut self) {
        self.0.write_all(b"0\r\n\r\n").await.expect("sent");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("in time").expect("a line");
        line
    }

    /// The head of the answer: status and headers.
    async fn head(&mut self) -> (u16, String) {
        let status = self.line().await;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut headers = String::new();
        loop {
            let line = self.line().await;
            if line.trim().is_empty() {
                return (status, headers);
            }
            headers.push_str(&line);
        }
    }

    /// The next chunk of the answer; empty at its end.
    async fn chunk(&mut self) -> String {
        let size = usize::from_str_radix(self.line().await.trim(), 16).expect("a size");
        let mut chunk = vec![0; size + 2];
        timeout(PATIENCE, self.0.read_exact(&mut chunk)).await.expect("in time").expect("a chunk");
        chunk.truncate(size);
        String::from_utf8(chunk).expect("text")
    }

    async fn json(&mut self) -> Value {
        let chunk = self.chunk().await;
        serde_json::from_str(&chunk).unwrap_or_else(|error| panic!("{error}: {chunk}"))
    }
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") })
}

fn code(problem: &Value) -> &str {
    problem["code"].as_str().unwrap_or_else(|| panic!("no problem: {problem}"))
}

#[tokio::test]
async fn topics_are_resources() {
    let node = Node::start().await;
    let topic = node.url("/v1/topics/clicks");
    let put = || node.client.put(&topic);
    let response = put().json(&json!({"partition_count": 2})).send().await.expect("an answer");
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["location"], "/v1/topics/clicks");
    let made: Value = response.json().await.expect("JSON");
    assert_eq!((&made["partition_count"], &made["retention_ms"]), (&json!(2), &json!(604_800_000)));
    assert_eq!(answer(put()).await.0, 200, "nothing given is nothing otherwise");
    let (status, problem) = answer(put().json(&json!({"partition_count": 3}))).await;
    assert_eq!((status, code(&problem)), (409, "topic_exists"));
    assert_eq!(problem["current"], made);

    let patch = |kind: &str, body: &str| {
        let request = node.client.patch(&topic).header("content-type", kind).body(body.to_owned());
        async move { answer(request).await }
    };
    let (status, patched) =
        patch("application/merge-patch+json", r#"{"retention_bytes":4096,"retention_ms":-1}"#).await;
    assert_eq!((status, &patched["retention_bytes"], &patched["retention_ms"]), (200, &json!(4096), &json!(-1)));
    let (_, patched) = patch("application/json", r#"{"retention_ms":null,"partition_count":3}"#).await;
    assert_eq!((&patched["retention_bytes"], &patched["retention_ms"]), (&json!(4096), &json!(604_800_000)));
    let (status, problem) = patch("application/json", r#"{"partition_count":1}"#).await;
    assert_eq!((status, code(&problem)), (422, "partitions_shrink"));
    assert_eq!(patch("text/plain", "{}").await.0, 415);
    assert_eq!(patch("application/json", "").await.0, 400);

    for (query, name) in [("", "unknown_topic"), ("?x=1", "unknown_parameter")] {
        let (_, problem) = node.get(&format!("/v1/topics/nothing{query}")).await;
        assert_eq!(code(&problem), name);
    }
    let (_, body) = node.get("/v1/topics/clicks").await;
    assert_eq!(body["partitions"].as_array().map(Vec::len), Some(3));
    let empty = json!({"partition": 2, "log_start_offset": 0, "high_watermark": 0, "bytes": 0, "records": 0});
    assert_eq!(body["partitions"][2], empty);
    assert_eq!(answer(node.client.delete(&topic)).await.0, 204);
    assert_eq!(answer(node.client.delete(&topic)).await.0, 404);
    node.stop().await;
}

#[tokio::test]
async fn topics_are_listed_in_pages() {
    let node = Node::start().await;
    for name in ["b.3", "a", "b.1", "b.2"] {
        assert_eq!(answer(node.client.put(node.url(&format!("/v1/topics/{name}")))).await.0, 201);
    }
    let names = |body: &Value| {
        let topics = body["topics"].as_array().expect("a list").iter();
        topics.map(|topic| topic["topic"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let (_, all) = node.get("/v1/topics?limit=5000").await;
    assert_eq!(
        (names(&all), all.get("next_page_token")),
        (vec!["a".into(), "b.1".into(), "b.2".into(), "b.3".into()], None)
    );
    let response = node.client.get(node.url("/v1/topics?prefix=b.&limit=2")).send().await.expect("an answer");
    let link = response.headers()["link"].to_str().expect("text").to_owned();
    let page: Value = response.json().await.expect("JSON");
    assert_eq!(names(&page), ["b.1", "b.2"]);
    let query = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link");
    assert!(query.ends_with(page["next_page_token"].as_str().expect("a token")), "{link}");
    let (_, page) = node.get(&format!("/v1/topics{query}")).await;
    assert_eq!((names(&page), page.get("next_page_token")), (vec!["b.3".to_owned()], None));
    for bad in ["limit=0", "page_token=!", "page=2"] {
        assert_eq!(node.get(&format!("/v1/topics?{bad}")).await.0, 400, "{bad}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_raw_value_is_answered_with_its_place() {
    let node = Node::start().await;
    let response = node.post("/v1/topics/t/values?key=k").body(r#"{"a": 1}"#).send().await.expect("an answer");
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["location"], "/v1/topics/t/partitions/0/records/0");
    assert_eq!(response.headers()["tidegate-topic-created"], "t");
    let receipt: Value = response.json().await.expect("JSON");
    assert_eq!(
        (&receipt["topic"], &receipt["offset"], &receipt["stored_as"]),
        (&json!("t"), &json!(0), &json!("json"))
    );

    let send = |path: &str, kind: &str, body: &'static str| {
        let request = node.post(path).header("content-type", kind).body(body);
        async move { answer(request).await }
    };
    let (_, receipt) = send("/v1/topics/t/values?timestamp=5", "text/plain", "null").await;
    assert_eq!((&receipt["stored_as"], &receipt["timestamp"]), (&json!("text"), &json!(5)));
    for (path, kind, body, status, name) in [
        ("/v1/topics/t/values", "application/json", "{", 400, "malformed_json"),
        ("/v1/topics/t/values", "image/png", "", 400, "invalid_record"),
        ("/v1/topics/t/values?partition=1", "text/plain", "x", 404, "unknown_partition"),
        ("/v1/topics/t/values?partition=0&partition=0", "text/plain", "x", 400, "invalid_parameter"),
        ("/v1/topics/t/values?ack=all", "text/plain", "x", 400, "invalid_parameter"),
        ("/v1/topics/t/values?atomic=true", "text/plain", "x", 400, "unknown_parameter"),
        ("/v1/topics/u/values?create=false", "text/plain", "x", 404, "unknown_topic"),
        ("/v1/topics/__u/values", "text/plain", "x", 400, "invalid_name"),
        ("/v1/topics/t/records", "text/plain", "x", 415, "unsupported_media_type"),
        ("/v1/topics/t/records?receipts=none", "application/json", "{}", 400, "invalid_parameter"),
        ("/v1/topics/t/records?atomic=true", "application/json", "{}", 400, "invalid_parameter"),
        ("/v1/topics/t/records?ack=none", "application/x-ndjson", "{}", 400, "invalid_parameter"),
        ("/v1/topics/t/records?atomic=true&receipts=none", "application/jsonl", "{}", 400, "invalid_parameter"),
        ("/v1/topics/t/records", "application/json", r#"{"records":[{"value":1},{"key":""}]}"#, 400, "invalid_record"),
        ("/v1/records", "application/json", r#"{"records":[{"value":1}]}"#, 400, "invalid_record"),
    ] {
        let (got, problem) = send(path, kind, body).await;
        assert_eq!((got, code(&problem)), (status, name), "{path} {kind} {body}");
        assert_eq!(problem["outcome"], "not_written", "{path}");
    }
    assert_eq!(node.high_watermark("t").await, 2);
    assert_eq!(send("/v1/topics/t/values?ack=none", "text/plain", "x").await, (202, Value::Null));
    timeout(PATIENCE, async {
        while node.high_watermark("t").await < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("a write that nobody waits for is written");
    let headed = node.post("/v1/topics/t/records").header("record-header-a", "1").json(&json!({"records": []}));
    assert_eq!(answer(headed).await.1["parameter"], "record-header-");
    node.stop().await;
}

#[tokio::test]
async fn a_batch_is_one_write() {
    let node = Node::start().await;
    let body = json!({"records": [{"topic": "a", "value": 1}, {"topic": "b", "value": 2}, {"topic": "a", "value": 3}]});
    let response = node.post("/v1/records").json(&body).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let created: Vec<_> = response.headers().get_all("tidegate-topic-created").iter().cloned().collect();
    assert_eq!(created, ["a", "b"]);
    let body: Value = response.json().await.expect("JSON");
    let places: Vec<_> =
        body["offsets"].as_array().expect("a list").iter().map(|r| (&r["topic"], &r["offset"])).collect();
    assert_eq!(places, [(&json!("a"), &json!(0)), (&json!("b"), &json!(0)), (&json!("a"), &json!(1))]);
    let lines = "{\"value\":1}\n\n{\"value\":2,\"partition\":7}\n";
    let atomic = node.post("/v1/topics/a/records?atomic=true").header("content-type", "application/jsonl").body(lines);
    assert_eq!(code(&answer(atomic).await.1), "unknown_partition");
    assert_eq!(node.high_watermark("a").await, 2, "none of the lines is written");
    let atomic = node.post("/v1/topics/a/records?atomic=true").header("content-type", "application/x-ndjson");
    let (status, body) = answer(atomic.body("{\"value\":1}\n{\"value\":2}")).await;
    assert_eq!((status, body["offsets"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(body["offsets"][0].get("topic"), None);
    node.stop().await;
}

#[tokio::test]
async fn a_retry_gets_the_first_answer() {
    let node = Node::start().await;
    let send = |body: &'static str| {
        let request = node.post("/v1/topics/t/values").header("idempotency-key", "k-1").body(body);
        async move { request.send().await.expect("an answer") }
    };
    let (first, overtaking) = tokio::join!(send("x"), send("x"));
    let replays = [&first, &overtaking].map(|response| response.headers().contains_key("idempotency-replayed"));
    assert_eq!(replays.iter().filter(|replayed| **replayed).count(), 1);
    assert_eq!(
        (first.status(), first.headers()["location"].clone()),
        (overtaking.status(), overtaking.headers()["location"].clone())
    );
    assert_eq!(first.text().await.expect("a body"), overtaking.text().await.expect("a body"));
    let (status, problem) = {
        let response = send("y").await;
        (response.status(), response.json::<Value>().await.expect("JSON"))
    };
    assert_eq!((status.as_u16(), code(&problem)), (422, "idempotency_key_reused"));
    assert_eq!(node.high_watermark("t").await, 1);
    for (path, kind, key) in [
        ("/v1/topics/t/values", "text/plain", "a b"),
        ("/v1/topics/t/values?ack=none", "text/plain", "k"),
        ("/v1/topics/t/records", "application/x-ndjson", "k"),
    ] {
        let request = node.post(path).header("content-type", kind).header("idempotency-key", key).body("{}");
        assert_eq!(answer(request).await.1["parameter"], "idempotency-key", "{path} {key}");
    }
    node.stop().await;
}

#[tokio::test]
async fn records_are_trimmed_and_found_by_time() {
    let node = Node::start().await;
    let records: Vec<_> = (0..10).map(|i| json!({"value": i, "timestamp": 1_000 + i * 10})).collect();
    assert_eq!(answer(node.post("/v1/topics/t/records").json(&json!({"records": records}))).await.0, 200);
    for (at, offset) in [("earliest", 0), ("latest", 10), ("-3", 7), ("1970-01-01T00:00:01.015Z", 2)] {
        assert_eq!(node.get(&format!("/v1/topics/t/partitions/0/offsets?at={at}")).await.1, json!({"offset": offset}));
    }
    for bad in ["", "?at=5", "?at=now", "?offset=1"] {
        assert_eq!(node.get(&format!("/v1/topics/t/partitions/0/offsets{bad}")).await.0, 400, "{bad}");
    }
    let trim = |query: &str| {
        let request = node.client.delete(node.url(&format!("/v1/topics/t/partitions/0/records{query}")));
        async move { answer(request).await }
    };
    assert_eq!(code(&trim("").await.1), "missing_parameter");
    assert_eq!(trim("?before_offset=11").await.0, 416);
    assert_eq!(trim("?before_offset=4").await, (200, json!({"log_start_offset": 4})));
    assert_eq!(trim("?before_offset=2").await, (200, json!({"log_start_offset": 4})));
    let response = node.client.get(node.url("/v1/topics/t/partitions/0")).send().await.expect("an answer");
    assert_eq!(response.headers()["tidegate-log-start-offset"], "4");
    assert_eq!(response.headers()["tidegate-high-watermark"], "10");
    assert_eq!(response.json::<Value>().await.expect("JSON")["records"], 6);
    node.stop().await;
}

#[tokio::test]
async fn lines_are_acknowledged_while_more_are_sent() {
    let node = Node::start().await;
    let mut wire = node.stream("/v1/topics/t/records").await;
    wire.send("{\"value\":0}\n{\"val").await;
    let (status, headers) = wire.head().await;
    assert_eq!(status, 200);
    assert!(headers.contains("content-type: application/x-ndjson"), "{headers}");
    assert!(headers.contains("tidegate-topic-created: t"), "{headers}");
    assert_eq!(wire.json().await["offset"], 0);
    for offset in 1..20 {
        wire.send(&format!("ue\":{offset}}}\n{{\"val")).await;
        assert_eq!(wire.json().await["offset"], offset);
    }
    wire.send("ue\":\"the last has no end\"}").await;
    wire.finish().await;
    assert_eq!(wire.json().await["offset"], 20);
    assert_eq!(wire.chunk().await, "{\"records\":21}\n");
    assert_eq!(wire.chunk().await, "");
    node.stop().await;
}

#[tokio::test]
async fn so_they_are_over_http2() {
    let node = Node::start().await;
    let client = Client::builder().http2_prior_knowledge().build().expect("a client");
    let (lines, unsent) = tokio::sync::mpsc::channel::<&str>(1);
    let unsent = futures_util::stream::unfold(unsent, async |mut unsent| {
        unsent.recv().await.map(|line| (Ok::<_, std::convert::Infallible>(line), unsent))
    });
    lines.send("{\"value\":0}\n").await.expect("taken");
    let request = client.post(node.url("/v1/topics/t/records")).header("content-type", "application/jsonl");
    let mut response = timeout(PATIENCE, request.body(reqwest::Body::wrap_stream(unsent)).send())
        .await
        .expect("the head comes while the body is open")
        .expect("an answer");
    for offset in 0..5 {
        let chunk = timeout(PATIENCE, response.chunk()).await.expect("in time").expect("a body").expect("a receipt");
        assert_eq!(serde_json::from_slice::<Value>(&chunk).expect("JSON")["offset"], offset);
        lines.send("{\"value\":1}\n").await.expect("taken");
    }
    drop(lines);
    assert!(response.text().await.expect("the rest").ends_with("{\"records\":6}\n"));
    node.stop().await;
}

#[tokio::test]
async fn the_first_line_may_be_refused_like_any_request() {
    let node = Node::start().await;
    for (path, line, status, name) in [
        ("/v1/topics/t/records", "{\"valu\":1}\n", 400, "unknown_field"),
        ("/v1/topics/t/records?create=false", "{\"value\":1}\n", 404, "unknown_topic"),
        ("/v1/records?receipts=none", "{\"value\":1}\n", 400, "invalid_record"),
    ] {
        let mut wire = node.stream(path).await;
        wire.send(line).await;
        let (got, headers) = wire.head().await;
        assert_eq!(got, status, "{path}");
        assert!(headers.contains("content-type: application/problem+json"), "{headers}");
        assert!(wire.line().await.contains(name), "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_stands() {
    let node = Node::start().await;
    let send = |path: &str, lines: &'static str| {
        let request = node.post(path).header("content-type", "application/x-ndjson").body(lines);
        async move { request.send().await.expect("an answer").text().await.expect("a body") }
    };
    let lines =
        |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect() };
    // Refused by the form of a line, by the broker, and by what only the broker knows.
    let told = lines(&send("/v1/topics/t/records", "{\"value\":1}\n{\"value\":2}\nnope\n{\"value\":3}\n").await);
    assert_eq!((told.len(), &told[2]["records"], &told[2]["problem"]["line"]), (3, &json!(2), &json!(3)));
    assert_eq!(told[2]["problem"]["outcome"], "not_written");
    let told =
        lines(&send("/v1/topics/t/records", "{\"value\":3}\n{\"value\":1,\"partition\":1}\n{\"value\":1}\n").await);
    assert_eq!((told.len(), told[1]["records"].clone(), code(&told[1]["problem"])), (2, json!(1), "unknown_partition"));
    assert_eq!(node.high_watermark("t").await, 3);
    let several = "{\"topic\":\"t\",\"value\":1}\n{\"topic\":\"new\",\"value\":1}\n{\"topic\":\"t\",\"value\":1}\n";
    let told = lines(&send("/v1/records?create=false", several).await);
    assert_eq!((told.len(), told[1]["records"].clone(), code(&told[1]["problem"])), (2, json!(1), "unknown_topic"));
    let filler = node.client.put(node.url("/v1/topics/filler")).json(&json!({"partition_count": 39}));
    assert_eq!(answer(filler).await.0, 201);
    let told = lines(&send("/v1/records?receipts=none", several).await);
    assert_eq!((told.len(), told[0]["records"].clone(), code(&told[0]["problem"])), (1, json!(1), "quota_exceeded"));
    assert_eq!(send("/v1/topics/t/records", "\n \n").await, "{\"records\":0}\n");
    assert_eq!(node.high_watermark("t").await, 5);
    node.stop().await;
}

#[tokio::test]
async fn a_stream_of_any_length_keeps_its_order() {
    let node = Node::start().await;
    let count = 20_000_u64;
    let body: String = (0..count)
        .map(|i| format!("{{\"value\":{{\"n\":{i},\"pad\":\"{}\"}}}}\n", "x".repeat(i as usize % 900)))
        .collect();
    assert!(body.len() > 8 << 20);
    let request = node.post("/v1/topics/t/records").header("content-type", "application/x-ndjson").body(body);
    let text = request.send().await.expect("an answer").text().await.expect("a body");
    let mut told = text.lines();
    for offset in 0..count {
        let receipt: Value = serde_json::from_str(told.next().expect("a receipt")).expect("JSON");
        assert_eq!(receipt["offset"], offset);
    }
    assert_eq!(told.next(), Some(format!("{{\"records\":{count}}}").as_str()));
    assert_eq!(told.next(), None);
    node.stop().await;
}

#[tokio::test]
async fn silence_is_broken_and_draining_ends_between_lines() {
    let heartbeat = Duration::from_millis(50);
    let node = Node::start_with(native::Options { heartbeat, ..native::Options::default() }).await;
    let mut wire = node.stream("/v1/topics/t/records").await;
    let (status, _) = wire.head().await;
    assert_eq!(status, 200, "the head comes without a line");
    assert_eq!(wire.chunk().await, "\n");
    wire.send("{\"value\":1}\n{\"val").await;
    let receipt = loop {
        let chunk = wire.chunk().await;
        if chunk != "\n" {
            break chunk;
        }
    };
    assert!(receipt.contains("\"offset\":0"), "{receipt}");
    node.server.stopping().cancel();
    let last = loop {
        let chunk = wire.chunk().await;
        if chunk != "\n" {
            break chunk;
        }
    };
    let last: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!((last["records"].clone(), code(&last["problem"])), (json!(1), "draining"));
    drop(wire);
    node.stop().await;
}

#[tokio::test]
async fn unread_receipts_stop_the_reading_of_lines() {
    let node = Node::start().await;
    let mut wire = node.stream("/v1/topics/t/records").await;
    let lines = "{\"value\":1}\n".repeat(5_000);
    let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
    let mut sent = 0;
    // Some hundred MiB of lines would go if nobody minded; the buffers of two sockets hold far less.
    while let Ok(done) = timeout(Duration::from_secs(2), wire.0.write_all(chunk.as_bytes())).await {
        done.expect("sent");
        sent += lines.len();
        assert!(sent < 256 << 20, "the lines are taken though nobody reads the receipts");
    }
    drop(wire);
    node.stop().await;
}
