//! The flags of TLS.

use std::path::PathBuf;

use clap::Args;

use crate::http::tls::Files;

#[derive(Debug, Args)]
pub(crate) struct TlsFlags {
    /// Certificate in PEM, with those behind it that lead to one that clients know; read again when it changes
    #[arg(long, env = "TIDEGATE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key in PEM, which nobody but its owner may read
    #[arg(long, env = "TIDEGATE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl From<TlsFlags> for Option<Files> {
    fn from(flags: TlsFlags) -> Self {
        let (certificate, key) = flags.tls_cert.zip(flags.tls_key)?;
        Some(Files { certificate, key })
    }
}
