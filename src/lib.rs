//! Tidegate: partitioned, durable, replayable event logs over plain HTTP.
//!
//! # The floors
//! A module uses only modules on strictly lower floors (`tests/floors.rs` checks it):
//!
//! ```text
//!  main                                     the binary
//!  app                                      builds the floors, runs the node, takes it down
//!  config                                   flags and environment → each floor's options
//!  cli                                      small commands, and thin clients of the API for a terminal
//!  http                                     the front that every request passes, the accept loop
//!  http::native  http::ops                  ways to speak, blind to each other
//!  http::kit                                what every way of speaking shares
//!  broker                                   what the gateway does, free of HTTP
//!  log  groups  access                      partition logs: append, read, wait, keep short · consumer groups · who may what
//!  store  segments                          SQL tables · segment files
//!  telemetry                                logs, metrics and traces: how the node is seen to run
//!  model  signal  tasks                     vocabulary · waking who waits · task lifecycle
//! ```
//!
//! # A record's way down
//! `http::native::produce` reads the request → `broker::produce` chooses partitions and encodes → `log::appender` takes
//! all that waits into one flush → `store::sqlite::log` commits it with fsync → `log::partition` makes it readable, and
//! only then the producer is answered.
//!
//! # A record's way up
//! `log::partition` raises who waits → `broker::reader` reads it from the tail (older ones from `segments`, else the
//! table) → `http::native::consume::feed` renders it once for all who stream the same selection → `http::kit::fanout` hands each
//! subscriber a reference to the same bytes.
//!
//! # What is promised
//! Acknowledged means durable. Offsets are dense, given once, in the order of acknowledgement. A reader that resumes
//! misses nothing and repeats nothing, or is told what is gone. Every queue has a bound.

pub mod access;
pub mod app;
pub mod broker;
pub mod cli;
pub mod config;
pub mod groups;
pub mod http;
pub mod log;
pub mod model;
pub mod segments;
pub mod signal;
pub mod store;
pub mod tasks;
pub mod telemetry;
