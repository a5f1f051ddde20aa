//! `tidegate health`: asks the gateway on this machine whether it is well, for container health checks, which have no
//! curl.

use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::ensure;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::SignatureScheme;
use rustls::StreamOwned;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;

/// How long a gateway may take for each step of saying that it is well.
const STEP_MAX: Duration = Duration::from_secs(2);

/// Where a gateway listens, and how it is spoken to there.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// As it was told where to listen: an unspecified address is asked on loopback.
    pub listen: SocketAddr,
    /// Whether it has a certificate.
    pub tls: bool,
}

/// Asks it.
///
/// # Errors
/// If it does not answer, or not well.
pub fn health(place: Place) -> anyhow::Result<()> {
    let mut address = place.listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let connection =
        TcpStream::connect_timeout(&address, STEP_MAX).with_context(|| format!("nobody listens on {address}"))?;
    connection.set_read_timeout(Some(STEP_MAX))?;
    connection.set_write_timeout(Some(STEP_MAX))?;
    if place.tls { ask(encrypted(connection, address.ip())?) } else { ask(connection) }
}

fn ask(mut connection: impl Read + Write) -> anyhow::Result<()> {
    let silent = "the gateway does not answer";
    connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").context(silent)?;
    let mut status = [0; 12];
    connection.read_exact(&mut status).context(silent)?;
    ensure!(status.ends_with(b" 200"), "the gateway is not well: {}", String::from_utf8_lossy(&status));
    Ok(())
}

fn encrypted(connection: TcpStream, address: IpAddr) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(WhoeverItIs(provider)))
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), ServerName::from(address))?;
    Ok(StreamOwned::new(session, connection))
}

/// Takes any certificate: it was made for a name that leads here from elsewhere, not for loopback; and a question that
/// everybody may ask, with a yes or no for an answer, gives nothing away.
#[derive(Debug)]
struct WhoeverItIs(Arc<CryptoProvider>);

impl ServerCertVerifier for WhoeverItIs {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
