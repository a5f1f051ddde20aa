//! How far a long piece of work is: one line on standard error that is drawn over, if that is a terminal.

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::time::Duration;
use std::time::Instant;

/// Work that is shorter is not spoken of.
const QUIET: Duration = Duration::from_millis(700);

/// The line is drawn anew after this time.
const PAUSE: Duration = Duration::from_millis(100);

/// Cells of a bar.
const BAR_CELLS: usize = 24;

/// A line that is taken away at the end.
pub struct Progress {
    is_terminal: bool,
    next: Instant,
    drawn: bool,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), next: Instant::now() + QUIET, drawn: false }
    }

    /// Shows a short text, if it is time for one.
    pub fn show(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.is_terminal && now >= self.next {
            self.next = now + PAUSE;
            self.drawn = true;
            // Back to the first column, and to the end of the line all that was there is taken away (ECMA-48 EL).
            write!(io::stderr(), "\r\x1b[K{}", text()).ok();
        }
    }

    /// Takes the line away: something else is to be said.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            write!(io::stderr(), "\r\x1b[K").ok();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A bar for the part of the work that is done, from 0 to 1.
pub fn bar(part: f64) -> String {
    let done = ((part.clamp(0.0, 1.0) * BAR_CELLS as f64) as usize).min(BAR_CELLS);
    format!("[{}{}] {:3.0} %", "#".repeat(done), "·".repeat(BAR_CELLS - done), part.clamp(0.0, 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_the_part() {
        assert!(bar(0.0).starts_with("[····") && bar(0.0).ends_with("  0 %"));
        assert!(bar(1.2).contains(&"#".repeat(BAR_CELLS)) && bar(1.2).ends_with("100 %"));
        assert_eq!(bar(0.5).matches('#').count(), BAR_CELLS / 2);
    }
}
