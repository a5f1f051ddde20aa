//! Lists in pages: by name, so many at once, and a token that leads to the next page.

use std::str::FromStr;

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::http::kit::problem::Problem;
use crate::http::kit::query::Query;
use crate::http::kit::query::invalid;

/// Items of a page, if the caller does not say.
const LIMIT_DEFAULT: u64 = 100;

/// Items of a page at most (api.md §0).
const LIMIT_MAX: u64 = 1000;

/// Which page of a list is asked for.
#[derive(Debug)]
pub struct PageQuery<'q, N> {
    query: &'q Query<'q>,
    /// Items of a page.
    pub limit: usize,
    /// The name after which it begins.
    pub after: Option<N>,
}

impl<'q, N: FromStr + AsRef<str>> PageQuery<'q, N> {
    /// Reads `limit` and `page_token`.
    ///
    /// # Errors
    /// `invalid_parameter`.
    pub fn of(query: &'q Query<'q>) -> Result<Self, Problem> {
        let limit = query.at_most("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
        let after = query.get("page_token").map(from_token).transpose()?;
        Ok(Self { query, limit: usize::try_from(limit).expect("at most 1000"), after })
    }

    /// [`PageQuery::after`] as text.
    pub fn after(&self) -> Option<&str> {
        self.after.as_ref().map(AsRef::as_ref)
    }

    /// Cuts `items`, of which one more was asked for than a page holds, to the page. If there is a next one, its token and
    /// the `Link` to it: the same query (of which `kept` are the other parameters) with that token.
    pub fn cut<T>(
        &self,
        items: &mut Vec<T>,
        name: impl Fn(&T) -> &str,
        kept: &[&'static str],
    ) -> (Option<String>, HeaderMap) {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let token = items.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(name(last)));
        let mut headers = HeaderMap::new();
        if let Some(token) = &token {
            headers.insert(header::LINK, self.link(kept, token));
        }
        (token, headers)
    }

    fn link(&self, kept: &[&'static str], token: &str) -> HeaderValue {
        let mut link = String::from("<?");
        for name in kept.iter().chain(&["limit"]) {
            if let Some(value) = self.query.get(name).filter(|value| !value.is_empty()) {
                link.push_str(name);
                link.push('=');
                link.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
                link.push('&');
            }
        }
        link.push_str(&format!("page_token={token}>; rel=\"next\""));
        HeaderValue::try_from(link).expect("what is escaped is a header value")
    }
}

/// The name after which a page begins.
fn from_token<N: FromStr>(token: &str) -> Result<N, Problem> {
    let name = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.and_then(|name| name.parse().ok())
        .ok_or_else(|| invalid("page_token", "`page_token` is the `next_page_token` of a page, as it came."))
}
