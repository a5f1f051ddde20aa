//! Consumer groups as the gateway offers them: membership, polling, commits, lag, resets.

pub mod admin;
mod cursor;
pub mod describe;
pub mod keeper;
pub(super) mod lag;
pub mod membership;
pub mod offsets;
pub mod poll;
pub mod presence;
pub mod session;
pub(super) mod slots;
mod steps;
