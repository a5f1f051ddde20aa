//! Where a key set is published. Fixed by whoever runs the gateway and never taken from a token, so it may well lie in a
//! private network; but what comes from there decides who is let in, so nobody on the way may change it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;

/// `https://HOST[:PORT]/PATH`, or `http://` of a loopback address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUrl {
    /// Whether TLS is spoken.
    pub(super) is_tls: bool,
    /// Host as in a certificate: without the brackets of an IPv6 address.
    pub(super) host: String,
    /// Port to connect to.
    pub(super) port: u16,
    /// What stands in `Host`.
    pub(super) authority: String,
    /// What is asked for. The query may be a secret.
    pub(super) path_and_query: String,
}

/// Why a text is not the URL of a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadJwksUrl {
    /// Not such a URL at all.
    #[error("a key set is published at https://HOST/PATH, without user name and without `#`")]
    Malformed,
    /// Keys that anybody on the way could replace.
    #[error("keys are fetched over https; http:// is for localhost, 127.0.0.1 and [::1] only")]
    Plain,
}

impl FromStr for JwksUrl {
    type Err = BadJwksUrl;

    fn from_str(text: &str) -> Result<Self, BadJwksUrl> {
        let uri: Uri = text.parse().map_err(|_| BadJwksUrl::Malformed)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(BadJwksUrl::Malformed);
        };
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_tls = scheme == "https";
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        // `host:` and `host:99999` are authorities for the parser, without a port that it could read.
        let has_bad_port = authority.port_u16().is_none() && authority.as_str().len() != authority.host().len();
        if !matches!(scheme, "https" | "http") || host.is_empty() || has_bad_port || port == 0 || text.contains('#') {
            return Err(BadJwksUrl::Malformed);
        }
        let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !is_tls && !is_loopback {
            return Err(BadJwksUrl::Plain);
        }
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { is_tls, host: host.to_owned(), port, authority: authority.to_string(), path_and_query })
    }
}

/// Without the query, which may be a secret.
impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_path_are_found() {
        for (text, is_tls, host, port, path) in [
            ("https://id.example.com/keys", true, "id.example.com", 443, "/keys"),
            ("https://id.example.com:8443/a?b=c", true, "id.example.com", 8443, "/a?b=c"),
            ("https://10.0.0.1", true, "10.0.0.1", 443, "/"),
            ("http://127.0.0.1:9/x", false, "127.0.0.1", 9, "/x"),
            ("http://[::1]:9/x", false, "::1", 9, "/x"),
            ("http://localhost/x", false, "localhost", 80, "/x"),
        ] {
            let url: JwksUrl = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((url.is_tls, url.host.as_str(), url.port), (is_tls, host, port), "{text}");
            assert_eq!(url.path_and_query, path);
        }
    }

    #[test]
    fn a_query_is_not_shown() {
        let url: JwksUrl = "https://id.example.com/keys?token=hush".parse().expect("good");
        assert_eq!(url.to_string(), "https://id.example.com/keys");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["http://id.example.com/", "http://10.0.0.1/", "http://127.0.0.1.example.com/", "http://0.0.0.0/"] {
            assert_eq!(text.parse::<JwksUrl>(), Err(BadJwksUrl::Plain), "{text}");
        }
        for text in [
            "",
            "/keys",
            "id.example.com",
            "ftp://id.example.com/",
            "file:///etc/passwd",
            "https://",
            "https://u:p@id.example.com/",
            "https://id.example.com:/",
            "https://id.example.com:0/",
            "https://id.example.com:99999/",
            "https://id.example.com/#a",
            "https://id.example.com/ a",
        ] {
            assert_eq!(text.parse::<JwksUrl>(), Err(BadJwksUrl::Malformed), "{text}");
        }
    }
}
