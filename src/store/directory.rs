//! The data directory: made where it is missing, and one process's own, whatever it holds.

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::store::open_error::OpenError;

/// Makes the directory and takes it for this process, for as long as the file returned is open.
pub(super) fn lock(directory: &Path) -> Result<File, OpenError> {
    let unusable = |error| OpenError::Directory(directory.to_owned(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
    let name = directory.join("tidegate.db.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(name).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}
