//! Consumer groups: the rows that a call is about are locked and read in a few statements, altered in memory by the rules
//! that hold for every database, and written back in the same transaction.
//!
//! Every transaction that changes something of a group locks the group's own row first, those of several groups by name;
//! so no two of them see a member or a partition at once. It says when it began, too, for who looks for lapses
//! (`transaction.rs`). A node that is paused in one holds it for five seconds at most.

pub(super) mod change;
pub(super) mod forced;
pub(super) mod load;
pub(super) mod read;
mod rows;
pub(super) mod save;
pub(super) mod step;
mod transaction;
pub(super) mod upkeep;
