//! Tidegate's own API (api.md), version 1.

pub mod bounds;
pub mod decode;
pub mod envelope;
pub mod error;
pub mod headers;
pub mod json_text;
pub mod lines;
pub mod raw;
pub mod refusal;
pub mod render;
pub mod state;
pub mod topics;
