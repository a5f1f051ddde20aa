//! Groups and producers: commits of those who may not, out of range, or of a former run; and keys used for two things.

use serde_json::json;

use crate::bad_inputs::input::Input;
use crate::bad_inputs::input::all;
use crate::bad_inputs::input::delete;
use crate::bad_inputs::input::each;
use crate::bad_inputs::input::post;
use crate::bad_inputs::input::put;
use crate::bad_inputs::stage::Stage;
use crate::bad_inputs::table::Row;
use crate::bad_inputs::table::row;
use crate::bad_inputs::table::run;
use crate::bad_inputs::told::Answer::Refused;
use crate::bad_inputs::told::Answer::Says;
use crate::bad_inputs::told::Answer::Taken;
use crate::harness::Backend;
use crate::harness::member::Member;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;

on_each_backend!(every_line_about_groups_gets_its_answer);

/// Longer than any test takes.
const LEASE_MS: u64 = 900_000;
const MEMBER: &str = "/v1/groups/g/members/m";

/// A gateway whose `orders` has the records 3 to 9. Member `m` of group `g` holds it in its second run and has committed
/// 6; member `spare` holds nothing. One produce has a key.
async fn stage(backend: Backend) -> Stage {
    let mut stage = Stage::set(backend).await;
    let orders = Topic::named(&stage.root, "orders");
    orders.count(0, 0..10).await;
    orders.trim(0, 3).await;
    let start = json!({ "topics": ["orders"], "lease_ms": LEASE_MS, "max_records": 2 });
    let mut member = Member::new(&stage.root, "g", "m", start.clone());
    member.begin().await;
    stage.keep("former epoch", member.epoch.to_string());
    stage.keep("former cursor", member.cursor.clone().expect("it has begun"));
    member.begin().await;
    stage.keep("epoch", member.epoch.to_string());
    stage.keep("cursor", member.cursor.clone().expect("it has begun"));
    member.commit_offsets(json!([{ "topic": "orders", "partition": 0, "next_offset": 6 }])).await.is(200);
    let mut spare = Member::new(&stage.root, "g", "spare", start);
    spare.begin().await;
    stage.keep("epoch of the spare one", spare.epoch.to_string());
    stage.keep("cursor of the spare one", spare.cursor.clone().expect("it has begun"));
    let first = stage.root.post("/v1/topics/orders/values").header("idempotency-key", "order-17");
    first.raw_json("1").send().await.is(201);
    stage
}

/// A commit of one offset by a member in an epoch.
fn commit(member: &str, epoch: &str, next_offset: &str) -> Input {
    let offsets = format!(r#"[{{"topic":"orders","partition":0,"next_offset":{next_offset}}}]"#);
    post(format!("/v1/groups/g/members/{member}/offsets")).json(format!(r#"{{"epoch":{epoch},"offsets":{offsets}}}"#))
}

/// A commit of `m` in the epoch that holds.
fn commits(stage: &Stage, offsets: &[&str]) -> Vec<Input> {
    each(offsets, |offset| commit("m", stage.kept("epoch"), offset))
}

fn with_cursor(path: &str, cursor: &str) -> Input {
    post(format!("{MEMBER}/{path}")).json(json!({ "cursor": cursor }).to_string())
}

/// A poll that joins a group that there is not.
fn join_with(member: &str) -> [Input; 2] {
    let body = format!(r#"{{"topics":["orders"],{member}}}"#);
    [post("/v1/groups/made/members/m/poll").json(body.clone()), post("/v1/groups/made/members").json(body)]
}

/// A produce with a key.
fn keyed(key: &str, path: &str, body: &str) -> Input {
    post(format!("/v1/topics/orders/{path}")).with(format!("Idempotency-Key: {key}")).json(body)
}

pub(crate) const ROWS: &[Row] = &[
    row(
        &[80],
        "a former run of the member",
        |stage| {
            let former = stage.kept("former epoch");
            vec![
                commit("m", former, "8"),
                commit("m", former, "6"),
                with_cursor("poll", stage.kept("former cursor")),
                with_cursor("offsets", stage.kept("former cursor")),
                post(format!("{MEMBER}/heartbeat")).json(format!(r#"{{"epoch":{former}}}"#)),
                delete(format!("{MEMBER}?epoch={former}")),
            ]
        },
        Refused(409, "stale_epoch"),
    ),
    row(
        &[80],
        "a run that never was",
        |stage| {
            let never = (stage.kept("epoch").parse::<u64>().expect("a number") + 100).to_string();
            vec![
                commit("m", &never, "8"),
                commit("m", "9007199254740991", "8"),
                post(format!("{MEMBER}/heartbeat")).json(format!(r#"{{"epoch":{never}}}"#)),
            ]
        },
        Refused(409, "stale_epoch"),
    ),
    row(
        &[81],
        "a partition of another member",
        |stage| vec![commit("spare", stage.kept("epoch of the spare one"), "8")],
        Refused(409, "lease_lost"),
    ),
    row(
        &[81],
        "the cursor of another member",
        |stage| {
            vec![
                with_cursor("poll", stage.kept("cursor of the spare one")),
                with_cursor("offsets", stage.kept("cursor of the spare one")),
                post("/v1/groups/g/members/spare/offsets").json(json!({ "cursor": stage.kept("cursor") }).to_string()),
                post("/v1/groups/h/members/m/poll").json(json!({ "cursor": stage.kept("cursor") }).to_string()),
            ]
        },
        Refused(400, "invalid_cursor"),
    ),
    row(
        &[81],
        "a member that there is not",
        |stage| {
            vec![
                commit("nobody", stage.kept("epoch"), "8"),
                post("/v1/groups/g/members/nobody/heartbeat").json(r#"{"epoch":1}"#),
                delete("/v1/groups/g/members/nobody"),
            ]
        },
        Refused(404, "unknown_member"),
    ),
    row(
        &[81],
        "a group that there is not",
        |_| {
            vec![
                post("/v1/groups/none/members/m/heartbeat").json(r#"{"epoch":1}"#),
                delete("/v1/groups/none"),
                delete("/v1/groups/none/members/m"),
            ]
        },
        Refused(404, "unknown_group"),
    ),
    row(
        &[82],
        "commits beyond the end",
        |stage| commits(stage, &["12", "1000", "9007199254740991"]),
        Refused(416, "offset_out_of_range"),
    ),
    row(&[82], "commits before the log start", |stage| commits(stage, &["0", "2"]), Refused(410, "offset_expired")),
    row(&[82], "commits that go back", |stage| commits(stage, &["5", "3"]), Refused(409, "offset_regression")),
    row(
        &[82],
        "commits of what is no offset",
        |stage| commits(stage, &["-1", "1.5", r#""8""#, "1e400", "9007199254740992", "null", "true"]),
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[82],
        "commits for what there is not",
        |stage| {
            let epoch = stage.kept("epoch");
            let one = |offset: &str| {
                post(format!("{MEMBER}/offsets")).json(format!(r#"{{"epoch":{epoch},"offsets":[{offset}]}}"#))
            };
            vec![
                one(r#"{"topic":"orders","partition":1,"next_offset":1}"#),
                one(r#"{"topic":"orders","partition":2147483647,"next_offset":1}"#),
            ]
        },
        Refused(404, "unknown_partition"),
    ),
    row(&[82], "the same commit again changes nothing", |stage| commits(stage, &["6"]), Taken(200)),
    row(
        &[82, 34],
        "a note with a zero in it is kept as it is",
        |stage| {
            vec![post(format!("{MEMBER}/offsets")).json(format!(r#"{{"epoch":{},"offsets":[{{"topic":"orders","partition":0,"next_offset":6,"metadata":"a\u0000b'; DROP TABLE batch;--"}}]}}"#, stage.kept("epoch")))]
        },
        Says(200, r#"a\u0000b'; DROP TABLE batch;--"#),
    ),
    row(
        &[82],
        "a note that is too long",
        |stage| {
            each([4_097, 409_600], |length| {
                post(format!("{MEMBER}/offsets")).json(format!(
                    r#"{{"epoch":{},"offsets":[{{"topic":"orders","partition":0,"next_offset":6,"metadata":"{}"}}]}}"#,
                    stage.kept("epoch"),
                    "x".repeat(length)
                ))
            })
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[82],
        "resets beyond the end",
        |_| {
            each(["12", "9007199254740991"], |offset| {
                put("/v1/groups/made/offsets").json(format!(r#"{{"topic":"orders","partition":0,"offset":{offset}}}"#))
            })
        },
        Refused(416, "offset_out_of_range"),
    ),
    row(
        &[82],
        "resets and deletes under a member that works",
        |_| {
            vec![
                put("/v1/groups/g/offsets").json(r#"{"topic":"orders","to":"earliest"}"#),
                put("/v1/groups/g/offsets").json(r#"{"topic":"orders","partition":0,"offset":3}"#),
                delete("/v1/groups/g"),
            ]
        },
        Refused(409, "group_active"),
    ),
    row(
        &[84],
        "leases of no length and without end",
        |_| {
            all(
                [
                    "0",
                    "1",
                    "999",
                    "-1",
                    "900001",
                    "31536000000",
                    "9007199254740992",
                    "18446744073709551616",
                    "1e400",
                    "1500.5",
                    r#""5000""#,
                    "null",
                    "true",
                    "[]",
                ],
                |lease| join_with(&format!(r#""lease_ms":{lease}"#)),
            )
            .into_iter()
            .filter(|input| !input.to_string().contains("null"))
            .collect()
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[84],
        "waits and amounts that cannot be",
        |_| {
            all(
                [
                    r#""wait_ms":-1"#,
                    r#""wait_ms":1.5"#,
                    r#""max_records":0"#,
                    r#""max_bytes":0"#,
                    r#""max_bytes":"1k""#,
                    r#""strategy":"fair""#,
                    r#""from":"soon""#,
                    r#""commit":"yes""#,
                ],
                join_with,
            )
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[84],
        "leases just within the bounds",
        |_| {
            all(["1000", "900000"], |lease| {
                [post(format!("/v1/groups/made-{lease}/members/m/poll"))
                    .json(format!(r#"{{"topics":["orders"],"lease_ms":{lease}}}"#))]
            })
        },
        Taken(200),
    ),
    row(
        &[86],
        "keys of a produce that are none",
        |_| {
            each(["", " ", "two words", "caf\u{e9}", "\t", "x\u{1f600}", &"x".repeat(256), &"x".repeat(8_000)], |key| {
                keyed(key, "values", "1")
            })
            .into_iter()
            .chain([keyed("a", "values", "1").with("Idempotency-Key: b"), keyed("a", "values?ack=none", "1")])
            .collect()
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[86],
        "numbers of a produce, which there are not",
        |_| {
            vec![
                post("/v1/topics/orders/records").json(r#"{"records":[{"value":1,"seq":-1}]}"#),
                post("/v1/topics/orders/records")
                    .json(r#"{"producer":"p","epoch":1,"seq":9007199254740993,"records":[{"value":1}]}"#),
            ]
        },
        Refused(400, "unknown_field"),
    ),
    row(
        &[86],
        "keys just within the rules",
        |_| {
            vec![
                keyed(&"x".repeat(255), "values", "1"),
                keyed("!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", "values", "1"),
            ]
        },
        Taken(201),
    ),
    row(
        &[87],
        "a key that was used for something else",
        |_| {
            vec![
                keyed("order-17", "values", "2"),
                keyed("order-17", "values", "1 "),
                keyed("order-17", "values?partition=0", "1"),
                post("/v1/topics/orders/values").with("Idempotency-Key: order-17").typed("text/plain", "1"),
            ]
        },
        Refused(422, "idempotency_key_reused"),
    ),
    row(
        &[87],
        "the same again is not written again",
        |_| vec![keyed("order-17", "values", "1")],
        Says(201, r#""offset":10"#),
    ),
];

async fn every_line_about_groups_gets_its_answer(backend: Backend) {
    run("groups", backend, ROWS, &stage(backend).await).await;
}
