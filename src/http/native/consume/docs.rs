//! How reads are described in the OpenAPI document. Nothing here runs: `query.rs` reads what these describe.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::IntoParams;
use utoipa::IntoResponses;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::Content;
use utoipa::openapi::HeaderBuilder;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::RefOr;
use utoipa::openapi::Response;
use utoipa::openapi::ResponseBuilder;
use utoipa::openapi::schema::Array;
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::schema::Type;

use crate::model::cursor::PARTITIONS_MAX;
use crate::model::name::NAME_BYTES_MAX;

macro_rules! read_params {
    ($name:ident { $($(#[$meta:meta])* $member:ident: $kind:ty,)* }) => {
        /// The parameters of a read.
        #[derive(IntoParams)]
        #[into_params(parameter_in = Query)]
        #[allow(dead_code)]
        pub struct $name {
            $($(#[$meta])* $member: $kind,)*
            /// Where to begin: `earliest`, `latest`, `-N` (N records before the end of each partition), an RFC 3339
            /// time, or integer milliseconds.
            #[param(default = "earliest", example = "-10", max_length = 64,
                pattern = "^(earliest|latest|-(0|[1-9][0-9]{0,14})|[1-9][0-9]{11,14}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))$")]
            from: Option<String>,
            /// Go on where another read of the same topics stopped.
            #[param(max_length = 4096, pattern = "^[A-Za-z0-9_.-]+$")]
            cursor: Option<String>,
            /// Only records with this key.
            #[param(max_length = 4096, example = "user-1")]
            key: Option<String>,
            /// Only records with this key, in base64.
            #[param(pattern = "^[A-Za-z0-9+/_-]*={0,2}$")]
            key_base64: Option<String>,
            /// Records in a finite answer. More than the server's bound is lowered to it.
            #[param(minimum = 1, default = 500)]
            max_records: Option<u64>,
            /// Bytes of keys, headers and values in a finite answer; at least one record comes all the same.
            #[param(minimum = 1, default = 1048576)]
            max_bytes: Option<u64>,
            /// How long a finite answer waits for its first record, in milliseconds.
            #[param(minimum = 0, default = 0)]
            wait_ms: Option<u64>,
            /// JSON also says how many records lie between its cursor and the high watermarks.
            #[param(default = false)]
            lag: Option<bool>,
            /// A topic that does not exist is an empty one until it comes into being.
            #[param(default = false)]
            wait_for_topic: Option<bool>,
            /// Wins over `Accept`.
            #[param(inline)]
            format: Option<FormatName>,
            /// Lines do not end; each record then has its `cursor`.
            #[param(default = false)]
            follow: Option<bool>,
            /// Event streams: the id of the last event, for a page that was loaded anew.
            #[param(max_length = 4096, pattern = "^[A-Za-z0-9_.-]+$")]
            last_event_id: Option<String>,
        }
    };
}

read_params!(ReadParams {
    /// Only these partitions (repeatable).
    #[param(explode = true, style = Form, required = false, schema_with = partition_list)]
    partition: Option<Vec<u32>>,
});

read_params!(TopicsReadParams {
    /// The topics (repeatable).
    #[param(explode = true, style = Form, schema_with = topic_list, example = json!(["clicks", "orders"]))]
    topic: Vec<String>,
});

read_params!(PartitionReadParams {
    /// The offset to begin with.
    #[param(minimum = 0, maximum = 9007199254740991_u64)]
    offset: Option<u64>,
});

fn partition_list() -> Array {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(i32::MAX));
    ArrayBuilder::new().items(number).max_items(Some(PARTITIONS_MAX)).build()
}

fn topic_list() -> Array {
    topic_names(PARTITIONS_MAX)
}

/// At most so many names of topics.
pub fn topic_names(max: usize) -> Array {
    let name = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(NAME_BYTES_MAX));
    let name = name.pattern(Some("^[A-Za-z0-9._-]+$"));
    ArrayBuilder::new().items(name).min_items(Some(1)).max_items(Some(max)).build()
}

/// How records are written.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code)]
enum FormatName {
    Json,
    Ndjson,
    Values,
    Sse,
}

/// A record as it is read. Absent members are left out.
#[derive(Serialize, ToSchema)]
#[schema(as = Record, example = json!({"topic": "clicks", "partition": 0, "offset": 42, "timestamp": 1732233600000_u64,
    "key": "user-1", "headers": {"trace": "abc"}, "value": {"page": "/home"}}))]
pub struct RecordAnswer {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// Its place in the partition.
    #[schema(minimum = 0, maximum = 9007199254740991_u64)]
    offset: u64,
    /// The sender's time or the server's, in milliseconds since 1970.
    #[schema(minimum = 0)]
    timestamp: u64,
    /// The key, if it is text.
    #[schema(nullable = false)]
    key: Option<String>,
    /// The key, if it is not text.
    #[schema(nullable = false, format = "byte")]
    key_base64: Option<String>,
    /// The headers; of a repeated name the last value.
    #[schema(nullable = false)]
    headers: Option<BTreeMap<String, String>>,
    /// The headers in order, where `headers` is not the whole truth.
    #[schema(nullable = false)]
    header_list: Option<Vec<HeaderAnswer>>,
    /// The value as it was sent; `null` is a tombstone.
    #[schema(schema_with = any_json)]
    value: Option<serde_json::Value>,
    /// The value, if it is bytes.
    #[schema(nullable = false, format = "byte")]
    value_base64: Option<String>,
    /// Where lines follow: the position after this record.
    #[schema(nullable = false)]
    cursor: Option<String>,
}

/// A record header.
#[derive(Serialize, ToSchema)]
#[schema(as = RecordHeader)]
struct HeaderAnswer {
    /// Its name.
    name: String,
    /// Its value, if it is text.
    #[schema(nullable = false)]
    value: Option<String>,
    /// Its value, if it is bytes.
    #[schema(nullable = false, format = "byte")]
    value_base64: Option<String>,
}

/// A page of records.
#[derive(Serialize, ToSchema)]
#[schema(as = Page, example = json!({"records": [{"topic": "clicks", "partition": 0, "offset": 42,
    "timestamp": 1732233600000_u64, "value": {"page": "/home"}}], "cursor": "EAABk4r3mQ", "at_tail": true}))]
pub struct PageAnswer {
    /// In order within each partition.
    records: Vec<RecordAnswer>,
    /// Where to go on.
    cursor: String,
    /// Whether that is the end for now.
    at_tail: bool,
    /// With `lag=true`: records between the cursor and the high watermarks.
    #[schema(nullable = false)]
    lag: Option<u64>,
}

fn any_json() -> utoipa::openapi::schema::Object {
    ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::AnyValue).build()
}

/// The answers of a read: a page, lines, or a stream of events.
pub struct ReadAnswer;

impl IntoResponses for ReadAnswer {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let text = || ObjectBuilder::new().schema_type(Type::String).build();
        let header = |about: &str| HeaderBuilder::new().schema(Some(text())).description(Some(about)).build();
        let page = ResponseBuilder::new()
            .description(
                "`application/json` is one page. `application/x-ndjson` is one record a line. `text/event-stream` does \
                 not end: the `data` of each event is one record, its `id` the cursor after it; events named `gap` and \
                 `problem` are no records.",
            )
            .content("application/json", Content::new(Some(reference::<PageAnswer>())))
            .content("application/x-ndjson", Content::new(Some(reference::<RecordAnswer>())))
            .content("text/event-stream", Content::new(Some(reference::<RecordAnswer>())))
            .header("Tidegate-Cursor", header("Where to go on; finite answers only."))
            .header("Tidegate-At-Tail", header("`true` if that is the end for now; finite answers only."))
            .header("Link", header("`rel=\"next\"`: the query of the next read; finite answers only."))
            .build();
        let unchanged = ResponseBuilder::new().description("What was kept is still right.").build();
        BTreeMap::from([("200".to_owned(), page.into()), ("304".to_owned(), unchanged.into())])
    }
}

fn reference<T: ToSchema + PartialSchema>() -> RefOr<utoipa::openapi::Schema> {
    RefOr::Ref(utoipa::openapi::Ref::from_schema_name(T::name()))
}
