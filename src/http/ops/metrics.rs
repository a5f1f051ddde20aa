//! `/metrics`: what is counted and measured, for a scraper.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::FromRef;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::kit::problem::Problem;
use crate::http::kit::query::Query;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::exposition::Format;

/// Brings what is measured up to date.
#[async_trait]
pub trait Figures: Send + Sync + 'static {
    /// Looks now. Bounded in time.
    async fn take(&self);
}

/// What is told, and what brings it up to date.
#[derive(Clone)]
pub struct Scrape {
    /// What is counted and measured.
    pub metrics: Arc<Metrics>,
    /// What is looked up when somebody asks.
    pub figures: Arc<dyn Figures>,
}

/// The call of this file.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S>
where
    Scrape: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Metrics
///
/// In the text format of Prometheus, or in that of OpenMetrics where `Accept` names it. The lag of consumer groups is
/// looked up at most every five seconds.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operations",
    responses(
        (status = 200, description = "All metrics, a sample a line",
            content((String = "text/plain", example = json!("tidegate_produce_records_total 42\n")),
                (String = "application/openmetrics-text",
                    example = json!("tidegate_produce_records_total 42\n# EOF\n")))),
        Problem))]
async fn metrics(State(scrape): State<Scrape>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    Query::parse(uri.query(), &[])?;
    scrape.figures.take().await;
    let format = format(&headers);
    Ok(([(header::CONTENT_TYPE, format.media_type())], scrape.metrics.tell(format)).into_response())
}

/// Scrapers that know OpenMetrics name it first; its weight is of no interest.
fn format(headers: &HeaderMap) -> Format {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let open = accepted.flat_map(|value| value.split(',')).any(|range| {
        let kind = range.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("application/openmetrics-text")
    });
    if open { Format::OpenMetrics } else { Format::Prometheus }
}
