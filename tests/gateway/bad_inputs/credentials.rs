//! Credentials: none, none that are any, and good ones for something else.

use serde_json::json;

use crate::bad_inputs::input::Input;
use crate::bad_inputs::input::delete;
use crate::bad_inputs::input::each;
use crate::bad_inputs::input::get;
use crate::bad_inputs::input::poll;
use crate::bad_inputs::input::post;
use crate::bad_inputs::input::put;
use crate::bad_inputs::input::request;
use crate::bad_inputs::stage::Stage;
use crate::bad_inputs::table::Row;
use crate::bad_inputs::table::row;
use crate::bad_inputs::table::run;
use crate::bad_inputs::told::Answer::Opens;
use crate::bad_inputs::told::Answer::Refused;
use crate::bad_inputs::told::Answer::RefusedLate;
use crate::bad_inputs::told::Answer::Taken;
use crate::harness::Backend;
use crate::harness::access::ADMIN_KEY;
use crate::harness::access::create_key;
use crate::harness::access::text;
use crate::harness::on_each_backend;
use crate::harness::topic::Topic;

on_each_backend!(every_line_about_credentials_gets_its_answer, who_is_not_known_gets_one_answer);

/// A gateway with topics `pub-a`, `orders` and `sec-a`, a key for `pub-*` and group `g`, one that is revoked, and a
/// ticket for `pub-a`.
async fn stage(backend: Backend) -> Stage {
    let mut stage = Stage::guarded(backend, &["--log", "debug"]).await;
    for name in ["pub-a", "sec-a"] {
        let topic = Topic::create(&stage.root, name, 1).await;
        topic.count(0, 0..3).await;
        if name == "sec-a" {
            stage.keep("cursor of sec-a", topic.read("max_records=1").await.cursor);
        }
    }
    let key = create_key(&stage.root, &["produce:pub-*", "consume:pub-*:g"]).await.json();
    stage.keep("key", text(&key["key"]));
    let revoked = create_key(&stage.root, &["admin:*"]).await.json();
    stage.root.delete(&format!("/v1/keys/{}", text(&revoked["id"]))).send().await.is(204);
    stage.keep("revoked", text(&revoked["key"]));
    let caller = stage.gateway.with_key(text(&key["key"]));
    let ticket = caller.post("/v1/tickets").json(&json!({ "topic": "pub-a" })).send().await.is(201).json();
    stage.keep("ticket", text(&ticket["ticket"]));
    let member = json!({ "topics": ["sec-a"], "lease_ms": 900_000 });
    let polled = stage.root.post("/v1/groups/g/members/m/poll").json(&member).send().await.is(200).json();
    stage.keep("cursor of the member", text(&polled["cursor"]));
    stage
}

fn bearer(input: Input, credential: &str) -> Input {
    input.with(format!("Authorization: Bearer {credential}"))
}

fn by(stage: &Stage, input: Input) -> Input {
    bearer(input, stage.kept("key"))
}

/// Calls on a topic, whether there is one of that name or not.
fn on_topic(stage: &Stage, topic: &str) -> Vec<Input> {
    [
        get(format!("/v1/topics/{topic}")),
        put(format!("/v1/topics/{topic}")),
        delete(format!("/v1/topics/{topic}")),
        request("PATCH", &format!("/v1/topics/{topic}")).json("{}"),
        post(format!("/v1/topics/{topic}/values")).json("1"),
        post(format!("/v1/topics/{topic}/records")).json(r#"{"records":[{"value":1}]}"#),
        get(format!("/v1/topics/{topic}/records")),
        get(format!("/v1/topics/{topic}/records?wait_for_topic=true&format=sse")),
        get(format!("/v1/topics/{topic}/partitions/0/records/0/value")),
        get(format!("/v1/records?topic=pub-a&topic={topic}")),
        post("/v1/records")
            .json(json!({ "records": [{ "topic": "pub-a", "value": 1 }, { "topic": topic, "value": 1 }] }).to_string()),
        poll("g", "m2", &json!({ "topics": ["pub-a", topic] })),
        post("/v1/tickets").json(json!({ "topic": topic }).to_string()),
    ]
    .map(|input| by(stage, input))
    .into()
}

/// Rows of callers who are not known: each needs a gateway of its own, which slows down who fails more than ten times
/// in a minute, so none has more inputs.
pub(crate) const UNKNOWN: &[Row] = &[
    row(
        &[90],
        "no credentials",
        |_| {
            vec![
                get("/v1/topics"),
                get("/v1/topics/orders/records"),
                put("/v1/topics/made"),
                post("/v1/topics/orders/values").json("1"),
                delete("/v1/topics/orders"),
                poll("g", "m", &json!({ "topics": ["orders"] })),
                get("/v1/keys"),
                get("/metrics"),
                get("/v1/no/such/path"),
                get("/v1/topics/orders/records").with("Accept: text/event-stream"),
            ]
        },
        Refused(401, "unauthorized"),
    ),
    row(
        &[91],
        "keys that are not, or no longer",
        |stage| {
            let (key, revoked) = (stage.kept("key"), stage.kept("revoked"));
            let slip = format!("{}{}", &key[..key.len() - 1], if key.ends_with('0') { '1' } else { '0' });
            let early = format!("{}{}{}", &key[..20], if &key[20..21] == "x" { 'y' } else { 'x' }, &key[21..]);
            [
                revoked,
                &slip,
                &early,
                &key[..key.len() - 1],
                &key[1..],
                &key.to_uppercase(),
                "tg_",
                &format!("{key}{key}"),
                &"x".repeat(6_000),
                "\u{e9}",
            ]
            .map(|credential| bearer(put("/v1/topics/made"), credential))
            .into()
        },
        Refused(401, "unauthorized"),
    ),
    row(
        &[91, 93],
        "headers that are no credentials",
        |stage| {
            let key = stage.kept("key");
            each(
                [
                    format!("Basic {key}"),
                    format!("Token {key}"),
                    format!("Bearer{key}"),
                    format!("Bearer {key} {key}"),
                    format!("Bearer {key},{key}"),
                    format!("Bearer \"{key}\""),
                    "Bearer".to_owned(),
                    key.to_owned(),
                    "Bearer eyJhbGciOiJub25lIn0.e30.".to_owned(),
                ],
                |value| get("/v1/topics").with(format!("Authorization: {value}")),
            )
        },
        Refused(401, "unauthorized"),
    ),
    row(
        &[93],
        "two headers",
        |stage| {
            vec![
                by(stage, by(stage, get("/v1/topics"))),
                by(stage, bearer(get("/v1/topics"), "x")),
                bearer(by(stage, get("/v1/topics")), "x"),
            ]
        },
        Refused(401, "unauthorized"),
    ),
    row(
        &[95],
        "a ticket where none counts",
        |stage| {
            let ticket = stage.kept("ticket");
            vec![
                post(format!("/v1/topics/pub-a/values?ticket={ticket}")).json("1"),
                delete(format!("/v1/topics/pub-a?ticket={ticket}")),
                get(format!("/v1/topics/pub-a?ticket={ticket}")),
                post(format!("/v1/tickets?ticket={ticket}")).json("{}"),
                bearer(get("/v1/topics/pub-a/records"), ticket),
                get(format!("/v1/topics/pub-a/records?ticket={}", &ticket[..ticket.len() - 1])),
                get(format!("/v1/topics/pub-a/records?ticket={ticket}A")),
                get("/v1/topics/pub-a/records?ticket="),
                post("/v1/topics/pub-a/values").with(format!("Cookie: tidegate_ticket={ticket}")).json("1"),
            ]
        },
        Refused(401, "unauthorized"),
    ),
];

pub(crate) const ROWS: &[Row] = &[
    row(
        &[91, 93],
        "good credentials, however they are written",
        |stage| {
            let key = stage.kept("key");
            each(
                [
                    format!("Bearer {key}"),
                    format!("bearer {key}"),
                    format!("BEARER {key}"),
                    format!("Bearer {key} "),
                    format!("Bearer  {key}"),
                ],
                |value| get("/v1/topics").with(format!("Authorization: {value}")),
            )
        },
        Taken(200),
    ),
    row(
        &[92],
        "a right on other names, with something there and with nothing",
        |stage| ["sec-a", "orders", "absent", "pub"].into_iter().flat_map(|topic| on_topic(stage, topic)).collect(),
        Refused(403, "forbidden"),
    ),
    row(
        &[92],
        "no right to keys, groups and all else",
        |stage| {
            [
                get("/v1/keys"),
                post("/v1/keys").json(r#"{"name":"a","permissions":[{"verb":"admin","topic":"*"}]}"#),
                delete("/v1/keys/absent"),
                get("/metrics"),
                get("/v1/groups/h"),
                get("/v1/groups/absent"),
                delete("/v1/groups/g"),
                poll("h", "m", &json!({ "topics": ["pub-a"] })),
                poll("g", "m", &json!({ "topic_prefix": "" })),
                put("/v1/groups/g/offsets").json(r#"{"topic":"pub-a","to":"earliest"}"#),
            ]
            .map(|input| by(stage, input))
            .into()
        },
        Refused(403, "forbidden"),
    ),
    row(
        &[83],
        "a commit without a right to the group or the topic",
        |stage| {
            let offsets = |topic: &str| {
                format!(r#"{{"epoch":1,"offsets":[{{"topic":"{topic}","partition":0,"next_offset":1}}]}}"#)
            };
            let cursor = json!({ "cursor": stage.kept("cursor of the member") }).to_string();
            [
                post("/v1/groups/h/members/m/offsets").json(offsets("pub-a")),
                post("/v1/groups/g/members/m/offsets").json(offsets("sec-a")),
                post("/v1/groups/g/members/m/offsets").json(cursor),
                post("/v1/groups/h/members/m/heartbeat").json(r#"{"epoch":1}"#),
            ]
            .map(|input| by(stage, input))
            .into()
        },
        Refused(403, "forbidden"),
    ),
    row(
        &[83],
        "a poll that would commit so",
        |stage| {
            let cursor = json!({ "cursor": stage.kept("cursor of the member") }).to_string();
            vec![by(stage, post("/v1/groups/g/members/m/poll").json(cursor))]
        },
        RefusedLate(403, "forbidden"),
    ),
    row(
        &[79, 64],
        "the cursor of another tenant on its topic",
        |stage| {
            let cursor = stage.kept("cursor of sec-a");
            [
                get(format!("/v1/topics/sec-a/records?cursor={cursor}")),
                get(format!("/v1/topics/sec-a/records?format=sse&last_event_id={cursor}")),
                get("/v1/topics/sec-a/records")
                    .with("Accept: text/event-stream")
                    .with(format!("Last-Event-ID: {cursor}")),
                get("/v1/groups/g/members/m/records?topic=pub-a")
                    .with("Accept: text/event-stream")
                    .with(format!("Last-Event-ID: {}", stage.kept("cursor of the member"))),
            ]
            .map(|input| by(stage, input))
            .into()
        },
        Refused(403, "forbidden"),
    ),
    row(
        &[79, 64],
        "the cursor of another tenant on one's own topic",
        |stage| {
            let cursor = stage.kept("cursor of sec-a");
            [
                get(format!("/v1/topics/pub-a/records?cursor={cursor}")),
                get(format!("/v1/topics/pub-a/records?format=sse&last_event_id={cursor}")),
            ]
            .map(|input| by(stage, input))
            .into()
        },
        Refused(400, "invalid_cursor"),
    ),
    row(
        &[94],
        "keys and tokens in a URL",
        |stage| {
            let key = stage.kept("key");
            let targets = [
                format!("/v1/topics?key={key}"),
                format!("/v1/topics?access_token={key}"),
                format!("/v1/topics/pub-a/records?ticket={key}"),
                format!("/v1/topics/pub-a/records?x={key}"),
                format!("/v1/topics/pub-a/records?x=%74g{}", &key[2..]),
                format!("/healthz?token={key}"),
                format!("/v1/no/such/path?token={key}"),
                "/v1/topics?access_token=x".to_owned(),
            ];
            targets.iter().flat_map(|target| [get(target), by(stage, get(target))]).collect()
        },
        Refused(400, "invalid_parameter"),
    ),
    row(
        &[95],
        "a ticket for another topic",
        |stage| {
            each(
                [
                    "/v1/topics/orders/records?",
                    "/v1/topics/sec-a/records?",
                    "/v1/topics/absent/records?",
                    "/v1/records?topic=pub-a&topic=orders&",
                    "/v1/groups/g/records?topic=pub-a&",
                ],
                |target| get(format!("{target}ticket={}", stage.kept("ticket"))).with("Accept: text/event-stream"),
            )
        },
        Refused(403, "forbidden"),
    ),
    row(
        &[95],
        "a ticket for what it is",
        |stage| {
            vec![
                get(format!("/v1/topics/pub-a/records?ticket={}", stage.kept("ticket")))
                    .with("Accept: text/event-stream"),
            ]
        },
        Opens(200),
    ),
    row(
        &[88],
        "the key of a produce is its caller's",
        |stage| {
            let keyed = || post("/v1/topics/pub-a/values").with("Idempotency-Key: order-17").json("1");
            vec![by(stage, keyed()), bearer(keyed(), ADMIN_KEY)]
        },
        Taken(201),
    ),
    row(
        &[92, 34],
        "keys that cannot be made",
        |_| {
            each(
                [
                    r#"{"name":"","permissions":[{"verb":"admin","topic":"*"}]}"#,
                    r#"{"name":"a\u0000b","permissions":[{"verb":"admin","topic":"*"}]}"#,
                    r#"{"name":"a\u001b[31m","permissions":[{"verb":"admin","topic":"*"}]}"#,
                    r#"{"name":"a","permissions":[{"verb":"root","topic":"*"}]}"#,
                    r#"{"name":"a","permissions":[{"verb":"admin","topic":"a*b"}]}"#,
                    r#"{"name":"a","permissions":[{"verb":"admin","topic":"\u0000"}]}"#,
                    r#"{"name":"a","permissions":[{"verb":"admin","topic":"*"}],"expires_at":-1}"#,
                    r#"{"name":"a","permissions":[{"verb":"admin","topic":"*"}],"expires_at":1}"#,
                    r#"{"name":"a","permissions":"admin"}"#,
                ],
                |body| bearer(post("/v1/keys").json(body), ADMIN_KEY),
            )
        },
        Refused(400, "invalid_parameter"),
    ),
];

async fn every_line_about_credentials_gets_its_answer(backend: Backend) {
    let stage = stage(backend).await;
    run("credentials", backend, ROWS, &stage).await;
    let stderr = stage.gateway.stderr();
    for secret in ["key", "ticket", "revoked"] {
        assert!(!stderr.contains(&stage.kept(secret)[16..]), "a {secret} is in the log");
    }
}

async fn who_is_not_known_gets_one_answer(backend: Backend) {
    for row in UNKNOWN.chunks(1) {
        run("who is not known", backend, row, &stage(backend).await).await;
    }
}
