//! Consumer groups: who is to hold what (pure), and the calls of members on their way to the store.

pub mod assignor;
mod coverage;
pub mod plan;
mod sticky;
