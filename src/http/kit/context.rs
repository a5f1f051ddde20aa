//! What the front knows about a request and tells the handlers: its id, how it came, and whether only the head is asked
//! for.

use std::convert::Infallible;
use std::net::IpAddr;
use std::net::Ipv4Addr;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;

use crate::access::caller::Identity;
use crate::http::kit::memory::Memory;
use crate::http::kit::memory::Room;
use crate::http::kit::payers::Payers;
use crate::model::limits::Limits;

/// The name of a request, given by the client or made by us: 1 to 128 visible ASCII characters. It stands in the
/// `x-request-id` of the answer, in problems and in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes a header over if it is 1 to 128 visible ASCII characters.
    pub fn accept(given: &HeaderValue) -> Option<Self> {
        let bytes = given.as_bytes();
        let fits = (1..=128).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        fits.then(|| Self(given.clone()))
    }

    /// Makes an id of a number that is not used twice.
    pub fn from_number(number: u64) -> Self {
        let text = format!("{number:016x}");
        Self(HeaderValue::try_from(text).expect("hexadecimal digits are a header value"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("only visible ASCII is accepted")
    }

    /// The id as a header value; a reference count, no copy.
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The address it came to.
    pub local: IpAddr,
    /// Whom it came from, IPv4 always as such.
    pub remote: IpAddr,
    /// It came over TLS, so nobody in between has read it.
    pub secure: bool,
}

impl Link {
    /// Within this machine, in the clear.
    pub const LOOPBACK: Self =
        Self { local: IpAddr::V4(Ipv4Addr::LOCALHOST), remote: IpAddr::V4(Ipv4Addr::LOCALHOST), secure: false };
}

/// An extractor: the id of this request, and whether it is a HEAD. The front puts it in; a router that is called without
/// the front (in a test) finds an empty one.
#[derive(Debug, Clone)]
pub struct Context {
    /// The id of this request.
    pub request_id: RequestId,
    /// The request is a HEAD: answer at once with the headers of a GET. Do not wait, stream or change anything; the
    /// body, if one is made, is dropped.
    pub head_only: bool,
    /// How it came.
    pub link: Link,
    /// Who pays for what it does.
    pub payers: Payers,
    /// How large its body may be, in bytes.
    pub body_bytes_max: usize,
    /// Where the body finds room.
    pub room: Room,
}

impl Context {
    /// That of the request whose parts these are.
    pub fn of(parts: &Parts) -> Self {
        parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self {
            request_id: RequestId::from_number(0),
            head_only: false,
            link: Link::LOOPBACK,
            payers: Payers::default(),
            body_bytes_max: Limits::default().request_bytes,
            room: Memory::new(usize::MAX, usize::MAX).of(Identity::Anonymous, Link::LOOPBACK.remote),
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_visible_ascii_of_at_most_128() {
        let accept = |bytes: &[u8]| HeaderValue::from_bytes(bytes).ok().and_then(|value| RequestId::accept(&value));
        assert_eq!(accept(b"abc-1").expect("good").as_str(), "abc-1");
        assert!(accept(&[b'x'; 128]).is_some());
        for bad in [&b""[..], b"a b", b"\xc3\xa4", b"a\tb", &[b'x'; 129]] {
            assert!(accept(bad).is_none(), "{bad:?}");
        }
        assert_eq!(RequestId::from_number(255).as_str(), "00000000000000ff");
    }
}
