//! Which trace something belongs to, as it travels between programs: W3C Trace Context, level 1 (w3.org/TR/trace-context).

use std::fmt;

/// The place of a span in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace; never 0.
    pub trace: u128,
    /// The span in it; never 0.
    pub span: u64,
}

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The span of the caller.
    pub context: SpanContext,
    /// The caller records it, and asks for as much here.
    pub sampled: bool,
}

impl Parent {
    /// Reads a `traceparent`; `None` if it is not one, and then the request begins a trace of its own.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?;
        let (version, rest) = (text.get(..2)?, text.get(2..)?);
        // A later version may have more behind a dash; what is here stays where it is.
        let complete = rest.len() == 53 || (version != "00" && rest.len() > 53 && rest.as_bytes()[53] == b'-');
        if !complete || version == "ff" || !is_hex(version) {
            return None;
        }
        let dashes = [0, 33, 50].iter().all(|at| rest.as_bytes()[*at] == b'-');
        let (trace, span, flags) = (rest.get(1..33)?, rest.get(34..50)?, rest.get(51..53)?);
        if !dashes || !is_hex(trace) || !is_hex(span) || !is_hex(flags) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(Self { context: SpanContext { trace, span }, sampled })
    }
}

/// Small letters only, as the standard has it.
fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl SpanContext {
    /// A trace that begins.
    pub fn begin() -> Self {
        Self { trace: fastrand::u128(1..), span: fastrand::u64(1..) }
    }

    /// A span below this one.
    pub fn child(self) -> Self {
        Self { trace: self.trace, span: fastrand::u64(1..) }
    }
}

impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}-{:016x}", self.trace, self.span)
    }
}
