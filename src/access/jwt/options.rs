//! What tokens are checked with, as it is configured: read once before the node starts, so that what cannot be is refused
//! there.

use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use crate::access::jwt::claims::Rules;
use crate::access::jwt::der::read_pem;
use crate::access::jwt::fetch::JwksUrl;
use crate::access::jwt::jwks::BadJwks;
use crate::access::jwt::jwks::read_jwks;
use crate::access::jwt::key::BadKey;
use crate::access::jwt::key::Key;
use crate::access::jwt::key::KeySet;
use crate::access::jwt::source::read_file;

/// Largest secret in bytes.
const SECRET_BYTES_MAX: u64 = 4 << 10;

/// The bits of a file's mode that let others than its owner at it.
const OTHERS: u32 = 0o077;

/// Whose tokens are taken.
#[derive(Debug, Clone)]
pub struct Options {
    /// What their claims have to say.
    pub rules: Rules,
    /// What their signatures are checked with.
    pub keys: Keys,
}

/// Where keys come from.
#[derive(Debug, Clone)]
pub enum Keys {
    /// They stay as they are.
    Fixed(KeySet),
    /// A key set that is published there.
    Url(JwksUrl),
    /// A file with a key set, and what it held at first.
    File(PathBuf, KeySet),
}

/// Why there are no keys in a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub struct KeysError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("others on this machine may read this secret; take that from them with `chmod 600`")]
    OpenToOthers,
    #[error("a secret has at most {SECRET_BYTES_MAX} bytes")]
    LongSecret,
    #[error(transparent)]
    Key(#[from] BadKey),
    #[error(transparent)]
    Jwks(#[from] BadJwks),
}

impl Keys {
    /// The secret for HS256 in a file that only its owner may read. A line end behind a text is not part of the secret.
    ///
    /// # Errors
    /// A file that cannot be read or that others can, and all that is no secret.
    pub fn from_secret_file(path: &Path) -> Result<Self, KeysError> {
        let read = || Ok(Self::Fixed(KeySet::new(vec![Key::secret(&read_secret(path)?)?])));
        read().map_err(|why| KeysError { path: path.to_owned(), why })
    }

    /// The public keys for RS256 or ES256 of PEM files, one in each. A token may be signed with any of them.
    ///
    /// # Errors
    /// A file that cannot be read, and all that is no public key.
    pub fn from_public_key_files(paths: &[PathBuf]) -> Result<Self, KeysError> {
        let read = |path: &PathBuf| Ok(read_pem(&read_file(path)?)?);
        let keys = paths.iter().map(|path| read(path).map_err(|why| KeysError { path: path.clone(), why }));
        Ok(Self::Fixed(KeySet::new(keys.collect::<Result<_, _>>()?)))
    }

    /// A file with a key set, which will be read again.
    ///
    /// # Errors
    /// A file that cannot be read, and all that is no key set.
    pub fn from_jwks_file(path: &Path) -> Result<Self, KeysError> {
        let read = || Ok(Self::File(path.to_owned(), read_jwks(&read_file(path)?)?));
        read().map_err(|why| KeysError { path: path.to_owned(), why })
    }
}

fn read_secret(path: &Path) -> Result<Vec<u8>, Why> {
    let file = File::open(path)?;
    if file.metadata()?.mode() & OTHERS != 0 {
        return Err(Why::OpenToOthers);
    }
    let mut secret = Vec::new();
    if file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut secret)? as u64 > SECRET_BYTES_MAX {
        return Err(Why::LongSecret);
    }
    // Whoever writes a text with an editor or `echo` does not mean its end; in bytes that are no text it is one of them.
    let text = secret.trim_ascii_end();
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        secret.truncate(text.len());
    }
    Ok(secret)
}
