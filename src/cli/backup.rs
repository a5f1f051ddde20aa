//! `tidegate backup`: a copy of the embedded database while the gateway runs, made whole or not at all.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::future::Future;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use anyhow::ensure;
use tokio::time::interval;

use crate::cli::exit::Interrupted;
use crate::cli::output::print;
use crate::cli::progress::Progress;
use crate::cli::progress::bar;
use crate::store;

/// How often it is looked how far it has come.
const LOOK: Duration = Duration::from_millis(200);

/// What to copy, and where to.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory of the gateway.
    pub data_dir: PathBuf,
    /// A directory that has no database yet: afterwards it is a data directory.
    pub to: PathBuf,
}

/// Copies the database.
///
/// # Errors
/// If there is nothing to copy, something is in the way, or the copy is not whole; then no copy is left.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let Options { data_dir, to } = options;
    let name = "tidegate.db";
    ensure!(data_dir.join(name).is_file(), "there is no {name} in {}: name it in --data-dir", data_dir.display());
    let (copy, part) = (to.join(name), to.join("tidegate.db.part"));
    ensure!(!copy.exists(), "{} is there already: nothing is overwritten", copy.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&to)
        .with_context(|| format!("cannot make {}", to.display()))?;
    // Of a run that was killed.
    fs::remove_file(&part).ok();

    let expected = store::sqlite_bytes(&data_dir).await?;
    let mut copying = pin!(store::copy_sqlite(&data_dir, &part));
    let (mut stop, mut looks, mut progress) = (pin!(stop), interval(LOOK), Progress::new());
    let copied = loop {
        tokio::select! {
            copied = &mut copying => break copied.map_err(anyhow::Error::from),
            () = &mut stop => break Err(Interrupted.into()),
            _ = looks.tick() => {
                let done = fs::metadata(&part).map_or(0, |file| file.len());
                progress.show(|| format!("{} of {expected} bytes", bar(done as f64 / expected.max(1) as f64)));
            }
        }
    };
    drop(progress);
    if let Err(error) = copied {
        fs::remove_file(&part).ok();
        return Err(error.context("no backup was made"));
    }
    fs::rename(&part, &copy).with_context(|| format!("cannot name {}", copy.display()))?;
    File::open(&to).and_then(|directory| directory.sync_all()).context("the directory cannot be synced")?;
    let bytes = fs::metadata(&copy)?.len();
    Ok(print(&format!("{bytes} bytes are in {}, checked and on the disk\n", copy.display()))?)
}
