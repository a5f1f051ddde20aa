//! What every way of speaking shares: refusals, strict requests, media types. Names the tools; no logic.

pub mod audit;
pub mod body;
pub mod caller;
pub mod context;
pub mod fanout;
pub mod media;
pub mod page;
pub mod path;
pub mod problem;
pub mod problem_codes;
pub mod query;
