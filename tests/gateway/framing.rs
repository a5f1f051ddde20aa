//! HTTP as no honest client writes it: each is refused or read in the standard way, writes nothing, and harms nobody.

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::raw::Connection;
use crate::harness::raw::problem;
use crate::harness::topic::Topic;

on_each_backend!(
    ambiguous_framing_is_refused_and_writes_nothing,
    heads_that_break_the_rules_are_refused,
    what_is_no_request_is_refused_with_a_problem_too,
    a_body_that_is_cut_short_writes_nothing,
    a_body_too_large_is_refused_before_it_is_sent,
    pipelined_requests_are_answered_in_order,
    one_request_is_never_taken_for_two,
    an_encoded_body_is_refused,
);

/// What is answered to raw bytes before the connection ends: the statuses in their order.
async fn statuses(gateway: &Gateway, request: &[u8]) -> Vec<u16> {
    let mut connection = Connection::open(gateway.address()).await;
    connection.send(request).await;
    let answers = connection.everything().await;
    let heads = answers.split("HTTP/1.1 ").skip(1).chain(answers.split("HTTP/1.0 ").skip(1));
    heads.map(|head| head[..3].parse().unwrap_or_else(|_| panic!("{answers:?}"))).collect()
}

/// Asserts that nothing was written and that the next client is served.
async fn assert_unharmed(gateway: &Gateway, topic: &Topic, after: &str) {
    gateway.client().another().get("/healthz").send().await.is(200);
    assert_eq!(topic.high_watermark(0).await, 0, "written by {after}");
}

async fn ambiguous_framing_is_refused_and_writes_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let begin =
        format!("POST {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", topic.path("/values"), gateway.address());
    for framing in [
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\n[1,2]x",
        "Content-Length: +5\r\n\r\n[1,2]",
        "Content-Length: 0x5\r\n\r\n[1,2]",
        "Content-Length: -1\r\n\r\n[1,2]",
        "Content-Length: 99999999999999999999\r\n\r\n[1,2]",
        "Content-Length: 5 5\r\n\r\n[1,2]",
        "Transfer-Encoding: xchunked\r\n\r\n5\r\n[1,2]\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n5\r\n[1,2]\r\n0\r\n\r\n",
        "Transfer-Encoding: \x0bchunked\r\n\r\n5\r\n[1,2]\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n5\r\n[1,2]\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n[1,2]\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n[1,2]\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n[1,2]xx0\r\n\r\n",
    ] {
        let found = statuses(&gateway, format!("{begin}{framing}").as_bytes()).await;
        assert!(
            found.iter().all(|status| *status == 400 || *status == 413 || *status == 501),
            "{framing:?}: {found:?}"
        );
        assert!(found.len() <= 1, "{framing:?}: {found:?}");
        assert_unharmed(&gateway, &topic, framing).await;
    }
}

async fn heads_that_break_the_rules_are_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let host = format!("Host: {}", gateway.address());
    for head in [
        "GET /v1 HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
        format!("GET /v1 HTTP/1.1\r\n{host}\r\nHost: evil.com\r\nConnection: close\r\n\r\n"),
        format!("GET /v1 HTTP/1.1\r\n{host}\r\nConnection: close\r\nX: a\0b\r\n\r\n"),
        format!("GET /v1 HTTP/1.1\r\n{host}\r\nConnection: close\r\nX y: z\r\n\r\n"),
        format!("GET /v1 HTTP/3.7\r\n{host}\r\n\r\n"),
        "GET /v1\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
    ] {
        let found = statuses(&gateway, head.as_bytes()).await;
        assert!(found.iter().all(|status| [400, 421, 505].contains(status)), "{head:?}: {found:?}");
        assert!(found.len() <= 1, "{head:?}: {found:?}");
        assert_unharmed(&gateway, &topic, &head).await;
    }
}

async fn what_is_no_request_is_refused_with_a_problem_too(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let good = format!("GET /v1 HTTP/1.1\r\nHost: {}\r\n", gateway.address());
    for (bytes, status, code) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "invalid_parameter"),
        ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n".to_owned(), 400, "invalid_parameter"),
        (format!("{good}X y: z\r\n\r\n"), 400, "invalid_parameter"),
        (format!("{good}X: {}\r\n\r\n", "x".repeat(100_000)), 431, "headers_too_large"),
        (format!("{good}{}\r\n", "X: y\r\n".repeat(200)), 431, "headers_too_large"),
    ] {
        let begin = &bytes[..40.min(bytes.len())];
        let mut connection = Connection::open(gateway.address()).await;
        connection.send(&bytes).await;
        let head = connection.head().await;
        assert_eq!((head.status, head.header("connection")), (status, Some("close")), "{begin:?}");
        let told = problem(&connection.body(&head).await);
        assert_eq!((told["code"].as_str(), told["outcome"].as_str()), (Some(code), Some("not_written")), "{begin:?}");
        assert_eq!(head.header("x-request-id"), told["request_id"].as_str());
        assert_eq!(connection.everything().await, "", "{begin:?}");

        // Behind a good request, on the same connection.
        let mut connection = Connection::open(gateway.address()).await;
        connection.send(format!("{good}\r\n")).await;
        let head = connection.head().await;
        assert_eq!(head.status, 200);
        connection.body(&head).await;
        connection.send(&bytes).await;
        let head = connection.head().await;
        assert_eq!(head.status, status, "{begin:?}");
        assert_eq!(problem(&connection.body(&head).await)["code"], code, "{begin:?}");
    }
}

async fn a_body_that_is_cut_short_writes_nothing(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let body = r#"{"records":[{"value":1},{"value":2}]}"#;
    for path in ["/records", "/values"] {
        let begin = format!("POST {} HTTP/1.1\r\nHost: {}\r\n", topic.path(path), gateway.address());
        for cut in 0..body.len() {
            let mut connection = Connection::open(gateway.address()).await;
            let head = format!("{begin}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            connection.send(format!("{head}{}", &body[..cut])).await;
        }
        let mut connection = Connection::open(gateway.address()).await;
        let head = format!("{begin}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.send(format!("{head}{:x}\r\n{body}\r\n", body.len())).await;
        drop(connection);
    }
    assert_unharmed(&gateway, &topic, "half a request").await;
}

async fn a_body_too_large_is_refused_before_it_is_sent(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let mut connection = Connection::open(gateway.address()).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n\
         Content-Length: 1073741824\r\n\r\n",
        topic.path("/records"),
        gateway.address()
    );
    connection.send(head).await;
    let head = connection.head().await;
    assert_eq!(head.status, 413, "and not 100");
    assert_eq!(head.header("connection"), Some("close"), "what comes on it would be taken for the body");
    let problem = problem(&connection.body(&head).await);
    assert_eq!(
        (problem["code"].as_str(), problem["outcome"].as_str()),
        (Some("request_too_large"), Some("not_written"))
    );
    assert_unharmed(&gateway, &topic, "a gibibyte announced").await;
}

async fn pipelined_requests_are_answered_in_order(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let mut connection = Connection::open(gateway.address()).await;
    let mut requests = String::new();
    for n in 0..200 {
        let (path, host) = (topic.path("/values"), gateway.address());
        let body = format!("[{n}]");
        let length = body.len();
        requests.push_str(&format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}"));
    }
    connection.send(requests).await;
    for n in 0..200 {
        let head = connection.head().await;
        assert_eq!(head.status, 201);
        let receipt: serde_json::Value = serde_json::from_str(&connection.body(&head).await).expect("JSON");
        assert_eq!(receipt["offset"], n);
    }
    let values: Vec<_> = (0..200).map(|n| format!("[{n}]")).collect();
    assert_eq!(topic.read("").await.values(), values);
}

async fn one_request_is_never_taken_for_two(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let host = format!("Host: {}", gateway.address());
    let inner = format!("PUT /v1/topics/smuggled HTTP/1.1\r\n{host}\r\nContent-Length: 0\r\n\r\n");
    let length = inner.len();
    let post = format!("POST {} HTTP/1.1\r\n{host}\r\nConnection: close\r\n", topic.path("/values"));
    for request in [
        format!("GET /v1 HTTP/1.1\r\n{host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{inner}"),
        format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("{post}Content-Type: image/png\r\nContent-Length: {length}\r\n\r\n{inner}"),
    ] {
        let found = statuses(&gateway, request.as_bytes()).await;
        assert!(found.len() <= 1 && found.iter().all(|status| *status < 500), "{request:?}: {found:?}");
    }
    gateway.get("/v1/topics/smuggled").send().await.problem(404, "unknown_topic");
}

async fn an_encoded_body_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for encoding in ["br", "compress", "gzip, gzip", "x-unknown"] {
        let call = gateway.post(&topic.path("/values")).header("content-encoding", encoding);
        call.raw_json("1").send().await.refused_write(415, "unsupported_media_type");
    }
    assert_unharmed(&gateway, &topic, "an encoded body").await;
}
