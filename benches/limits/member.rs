//! A member of a group as a client sees it, and a plain reader that keeps a cursor: both ask for a page, note where it
//! ended, and ask again from there.

use std::net::SocketAddr;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use memchr::memmem;
use serde::Deserialize;

use crate::client::Connection;
use crate::data;

/// What follows the records in an answer.
#[derive(Deserialize)]
pub(crate) struct Ending {
    pub(crate) cursor: String,
    pub(crate) at_tail: bool,
    /// What the member holds; nothing where no member asked.
    #[serde(default)]
    pub(crate) assignments: Vec<Assignment>,
    /// Whether there is any record in the answer.
    #[serde(skip)]
    pub(crate) has_records: bool,
}

#[derive(Deserialize)]
pub(crate) struct Assignment {
    pub(crate) next_offset: u64,
}

/// Asks and reads no more of an answer than how it ends.
struct Caller {
    connection: Connection,
    body: Vec<u8>,
}

impl Caller {
    async fn open(address: SocketAddr, buffer_bytes: usize) -> Result<Self> {
        Ok(Self { connection: Connection::open(address, buffer_bytes).await?, body: Vec::new() })
    }

    async fn ask(&mut self, request: &[u8]) -> Result<Ending> {
        self.body.clear();
        let (status, mut body) = self.connection.send(request).await?;
        let mut sink = |piece: &[u8]| self.body.extend_from_slice(piece);
        while self.connection.piece(&mut body, &mut sink).await? {}
        if status != 200 {
            bail!("answered {status}: {}", String::from_utf8_lossy(&self.body[..self.body.len().min(400)]));
        }
        // The last one: a record may have a member of that name.
        let at = memmem::rfind(&self.body, b",\"cursor\":").context("no cursor in the answer")?;
        let mut rest = self.body[at..].to_vec();
        rest[0] = b'{';
        let mut ending: Ending = serde_json::from_slice(&rest).context("end of the answer")?;
        ending.has_records = !self.body[..at].ends_with(b"[]");
        Ok(ending)
    }
}

/// A member that polls.
pub(crate) struct Member {
    caller: Caller,
    path: String,
    /// How it begins: members of the body.
    terms: String,
    cursor: Option<String>,
}

impl Member {
    /// A member that has not begun: its first poll joins. `buffer_bytes` is the size of one read.
    pub(crate) async fn open(
        address: SocketAddr,
        group: &str,
        member: &str,
        terms: String,
        buffer_bytes: usize,
    ) -> Result<Self> {
        let path = format!("/v1/groups/{group}/members/{member}");
        Ok(Self { caller: Caller::open(address, buffer_bytes).await?, path, terms, cursor: None })
    }

    /// Joins or goes on. `options` are further members of the body.
    pub(crate) async fn poll(&mut self, options: &str) -> Result<Ending> {
        let body = match &self.cursor {
            None => format!("{{{},{options}}}", self.terms),
            Some(cursor) => format!(r#"{{"cursor":"{cursor}",{options}}}"#),
        };
        let request = data::request("POST", &format!("{}/poll", self.path), "application/json", &body);
        let ending = self.caller.ask(&request).await?;
        self.cursor = Some(ending.cursor.clone());
        Ok(ending)
    }

    /// Leaves.
    pub(crate) async fn leave(mut self) -> Result<()> {
        let request = data::request("DELETE", &self.path, "application/json", "");
        self.caller.connection.exchange(&request).await
    }
}

/// A reader that is in no group.
pub(crate) struct PlainReader {
    caller: Caller,
    /// With a query that says what, but not from where.
    path: String,
    /// A parameter of the query.
    position: String,
}

impl PlainReader {
    pub(crate) async fn open(address: SocketAddr, path: String, from: &str, buffer_bytes: usize) -> Result<Self> {
        Ok(Self { caller: Caller::open(address, buffer_bytes).await?, path, position: format!("from={from}") })
    }

    /// The next page.
    pub(crate) async fn read(&mut self) -> Result<Ending> {
        let request = data::get(&format!("{}&{}", self.path, self.position), "application/json");
        let ending = self.caller.ask(&request).await?;
        self.position = format!("cursor={}", ending.cursor);
        Ok(ending)
    }
}
