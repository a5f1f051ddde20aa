//! What the binary does beside serving: small commands of its own, and thin clients of the HTTP API for people at a
//! terminal ([`groups`], [`consume`], [`keys`]).

pub mod client;
pub mod consume;
pub mod groups;
pub mod keys;
pub mod member;
pub mod output;
pub mod page;
pub mod patience;
pub mod problem;
pub mod reader;
pub mod url;

use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context;
use anyhow::ensure;

use crate::http;

/// How long a gateway may take to say that it is well.
const HEALTH_MAX: Duration = Duration::from_secs(2);

/// The OpenAPI document of this version, as it is checked in.
///
/// # Errors
/// None that a test would not have met.
pub fn openapi() -> anyhow::Result<String> {
    Ok(http::document().to_pretty_json()? + "\n")
}

/// Asks the gateway that listens on `address` whether it is well: for container health checks, which have no curl.
///
/// # Errors
/// If it does not answer, or not well.
pub fn health(address: SocketAddr) -> anyhow::Result<()> {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        reachable.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let mut connection =
        TcpStream::connect_timeout(&reachable, HEALTH_MAX).with_context(|| format!("nobody listens on {reachable}"))?;
    connection.set_read_timeout(Some(HEALTH_MAX))?;
    connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    connection.read_exact(&mut status).context("the gateway does not answer")?;
    ensure!(status.ends_with(b" 200"), "the gateway is not well: {}", String::from_utf8_lossy(&status));
    Ok(())
}
