//! Where a collector takes spans, as an operator writes it.

use std::str::FromStr;

/// `http://HOST[:PORT][/PATH]`. To it `/v1/traces` is added, as OpenTelemetry has it for an endpoint of all signals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port as written: what stands in `Host`.
    pub authority: String,
    /// Host and port to connect to.
    pub address: String,
    /// The path that spans are posted to.
    pub path: String,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// TLS is for the collector on this machine.
    #[error(
        "spans are sent over plain http: name a collector on this machine or in this network, which speaks TLS to others"
    )]
    Https,
    /// Something else.
    #[error("an endpoint is http://HOST:PORT, such as http://127.0.0.1:4318")]
    Malformed,
}

/// The port of OTLP over HTTP.
const PORT: u16 = 4318;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError::Malformed)?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(EndpointError::Https);
        }
        let plain = |b: u8| b.is_ascii_graphic() && !b"@?#\\<>\"".contains(&b);
        if !scheme.eq_ignore_ascii_case("http") || !rest.bytes().all(plain) {
            return Err(EndpointError::Malformed);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // The colons of an IPv6 address stand in brackets.
        let behind_brackets = authority.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match authority[behind_brackets..].split_once(':') {
            Some((name, port)) => (&authority[..behind_brackets + name.len()], port.parse().unwrap_or(0)),
            None => (authority, PORT),
        };
        if host.is_empty() || port == 0 {
            return Err(EndpointError::Malformed);
        }
        let (authority, address) = (authority.to_owned(), format!("{host}:{port}"));
        Ok(Self { authority, address, path: format!("{}/v1/traces", path.trim_end_matches('/')) })
    }
}
