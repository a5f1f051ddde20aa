//! Where a gateway is, as somebody at a terminal writes it.

use std::fmt;
use std::str::FromStr;

/// `http://HOST[:PORT][/PATH]`, or the same with `https`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// Whether it is spoken to by TLS.
    pub is_https: bool,
    /// Host and port as they were written: what stands in `Host`.
    pub authority: String,
    /// Host and port to connect to.
    pub address: String,
    /// What stands before every path of the API, without a slash at its end: empty, or the prefix that a proxy takes off.
    pub prefix: String,
}

/// What is no URL of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a gateway's URL is http://HOST:PORT or https://HOST, such as http://127.0.0.1:8080")]
pub struct BadServerUrl;

impl ServerUrl {
    /// The host alone, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

impl FromStr for ServerUrl {
    type Err = BadServerUrl;

    fn from_str(text: &str) -> Result<Self, BadServerUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(BadServerUrl)?;
        let is_https = scheme.eq_ignore_ascii_case("https");
        let plain = |b: u8| b.is_ascii_graphic() && !b"@?#\\<>\"".contains(&b);
        if !(is_https || scheme.eq_ignore_ascii_case("http")) || !rest.bytes().all(plain) {
            return Err(BadServerUrl);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // The colons of an IPv6 address stand in brackets.
        let behind_brackets = authority.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match authority[behind_brackets..].split_once(':') {
            Some((name, port)) => (&authority[..behind_brackets + name.len()], port),
            None => (authority, if is_https { "443" } else { "80" }),
        };
        let port: u16 = port.parse().map_err(|_| BadServerUrl)?;
        if host.is_empty() || port == 0 {
            return Err(BadServerUrl);
        }
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Self { is_https, authority: authority.to_owned(), address: format!("{host}:{port}"), prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_prefix_are_found() {
        for (text, authority, address, prefix, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080", "", "127.0.0.1"),
            ("HTTP://localhost/", "localhost", "localhost:80", "", "localhost"),
            ("http://[::1]:9/", "[::1]:9", "[::1]:9", "", "::1"),
            ("http://[::1]", "[::1]", "[::1]:80", "", "::1"),
            ("https://a.example/tide/gate/", "a.example", "a.example:443", "/tide/gate", "a.example"),
        ] {
            let url: ServerUrl = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(url.is_https, text.starts_with("https"));
            assert_eq!(
                (url.authority.as_str(), url.address.as_str(), url.prefix.as_str(), url.host()),
                (authority, address, prefix, host)
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "localhost:8080",
            "ftp://a",
            "http://",
            "http://:80",
            "http://a:x",
            "http://a:0",
            "http://u@a",
            "http://a?b",
        ] {
            assert_eq!(text.parse::<ServerUrl>(), Err(BadServerUrl), "{text}");
        }
    }
}
