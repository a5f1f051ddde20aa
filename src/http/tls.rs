//! TLS of our own: a certificate and its key from files, looked at again and again, so that a renewed certificate is
//! served without a restart and a broken one never is.

use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::tasks;
use crate::tasks::Tasks;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A certificate chain or a key is a few kilobytes; what is larger is neither.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Permission bits of others than the owner.
const OTHERS: u32 = 0o077;
/// What is spoken inside, the better first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where certificate and key are, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and behind it those that lead to one that clients know.
    pub certificate: PathBuf,
    /// Its private key, which nobody but its owner may read.
    pub key: PathBuf,
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A file is not there, not ours to read, or not a file.
    #[error("{} cannot be read: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It holds something else.
    #[error("{} holds no {what} in PEM", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is looked for.
        what: &'static str,
    },
    /// The key is everybody's.
    #[error(
        "{} is open to others than its owner (mode {mode:03o}): a private key is its owner's alone; `chmod 600` it",
        path.display()
    )]
    Open {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// They do not belong together, or are of a kind that is not known.
    #[error("certificate and key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// What TLS is spoken with.
pub struct Tls {
    files: Files,
    served: Arc<Served>,
    config: Arc<ServerConfig>,
    /// What the files looked like when they were read.
    read_as: Stamp,
}

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Served(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What tells a file that was replaced or changed from the one before: which file it is, its size, and when it was written
/// to or given other permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([Option<[i128; 6]>; 2]);

impl Stamp {
    fn of(files: &Files) -> Self {
        let look = |path: &Path| {
            let found: Metadata = fs::metadata(path).ok()?;
            let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()].map(i128::from);
            let [written, written_ns, changed, changed_ns] = times;
            Some([found.ino().into(), found.size().into(), written, written_ns, changed, changed_ns])
        };
        Self([look(&files.certificate), look(&files.key)])
    }
}

impl Tls {
    /// Reads the files. TLS 1.2 and 1.3 are spoken, with the ciphers that rustls deems safe.
    ///
    /// # Errors
    /// [`Unusable`] says which file is wrong, and what with it.
    pub fn open(files: Files) -> Result<Self, Unusable> {
        let provider = Arc::new(ring::default_provider());
        let read_as = Stamp::of(&files); // before they are read: what changes meanwhile is read again
        let served = Arc::new(Served(RwLock::new(Arc::new(read(&files, &provider)?))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&served) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self { files, served, config: Arc::new(config), read_as })
    }

    /// What begins TLS on a connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Serves what the files hold from now on, whenever they change. What cannot be used is passed over, logged once and
    /// tried again until it can be: connections go on being shown what was good.
    pub(crate) fn keep_up(self, tasks: &Tasks) {
        let stopping = tasks.stopping().clone();
        tasks.spawn("tls certificate", async move {
            let Self { files, served, config, read_as } = self;
            // Nothing, as long as the last attempt failed: what was in the way need not be seen in the files.
            let mut read_as = Some(read_as);
            let mut told = None;
            let looking = async {
                loop {
                    sleep(LOOK_EVERY).await;
                    let (files, provider) = (files.clone(), Arc::clone(config.crypto_provider()));
                    let look = move || {
                        let stamp = Stamp::of(&files);
                        (Some(stamp) != read_as).then(|| (stamp, read(&files, &provider)))
                    };
                    let Some((stamp, outcome)) = tasks::blocking(look).await else { continue };
                    read_as = outcome.is_ok().then_some(stamp);
                    match outcome {
                        Ok(fresh) => {
                            told = None;
                            *served.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
                            tracing::info!("the TLS certificate was read anew");
                        }
                        Err(error) => {
                            let why = Some((stamp, error.to_string()));
                            if told != why {
                                tracing::error!("the TLS certificate stays the one before: {error}");
                                told = why;
                            }
                        }
                    }
                }
            };
            stopping.run_until_cancelled(looking).await;
        });
    }
}

/// Certificate and key, if they can be used.
fn read(files: &Files, provider: &CryptoProvider) -> Result<CertifiedKey, Unusable> {
    let (certificate, _) = contents(&files.certificate)?;
    let (key, mode) = contents(&files.key)?;
    if mode & OTHERS != 0 {
        return Err(Unusable::Open { path: files.key.clone(), mode: mode & 0o777 });
    }
    let nothing = |path: &Path, what| Unusable::Pem { path: path.to_owned(), what };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| nothing(&files.certificate, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| nothing(&files.key, "private key without a password"))?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

/// What a file holds, and its permissions: of the file that was read, whatever has its name by then.
fn contents(path: &Path) -> Result<(Vec<u8>, u32), Unusable> {
    let read = || {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok((bytes, mode))
    };
    read().map_err(|error| Unusable::File { path: path.to_owned(), error })
}
