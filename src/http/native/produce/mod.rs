//! Producing: one value, a batch, a stream of lines.

pub mod answer;
pub mod bodies;
pub mod calls;
pub mod chunk;
pub mod request;
pub mod stream;
