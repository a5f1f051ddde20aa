//! The data directory: made where it is missing, and one process's own, whatever it holds.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::store::open_error::OpenError;

/// Permission bits: everybody may write; in a directory that is sticky nobody may remove or rename what is another's.
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Makes the directory and takes it for this process, for as long as the file returned is open.
pub(super) fn lock(directory: &Path) -> Result<File, OpenError> {
    let unusable = |error| OpenError::Directory(directory.to_owned(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
    // A link to a directory is followed: that is how operators put it on a larger disk. What it leads to is what counts.
    let mode = fs::metadata(directory).map_err(unusable)?.mode();
    if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
        return Err(OpenError::Open(directory.to_owned()));
    }
    let name = directory.join("tidegate.db.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(name).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}
