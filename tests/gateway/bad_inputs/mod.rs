//! The checklist of bad inputs in the threat model, line by line: one table a subject, each row with the numbers of the
//! lines that it proves. All inputs of a row get the same answer; none of them writes anything that is not acknowledged,
//! ends in a failure of ours, or harms the next request.
//!
//! What needs a set-up of its own is a test somewhere else, and listed here; no line is without either.

mod bodies;
mod framing;
mod groups;
mod input;
mod names;
mod positions;
mod stage;
mod table;
mod told;
