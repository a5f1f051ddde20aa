//! Consuming: pages, dumps, and streams that share a live edge.

pub mod answer;
pub mod calls;
pub mod docs;
pub mod feed;
pub mod frames;
pub mod pulse;
pub mod query;
pub mod render;
pub mod stream;
