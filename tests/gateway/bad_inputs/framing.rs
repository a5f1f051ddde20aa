//! HTTP as no honest client writes it: each is refused or read in the standard way, writes nothing, and harms nobody.

use std::time::Duration;

use crate::bad_inputs::input::Input;
use crate::bad_inputs::input::each;
use crate::bad_inputs::input::get;
use crate::bad_inputs::input::post;
use crate::bad_inputs::input::raw;
use crate::bad_inputs::input::request;
use crate::bad_inputs::stage::Stage;
use crate::bad_inputs::table::Row;
use crate::bad_inputs::table::row;
use crate::bad_inputs::table::run;
use crate::bad_inputs::told::Answer::Cut;
use crate::bad_inputs::told::Answer::Refused;
use crate::bad_inputs::told::Answer::RefusedAs;
use crate::bad_inputs::told::Answer::Taken;
use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::raw::Connection;
use crate::harness::raw::problem;
use crate::harness::topic::Topic;
use crate::harness::wait::within;

on_each_backend!(
    every_line_about_framing_gets_its_answer,
    what_is_no_request_is_refused_with_a_problem_too,
    a_body_that_is_cut_short_writes_nothing,
    a_thousand_pipelined_requests_are_answered_in_order,
    one_request_is_never_taken_for_two,
);

on_sqlite!("a body that stays away never comes as far as the database":
    a_body_that_stays_away_is_408_and_writes_nothing,
);

/// A produce of JSON with this framing and body.
fn produce(stage: &Stage, framed: &str) -> Input {
    let host = stage.host();
    raw(format!(
        "POST /v1/topics/orders/values HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/json\r\n{framed}"
    ))
}

/// A body in one chunk.
const CHUNKED: &str = "5\r\n[1,2]\r\n0\r\n\r\n";

fn produces(stage: &Stage, framings: &[&str]) -> Vec<Input> {
    each(framings, |framed| produce(stage, framed))
}

/// Produces with one header that says how the body is framed, and then a good chunk.
fn chunked_as(stage: &Stage, headers: &[&str]) -> Vec<Input> {
    each(headers, |header| produce(stage, &format!("{header}\r\n\r\n{CHUNKED}")))
}

/// Bytes with `HOST` in place of the gateway's name.
fn raws(stage: &Stage, requests: &[&str]) -> Vec<Input> {
    each(requests, |bytes| raw(bytes.replace("HOST", &stage.host())))
}

/// So many headers beside `Host` and `Connection`.
fn headers(count: usize) -> Input {
    (0..count - 2).fold(get("/v1"), |input, n| input.with(format!("X-{n}: y")))
}

/// A header of so many bytes.
fn long_header(bytes: usize) -> Input {
    get("/v1").with(format!("X: {}", "y".repeat(bytes - 1)))
}

/// A target of so many bytes.
fn long_target(bytes: usize) -> Input {
    let rest = bytes - 30;
    get(format!("/v1/topics/orders/records?key={}{}", "%61".repeat(rest / 3), "x".repeat(rest % 3)))
}

pub(crate) const ROWS: &[Row] = &[
    row(
        &[1],
        "a length and chunks: the chunks count, and there is one request",
        |stage| {
            chunked_as(
                stage,
                &[
                    "Content-Length: 5\r\nTransfer-Encoding: chunked",
                    "Transfer-Encoding: chunked\r\nContent-Length: 3",
                    "Content-Length: 999999\r\nTransfer-Encoding: chunked",
                ],
            )
        },
        Taken(201),
    ),
    row(
        &[1],
        "a length and no chunks",
        |stage| {
            produces(
                stage,
                &[
                    "Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\n[1,2]",
                    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n[1,2]",
                    "Content-Length: 6\r\nTransfer-Encoding: xchunked\r\n\r\n[1,2]x",
                ],
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[2, 3],
        "several lengths",
        |stage| {
            produces(
                stage,
                &[
                    "Content-Length: 5\r\nContent-Length: 6\r\n\r\n[1,2]x",
                    "Content-Length: 6\r\nContent-Length: 5\r\n\r\n[1,2]x",
                    "Content-Length: 5, 6\r\n\r\n[1,2]x",
                    "Content-Length: 5, 5\r\n\r\n[1,2]",
                    "Content-Length: 5 5\r\n\r\n[1,2]",
                ],
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[2, 3],
        "the same length twice is that length",
        |stage| produces(stage, &["Content-Length: 5\r\nContent-Length: 5\r\n\r\n[1,2]"]),
        Taken(201),
    ),
    row(
        &[3],
        "what is no length",
        |stage| {
            each(["+5", "0x5", "-1", "-0", "5.0", "5e0", "", "five", "5;", "99999999999999999999", "\x0b5"], |length| {
                produce(stage, &format!("Content-Length: {length}\r\n\r\n[1,2]"))
            })
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[3],
        "more than there can be",
        |stage| {
            each(["9223372036854775808", "18446744073709551615"], |length| {
                produce(stage, &format!("Content-Length: {length}\r\n\r\n[1,2]"))
            })
        },
        RefusedAs(&[(413, "request_too_large"), (431, "headers_too_large")]),
    ),
    row(
        &[4],
        "codings of the transfer that nobody undoes",
        |stage| {
            chunked_as(
                stage,
                &[
                    "Transfer-Encoding: xchunked",
                    "Transfer-Encoding: chunked, identity",
                    "Transfer-Encoding: \x0bchunked",
                    "Transfer-Encoding: chunked\x0b",
                    "Transfer-Encoding: identity",
                    "Transfer-Encoding: gzip",
                    "Transfer-Encoding: gzip, chunked",
                    "Transfer-Encoding: identity, chunked",
                    "Transfer-Encoding: chunked, chunked",
                    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
                    "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
                    "Transfer-Encoding: \"chunked\"",
                    "Transfer-Encoding: chunked;x=y",
                    "Transfer-Encoding:",
                ],
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[4],
        "case does not count",
        |stage| chunked_as(stage, &["transfer-encoding: Chunked", "TRANSFER-ENCODING:\tCHUNKED "]),
        Taken(201),
    ),
    row(
        &[5],
        "a blank before the colon",
        |stage| {
            chunked_as(
                stage,
                &["Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked"],
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[6],
        "chunks in HTTP/1.0",
        |stage| {
            raws(
                stage,
                &[
                    "POST /v1/topics/orders/values HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n0\r\n\r\n",
                    "POST /v1/topics/orders/values HTTP/1.0\r\nHost: HOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n[1,2]",
                ],
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[7],
        "chunks that are none",
        |stage| {
            let long = format!("5;{}\r\n[1,2]\r\n0\r\n\r\n", "x".repeat(1 << 20));
            each(
                [
                    "FFFFFFFFFFFFFFFFF\r\n[1,2]\r\n0\r\n\r\n",
                    "10000000000000000\r\n[1,2]\r\n0\r\n\r\n",
                    "-1\r\n[1,2]\r\n0\r\n\r\n",
                    "+5\r\n[1,2]\r\n0\r\n\r\n",
                    "0x5\r\n[1,2]\r\n0\r\n\r\n",
                    " 5\r\n[1,2]\r\n0\r\n\r\n",
                    "\r\n[1,2]\r\n0\r\n\r\n",
                    "five\r\n[1,2]\r\n0\r\n\r\n",
                    "5\n[1,2]\n0\n\n",
                    "5\r[1,2]\r\n0\r\n\r\n",
                    "5\r\n[1,2]xx0\r\n\r\n",
                    "4\r\n[1,2]\r\n0\r\n\r\n",
                    &long,
                ],
                |chunks| produce(stage, &format!("Transfer-Encoding: chunked\r\n\r\n{chunks}")),
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[7],
        "a chunk of a small extension is a chunk",
        |stage| {
            produces(
                stage,
                &[
                    "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n[1,2]\r\n0\r\n\r\n",
                    "Transfer-Encoding: chunked\r\n\r\n00005\r\n[1,2]\r\n0\r\n\r\n",
                ],
            )
        },
        Taken(201),
    ),
    row(
        &[8],
        "lines that go on in the next",
        |stage| {
            raws(
                stage,
                &[
                    "GET /v1 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nX: a\r\n b\r\n\r\n",
                    "GET /v1 HTTP/1.1\r\nHost: HOST\r\n\tevil.com\r\nConnection: close\r\n\r\n",
                    "GET /v1 HTTP/1.1\r\n Host: HOST\r\nConnection: close\r\n\r\n",
                ],
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[8],
        "line feeds alone are ends of lines",
        |stage| {
            raws(
                stage,
                &[
                    "GET /v1 HTTP/1.1\nHost: HOST\nConnection: close\n\n",
                    "GET /v1 HTTP/1.1\r\nHost: HOST\nConnection: close\r\n\n",
                ],
            )
        },
        Taken(200),
    ),
    row(
        &[8, 17],
        "returns alone are none",
        |stage| {
            raws(
                stage,
                &[
                    "GET /v1 HTTP/1.1\rHost: HOST\rConnection: close\r\r\n\r\n",
                    "GET /v1 HTTP/1.1\r\nHost: HOST\rConnection: close\r\n\r\n",
                ],
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[9],
        "a body where none has a meaning",
        |stage| {
            let chunked = raws(
                stage,
                &[
                    "GET /v1 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n0\r\n\r\n",
                ],
            );
            let sized = [
                get("/v1").body("[1,2]"),
                get("/v1/topics/orders/records").json(r#"{"records":[{"value":1}]}"#),
                get("/v1").body("x".repeat(100_000)),
                request("HEAD", "/v1").body("x"),
                get("/v1").body("GET /v1 HTTP/1.1\r\n\r\n"),
            ];
            chunked.into_iter().chain(sized).collect()
        },
        Taken(200),
    ),
    row(
        &[10],
        "not one host",
        |stage| {
            raws(
                stage,
                &[
                    "GET /v1 HTTP/1.1\r\nConnection: close\r\n\r\n",
                    "GET /v1 HTTP/1.0\r\n\r\n",
                    "GET /v1 HTTP/1.1\r\nHost: HOST\r\nHost: evil.com\r\nConnection: close\r\n\r\n",
                    "GET /v1 HTTP/1.1\r\nHost: evil.com\r\nHost: HOST\r\nConnection: close\r\n\r\n",
                    "GET /v1 HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\nConnection: close\r\n\r\n",
                    "GET /v1 HTTP/1.1\r\nHost: \u{e9}\r\nConnection: close\r\n\r\n",
                ],
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[10, 11],
        "a host that is not ours",
        |stage| {
            raws(
                stage,
                &[
                    "GET /v1 HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n",
                    "GET /v1 HTTP/1.1\r\nHost: HOST, evil.com\r\nConnection: close\r\n\r\n",
                    "GET http://evil.com/v1 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
                    "GET https://evil.com:1/v1 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
                    "GET http://evil.com@HOST/v1 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
                    "GET http://HOST@evil.com/v1 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
                    "GET http://HOST/v1 HTTP/1.1\r\nHost: evil.com\r\nConnection: close\r\n\r\n",
                    "PUT http://evil.com/v1/topics/made HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
                ],
            )
        },
        Refused(421, "host_not_allowed"),
    ),
    row(
        &[11],
        "a target with our own host",
        |stage| {
            raws(
                stage,
                &[
                    "GET http://HOST/v1 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
                    "GET http://localhost/v1 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
                ],
            )
        },
        Taken(200),
    ),
    row(
        &[12],
        "what is no HTTP/1.1",
        |stage| {
            raws(
                stage,
                &[
                    "GET /v1\r\n\r\n",
                    "GET\r\n\r\n",
                    "nonsense\r\n\r\n",
                    "GET /v1 HTTP/1.2\r\nHost: HOST\r\n\r\n",
                    "GET /v1 HTTP/3.7\r\nHost: HOST\r\n\r\n",
                    "GET /v1 http/1.1\r\nHost: HOST\r\n\r\n",
                    "GET /v1 HTTPS/1.1\r\nHost: HOST\r\n\r\n",
                    "GET\t/v1\tHTTP/1.1\r\nHost: HOST\r\n\r\n",
                    "GET /v1 HTTP/1.1 x\r\nHost: HOST\r\n\r\n",
                    "GET /v1/topics/a b HTTP/1.1\r\nHost: HOST\r\n\r\n",
                    "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
                    "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n",
                    "\0\0\0\0\0\0\0\0\r\n\r\n",
                    "SSH-2.0-OpenSSH_9.6\r\n\r\n",
                    "*1\r\n$4\r\nPING\r\n\r\n",
                ],
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[12],
        "HTTP/2 that breaks off in garbage",
        |stage| {
            raws(
                stage,
                &[
                    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage garbage garbage",
                    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u{0}\u{0}\u{0}\u{1}\u{0}\u{0}\u{0}\u{0}\u{0}",
                    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x7f\x7f\x7f\x04\0\0\0\0\0",
                ],
            )
        },
        Cut,
    ),
    row(
        &[14],
        "a body too large is refused before it is sent",
        |stage| {
            each([(16_u64 << 20) + 1, 1 << 30, 1_600 << 20, 1 << 62], |length| {
                produce(stage, &format!("Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"))
            })
        },
        Refused(413, "request_too_large"),
    ),
    row(
        &[15],
        "methods that there are not",
        |_| {
            let methods = ["TRACE", "TRACK", "BREW", "PROPFIND", "get", "Get", "GETT", "LINK", "M-SEARCH"];
            let tunnels = ["evil.com:443", "127.0.0.1:22"].map(|to| request("CONNECT", to));
            each(methods, |method| request(method, "/v1/topics/orders"))
                .into_iter()
                .chain(tunnels)
                .chain([post("/v1"), request("PATCH", "/v1/topics")])
                .collect()
        },
        Refused(405, "method_not_allowed"),
    ),
    row(
        &[15],
        "methods that cannot be",
        |_| each(["G{}T", "GE\u{e9}", "(GET)", "G\0T"], |method| request(method, "/v1")),
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[15],
        "targets of no path",
        |_| vec![request("OPTIONS", "*"), get("*"), get("/v1/topics/orders/no/such/path")],
        Refused(404, "unknown_path"),
    ),
    row(
        &[16],
        "just as many headers, and just as long, as may be",
        |_| vec![headers(64), long_header(8 << 10)],
        Taken(200),
    ),
    row(&[16], "just as long a target as may be", |_| vec![long_target(8 << 10)], Taken(200)),
    row(
        &[16],
        "too many headers",
        |_| vec![headers(65), headers(99), headers(101), headers(6_400)],
        Refused(431, "headers_too_large"),
    ),
    row(
        &[16],
        "headers too long",
        |_| {
            let many = |count: usize| {
                (0..count).fold(get("/v1"), |input, n| input.with(format!("X-{n}: {}", "y".repeat(7_000))))
            };
            vec![long_header((8 << 10) + 1), long_header(40 << 10), long_header(800 << 10), many(5), many(50)]
        },
        Refused(431, "headers_too_large"),
    ),
    row(
        &[16],
        "a target too long",
        |_| vec![long_target((8 << 10) + 1), long_target(9 << 10), long_target(50 << 10)],
        Refused(414, "uri_too_long"),
    ),
    row(
        &[16],
        "a target that is too long to be read at all",
        |_| vec![long_target(100 << 10), long_target(800 << 10)],
        Refused(431, "headers_too_large"),
    ),
    row(
        &[17],
        "header fields that cannot be",
        |_| {
            each(
                [
                    "X: a\0b",
                    "X: a\rb",
                    "X: a\r\rb",
                    "X: a\x7fb",
                    "X: a\x07b",
                    "X: \x1b[31m",
                    "X y: b",
                    "X\0: b",
                    "X",
                    ": b",
                    "X\u{e9}: b",
                    "X(: b",
                    "Injected\r: b",
                ],
                |header| get("/v1").with(header),
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[19],
        "trailer fields say nothing",
        |stage| {
            each(
                [
                    "X: y",
                    "Content-Length: 9",
                    "Transfer-Encoding: gzip",
                    "Host: evil.com",
                    "Authorization: Bearer x",
                    "Injected: yes",
                ],
                |field| {
                    produce(
                        stage,
                        &format!("Trailer: X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n0\r\n{field}\r\n\r\n"),
                    )
                },
            )
        },
        Taken(201),
    ),
    row(
        &[19],
        "trailer fields without end",
        |stage| {
            each(
                [format!("X: {}\r\n", "y".repeat(100_000)), "X: y\r\n".repeat(2_000), "X: \0\r\n".to_owned()],
                |fields| produce(stage, &format!("Transfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n0\r\n{fields}\r\n")),
            )
        },
        Refused(400, "invalid_parameter"),
    ),
];

async fn every_line_about_framing_gets_its_answer(backend: Backend) {
    run("framing", backend, ROWS, &Stage::set(backend).await).await;
}

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

async fn a_body_that_stays_away_is_408_and_writes_nothing(backend: Backend) {
    const PATIENCE: Duration = Duration::from_secs(240); // eight times what the gateway has
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let body = r#"{"records":[{"value":1},{"value":2}]}"#;
    let mut silent = Vec::new();
    for (path, kind) in [("/records", "json"), ("/values", "json"), ("/records?atomic=true", "x-ndjson")] {
        for cut in [0, 1, body.len() - 1] {
            let mut connection = Connection::open(gateway.address()).await;
            let (path, host, length) = (topic.path(path), gateway.address(), body.len());
            let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n");
            connection.send(format!("{head}Content-Type: application/{kind}\r\n\r\n{}", &body[..cut])).await;
            silent.push(connection);
        }
    }
    for mut connection in silent {
        let head = within(PATIENCE, "an answer to half a request", connection.head_or_end()).await;
        assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    }
    assert_unharmed(&gateway, &topic, "a body that stays away").await;
}

async fn a_thousand_pipelined_requests_are_answered_in_order(backend: Backend) {
    const COUNT: usize = 1_000;
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let mut connection = Connection::open(gateway.address()).await;
    let mut requests = String::new();
    for n in 0..COUNT {
        let (path, host) = (topic.path("/values"), gateway.address());
        let body = format!("[{n}]");
        let length = body.len();
        requests.push_str(&format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}"));
    }
    connection.send(requests).await;
    for n in 0..COUNT {
        let head = connection.head().await;
        assert_eq!(head.status, 201);
        let receipt: serde_json::Value = serde_json::from_str(&connection.body(&head).await).expect("JSON");
        assert_eq!(receipt["offset"], n);
    }
    let values: Vec<_> = (0..COUNT).map(|n| format!("[{n}]")).collect();
    assert_eq!(topic.read("max_records=1000").await.values(), values);
}

async fn one_request_is_never_taken_for_two(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    let host = format!("Host: {}", gateway.address());
    let inner = format!("PUT /v1/topics/smuggled HTTP/1.1\r\n{host}\r\nContent-Length: 0\r\n\r\n");
    let length = inner.len();
    let post = format!("POST {} HTTP/1.1\r\n{host}\r\n", topic.path("/values"));
    let last = format!("GET /healthz HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n");
    for (request, answers) in [
        // Read and passed over, whichever way it is framed: the next request is the last.
        (format!("GET /v1 HTTP/1.1\r\n{host}\r\nContent-Length: {length}\r\n\r\n{inner}"), 2),
        (
            format!(
                "GET /v1 HTTP/1.1\r\n{host}\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{inner}\r\n0\r\n\r\n"
            ),
            2,
        ),
        (format!("{post}Content-Type: image/png\r\nContent-Length: {length}\r\n\r\n{inner}"), 2),
        (format!("{post}Expect: 100-continue\r\nContent-Length: 1073741824\r\n\r\n{inner}"), 1),
    ] {
        let found = statuses(&gateway, format!("{request}{last}").as_bytes()).await;
        assert!(found.len() <= answers && found.iter().all(|status| *status < 500), "{request:?}: {found:?}");
    }
    // With both framings the chunks count, and nobody reads on behind them on that connection.
    let both =
        format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n{inner}");
    assert_eq!(statuses(&gateway, both.as_bytes()).await, [400], "an empty body, and nothing behind it");
    gateway.get("/v1/topics/smuggled").send().await.problem(404, "unknown_topic");
}
