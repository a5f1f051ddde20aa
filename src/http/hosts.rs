//! Which names the gateway answers to. A web page that makes its own name point at 127.0.0.1 (DNS rebinding) is, to the
//! browser, of the same origin as the gateway; only the `Host` it cannot choose gives it away.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// The names in `Host` that are served.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// In lower case, without port.
    allowed: Vec<String>,
}

impl Hosts {
    /// Loopback names, the addresses a connection comes to, and these names.
    pub(crate) fn new(allowed: impl IntoIterator<Item = String>) -> Self {
        Self { allowed: allowed.into_iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Whether `authority` (a name or address, with or without port) may be asked for on a connection that came to
    /// `local`. An address is compared as one: the literal that the client dialled is no name that could be rebound.
    pub(crate) fn allow(&self, authority: &str, local: IpAddr) -> bool {
        let Some((host, _)) = split_port(authority) else { return false };
        if host.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        address.is_some_and(|address| address.is_loopback() || address == local.to_canonical())
            || self.allowed.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// Host and port of an authority. `None` if it is none that a client sends: user information, a bad port.
pub(crate) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(end);
    let port = match rest.strip_prefix(':') {
        Some(port) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok()?),
        None if rest.is_empty() => None,
        _ => return None,
    };
    (!host.is_empty() && !host.contains('@')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_served() {
        let hosts = Hosts::new(["Gateway.example.com".to_owned()]);
        let local = IpAddr::from([192, 168, 1, 5]);
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]",
            "[::1]:8080",
            "192.168.1.5:80",
            "gateway.example.com",
            "GATEWAY.example.com:443",
        ] {
            assert!(hosts.allow(good, local), "{good}");
        }
        for bad in [
            "",
            "evil.com",
            "127.0.0.1.evil.com",
            "localhost.evil.com",
            "localhost.",
            "2130706433",
            "127.1",
            "0x7f.1",
            "::1",
            "[::1",
            "[::1]x",
            "192.168.1.6",
            "0.0.0.0",
            "localhost:http",
            "localhost:",
            "user@localhost",
            "localhost@evil.com",
            "gateway.example.com.",
            "x.gateway.example.com",
            "localhost:99999",
            "[::2]",
        ] {
            assert!(!hosts.allow(bad, local), "{bad}");
        }
    }
}
