//! Consumer groups (api.md §5): poll, commit, stream, describe, reset.

pub mod admin;
pub mod bodies;
pub mod consume;
pub mod describe;
pub mod rights;
pub mod settle;
pub mod stream;
pub mod stream_query;
pub mod terms;

use utoipa_axum::router::OpenApiRouter;

use crate::http::native::state::Api;

/// All calls on groups.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(consume::routes())
        .merge(settle::routes())
        .merge(stream::routes())
        .merge(describe::routes())
        .merge(admin::routes())
}
