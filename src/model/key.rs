//! An API key as it is kept: what it is called, what it may do, and until when.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::model::permission::Rights;
use crate::model::secret::KeyId;
use crate::model::secret::SecretDigest;
use crate::model::time::Millis;
use crate::model::unseen::is_unseen;

/// Keys of one database at most: every node has them all in memory.
pub const KEYS_MAX: usize = 10_000;

/// Longest [`KeyName`], in bytes.
pub const KEY_NAME_BYTES_MAX: usize = 128;

/// What people call a key. Several keys may have one name, so that one can take over from the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(Arc<str>);

/// A text that cannot be the name of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name of a key is 1 to {KEY_NAME_BYTES_MAX} bytes without blanks at its ends, and without characters that are not \
     seen: controls, line and paragraph separators, marks of direction and other formats"
)]
pub struct BadKeyName;

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, shared.
    pub fn to_arc(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = BadKeyName;

    fn from_str(text: &str) -> Result<Self, BadKeyName> {
        let fits = (1..=KEY_NAME_BYTES_MAX).contains(&text.len());
        if fits && text.trim() == text && !text.contains(is_unseen) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(BadKeyName)
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much the bearer of a key may do in a time; what is absent is bounded by the gateway's own settings alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimits {
    /// Requests per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u64>,
    /// Records written per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<u64>,
    /// Bytes of request bodies per second, as they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Endless answers that are open at once, at each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<u64>,
}

/// A key, without its secret.
#[derive(Debug, Clone)]
pub struct Key {
    /// What is public of it.
    pub id: KeyId,
    /// What people call it.
    pub name: KeyName,
    /// What is known of its secret.
    pub digest: SecretDigest,
    /// What its bearer may do.
    pub rights: Rights,
    /// How much of it.
    pub limits: KeyLimits,
    /// When it was made.
    pub created_at: Millis,
    /// From when on it counts no more.
    pub expires_at: Option<Millis>,
}

impl Key {
    /// Whether it counts no more at `now`.
    pub fn has_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_fits_on_a_line() {
        for good in ["root", "CI of the shop", "älter", &"x".repeat(128)] {
            assert_eq!(good.parse::<KeyName>().expect("good").as_str(), good);
        }
        for bad in ["", " ", " a", "a ", "a\nb", "a\u{0}", "a\u{202e}b", "a\u{2028}b", "\u{200b}a", &"x".repeat(129)] {
            assert!(bad.parse::<KeyName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits_are_kept_as_they_are() {
        let limits = KeyLimits { requests_per_second: Some(5), streams: Some(2), ..KeyLimits::default() };
        let json = serde_json::to_string(&limits).expect("numbers");
        assert_eq!(json, r#"{"requests_per_second":5,"streams":2}"#);
        assert_eq!(serde_json::from_str::<KeyLimits>(&json).expect("our own"), limits);
        assert!(serde_json::from_str::<KeyLimits>(r#"{"request_per_second":5}"#).is_err());
    }
}
