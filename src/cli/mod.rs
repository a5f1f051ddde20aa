//! What the binary does beside serving: small commands of its own, and thin clients of the HTTP API for people at a
//! terminal ([`topics`], [`produce`], [`consume`], [`groups`], [`keys`]).

pub mod away;
pub mod backup;
pub mod bench;
pub mod client;
pub mod consume;
pub mod disk;
pub mod doctor;
pub mod exit;
pub mod groups;
pub mod health;
pub mod keys;
pub mod member;
pub mod output;
pub mod page;
pub mod patience;
pub mod problem;
pub mod produce;
pub mod progress;
pub mod reader;
pub mod topics;
pub mod url;

use crate::http;

/// The OpenAPI document of this version, as it is checked in.
///
/// # Errors
/// None that a test would not have met.
pub fn openapi() -> anyhow::Result<String> {
    Ok(http::document().to_pretty_json()? + "\n")
}
