//! Bad input to the calls of a group: what each gets, and that none of it changes anything.

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Call;
use crate::harness::client::assert_names;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::member::joined;
use crate::harness::member::members;
use crate::harness::on_each_backend;

on_each_backend!(
    unknown_groups_and_members_are_404,
    a_poll_that_is_not_sound_is_refused_and_joins_nobody,
    a_lease_out_of_range_names_its_bounds,
    bounds_beyond_the_servers_own_are_lowered,
    names_outside_the_alphabet_are_refused,
    a_cursor_of_anything_else_is_refused,
    a_commit_that_is_not_sound_is_refused,
    a_reset_that_is_not_sound_is_refused,
    bodies_and_methods_are_checked_as_everywhere,
    no_get_joins_or_makes_anything,
);

const POLL: &str = "/v1/groups/g/members/m/poll";
const JOIN: &str = "/v1/groups/g/members";
const OFFSETS: &str = "/v1/groups/g/members/m/offsets";

/// A running member of group `g` that has read three records of `orders`.
async fn member(gateway: &Gateway) -> Member {
    gateway.topic("orders", 1).await.count(0, 0..3).await;
    let mut member = Member::new(gateway, "g", "m", json!({ "topics": ["orders"], "lease_ms": 60_000 }));
    assert_eq!(member.begin().await.records.len(), 3);
    member
}

async fn assert_no_group(gateway: &Gateway) {
    assert_eq!(gateway.get("/v1/groups").send().await.is(200).json()["groups"], json!([]));
}

async fn unknown_groups_and_members_are_404(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let member = member(&gateway).await;
    let calls = |group: &str, name: &str| -> Vec<Call> {
        let path = format!("/v1/groups/{group}/members/{name}");
        let offsets = json!({ "epoch": 1, "offsets": [{ "topic": "orders", "partition": 0, "next_offset": 1 }] });
        vec![
            gateway.post(&format!("{path}/heartbeat")).json(&json!({ "epoch": 1 })),
            gateway.post(&format!("{path}/offsets")).json(&offsets),
            gateway.delete(&path),
            gateway.delete(&format!("{path}?epoch=1")),
        ]
    };
    for call in calls("none", "m") {
        call.send().await.problem(404, "unknown_group");
    }
    for call in calls("g", "nobody") {
        call.send().await.problem(404, "unknown_member");
    }
    gateway.get("/v1/groups/none").send().await.problem(404, "unknown_group");
    gateway.get("/v1/groups/none/offsets").send().await.problem(404, "unknown_group");
    gateway.delete("/v1/groups/none").send().await.problem(404, "unknown_group");
    gateway.delete("/v1/groups/none?force=true").send().await.problem(404, "unknown_group");
    gateway.get("/v1/groups/none").send().await.problem(404, "unknown_group");
    assert_eq!(members(&gateway, "g").await, 1);
    member.heartbeat().await.is(200);
}

async fn a_poll_that_is_not_sound_is_refused_and_joins_nobody(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    for path in [POLL, JOIN] {
        for (body, code) in [
            (r"{}", "missing_parameter"),
            (r#"{"wait_ms":5}"#, "missing_parameter"),
            (r#"{"topics":["orders"],"topic_prefix":"o"}"#, ""),
            (r#"{"topics":[]}"#, ""),
            (r#"{"topics":"orders"}"#, "invalid_parameter"),
            (r#"{"topics":[5]}"#, "invalid_parameter"),
            (r#"{"topics":["orders",""]}"#, "invalid_name"),
            (r#"{"topics":["__orders"]}"#, "invalid_name"),
            (r#"{"topics":["a/b"]}"#, "invalid_name"),
            (r#"{"topics":["orders"],"strategy":"fair"}"#, "invalid_parameter"),
            (r#"{"topics":["orders"],"from":"soon"}"#, "invalid_parameter"),
            (r#"{"topics":["orders"],"from":"5"}"#, "invalid_parameter"),
            (r#"{"topics":["orders"],"from":""}"#, "invalid_parameter"),
            (r#"{"topics":["orders"],"wait_ms":-1}"#, "invalid_parameter"),
            (r#"{"topics":["orders"],"wait_ms":1.5}"#, "invalid_parameter"),
            (r#"{"topics":["orders"],"max_records":0}"#, "invalid_parameter"),
            (r#"{"topics":["orders"],"max_bytes":"1k"}"#, "invalid_parameter"),
            (r#"{"topics":["orders"],"commit":"yes"}"#, "invalid_parameter"),
            (r#"{"topics":["orders"],"topic":"orders"}"#, "unknown_field"),
            (r#"{"topics":["orders"],"lease":5}"#, "unknown_field"),
        ] {
            let answer = gateway.post(path).raw_json(body).send().await;
            let problem = answer.refusal(400);
            // Where the contract leaves the code open none is named here.
            assert!(code.is_empty() || problem["code"] == code, "{path} {body}: {problem}");
        }
        let problem = gateway.post(&format!("{path}?wait_ms=5")).json(&json!({ "topics": ["orders"] })).send().await;
        assert_names(&problem.problem(400, "unknown_parameter"), &["wait_ms"]);
    }
    let problem = gateway.post(POLL).json(&json!({ "topic": ["orders"] })).send().await.problem(400, "unknown_field");
    assert_names(&problem, &["topic", "topics", "topic_prefix", "cursor", "lease_ms", "strategy"]);
    assert_no_group(&gateway).await;
}

async fn a_lease_out_of_range_names_its_bounds(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    for lease in ["999", "900001", "0", "-1", "1e400", r#""x""#, r#""5000""#, "1500.5", "18446744073709551616"] {
        for path in [POLL, JOIN] {
            let body = format!(r#"{{"topics":["orders"],"lease_ms":{lease}}}"#);
            let problem = gateway.post(path).raw_json(body).send().await.problem(400, "invalid_parameter");
            assert_eq!((&problem["minimum"], &problem["maximum"]), (&json!(1000), &json!(900_000)), "{lease}");
            assert_names(&problem, &["lease_ms"]);
        }
    }
    assert_no_group(&gateway).await;
    for lease in [1000, 900_000] {
        let start = json!({ "topics": ["orders"], "lease_ms": lease });
        let mut member = Member::new(&gateway, "g", &format!("m{lease}"), start);
        assert_eq!(member.begin().await.lease_ms, lease);
    }
}

async fn bounds_beyond_the_servers_own_are_lowered(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let mut member = member(&gateway).await;
    let huge =
        json!({ "wait_ms": 9_007_199_254_740_991_u64, "max_records": 1_000_000, "max_bytes": 1_099_511_627_776_u64 });
    // A record ends the wait; the point is that the numbers are taken.
    let other = gateway.client().another();
    let wake = async { other.post("/v1/topics/orders/values").body("wake").send().await.is(201) };
    let (poll, _) = tokio::join!(member.poll_with(huge), wake);
    assert_eq!(poll.records.len(), 1);
}

async fn names_outside_the_alphabet_are_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    let body = json!({ "topics": ["orders"] });
    let long = "x".repeat(250);
    for name in ["__g", "a%20b", "a%2Fb", "%00", "caf%C3%A9", "a:b", &long] {
        let by_group = gateway.post(&format!("/v1/groups/{name}/members/m/poll")).json(&body);
        by_group.send().await.problem(400, "invalid_name");
        gateway.post(&format!("/v1/groups/{name}/members")).json(&body).send().await.problem(400, "invalid_name");
        let by_member = gateway.post(&format!("/v1/groups/g/members/{name}/poll")).json(&body);
        by_member.send().await.problem(400, "invalid_name");
        let reset = json!({ "topic": "orders", "to": "earliest" });
        gateway.put(&format!("/v1/groups/{name}/offsets")).json(&reset).send().await.problem(400, "invalid_name");
        gateway.get(&format!("/v1/groups/{name}")).send().await.problem(400, "invalid_name");
    }
    assert_no_group(&gateway).await;
    let longest = "x".repeat(249);
    gateway.post(&format!("/v1/groups/{longest}/members/{longest}/poll")).json(&body).send().await.is(200);
}

async fn a_cursor_of_anything_else_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let member = member(&gateway).await;
    let start = json!({ "topics": ["orders"] });
    let of_another = Member::new(&gateway, "g", "another", start.clone()).begin().await.cursor;
    let of_another_group = Member::new(&gateway, "h", "m", start).begin().await.cursor;
    let plain = gateway.get("/v1/topics/orders/records").send().await.is(200).json();
    let plain = plain["cursor"].as_str().expect("a cursor");
    let own = member.cursor.clone().expect("it has begun");
    let long = "A".repeat(2000);
    let flipped = format!("{}{}", if own.starts_with('A') { 'B' } else { 'A' }, &own[1..]);
    for cursor in
        ["", " ", "x", "null", &own[1..], &own[..own.len() - 1], &flipped, &long, plain, &of_another, &of_another_group]
    {
        let body = json!({ "cursor": cursor });
        for path in [POLL, OFFSETS] {
            gateway.post(path).json(&body).send().await.problem(400, "invalid_cursor");
        }
    }
    for body in [r#"{"cursor":5}"#, r#"{"cursor":[]}"#, r#"{"cursor":{}}"#] {
        for path in [POLL, OFFSETS] {
            gateway.post(path).raw_json(body).send().await.refusal(400);
        }
    }
    assert_eq!(committed(&gateway, "g", "orders", 0).await.unwrap_or(0), 0);
    member.commit().await.is(200);
    assert_eq!(committed(&gateway, "g", "orders", 0).await, Some(3));
}

async fn a_commit_that_is_not_sound_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let member = member(&gateway).await;
    let epoch = member.epoch;
    let first = r#"{"topic":"orders","partition":0,"next_offset":2}"#;
    let of = |offsets: &str| format!(r#"{{"epoch":{epoch},"offsets":{offsets}}}"#);
    for (body, code) in [
        ("{}".to_owned(), "missing_parameter"),
        (format!(r#"{{"epoch":{epoch}}}"#), "missing_parameter"),
        (format!(r#"{{"offsets":[{first}]}}"#), "missing_parameter"),
        (format!(r#"{{"epoch":"1","offsets":[{first}]}}"#), "invalid_parameter"),
        (format!(r#"{{"epoch":-1,"offsets":[{first}]}}"#), "invalid_parameter"),
        (of(r#"[{"topic":"orders","partition":0}]"#), "missing_parameter"),
        (of(r#"[{"topic":"orders","next_offset":2}]"#), "missing_parameter"),
        (of(r#"[{"partition":0,"next_offset":2}]"#), "missing_parameter"),
        (of(r#"[{"topic":"orders","partition":0,"next_offset":-1}]"#), "invalid_parameter"),
        (of(r#"[{"topic":"orders","partition":0,"next_offset":1.5}]"#), "invalid_parameter"),
        (of(r#"[{"topic":"orders","partition":0,"next_offset":"2"}]"#), "invalid_parameter"),
        (of(r#"[{"topic":"orders","partition":0,"next_offset":9007199254740993}]"#), "invalid_parameter"),
        (of(r#"[{"topic":"orders","partition":0,"next_offset":1e400}]"#), "invalid_parameter"),
        (of(r#"[{"topic":"orders","partition":-1,"next_offset":2}]"#), "invalid_parameter"),
        (of(r#"[{"topic":"orders","partition":0,"next_offset":2,"metadata":5}]"#), "invalid_parameter"),
        (of(r#"[{"topic":"orders","partition":0,"offset":2}]"#), "unknown_field"),
        (of(r#"[{"topic":"a/b","partition":0,"next_offset":2}]"#), "invalid_name"),
        (of(r#""all""#), "invalid_parameter"),
    ] {
        let problem = gateway.post(OFFSETS).raw_json(body.clone()).send().await.refusal(400);
        assert_eq!(problem["code"], code, "{body}: {problem}");
    }
    // The same partition twice, and both ways at once, leave open which of them is meant.
    let cursor = member.cursor.as_deref().expect("it has begun");
    for body in
        [of(&format!("[{first},{first}]")), format!(r#"{{"cursor":"{cursor}","epoch":{epoch},"offsets":[{first}]}}"#)]
    {
        gateway.post(OFFSETS).raw_json(body).send().await.refusal(400);
    }
    for body in ["{}", r#"{"epoch":"x"}"#, r#"{"epoch":-1}"#, r#"{"epoch":1,"lease_ms":5}"#] {
        gateway.post("/v1/groups/g/members/m/heartbeat").raw_json(body).send().await.refusal(400);
    }
    for query in ["epoch=x", "epoch=-1", "epoch=", "force=true"] {
        gateway.delete(&format!("/v1/groups/g/members/m?{query}")).send().await.refusal(400);
    }
    assert_eq!(committed(&gateway, "g", "orders", 0).await.unwrap_or(0), 0);
    member.heartbeat().await.is(200);
}

async fn a_reset_that_is_not_sound_is_refused(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    let base = json!({ "topic": "orders", "partition": 0 });
    for (more, code) in [
        (json!({ "from": "earliest" }), "unknown_field"),
        (json!({ "to": "earliest", "dry_run": "yes" }), "invalid_parameter"),
        (json!({ "to": "earliest", "force": 1 }), "invalid_parameter"),
        (json!({ "to": "earliest", "partition": "all" }), "invalid_parameter"),
        (json!({ "to": "earliest", "topic": "a/b" }), "invalid_name"),
        (json!({ "offset": "5" }), "invalid_parameter"),
    ] {
        let body = joined(base.clone(), more);
        let problem = gateway.put("/v1/groups/g/offsets").json(&body).send().await.refusal(400);
        assert_eq!(problem["code"], code, "{body}: {problem}");
    }
    let no_topic = json!({ "to": "earliest" });
    gateway.put("/v1/groups/g/offsets").json(&no_topic).send().await.problem(400, "missing_parameter");
    gateway.delete("/v1/groups/g?force=maybe").send().await.problem(400, "invalid_parameter");
    assert_no_group(&gateway).await;
}

async fn bodies_and_methods_are_checked_as_everywhere(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    let heartbeat = "/v1/groups/g/members/m/heartbeat";
    for (method, path, known) in [
        ("GET", POLL, "POST"),
        ("PUT", POLL, "POST"),
        ("GET", JOIN, "POST"),
        ("GET", OFFSETS, "POST"),
        ("DELETE", heartbeat, "POST"),
        ("GET", "/v1/groups/g/members/m", "DELETE"),
        ("POST", "/v1/groups/g/records", "GET"),
        ("POST", "/v1/groups/g/offsets", "PUT"),
        ("POST", "/v1/groups", "GET"),
        ("PUT", "/v1/groups/g", "DELETE"),
    ] {
        let answer = gateway.request(method, path).send().await;
        answer.problem(405, "method_not_allowed");
        let allow = answer.header("allow").expect("a 405 names the methods");
        let names: Vec<_> = allow.split(',').map(str::trim).collect();
        assert!(names.contains(&known) && !names.contains(&method), "{method} {path}: {allow}");
    }
    let body = r#"{"topics":["orders"]}"#;
    for path in [POLL, JOIN, OFFSETS, heartbeat] {
        for kind in ["text/csv", "application/x-ndjson", "multipart/form-data; boundary=x"] {
            let answer = gateway.post(path).header("content-type", kind).body(body).send().await;
            answer.problem(415, "unsupported_media_type");
        }
        let problem = gateway.post(path).raw_json("{\n  \"epoch\": ,\n}").send().await.problem(400, "malformed_json");
        assert_eq!((&problem["line"], problem["column"].is_u64()), (&json!(2), true), "{problem}");
        for body in ["[]", "5", "null", r#""x""#, ""] {
            gateway.post(path).raw_json(body).send().await.refusal(400);
        }
    }
    let answer = gateway.post(&format!("{POLL}?format=xml")).raw_json(body).send().await;
    assert!([400, 406].contains(&answer.status), "{answer:?}");
    assert_no_group(&gateway).await;
    // curl's own type counts as none, and none means JSON.
    let call = gateway.post(POLL).header("content-type", "application/x-www-form-urlencoded");
    call.body(body).send().await.is(200);
    gateway.post(&format!("{POLL}/")).body(body).send().await.is(200);
}

async fn no_get_joins_or_makes_anything(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    for path in ["/v1/groups/g", "/v1/groups/g/offsets"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(gateway.request(method, path).send().await.status, 404, "{method} {path}");
        }
        gateway.request("OPTIONS", path).send().await.is(204);
    }
    for path in [POLL, JOIN, OFFSETS] {
        gateway.request("OPTIONS", path).send().await.is(204);
    }
    for path in ["/v1/groups?limit=0", "/v1/groups?limit=x", "/v1/groups?page_token=nonsense!", "/v1/groups/g?x=1"] {
        gateway.get(path).send().await.refusal(400);
    }
    assert_no_group(&gateway).await;
    let group: Value = gateway.get("/v1/groups/g").send().await.problem(404, "unknown_group");
    assert_eq!(group["retry"], "never");
}
