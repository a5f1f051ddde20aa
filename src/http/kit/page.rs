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

/// Items that one request looks at: beyond it a page ends early, and its token leads on.
const LOOKED_MAX: usize = 20_000;

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

    /// Begins to fill the page.
    pub fn fill<T>(&self) -> Filling<T> {
        let after = self.after().map(str::to_owned);
        Filling { items: Vec::new(), limit: self.limit, after, looked: 0, end: None }
    }

    /// The items of a page that was filled. If there is a next one, its token and the `Link` to it: the same query (of which
    /// `kept` are the other parameters) with that token.
    pub fn finish<T>(&self, filling: Filling<T>, kept: &[&'static str]) -> (Vec<T>, Option<String>, HeaderMap) {
        let token = filling.end.flatten().map(|last| URL_SAFE_NO_PAD.encode(last));
        let mut headers = HeaderMap::new();
        if let Some(token) = &token {
            headers.insert(header::LINK, self.link(kept, token));
        }
        (filling.items, token, headers)
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

/// A page that is being filled with what its reader may see, of a list that may hold much else.
#[derive(Debug)]
pub struct Filling<T> {
    items: Vec<T>,
    limit: usize,
    /// Where the next look begins.
    after: Option<String>,
    looked: usize,
    /// Set once it is done: the name after which the next page begins, if there is one.
    end: Option<Option<String>>,
}

impl<T> Filling<T> {
    /// After which name to look, and at how many; `None` once the page is done.
    pub fn next_look(&self) -> Option<(Option<&str>, usize)> {
        // One more than is shown tells whether there is a next page.
        self.end.is_none().then(|| (self.after.as_deref(), self.limit + 1))
    }

    /// Takes what a look found, in the order of the list. The list is over once a look finds less than it asked for.
    pub fn take(&mut self, found: Vec<T>, name: impl Fn(&T) -> &str, is_seen: impl Fn(&T) -> bool) {
        let all = found.len() <= self.limit;
        for item in found {
            self.looked += 1;
            let is_full = self.items.len() == self.limit;
            match is_seen(&item) {
                true if is_full => {
                    self.end = Some(self.items.last().map(|last| name(last).to_owned()));
                    return;
                }
                is_seen => {
                    self.after = Some(name(&item).to_owned());
                    self.items.extend(is_seen.then_some(item));
                }
            }
        }
        if all {
            self.end = Some(None);
        } else if self.looked >= LOOKED_MAX {
            self.end = Some(self.after.clone());
        }
    }
}

/// The name after which a page begins.
fn from_token<N: FromStr>(token: &str) -> Result<N, Problem> {
    let name = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.and_then(|name| name.parse().ok())
        .ok_or_else(|| invalid("page_token", "`page_token` is the `next_page_token` of a page, as it came."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pages of the even numbers below `end`.
    fn pages(end: u32, limit: usize) -> Vec<Vec<String>> {
        let all: Vec<String> = (0..end).map(|number| format!("{number:06}")).collect();
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let mut filling = Filling { items: Vec::new(), limit, after: after.clone(), looked: 0, end: None };
            while let Some((after, count)) = filling.next_look() {
                let rest = all.iter().filter(|name| after.is_none_or(|after| after < name.as_str()));
                let found = rest.take(count).cloned().collect();
                filling.take(found, |name| name, |name| name.ends_with(['0', '2', '4', '6', '8']));
            }
            pages.push(filling.items);
            match filling.end.flatten() {
                Some(last) => after = Some(last),
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_hold_what_is_seen_and_end_where_that_does() {
        assert_eq!(pages(0, 2), [[""; 0]]);
        assert_eq!(pages(5, 3), [["000000", "000002", "000004"]]);
        assert_eq!(pages(7, 3), [&["000000", "000002", "000004"][..], &["000006"]]);
        assert_eq!(pages(6, 3), [["000000", "000002", "000004"]], "nothing that is seen is left");
        assert_eq!(pages(101, 7).concat().len(), 51);
    }

    #[test]
    fn one_request_looks_at_so_many() {
        let mut filling = Filling::<u32> { items: Vec::new(), limit: 1000, after: None, looked: 0, end: None };
        let mut looks = 0;
        while let Some((_, count)) = filling.next_look() {
            looks += 1;
            filling.take(vec![1; count], |_| "x", |_| false);
        }
        assert!((LOOKED_MAX / 1001..=LOOKED_MAX / 1001 + 1).contains(&looks), "{looks}");
        assert_eq!(filling.end, Some(Some("x".to_owned())));
    }
}
