//! What the OpenAPI document says of credentials: of each call what the table of rights says of it.

use axum::http::Method;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::ApiKey;
use utoipa::openapi::security::ApiKeyValue;
use utoipa::openapi::security::HttpAuthScheme;
use utoipa::openapi::security::HttpBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::security::SecurityScheme;

use crate::http::kit::caller::TICKET_COOKIE;
use crate::http::rights::CALLS;
use crate::http::rights::Need;

const KEY: &str = "key";
const TICKET: &str = "ticket";
const COOKIE: &str = "cookie";

/// Adds the schemes, and to every call which of them it takes.
pub(crate) fn describe(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, `tg_…`. From the first key on calls need one."))
        .build();
    components.add_security_scheme(KEY, SecurityScheme::Http(bearer));
    let about = "A ticket (`POST /v1/tickets`), for clients that cannot send headers: for reading the records of a topic, or \
                 of a group's streams, and nothing else.";
    let ticket = ApiKey::Query(ApiKeyValue::with_description(TICKET, about));
    components.add_security_scheme(TICKET, SecurityScheme::ApiKey(ticket));
    let about = "The same as a cookie, for pages of the same site.";
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(TICKET_COOKIE, about));
    components.add_security_scheme(COOKIE, SecurityScheme::ApiKey(cookie));
    for call in CALLS {
        let Some(item) = document.paths.paths.get_mut(call.path) else { continue };
        let operation: &mut Option<Operation> = match call.method {
            Method::GET => &mut item.get,
            Method::POST => &mut item.post,
            Method::PUT => &mut item.put,
            Method::PATCH => &mut item.patch,
            Method::DELETE => &mut item.delete,
            _ => continue,
        };
        let schemes: &[&str] = match (call.need, call.stream) {
            (Need::Nothing, _) => &[],
            (_, None) => &[KEY],
            (_, Some(_)) => &[KEY, TICKET, COOKIE],
        };
        let requirement = |scheme: &&str| SecurityRequirement::new::<_, [&str; 0], &str>(*scheme, []);
        if let Some(operation) = operation {
            operation.security = Some(schemes.iter().map(requirement).collect());
        }
    }
}
