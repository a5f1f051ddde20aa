//! The gateway over HTTP: the only place that knows status codes. The routes of each way of speaking are mounted here,
//! behind the one front that every request passes.

pub mod kit;
pub mod limiter;
pub mod native;
pub mod ops;
pub mod origins;
pub mod proxies;
pub mod server;
pub mod tls;

mod connection;
mod files;
mod front;
mod gate;
mod hosts;
mod notes;
mod rights;
mod security;

use std::sync::Arc;

use axum::Router;
use utoipa::OpenApi;
use utoipa::openapi;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::schema::Type;
use utoipa_axum::router::OpenApiRouter;

use crate::access::Access;
pub use crate::http::front::Front;
use crate::http::front::Rules;
use crate::http::front::nothing_here;
use crate::http::hosts::Hosts;
use crate::http::hosts::split_port;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::limiter::Limiter;
use crate::http::native::Api;
use crate::http::ops::Ops;
use crate::http::origins::Origins;
use crate::model::limits::Limits;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::span::Tracer;

/// How the gateway meets its clients.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Names in `Host` that are served beside loopback and the addresses listened on.
    pub allowed_hosts: Vec<String>,
    /// What the gateway is called from outside, as origins ([`origins::parse_origin`]): pages there are our own, and
    /// their hosts are allowed.
    pub public_urls: Vec<String>,
    /// Origins of other pages that may use the gateway ([`origins::parse_origin`]).
    pub cors_origins: Vec<String>,
    /// The bounds of requests.
    pub limits: Limits,
    /// What each caller may do.
    pub limiter: limiter::Options,
    /// How connections are treated.
    pub server: server::Options,
    /// Certificate and key; without them HTTP is spoken in the clear.
    pub tls: Option<tls::Files>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidegate",
        version = "1.0.0",
        description = "Partitioned, durable, replayable event logs over plain HTTP.\n\nRequests are strict: an unknown \
                       parameter or member is refused by name. Answers are open: they may gain members. Every refusal is \
                       a problem (RFC 9457) with `code` and `retry`.\n\nFrom the first key on, calls need one; until then \
                       none does.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "This gateway")),
    tags(
        (name = "topics", description = "Named logs and their partitions"),
        (name = "records", description = "Produce and consume"),
        (name = "groups", description = "Several members share topics, and go on where the group left off"),
        (name = "access", description = "Keys, tickets, and who one is"),
        (name = "operations", description = "Is it well, and what are its bounds"),
    ),
    components(schemas(Problem))
)]
struct Contract;

/// Everything the gateway answers: the calls of the native API, those of operating it, and the pages.
pub fn router(api: Api, ops: Ops, access: &Access) -> Router {
    let calls = OpenApiRouter::new().merge(native::routes().with_state(api)).merge(ops::routes().with_state(ops));
    let (router, _) = calls.split_for_parts();
    let access = access.clone();
    let documents = ops::documents::routes(document, open_document, move || access.is_on());
    let pages = ops::console::routes().merge(documents).merge(ops::pages::routes());
    router.merge(pages).fallback(async || nothing_here())
}

/// The OpenAPI document, as it is published and as it is served once there is a key.
pub fn document() -> openapi::OpenApi {
    let mut document = open_document();
    security::describe(&mut document);
    document
}

/// As it is served while there is none.
fn open_document() -> openapi::OpenApi {
    let mut document = Contract::openapi();
    document.merge(native::routes().into_openapi());
    document.merge(ops::routes().into_openapi());
    lower_bounds_only(&mut document);
    document
}

/// Takes widths (`int32`, `int64`) from the integers in queries: one that is larger than any is lowered like others
/// that ask for more than there is, and those that have an upper bound say it.
fn lower_bounds_only(document: &mut openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for parameter in operations.into_iter().flatten().flat_map(|operation| &mut operation.parameters).flatten() {
            if let RefOr::T(parameter) = parameter
                && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
                && schema.schema_type == Type::Integer.into()
            {
                schema.format = None;
            }
        }
    }
}

/// Puts the front before a router; `access` lets callers in.
pub fn front(
    router: Router,
    access: Access,
    options: &Options,
    metrics: Arc<Metrics>,
    tracer: Option<Tracer>,
) -> Arc<Front> {
    let public = options.public_urls.iter().filter_map(|url| url.split_once("://"));
    let public = public.filter_map(|(_, authority)| split_port(authority)).map(|(host, _)| host.to_owned());
    let hosts = Hosts::new(options.allowed_hosts.iter().cloned().chain(public));
    let limiter = Limiter::new(options.limiter.clone());
    let origins = Origins::new(options.public_urls.clone(), options.cors_origins.clone());
    let rules = Rules { hosts, origins, limits: options.limits.clone(), limiter };
    Arc::new(Front::new(router, access, rules, metrics, tracer))
}

/// The metrics of a node that answers by this floor: its refusals are counted by their codes.
pub fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(Code::ALL.iter().map(|code| code.row().code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::labels::Route;
    use crate::telemetry::metrics::tables::Label;

    #[test]
    fn every_documented_path_is_a_label_of_the_metrics() {
        let paths: Vec<String> = document().paths.paths.into_keys().collect();
        assert!(paths.len() > 20, "{paths:?}");
        for path in paths {
            assert_eq!(Route::of(&path).text(), path, "`Route` in telemetry::metrics::labels does not know it");
        }
    }
}
