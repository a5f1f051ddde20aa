//! A database of this benchmark on a server that was given, and pgbench, which comes with PostgreSQL: what a client gets
//! that writes rows to it and does nothing else.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use crate::process::Process;

/// An argument of a program is shorter than 128 KiB (`MAX_ARG_STRLEN` of Linux): longer rows are sent in pieces.
const PIECE_BYTES: usize = 96 << 10;

/// A database that is dropped with its handle.
pub(crate) struct Database {
    programs: PathBuf,
    server: String,
    name: String,
    /// Where it is.
    pub(crate) url: String,
}

impl Database {
    /// Makes an empty one, with a table for pgbench, on the server that `server` names a database of.
    pub(crate) fn create(server: &str) -> Result<Self> {
        let programs = programs().context("pgbench and psql are not installed")?;
        let (address, query) = server.split_once('?').unwrap_or((server, ""));
        let (address, _) = address.rsplit_once('/').context("--database-url names no database")?;
        let name = format!("tidegate_limits_{}", std::process::id());
        let url = format!("{address}/{name}?{query}");
        psql(&programs, server, &format!("create database {name}"))?;
        let database = Self { programs, server: server.to_owned(), name, url };
        // As our batches: long rows outside, and not compressed.
        database.run(
            "create table plain (id bigint generated always as identity primary key, payload text not null);
             alter table plain alter column payload set storage external",
        )?;
        Ok(database)
    }

    fn run(&self, sql: &str) -> Result<()> {
        psql(&self.programs, &self.url, sql)
    }

    /// Rows per second when so many clients insert `row` again and again, each in a transaction of its own, by a prepared
    /// statement.
    pub(crate) async fn inserts(&self, folder: &Path, row: &str, clients: usize, seconds: u64) -> Result<Inserts> {
        let pieces = pieces(row);
        let names: Vec<String> = (0..pieces.len()).map(|number| format!(":p{number}::text")).collect();
        let script = folder.join("insert.sql");
        std::fs::write(&script, format!("insert into plain (payload) values ({});\n", names.join(" || ")))?;
        let (clients, seconds_text) = (clients.to_string(), seconds.to_string());
        let script = script.to_str().context("path is not UTF-8")?;
        let mut arguments = vec!["-n", "-M", "prepared", "-c", &clients, "-j", "2", "-T", &seconds_text, "-f", script];
        let variables: Vec<String> =
            pieces.iter().enumerate().map(|(number, piece)| format!("p{number}={piece}")).collect();
        arguments.extend(variables.iter().flat_map(|variable| ["-D", variable]));
        arguments.push(&self.url);
        let mut pgbench = Process::start(&self.programs.join("pgbench"), &arguments, &folder.join("pgbench.log"))?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let latency = pgbench.line("latency average = ").await?;
        let rate = pgbench.line("tps = ").await?;
        let figure = |line: &str| line.split(' ').next().unwrap_or_default().parse::<f64>();
        Ok(Inserts { per_second: figure(&rate)?, mean_ms: figure(&latency)? })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = psql(&self.programs, &self.server, &format!("drop database {} with (force)", self.name));
        if let Err(problem) = dropped {
            eprintln!("the database {} is left: {problem:#}", self.name);
        }
    }
}

/// What pgbench came to.
pub(crate) struct Inserts {
    pub(crate) per_second: f64,
    pub(crate) mean_ms: f64,
}

/// The row in pieces that are short enough for an argument.
fn pieces(row: &str) -> Vec<&str> {
    let (mut rest, mut pieces) = (row, Vec::new());
    while rest.len() > PIECE_BYTES {
        let at = (0..=PIECE_BYTES).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(0);
        let (piece, behind) = rest.split_at(at);
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

fn psql(programs: &Path, url: &str, sql: &str) -> Result<()> {
    let mut command = Command::new(programs.join("psql"));
    command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--command", sql, url]);
    let status = command.stdin(Stdio::null()).status().context("start psql")?;
    ensure!(status.success(), "psql failed: {status}");
    Ok(())
}

/// Where the programs of PostgreSQL are: Debian keeps those of a server out of the path.
fn programs() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let folders: Vec<PathBuf> = in_path;
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let mut of_debian: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    of_debian.sort();
    let has_both = |folder: &PathBuf| ["pgbench", "psql"].iter().all(|program| folder.join(program).exists());
    folders.into_iter().chain(of_debian.into_iter().rev()).find(has_both)
}
