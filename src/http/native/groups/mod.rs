//! Consumer groups (api.md §5): poll, commit, stream, describe, reset.

mod admin;
mod bodies;
mod consume;
mod describe;
mod settle;
mod stream;
mod stream_query;
mod terms;

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
