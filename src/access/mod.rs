//! Who is calling, and what they may do: keys, tokens of an issuer, tickets, and until when an answer that does not end may
//! go on.
//!
//! Every node has all keys in memory. A change made here counts at once, one made on another node within a second: the
//! database is asked for the version of its keys twice a second. While it is away, what was known last holds.

pub mod caller;
pub mod error;
mod failures;
mod handle;
pub mod hold;
pub mod jwt;
pub mod keys;
pub mod scope;
mod snapshot;
#[cfg(test)]
pub(crate) mod tests;
pub mod ticket;

pub use handle::Access;
pub use handle::Credential;
pub use handle::Denied;
pub use handle::FAILURES_PER_MINUTE;
pub use handle::Options;
pub use handle::start;
