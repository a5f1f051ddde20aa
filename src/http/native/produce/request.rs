//! What a produce asks for beside its records: in its query, in its headers.

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::header;
use axum::http::request::Parts;
use sha2::Digest;
use sha2::Sha256;

use crate::access::caller::Identity;
use crate::broker::produce::ProduceKey;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::Query;
use crate::http::kit::query::invalid;
use crate::http::native::consume::query::base64_of_query;
use crate::http::native::input::headers;
use crate::model::record::Header;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest `Idempotency-Key` in bytes (api.md §3).
const IDEMPOTENCY_KEY_MAX: usize = 255;

/// How a produce wants to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Topics that are missing are made.
    pub create: bool,
    /// The answer waits for the commit.
    pub acknowledged: bool,
}

impl Delivery {
    /// Reads `create` and `ack`.
    ///
    /// # Errors
    /// `invalid_parameter`.
    pub fn of(query: &Query<'_>) -> Result<Self, Problem> {
        let create = query.choice("create", &[("true", true), ("false", false)])?.unwrap_or(true);
        let acknowledged = query.choice("ack", &[("none", false)])?.unwrap_or(true);
        Ok(Self { create, acknowledged })
    }
}

/// The key that a query names, by `key` or `key_base64`; the second may be of the URL alphabet, with or without
/// padding.
///
/// # Errors
/// `invalid_parameter` for both at once and for what is no base64.
pub fn key<'q>(query: &'q Query<'_>) -> Result<Option<Cow<'q, [u8]>>, Problem> {
    match (query.get("key"), query.literal("key_base64")) {
        (Some(_), Some(_)) => Err(invalid("key_base64", "`key` and `key_base64` are two ways to name one key.")),
        (Some(text), None) => Ok(Some(Cow::Borrowed(text.as_bytes()))),
        (None, Some(text)) => {
            let bytes = base64_of_query(&text)
                .ok_or_else(|| invalid("key_base64", "`key_base64` is base64 (RFC 4648 section 4 or 5)."))?;
            Ok(Some(Cow::Owned(bytes)))
        }
        (None, None) => Ok(None),
    }
}

/// The one partition that a query names.
///
/// # Errors
/// `invalid_parameter`.
pub fn partition(query: &Query<'_>) -> Result<Option<u32>, Problem> {
    if query.all("partition").nth(1).is_some() {
        return Err(invalid("partition", "`partition` is given more than once: a record goes to one."));
    }
    let number = query.number("partition", 0..=i32::MAX as u64)?;
    Ok(number.map(|number| u32::try_from(number).expect("at most i32::MAX")))
}

/// The content type as it was given, of a raw value.
///
/// # Errors
/// `invalid_parameter` if it is repeated or not ASCII.
pub fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(first) = given.next() else { return Ok(None) };
    match (first.to_str(), given.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err(invalid("content-type", "`Content-Type` stands once, in ASCII.")),
    }
}

/// The record headers among the headers of a request.
///
/// # Errors
/// `invalid_record` for one without a name.
pub fn record_headers(headers: &HeaderMap) -> Result<Vec<Header<'_>>, Problem> {
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    Ok(headers::from_request(pairs)?)
}

/// Refuses record headers among the headers of a request whose records have their own: to pass over them would lose
/// what the caller meant to write.
///
/// # Errors
/// `invalid_parameter`.
pub fn refuse_record_headers(headers: &HeaderMap) -> Result<(), Problem> {
    if record_headers(headers)?.is_empty() {
        return Ok(());
    }
    let detail = "`Record-Header-…` goes with a raw value (…/values); the records of this call have `headers`.";
    Err(invalid("record-header-", detail))
}

/// The `Idempotency-Key` as it was given.
///
/// # Errors
/// `invalid_parameter` if it is not 1 to 255 visible ASCII characters, or repeated.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(first) = given.next() else { return Ok(None) };
    let bytes = first.as_bytes();
    let fits = (1..=IDEMPOTENCY_KEY_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    if !fits || given.next().is_some() {
        let detail = "`Idempotency-Key` stands once and has 1 to 255 visible ASCII characters.";
        return Err(invalid("idempotency-key", detail));
    }
    Ok(Some(bytes))
}

/// Refuses an `Idempotency-Key` where it cannot be kept.
///
/// # Errors
/// `invalid_parameter`; `why` says what stands against it.
pub fn refuse_idempotency_key(headers: &HeaderMap, why: &str) -> Result<(), Problem> {
    match idempotency_key(headers)? {
        None => Ok(()),
        Some(_) => Err(invalid("idempotency-key", format!("`Idempotency-Key` has no meaning here: {why}."))),
    }
}

/// What makes a produce repeatable, if its caller wants that: the key belongs to caller, method and path, and must come
/// with the same query, content type, record headers and body.
///
/// # Errors
/// `invalid_parameter` for a key that cannot be one, or with `ack=none`.
pub fn produce_key(
    parts: &Parts,
    body: &[u8],
    delivery: Delivery,
    caller: &Identity,
) -> Result<Option<ProduceKey>, Problem> {
    let Some(key) = idempotency_key(&parts.headers)? else { return Ok(None) };
    if !delivery.acknowledged {
        refuse_idempotency_key(&parts.headers, "with `ack=none` there is no answer to repeat")?;
    }
    let caller = caller.to_bytes();
    let digest = hash([&caller, parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), key]);
    let content_type = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let mut own = record_headers(&parts.headers)?;
    own.sort_by(|a, b| a.name.cmp(&b.name)); // a proxy may reorder headers of different names
    let own = own.iter().flat_map(|header| [header.name.as_bytes(), header.value.as_bytes()]);
    let fingerprint = hash([query, content_type, body].into_iter().chain(own));
    Ok(Some(ProduceKey { digest, fingerprint }))
}

/// A digest of several texts, of which none can run into the next.
fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    const DELIVERY: Delivery = Delivery { create: true, acknowledged: true };

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn key_of(uri: &str, headers: &[(&str, &str)], body: &str) -> ([u8; 32], [u8; 32]) {
        let mut all = vec![("idempotency-key", "k-1")];
        all.extend_from_slice(headers);
        let key = produce_key(&parts(uri, &all), body.as_bytes(), DELIVERY, &Identity::Anonymous)
            .expect("good")
            .expect("there is one");
        (key.digest, key.fingerprint)
    }

    #[test]
    fn a_key_belongs_to_the_path_and_comes_with_the_same_request() {
        let same = key_of("/v1/topics/t/values", &[], "x");
        assert_eq!(key_of("/v1/topics/t/values", &[("accept", "text/plain")], "x"), same);
        assert_ne!(key_of("/v1/topics/u/values", &[], "x").0, same.0);
        for (uri, headers, body) in [
            ("/v1/topics/t/values?key=a", &[][..], "x"),
            ("/v1/topics/t/values", &[("content-type", "text/plain")], "x"),
            ("/v1/topics/t/values", &[("record-header-a", "1")], "x"),
            ("/v1/topics/t/values", &[], "y"),
        ] {
            let other = key_of(uri, headers, body);
            assert_eq!(other.0, same.0, "{uri}");
            assert_ne!(other.1, same.1, "{uri}");
        }
        let ab = [("record-header-a", "1"), ("record-header-b", "2")];
        let ba = [("record-header-b", "2"), ("record-header-a", "1")];
        assert_eq!(key_of("/v1/records", &ab, ""), key_of("/v1/records", &ba, ""));
    }

    #[test]
    fn idempotency_keys_are_visible_ascii() {
        let read = |headers: &[(&str, &str)]| {
            let parts = parts("/", headers);
            idempotency_key(&parts.headers).map(|key| key.map(<[u8]>::len))
        };
        assert!(matches!(read(&[]), Ok(None)));
        assert!(matches!(read(&[("idempotency-key", &"x".repeat(255))]), Ok(Some(255))));
        for bad in [&[("idempotency-key", "")][..], &[("idempotency-key", "a b")], &[("idempotency-key", "ä")]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read(&[("idempotency-key", &"x".repeat(256))]).is_err());
        assert!(read(&[("idempotency-key", "a"), ("idempotency-key", "b")]).is_err());
        let with = parts("/", &[("idempotency-key", "a")]);
        assert!(produce_key(&with, b"", Delivery { acknowledged: false, ..DELIVERY }, &Identity::Anonymous).is_err());
    }

    #[test]
    fn keys_in_queries() {
        let read = |text: &str| {
            let query = Query::parse(Some(text), &["key", "key_base64"]).expect("known");
            key(&query).map(|key| key.map(Cow::into_owned)).ok()
        };
        assert_eq!(read(""), Some(None));
        assert_eq!(read("key="), Some(Some(vec![])));
        assert_eq!(read("key=a+b"), Some(Some(b"a b".to_vec())));
        for same in ["key_base64=+/8=", "key_base64=-_8=", "key_base64=-_8", "key_base64=%2B%2F8%3D"] {
            assert_eq!(read(same), Some(Some(vec![0xfb, 0xff])), "{same}");
        }
        assert_eq!(read("key_base64=x"), None);
        assert_eq!(read("key=a&key_base64=YQ"), None);
    }
}
