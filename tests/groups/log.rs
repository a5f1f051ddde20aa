//! The log of a member's process, line by line: written so that a process that is killed loses nothing of it.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::line::Line;

/// Appends a line with one write: it is whole, or it is not there.
pub(crate) fn append(file: &mut File, line: &Line) {
    let mut text = serde_json::to_vec(line).expect("a line is JSON");
    text.push(b'\n');
    file.write_all(&text).expect("the log can be written");
}

/// Reads the lines of a member that has ended. None if it was ended before its first.
pub(crate) fn read(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
