//! Connecting to a gateway, by plain TCP or by TLS.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::client::conn::http1::SendRequest;
use hyper::client::conn::http1::handshake;
use hyper::rt::Read;
use hyper::rt::Write;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::cli::problem::CallError;
use crate::cli::url::ServerUrl;
use crate::tasks::Tasks;

/// Longest time to connect: a SYN lost once is sent again after one second, lost twice after three.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// What is sent with a request: all at once, or as it comes.
pub type RequestBody = BoxBody<Bytes, Infallible>;

/// Makes connections to one gateway. A clone makes more of them.
#[derive(Clone)]
pub(super) struct Dialer {
    url: Arc<ServerUrl>,
    tls: Arc<OnceLock<TlsConnector>>,
    tasks: Tasks,
}

impl Dialer {
    pub(super) fn new(url: ServerUrl) -> Self {
        Self { url: Arc::new(url), tls: Arc::default(), tasks: Tasks::default() }
    }

    pub(super) fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// A connection over which one request after the other can be sent.
    pub(super) async fn connect(&self) -> Result<SendRequest<RequestBody>, CallError> {
        match timeout(CONNECT_MAX, self.connect_at_length()).await {
            Ok(connection) => connection,
            Err(_) => Err(self.unreachable(&"the connection is not accepted")),
        }
    }

    async fn connect_at_length(&self) -> Result<SendRequest<RequestBody>, CallError> {
        let stream = TcpStream::connect(&self.url.address).await.map_err(|error| self.unreachable(&error))?;
        stream.set_nodelay(true).map_err(|error| self.unreachable(&error))?;
        if !self.url.is_https {
            return self.speak_on(stream).await;
        }
        let name = ServerName::try_from(self.url.host().to_owned()).map_err(|error| self.unreachable(&error))?;
        let stream = self.tls()?.connect(name, stream).await.map_err(|error| self.unreachable(&error))?;
        self.speak_on(stream).await
    }

    async fn speak_on<S>(&self, stream: S) -> Result<SendRequest<RequestBody>, CallError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
        TokioIo<S>: Read + Write,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| self.unreachable(&error))?;
        self.tasks.spawn("connection to the gateway", async move {
            // What is wrong with it is told to the call that meets it.
            connection.await.ok();
        });
        Ok(sender)
    }

    /// What the system trusts, or `SSL_CERT_FILE` names, is trusted. HTTP/1.1 is spoken: a connection here has one call.
    fn tls(&self) -> Result<TlsConnector, CallError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let found = rustls_native_certs::load_native_certs();
        let mut trusted = RootCertStore::empty();
        let (usable, _) = trusted.add_parsable_certificates(found.certs);
        if usable == 0 {
            let why = found.errors.first().map_or_else(|| "none is installed".to_owned(), ToString::to_string);
            return Err(self.unreachable(&format!("no certificate authority is trusted on this machine: {why}")));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("ring has the default versions").with_root_certificates(trusted);
        Ok(self.tls.get_or_init(|| TlsConnector::from(Arc::new(config.with_no_client_auth()))).clone())
    }

    pub(super) fn unreachable(&self, why: &dyn fmt::Display) -> CallError {
        CallError::Unreachable { address: self.url.address.clone(), why: why.to_string() }
    }

    pub(super) fn foreign(&self, why: &dyn fmt::Display) -> CallError {
        CallError::Foreign { address: self.url.address.clone(), why: why.to_string() }
    }
}
