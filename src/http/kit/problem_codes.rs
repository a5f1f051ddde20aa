//! Every way to say no, in one table: code, status, whether to try again, title, and the paragraph that
//! `/problems/{code}` shows. A code that is published is never renamed, removed or given another status.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// May the same request be sent again?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The request itself is wrong.
    Never,
    /// The same request may succeed after `Retry-After`.
    Later,
    /// The outcome is unknown: repeat with the same `Idempotency-Key`, or accept a duplicate.
    SameKey,
    /// Poll without a cursor.
    Rejoin,
}

impl Retry {
    /// As it stands in a problem.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Later => "later",
            Self::SameKey => "same_key",
            Self::Rejoin => "rejoin",
        }
    }
}

/// What the table says about a code.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// As it stands in a problem and in its page's path.
    pub code: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// Whether to send the request again, unless the problem says otherwise.
    pub retry: Retry,
    /// A short summary, the same for every problem of this code.
    pub title: &'static str,
    /// What it means and what to do, for `/problems/{code}`.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($variant:ident = $code:literal, $status:ident, $retry:ident, $title:literal, $text:literal;)+) => {
        /// The code of a problem: the part of a refusal that programs decide by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)+
        }

        impl Code {
            /// Every code, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// All there is to know about the code.
            pub fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        code: $code,
                        status: StatusCode::$status,
                        retry: Retry::$retry,
                        title: $title,
                        explanation: $text,
                    },)+
                }
            }
        }
    };
}

codes! {
    MalformedJson = "malformed_json", BAD_REQUEST, Never, "The body is not JSON",
        "The body, or a line of it, does not parse as JSON. `line` and `column` say where, both counted from 1. A raw \
         value without a content type that begins with {, [ or a quote must be JSON: send `Content-Type: text/plain` \
         if it is text.";
    InvalidRecord = "invalid_record", BAD_REQUEST, Never, "A record is not valid",
        "One of the records breaks a rule; the detail says which, counted from 0, and what is wrong: records[3].key. \
         Nothing of the request was written, except what a stream acknowledged before.";
    InvalidName = "invalid_name", BAD_REQUEST, Never, "The name is not valid",
        "Names of topics, groups and members are 1 to 249 characters of A-Z a-z 0-9 . _ -, not . or .., and do not \
         begin with two underscores.";
    InvalidCursor = "invalid_cursor", BAD_REQUEST, Never, "The cursor is not valid here",
        "The cursor is broken, or it was made for other topics or partitions than those read now. Cursors are \
         opaque: use them as they came, with the same topics. To begin anew leave the cursor away.";
    InvalidParameter = "invalid_parameter", BAD_REQUEST, Never, "A parameter is not valid",
        "A query parameter, a header or a member of the body has a value that it cannot have. `parameter` names it; \
         `minimum` and `maximum` are its bounds where it has any.";
    MissingParameter = "missing_parameter", BAD_REQUEST, Never, "A parameter is missing",
        "Something that has no default was left away. `parameter` names it.";
    UnknownParameter = "unknown_parameter", BAD_REQUEST, Never, "There is no such parameter",
        "The query has a parameter that this call does not know. Nothing is ignored, so that a slip of the pen never \
         changes silently what is read or written. `known` lists what there is.";
    UnknownField = "unknown_field", BAD_REQUEST, Never, "There is no such member",
        "The body has a member that this call does not know. Nothing is ignored, so that a slip of the pen never \
         changes silently what is read or written. `known` lists what there is.";
    TooManyPartitions = "too_many_partitions", BAD_REQUEST, Never, "Too many partitions for one read",
        "One read covers a bounded number of partitions, because its cursor names each of them. Name fewer topics, or \
         share the partitions out over several readers with `partition`.";

    Unauthorized = "unauthorized", UNAUTHORIZED, Never, "Credentials are needed",
        "The request has no valid credentials. Send `Authorization: Bearer` with a key that has not been revoked and \
         has not expired.";
    Forbidden = "forbidden", FORBIDDEN, Never, "Not permitted",
        "The credentials are good, but do not permit this. Whether the thing asked for exists is not told.";
    OriginNotAllowed = "origin_not_allowed", FORBIDDEN, Never, "This page may not use the gateway",
        "A browser sent the request for a page of another origin that is not listed. The operator lists an origin with \
         `--cors-origin https://app.example.com`; a gateway behind a proxy is told its own address with \
         `--public-url`.";
    QuotaExceeded = "quota_exceeded", FORBIDDEN, Never, "A quota is used up",
        "The caller has as many of these as it may have. Delete some, or have the quota raised.";
    HostNotAllowed = "host_not_allowed", MISDIRECTED_REQUEST, Never, "The gateway does not answer to this name",
        "The Host of the request is neither a loopback name nor an address that the gateway listens on nor a name \
         that it was told. This keeps foreign web pages out (DNS rebinding). The operator adds a name with \
         `--allowed-host name.example.com`.";

    UnknownPath = "unknown_path", NOT_FOUND, Never, "There is nothing at this path",
        "No call has this path. `/docs` lists all there are, for people; `/openapi.json`, for programs.";
    UnknownTopic = "unknown_topic", NOT_FOUND, Never, "There is no such topic",
        "The topic does not exist. It comes into being on the first produce, unless that is turned off, or by \
         `PUT /v1/topics/{topic}`. A reader that is early asks with `wait_for_topic=true`.";
    UnknownPartition = "unknown_partition", NOT_FOUND, Never, "The topic has no such partition",
        "Partitions are counted from 0 to one below the `partition_count` of the topic.";
    UnknownOffset = "unknown_offset", NOT_FOUND, Never, "No record has this offset yet",
        "The offset is at or beyond the high watermark: nothing has been written there yet.";
    UnknownGroup = "unknown_group", NOT_FOUND, Never, "There is no such group",
        "The consumer group does not exist. It comes into being with the first poll of a member.";
    UnknownMember = "unknown_member", NOT_FOUND, Rejoin, "The group has no such member",
        "The member has left, or its lease ran out and it was removed. Poll without a cursor to join again.";
    UnknownApiKey = "unknown_api_key", NOT_FOUND, Never, "There is no such API key",
        "No key has this id.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, Never, "The path does not know this method",
        "The path exists, but not with this method. The header `Allow` lists the methods that it has.";
    NotAcceptable = "not_acceptable", NOT_ACCEPTABLE, Never, "No such format is offered",
        "None of the media types in `Accept`, or not the `format` asked for, is offered here. `offered` lists what is.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, Never, "The type of the body is not taken",
        "The `Content-Type`, its charset or the `Content-Encoding` of the body is not one that this call takes. \
         `accepted` lists those that are.";

    TopicExists = "topic_exists", CONFLICT, Never, "The topic exists and is configured otherwise",
        "A topic of this name exists, and a member that was given differs from what it has. `current` is its \
         configuration. PATCH changes it.";
    GroupActive = "group_active", CONFLICT, Never, "The group has active members",
        "A member holds a partition that this would change. Stop the members first, or use `force`.";
    LeaseLost = "lease_lost", CONFLICT, Rejoin, "The lease on a partition is lost",
        "The lease ran out and another member took the partition. Nothing was committed. Poll without a cursor.";
    StaleEpoch = "stale_epoch", CONFLICT, Rejoin, "Another run of this member has taken over",
        "A newer run of the same member name exists and fences this one. Nothing was committed. Poll without a cursor \
         to take over in turn, or end.";
    OffsetRegression = "offset_regression", CONFLICT, Never, "The committed offset would go back",
        "A commit only moves forward. To read again on purpose, reset the offsets of the group.";
    OffsetExpired = "offset_expired", GONE, Never, "Retention has passed this offset",
        "The records asked for have been deleted by age or size. `partitions` says what is still there, and `cursor` \
         and `Link` go on behind the gap.";
    TopicRecreated = "topic_recreated", GONE, Never, "The topic was deleted and made anew",
        "The cursor belongs to an earlier topic of this name. Its records are gone. Begin anew without the cursor.";
    OffsetOutOfRange = "offset_out_of_range", RANGE_NOT_SATISFIABLE, Never, "The offset is beyond the end",
        "The offset is greater than the high watermark: no reader can have come so far. `partitions` says where the \
         ends are. The offset equal to the high watermark is fine and waits for the next record.";

    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, Later, "The body did not come",
        "No byte of the body came for so long that the gateway gave up. Nothing was written, except what a stream \
         acknowledged before.";
    RecordTooLarge = "record_too_large", PAYLOAD_TOO_LARGE, Never, "A record is too large",
        "Key, headers and value of one record together exceed `limit` bytes. Store the large thing elsewhere and its \
         address here, or have the limit raised.";
    RequestTooLarge = "request_too_large", PAYLOAD_TOO_LARGE, Never, "The request is too large",
        "The body exceeds `limit`, in bytes or in records. Send several requests, or NDJSON as a stream, which may be \
         of any length.";
    UriTooLong = "uri_too_long", URI_TOO_LONG, Never, "Path and query are too long",
        "Path and query together exceed `limit` bytes.";
    PartitionsShrink = "partitions_shrink", UNPROCESSABLE_ENTITY, Never, "A topic cannot lose partitions",
        "The number of partitions can only grow: records would be lost and keys would move. Make a new topic.";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, Never, "The key was used for another request",
        "This Idempotency-Key has been used with another body, query or content type. A key belongs to one request and \
         its repetitions.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, Later, "Too many requests",
        "The caller sends more than it may, or has more bodies of requests under way at once. Wait for `Retry-After`.";
    HeadersTooLarge = "headers_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, Never, "The headers are too large",
        "The request has too many headers, one that is too large, or too many bytes of them. `limit` is the bound.";

    OutcomeUnknown = "outcome_unknown", INTERNAL_SERVER_ERROR, SameKey, "Whether it was written is unknown",
        "The connection to the database broke, or the gateway failed, at a moment at which the records may be written \
         or not. Repeat with the same Idempotency-Key, and there is no duplicate; without one, accept that there may \
         be.";
    Internal = "internal", INTERNAL_SERVER_ERROR, Later, "The gateway failed",
        "An error in the gateway. It is in its log under the `request_id`; please report it.";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, Later, "Too much is under way",
        "The gateway has as much in memory as it may have. Nothing was written. Send it again after `Retry-After`.";
    DatabaseUnavailable = "database_unavailable", SERVICE_UNAVAILABLE, Later, "The database does not answer",
        "The database cannot be reached at the moment. Nothing was written. Send it again after `Retry-After`.";
    Draining = "draining", SERVICE_UNAVAILABLE, Later, "The gateway is shutting down",
        "This node is finishing what it has and takes nothing new. Another node, or this one when it is back, will \
         take the request.";
    StorageFull = "storage_full", INSUFFICIENT_STORAGE, Later, "The disk is full",
        "There is no room for more records. Nothing was written; reading goes on. Shorten retention or add storage.";
}

impl Code {
    /// The code that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.row().code == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        for code in Code::ALL {
            let row = code.row();
            assert_eq!(Code::parse(row.code), Some(*code), "{} stands there twice", row.code);
            assert!(row.status.is_client_error() || row.status.is_server_error(), "{}", row.code);
            assert!(row.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", row.code);
            assert!(!row.explanation.contains("  "), "{}", row.code);
        }
        assert_eq!(Code::ALL.len(), 46);
    }
}
