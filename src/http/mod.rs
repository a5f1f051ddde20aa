//! HTTP: the only place that knows of status codes, headers and bodies.

pub mod native;
