//! The published document: fresh, complete, and served.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;

on_each_backend!(
    the_document_in_the_repository_is_the_one_served_once_there_is_a_key,
    every_operation_has_a_name_examples_and_error_responses,
    every_endpoint_of_the_contract_is_described,
    every_parameter_states_its_limits,
);

const METHODS: [&str; 7] = ["get", "put", "post", "patch", "delete", "head", "options"];

fn checked_in() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/tidegate.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("the document is JSON")
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let mut found = Vec::new();
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                found.push((format!("{method} {path}"), operation));
            }
        }
    }
    found
}

/// Whether any object within has one of these members.
fn has_member(value: &Value, names: &[&str]) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, value)| names.contains(&name.as_str()) || has_member(value, names))
        }
        Value::Array(items) => items.iter().any(|item| has_member(item, names)),
        _ => false,
    }
}

async fn the_document_in_the_repository_is_the_one_served_once_there_is_a_key(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let served = async || gateway.get("/openapi.json").send().await.is(200).json();
    let open = served().await;
    assert!(open["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", open["openapi"]);
    assert!(!has_member(&open, &["security", "securitySchemes"]), "no call needs a key, so none says so");
    gateway
        .post("/v1/keys")
        .json(&json!({"name": "root", "permissions": [{"verb": "admin", "topic": "*"}]}))
        .send()
        .await
        .is(201);
    assert!(served().await == checked_in(), "openapi/tidegate.json is stale");
}

async fn every_operation_has_a_name_examples_and_error_responses(_: Backend) {
    let document = checked_in();
    let operations = operations(&document);
    let mut names = HashSet::new();
    for (place, operation) in &operations {
        let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{place} has no operationId"));
        assert!(names.insert(name), "{name} names two operations");
        assert!(has_member(operation, &["example", "examples"]), "{place} has no example");
        if !place.contains(" /v1/") {
            continue;
        }
        let responses = operation["responses"].as_object().expect("responses");
        let errors: Vec<_> = responses.iter().filter(|(status, _)| !status.starts_with(['2', '3'])).collect();
        assert!(!errors.is_empty(), "{place} has no error response");
        for (status, response) in errors {
            let by_reference =
                response["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#')));
            let content = &by_reference.unwrap_or(response)["content"];
            assert!(content.get("application/problem+json").is_some(), "{place} {status} is no problem");
        }
    }
}

async fn every_endpoint_of_the_contract_is_described(_: Backend) {
    let document = checked_in();
    let described: HashSet<String> = operations(&document).into_iter().map(|(place, _)| place).collect();
    for place in [
        "get /v1",
        "get /v1/topics",
        "put /v1/topics/{topic}",
        "get /v1/topics/{topic}",
        "patch /v1/topics/{topic}",
        "delete /v1/topics/{topic}",
        "get /v1/topics/{topic}/partitions/{partition}",
        "delete /v1/topics/{topic}/partitions/{partition}/records",
        "get /v1/topics/{topic}/partitions/{partition}/records",
        "get /v1/topics/{topic}/partitions/{partition}/records/{offset}",
        "get /v1/topics/{topic}/partitions/{partition}/records/{offset}/value",
        "get /v1/topics/{topic}/partitions/{partition}/offsets",
        "post /v1/topics/{topic}/values",
        "post /v1/topics/{topic}/records",
        "get /v1/topics/{topic}/records",
        "post /v1/records",
        "get /v1/records",
        "post /v1/groups/{group}/members/{member}/poll",
        "post /v1/groups/{group}/members",
        "post /v1/groups/{group}/members/{member}/offsets",
        "post /v1/groups/{group}/members/{member}/heartbeat",
        "delete /v1/groups/{group}/members/{member}",
        "get /v1/groups/{group}/members/{member}/records",
        "get /v1/groups/{group}/records",
        "get /v1/groups",
        "get /v1/groups/{group}",
        "get /v1/groups/{group}/offsets",
        "put /v1/groups/{group}/offsets",
        "delete /v1/groups/{group}",
        "get /healthz",
        "get /readyz",
    ] {
        assert!(described.contains(place), "{place} is missing in {described:?}");
    }
}

async fn every_parameter_states_its_limits(_: Backend) {
    let document = checked_in();
    let limits = [
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "enum",
        "format",
        "const",
        "exclusiveMinimum",
        "maxItems",
    ];
    for (place, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let schema = &parameter["schema"];
            let by_reference = schema["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#')));
            let schema = by_reference.unwrap_or(schema);
            let is_boolean = schema["type"] == "boolean";
            assert!(is_boolean || has_member(schema, &limits), "{place}: {parameter}");
        }
    }
}
