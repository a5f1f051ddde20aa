//! JSON as text: checked and kept as it was sent. A value is never parsed into numbers and printed again, so 2^63,
//! 1e400, `-0`, key order, duplicate keys and every escape survive; only white space between tokens goes.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::de::Deserialize;
use serde::de::Deserializer;
use serde::de::Visitor;
use serde_json::value::RawValue;

/// Arrays and objects nest deeper than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("arrays and objects may nest {0} deep at most")]
pub struct TooDeep(pub usize);

/// Why bytes are not a JSON text that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// Not JSON.
    Malformed(Malformed),
    /// JSON that nests too deep.
    TooDeep(TooDeep),
}

/// Where and why bytes stop being JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Line of the error, from 1.
    pub line: usize,
    /// Byte within the line, from 1; 0 if the text ends before the line begins.
    pub column: usize,
    /// What was met or missing.
    pub reason: String,
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column(), reason: reason(&error) }
    }
}

/// What serde_json says without the place, which it puts at the end.
pub fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) if error.line() > 0 => text[..end].to_owned(),
        _ => text,
    }
}

/// The text of a body that must be JSON: not empty, and UTF-8 without a byte order mark (RFC 8259 §8.1).
pub fn utf8(body: &[u8]) -> Result<&str, Malformed> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let good = &body[..error.valid_up_to()];
        let line_start = memchr::memrchr(b'\n', good).map_or(0, |at| at + 1);
        Malformed {
            line: memchr::memchr_iter(b'\n', good).count() + 1,
            column: good.len() - line_start + 1,
            reason: "the bytes are not UTF-8".to_owned(),
        }
    })?;
    if text.starts_with('\u{feff}') {
        let reason = "it begins with a byte order mark (BOM), which JSON must not have".to_owned();
        return Err(Malformed { line: 1, column: 1, reason });
    }
    if text.bytes().all(|byte| CLASSES[usize::from(byte)] == Class::Blank) {
        return Err(Malformed { line: 1, column: 1, reason: "it is empty".to_owned() });
    }
    Ok(text)
}

/// Checks that `body` is one JSON text, and takes the white space out.
pub fn parse_value(body: &[u8], depth_max: usize) -> Result<Cow<'_, [u8]>, NotTaken> {
    let text = utf8(body).map_err(NotTaken::Malformed)?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| NotTaken::Malformed(error.into()))?;
    compact(raw.get().as_bytes(), depth_max).map_err(NotTaken::TooDeep)
}

/// Takes the white space between the tokens out of `text`, which must be JSON; borrowed if there was none.
///
/// Also counts how deep it nests. serde_json skips a raw value without recursion and without its own bound of 128, so
/// nothing else would keep 100,000 brackets from the parsers of those who read.
pub fn compact(text: &[u8], depth_max: usize) -> Result<Cow<'_, [u8]>, TooDeep> {
    let mut scan = Scan { text, at: 0, depth: 0, depth_max };
    if !scan.find_blank()? {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut kept = 0;
    loop {
        out.extend_from_slice(&text[kept..scan.at]);
        while text.get(scan.at).is_some_and(|byte| CLASSES[usize::from(*byte)] == Class::Blank) {
            scan.at += 1;
        }
        kept = scan.at;
        if !scan.find_blank()? {
            out.extend_from_slice(&text[kept..]);
            return Ok(Cow::Owned(out));
        }
    }
}

/// What a byte outside strings means here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Blank,
    Quote,
    Open,
    Close,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    classes[b' ' as usize] = Class::Blank;
    classes[b'\t' as usize] = Class::Blank;
    classes[b'\n' as usize] = Class::Blank;
    classes[b'\r' as usize] = Class::Blank;
    classes[b'"' as usize] = Class::Quote;
    classes[b'{' as usize] = Class::Open;
    classes[b'[' as usize] = Class::Open;
    classes[b'}' as usize] = Class::Close;
    classes[b']' as usize] = Class::Close;
    classes
};

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
    depth_max: usize,
}

impl Scan<'_> {
    /// Goes on to the next white space outside strings; false at the end of the text.
    fn find_blank(&mut self) -> Result<bool, TooDeep> {
        while let Some(byte) = self.text.get(self.at) {
            match CLASSES[usize::from(*byte)] {
                Class::Plain => self.at += 1,
                Class::Quote => self.at = after_string(self.text, self.at + 1),
                Class::Blank => return Ok(true),
                Class::Open => {
                    self.depth += 1;
                    if self.depth > self.depth_max {
                        return Err(TooDeep(self.depth_max));
                    }
                    self.at += 1;
                }
                Class::Close => {
                    self.depth = self.depth.saturating_sub(1);
                    self.at += 1;
                }
            }
        }
        Ok(false)
    }
}

/// The place behind the string whose first byte is at `at`.
fn after_string(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1; // the escaped byte, which may be a quote
    }
    text.len()
}

/// A string, borrowed from the text unless it has escapes.
#[derive(Debug)]
pub struct Text<'de>(pub Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;
        impl<'de> Visitor<'de> for AsText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(AsText)
    }
}

/// Appends `text` as a JSON string, quotes included. What need not be escaped is not.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let clean = clean_prefix(rest);
        out.extend_from_slice(&rest[..clean]);
        let Some(byte) = rest.get(clean) else { break };
        write_escape(out, *byte);
        rest = &rest[clean + 1..];
    }
    out.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// How many bytes stand before the first that needs an escape. Whole blocks are tested without a branch inside, which
/// the compiler turns into vector instructions.
fn clean_prefix(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<16>();
    let clean = blocks.iter().take_while(|block| !block.iter().fold(false, |any, byte| any | needs_escape(*byte)));
    let start = clean.count() * 16;
    start + bytes[start..].iter().take_while(|byte| !needs_escape(**byte)).count()
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn parsed(text: &[u8]) -> Result<String, NotTaken> {
        parse_value(text, 64).map(|value| String::from_utf8(value.into_owned()).expect("UTF-8"))
    }

    /// A JSON text as a list of tokens, between which white space may stand.
    fn tokens() -> impl Strategy<Value = Vec<String>> {
        let string = ".{0,12}".prop_map(|text| {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            String::from_utf8(out).expect("UTF-8")
        });
        let scalar = prop_oneof![
            string.clone(),
            Just("\"\\\\\"".to_owned()),
            Just("\" \\\" [ \\u0000 \"".to_owned()),
            "-?(0|[1-9][0-9]{0,15})(\\.[0-9]{1,6})?",
            Just("null".to_owned()),
            Just("true".to_owned()),
        ];
        let leaf = scalar.prop_map(|token| vec![token]);
        leaf.prop_recursive(5, 40, 5, move |inner| {
            let joined = |items: Vec<Vec<String>>, open: &str, close: &str| {
                let mut all = vec![open.to_owned()];
                for (i, item) in items.into_iter().enumerate() {
                    all.extend((i > 0).then(|| ",".to_owned()));
                    all.extend(item);
                }
                all.push(close.to_owned());
                all
            };
            let member = (string.clone(), inner.clone()).prop_map(|(name, value)| {
                let mut member = vec![name, ":".to_owned()];
                member.extend(value);
                member
            });
            prop_oneof![
                vec(inner, 0..5).prop_map(move |items| joined(items, "[", "]")),
                vec(member, 0..5).prop_map(move |items| joined(items, "{", "}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn only_white_space_between_tokens_goes(tokens in tokens(), blanks in vec("[ \t\r\n]{0,3}", 1..20)) {
            let mut spaced = String::new();
            for (token, blank) in tokens.iter().zip(blanks.iter().cycle()) {
                spaced.push_str(blank);
                spaced.push_str(token);
            }
            spaced.push_str(&blanks[0]);
            let short = parsed(spaced.as_bytes()).expect("JSON");
            prop_assert_eq!(&short, &tokens.concat());
            prop_assert_eq!(parsed(short.as_bytes()), Ok(short.clone()));
            prop_assert!(matches!(parse_value(short.as_bytes(), 64), Ok(Cow::Borrowed(_))));
            let (a, b): (Value, Value) = (serde_json::from_str(&spaced)?, serde_json::from_str(&short)?);
            prop_assert_eq!(a, b);
        }

        #[test]
        fn any_text_becomes_the_string_it_is(text in any::<String>(), controls in "[\\x00-\\x22\\\\ -~]{0,80}") {
            for text in [&text, &controls] {
                let mut out = Vec::new();
                write_string(&mut out, text);
                prop_assert_eq!(&serde_json::from_slice::<String>(&out)?, text);
                prop_assert_eq!(&out, &serde_json::to_vec(text)?);
            }
        }

        #[test]
        fn never_panics_on_what_is_not_json(bytes in vec(any::<u8>(), 0..60), text in "[\\[\\]{}\", \\\\0]{0,40}") {
            let _ = compact(&bytes, 8);
            let _ = compact(text.as_bytes(), 8);
            let _ = parse_value(&bytes, 8);
        }
    }

    #[test]
    fn values_that_break_others_stay_as_they_are() {
        for text in [
            "9223372036854775808",
            "18446744073709551616",
            "1e400",
            "-1E-400",
            "0.1000000000000000055",
            "-0",
            "-0.0",
            "1234567890123456789012345678901234567890",
            r#""\u0000""#,
            r#""\ud800""#,
            r#""\uDC00\ud800""#,
            r#"{"a":1,"a":2,"":{"a":3}}"#,
            r#"{"b":1,"a":2}"#,
            r#""\u0041\/\b""#,
            r#""line\r\nbreak""#,
            "\"\u{feff}\u{2028}\u{7f}\"",
            r#""  two  blanks  ""#,
            r#""\\""#,
            r#"{"\" ":[]}"#,
        ] {
            assert_eq!(parsed(text.as_bytes()).as_deref(), Ok(text));
            assert_eq!(parsed(format!(" \r\n\t{text}\n ").as_bytes()).as_deref(), Ok(text));
            assert_eq!(parsed(format!("[ {text} , {text} ]").as_bytes()), Ok(format!("[{text},{text}]")));
        }
        let long = format!("\"{}\"", "é\\n\\\"x ".repeat(100_000));
        assert_eq!(parsed(long.as_bytes()), Ok(long));
    }

    #[test]
    fn depth_is_bounded_without_recursion() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(parsed(nested(64).as_bytes()), Ok(nested(64)));
        assert_eq!(parsed(nested(65).as_bytes()), Err(NotTaken::TooDeep(TooDeep(64))));
        assert_eq!(parsed(nested(100_000).as_bytes()), Err(NotTaken::TooDeep(TooDeep(64))));
        let objects = r#"{"a": "#.repeat(65) + "1" + &"}".repeat(65);
        assert_eq!(parsed(objects.as_bytes()), Err(NotTaken::TooDeep(TooDeep(64))));
        let wide = format!("[{}[]]", "[],{},".repeat(1000));
        assert_eq!(parsed(wide.as_bytes()), Ok(wide));
        assert_eq!(parsed(br#""[[[[[[""#).as_deref(), Ok(r#""[[[[[[""#));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        let at = |text: &[u8]| match parsed(text) {
            Err(NotTaken::Malformed(malformed)) => (malformed.line, malformed.column, malformed.reason),
            other => panic!("{other:?}"),
        };
        assert_eq!(at(b"{\n \"a\": tru }"), (2, 10, "expected ident".to_owned()));
        assert_eq!(at(b"1 2"), (1, 3, "trailing characters".to_owned()));
        assert_eq!(at(b"\xef\xbb\xbf{}").0, 1);
        assert!(at(b"\xef\xbb\xbf{}").2.contains("byte order mark"));
        assert_eq!(at(b"[\n\"a\xff\"]"), (2, 3, "the bytes are not UTF-8".to_owned()));
        assert_eq!(at(b" \n"), (1, 1, "it is empty".to_owned()));
        assert_eq!(at(b"[").2, "EOF while parsing a list");
        for bad in
            ["", " ", "nul", "01", "+1", "1.", ".5", "NaN", "'a'", "[1,]", "{\"a\":1,}", "\"\t\"", "\"\\x\"", "{a:1}"]
        {
            assert!(parsed(bad.as_bytes()).is_err(), "{bad}");
        }
        let unclosed = "[".repeat(100_000);
        assert!(matches!(parsed(unclosed.as_bytes()), Err(NotTaken::Malformed(_))));
    }
}
