//! Spans as OTLP writes them: the JSON encoding of `ExportTraceServiceRequest` (opentelemetry.io/docs/specs/otlp,
//! opentelemetry-proto 1.x, trace/v1/trace.proto): ids in hexadecimal, 64-bit numbers as strings.

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::json;

use crate::telemetry::traces::span::Finished;
use crate::telemetry::traces::span::Kind;
use crate::telemetry::traces::span::Value;

/// What all spans of a node have in common.
#[derive(Debug)]
pub(super) struct Resource(Json);

impl Resource {
    /// That of this process.
    pub(super) fn new(service_name: String) -> Self {
        let text = |key: &str, value: String| json!({ "key": key, "value": { "stringValue": value } });
        Self(json!({ "attributes": [
            text("service.name", service_name),
            text("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            text("service.instance.id", format!("{:032x}", fastrand::u128(..))),
        ] }))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanBody<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Json>,
    links: Vec<Json>,
    status: Json,
}

/// A request with all of `spans`.
pub(super) fn request(resource: &Resource, spans: &[Finished]) -> Vec<u8> {
    let body = json!({ "resourceSpans": [{
        "resource": resource.0,
        "scopeSpans": [{
            "scope": { "name": "tidegate", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans.iter().map(body).collect::<Vec<_>>(),
        }],
    }] });
    serde_json::to_vec(&body).expect("strings, numbers and lists always serialize")
}

fn body(span: &Finished) -> SpanBody<'_> {
    let took = u64::try_from(span.took.as_nanos()).unwrap_or(u64::MAX);
    SpanBody {
        trace_id: format!("{:032x}", span.context.trace),
        span_id: format!("{:016x}", span.context.span),
        parent_span_id: span.parent.map(|parent| format!("{parent:016x}")),
        name: &span.name,
        kind: match span.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
        },
        start_time_unix_nano: span.began_ns.to_string(),
        end_time_unix_nano: span.began_ns.saturating_add(took).to_string(),
        attributes: span.attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        links: span
            .links
            .iter()
            .map(|to| json!({ "traceId": format!("{:032x}", to.trace), "spanId": format!("{:016x}", to.span) }))
            .collect(),
        status: if span.failed { json!({ "code": 2 }) } else { json!({}) },
    }
}

fn attribute(name: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Owned(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": name, "value": value })
}
