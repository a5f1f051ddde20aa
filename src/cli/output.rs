//! Standard output and standard error: tables, lines that are counted as they are taken, and remarks.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::future::pending;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::os::fd::AsFd;
use std::str;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::poll;
use rustix::io::Errno;
use rustix::io::ioctl_fionread;

use crate::tasks;

/// Bytes written at once: a pipe takes so many whole or not at all (POSIX's `PIPE_BUF` on Linux), so that what was taken is
/// known even while the next write waits for a reader.
const WRITE_BYTES: usize = 4096;

/// A text in which nothing steers a terminal: what a gateway says or was sent may hold anything. Ends of lines and tabs stay,
/// other control characters are written as JSON has them.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if steers(c) {
            write!(out, "\\u{:04x}", u32::from(c)).expect("a string takes what is written");
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A remark on standard error, which nobody has to read.
pub fn say(remark: &str) {
    writeln!(io::stderr(), "tidegate: {}", harmless(remark)).ok();
}

/// Prints a text whole; what would steer a terminal is escaped.
///
/// # Errors
/// If it cannot be written. That the reader is gone is none: it has read enough.
pub fn print(text: &str) -> io::Result<()> {
    print_raw(&harmless(text))
}

fn print_raw(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Prints an answer's JSON as it came, on a line; for a terminal without what would steer it.
///
/// # Errors
/// If it is no text, or cannot be written.
pub fn print_as_it_is(body: &[u8]) -> anyhow::Result<()> {
    let text = format!("{}\n", str::from_utf8(body)?.trim_end());
    Ok(if io::stdout().is_terminal() { print(&text) } else { print_raw(&text) }?)
}

/// Columns below their titles, two blanks apart. Columns of which every cell is a number are flush right.
pub fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    // As they are shown, and each on its line.
    let shown = |cell: &String| harmless(cell).replace('\n', "\\n").replace('\t', "\\t");
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(shown)).collect();
    let widths: [usize; N] = std::array::from_fn(|i| {
        rows.iter().map(|row| row[i].chars().count()).fold(titles[i].chars().count(), usize::max)
    });
    let numeric: [bool; N] = std::array::from_fn(|i| {
        !rows.is_empty() && rows.iter().all(|row| row[i].starts_with(|c: char| c.is_ascii_digit() || c == '-'))
    });
    let mut out = String::new();
    let mut line = |cells: [&str; N]| {
        let padded: [String; N] = std::array::from_fn(|i| {
            if numeric[i] { format!("{:>1$}", cells[i], widths[i]) } else { format!("{:<1$}", cells[i], widths[i]) }
        });
        out.push_str(padded.join("  ").trim_end());
        out.push('\n');
    };
    line(titles);
    for row in &rows {
        line(std::array::from_fn(|i| row[i].as_str()));
    }
    out
}

/// Lines to be written at once, whose ends are known.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Lines {
    /// Adds a line, given without its end.
    pub fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.ends.push(self.bytes.len());
    }

    /// The same for a terminal: nothing steers it.
    pub fn harmless(self) -> Self {
        let mut lines = Self::default();
        let mut begin = 0;
        for end in self.ends {
            lines.push(harmless(&String::from_utf8_lossy(&self.bytes[begin..end - 1])).as_bytes());
            begin = end;
        }
        lines
    }
}

/// Standard output without a buffer of ours: what was written is known to the byte.
pub struct Output {
    file: Arc<File>,
    /// Bytes of the last lines that were written.
    written: Arc<AtomicUsize>,
    /// Where those lines end.
    ends: Vec<usize>,
}

impl Output {
    /// Takes standard output.
    ///
    /// # Errors
    /// If it is closed.
    pub fn open() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { file: Arc::new(file), written: Arc::default(), ends: Vec::new() })
    }

    /// Writes lines, on another thread: a reader that pauses must not keep signals from being heard.
    ///
    /// # Errors
    /// If not all of them could be written; a reader that is gone is [`io::ErrorKind::BrokenPipe`].
    pub async fn write(&mut self, lines: Lines) -> io::Result<()> {
        let Lines { bytes, ends } = lines;
        self.ends = ends;
        self.written = Arc::default();
        let (file, written) = (Arc::clone(&self.file), Arc::clone(&self.written));
        tasks::blocking(move || {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                match (&*file).write(&rest[..rest.len().min(WRITE_BYTES)]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(length) => {
                        written.fetch_add(length, Ordering::Release);
                        rest = &rest[length..];
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .await
    }

    /// How many of the last lines were written whole. If the reader is gone, what it left in the pipe does not count.
    pub fn taken(&self, reader_is_gone: bool) -> usize {
        let written = self.written.load(Ordering::Acquire);
        // Not a pipe: then nothing can be left in it.
        let left = if reader_is_gone { ioctl_fionread(&*self.file).unwrap_or(0) } else { 0 };
        let taken = written.saturating_sub(usize::try_from(left).unwrap_or(usize::MAX));
        self.ends.partition_point(|end| *end <= taken)
    }
}

/// Ends once nobody reads standard output any more; never if it is not a pipe or a socket.
pub async fn reader_gone() {
    let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() else { return pending().await };
    // A thread of its own that waits for nothing but errors; it ends with the process.
    let is_gone = tasks::blocking(move || {
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        loop {
            match poll(&mut watched, None) {
                Ok(_) => return watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    });
    if !is_gone.await {
        pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(harmless("a\tb\nä"), "a\tb\nä");
        assert_eq!(harmless("\x1b]0;x\x07\r\u{9b}2J\x7f"), "\\u001b]0;x\\u0007\\u000d\\u009b2J\\u007f");
        let rows = [["a\nb".to_owned(), "\x1b".to_owned()]];
        assert_eq!(table(["NAME", "X"], &rows), "NAME  X\na\\nb  \\u001b\n");
        let mut lines = Lines::default();
        lines.push(b"a\x1b\nb\xff");
        lines.push(b"c");
        let lines = lines.harmless();
        assert_eq!(lines.bytes, "a\\u001b\nb\u{fffd}\nc\n".as_bytes());
        assert_eq!(lines.ends, [13, 15]);
    }

    #[test]
    fn a_table_has_its_numbers_flush_right() {
        let rows = [["a".to_owned(), "5".to_owned()], ["long".to_owned(), "12345".to_owned()]];
        assert_eq!(table(["NAME", "LAG"], &rows), "NAME    LAG\na         5\nlong  12345\n");
        assert_eq!(table(["NAME", "LAG"], &[]), "NAME  LAG\n");
    }
}
