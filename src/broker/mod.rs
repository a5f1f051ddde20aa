//! What the gateway does, free of HTTP.

pub mod partitioner;
