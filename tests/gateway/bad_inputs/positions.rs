//! Cursors, offsets and parameters: what was never given out, what belongs to something else, and what is out of range.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::bad_inputs::input::Input;
use crate::bad_inputs::input::all;
use crate::bad_inputs::input::batch;
use crate::bad_inputs::input::delete;
use crate::bad_inputs::input::each;
use crate::bad_inputs::input::get;
use crate::bad_inputs::input::post;
use crate::bad_inputs::input::put;
use crate::bad_inputs::stage::Stage;
use crate::bad_inputs::table::Row;
use crate::bad_inputs::table::row;
use crate::bad_inputs::table::run;
use crate::bad_inputs::told::Answer::Opens;
use crate::bad_inputs::told::Answer::Refused;
use crate::bad_inputs::told::Answer::Says;
use crate::bad_inputs::told::Answer::Taken;
use crate::harness::Backend;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;

on_each_backend!(every_line_about_positions_gets_its_answer);

/// A gateway whose `orders` has the records 3 to 9, with cursors of this topic and of others.
async fn stage(backend: Backend) -> Stage {
    let mut stage = Stage::set(backend).await;
    let orders = Topic::named(&stage.root, "orders");
    orders.count(0, 0..5).await;
    stage.keep("expired", orders.read("max_records=1").await.cursor);
    orders.count(0, 5..10).await;
    orders.trim(0, 3).await;
    stage.keep("good", orders.read("max_records=2").await.cursor);
    for name in ["other", "deleted", "made-anew"] {
        let topic = Topic::create(&stage.root, name, 2).await;
        topic.count(1, 0..3).await;
        let cursor = topic.read("max_records=1").await.cursor;
        match name {
            "other" => stage.keep("of another", cursor),
            "deleted" => stage.keep("of a deleted one", cursor),
            _ => stage.keep("of a former one", cursor),
        }
        if name != "other" {
            topic.delete().await;
        }
    }
    Topic::create(&stage.root, "made-anew", 2).await;
    stage
}

/// A text in every place that takes a cursor.
fn as_cursor(text: &str) -> [Input; 4] {
    let records = "/v1/topics/orders/records";
    [
        get(format!("{records}?cursor={text}")),
        get(format!("{records}?format=ndjson&cursor={text}")),
        get(format!("{records}?format=sse&cursor={text}")),
        get(format!("{records}?format=sse&last_event_id={text}")),
    ]
}

fn records(queries: &[&str]) -> Vec<Input> {
    each(queries, |query| get(format!("/v1/topics/orders/records?{query}")))
}

pub(crate) const ROWS: &[Row] = &[
    row(
        &[70],
        "what was never a cursor",
        |_| {
            all(
                [
                    "",
                    "x",
                    "0",
                    "-",
                    "....",
                    "null",
                    "%00",
                    "%20",
                    "a%20b",
                    "%F0%9F%98%80",
                    "%ff%00",
                    "%27%20OR%201=1",
                    &"A".repeat(1_500),
                    &"A".repeat(1_600),
                    "eyJvIjowfQ",
                    "=",
                    "AAAA",
                ],
                |text| as_cursor(text),
            )
            .into_iter()
            .filter(|input| !input.to_string().contains("%ff"))
            .collect()
        },
        Refused(400, "invalid_cursor"),
    ),
    row(&[70], "a cursor that is no UTF-8", |_| as_cursor("%ff%00").into(), Refused(400, "invalid_parameter")),
    row(
        &[70],
        "a cursor cut at every length",
        |stage| {
            let good = stage.kept("good");
            all(1..good.len(), |length| as_cursor(&good[..length]))
                .into_iter()
                .chain(all(1..good.len(), |begin| as_cursor(&good[begin..])))
                .collect()
        },
        Refused(400, "invalid_cursor"),
    ),
    row(
        &[70],
        "a cursor with one character changed",
        |stage| {
            let good = stage.kept("good");
            let mut inputs = Vec::new();
            for (at, was) in good.char_indices() {
                for other in "AZaz09-_.".chars().filter(|other| *other != was) {
                    let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
                    inputs.push(get(format!("/v1/topics/orders/records?cursor={changed}")));
                }
            }
            inputs
        },
        Refused(400, "invalid_cursor"),
    ),
    row(
        &[70],
        "a cursor with something before or behind it",
        |stage| {
            all(["A", "AA", "AAAA", ".", "-", "%00", "="], |more| as_cursor(&format!("{}{more}", stage.kept("good"))))
                .into_iter()
                .chain(all(["A", ".", "-"], |more| as_cursor(&format!("{more}{}", stage.kept("good")))))
                .collect()
        },
        Refused(400, "invalid_cursor"),
    ),
    row(
        &[70, 79],
        "a cursor of another topic",
        |stage| {
            as_cursor(stage.kept("of another"))
                .into_iter()
                .chain([
                    get(format!("/v1/records?topic=orders&topic=other&cursor={}", stage.kept("good"))),
                    get(format!("/v1/topics/other/records?cursor={}", stage.kept("good"))),
                ])
                .collect()
        },
        Refused(400, "invalid_cursor"),
    ),
    row(
        &[70],
        "the cursor as it was given",
        |stage| vec![get(format!("/v1/topics/orders/records?cursor={}", stage.kept("good")))],
        Taken(200),
    ),
    row(
        &[71],
        "a cursor of a topic that is deleted",
        |stage| {
            vec![
                get(format!("/v1/topics/deleted/records?cursor={}", stage.kept("of a deleted one"))),
                get(format!("/v1/topics/deleted/records?format=sse&cursor={}", stage.kept("of a deleted one"))),
            ]
        },
        Refused(404, "unknown_topic"),
    ),
    row(
        &[71],
        "a cursor of a topic that was made anew",
        |stage| {
            vec![
                get(format!("/v1/topics/made-anew/records?cursor={}", stage.kept("of a former one"))),
                get(format!("/v1/topics/made-anew/records?format=sse&last_event_id={}", stage.kept("of a former one"))),
                get("/v1/topics/made-anew/records")
                    .with("Accept: text/event-stream")
                    .with(format!("Last-Event-ID: {}", stage.kept("of a former one"))),
            ]
        },
        Refused(410, "topic_recreated"),
    ),
    row(
        &[71, 73],
        "a cursor behind which records are gone",
        |stage| {
            vec![
                get(format!("/v1/topics/orders/records?cursor={}", stage.kept("expired"))),
                get("/v1/topics/orders/partitions/0/records?offset=2"),
                get("/v1/topics/orders/partitions/0/records/0"),
                get("/v1/topics/orders/partitions/0/records/2/value"),
            ]
        },
        Refused(410, "offset_expired"),
    ),
    row(
        &[64],
        "an id behind which records are gone is told of a gap",
        |stage| {
            vec![
                get("/v1/topics/orders/records")
                    .with("Accept: text/event-stream")
                    .with(format!("Last-Event-ID: {}", stage.kept("expired"))),
            ]
        },
        Opens(200),
    ),
    row(
        &[72],
        "what is no position",
        |_| {
            all(
                [
                    "9223372036854775808",
                    "9223372036854775807",
                    "9007199254740992",
                    "1.5",
                    "-1.5",
                    "1e12",
                    "now",
                    "earlist",
                    "Earliest",
                    "LATEST",
                    "%20latest",
                    "latest%00",
                    "",
                    "-",
                    "--1",
                    "+5",
                    "-1e3",
                    "-01",
                    "0x10",
                    "2023-11-14",
                    "2023-11-14T25:00:00Z",
                    "2023-02-30T00:00:00Z",
                    "0",
                    "42",
                    "99999999999",
                    "null",
                ],
                |text| {
                    [
                        get(format!("/v1/topics/orders/records?from={text}")),
                        get(format!("/v1/topics/orders/records?format=sse&from={text}")),
                        get(format!("/v1/topics/orders/partitions/0/offsets?at={text}")),
                        put("/v1/groups/g/offsets").json(format!(r#"{{"topic":"orders","to":"{text}"}}"#)),
                    ]
                },
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(&[72], "-1 is the last record", |_| records(&["from=-1"]), Says(200, r#""value":9"#)),
    row(
        &[72],
        "what is no offset",
        |_| {
            all(
                [
                    "-1",
                    "1.5",
                    "1e0",
                    "01",
                    "+5",
                    "",
                    "x",
                    "earliest",
                    "9007199254740992",
                    "9223372036854775807",
                    "9223372036854775808",
                    "18446744073709551616",
                    "%00",
                    "%20",
                ],
                |text| {
                    [
                        get(format!("/v1/topics/orders/partitions/0/records?offset={text}")),
                        get(format!("/v1/topics/orders/partitions/0/records?format=sse&offset={text}")),
                        get(format!(
                            "/v1/topics/orders/partitions/0/records/{}",
                            if text.is_empty() { "%20" } else { text }
                        )),
                        delete(format!("/v1/topics/orders/partitions/0/records?before_offset={text}")),
                    ]
                },
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[73],
        "offsets beyond the end",
        |_| {
            all(["11", "100", "9007199254740991"], |offset| {
                [
                    get(format!("/v1/topics/orders/partitions/0/records?offset={offset}")),
                    get(format!("/v1/topics/orders/partitions/0/records?format=sse&offset={offset}")),
                    get(format!("/v1/topics/orders/partitions/0/records?wait_ms=50000&offset={offset}")),
                    delete(format!("/v1/topics/orders/partitions/0/records?before_offset={offset}")),
                ]
            })
        },
        Refused(416, "offset_out_of_range"),
    ),
    row(
        &[73],
        "the end itself is empty",
        |_| vec![get("/v1/topics/orders/partitions/0/records?offset=10")],
        Says(200, r#""records":[]"#),
    ),
    row(
        &[73],
        "records that are not there yet",
        |_| {
            each(["10", "11", "9007199254740991"], |offset| {
                get(format!("/v1/topics/orders/partitions/0/records/{offset}"))
            })
        },
        Refused(404, "unknown_offset"),
    ),
    row(
        &[74, 75],
        "what is no number of the kind, or too small",
        |_| {
            let values = [
                "-1", "-0", "1e9", "1.5", "1s", "1k", "0x10", "", "%20", "+5", "05", "NaN", "Infinity", "true", "null",
                "%D9%A1",
            ];
            let bounds = ["max_records", "max_bytes", "wait_ms"];
            let all = bounds.iter().flat_map(|name| values.map(|value| format!("{name}={value}")));
            all.chain(["max_records=0".to_owned(), "max_bytes=0".to_owned()])
                .flat_map(|query| {
                    [
                        get(format!("/v1/topics/orders/records?{query}")),
                        get(format!("/v1/records?topic=orders&{query}")),
                    ]
                })
                .chain(each(["limit=0", "limit=-1", "limit=x", "limit=1.5", "limit="], |query| {
                    get(format!("/v1/topics?{query}"))
                }))
                .collect()
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[74, 75],
        "an upper bound beyond the server's own is lowered to it",
        |_| {
            records(&[
                "wait_ms=1000000000",
                "wait_ms=99999999999999999999",
                "max_bytes=1099511627776",
                "max_records=10001",
                "max_records=99999999999999999999",
                "max_bytes=1",
                "wait_ms=0",
            ])
        },
        Taken(200),
    ),
    row(
        &[76],
        "parameters that there are not",
        |_| {
            each(
                [
                    "/v1?x=1",
                    "/v1/topics?prefx=a",
                    "/v1/topics/orders?x=1",
                    "/v1/topics/orders/partitions/0?x",
                    "/v1/topics/orders/records?maxrecords=1",
                    "/v1/topics/orders/records?From=latest",
                    "/v1/topics/orders/records?from[]=latest",
                    "/v1/topics/orders/records?=1",
                    "/v1/topics/orders/records?%66rom%00=1",
                    "/v1/groups?x=1",
                ],
                get,
            )
            .into_iter()
            .chain([
                delete("/v1/topics/orders?force=true"),
                post("/v1/topics/orders/values?ack=1&seq=5").json("1"),
                post("/v1/topics/orders/records?dry_run=true").json(r#"{"records":[{"value":1}]}"#),
                put("/v1/topics/made?partitions=5"),
                delete("/v1/topics/orders/partitions/0/records?before=5"),
            ])
            .collect()
        },
        Refused(400, "unknown_parameter"),
    ),
    row(
        &[77],
        "parameters twice",
        |_| {
            records(&[
                "from=latest&from=earliest",
                "from=latest&from=latest",
                "max_records=1&max_records=2",
                "cursor=a&cursor=b",
                "format=json&format=sse",
                "key=a&key=b",
                "wait_ms=0&wait_ms=1",
                "from=latest&%66rom=latest",
                "lag=true&lag=true",
            ])
            .into_iter()
            .chain([
                get("/v1/topics?limit=1&limit=2"),
                post("/v1/topics/orders/values?key=a&key=b").json("1"),
                post("/v1/topics/orders/values?partition=0&partition=0").json("1"),
                get("/v1/topics/orders/records?format=sse&last_event_id=a&last_event_id=b"),
                delete("/v1/topics/orders/partitions/0/records?before_offset=4&before_offset=5"),
            ])
            .collect()
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[77],
        "topics and partitions may stand twice",
        |_| vec![get("/v1/records?topic=orders&topic=other"), get("/v1/topics/other/records?partition=0&partition=1")],
        Taken(200),
    ),
    row(
        &[78],
        "a semicolon is no end of a parameter",
        |_| records(&["max_records=1;from=latest", "from=latest;max_records=1", "lag=true;x=1"]),
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[78],
        "a semicolon is no end of a name either",
        |_| records(&["lag;x=true", ";from=latest"]),
        Refused(400, "unknown_parameter"),
    ),
    row(
        &[78],
        "a semicolon, a blank, a plus are characters of a key",
        |_| {
            each(["a;b=c", "a+b", "a%20b", "a%2Bb"], |key| {
                post(format!("/v1/topics/other/values?partition=0&key={key}")).json("1")
            })
        },
        Taken(201),
    ),
    row(
        &[78],
        "a plus in a query is a blank",
        |_| {
            vec![
                get("/v1/topics/other/records?partition=0&key=a+b&lag=true"),
                get("/v1/topics/other/records?partition=0&key=a%20b"),
            ]
        },
        Says(200, r#""key":"a b""#),
    ),
    row(
        &[78],
        "an encoded plus is a plus",
        |_| vec![get("/v1/topics/other/records?partition=0&key=a%2Bb")],
        Says(200, r#""key":"a+b""#),
    ),
    row(
        &[78],
        "a semicolon is in the key",
        |_| {
            vec![
                get("/v1/topics/other/records?partition=0&key=a;b=c"),
                get("/v1/topics/other/records?partition=0&key=a%3Bb%3Dc"),
            ]
        },
        Says(200, r#""key":"a;b=c""#),
    ),
    row(
        &[70],
        "page tokens that were never given out",
        |_| {
            let made = ["", "\0", "a\0", "a b", "__x", "..", "\u{1f600}"].map(|text| URL_SAFE_NO_PAD.encode(text));
            let tokens = made.into_iter().chain(["nonsense!", "%00", "A", "====", "null"].map(str::to_owned));
            tokens
                .flat_map(|token| {
                    [get(format!("/v1/topics?page_token={token}")), get(format!("/v1/groups?page_token={token}"))]
                })
                .collect()
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[75],
        "records with times that cannot be",
        |_| {
            each(["-1", "1.5", "x", "9007199254740992", "99999999999999999999", "1e12"], |time| {
                post(format!("/v1/topics/orders/values?timestamp={time}")).json("1")
            })
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[75],
        "records more than an hour ahead",
        |_| vec![batch(r#"{"value":1,"timestamp":9007199254740991}"#)],
        Refused(400, "invalid_record"),
    ),
];

async fn every_line_about_positions_gets_its_answer(backend: Backend) {
    run("positions", backend, ROWS, &stage(backend).await).await;
}
