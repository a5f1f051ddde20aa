//! Tidegate's own API (api.md), version 1.

pub mod answer;
pub mod bounds;
pub mod decode;
pub mod envelope;
pub mod error;
pub mod feed;
pub mod frames;
pub mod groups;
pub mod headers;
pub mod json_text;
pub mod lines;
pub mod produce;
pub mod produce_answer;
pub mod produce_bodies;
pub mod produce_chunk;
pub mod produce_request;
pub mod produce_stream;
pub mod pulse;
pub mod raw;
pub mod read_docs;
pub mod read_query;
pub mod records;
pub mod refusal;
pub mod render;
pub mod state;
pub mod stream;
pub mod topic_bodies;
pub mod topics;

use utoipa_axum::router::OpenApiRouter;

pub use crate::http::native::state::Api;
pub use crate::http::native::state::Options;

/// All calls of this API.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(topics::routes())
        .merge(produce::routes())
        .merge(records::routes())
        .merge(groups::routes())
}
