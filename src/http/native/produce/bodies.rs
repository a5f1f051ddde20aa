//! Bodies of produce as the OpenAPI document shows them. They are read and written elsewhere (`decode`, `render`),
//! without a document in between; what stands here must say the same.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::kit::problem::Problem;

/// A record to write. It has exactly one of `value` and `value_base64`. A record as it was read may be sent again:
/// `offset` and `cursor` have no effect, nor has `topic` where the path names one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRecord)]
pub struct NewRecordBody {
    /// The key as text. Records with the same key go to the same partition; `null` is no key.
    #[schema(examples("user-1"))]
    pub key: Option<String>,
    /// The key as bytes, in base64 (RFC 4648 section 4).
    #[schema(content_encoding = "base64", examples("AAEC"))]
    pub key_base64: Option<String>,
    /// Any JSON, kept as it is sent but for white space between its tokens; `null` is a tombstone.
    #[schema(schema_with = any_json)]
    pub value: Option<serde_json::Value>,
    /// The value as bytes, in base64 (RFC 4648 section 4).
    #[schema(nullable = false, content_encoding = "base64", examples("iVBORw0KGgo="))]
    pub value_base64: Option<String>,
    /// Record headers.
    pub headers: Option<BTreeMap<String, String>>,
    /// Record headers where names repeat or values are bytes. If both are sent, this holds.
    #[schema(max_items = 64)]
    pub header_list: Option<Vec<NewHeaderBody>>,
    /// The partition; without it the key decides, and without a key they take turns.
    #[schema(minimum = 0, maximum = 2_147_483_647, examples(0))]
    pub partition: Option<u32>,
    /// Milliseconds since 1970, at most an hour ahead of the server's clock, which is the default.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, examples(1732233600000_u64))]
    pub timestamp: Option<u64>,
    /// The topic, needed where the path names none.
    #[schema(min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$", examples("clicks"))]
    pub topic: Option<String>,
    /// No effect.
    #[schema(minimum = 0)]
    pub offset: Option<u64>,
    /// No effect.
    pub cursor: Option<String>,
}

/// What may stand for `value`: anything.
fn any_json() -> utoipa::openapi::Schema {
    let any = utoipa::openapi::schema::ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::AnyValue);
    any.description(Some("Any JSON, kept as it is sent but for white space between its tokens; `null` is a tombstone."))
        .examples([serde_json::json!({"page": "/home"})])
        .build()
        .into()
}

/// A record header to write: a name with one of `value` and `value_base64`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewHeader)]
pub struct NewHeaderBody {
    /// Its name.
    #[schema(examples("trace"))]
    pub name: String,
    /// Its value as text.
    #[schema(nullable = false, examples("abc"))]
    pub value: Option<String>,
    /// Its value as bytes, in base64.
    #[schema(nullable = false, content_encoding = "base64")]
    pub value_base64: Option<String>,
}

/// Records to write at once: all of them, or none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRecords)]
pub struct NewRecordsBody {
    /// The records, in order.
    #[schema(min_items = 1, max_items = 10_000)]
    pub records: Vec<NewRecordBody>,
}

/// Where a record is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub struct ReceiptBody {
    /// The topic, where the path names none.
    #[schema(nullable = false, examples("clicks"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The partition.
    #[schema(minimum = 0, examples(0))]
    pub partition: u32,
    /// The offset.
    #[schema(minimum = 0, examples(42))]
    pub offset: u64,
    /// The record's timestamp, in milliseconds since 1970.
    #[schema(minimum = 0, examples(1732233600000_u64))]
    pub timestamp: u64,
}

/// Where the records are, in the order sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipts)]
pub struct ReceiptsBody {
    /// One per record.
    pub offsets: Vec<ReceiptBody>,
}

/// Where a raw value is, and how it was taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ValueReceipt)]
pub struct ValueReceiptBody {
    /// The topic.
    #[schema(examples("clicks"))]
    pub topic: String,
    /// The partition.
    #[schema(minimum = 0, examples(0))]
    pub partition: u32,
    /// The offset.
    #[schema(minimum = 0, examples(42))]
    pub offset: u64,
    /// The record's timestamp, in milliseconds since 1970.
    #[schema(minimum = 0, examples(1732233600000_u64))]
    pub timestamp: u64,
    /// `json`, `text` (as a JSON string), `bytes`, or `tombstone` (the JSON `null`).
    #[schema(examples("json"))]
    pub stored_as: String,
}

/// A line of the answer to a stream: a receipt, or the last line. Empty lines only say that the stream lives.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ReceiptLine)]
pub enum ReceiptLineBody {
    /// A record is durable.
    Receipt(ReceiptBody),
    /// The last line.
    End(StreamEndBody),
}

/// The last line of the answer to a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamEnd)]
pub struct StreamEndBody {
    /// How many records were written. These stand, whatever came after.
    #[schema(minimum = 0, examples(3))]
    pub records: u64,
    /// Why the stream ended before its last line was written.
    #[schema(value_type = Option<Problem>, nullable = false)]
    pub problem: Option<serde_json::Value>,
}
