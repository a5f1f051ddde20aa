//! Names that callers choose: parsed once, valid for ever after.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name in bytes. The same bound as Kafka's `Topic.MAX_NAME_LENGTH`.
pub const NAME_BYTES_MAX: usize = 249;

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or more than [`NAME_BYTES_MAX`] bytes.
    #[error("a name has 1 to {NAME_BYTES_MAX} characters")]
    Length,
    /// A character outside the alphabet.
    #[error("a name is made of A-Z a-z 0-9 . _ - only")]
    Character,
    /// `.` and `..` mean something else in a path.
    #[error("`.` and `..` cannot be names")]
    Dots,
    /// The prefix the gateway keeps for itself.
    #[error("names that begin with `__` are reserved")]
    Reserved,
}

/// Whether a name could begin so: nothing does, or characters of the alphabet, no more than a name has. A text that no
/// name begins with must not reach a database, which may refuse it (PostgreSQL takes no zero character).
pub fn is_begin_of_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && text.bytes().all(is_in_alphabet)
}

fn is_in_alphabet(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Err(NameError::Length);
    }
    if !text.bytes().all(is_in_alphabet) {
        return Err(NameError::Character);
    }
    if matches!(text, "." | "..") {
        return Err(NameError::Dots);
    }
    if text.starts_with("__") {
        return Err(NameError::Reserved);
    }
    Ok(())
}

macro_rules! names {
    ($($(#[$about:meta])* $name:ident;)*) => {
        $(
            $(#[$about])*
            #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name(Arc<str>);

            impl $name {
                /// The name as text.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl FromStr for $name {
                type Err = NameError;

                fn from_str(text: &str) -> Result<Self, NameError> {
                    check(text).map(|()| Self(Arc::from(text)))
                }
            }

            impl AsRef<str> for $name {
                fn as_ref(&self) -> &str {
                    &self.0
                }
            }

            impl Borrow<str> for $name {
                fn borrow(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "`{}`", self.0)
                }
            }
        )*
    };
}

names! {
    /// The name of a topic. Cheap to clone.
    TopicName;
    /// The name of a consumer group. Cheap to clone.
    GroupName;
    /// The name that a consumer bears in its group. Cheap to clone.
    MemberName;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begin_may_be_of_no_name_at_all() {
        for begin in ["", ".", "..", "__", "a.b_c-9", &"x".repeat(249)] {
            assert!(is_begin_of_name(begin), "{begin}");
        }
        for other in ["\0", "%", "a b", "ä", "*", &"x".repeat(250)] {
            assert!(!is_begin_of_name(other), "{other}");
        }
    }

    #[test]
    fn names_are_what_the_contract_says() {
        for good in ["a", "clicks", "A.b_c-9", "_x", "...", &"x".repeat(249)] {
            assert!(good.parse::<TopicName>().is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", NameError::Length),
            (&"x".repeat(250), NameError::Length),
            ("a/b", NameError::Character),
            ("ä", NameError::Character),
            ("a b", NameError::Character),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("__x", NameError::Reserved),
        ] {
            assert_eq!(bad.parse::<TopicName>(), Err(why), "{bad}");
        }
    }
}
