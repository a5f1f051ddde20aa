//! Tidegate's own API (api.md), version 1.

pub mod access;
pub mod consume;
pub mod error;
pub mod groups;
pub mod input;
pub mod produce;
pub mod state;
pub mod topics;

use utoipa_axum::router::OpenApiRouter;

pub use crate::http::native::state::Api;
pub use crate::http::native::state::Options;

/// All calls of this API.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(access::routes())
        .merge(topics::calls::routes())
        .merge(produce::calls::routes())
        .merge(consume::calls::routes())
        .merge(groups::routes())
}
