//! Topics and their partitions as resources.

pub mod bodies;
pub mod calls;
