//! Bodies: of the wrong type, packed to do harm, too large, too deep, or not what they say they are.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::bad_inputs::input::Input;
use crate::bad_inputs::input::all;
use crate::bad_inputs::input::batch;
use crate::bad_inputs::input::each;
use crate::bad_inputs::input::post;
use crate::bad_inputs::input::put;
use crate::bad_inputs::input::request;
use crate::bad_inputs::input::value;
use crate::bad_inputs::stage::Stage;
use crate::bad_inputs::table::Row;
use crate::bad_inputs::table::row;
use crate::bad_inputs::table::run;
use crate::bad_inputs::told::Answer::Refused;
use crate::bad_inputs::told::Answer::RefusedAs;
use crate::bad_inputs::told::Answer::Taken;
use crate::compressed::pack;
use crate::harness::Backend;
use crate::harness::on_each_backend;

on_each_backend!(every_line_about_bodies_gets_its_answer);

const VALUES: &str = "/v1/topics/orders/values";
const RECORDS: &str = "/v1/topics/orders/records";
const ATOMIC: &str = "/v1/topics/orders/records?atomic=true";
const ONE: &str = r#"{"records":[{"value":1}]}"#;
const MIB: usize = 1 << 20;

/// Lists or objects within each other, with nothing in the innermost.
fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn nested_objects(depth: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
}

/// A JSON text of so many bytes.
fn text_of(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

/// A text as a value, in every way to send one.
fn as_value(text: &str) -> [Input; 5] {
    [
        value(text),
        batch(format!(r#"{{"value":{text}}}"#)),
        post("/v1/records").json(format!(r#"{{"records":[{{"topic":"orders","value":{text}}}]}}"#)),
        post(RECORDS).ndjson(format!("{{\"value\":{text}}}\n")),
        post(ATOMIC).ndjson(format!("{{\"value\":1}}\n{{\"value\":{text}}}\n")),
    ]
}

/// A record in every way to send one but as a bare value.
fn as_record(record: &str) -> [Input; 3] {
    [
        batch(record),
        post(RECORDS).ndjson(format!("{record}\n")),
        post(ATOMIC).ndjson(format!("{{\"value\":1}}\n{record}\n")),
    ]
}

/// A body in every place that takes packed ones.
fn packed(coding: &str, body: &[u8]) -> [Input; 3] {
    [value(body), post(RECORDS).json(body), post(ATOMIC).ndjson(body)]
        .map(|input| input.with(format!("Content-Encoding: {coding}")))
}

/// So many records of one byte.
fn batch_of(count: usize) -> Input {
    batch(vec![r#"{"value":1}"#; count].join(","))
}

/// A record with so many headers, of so many bytes each with their names.
fn record_with(headers: usize, bytes: usize) -> String {
    let list = (0..headers).map(|n| json!({ "name": format!("{n:03}"), "value": "v".repeat(bytes - 3) }));
    json!({ "value": 1, "header_list": list.collect::<Vec<_>>() }).to_string()
}

/// Bytes that look like nothing.
fn garbage(length: u32) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// What is wrong with a body that is no JSON of the right form, depending on where it is found out.
const NOT_RECORDS: &[(u16, &str)] =
    &[(400, "malformed_json"), (400, "invalid_record"), (400, "invalid_parameter"), (400, "missing_parameter")];
/// What is wrong with a packed body: it cannot be unpacked, or what comes out is no JSON.
const NOT_PACKED: &[(u16, &str)] = &[(400, "invalid_parameter"), (400, "malformed_json")];

pub(crate) const ROWS: &[Row] = &[
    row(
        &[37],
        "nothing to write",
        |_| {
            each(
                [
                    "",
                    "[]",
                    "{}",
                    "null",
                    "0",
                    r#""""#,
                    r#"{"records":[]}"#,
                    r#"{"records":{}}"#,
                    r#"{"records":null}"#,
                    " ",
                ],
                |body| post(RECORDS).json(body),
            )
        },
        RefusedAs(NOT_RECORDS),
    ),
    row(
        &[37],
        "nothing as a raw value",
        |_| vec![value(""), post(VALUES), post(VALUES).typed("text/plain", ""), post(VALUES).typed("image/png", "")],
        Refused(400, "invalid_record"),
    ),
    row(
        &[38],
        "types that are no records",
        |_| {
            all(
                [
                    "text/plain",
                    "text/html",
                    "multipart/form-data; boundary=x",
                    "image/png",
                    "application/xml",
                    "application/octet-stream",
                    "application/jsonp",
                    "json",
                    "*/*",
                    "application/json, text/plain",
                ],
                |kind| {
                    [
                        post(RECORDS).typed(kind, ONE),
                        put("/v1/topics/made").typed(kind, "{}"),
                        post("/v1/groups/g/members/m/poll").typed(kind, r#"{"topics":["orders"]}"#),
                        request("PATCH", "/v1/topics/orders").typed(kind, "{}"),
                        post("/v1/keys").typed(kind, "{}"),
                    ]
                },
            )
        },
        Refused(415, "unsupported_media_type"),
    ),
    row(
        &[38],
        "two types",
        |_| {
            vec![
                post(RECORDS).with("Content-Type: application/json").json(ONE),
                post(VALUES).with("Content-Type: text/plain").json("1"),
            ]
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[38],
        "no type, and what curl sends unasked, is JSON",
        |_| {
            vec![
                post(RECORDS).body(ONE),
                post(RECORDS).typed("application/x-www-form-urlencoded", ONE),
                post(RECORDS).typed("", ONE),
            ]
        },
        Taken(200),
    ),
    row(
        &[39],
        "charsets that are not UTF-8",
        |_| {
            all(["utf-16", "UTF-16LE", "utf-7", "latin1", "\"iso-8859-1\"", "x", "utf-8x"], |charset| {
                [
                    post(VALUES).typed(&format!("application/json; charset={charset}"), "1"),
                    post(RECORDS).typed(&format!("application/json;charset={charset}"), ONE),
                    post(VALUES).typed(&format!("text/plain; charset={charset}"), "x"),
                    post(RECORDS).typed(&format!("application/x-ndjson; charset={charset}"), "{\"value\":1}\n"),
                ]
            })
        },
        Refused(415, "unsupported_media_type"),
    ),
    row(
        &[40],
        "a bomb of a gibibyte",
        |_| {
            let sixteen_mebibytes = vec![b' '; 16 * MIB];
            // Members of gzip, and frames of zstd, one behind the other are one body.
            ["gzip", "zstd"]
                .into_iter()
                .flat_map(|coding| packed(coding, &pack(coding, &sixteen_mebibytes).repeat(64)))
                .collect()
        },
        Refused(413, "request_too_large"),
    ),
    row(
        &[40],
        "a byte more than a request may have",
        |_| {
            let body = [ONE.as_bytes(), &vec![b' '; 16 * MIB + 1 - ONE.len()]].concat();
            ["gzip", "zstd"]
                .into_iter()
                .map(|coding| post(RECORDS).json(pack(coding, &body)).with(format!("Content-Encoding: {coding}")))
                .collect()
        },
        Refused(413, "request_too_large"),
    ),
    row(
        &[40],
        "just as much",
        |_| {
            let body = [ONE.as_bytes(), &vec![b' '; 16 * MIB - ONE.len()]].concat();
            ["gzip", "zstd"]
                .into_iter()
                .map(|coding| post(RECORDS).json(pack(coding, &body)).with(format!("Content-Encoding: {coding}")))
                .collect()
        },
        Taken(200),
    ),
    // Windows of 2 GiB and of 16 MiB (RFC 8878 section 3.1.1.1.2), and an empty last block.
    row(
        &[41],
        "a window that nobody has room for",
        |_| all([21_u8 << 3, 14 << 3, 0xff], |window| packed("zstd", &[0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0])),
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[42, 44],
        "codings that are not undone",
        |_| {
            let twice = pack("gzip", &pack("gzip", b"1"));
            all(
                [
                    "gzip, gzip",
                    "gzip,zstd",
                    "zstd, gzip",
                    "br",
                    "deflate",
                    "compress",
                    "x-unknown",
                    "gzip;q=1",
                    "aws-chunked",
                    "gzip, identity",
                ],
                |coding| packed(coding, &twice),
            )
        },
        Refused(415, "unsupported_media_type"),
    ),
    row(
        &[42],
        "two headers of coding",
        |_| packed("gzip", &pack("gzip", &pack("gzip", b"1"))).map(|input| input.with("Content-Encoding: gzip")).into(),
        Refused(415, "unsupported_media_type"),
    ),
    row(
        &[43, 45],
        "packed bodies that are not whole",
        |_| {
            let mut inputs = Vec::new();
            for coding in ["gzip", "zstd"] {
                let good = pack(coding, ONE.as_bytes());
                let mut corrupt = pack(coding, text_of(3_000).as_bytes());
                let middle = corrupt.len() / 2;
                corrupt[middle] ^= 0x55;
                corrupt[middle + 1] ^= 0x55;
                let cuts = [1, 3, good.len() / 2, good.len() - 1].map(|length| good[..length].to_vec());
                let tails = [garbage(1 << 20), vec![0; 100], b"x".to_vec(), good[..3].to_vec()]
                    .map(|tail| [good.clone(), tail].concat());
                let others = [corrupt, ONE.as_bytes().to_vec(), garbage(1_000)];
                inputs.extend(cuts.into_iter().chain(tails).chain(others).flat_map(|body| packed(coding, &body)));
            }
            inputs
        },
        RefusedAs(NOT_PACKED),
    ),
    row(
        &[47],
        "an envelope that is too deep",
        |_| {
            let around = |inner: String| {
                [
                    format!(r#"{{"records":{inner}}}"#),
                    format!(r#"{{"records":[{inner}]}}"#),
                    format!(r#"{{"records":[{{"value":1,"headers":{inner}}}]}}"#),
                    inner,
                ]
            };
            [
                nested(65),
                nested(128),
                nested(100_000),
                nested_objects(65),
                nested_objects(100_000),
                "[".repeat(100_000),
                r#"{"a":"#.repeat(100_000),
            ]
            .into_iter()
            .flat_map(|inner| around(inner).map(|body| post(RECORDS).json(body)))
            .chain([
                put("/v1/topics/made").json(nested(30_000)),
                post("/v1/groups/g/members/m/poll").json(format!(r#"{{"topics":{}}}"#, nested(100_000))),
            ])
            .collect()
        },
        RefusedAs(&[
            (400, "malformed_json"),
            (400, "invalid_record"),
            (400, "invalid_parameter"),
            (400, "missing_parameter"),
            (400, "unknown_field"),
        ]),
    ),
    row(
        &[48],
        "a value that is too deep",
        |_| {
            all([nested(65), nested(6_400), nested(100_000), nested_objects(65), nested_objects(100_000)], |text| {
                as_value(&text)
            })
        },
        RefusedAs(&[(400, "invalid_record"), (400, "malformed_json")]),
    ),
    row(
        &[48, 51],
        "a value that never ends",
        |_| {
            all(
                ["[".repeat(100_000), r#"{"a":"#.repeat(100_000), "[1,".repeat(10), "\"x".to_owned(), "{".to_owned()],
                |text| as_value(&text),
            )
        },
        RefusedAs(&[(400, "malformed_json"), (400, "invalid_record")]),
    ),
    row(
        &[47, 48],
        "a value just as deep as may be",
        |_| vec![value(nested(64)), value(nested_objects(64))],
        Taken(201),
    ),
    row(
        &[49],
        "members twice",
        |_| {
            let bodies =
                [r#"{"records":[{"value":1}],"records":[{"value":2}]}"#, r#"{"records":[],"records":[{"value":2}]}"#];
            let records = [
                r#"{"value":1,"value":2}"#,
                r#"{"value":1,"key":"a","key":"b"}"#,
                r#"{"value":1,"partition":0,"partition":0}"#,
                r#"{"value":1,"headers":{},"headers":{}}"#,
                r#"{"value":1,"headers":{"a":"1","a":"2"}}"#,
                r#"{"value":1,"\u0076alue":2}"#,
            ];
            bodies
                .into_iter()
                .map(|body| post(RECORDS).json(body))
                .chain(all(records, as_record))
                .chain([
                    put("/v1/topics/made").json(r#"{"partition_count":1,"partition_count":2}"#),
                    post("/v1/groups/g/members/m/poll").json(r#"{"topics":["orders"],"topics":["other"]}"#),
                ])
                .collect()
        },
        RefusedAs(NOT_RECORDS),
    ),
    row(
        &[51],
        "something behind the JSON",
        |_| {
            let behind = ["x", " x", "]", ",", "{}", "1", "\0", "null", "//", r#"{"records":[{"value":2}]}"#];
            all(behind, |rest| {
                [
                    post(RECORDS).json(format!("{ONE}{rest}")),
                    value(format!("[1]{rest}")),
                    value(format!("1 {rest}")),
                    put("/v1/topics/made").json(format!("{{}}{rest}")),
                ]
            })
        },
        Refused(400, "malformed_json"),
    ),
    row(
        &[51, 48],
        "what is no JSON as a value",
        |_| {
            all(
                [
                    "+1",
                    ".5",
                    "1.",
                    "01",
                    "-",
                    "0x10",
                    "1e",
                    "Infinity",
                    "NaN",
                    "'x'",
                    "tru",
                    "[1 2]",
                    "[1,]",
                    r#"{"a":1,}"#,
                    "{a:1}",
                    r#""\x41""#,
                    r#""\ud8""#,
                    "\"a\tb\"",
                    "\"a\0b\"",
                    "\u{a0}1",
                ],
                as_value,
            )
        },
        Refused(400, "malformed_json"),
    ),
    row(
        &[52],
        "one bad line among good ones",
        |_| {
            let good = "{\"value\":1}\n";
            let bad = [
                "{\"value\":1",
                "x",
                "[]",
                "{}",
                "\"a\"",
                "{\"valu\":1}",
                "{\"value\":1}{\"value\":2}",
                "{\"value\":\u{1}}",
            ];
            all(bad, |line| {
                [
                    post(ATOMIC).ndjson(format!("{good}{good}{line}\n{good}")),
                    post(ATOMIC).ndjson(format!("{good}{line}")),
                    post(RECORDS).ndjson(format!("{line}\n{good}")),
                ]
            })
        },
        RefusedAs(&[(400, "malformed_json"), (400, "invalid_record"), (400, "unknown_field")]),
    ),
    row(
        &[53],
        "just as many records as may be",
        |_| vec![batch_of(10_000), post(ATOMIC).ndjson("{\"value\":1}\n".repeat(10_000))],
        Taken(200),
    ),
    row(
        &[53],
        "too many records",
        |_| vec![batch_of(10_001), batch_of(1_000_000), post(ATOMIC).ndjson("{\"value\":1}\n".repeat(10_001))],
        Refused(413, "request_too_large"),
    ),
    row(&[54], "just as large a record as may be", |_| vec![value(text_of(MIB))], Taken(201)),
    row(
        &[54],
        "a record too large",
        |_| {
            let mut inputs: Vec<_> = as_value(&text_of(MIB + 1)).into();
            inputs.extend([
                value(text_of(10 * MIB)),
                post(VALUES).typed("image/png", vec![0; MIB + 1]),
                post(VALUES).typed("text/plain", "x".repeat(MIB + 1)),
            ]);
            inputs.push(batch(json!({ "key": "0123456789", "value": "x".repeat(MIB - 11) })));
            inputs.push(batch(json!({ "value_base64": STANDARD.encode(vec![0; MIB + 1]) })));
            inputs
        },
        Refused(413, "record_too_large"),
    ),
    row(
        &[54],
        "a hundred times too large a record",
        |_| vec![value(text_of(100 * MIB)), batch(json!({ "value": "x".repeat(100 * MIB) }))],
        Refused(413, "request_too_large"),
    ),
    row(
        &[55],
        "just as many headers of a record as may be, and as long ones",
        |_| vec![batch(record_with(64, 10)), batch(record_with(64, 128))],
        Taken(200),
    ),
    row(
        &[55],
        "too many headers of a record, or too long ones",
        |_| {
            all(
                [
                    record_with(65, 10),
                    record_with(6_400, 10),
                    record_with(64, 129),
                    record_with(1, 8_193),
                    record_with(1, 819_200),
                ],
                |record| as_record(&record),
            )
        },
        Refused(400, "invalid_record"),
    ),
    row(
        &[55],
        "too long a key",
        |_| all([4_097, 409_600], |bytes| as_record(&json!({ "key": "k".repeat(bytes), "value": 1 }).to_string())),
        Refused(400, "invalid_record"),
    ),
    row(
        &[56],
        "what is no base64",
        |_| {
            let bad = [
                "A",
                "AA",
                "AAA",
                "AA=",
                "AA===",
                "AA==AA==",
                "A A=",
                "AAA=\\n",
                " AAA=",
                "-_8=",
                "AB==",
                "AAB=",
                "====",
                "=",
                "AAA\\u0000",
                "AA\\u003d",
            ];
            bad.into_iter()
                .flat_map(|text| {
                    as_record(&format!(r#"{{"value_base64":"{text}"}}"#))
                        .into_iter()
                        .chain(as_record(&format!(r#"{{"value":1,"key_base64":"{text}"}}"#)))
                        .chain(as_record(&format!(
                            r#"{{"value":1,"header_list":[{{"name":"h","value_base64":"{text}"}}]}}"#
                        )))
                })
                .collect()
        },
        Refused(400, "invalid_record"),
    ),
    row(
        &[56],
        "what is no base64 in a query",
        |_| {
            each(["A", "AA=", "A%20A=", "AAA%0A", "!!!!"], |text| post(format!("{VALUES}?key_base64={text}")).json("1"))
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[57],
        "members that there are not",
        |_| {
            all(
                [
                    r#"{"value":1,"vlaue":1}"#,
                    r#"{"value":1,"Value":1}"#,
                    r#"{"value":1,"__proto__":{}}"#,
                    r#"{"value":1,"":0}"#,
                    r#"{"value":1,"seq":5}"#,
                ],
                as_record,
            )
            .into_iter()
            .chain([
                post(RECORDS).json(r#"{"records":[{"value":1}],"ack":"none"}"#),
                put("/v1/topics/made").json(r#"{"partitions":3}"#),
                request("PATCH", "/v1/topics/orders").json(r#"{"name":"x"}"#),
                post("/v1/groups/g/members/m/poll").json(r#"{"topics":["orders"],"offset":1}"#),
                put("/v1/groups/g/offsets").json(r#"{"topic":"orders","to":"earliest","commit":true}"#),
                post("/v1/keys").json(r#"{"name":"a","permissions":[],"admin":true}"#),
                post("/v1/tickets").json(r#"{"topic":"orders","scope":"*"}"#),
            ])
            .collect()
        },
        Refused(400, "unknown_field"),
    ),
    row(
        &[58],
        "members of the wrong type",
        |_| {
            all(
                [
                    r#"{}"#,
                    r#"{"key":"k"}"#,
                    r#"{"value":1,"value_base64":"AA=="}"#,
                    r#"{"value_base64":null}"#,
                    r#"{"value_base64":7}"#,
                    r#"{"value":1,"key":7}"#,
                    r#"{"value":1,"key":["a"]}"#,
                    r#"{"value":1,"key":"a","key_base64":"YQ=="}"#,
                    r#"{"value":1,"headers":[]}"#,
                    r#"{"value":1,"headers":{"a":1}}"#,
                    r#"{"value":1,"headers":"a"}"#,
                    r#"{"value":1,"header_list":{}}"#,
                    r#"{"value":1,"header_list":[{"name":"a"}]}"#,
                    r#"{"value":1,"header_list":["a"]}"#,
                    r#"{"value":1,"timestamp":"now"}"#,
                    r#"{"value":1,"timestamp":-1}"#,
                    r#"{"value":1,"timestamp":1.5}"#,
                    r#"{"value":1,"timestamp":9007199254740992}"#,
                    r#"{"value":1,"timestamp":1e400}"#,
                    r#""a value alone""#,
                    "[]",
                    "null",
                    "1",
                ],
                as_record,
            )
        },
        Refused(400, "invalid_record"),
    ),
    row(
        &[58],
        "members of other bodies of the wrong type",
        |_| {
            each(
                [
                    r#"{"partition_count":0}"#,
                    r#"{"partition_count":-1}"#,
                    r#"{"partition_count":1.5}"#,
                    r#"{"partition_count":"3"}"#,
                    r#"{"partition_count":100001}"#,
                    r#"{"partition_count":1e400}"#,
                    r#"{"partition_count":true}"#,
                    r#"{"retention_ms":-2}"#,
                    r#"{"retention_ms":"7d"}"#,
                    r#"{"retention_bytes":-2}"#,
                    r#"{"retention_bytes":9007199254740992}"#,
                ],
                |body| put("/v1/topics/made").json(body),
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[58],
        "null is a tombstone, and elsewhere is nothing",
        |_| {
            vec![
                batch(r#"{"value":null}"#),
                batch(r#"{"value":1,"key":null,"headers":null,"partition":null,"timestamp":null}"#),
            ]
        },
        Taken(200),
    ),
    row(
        &[59],
        "a mark of byte order",
        |_| {
            let marked = |text: &str| [b"\xef\xbb\xbf", text.as_bytes()].concat();
            vec![
                post(RECORDS).json(marked(ONE)),
                value(marked("{}")),
                post(RECORDS).ndjson(marked("{\"value\":1}\n")),
                put("/v1/topics/made").json(marked("{}")),
                post("/v1/groups/g/members/m/poll").json(marked(r#"{"topics":["orders"]}"#)),
                value(b"\xfe\xff\0{\0}".to_vec()),
                value(b"\xff\xfe{\0}\0".to_vec()),
            ]
        },
        Refused(400, "malformed_json"),
    ),
    row(
        &[35],
        "what is no UTF-8 in JSON",
        |_| {
            let bad: [&[u8]; 6] = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\x80b"];
            bad.into_iter()
                .flat_map(|bytes| {
                    let text = [b"\"", bytes, b"\""].concat();
                    let record = [br#"{"value":"#, &text[..], b"}"].concat();
                    let keyed = [br#"{"value":1,"key":"#, &text[..], b"}"].concat();
                    let around = |record: &[u8]| post(RECORDS).json([br#"{"records":["#, record, b"]}"].concat());
                    [value(text), around(&record), around(&keyed), post(ATOMIC).ndjson(record)]
                })
                .collect()
        },
        Refused(400, "malformed_json"),
    ),
    row(
        &[35],
        "what is no UTF-8 in a text",
        |_| {
            vec![
                post(VALUES).typed("text/plain", b"\xff".to_vec()),
                post(VALUES).typed("text/plain; charset=utf-8", b"a\xc0\xaf".to_vec()),
            ]
        },
        RefusedAs(&[(400, "invalid_record"), (400, "malformed_json")]),
    ),
];

async fn every_line_about_bodies_gets_its_answer(backend: Backend) {
    run("bodies", backend, ROWS, &Stage::set(backend).await).await;
}
