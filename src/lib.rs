//! Tidegate.
pub mod app;
pub mod broker;
pub mod config;
pub mod http;
pub mod log;
pub mod model;
pub mod segments;
