//! Operating the gateway: is it well, is it ready, which version and bounds has it; and its pages.

pub mod console;
pub mod documents;
pub mod metrics;
pub mod pages;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use axum::extract::FromRef;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::Query;
use crate::http::ops::metrics::Scrape;
use crate::model::limits::Limits;

/// The version of the published contract, not of the program.
const API_VERSION: &str = "1.0.0";

/// How long the database may take to answer: less than those who ask wait, so that they hear why.
const READY_MAX: Duration = Duration::from_secs(4);

/// Says whether the node can do its work: its database answers.
#[async_trait]
pub trait Readiness: Send + Sync + 'static {
    /// Looks now.
    ///
    /// # Errors
    /// A sentence for the operator: what is wanting.
    async fn check(&self) -> Result<(), String>;
}

/// What operating the gateway needs to know.
#[derive(Clone)]
pub struct Ops {
    /// Whether the node can do its work.
    pub readiness: Arc<dyn Readiness>,
    /// What `/metrics` tells.
    pub scrape: Scrape,
    /// Cancelled when the node begins to shut down.
    pub draining: CancellationToken,
    /// The bounds that `GET /v1` tells.
    pub limits: Arc<Limits>,
}

impl FromRef<Ops> for Scrape {
    fn from_ref(ops: &Ops) -> Self {
        ops.scrape.clone()
    }
}

/// `/healthz`, `/readyz`, `/metrics`, `/v1`.
pub fn routes() -> OpenApiRouter<Ops> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(version))
        .merge(metrics::routes())
}

/// How the node is.
#[derive(Serialize, ToSchema)]
struct Status {
    /// `ok` or `ready`.
    #[schema(examples("ok"))]
    status: &'static str,
}

/// The process lives
///
/// Answers as long as the process does, also while it shuts down.
#[utoipa::path(get, path = "/healthz", operation_id = "health", tag = "operations",
    responses((status = 200, body = Status, example = json!({"status": "ok"}))))]
async fn health() -> Json<Status> {
    Json(Status { status: "ok" })
}

/// The node takes requests
///
/// Its database answers and it is not shutting down. Otherwise 503, and a load balancer sends requests elsewhere.
#[utoipa::path(get, path = "/readyz", operation_id = "readiness", tag = "operations",
    responses((status = 200, body = Status, example = json!({"status": "ready"})), Problem))]
async fn ready(State(ops): State<Ops>) -> Result<Json<Status>, Problem> {
    if ops.draining.is_cancelled() {
        return Err(Problem::new(Code::Draining, "This node is shutting down."));
    }
    match timeout(READY_MAX, ops.readiness.check()).await {
        Ok(Ok(())) => Ok(Json(Status { status: "ready" })),
        Ok(Err(reason)) => Err(Problem::new(Code::DatabaseUnavailable, reason)),
        Err(_) => Err(Problem::new(Code::DatabaseUnavailable, "The database does not answer.")),
    }
}

/// The version of the interface and the bounds of this gateway.
#[derive(Serialize, ToSchema)]
struct Version {
    /// Version of the interface.
    #[schema(examples("1.0.0"))]
    version: &'static str,
    /// Upper bounds by name; each can be set where the gateway is started.
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
    limits: Arc<Limits>,
}

/// Version and limits
///
/// `limits` may gain members.
#[utoipa::path(get, path = "/v1", operation_id = "version", tag = "operations",
    responses((status = 200, body = Version,
        example = json!({"version": "1.0.0", "limits": {"record_bytes": 1048576, "request_bytes": 16777216}})), Problem))]
async fn version(State(ops): State<Ops>, uri: Uri) -> Result<Json<Version>, Problem> {
    Query::parse(uri.query(), &[])?;
    Ok(Json(Version { version: API_VERSION, limits: ops.limits }))
}
