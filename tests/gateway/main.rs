//! The gateway as a stranger sees it: the real binary in a process of its own, spoken to over plain HTTP.
//!
//! Nothing here knows the inside. Each test has its own gateway and data directory, and on PostgreSQL a database of its
//! own, waits for conditions instead of sleeping, and is named by the sentence that it proves. One file a subject; the
//! tools are in `harness`.

mod harness;
#[path = "../keys/mod.rs"]
mod signers;

mod api_keys;
mod bad_inputs;
mod body_memory;
mod browsers;
mod caching;
mod callers;
mod cli;
mod cli_backup;
mod cli_bench;
mod cli_consume;
mod cli_doctor;
mod cli_produce;
mod cli_topics;
mod compose;
mod compressed;
mod concurrency;
mod consume;
mod crash;
mod cursors;
mod groups_fencing;
mod groups_long_work;
mod groups_offsets;
mod groups_poll;
mod groups_rebalance;
mod groups_refusals;
mod groups_reset;
mod groups_shell;
mod groups_stream;
mod groups_stream_asking;
mod health;
mod idempotency;
mod jwt;
mod jwt_issuers;
mod jwt_refusals;
mod keys_cli;
mod limits;
mod lock;
mod logs;
mod long_poll;
mod metrics;
mod ndjson;
mod nginx_front;
mod openapi;
mod outage;
mod partitioning;
mod paused_database;
mod positions;
mod problems;
mod produce_batches;
mod produce_stream;
mod produce_values;
mod real_input;
mod retention;
mod rights;
mod rights_cursors;
mod rights_end;
mod segment_cache;
mod shutdown;
mod single_records;
mod slow_readers;
mod slow_senders;
mod sse;
mod sse_resume;
mod systemd;
mod tickets;
mod tls;
mod topics;
mod traces;
mod two_nodes;
mod two_nodes_groups;
mod two_nodes_writing;
mod values;
mod watching;
