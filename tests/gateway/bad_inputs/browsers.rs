//! What pages of others can make a browser send: foreign hosts, foreign origins, forms, and cookies that ride along.

use serde_json::json;

use crate::bad_inputs::input::Input;
use crate::bad_inputs::input::all;
use crate::bad_inputs::input::each;
use crate::bad_inputs::input::get;
use crate::bad_inputs::input::post;
use crate::bad_inputs::input::put;
use crate::bad_inputs::input::request;
use crate::bad_inputs::stage::Stage;
use crate::bad_inputs::table::Row;
use crate::bad_inputs::table::row;
use crate::bad_inputs::table::run;
use crate::bad_inputs::told::Answer::Opens;
use crate::bad_inputs::told::Answer::Refused;
use crate::bad_inputs::told::Answer::Shows;
use crate::bad_inputs::told::Answer::Taken;
use crate::harness::Backend;
use crate::harness::access::text;
use crate::harness::on_sqlite;
use crate::harness::topic::Topic;

on_sqlite!("what a browser may not send never comes as far as the database":
    every_line_about_browsers_gets_its_answer,
    a_cookie_counts_only_for_pages_of_our_own,
);

const APP: &str = "https://app.example.com";
const ORDERS: &str = "/v1/topics/orders/records";

/// Calls of every kind.
fn calls() -> [Input; 7] {
    [
        get("/v1"),
        get(ORDERS),
        get(format!("{ORDERS}?format=sse")),
        post("/v1/topics/orders/values").json("1"),
        put("/v1/topics/made"),
        request("DELETE", "/v1/topics/orders"),
        request("OPTIONS", "/v1/topics/orders").with("Access-Control-Request-Method: DELETE"),
    ]
}

fn from(origins: &[&str]) -> Vec<Input> {
    all(origins, |origin| calls().map(|input| input.with(format!("Origin: {origin}"))))
}

/// The bare value of a record as a page would open it.
fn opened(offset: u64) -> Input {
    get(format!("/v1/topics/html/partitions/0/records/{offset}/value"))
        .with("Accept: text/html")
        .with("Sec-Fetch-Mode: navigate")
        .with("Sec-Fetch-Dest: document")
        .with("Sec-Fetch-Site: same-origin")
}

/// How a bare value is kept from being taken for a page.
const JSON_DOWNLOAD: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("content-disposition", "attachment"),
    ("content-security-policy", "default-src 'none'; sandbox"),
    ("x-content-type-options", "nosniff"),
];
const BYTES_DOWNLOAD: &[(&str, &str)] = &[
    ("content-type", "application/octet-stream"),
    ("content-disposition", "attachment"),
    ("content-security-policy", "default-src 'none'; sandbox"),
    ("x-content-type-options", "nosniff"),
];

pub(crate) const ROWS: &[Row] = &[
    row(
        &[100],
        "hosts that are not ours",
        |stage| {
            let port = stage.gateway.address().port();
            let hosts = [
                "evil.com",
                "127.0.0.1.evil.com",
                "localhost.evil.com",
                "evil.localhost",
                "tides.example.com.evil.com",
                "xtides.example.com",
                "example.com",
                "2130706433",
                "0x7f000001",
                "0177.0.0.1",
                "127.1",
                "0.0.0.0",
                "169.254.169.254",
                "[::2]",
                "[::ffff:10.0.0.1]",
                "localhost@evil.com",
                "localhost#",
                "*",
                "127.0.0.1,evil.com",
            ];
            hosts
                .into_iter()
                .flat_map(|host| {
                    [get("/v1"), get(ORDERS), put("/v1/topics/made"), request("DELETE", "/v1/topics/orders"), get("/")]
                        .map(|input| input.with(format!("Host: {host}:{port}")))
                })
                .collect()
        },
        Refused(421, "host_not_allowed"),
    ),
    row(
        &[100],
        "hosts that are ours",
        |stage| {
            let port = stage.gateway.address().port();
            ["localhost", "127.0.0.1", "[::1]", "tides.example.com", "LOCALHOST", "Tides.Example.COM"]
                .into_iter()
                .flat_map(|host| {
                    [get("/v1").with(format!("Host: {host}")), get("/v1").with(format!("Host: {host}:{port}"))]
                })
                .collect()
        },
        Taken(200),
    ),
    row(
        &[101, 104, 105],
        "origins that are neither ours nor listed",
        |_| {
            from(&[
                "https://evil.com",
                "null",
                "NULL",
                "file://",
                "http://localhost:1",
                "http://127.0.0.1",
                "https://app.example.com.evil.com",
                "https://evil-app.example.com",
                "https://evil.com/https://app.example.com",
                "http://app.example.com",
                "https://app.example.com:8443",
                "https://app.example.com/",
                "https://sub.app.example.com",
                "https://example.com",
                "app.example.com",
                "https://app.example.com@evil.com",
                "https://app.example.com, https://evil.com",
                "https://app.example.com.",
                "https://app.example.com%00",
                "https://app\u{2024}example.com",
                "chrome-extension://abc",
                "*",
                "",
            ])
        },
        Refused(403, "origin_not_allowed"),
    ),
    row(
        &[105],
        "two origins",
        |_| calls().map(|input| input.with(format!("Origin: {APP}")).with("Origin: https://evil.com")).into(),
        Refused(403, "origin_not_allowed"),
    ),
    row(
        &[102],
        "forms of other pages",
        |_| {
            all(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"], |kind| {
                [post("/v1/topics/orders/values"), post(ORDERS), post("/v1/records"), post("/v1/keys")].map(|input| {
                    input
                        .typed(kind, r#"{"records":[{"value":1}]}"#)
                        .with("Origin: https://evil.com")
                        .with("Sec-Fetch-Site: cross-site")
                        .with("Sec-Fetch-Mode: navigate")
                })
            })
            .into_iter()
            .chain([post("/v1/topics/orders/values")
                .typed("text/plain", "x")
                .with("Sec-Fetch-Site: cross-site")
                .with("Sec-Fetch-Mode: no-cors")])
            .collect()
        },
        Refused(403, "origin_not_allowed"),
    ),
    row(
        &[103],
        "preflights of origins that are not listed",
        |_| {
            all(["https://evil.com", "null", "https://app.example.com.evil.com"], |origin| {
                ["POST", "PUT", "DELETE", "PATCH"].map(|method| {
                    request("OPTIONS", "/v1/topics/orders")
                        .with(format!("Origin: {origin}"))
                        .with(format!("Access-Control-Request-Method: {method}"))
                        .with("Access-Control-Request-Headers: authorization")
                })
            })
        },
        Refused(403, "origin_not_allowed"),
    ),
    row(
        &[103, 105],
        "the preflight of the one that is",
        |_| {
            vec![
                request("OPTIONS", "/v1/topics/orders")
                    .with(format!("Origin: {APP}"))
                    .with("Access-Control-Request-Method: PUT"),
            ]
        },
        Shows(204, &[("access-control-allow-origin", APP)]),
    ),
    row(
        &[105],
        "a call of the one that is",
        |_| vec![get(ORDERS).with(format!("Origin: {APP}")).with("Sec-Fetch-Site: cross-site")],
        Shows(200, &[("access-control-allow-origin", APP)]),
    ),
    row(
        &[106],
        "requests across sites without an origin",
        |_| {
            each(
                [
                    ORDERS,
                    "/v1/topics/orders/records?format=sse",
                    "/v1/topics",
                    "/openapi.json",
                    "/v1/groups/g/records?topic=orders",
                ],
                |target| {
                    get(target)
                        .with("Sec-Fetch-Site: cross-site")
                        .with("Sec-Fetch-Mode: no-cors")
                        .with("Sec-Fetch-Dest: image")
                },
            )
        },
        Refused(403, "origin_not_allowed"),
    ),
    row(
        &[106],
        "streams across sites, as an event source and as a frame",
        |_| {
            each(["cors", "navigate", "same-origin", "websocket"], |mode| {
                get(format!("{ORDERS}?format=sse"))
                    .with("Sec-Fetch-Site: cross-site")
                    .with(format!("Sec-Fetch-Mode: {mode}"))
                    .with("Sec-Fetch-Dest: iframe")
            })
        },
        Refused(403, "origin_not_allowed"),
    ),
    row(
        &[106],
        "a link to a page may be followed",
        |_| {
            vec![
                get("/")
                    .with("Sec-Fetch-Site: cross-site")
                    .with("Sec-Fetch-Mode: navigate")
                    .with("Sec-Fetch-Dest: document"),
            ]
        },
        Taken(200),
    ),
    row(
        &[106],
        "streams of our own pages",
        |_| {
            each(["same-origin", "none"], |site| {
                get(format!("{ORDERS}?format=sse")).with(format!("Sec-Fetch-Site: {site}"))
            })
        },
        Opens(200),
    ),
    row(
        &[108],
        "a bare value of JSON downloads, and never renders",
        |_| vec![opened(0), opened(1)],
        Shows(200, JSON_DOWNLOAD),
    ),
    row(
        &[108],
        "a bare value of bytes downloads, and never renders",
        |_| vec![opened(2), opened(3)],
        Shows(200, BYTES_DOWNLOAD),
    ),
];

/// Rows that need a ticket in a cookie.
pub(crate) const COOKIES: &[Row] = &[
    row(
        &[107],
        "a cookie with a page that is not ours",
        |stage| {
            all(["https://evil.com", "null", "https://app.example.com.evil.com"], |origin| {
                [get(format!("{ORDERS}?format=sse")), get(ORDERS), post("/v1/topics/orders/values").json("1")]
                    .map(|input| input.with(format!("Origin: {origin}")))
            })
            .into_iter()
            .chain([
                get(format!("{ORDERS}?format=sse")).with("Sec-Fetch-Site: cross-site"),
                get(ORDERS).with("Sec-Fetch-Site: cross-site").with("Sec-Fetch-Mode: no-cors"),
            ])
            .map(|input| input.with(format!("Cookie: tidegate_ticket={}", stage.kept("ticket"))))
            .collect()
        },
        Refused(403, "origin_not_allowed"),
    ),
    row(
        &[107],
        "a cookie on what it is not for",
        |stage| {
            [
                post("/v1/topics/orders/values").json("1"),
                put("/v1/topics/made"),
                get("/v1/keys"),
                request("DELETE", "/v1/topics/orders"),
            ]
            .map(|input| input.with(format!("Cookie: tidegate_ticket={}", stage.kept("ticket"))))
            .into()
        },
        Refused(401, "unauthorized"),
    ),
    row(
        &[107],
        "a cookie with a page of our own",
        |stage| {
            vec![
                get(format!("{ORDERS}?format=sse"))
                    .with(format!("Cookie: tidegate_ticket={}", stage.kept("ticket")))
                    .with(format!("Origin: http://{}", stage.host()))
                    .with("Sec-Fetch-Site: same-origin"),
            ]
        },
        Opens(200),
    ),
];

const FLAGS: &[&str] = &["--allowed-host", "tides.example.com", "--cors-origin", APP];

async fn every_line_about_browsers_gets_its_answer(backend: Backend) {
    let stage = Stage::with(backend, FLAGS).await;
    let page = "<!doctype html><script>alert(document.domain)</script>";
    let html = Topic::create(&stage.root, "html", 1).await;
    html.produce(&json!([{ "value": page }, { "value": { "html": page } }])).await;
    for kind in ["image/svg+xml-x", "application/pdf"] {
        stage.root.post(&html.path("/values")).header("content-type", kind).body(page).send().await.is(201);
    }
    run("browsers", backend, ROWS, &stage).await;
}

async fn a_cookie_counts_only_for_pages_of_our_own(backend: Backend) {
    let mut stage = Stage::guarded(backend, FLAGS).await;
    let ticket = stage.root.post("/v1/tickets").json(&json!({ "topic": "orders" })).send().await.is(201).json();
    stage.keep("ticket", text(&ticket["ticket"]));
    run("cookies", backend, COOKIES, &stage).await;
}
