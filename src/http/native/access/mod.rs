//! Who one is, keys, and tickets.

pub mod bodies;
pub mod error;
pub mod keys;
pub mod tickets;
pub mod whoami;

use utoipa_axum::router::OpenApiRouter;

use crate::http::native::state::Api;

/// All calls about access.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().merge(whoami::routes()).merge(keys::routes()).merge(tickets::routes())
}
