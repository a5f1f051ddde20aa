//! Who may do what: without credentials, with bad ones, with good ones for other names.

use std::fs;
use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::access::Guarded;
use crate::harness::access::create_key;
use crate::harness::access::text;
use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;

on_each_backend!(
    a_right_on_other_names_is_403_whether_there_is_anything,
    lists_hold_what_the_caller_may_see,
    what_others_in_a_group_read_is_not_told_to_who_may_not_see_it,
    a_topic_comes_into_being_for_who_may_produce_to_it,
    names_in_queries_and_bodies_are_asked_about_too,
    idempotency_keys_belong_to_their_caller,
    cursors_of_others_are_refused,
    a_member_needs_a_right_to_its_group_and_to_its_topics,
    a_stream_of_lines_ends_at_the_first_topic_that_is_not_permitted,
);

on_sqlite!("the gate is before the database":
    without_credentials_only_what_holds_no_data_is_answered,
    what_is_no_good_credential_gets_one_answer,
    who_fails_too_often_is_told_to_wait,
    a_key_in_a_url_is_refused_and_not_repeated,
);

/// All operations of the published document, with names put in where they stand in the path.
fn operations(topic: &str, group: &str) -> Vec<(String, String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/tidegate.json");
    let text = fs::read_to_string(path).expect("the document is there");
    let document: Value = serde_json::from_str(&text).expect("it is JSON");
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let filled = path.replace("{topic}", topic).replace("{group}", group).replace("{member}", "m");
        let filled = filled.replace("{partition}", "0").replace("{offset}", "0").replace("{id}", "k3F0aZ81mQwX");
        for (method, operation) in item.as_object().expect("methods") {
            found.push((method.to_uppercase(), filled.clone(), operation["security"].clone()));
        }
    }
    assert!(found.len() > 30);
    found
}

async fn make(gateway: &Guarded, topic: &str) {
    gateway.put(&format!("/v1/topics/{topic}")).send().await.is(201);
}

fn without_id(answer: &Answer) -> Value {
    let mut problem: Value = serde_json::from_slice(&answer.body).expect("a problem is JSON");
    problem.as_object_mut().expect("an object").remove("request_id");
    problem.as_object_mut().expect("an object").remove("outcome");
    problem
}

async fn without_credentials_only_what_holds_no_data_is_answered(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let nobody = gateway.nobody();
    let mut open = Vec::new();
    for (method, path, security) in operations("orders", "billing") {
        let answer = nobody.request(&method, &path).send().await;
        if security == json!([]) {
            assert_ne!(answer.status, 401, "{method} {path}");
            open.push(path);
        } else {
            answer.problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}");
        }
    }
    assert_eq!(open, ["/healthz", "/readyz", "/v1"]);
    for path in ["/", "/console/app.js", "/docs/", "/openapi.json", "/problems/forbidden", "/v1", "/v1/", "/healthz"] {
        nobody.get(path).send().await.is(200);
    }
    for (method, path) in [("GET", "/v1/nothing"), ("POST", "/v1/topics"), ("HEAD", "/v1/topics")] {
        assert_eq!(nobody.request(method, path).send().await.status, 401, "{method} {path}");
    }
    nobody.get("/metrics").send().await.problem(401, "unauthorized");
    nobody.request("OPTIONS", "/v1/topics").send().await.is(204);
    gateway.get("/v1/nothing").send().await.problem(404, "unknown_path");
    let answer = gateway.post("/v1/topics").send().await;
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    gateway.get("/v1/topics//records").send().await.problem(404, "unknown_path");
    gateway.get("/v1/topics/").send().await.is(200);
}

async fn what_is_no_good_credential_gets_one_answer(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let revoked = create_key(&gateway, &["admin:*"]).await.json();
    gateway.delete(&format!("/v1/keys/{}", text(&revoked["id"]))).send().await.is(204);
    let revoked = text(&revoked["key"]);
    let slip = format!("{}{}", &revoked[..64], if revoked.ends_with('0') { '1' } else { '0' });
    let none = gateway.nobody().get("/v1/topics").send().await;
    none.problem(401, "unauthorized");
    for credential in [
        format!("Bearer {revoked}"),
        format!("Bearer {slip}"),
        "Bearer tg_".to_owned(),
        "Bearer".to_owned(),
        "Basic cm9vdDpyb290".to_owned(),
        format!("Token {revoked}"),
        "Bearer eyJhbGciOiJub25lIn0.e30.".to_owned(),
        format!("Bearer {}", "x".repeat(6000)),
    ] {
        let answer = gateway.nobody().get("/v1/topics").header("authorization", &credential).send().await;
        answer.problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(without_id(&answer), without_id(&none), "{}", &credential[..20.min(credential.len())]);
    }
    let twice = gateway.get("/v1/topics").header("authorization", "Bearer x").send().await;
    twice.problem(401, "unauthorized");
    let key = text(&create_key(&gateway, &["consume:*"]).await.json()["key"]).to_owned();
    for credential in [format!("bearer {key}"), format!("BEARER {key}"), format!("Bearer {key} ")] {
        gateway.nobody().get("/v1/topics").header("authorization", &credential).send().await.is(200);
    }
}

async fn who_fails_too_often_is_told_to_wait(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let bad = gateway.nobody().with_key("tg_no");
    let mut refused = 0;
    let told = loop {
        let answer = bad.get("/v1/topics").send().await;
        if answer.status != 401 {
            break answer;
        }
        refused += 1;
        // A slow machine may take more than a minute for eleven: then it begins anew.
        assert!(refused < 100, "nobody is told to wait");
    };
    assert!(refused >= 10);
    told.problem(429, "rate_limited");
    let wait: u64 = told.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!((1..=60).contains(&wait));
    gateway.get("/v1/topics").send().await.is(200);
}

async fn a_key_in_a_url_is_refused_and_not_repeated(backend: Backend) {
    let gateway = Guarded::with(backend, &["--log", "debug"]).await;
    let key = text(&create_key(&gateway, &["admin:*"]).await.json()["key"]).to_owned();
    for client in [gateway.nobody(), gateway.nobody().with_key(&key)] {
        for path in [
            format!("/v1/topics?key={key}"),
            format!("/v1/topics/a/records?ticket={key}"),
            format!("/v1/topics/a/records?x=%74g{}", &key[2..]),
            "/v1/topics?access_token=x".to_owned(),
            format!("/healthz?token={key}"),
            format!("/v1/nothing?token={key}"),
        ] {
            let answer = client.get(&path).send().await;
            answer.problem(400, "invalid_parameter");
            assert!(!answer.text().contains(&key[16..]), "{}", answer.text());
        }
    }
    assert!(!gateway.gateway.stderr().contains(&key[16..]), "a key in the log");
}

async fn a_right_on_other_names_is_403_whether_there_is_anything(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    gateway.post("/v1/topics/orders/values").body("x").send().await.is(201);
    let poll = gateway.post("/v1/groups/billing/members/m/poll").json(&json!({"topics": ["orders"]}));
    poll.send().await.is(200);
    let other = gateway.client(&["admin:other*:other*"]).await;
    let mut asked = 0;
    for ((method, path, security), (_, missing, _)) in
        operations("orders", "billing").into_iter().zip(operations("absent", "nothing"))
    {
        if security == json!([]) || (path == missing && !path.starts_with("/v1/keys")) {
            continue;
        }
        asked += 1;
        let (there, absent) =
            (other.request(&method, &path).send().await, other.request(&method, &missing).send().await);
        there.problem(403, "forbidden");
        let absent = without_id(&absent).to_string().replace("absent", "orders").replace("nothing", "billing");
        assert_eq!(absent, without_id(&there).to_string(), "{method} {path}");
    }
    assert!(asked > 25, "{asked}");
    other.get("/metrics").send().await.problem(403, "forbidden");
    gateway.get("/v1/topics/orders").send().await.is(200);
    // Admin includes both on the same names, and only those.
    other.put("/v1/topics/other-1").send().await.is(201);
    other.post("/v1/topics/other-1/values").body("x").send().await.is(201);
    other.get("/v1/topics/other-1/records").send().await.is(200);
    let key = json!({"name": "a", "permissions": []});
    other.post("/v1/keys").json(&key).send().await.refused_write(403, "forbidden");
}

async fn lists_hold_what_the_caller_may_see(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    for n in 0..12 {
        let name = if n % 3 == 0 { format!("pub-{n:02}") } else { format!("sec-{n:02}") };
        gateway.put(&format!("/v1/topics/{name}")).send().await.is(201);
        let poll = json!({"topics": [name]});
        gateway.post(&format!("/v1/groups/g-{name}/members/m/poll")).json(&poll).send().await.is(200);
    }
    let both = json!({"topics": ["pub-00", "sec-01"]});
    gateway.post("/v1/groups/g-pub-both/members/m/poll").json(&both).send().await.is(200);
    let caller = gateway.client(&["consume:pub-*:g-pub-*"]).await;
    for (list, member, all) in [
        ("topics", "topic", &["pub-00", "pub-03", "pub-06", "pub-09"][..]),
        ("groups", "group", &["g-pub-00", "g-pub-03", "g-pub-06", "g-pub-09", "g-pub-both"]),
    ] {
        let (mut found, mut query) = (Vec::new(), "?limit=3".to_owned());
        loop {
            let page = caller.get(&format!("/v1/{list}{query}")).send().await.is(200).json();
            let items = page[list].as_array().expect("a list");
            found.extend(items.iter().map(|item| text(&item[member]).to_owned()));
            let Some(token) = page["next_page_token"].as_str() else { break };
            query = format!("?limit=3&page_token={token}");
        }
        assert_eq!(found, all);
        let none = gateway.client(&["produce:other"]).await.get(&format!("/v1/{list}")).send().await.is(200).json();
        assert_eq!(none, json!({ list: [] }));
    }
    for path in ["/v1/groups/g-pub-both", "/v1/groups/g-pub-both/offsets"] {
        let seen = caller.get(path).send().await.is(200);
        assert!(seen.text().contains("pub-00") && !seen.text().contains("sec-01"), "{}", seen.text());
    }
}

async fn what_others_in_a_group_read_is_not_told_to_who_may_not_see_it(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    make(&gateway, "sec-a").await;
    make(&gateway, "pub-a").await;
    for (member, prefix) in [("boss", "sec-"), ("all", ""), ("clerk", "pub-")] {
        let poll = json!({"topic_prefix": prefix, "lease_ms": 900_000});
        gateway.post(&format!("/v1/groups/g/members/{member}/poll")).json(&poll).send().await.is(200);
    }
    let caller = gateway.client(&["admin:pub-*:g"]).await;
    let seen = caller.get("/v1/groups/g").send().await.is(200);
    assert!(!seen.text().contains("sec-"), "{}", seen.text());
    let members = seen.json()["members"].clone();
    let told = |name: &str| {
        let member = members.as_array()?.iter().find(|member| member["member_id"] == name)?;
        Some((member["topic_prefix"].clone(), member["topics"].clone()))
    };
    assert_eq!(told("clerk"), Some(("pub-".into(), Value::Null)));
    for name in ["boss", "all"] {
        assert_eq!(told(name), Some((Value::Null, json!([]))), "as one that named nothing");
    }
    // What stands in the way of an administrator is told as far as they may see it.
    let refused = caller.delete("/v1/groups/g").send().await;
    refused.problem(409, "group_active");
    assert!(!refused.text().contains("sec-"), "{}", refused.text());
    let refused = gateway.delete("/v1/groups/g").send().await;
    assert!(refused.problem(409, "group_active").to_string().contains("sec-a"), "{}", refused.text());
}

async fn a_topic_comes_into_being_for_who_may_produce_to_it(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let producer = gateway.client(&["produce:pub-*"]).await;
    let made = producer.post("/v1/topics/pub-a/values").body("x").send().await.is(201);
    assert_eq!(made.header("tidegate-topic-created"), Some("pub-a"));
    producer.get("/v1/topics/pub-a").send().await.is(200);
    producer.get("/v1/topics/pub-a/records").send().await.problem(403, "forbidden");
    producer.put("/v1/topics/pub-b").send().await.refused_write(403, "forbidden");
    producer.post("/v1/topics/sec-a/values").body("x").send().await.refused_write(403, "forbidden");
    gateway.get("/v1/topics/sec-a").send().await.problem(404, "unknown_topic");
}

async fn names_in_queries_and_bodies_are_asked_about_too(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    make(&gateway, "pub-a").await;
    make(&gateway, "sec-a").await;
    let caller = gateway.client(&["consume:pub-*:g", "produce:pub-*"]).await;
    caller.get("/v1/records?topic=pub-a").send().await.is(200);
    for path in ["/v1/records?topic=pub-a&topic=sec-a", "/v1/records?topic=sec-b&wait_for_topic=true"] {
        caller.get(path).send().await.problem(403, "forbidden");
        caller.get(&format!("{path}&format=sse")).send().await.problem(403, "forbidden");
    }
    let write = |topics: &[&str]| {
        let records: Vec<Value> = topics.iter().map(|topic| json!({"topic": topic, "value": 1})).collect();
        caller.post("/v1/records").json(&json!({ "records": records }))
    };
    write(&["pub-a", "pub-b"]).send().await.is(200);
    write(&["pub-a", "sec-a"]).send().await.refused_write(403, "forbidden");
    write(&["pub-a", "sec-b"]).send().await.refused_write(403, "forbidden");
    let page = gateway.get("/v1/topics/pub-a/records").send().await.is(200).json();
    assert_eq!(page["records"].as_array().map(Vec::len), Some(1), "a refused write leaves nothing");
    for body in [json!({"topic": "sec-a"}), json!({"topic": "sec-b"}), json!({"group": "h"})] {
        caller.post("/v1/tickets").json(&body).send().await.refused_write(403, "forbidden");
    }
    let admin = gateway.client(&["admin:pub-*:g"]).await;
    let reset = |topic: &str| admin.put("/v1/groups/g/offsets").json(&json!({"topic": topic, "to": "earliest"}));
    reset("pub-a").send().await.is(200);
    reset("sec-a").send().await.refused_write(403, "forbidden");
}

async fn idempotency_keys_belong_to_their_caller(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let (one, other) = (gateway.client(&["produce:a"]).await, gateway.client(&["produce:a"]).await);
    let write = async |client: &Client, value: &str| {
        let call = client.post("/v1/topics/a/values").header("idempotency-key", "order-17");
        call.raw_json(value.to_owned()).send().await
    };
    let first = write(&one, "1").await.is(201);
    let again = write(&one, "1").await.is(201);
    assert_eq!((again.header("idempotency-replayed"), again.text()), (Some("true"), first.text()));
    let foreign = write(&other, "2").await.is(201);
    assert_eq!(foreign.header("idempotency-replayed"), None);
    assert_ne!(foreign.json()["offset"], first.json()["offset"]);
    write(&one, "2").await.problem(422, "idempotency_key_reused");
}

async fn cursors_of_others_are_refused(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    for topic in ["pub-a", "sec-a"] {
        gateway.post(&format!("/v1/topics/{topic}/values")).body("x").send().await.is(201);
    }
    let page = gateway.get("/v1/topics/sec-a/records").send().await.is(200);
    let cursor = page.header("tidegate-cursor").expect("a cursor").to_owned();
    let caller = gateway.client(&["consume:pub-*:g"]).await;
    caller.get(&format!("/v1/topics/sec-a/records?cursor={cursor}")).send().await.problem(403, "forbidden");
    caller.get(&format!("/v1/topics/pub-a/records?cursor={cursor}")).send().await.problem(400, "invalid_cursor");
    // A member of the same group and name, whose cursor tells of a topic that the caller may not read.
    let poll = json!({"topics": ["sec-a"], "lease_ms": 900_000});
    let polled = gateway.post("/v1/groups/g/members/m/poll").json(&poll).send().await.is(200).json();
    let cursor = text(&polled["cursor"]);
    let goes_on = json!({ "cursor": cursor });
    caller.post("/v1/groups/g/members/m/poll").json(&goes_on).send().await.problem(403, "forbidden");
    caller.post("/v1/groups/g/members/m/offsets").json(&goes_on).send().await.refused_write(403, "forbidden");
    let stream = caller.get("/v1/groups/g/members/m/records?topic=pub-a").header("accept", "text/event-stream");
    stream.header("last-event-id", cursor).send().await.problem(403, "forbidden");
    let offsets = gateway.get("/v1/groups/g/offsets").send().await.is(200).json();
    assert_eq!(offsets["offsets"][0]["next_offset"], 0, "nothing was committed: {offsets}");
}

async fn a_member_needs_a_right_to_its_group_and_to_its_topics(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    make(&gateway, "pub-a").await;
    let poll = |client: &Client, group: &str, body: Value| {
        client.post(&format!("/v1/groups/{group}/members/m/poll")).json(&body)
    };
    let caller = gateway.client(&["consume:pub-*", "consume::g"]).await;
    poll(&caller, "g", json!({"topics": ["pub-a"]})).send().await.is(200);
    for (group, body) in [
        ("h", json!({"topics": ["pub-a"]})),
        ("g", json!({"topics": ["pub-a", "sec-a"]})),
        ("g", json!({"topic_prefix": "pu"})),
        ("g", json!({"topic_prefix": ""})),
    ] {
        poll(&caller, group, body.clone()).send().await.refused_write(403, "forbidden");
        let join = caller.post(&format!("/v1/groups/{group}/members")).json(&body);
        join.send().await.refused_write(403, "forbidden");
    }
    poll(&caller, "g", json!({"topic_prefix": "pub-"})).send().await.is(200);
    let commit = |topic: &str| {
        let offsets = json!([{"topic": topic, "partition": 0, "next_offset": 0}]);
        caller.post("/v1/groups/g/members/m/offsets").json(&json!({"epoch": 1, "offsets": offsets}))
    };
    commit("sec-a").send().await.refused_write(403, "forbidden");
    caller.delete("/v1/groups/g").send().await.refused_write(403, "forbidden");
    let no_group = gateway.client(&["admin:*"]).await;
    poll(&no_group, "g", json!({"topics": ["pub-a"]})).send().await.refused_write(403, "forbidden");
}

async fn a_stream_of_lines_ends_at_the_first_topic_that_is_not_permitted(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    let caller = gateway.client(&["produce:pub-*"]).await;
    let lines =
        "{\"topic\":\"pub-a\",\"value\":1}\n{\"topic\":\"sec-a\",\"value\":2}\n{\"topic\":\"pub-a\",\"value\":3}\n";
    let answer = caller.post("/v1/records").ndjson(lines).send().await.is(200);
    let last: Value = serde_json::from_str(answer.text().lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["records"], &last["problem"]["code"]), (&1.into(), &"forbidden".into()), "{last}");
    let refused = "{\"topic\":\"sec-a\",\"value\":2}\n";
    caller.post("/v1/records").ndjson(refused).send().await.refused_write(403, "forbidden");
    gateway.get("/v1/topics/sec-a").send().await.problem(404, "unknown_topic");
}
