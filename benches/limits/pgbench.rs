//! pgbench, which comes with PostgreSQL: what a client gets that writes rows to it and does nothing else.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use crate::database::Database;
use crate::process::Process;

/// An argument of a program is shorter than 128 KiB (`MAX_ARG_STRLEN` of Linux): longer rows are sent in pieces.
const PIECE_BYTES: usize = 96 << 10;

/// A table for it in a database.
pub(crate) struct Pgbench<'a> {
    database: &'a Database,
}

impl<'a> Pgbench<'a> {
    /// Makes the table.
    pub(crate) fn prepare(database: &'a Database) -> Result<Self> {
        // As our batches: long rows outside, and not compressed.
        database.run(
            "create table plain (id bigint generated always as identity primary key, payload text not null);
             alter table plain alter column payload set storage external",
        )?;
        Ok(Self { database })
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
        arguments.push(&self.database.url);
        let mut pgbench =
            Process::start(&self.database.programs.join("pgbench"), &arguments, &folder.join("pgbench.log"))?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let latency = pgbench.line("latency average = ").await?;
        let rate = pgbench.line("tps = ").await?;
        let figure = |line: &str| line.split(' ').next().unwrap_or_default().parse::<f64>();
        Ok(Inserts { per_second: figure(&rate)?, mean_ms: figure(&latency)? })
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
