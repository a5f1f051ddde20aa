//! What the gateway does, free of HTTP: the operations that every way of speaking shares.

mod catalog;
pub mod error;
mod figures;
pub mod groups;
mod handle;
mod nodes;
pub mod partitioner;
mod positions;
pub mod produce;
pub mod read;
pub mod reader;
pub mod topics;

pub use handle::Broker;
pub use handle::Options;
