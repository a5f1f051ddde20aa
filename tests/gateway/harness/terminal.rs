//! The commands for people at a terminal, as processes of their own.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use serde_json::Value;

use crate::harness::wait::eventually;
use crate::harness::wait::soon;

/// What a command that has ended left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What it printed; it must have ended with success.
    pub(crate) fn printed(&self) -> &str {
        assert!(self.status.success(), "{self:?}");
        &self.stdout
    }

    /// Its lines as JSON.
    pub(crate) fn values(&self) -> Vec<Value> {
        self.printed().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// What it said on standard error; it must have ended with `code` and without a word on standard output.
    pub(crate) fn refused(&self, code: i32) -> &str {
        assert_eq!((self.status.code(), self.stdout.as_str()), (Some(code), ""), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        &self.stderr
    }
}

fn command(address: SocketAddr, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env("TIDEGATE_URL", format!("http://{address}")).args(line.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command against the gateway there until it ends by itself.
pub(crate) async fn run(address: SocketAddr, line: &str) -> Ended {
    let mut command = command(address, line);
    let run = tokio::task::spawn_blocking(move || command.output().expect("cargo has built the binary"));
    let output = soon(line, run).await.expect("waiting does not panic");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The same, with arguments as they are and something on its standard input.
pub(crate) async fn run_with(address: SocketAddr, arguments: &[&str], input: impl Into<Vec<u8>>) -> Ended {
    let mut command = command(address, "");
    let mut child = command.args(arguments).stdin(Stdio::piped()).spawn().expect("cargo has built the binary");
    let (mut stdin, input) = (child.stdin.take().expect("standard input is piped"), input.into());
    // It may end before it has read all.
    thread::spawn(move || stdin.write_all(&input).ok());
    let run = tokio::task::spawn_blocking(move || child.wait_with_output().expect("a child can be waited for"));
    let output = soon(&arguments.join(" "), run).await.expect("waiting does not panic");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A command that goes on.
pub(crate) struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    remarks: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts a command whose lines are read as they come.
    pub(crate) fn start(address: SocketAddr, line: &str) -> Self {
        let (mut running, stdout) = Self::start_unread(address, line);
        running.lines = collect(stdout);
        running
    }

    /// Starts a command whose standard output is left to the caller.
    pub(crate) fn start_unread(address: SocketAddr, line: &str) -> (Self, BufReader<ChildStdout>) {
        let mut running = Self::of(&mut command(address, line));
        let stdout = BufReader::new(running.child.stdout.take().expect("standard output is piped"));
        (running, stdout)
    }

    /// Starts a command whose standard input is written by the caller, and whose lines are read as they come.
    pub(crate) fn start_fed(address: SocketAddr, line: &str) -> (Self, ChildStdin) {
        let (mut running, stdin, stdout) = Self::start_fed_unread(address, line);
        running.lines = collect(BufReader::new(stdout));
        (running, stdin)
    }

    /// Starts a command whose standard input and output are left to the caller.
    pub(crate) fn start_fed_unread(address: SocketAddr, line: &str) -> (Self, ChildStdin, ChildStdout) {
        let mut running = Self::of(command(address, line).stdin(Stdio::piped()));
        let stdin = running.child.stdin.take().expect("standard input is piped");
        let stdout = running.child.stdout.take().expect("standard output is piped");
        (running, stdin, stdout)
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("cargo has built the binary");
        let remarks = collect(BufReader::new(child.stderr.take().expect("standard error is piped")));
        Self { child, lines: Arc::default(), remarks }
    }

    /// The remarks on standard error so far.
    pub(crate) fn remarks(&self) -> String {
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// The lines printed so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `count` lines are printed.
    pub(crate) async fn printed(&self, count: usize) -> Vec<String> {
        eventually("the lines are printed", async || Some(self.lines()).filter(|lines| lines.len() >= count)).await
    }

    /// Waits for a remark on standard error that holds `word`.
    pub(crate) async fn says(&self, word: &str) {
        eventually(word, async || self.remarks().contains(word).then_some(())).await;
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let status = Command::new("sh").arg("-c").arg(kill).status().expect("a shell is there");
        assert!(status.success(), "no process {} to signal", self.child.id());
    }

    /// Waits until the command has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the command has ended", async || child.try_wait().expect("a child can be waited for")).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("--- remarks of the command ---\n{:#?}", self.remarks);
        }
    }
}

/// Reads lines to the end, on a thread: a full pipe would stop the process.
fn collect(from: impl BufRead + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let collected: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&collected);
    thread::spawn(move || {
        for line in from.lines().map_while(Result::ok) {
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    collected
}
