//! The pages of `/problems/`, which explain every refusal. Each is one self-contained document under a policy that lets
//! nothing else in.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::Html;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::Digest;
use sha2::Sha256;

use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::problem_codes::Retry;
use crate::http::kit::problem_codes::Row;

const STYLE: &str = ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;\
                     margin:2rem auto;padding:0 1rem}code{font-family:ui-monospace,monospace}td{padding:.1rem .8rem .1rem 0}";

/// `/problems` and `/problems/{code}`.
pub fn routes() -> Router {
    let index = Document::new(problem_index());
    Router::new()
        .route("/problems", get(async move || index.into_response()))
        .route("/problems/{code}", get(problem_page))
}

async fn problem_page(Path(code): Path<String>) -> Response {
    match Code::parse(&code) {
        Some(code) => Document::new(explained(&code.row())).into_response(),
        None => {
            Problem::new(Code::UnknownPath, "There is no problem of this code; `/problems` lists all.").into_response()
        }
    }
}

/// A page and the policy that fits it.
#[derive(Clone)]
struct Document {
    html: Arc<str>,
    policy: HeaderValue,
}

impl Document {
    /// The page's own style is let in by its digest, so nothing that might be slipped into it counts. There is no script.
    fn new(html: String) -> Self {
        let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        let policy = HeaderValue::try_from(policy).expect("base64 and keywords are a header value");
        Self { html: html.into(), policy }
    }
}

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_SECURITY_POLICY, self.policy),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")), // for browsers that know no frame-ancestors
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        (headers, Html(self.html.to_string())).into_response()
    }
}

fn problem_index() -> String {
    let mut rows = String::new();
    for code in Code::ALL {
        let Row { code, status, title, .. } = code.row();
        let status = status.as_u16();
        writeln!(rows, "<tr><td>{status}<td><a href=\"/problems/{code}\"><code>{code}</code></a><td>{title}")
            .expect("a string takes everything");
    }
    let body = format!(
        "<h1>Problems</h1>\n<p>Every refusal has a <code>code</code>. These are all.</p>\n<table>\n{rows}</table>"
    );
    html("Problems", &body)
}

fn explained(row: &Row) -> String {
    let again = match row.retry {
        Retry::Never => "No: the request itself is wrong, and will be refused again.",
        Retry::Later => "Yes, after the time that <code>Retry-After</code> says.",
        Retry::SameKey => {
            "Yes, with the same <code>Idempotency-Key</code>; without one it may be written a second time."
        }
        Retry::Rejoin => "Not as it is: poll without <code>cursor</code>.",
    };
    let Row { code, status, title, retry, explanation } = row;
    let (retry, status) = (retry.as_str(), status.as_u16());
    let explanation = marked_up(explanation);
    let body = format!(
        "<h1>{title}</h1>\n<p><code>{code}</code>, status {status}</p>\n<p>{explanation}</p>\n<h2>May it be sent \
         again?</h2>\n<p>{again} (<code>\"retry\":\"{retry}\"</code>; the problem itself may say otherwise.)</p>\n\
         <p><a href=\"/problems\">All problems</a></p>"
    );
    html(title, &body)
}

/// Text of the table as HTML: what stands between backticks is code.
fn marked_up(text: &str) -> String {
    let safe = text.replace('&', "&amp;").replace('<', "&lt;");
    let parts = safe.split('`').enumerate();
    parts.map(|(i, part)| if i % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

fn html(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{title} · Tidegate</title>\n\
         <style>{STYLE}</style>\n{body}\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_markup() {
        assert_eq!(marked_up("a `b<c` & d"), "a <code>b&lt;c</code> &amp; d");
    }

    #[test]
    fn a_page_lets_in_its_own_style_only() {
        let page = Document::new(problem_index());
        let policy = page.policy.to_str().expect("ascii");
        assert!(policy.contains("style-src 'sha256-") && !policy.contains("script-src"), "{policy}");
        assert!(page.html.contains(&format!("<style>{STYLE}</style>")), "the digest is that of what stands there");
    }
}
