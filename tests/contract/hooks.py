"""What Schemathesis is told of the gateway: how lines and events are read, and which requests that the document allows
may be refused all the same."""

import json

import schemathesis

# What no schema can say: that members exclude each other, that a token is one that was given out, that a number is
# beyond the end of a log. Names, types and forms the document does say, so `unknown_parameter`, `unknown_field`,
# `invalid_name`, `malformed_json` and the rest are not among them.
BEYOND_SCHEMAS = {
    "invalid_cursor", "invalid_parameter", "missing_parameter", "invalid_record", "too_many_partitions",
    "forbidden", "unknown_topic", "unknown_partition", "unknown_offset", "unknown_group", "unknown_member", "unknown_api_key",
    "not_acceptable", "topic_exists", "group_active", "lease_lost", "stale_epoch", "offset_regression",
    "offset_expired", "topic_recreated", "offset_out_of_range", "request_too_large", "record_too_large", "uri_too_long",
    "partitions_shrink", "idempotency_key_reused", "rate_limited",
}


@schemathesis.serializer("application/x-ndjson", "application/jsonl")
def to_line(ctx, value):
    """The document's schema of lines is that of one of them."""
    return json.dumps(value).encode() + b"\n"


@schemathesis.deserializer("application/x-ndjson", "application/jsonl")
def from_lines(ctx, response):
    if not response.content:
        raise NotImplementedError  # no line: nothing to hold against the schema
    return json.loads(response.content.splitlines()[0])


@schemathesis.deserializer("text/event-stream")
def from_events(ctx, response):
    """The records: what `onmessage` of an EventSource gets, so neither named events nor those without data."""
    events = [event.split("\n") for event in response.content.decode().split("\n\n")]
    fields = [dict(line.split(": ", 1) for line in event if ": " in line) for event in events]
    return [json.loads(event["data"]) for event in fields if "data" in event and "event" not in event]


@schemathesis.check
def refused_for_a_reason_beyond_schemas(ctx, response, case):
    """Stands for `positive_data_acceptance`, which knows statuses only."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code < 400:
        return
    code = response.json().get("code")
    assert code in BEYOND_SCHEMAS, f"{response.status_code} {code}: {response.json().get('detail')}"
