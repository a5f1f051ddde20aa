//! Tidegate.
pub mod broker;
pub mod log;
pub mod model;
pub mod segments;
pub mod store;
pub mod tasks;
pub mod http;
