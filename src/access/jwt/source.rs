//! Where keys that change come from.

use std::fmt;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::access::jwt::fetch::FetchError;
use crate::access::jwt::fetch::Fetched;
use crate::access::jwt::fetch::Fetcher;
use crate::access::jwt::jwks::BadJwks;
use crate::access::jwt::jwks::JWKS_BYTES_MAX;
use crate::tasks;

/// A place that holds a key set.
pub(super) enum Source {
    /// Published by the issuer.
    Url(Fetcher),
    /// Kept up by somebody on this machine.
    File(PathBuf),
}

/// How often a place is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Time between two looks at least, whoever asks.
    pub(super) between_min: Duration,
    /// Time between two looks when the place says nothing.
    pub(super) between: Duration,
    /// Time between two looks at most, whatever the place says.
    pub(super) between_max: Duration,
    /// How long keys are kept when the place cannot be read any more.
    pub(super) kept_max: Duration,
}

/// How long keys of a place that cannot be read are still good.
const KEPT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Why a place could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// Over the network.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// From the disk.
    #[error("it cannot be read: {0}")]
    File(#[from] io::Error),
    /// What is there is not a key set.
    #[error(transparent)]
    Content(#[from] BadJwks),
}

impl Source {
    /// How often it is looked at.
    pub(super) fn pace(&self) -> Pace {
        match self {
            Self::Url(_) => Pace {
                between_min: Duration::from_secs(30),
                between: Duration::from_secs(300),
                between_max: Duration::from_secs(3_600),
                kept_max: KEPT_MAX,
            },
            // Looking costs nothing, and a file that is replaced tells nobody.
            Self::File(_) => Pace {
                between_min: Duration::from_secs(1),
                between: Duration::from_secs(5),
                between_max: Duration::from_secs(5),
                kept_max: KEPT_MAX,
            },
        }
    }

    /// What is there, and for how long it says that it stays so.
    pub(super) async fn read(&self) -> Result<(Bytes, Option<Duration>), SourceError> {
        match self {
            Self::Url(fetcher) => {
                let Fetched { json, max_age } = fetcher.fetch().await?;
                Ok((json, max_age))
            }
            Self::File(path) => {
                let path = path.clone();
                Ok((tasks::blocking(move || read_file(&path)).await?.into(), None))
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(fetcher) => fetcher.url().fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A file, or as much of it as shows that it is too large.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(JWKS_BYTES_MAX as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}
