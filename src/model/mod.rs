//! The vocabulary of the gateway: what a name, a position, a record, a batch, a topic, a cursor, a key and a right are.
//! No I/O and no async: everything here is a value that is checked once, when it is made.

pub mod batch;
pub mod codec;
pub mod cursor;
pub mod finding;
pub mod group;
pub mod key;
pub mod limits;
pub mod member_cursor;
pub mod name;
pub mod permission;
pub mod position;
pub mod record;
pub mod secret;
pub mod time;
mod token;
pub mod topic;
pub mod unseen;
