//! How much each caller may do: requests, records and bytes a second, streams and connections at once. Free of HTTP and
//! of keys: a caller is whatever the one who asks says it is, and brings its own [`Allowance`].
//!
//! Everything is counted by one node for itself; several nodes allow several times as much.

mod account;
mod bucket;
mod table;

pub use crate::quota::account::Allowance;
pub use crate::quota::account::Cost;
pub use crate::quota::account::Held;
pub use crate::quota::account::Measure;
pub use crate::quota::account::Payer;
pub use crate::quota::account::Refused;
pub use crate::quota::table::Quotas;
pub use crate::quota::table::Who;
