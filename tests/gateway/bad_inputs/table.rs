//! The tables: which lines of the checklist a row stands for, what is sent, and what has to be answered.

use std::sync::Mutex;
use std::sync::PoisonError;

use crate::bad_inputs::input::Input;
use crate::bad_inputs::stage::Stage;
use crate::bad_inputs::told::Answer;
use crate::harness::Backend;

/// A row of a table of requests.
pub(crate) struct Row {
    /// Line numbers of the checklist of bad inputs in the threat model.
    pub(crate) lines: &'static [u8],
    /// What is bad.
    what: &'static str,
    /// All the ways in which it is.
    inputs: fn(&Stage) -> Vec<Input>,
    answer: Answer,
}

/// A row: line numbers, what is bad, all the ways in which it is, and how each of them is answered.
pub(crate) const fn row(
    lines: &'static [u8],
    what: &'static str,
    inputs: fn(&Stage) -> Vec<Input>,
    answer: Answer,
) -> Row {
    Row { lines, what, inputs, answer }
}

/// Tries every input of a table, and tells all that are not answered as they should be.
///
/// Whatever is refused must have changed nothing; nothing may be a failure of ours; and at the end the gateway must
/// live and have had no panic.
pub(crate) async fn run(table: &str, backend: Backend, rows: &[Row], stage: &Stage) {
    let mut faults = Vec::new();
    let mut count = 0;
    let mut before = stage.state().await;
    for row in rows {
        let inputs = (row.inputs)(stage);
        assert!(!inputs.is_empty(), "{}: {} has no input", table, row.what);
        for input in inputs {
            count += 1;
            let to = stage.gateway.address();
            let told = if matches!(row.answer, Answer::Opens(_)) { input.open(to).await } else { input.send(to).await };
            if let Some(fault) = row.answer.fault(&input, &told) {
                faults.push(format!("line {:?}, {}: {input}\n    is answered: {fault}", row.lines, row.what));
            }
        }
        let after = stage.state().await;
        if row.answer.is_refusal() && after != before {
            faults.push(format!("line {:?}, {}: changed {before}\n    to {after}", row.lines, row.what));
        }
        before = after;
    }
    let stderr = stage.gateway.stderr();
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(faults.is_empty(), "{} of {count} inputs:\n{}", faults.len(), faults.join("\n"));
    tally(table, backend, rows.len(), count);
}

/// Rows and inputs of all tables that have run so far.
static ALL: Mutex<(usize, usize)> = Mutex::new((0, 0));

/// Counts a table that has run well; the last one to do so tells the sum of all.
pub(crate) fn tally(table: &str, backend: Backend, rows: usize, inputs: usize) {
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    (all.0, all.1) = (all.0 + rows, all.1 + inputs);
    println!(
        "bad inputs, {table} on {backend:?}: {rows} rows, {inputs} inputs; all tables so far: {} rows, {} inputs, \
         no 5xx, no panic, nothing written by what was refused",
        all.0, all.1
    );
}
