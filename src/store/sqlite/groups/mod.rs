//! Consumer groups: rows are read in a few statements, however many a call is about, altered in memory by the rules that
//! hold for every database, and written back in one transaction. Nobody else writes while the writer is held, so what
//! was read before the transaction still stands in it.
//!
//! Sets of rows come and go as JSON: one text each, however many there are, so that it stays prepared.

pub(super) mod change;
pub(super) mod forced;
mod load;
pub(super) mod read;
mod rows;
mod save;
pub(super) mod step;
pub(super) mod upkeep;

#[cfg(test)]
mod tests;
