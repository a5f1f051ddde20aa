//! Tidegate.
pub mod model;
