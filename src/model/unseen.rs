//! Characters that are not seen where a text is shown: they end or turn lines, hide, or change how their neighbours look. Names
//! that people trust when they read a log must not have any, and where a text of others is logged they are written as
//! escapes.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character is a control (Unicode's category Cc), a format (Cf: directions, joiners, soft hyphens, tags), or a
/// separator of lines or paragraphs (Zl, Zp). Cf as of Unicode 16; blocks that are kept for such characters are taken whole.
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with such characters as `\u{…}`, and the backslash doubled, so that nothing else looks so.
pub fn escape(text: &str) -> Cow<'_, str> {
    let is_plain = |character| character != '\\' && !is_unseen(character);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str(r"\\"),
            seen if is_plain(seen) => escaped.push(seen),
            unseen => write!(escaped, "{}", unseen.escape_unicode()).expect("a text takes all"),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_escaped_and_nothing_else() {
        for seen in ["", "root", "CI of the shop", "älter", "\u{1f511} 鍵", "a\u{300}", "a\u{a0}b"] {
            assert!(matches!(escape(seen), Cow::Borrowed(same) if same == seen), "{seen}");
        }
        for (text, escaped) in [
            ("a\nb", r"a\u{a}b"),
            ("a\u{202e}b", r"a\u{202e}b"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("\u{200b}\u{feff}\u{2066}\u{e0041}\u{9b}", r"\u{200b}\u{feff}\u{2066}\u{e0041}\u{9b}"),
            (r"\u{a}", r"\\u{a}"),
        ] {
            assert_eq!(escape(text), escaped, "{text:?}");
        }
    }
}
