//! Certificates of a test's own, and clients that trust nothing else: a tunnel takes what a client of plain HTTP sends and
//! passes it on over TLS, so that all tools of the suite speak TLS as well.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::client::Client;
use crate::harness::wait::soon;

/// A certificate for the names of loopback, and its key, in files.
pub(crate) struct Certificate {
    directory: TempDir,
    pub(crate) der: CertificateDer<'static>,
}

impl Certificate {
    /// A fresh one in a directory of its own.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        let der = write(directory.path());
        Self { directory, der }
    }

    /// Puts another one into the files, as a client of a certificate authority does.
    pub(crate) fn renew(&mut self) {
        self.der = write(self.directory.path());
    }

    pub(crate) fn certificate_file(&self) -> PathBuf {
        certificate_file(self.directory.path())
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        key_file(self.directory.path())
    }

    /// The flags of a gateway that serves it.
    pub(crate) fn flags(&self) -> [String; 4] {
        let text = |path: PathBuf| path.to_str().expect("a path of ours").to_owned();
        ["--tls-cert".to_owned(), text(self.certificate_file()), "--tls-key".to_owned(), text(self.key_file())]
    }

    /// A client that trusts this certificate alone and speaks HTTP/1.1 inside.
    pub(crate) async fn client(&self, gateway: SocketAddr) -> Client {
        Client::new(self.tunnel(gateway, b"http/1.1").await)
    }

    /// A client that trusts this certificate alone and speaks HTTP/2 inside.
    pub(crate) async fn client_of_http2(&self, gateway: SocketAddr) -> Client {
        Client::of_http2(self.tunnel(gateway, b"h2").await)
    }

    /// Begins TLS by hand.
    pub(crate) async fn connect(&self, gateway: SocketAddr) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(gateway).await.expect("the gateway accepts");
        let handshake = TlsConnector::from(Arc::new(self.config())).connect(localhost(), stream);
        soon("a handshake", handshake).await.expect("the gateway speaks TLS")
    }

    /// Where to connect to in the clear to be led to the gateway over TLS. It lasts as long as the test.
    async fn tunnel(&self, gateway: SocketAddr, protocol: &'static [u8]) -> SocketAddr {
        let mut config = self.config();
        config.alpn_protocols = vec![protocol.to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("it has a number");
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    // What fails is seen by the client as a connection that ends.
                    let far = TcpStream::connect(gateway).await.ok()?;
                    let mut far = connector.connect(localhost(), far).await.ok()?;
                    assert_eq!(far.get_ref().1.alpn_protocol(), Some(protocol));
                    tokio::io::copy_bidirectional(&mut near, &mut far).await.ok()
                });
            }
        });
        address
    }

    /// How a client that trusts this certificate alone begins.
    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("rcgen writes certificates");
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled(); // a session that is resumed shows no certificate
        config
    }
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

fn certificate_file(directory: &Path) -> PathBuf {
    directory.join("cert.pem")
}

fn key_file(directory: &Path) -> PathBuf {
    directory.join("key.pem")
}

fn write(directory: &Path) -> CertificateDer<'static> {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
    let made = rcgen::generate_simple_self_signed(names).expect("names that a certificate can bear");
    fs::write(certificate_file(directory), made.cert.pem()).expect("the directory is ours");
    fs::write(key_file(directory), made.signing_key.serialize_pem()).expect("the directory is ours");
    fs::set_permissions(key_file(directory), fs::Permissions::from_mode(0o600)).expect("the file is ours");
    made.cert.der().clone()
}
