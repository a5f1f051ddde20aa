//! Which web pages may use the gateway. A browser says who asks (`Origin`, `Sec-Fetch-Site`); a page that is neither our
//! own nor listed is refused on every method, because on a gateway without keys the browser is the only fence.

use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::Response;
use axum::http::StatusCode;
use axum::http::header;

use crate::http::hosts::split_port;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;

/// Request headers that a page may set, beside `Record-Header-*`, which are echoed.
const ALLOWED_HEADERS: &str =
    "Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-Id";
/// Response headers that a page may read.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Allow, ETag, Idempotency-Replayed, Link, Location, Retry-After, Tidegate-Cursor, Tidegate-At-Tail, \
     Tidegate-Epoch, Tidegate-Topic-Created, X-Request-Id",
);
const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// How long a browser may keep the answer to a preflight: ten minutes, what security.md advises.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const RECORD_HEADER_PREFIX: &str = "record-header-";

/// The origins that may use the gateway.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// What the gateway is called from outside: as good as its `Host`.
    own: Vec<String>,
    /// Other pages' origins, which get CORS headers.
    listed: Vec<String>,
}

/// A listed origin that asked: its answer carries CORS headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CrossOrigin(HeaderValue);

impl Origins {
    /// `own` and `listed` are origins as [`parse_origin`] returns them.
    pub(crate) fn new(own: Vec<String>, listed: Vec<String>) -> Self {
        Self { own, listed }
    }

    /// Lets a request pass that no page sent, that a page of our own sent, or one of a listed origin (`Some`).
    /// `plain_page` is a page that anybody may open by a link.
    pub(crate) fn judge(
        &self,
        headers: &HeaderMap,
        host: &str,
        plain_page: bool,
    ) -> Result<Option<CrossOrigin>, Problem> {
        if let Some(origin) = headers.get(header::ORIGIN) {
            let text = origin.to_str().unwrap_or_default();
            if same_origin(text, host) || self.own.iter().any(|own| own == text) {
                return Ok(None);
            }
            if self.listed.iter().any(|listed| listed == text) && headers.get_all(header::ORIGIN).iter().count() == 1 {
                return Ok(Some(CrossOrigin(origin.clone())));
            }
            return Err(refused("The page's origin is not listed."));
        }
        let is = |name: &HeaderName, value: &str| headers.get(name).is_some_and(|given| given == value);
        if is(&SEC_FETCH_SITE, "cross-site") && !(plain_page && is(&SEC_FETCH_MODE, "navigate")) {
            return Err(refused("A page of another site sent the request."));
        }
        Ok(None)
    }
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Code::OriginNotAllowed, detail)
}

/// Whether the request asks what it may send, instead of sending it.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

impl CrossOrigin {
    /// Answers a preflight.
    pub(crate) fn preflight<B: Default>(&self, asked: &HeaderMap) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(asked));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
        response
    }

    /// Lets the page read an answer.
    pub(crate) fn mark(self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.0);
        // For the cookie with a ticket. It is no risk to name a page that was listed one by one.
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        if !headers.contains_key(header::VARY) {
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
    }
}

/// The fixed list, and those of `Record-Header-*` that the page asks for.
fn allowed_headers(asked: &HeaderMap) -> HeaderValue {
    let asked = asked.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = asked.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim);
    let mut allowed = ALLOWED_HEADERS.to_owned();
    for name in names {
        let is_ours =
            name.get(..RECORD_HEADER_PREFIX.len()).is_some_and(|p| p.eq_ignore_ascii_case(RECORD_HEADER_PREFIX));
        // Only what is a header name goes back: nothing else of the input does.
        if is_ours && HeaderName::try_from(name).is_ok() {
            allowed.push_str(", ");
            allowed.push_str(name);
        }
    }
    HeaderValue::try_from(allowed).expect("header names and commas are a header value")
}

/// Host and port of the origin are those of the request; the scheme is left aside, because a proxy may end TLS.
fn same_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    if authority.eq_ignore_ascii_case(host) {
        return true;
    }
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    match (split_port(authority), split_port(host)) {
        (Some((a, a_port)), Some((b, b_port))) => {
            a.eq_ignore_ascii_case(b) && a_port.unwrap_or(default) == b_port.unwrap_or(default)
        }
        _ => false,
    }
}

/// Reads an origin as a browser sends it: `https://app.example.com`, `http://localhost:3000`.
///
/// # Errors
/// A sentence that says what an origin is.
pub fn parse_origin(text: &str) -> Result<String, String> {
    let lower = text.trim_end_matches('/').to_ascii_lowercase();
    let refusal = || format!("`{text}` is not an origin such as https://app.example.com (no path, no `*`, no `null`)");
    let (scheme, authority) = lower.split_once("://").ok_or_else(refusal)?;
    let (host, port) = split_port(authority).ok_or_else(refusal)?;
    let clean = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_[]:".contains(&b));
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err(refusal()),
    };
    if !clean {
        return Err(refusal());
    }
    // A browser leaves the default port away.
    Ok(match port.filter(|port| *port != default) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn pages_are_told_apart() {
        let origins = Origins::new(
            vec!["https://gateway.example.com".to_owned()],
            vec![parse_origin("https://App.example.com:443/").expect("an origin")],
        );
        let judge = |pairs: &[(&'static str, &'static str)], page| {
            origins.judge(&headers(pairs), "localhost:8080", page).map(|cross| cross.is_some())
        };
        assert_eq!(judge(&[], false).ok(), Some(false));
        for own in ["http://localhost:8080", "https://localhost:8080", "https://gateway.example.com"] {
            assert_eq!(judge(&[("origin", own)], false).ok(), Some(false), "{own}");
        }
        let listed = [("origin", "https://app.example.com"), ("sec-fetch-site", "cross-site")];
        assert_eq!(judge(&listed, false).ok(), Some(true));
        for bad in [
            "null",
            "",
            "https://app.example.com.evil.com",
            "https://evil.com/https://app.example.com",
            "app.example.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://xapp.example.com",
            "http://localhost:3000",
            "http://localhost",
            "file://localhost:8080x",
        ] {
            assert!(judge(&[("origin", bad)], true).is_err(), "{bad}");
        }
        let cross = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert!(judge(&cross, true).is_ok());
        assert!(judge(&cross, false).is_err());
        assert!(judge(&cross[..1], true).is_err());
        assert!(judge(&[("sec-fetch-site", "same-origin")], false).is_ok());
    }

    #[test]
    fn default_ports_are_the_same_port() {
        assert!(same_origin("http://localhost", "localhost:80"));
        assert!(same_origin("https://localhost", "localhost"));
        assert!(!same_origin("http://localhost", "localhost:8080"));
        assert!(!same_origin("null", "null"));
    }

    #[test]
    fn only_record_headers_are_echoed() {
        let asked = headers(&[(
            "access-control-request-headers",
            "content-type, Record-Header-Trace,x-evil, record-header- x",
        )]);
        let allowed = allowed_headers(&asked);
        assert!(allowed.to_str().expect("ascii").ends_with("X-Request-Id, Record-Header-Trace"));
    }

    #[test]
    fn origins_are_exact() {
        for bad in ["*", "null", "app.example.com", "ftp://x", "https://a/b", "https://", "https://a b", "https://u@h"]
        {
            assert!(parse_origin(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_origin("HTTP://Localhost:3000").as_deref(), Ok("http://localhost:3000"));
    }
}
