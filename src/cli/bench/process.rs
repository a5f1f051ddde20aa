//! A gateway for the time of a measurement, and the directory that it has.

use std::fs::DirBuilder;
use std::fs::remove_dir_all;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::time::timeout;

use crate::cli::url::ServerUrl;
use crate::tasks;

/// How long it may take to start.
const START_MAX: Duration = Duration::from_secs(30);

/// What it prints before its address once it is ready.
const READY: &str = "listening on ";

/// A directory that is gone with the value.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn make(above: &Path) -> anyhow::Result<Self> {
        let path = above.join(format!("tidegate-bench-{:016x}", fastrand::u64(..)));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_dir_all(&self.0).ok();
    }
}

/// A process that is gone with the value.
pub(super) struct Started {
    url: ServerUrl,
    // In this order: the process, then its directory.
    _process: Process,
    scratch: Scratch,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Its data is thrown away: it need not end in good order. Both fail only when it has ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Started {
    /// Starts one with its defaults, whatever the environment says, on a free port of loopback.
    pub(super) async fn start(program: &Path, scratch: Scratch) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "error", "--data-dir"]).arg(scratch.0.join("data"));
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = Process(command.spawn().context("a gateway cannot be started")?);
        let stdout = process.0.stdout.take().context("standard output is piped")?;
        let first = tasks::blocking(move || BufReader::new(stdout).lines().next());
        let line = timeout(START_MAX, first).await.context("the gateway that was started is not ready in time")?;
        let line = line.and_then(Result::ok).context("the gateway that was started ended at once")?;
        let url =
            line.strip_prefix(READY).context("the gateway that was started says something else than where it is")?;
        Ok(Self { url: url.parse()?, _process: process, scratch })
    }

    pub(super) fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// The directory it has its data in.
    pub(super) fn place(&self) -> &Path {
        &self.scratch.0
    }
}
