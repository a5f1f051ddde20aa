//! What every way of speaking shares: refusals, strict requests, media types. Names the tools; no logic.

pub mod audit;
pub mod body;
pub mod caller;
pub mod coding;
pub mod context;
pub mod event_id;
pub mod fanout;
pub mod media;
pub mod memory;
pub mod page;
pub mod path;
pub mod payers;
pub mod problem;
pub mod problem_codes;
pub mod query;
