//! Secrets that callers show: API keys, and the one key that the operator may set. Only their digests are kept.
//!
//! # The form of an API key
//! `tg_`, 12 characters that name it, `_`, 43 characters that nobody can guess, and 6 that check the rest; all of
//! `0-9 A-Z a-z`:
//!
//! ```text
//! tg_k3F0aZ81mQwX_9rT2…43…pL04fBz1
//!    └── id ───┘ └── secret ──┘└ check ┘
//! ```
//!
//! The secret is 43 characters of 62, drawn evenly: 256 bits. The check is the CRC-32C (RFC 3720) of all before it, as a
//! number to the base 62. So scanners of source code find a key that leaked, and a typing error is told from a key without
//! asking any table. What is kept is the SHA-256 of the whole text: a text that cannot be guessed needs no slow hash, which
//! anybody could make the gateway compute.

use std::fmt;
use std::str::FromStr;

use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use sha2::Digest as _;
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// What every API key begins with.
pub const KEY_PREFIX: &str = "tg_";

/// Characters of the id of a key.
pub const KEY_ID_CHARS: usize = 12;

const SECRET_CHARS: usize = 43;
const CHECK_CHARS: usize = 6;

/// Characters of a whole key.
pub const KEY_CHARS: usize = KEY_PREFIX.len() + KEY_ID_CHARS + 1 + SECRET_CHARS + CHECK_CHARS;

/// The shortest [`AdminKey`]: as many random hexadecimal digits have 128 bits.
pub const ADMIN_KEY_CHARS_MIN: usize = 32;

/// The longest [`AdminKey`]: it has to fit in a header.
const ADMIN_KEY_CHARS_MAX: usize = 1024;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The name of a key: what is public of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_ID_CHARS]);

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("letters and digits")
    }
}

/// A text that cannot be the id of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a key is {KEY_ID_CHARS} letters and digits")]
pub struct BadKeyId;

impl FromStr for KeyId {
    type Err = BadKeyId;

    fn from_str(text: &str) -> Result<Self, BadKeyId> {
        let bytes: [u8; KEY_ID_CHARS] = text.as_bytes().try_into().map_err(|_| BadKeyId)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(bytes)) } else { Err(BadKeyId) }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.as_str())
    }
}

/// An API key, whole. It is never shown by `Debug`, and there is no `Display`: whoever wants the text says so.
#[derive(Clone)]
pub struct ApiKey {
    id: KeyId,
    text: String,
}

/// A text that is no API key: of another form, or with a slip in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an API key")]
pub struct BadApiKey;

impl ApiKey {
    /// A new key.
    ///
    /// # Panics
    /// If the system has no randomness to give, without which nothing here is safe.
    pub fn generate() -> Self {
        let id = KeyId(random_chars());
        let mut text = format!("{KEY_PREFIX}{id}_");
        text.extend(random_chars::<SECRET_CHARS>().map(char::from));
        text.extend(check(&text).map(char::from));
        Self { id, text }
    }

    /// What is public of it.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The whole key.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is kept of it.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(&self.text)
    }
}

impl FromStr for ApiKey {
    type Err = BadApiKey;

    fn from_str(text: &str) -> Result<Self, BadApiKey> {
        let body = text.strip_prefix(KEY_PREFIX).filter(|_| text.len() == KEY_CHARS).ok_or(BadApiKey)?;
        let (id, secret) = body.split_once('_').ok_or(BadApiKey)?;
        let id = id.parse().map_err(|_| BadApiKey)?;
        if !secret.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(BadApiKey);
        }
        let (checked, given) = text.split_at(KEY_CHARS - CHECK_CHARS);
        if check(checked) == given.as_bytes() { Ok(Self { id, text: text.to_owned() }) } else { Err(BadApiKey) }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}, ..)", self.id)
    }
}

/// The check characters of what stands before them.
fn check(text: &str) -> [u8; CHECK_CHARS] {
    let mut rest = crc32c::crc32c(text.as_bytes()) as usize;
    let mut chars = [0; CHECK_CHARS];
    for char in chars.iter_mut().rev() {
        *char = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    chars
}

/// Characters of the alphabet, each as likely as the others.
fn random_chars<const N: usize>() -> [u8; N] {
    let mut chars = [0; N];
    let mut filled = 0;
    while filled < N {
        for byte in random::<64>() {
            // 248 is four times 62: bytes beyond it would favour the first characters.
            if filled < N && byte < 248 {
                chars[filled] = ALPHABET[usize::from(byte) % ALPHABET.len()];
                filled += 1;
            }
        }
    }
    chars
}

/// Bytes that nobody can guess.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// What is kept of a secret: its SHA-256.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest of a whole secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The digest as it was kept; `None` if it has another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The digest as it is kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are of one secret. Takes the same time wherever they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

/// A key that the operator sets and that may do everything. It is in no table.
#[derive(Clone, Copy, Debug)]
pub struct AdminKey(SecretDigest);

/// A text that will not do as an [`AdminKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an admin key has at least {ADMIN_KEY_CHARS_MIN} visible ASCII characters, which nobody can guess: \
     `openssl rand -hex 32` makes one"
)]
pub struct BadAdminKey;

impl AdminKey {
    /// Whether `credential` is this key. Takes the same time wherever they differ.
    pub fn is(&self, credential: &str) -> bool {
        self.0.matches(&SecretDigest::of(credential))
    }

    /// Tells it from other admin keys, and nothing else of it.
    pub fn fingerprint(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl FromStr for AdminKey {
    type Err = BadAdminKey;

    fn from_str(text: &str) -> Result<Self, BadAdminKey> {
        let fits = (ADMIN_KEY_CHARS_MIN..=ADMIN_KEY_CHARS_MAX).contains(&text.len());
        let distinct = ALPHABET.iter().filter(|char| text.as_bytes().contains(char)).count();
        // A long row of one letter is as easily guessed as a short one.
        if fits && text.bytes().all(|b| b.is_ascii_graphic()) && distinct >= 8 {
            Ok(Self(SecretDigest::of(text)))
        } else {
            Err(BadAdminKey)
        }
    }
}

/// What tickets are signed with: the same for all nodes on one database, and shown to nobody.
#[derive(Clone)]
pub struct SigningSecret([u8; 32]);

impl SigningSecret {
    /// A new one.
    ///
    /// # Panics
    /// As [`ApiKey::generate`].
    pub fn generate() -> Self {
        Self(random())
    }

    /// As it was kept; `None` if it has another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// As it is kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_made() {
        let key = ApiKey::generate();
        assert_eq!(key.reveal().len(), KEY_CHARS);
        let read: ApiKey = key.reveal().parse().expect("our own");
        assert_eq!(read.id(), key.id());
        assert!(read.digest().matches(&key.digest()));
        assert!(!read.digest().matches(&ApiKey::generate().digest()));
        assert_eq!(key.id().as_str().parse(), Ok(key.id()));
    }

    #[test]
    fn every_slip_is_found() {
        let key = ApiKey::generate();
        for at in 0..KEY_CHARS {
            for slip in ['0', 'x', '_'] {
                let mut text: Vec<char> = key.reveal().chars().collect();
                if std::mem::replace(&mut text[at], slip) != slip {
                    let text: String = text.into_iter().collect();
                    assert!(text.parse::<ApiKey>().is_err(), "at {at}");
                }
            }
            assert!(key.reveal()[..at].parse::<ApiKey>().is_err(), "cut at {at}");
        }
        assert!(format!("{} ", key.reveal()).parse::<ApiKey>().is_err());
    }

    #[test]
    fn nothing_that_is_secret_is_shown() {
        let key = ApiKey::generate();
        let secret = &key.reveal()[16..];
        let admin: AdminKey = key.reveal().parse().expect("long enough");
        let shown = format!("{key:?} {:?} {admin:?} {:?}", key.digest(), SigningSecret::generate());
        assert!(shown.contains(key.id().as_str()) && !shown.contains(secret), "{shown}");
    }

    #[test]
    fn an_admin_key_is_long_and_not_one_letter() {
        let good = "correct.horse.battery.staple.1975";
        let key: AdminKey = good.parse().expect("good");
        assert!(key.is(good) && !key.is("correct.horse.battery.staple.1976"));
        for bad in ["", "short", &good[..31], &"a".repeat(64), &format!("{good} {good}"), &format!("{good}ä")] {
            assert!(bad.parse::<AdminKey>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_no_key_is_refused(text in "(tg_)?[0-9A-Za-z_]{0,80}|\\PC{0,80}") {
            prop_assert!(text.parse::<ApiKey>().is_err());
        }
    }
}
