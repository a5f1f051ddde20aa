//! The OpenAPI document and Swagger UI, whose files are part of the program: no outside network.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Redirect;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;
use utoipa_swagger_ui::SwaggerFile;

use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;

/// Swagger UI writes styles into its elements and draws with `data:` images; its scripts are files.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// `/openapi.json` and `/docs/`. Which document it is, `closed` says: whether calls need a key. Each is written when it is
/// asked for first: a start does not wait for it.
pub fn routes(
    with_keys: fn() -> OpenApi,
    without: fn() -> OpenApi,
    closed: impl Fn() -> bool + Clone + Send + Sync + 'static,
) -> Router {
    let [with_keys, without] = [with_keys, without].map(|document| {
        Arc::new(LazyLock::new(move || {
            Bytes::from(document().to_pretty_json().expect("a document of strings and numbers serializes"))
        }))
    });
    let json = move || Bytes::clone(if closed() { &with_keys } else { &without });
    let config = Arc::new(Config::from("/openapi.json").try_it_out_enabled(true));
    let index = Arc::clone(&config);
    Router::new()
        .route("/openapi.json", get(async move || ([(header::CONTENT_TYPE, "application/json")], json())))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async move || page("", index)))
        .route("/docs/{*file}", get(async move |Path(file): Path<String>| page(&file, config)))
}

fn page(path: &str, config: Arc<Config<'static>>) -> Response {
    let Ok(Some(SwaggerFile { bytes, content_type, gzpipped, .. })) = utoipa_swagger_ui::serve(path, config) else {
        return Problem::new(Code::UnknownPath, "The documentation has no such file.").into_response();
    };
    let bytes = match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mut response = ([(header::CONTENT_TYPE, content_type)], bytes).into_response();
    let headers = response.headers_mut();
    if gzpipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}
