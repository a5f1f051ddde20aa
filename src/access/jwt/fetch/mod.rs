//! Fetches a key set: one GET over a connection of its own, bounded in bytes and in time. The only place where the gateway
//! calls anybody out there, so it follows no redirect and nothing else that the answer says.

#[cfg(test)]
mod tests;
mod url;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::pending;
use http_body_util::BodyExt;
use http_body_util::Empty;
use http_body_util::Limited;
use hyper::HeaderMap;
use hyper::Request;
use hyper::StatusCode;
use hyper::client::conn::http1;
use hyper::header;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::lookup_host;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::access::jwt::jwks::JWKS_BYTES_MAX;
use crate::tasks;

pub use url::BadJwksUrl;
pub use url::JwksUrl;

/// Longest time that a fetch takes, from the look-up of the name to the last byte.
pub(super) const FETCH_MAX: Duration = Duration::from_secs(5);

/// Largest head of an answer in bytes; `hyper` takes no less than 8 KiB.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The name or the address does not lead anywhere.
    #[error("it cannot be reached: {0}")]
    Connect(io::Error),
    /// The trusted certificates cannot be read.
    #[error("no trusted certificates are found on this machine (SSL_CERT_FILE may name a file of them)")]
    NoRoots,
    /// Other trouble with TLS.
    #[error("TLS cannot be spoken: {0}")]
    Tls(String),
    /// Not HTTP, or cut.
    #[error("the answer is broken: {0}")]
    Http(#[from] hyper::Error),
    /// A redirect. The right URL has to be configured.
    #[error("it redirects, which is not followed: name the URL that it redirects to")]
    Redirect,
    /// Any other status.
    #[error("it answers with status {0}")]
    Status(StatusCode),
    /// An encoding was not asked for.
    #[error("the answer is compressed, which was not asked for")]
    Encoded,
    /// Too large, or cut.
    #[error("the answer is larger than {JWKS_BYTES_MAX} bytes, or it broke off")]
    Body,
    /// Too slow.
    #[error("nothing complete came within {} s", FETCH_MAX.as_secs())]
    Slow,
}

/// A key set as it was published.
pub(super) struct Fetched {
    /// The body.
    pub(super) json: Bytes,
    /// For how long its publisher calls it fresh (`max-age`, RFC 9111 §5.2.2.1).
    pub(super) max_age: Option<Duration>,
}

/// A way to one key set.
pub(super) struct Fetcher {
    url: JwksUrl,
    /// Trust in certificates, read from the machine's store with the first fetch.
    trust: OnceCell<Arc<ClientConfig>>,
}

impl Fetcher {
    /// A fetcher that has not fetched yet.
    pub(super) fn new(url: JwksUrl) -> Self {
        Self { url, trust: OnceCell::new() }
    }

    /// Where it fetches from.
    pub(super) fn url(&self) -> &JwksUrl {
        &self.url
    }

    /// Fetches, within [`FETCH_MAX`].
    pub(super) async fn fetch(&self) -> Result<Fetched, FetchError> {
        timeout(FETCH_MAX, self.fetch_in_peace()).await.unwrap_or(Err(FetchError::Slow))
    }

    async fn fetch_in_peace(&self) -> Result<Fetched, FetchError> {
        let stream = self.connect().await.map_err(FetchError::Connect)?;
        if !self.url.is_tls {
            return self.ask(stream).await;
        }
        let trust = Arc::clone(self.trust.get_or_try_init(|| tasks::blocking(native_trust)).await?);
        let name = ServerName::try_from(self.url.host.clone()).map_err(|why| FetchError::Tls(why.to_string()))?;
        let stream = TlsConnector::from(trust).connect(name, stream).await;
        self.ask(stream.map_err(|why| FetchError::Tls(why.to_string()))?).await
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let addresses = lookup_host((self.url.host.as_str(), self.url.port)).await?;
        // Without TLS nothing else shows that `localhost` is this machine.
        let addresses: Vec<SocketAddr> =
            addresses.filter(|address| self.url.is_tls || address.ip().is_loopback()).collect();
        TcpStream::connect(addresses.as_slice()).await
    }

    async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send) -> Result<Fetched, FetchError> {
        let mut builder = http1::Builder::new();
        let (mut sender, connection) = builder.max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
        let request = Request::get(self.url.path_and_query.as_str())
            .header(header::HOST, self.url.authority.as_str())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(header::USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .expect("the parts come from a parsed URL");
        let exchange = async {
            let answer = sender.send_request(request).await?;
            match answer.status() {
                StatusCode::OK => {}
                status if status.is_redirection() => return Err(FetchError::Redirect),
                status => return Err(FetchError::Status(status)),
            }
            if answer.headers().contains_key(header::CONTENT_ENCODING) {
                return Err(FetchError::Encoded);
            }
            let max_age = max_age(answer.headers());
            let body = Limited::new(answer.into_body(), JWKS_BYTES_MAX).collect().await;
            Ok(Fetched { json: body.map_err(|_| FetchError::Body)?.to_bytes(), max_age })
        };
        // The connection moves the bytes of the exchange; how it ended is seen there.
        let connection = async {
            connection.await.ok();
            pending().await
        };
        tokio::select! {
            outcome = exchange => outcome,
            outcome = connection => outcome,
        }
    }
}

/// The certificates that this machine trusts, and the cryptography of `ring` as everywhere in the gateway.
fn native_trust() -> Result<Arc<ClientConfig>, FetchError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(FetchError::NoRoots);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| FetchError::Tls(why.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(','));
    directives.find_map(|directive| {
        let (name, seconds) = directive.trim().split_once('=')?;
        let seconds = seconds.trim_matches('"').parse().ok().filter(|_| name.eq_ignore_ascii_case("max-age"))?;
        Some(Duration::from_secs(seconds))
    })
}
