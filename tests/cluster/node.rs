//! A node as a process of its own, which can be killed and run again at the same address.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

use tempfile::TempDir;

use crate::DEADLINE;

/// How much of what a node logged is shown when the test fails.
const LINES_SHOWN: usize = 40;

/// A node with a data directory of its own; both end with the value.
pub(crate) struct Node {
    pub(crate) url: String,
    database: String,
    data: TempDir,
    child: Option<Child>,
}

impl Node {
    pub(crate) fn start(database: &str) -> Self {
        let data = tempfile::tempdir().expect("the temporary directory is writable");
        let mut node = Self { url: "http://127.0.0.1:0".to_owned(), database: database.to_owned(), data, child: None };
        node.run();
        node
    }

    /// Runs it, and waits until it listens. Where it ends before that, because the database is away, it is run again, as
    /// a supervisor would.
    pub(crate) fn run(&mut self) {
        let begun = Instant::now();
        while !self.listens() {
            assert!(begun.elapsed() < DEADLINE, "the node does not start: {}", self.told());
        }
    }

    fn listens(&mut self) -> bool {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TIDEGATE_") {
                command.env_remove(name);
            }
        }
        let listen = self.url.strip_prefix("http://").expect("a node speaks HTTP");
        command.args(["--listen", listen, "--database-url", &self.database, "--data-dir"]).arg(self.data.path());
        let log = File::options().append(true).create(true).open(self.log()).expect("the log can be written");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("cargo has built the binary");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let said = lines.find_map(|line| {
            let line = line.expect("it speaks UTF-8");
            line.split("listening on ").nth(1).map(|url| url.trim().to_owned())
        });
        let Some(url) = said else {
            child.wait().expect("a child can be waited for");
            return false;
        };
        // Read to the end: a full pipe would stop the process.
        std::thread::spawn(move || lines.for_each(drop));
        self.url = url;
        self.child = Some(child);
        true
    }

    /// Ends the process at once.
    pub(crate) fn kill9(&mut self) {
        let mut child = self.child.take().expect("a node that is killed runs");
        child.kill().expect("a child that was not waited for can be killed");
        child.wait().expect("a child can be waited for");
    }

    /// What all its processes logged.
    pub(crate) fn told(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.data.path().join("told")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both fail only when the process has ended already.
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            let told = self.told();
            let lines: Vec<_> = told.lines().collect();
            eprintln!("{}\n{}", self.url, lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n"));
        }
    }
}
