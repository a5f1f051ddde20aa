//! A PostgreSQL of the test's own, which can be killed and run again.

use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Instant;

use crate::DEADLINE;

/// The scripts that `test.sh` uses as well.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres.sh");

/// What the scripts keep from call to call.
const KEPT: [&str; 3] = ["POSTGRES_DIR", "POSTGRES_PROGRAMS", "POSTGRES_PORT"];

/// A server with a directory of its own; both end with the value.
pub(crate) struct Postgres {
    pub(crate) url: String,
    kept: Vec<(&'static str, String)>,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let output = shell(
            &[],
            r#"start_postgres; printf '%s\n' "$TEST_POSTGRES_URL" "$POSTGRES_DIR" "$POSTGRES_PROGRAMS" "$POSTGRES_PORT""#,
        );
        let text = String::from_utf8(output.stdout).expect("paths of the test are UTF-8");
        // An installation may have talked before.
        let mut lines = text.lines().rev().take(1 + KEPT.len()).map(str::to_owned).collect::<Vec<_>>();
        lines.reverse();
        let mut lines = lines.into_iter();
        let url = lines.next().expect("the script tells the URL");
        Self { url, kept: KEPT.into_iter().zip(lines).collect() }
    }

    /// Ends all its processes with `kill -9`.
    pub(crate) fn kill9(&self) {
        shell(&self.kept, "kill_postgres");
    }

    /// Runs it again after it was killed, and waits until it takes connections.
    pub(crate) fn run_again(&self) {
        let begun = Instant::now();
        // The last of the killed processes may be there still: the server refuses to start beside them.
        while !run(&self.kept, "run_postgres").status.success() {
            assert!(begun.elapsed() < DEADLINE, "PostgreSQL does not start again");
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        run(&self.kept, "stop_postgres");
    }
}

fn shell(kept: &[(&'static str, String)], command: &str) -> Output {
    let output = run(kept, command);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {told}");
    output
}

fn run(kept: &[(&'static str, String)], command: &str) -> Output {
    let script = format!("set -e; . '{SCRIPTS}'; {command}");
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script).envs(kept.iter().cloned()).stdin(Stdio::null());
    bash.output().expect("bash is there")
}
