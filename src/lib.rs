//! Tidegate.
pub mod model;
pub mod segments;
