//! One gateway process: started on a free port, stopped politely or not, ended with the test.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::postgres::Database;
use crate::harness::topic::Topic;
use crate::harness::wait::eventually;
use crate::harness::wait::soon;

/// What the binary prints on standard output once it is ready, before its address.
const READY: &str = "listening on http://";

/// Connections of one gateway to PostgreSQL beside those that each has: few, since many gateways run at once.
const READERS: &str = "2";

/// A running gateway with a data directory of its own, and on PostgreSQL a database of its own; all end with the value.
pub(crate) struct Gateway {
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    directory: TempDir,
    process: Process,
    client: Client,
    /// Behind the process: it is dropped after it.
    database: Option<Arc<Database>>,
}

impl Gateway {
    /// Starts a gateway with its defaults on an empty data directory.
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    /// Starts a gateway with `flags` on an empty data directory.
    pub(crate) async fn with(backend: Backend, flags: &[&str]) -> Self {
        let mut flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        match backend {
            Backend::Sqlite => Self::spawn(flags, Vec::new(), None).await,
            Backend::Postgres => {
                let database = Database::create().await;
                flags.extend(on_postgres(&database.url()));
                Self::spawn(flags, Vec::new(), Some(Arc::new(database))).await
            }
        }
    }

    /// Starts a gateway on SQLite with `flags` and this in its environment.
    pub(crate) async fn with_environment(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let flags = flags.iter().map(ToString::to_string).collect();
        let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self::spawn(flags, environment, None).await
    }

    /// Starts a gateway on an empty PostgreSQL database that is the caller's.
    pub(crate) async fn on(database_url: &str) -> Self {
        Self::spawn(on_postgres(database_url).into(), Vec::new(), None).await
    }

    /// The URL of its database, which is on PostgreSQL.
    pub(crate) fn database_url(&self) -> String {
        self.database.as_ref().expect("SQLite has no URL").url()
    }

    /// Starts another node with the same flags on the same PostgreSQL database.
    pub(crate) async fn second_node(&self) -> Self {
        let database = self.database.as_ref().expect("SQLite has one node");
        Self::spawn(self.flags.clone(), self.environment.clone(), Some(Arc::clone(database))).await
    }

    async fn spawn(flags: Vec<String>, environment: Vec<(String, String)>, database: Option<Arc<Database>>) -> Self {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        let mut process = Process::spawn(&data_dir(&directory), &flags, &environment);
        let client = Client::new(process.address().await);
        Self { flags, environment, directory, process, client, database }
    }

    /// Stops the process as a debugger or a full machine would: it keeps all it has, and does nothing.
    pub(crate) fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets a paused process go on.
    pub(crate) fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Runs a second process on the same data directory until it ends by itself.
    pub(crate) async fn twin(&self) -> (ExitStatus, String) {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        run_to_its_end(&self.data_dir(), &flags).await
    }

    /// The data directory of the process.
    pub(crate) fn data_dir(&self) -> PathBuf {
        data_dir(&self.directory)
    }

    /// Where the process listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.client.address()
    }

    /// The id of the process, for a look into `/proc`.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// What the process has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.process.ended().await
    }

    /// Stops the process as an init system does; it must end with success.
    pub(crate) async fn stop(&mut self) {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "SIGTERM ends in {status}:\n{}", self.stderr());
    }

    /// Ends the process at once, as a power cut would.
    pub(crate) async fn kill9(&mut self) {
        self.process.child.kill().expect("a child that was not waited for can be killed");
        self.ended().await;
    }

    /// Starts the process again on the same data directory, after `stop` or `kill9`. Clients and topics follow.
    pub(crate) async fn start_again(&mut self) {
        self.process = Process::spawn(&self.data_dir(), &self.flags, &self.environment);
        let address = self.process.address().await;
        self.client.moved_to(address);
    }

    /// Stops politely and starts again.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Copies the data of a stopped gateway.
    pub(crate) async fn back_up(&self) -> Backup {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        copy(&self.data_dir(), &data_dir(&directory));
        let database = match &self.database {
            Some(database) => Some(database.copy().await),
            None => None,
        };
        Backup { directory, database }
    }

    /// Puts a copy back in place of the data of a stopped gateway.
    pub(crate) async fn restore(&self, backup: &Backup) {
        std::fs::remove_dir_all(self.data_dir()).expect("the data directory is ours");
        copy(&data_dir(&backup.directory), &self.data_dir());
        if let (Some(database), Some(copy)) = (&self.database, &backup.database) {
            database.become_copy_of(copy).await;
        }
    }

    /// Does something in its PostgreSQL database behind its back.
    pub(crate) async fn sql(&self, sql: &str) {
        self.database.as_ref().expect("SQLite is one process's own").sql(sql).await;
    }

    /// A client of its own, to be handed to a task.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Creates a topic.
    pub(crate) async fn topic(&self, name: &str, partitions: u32) -> Topic {
        Topic::create(&self.client, name, partitions).await
    }
}

/// A copy of the data of a gateway.
pub(crate) struct Backup {
    directory: TempDir,
    database: Option<Database>,
}

impl Deref for Gateway {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Runs the binary against `data_dir` until it ends by itself and returns its status and standard error.
pub(crate) async fn run_to_its_end(data_dir: &Path, flags: &[&str]) -> (ExitStatus, String) {
    let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
    let mut process = Process::spawn(data_dir, &flags, &[]);
    let status = process.ended().await;
    let stderr = process.drained_stderr();
    (status, stderr)
}

/// The flags of a gateway on PostgreSQL.
fn on_postgres(database_url: &str) -> [String; 4] {
    ["--database-url", database_url, "--readers", READERS].map(str::to_owned)
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status().expect("`cp` is there");
    assert!(status.success(), "{} cannot be copied", from.display());
}

fn data_dir(directory: &TempDir) -> PathBuf {
    directory.path().join("data")
}

struct Process {
    child: Child,
    ready: Option<oneshot::Receiver<SocketAddr>>,
    stderr: Arc<Mutex<String>>,
    stderr_reader: Option<thread::JoinHandle<()>>,
}

impl Process {
    fn spawn(data_dir: &Path, flags: &[String], environment: &[(String, String)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        for (name, _) in std::env::vars_os() {
            if ["TIDEGATE_", "OTEL_"].iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
                command.env_remove(name);
            }
        }
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir).args(flags);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("cargo has built the binary");
        let stdout = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");

        let (found, ready) = oneshot::channel();
        thread::spawn(move || watch_stdout(BufReader::new(stdout), found));
        let collected = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&collected);
        let stderr_reader = thread::spawn(move || collect(BufReader::new(stderr), &sink));
        Self { child, ready: Some(ready), stderr: collected, stderr_reader: Some(stderr_reader) }
    }

    async fn address(&mut self) -> SocketAddr {
        let ready = self.ready.take().expect("the address is asked for once");
        match soon("the line with the address", ready).await {
            Ok(address) => address,
            Err(_) => panic!("the process ended before it was ready:\n{}", self.drained_stderr()),
        }
    }

    fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything on standard error; only for a process that has ended.
    fn drained_stderr(&mut self) -> String {
        if let Some(reader) = self.stderr_reader.take() {
            reader.join().expect("the reader does not panic");
        }
        self.stderr()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.child.id()))
            .status()
            .expect("a shell is there");
        assert!(status.success(), "no process {} to signal", self.child.id());
    }

    async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the process has ended", async || child.try_wait().expect("a child can be waited for")).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("--- standard error of the gateway ---\n{}", self.drained_stderr());
        }
    }
}

fn watch_stdout(lines: impl BufRead, found: oneshot::Sender<SocketAddr>) {
    let mut found = Some(found);
    // Read to the end: a full pipe would stop the process.
    for line in lines.lines().map_while(Result::ok) {
        let address = line.split(READY).nth(1).and_then(|rest| rest.trim().parse().ok());
        if let (Some(address), Some(found)) = (address, found.take_if(|_| address.is_some())) {
            found.send(address).ok();
        }
    }
}

fn collect(mut from: impl Read, sink: &Mutex<String>) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let text = String::from_utf8_lossy(&piece[..length]);
        sink.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
    }
}
