//! Where a gateway is, as somebody at a terminal writes it.

use std::str::FromStr;

/// `http://HOST[:PORT][/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// Host and port as they were written: what stands in `Host`.
    pub authority: String,
    /// Host and port to connect to.
    pub address: String,
    /// What stands before every path of the API, without a slash at its end: empty, or the prefix that a proxy takes off.
    pub prefix: String,
}

/// Why a text is not the URL of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// TLS is for a proxy.
    #[error("this command does not speak https yet: name an http:// URL, say of a tunnel or proxy on this machine")]
    Https,
    /// Something else.
    #[error("a gateway's URL is http://HOST:PORT, such as http://127.0.0.1:8080")]
    Malformed,
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(ServerUrlError::Malformed)?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(ServerUrlError::Https);
        }
        let plain = |b: u8| b.is_ascii_graphic() && !b"@?#\\<>\"".contains(&b);
        if !scheme.eq_ignore_ascii_case("http") || !rest.bytes().all(plain) {
            return Err(ServerUrlError::Malformed);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // The colons of an IPv6 address stand in brackets.
        let behind_brackets = authority.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match authority[behind_brackets..].split_once(':') {
            Some((name, port)) => (&authority[..behind_brackets + name.len()], port),
            None => (authority, "80"),
        };
        let port: u16 = port.parse().map_err(|_| ServerUrlError::Malformed)?;
        if host.is_empty() || port == 0 {
            return Err(ServerUrlError::Malformed);
        }
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Self { authority: authority.to_owned(), address: format!("{host}:{port}"), prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_prefix_are_found() {
        for (text, authority, address, prefix) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080", ""),
            ("HTTP://localhost/", "localhost", "localhost:80", ""),
            ("http://[::1]:9/", "[::1]:9", "[::1]:9", ""),
            ("http://[::1]", "[::1]", "[::1]:80", ""),
            ("http://events.example.com/tide/gate/", "events.example.com", "events.example.com:80", "/tide/gate"),
        ] {
            let url: ServerUrl = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(
                (url.authority.as_str(), url.address.as_str(), url.prefix.as_str()),
                (authority, address, prefix)
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!("https://a".parse::<ServerUrl>(), Err(ServerUrlError::Https));
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
            assert_eq!(text.parse::<ServerUrl>(), Err(ServerUrlError::Malformed), "{text}");
        }
    }
}
