//! PostgreSQL for gateways: a database for each on the server that is there, and a server of one's own to be ended.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;

use sqlx::AssertSqlSafe;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::harness::wait::soon;

static MADE: AtomicU32 = AtomicU32::new(0);

/// An empty database of the server that `TEST_POSTGRES_URL` names. It ends with the value, whoever is in it.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Makes one.
    pub(crate) async fn create() -> Self {
        let server = std::env::var("TEST_POSTGRES_URL").unwrap_or_else(|_| {
            panic!(
                "this test needs a PostgreSQL: run ./test.sh, which starts one, or set TEST_POSTGRES_URL, such as \
                 postgres://user:password@127.0.0.1:5432/postgres, to one where databases can be made"
            )
        });
        Self::create_from(server, "template1").await
    }

    /// Makes a copy of one that nobody is in.
    pub(crate) async fn copy(&self) -> Self {
        Self::create_from(self.server.clone(), &self.name).await
    }

    /// Puts what is in another, which nobody is in, in place of what is here.
    pub(crate) async fn become_copy_of(&self, other: &Self) {
        soon("a database", make(&self.server, &self.name, &other.name)).await;
    }

    async fn create_from(server: String, template: &str) -> Self {
        let name = format!("tidegate_gateway_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        soon("a database", make(&server, &name, template)).await;
        Self { server, name }
    }

    /// Does something in it.
    pub(crate) async fn sql(&self, sql: &str) {
        soon("the database does as it is told", execute(&self.url(), sql)).await;
    }

    /// What `--database-url` says.
    pub(crate) fn url(&self) -> String {
        let (server, query) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let (server, _) = server.rsplit_once('/').expect("TEST_POSTGRES_URL names a database");
        format!("{server}/{}?{query}", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), format!("drop database {} with (force)", self.name));
        // Not on the test's own runtime, which is about to end.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(execute(&server, &sql));
        });
        if dropped.join().is_err() {
            eprintln!("{} could not be dropped", self.name);
        }
    }
}

/// Makes a database, in place of one of that name: an earlier run with the same process id may have been killed.
async fn make(server: &str, name: &str, template: &str) {
    execute(server, &format!("drop database if exists {name} with (force)")).await;
    execute(server, &format!("create database {name} template {template}")).await;
}

async fn execute(server: &str, sql: &str) {
    let options: PgConnectOptions = server.parse().expect("TEST_POSTGRES_URL is a URL");
    let mut connection = options.connect().await.expect("TEST_POSTGRES_URL answers");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect(sql);
}

/// A server of its own, to be ended and started by the test. It is gone with the value.
pub(crate) struct Server {
    shell: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    url: String,
}

/// Starts a server and does what it is told until it is told no more.
const SHELL: &str = r#"
    . scripts/postgres.sh
    trap stop_postgres EXIT
    start_postgres
    echo "$TEST_POSTGRES_URL"
    while read -r word; do
        "${word}_postgres"
        echo done
    done"#;

impl Server {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let mut command = Command::new("bash");
        command.args(["-euc", SHELL]).current_dir(env!("CARGO_MANIFEST_DIR"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().expect("bash is there");
        let words = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("standard output is piped"));
        let mut server = Self { shell, words, answers, url: String::new() };
        server.url = server.answer();
        server
    }

    /// What `--database-url` says.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it at once, without a word to its clients and without writing anything.
    pub(crate) fn crash(&mut self) {
        self.tell("crash");
    }

    /// Ends all its processes with kill -9.
    pub(crate) fn kill9(&mut self) {
        self.tell("kill");
    }

    /// Stops all its processes where they are: its connections stay open, and nothing is said on them.
    pub(crate) fn pause(&mut self) {
        self.tell("pause");
    }

    /// Lets them go on.
    pub(crate) fn resume(&mut self) {
        self.tell("resume");
    }

    /// Starts it again where it was; it answers when this returns.
    pub(crate) fn run(&mut self) {
        self.tell("run");
    }

    fn tell(&mut self, word: &str) {
        let words = self.words.as_mut().expect("the shell listens until the server is dropped");
        writeln!(words, "{word}").expect("the shell is there");
        assert_eq!(self.answer(), "done");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the shell answers");
        line.trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input ends the shell, and its trap the server.
        self.words = None;
        self.shell.wait().ok();
    }
}
