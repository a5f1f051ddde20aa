//! The gate behind the front's other rules: what a request shows, who that is, and whether they may do what they ask for
//! by the name in the path ([`crate::http::rights`]).

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::Uri;
use axum::http::header;
use axum::http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

use crate::access::Access;
use crate::access::Credential;
use crate::access::Denied;
use crate::access::caller::Caller;
use crate::http::kit::caller::TICKET_COOKIE;
use crate::http::kit::caller::unauthorized;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::invalid;
use crate::http::rights::Call;
use crate::http::rights::Need;
use crate::model::secret::KEY_PREFIX;

/// The parameter with a ticket.
const TICKET: &str = "ticket";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Parameters by which other servers take credentials. A URL stands in logs, histories and `Referer`s.
const CREDENTIAL_PARAMETERS: &[&str] = &["access_token", "api_key", "apikey", "auth", "authorization", "token"];

/// What lets requests in.
#[derive(Clone)]
pub(crate) struct Gate(pub(crate) Access);

impl Gate {
    /// The caller of a request that may pass. A ticket is taken out of its URI: nothing behind the gate sees it.
    /// `known` becomes the caller as soon as they are known, also if they may not pass.
    ///
    /// # Errors
    /// `invalid_parameter` for a key in the URI, `unauthorized`, `rate_limited`, `forbidden`.
    pub(crate) async fn admit(
        &self,
        call: &Call,
        headers: &HeaderMap,
        uri: &mut Uri,
        remote: IpAddr,
        known: &mut Option<Caller>,
    ) -> Result<Caller, Problem> {
        refuse_keys(uri)?;
        if call.need == Need::Nothing {
            return Ok(Caller::nobody());
        }
        let in_query = if call.stream.is_some() { take_ticket(uri) } else { None };
        let shown = match (bearer(headers), &in_query, call.stream) {
            (Credential::Nothing, Some(ticket), _) => Credential::Ticket(ticket),
            (Credential::Nothing, None, Some(_)) => cookie(headers),
            (shown, _, _) => shown,
        };
        let caller = self.0.authenticate(shown, remote).await.map_err(refusal)?;
        let caller = known.insert(caller);
        call.admit(caller, uri.path())?;
        Ok(caller.clone())
    }

    /// Lets anybody pass who is known, to be told that there is nothing.
    ///
    /// # Errors
    /// As [`Gate::admit`].
    pub(crate) async fn admit_to_nothing(&self, headers: &HeaderMap, uri: &Uri, remote: IpAddr) -> Result<(), Problem> {
        refuse_keys(uri)?;
        self.0.authenticate(bearer(headers), remote).await.map(drop).map_err(refusal)
    }
}

fn refusal(denied: Denied) -> Problem {
    match denied {
        Denied::Unknown => unauthorized(),
        Denied::TooOften(wait) => {
            let detail = "Too many credentials that are not good came from this address within a minute.";
            Problem::new(Code::RateLimited, detail).retry_after(wait.max(Duration::from_secs(1)))
        }
    }
}

/// `Authorization: Bearer …` (RFC 6750 section 2.1); the scheme is read in any case (RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Credential<'_> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (None, _) => Credential::Nothing,
        (Some(_), Some(_)) => Credential::Malformed,
        (Some(value), None) => {
            let text = value.to_str().unwrap_or_default();
            match text.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    Credential::Bearer(token.trim_matches(' '))
                }
                _ => Credential::Malformed,
            }
        }
    }
}

/// A ticket in a cookie. Cookies are sent by the browser, not by the page; so this one counts only where the browser does
/// not say that a page of another origin asks, unless that origin is listed (whose `Origin` was judged before).
fn cookie(headers: &HeaderMap) -> Credential<'_> {
    let is_own = headers.get(SEC_FETCH_SITE).is_none_or(|site| site == "same-origin" || site == "none");
    if !is_own && !headers.contains_key(header::ORIGIN) {
        return Credential::Nothing;
    }
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut named = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    named.find(|(name, _)| *name == TICKET_COOKIE).map_or(Credential::Nothing, |(_, text)| Credential::Ticket(text))
}

/// Takes `ticket` out of the query; empty if it stands there twice, which is no ticket.
fn take_ticket(uri: &mut Uri) -> Option<String> {
    let query = uri.query()?;
    let is_ticket = |part: &&str| part.split('=').next() == Some(TICKET);
    let mut tickets = query.split('&').filter(is_ticket);
    let value = tickets.next()?.split_once('=').map_or("", |(_, value)| value);
    let ticket = if tickets.next().is_some() { String::new() } else { value.to_owned() };
    let rest: Vec<&str> = query.split('&').filter(|part| !is_ticket(part)).collect();
    let path = uri.path();
    let shorter = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(shorter).expect("a part of what was one"));
    *uri = Uri::from_parts(parts).expect("only the query became shorter");
    Some(ticket)
}

/// Refuses what is to be kept secret and stands in the URI. The answer does not repeat it.
fn refuse_keys(uri: &Uri) -> Result<(), Problem> {
    for part in uri.query().unwrap_or_default().split('&') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = percent_decode_str(value).decode_utf8_lossy();
        let is_secret = looks_like_a_key(&value) || looks_like_a_token(&value);
        if is_secret || CREDENTIAL_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            let detail = "Credentials do not belong into a URL, which is kept in many places: send them as \
                          `Authorization: Bearer`. A browser's EventSource uses a ticket (`POST /v1/tickets`).";
            return Err(invalid("authorization", detail));
        }
    }
    Ok(())
}

/// Also one with a slip in it, or cut: it still tells most of a key.
fn looks_like_a_key(value: &str) -> bool {
    let id = value.strip_prefix(KEY_PREFIX).and_then(|rest| rest.split_once('_'));
    id.is_some_and(|(id, secret)| id.len() == 12 && secret.len() >= 24)
}

/// A signed JSON Web Token: three parts, of which the first is the base64 of an object.
fn looks_like_a_token(value: &str) -> bool {
    value.starts_with("eyJ") && value.split('.').count() == 3 && value.len() >= 64
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::model::secret::ApiKey;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("a value");
        let mut headers = HeaderMap::new();
        for (name, text) in pairs {
            headers.append(name, value(text));
        }
        headers
    }

    #[test]
    fn one_bearer_is_read_in_any_case() {
        for good in ["Bearer x", "bearer x", "BEARER  x", "Bearer x "] {
            let headers = headers(&[(header::AUTHORIZATION, good)]);
            assert!(matches!(bearer(&headers), Credential::Bearer("x")), "{good}");
        }
        for bad in ["Basic x", "Bearer", "x", ""] {
            assert!(matches!(bearer(&headers(&[(header::AUTHORIZATION, bad)])), Credential::Malformed), "{bad}");
        }
        let two = headers(&[(header::AUTHORIZATION, "Bearer x"), (header::AUTHORIZATION, "Bearer x")]);
        assert!(matches!(bearer(&two), Credential::Malformed));
        assert!(matches!(bearer(&HeaderMap::new()), Credential::Nothing));
    }

    #[test]
    fn a_ticket_is_taken_out_of_the_query() {
        for (before, ticket, after) in [
            ("/a?ticket=x", Some("x"), "/a"),
            ("/a?from=latest&ticket=x&partition=1", Some("x"), "/a?from=latest&partition=1"),
            ("/a?ticket=x&ticket=y", Some(""), "/a"),
            ("/a?ticket", Some(""), "/a"),
            ("/a?tickets=x", None, "/a?tickets=x"),
            ("/a", None, "/a"),
        ] {
            let mut uri: Uri = before.parse().expect("a URI");
            assert_eq!(take_ticket(&mut uri).as_deref(), ticket, "{before}");
            assert_eq!(uri.to_string(), after);
        }
    }

    #[test]
    fn a_cookie_counts_for_our_own_pages() {
        let cookie_header = (header::COOKIE, "a=b; tidegate_ticket=x; c=d");
        let counts = |more: &[(HeaderName, &str)]| {
            let headers = headers(&[std::slice::from_ref(&cookie_header), more].concat());
            matches!(cookie(&headers), Credential::Ticket("x"))
        };
        assert!(counts(&[]) && counts(&[(SEC_FETCH_SITE, "same-origin")]));
        assert!(!counts(&[(SEC_FETCH_SITE, "same-site")]) && !counts(&[(SEC_FETCH_SITE, "cross-site")]));
        assert!(counts(&[(SEC_FETCH_SITE, "same-site"), (header::ORIGIN, "https://listed.example.com")]));
    }

    #[test]
    fn keys_and_tokens_in_a_uri_are_refused() {
        let key = ApiKey::generate();
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{}.sig", "x".repeat(60));
        for bad in [
            format!("/v1/topics?key={}", key.reveal()),
            format!("/v1/topics?x={}", &key.reveal()[..50]),
            format!("/v1/topics?prefix=%74g_{}", &key.reveal()[3..]),
            format!("/v1/topics?a=b&x={token}"),
            "/v1/topics?access_token=x".to_owned(),
            "/v1/topics?API_KEY=x".to_owned(),
        ] {
            let refused = refuse_keys(&bad.parse().expect("a URI")).expect_err("refused");
            assert!(!refused.to_json("r").contains(&key.reveal()[20..40]), "{bad}");
        }
        for good in ["/v1/topics?prefix=tg_", "/v1/topics/a/records?key=tg_user_1", "/a?key=eyJ.b.c", "/a"] {
            assert!(refuse_keys(&good.parse().expect("a URI")).is_ok(), "{good}");
        }
    }
}
