//! Which proxies are believed about whom they speak for. Anybody may write `X-Forwarded-For`; what stands there counts as
//! far as it was written by a proxy that the operator has named.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::HeaderMap;
use axum::http::HeaderName;

use crate::http::kit::context::Link;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// An address, or all that begin alike: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first bits, the rest zero; IPv4 as IPv6 has it (`::ffff:0:0/96`).
    first: u128,
    prefix: u32,
}

/// That a text is no network.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as 10.0.0.0/8 whose bits behind the prefix are zero")]
pub struct NoNetwork(String);

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        (bits(address) ^ self.first) & mask(self.prefix) == 0
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let no_network = || NoNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| no_network())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| no_network())?,
            Some(_) => return Err(no_network()),
            None => width,
        };
        if prefix > width {
            return Err(no_network());
        }
        let network = Self { first: bits(address), prefix: prefix + 128 - width };
        if network.first & !mask(network.prefix) != 0 { Err(no_network()) } else { Ok(network) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = IpAddr::from(self.first.to_be_bytes()).to_canonical();
        let prefix = if address.is_ipv4() { self.prefix - 96 } else { self.prefix };
        write!(f, "{address}/{prefix}")
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(prefix: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies(Vec<Network>);

impl Proxies {
    /// These.
    pub(crate) fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether this is one of them.
    pub(crate) fn hold(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }

    /// How a request came that was received over `link`: behind our proxies, which say from where and over what.
    pub(crate) fn see_through(&self, link: Link, headers: &HeaderMap) -> Link {
        if !self.hold(link.remote) {
            return link;
        }
        // Each proxy adds whom it was asked by behind what it got: read from the end, as long as proxies of ours wrote it.
        let mut remote = link.remote;
        let lines: Vec<_> =
            headers.get_all(X_FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or_default()).collect();
        for named in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(address) = address(named.trim()) else { break };
            remote = address;
            if !self.hold(remote) {
                break;
            }
        }
        let scheme = headers.get_all(X_FORWARDED_PROTO).iter().next_back().and_then(|scheme| scheme.to_str().ok());
        let scheme = scheme.and_then(|schemes| schemes.rsplit(',').next()).map(str::trim);
        Link { remote, secure: link.secure || scheme.is_some_and(|it| it.eq_ignore_ascii_case("https")), ..link }
    }
}

/// An address as proxies write it, some with the port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if text.matches(':').count() == 1 => text.split_once(':')?.0,
        None => text,
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn networks_are_written_in_one_way() {
        for (text, inside, outside) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
            ("::/0", "::2", "::"),
        ] {
            let network = network(text);
            assert!(network.holds(ip(inside)), "{text} {inside}");
            assert!(network.holds(ip(outside)) == (text == "::/0"), "{text} {outside}");
            assert_eq!(network.to_string().parse::<Network>().expect("as it is shown"), network);
        }
        assert!(network("10.0.0.0/8").holds(ip("::ffff:10.1.2.3")), "the same address");
        for bad in ["", "x", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "::1/129", "10/8"]
        {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_named_proxies_are_believed() {
        let proxies = Proxies::new(vec![network("10.0.0.0/8"), network("::1")]);
        let seen = |remote: &str, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append(X_FORWARDED_FOR, line.parse().expect("a value"));
            }
            proxies.see_through(Link { remote: ip(remote), ..Link::LOOPBACK }, &headers).remote.to_string()
        };
        assert_eq!(seen("192.0.2.1", &["203.0.113.9"]), "192.0.2.1", "anybody can write that");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(
            seen("10.0.0.1", &["8.8.8.8, 203.0.113.9"]),
            "203.0.113.9",
            "what stands before it, it wrote itself"
        );
        assert_eq!(seen("10.0.0.1", &["203.0.113.9, 10.0.0.2"]), "203.0.113.9", "two proxies");
        assert_eq!(seen("10.0.0.1", &["8.8.8.8", "203.0.113.9,10.0.0.2"]), "203.0.113.9");
        assert_eq!(seen("::1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["::ffff:203.0.113.9"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["203.0.113.9, unknown"]), "10.0.0.1", "nothing is guessed");
    }

    #[test]
    fn a_proxy_says_whether_it_was_asked_over_tls() {
        let proxies = Proxies::new(vec![network("10.0.0.1")]);
        let secure = |remote: &str, scheme: &str| {
            let headers = HeaderMap::from_iter([(X_FORWARDED_PROTO, scheme.parse().expect("a value"))]);
            proxies.see_through(Link { remote: ip(remote), ..Link::LOOPBACK }, &headers).secure
        };
        assert!(secure("10.0.0.1", "https") && secure("10.0.0.1", "http, HTTPS"));
        assert!(!secure("10.0.0.1", "http") && !secure("10.0.0.1", "https, http") && !secure("10.0.0.2", "https"));
    }
}
