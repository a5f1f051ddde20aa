//! Records as callers send them: raw values, JSON envelopes, lines. What is checked once is copied from then on.

pub mod bounds;
pub mod decode;
pub mod envelope;
pub mod headers;
pub mod json_text;
pub mod lines;
pub mod raw;
pub mod refusal;
