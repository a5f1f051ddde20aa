//! Content codings (RFC 9110 section 8.4): what bodies of requests are unpacked from, and answers packed into.

pub mod decoded;
pub mod encoded;

mod decoder;
mod encoder;
mod negotiation;
