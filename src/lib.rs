//! Tidegate.
pub mod model;
pub mod store;
