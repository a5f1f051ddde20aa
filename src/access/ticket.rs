//! Tickets: a right to consume one topic, or as a member of one group, that may stand in a URL because it soon ends. For
//! browsers, whose `EventSource` sends no headers.
//!
//! A ticket is not kept anywhere. It says who asked for it, what for and until when, and is signed (HMAC-SHA-256, RFC 2104)
//! with a secret that the nodes on one database share. What its caller may do is looked up whenever it is shown; so it
//! ends with the key that asked for it.
//!
//! ```text
//! tk_ base64url( signature (32 bytes) | what it says, as JSON )
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;
use serde::Serialize;

use crate::access::caller::Identity;
use crate::access::scope::Scope;
use crate::model::permission::Permission;
use crate::model::permission::Rights;
use crate::model::time::Millis;

/// What every ticket begins with.
pub const TICKET_PREFIX: &str = "tk_";

/// Longest ticket, in bytes: it has to leave room in a URL, of which proxies take 8 KiB.
pub const TICKET_BYTES_MAX: usize = 4096;

/// How long a ticket may be good, and is if nothing else is said, in milliseconds: ten minutes. It stands in URLs.
pub const TICKET_MS_MAX: u64 = 600_000;

/// Bytes of a signature.
const TAG_BYTES: usize = 32;

/// What is signed begins so: nothing else that is signed with the same secret does.
const CONTEXT: &[u8] = b"tidegate ticket 1\n";

/// A ticket that was made.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// As it is shown.
    pub text: String,
    /// From when on it counts no more.
    pub expires_at: Millis,
}

/// Who asked for a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Asker {
    /// Anybody, while nobody had to say who they are.
    Anybody,
    /// Whoever has the operator's key of this fingerprint.
    Operator(u64),
    /// Whoever has the key of this id.
    Key(String),
    /// Whom an issuer of tokens calls so. What they may do is in no table, so it stands here.
    Subject {
        /// The subject.
        name: String,
        /// What they may do, as far as the ticket is for that.
        permissions: Vec<Permission>,
    },
}

impl Asker {
    /// Who asks, if it is `identity` with these rights; `operator` is the fingerprint of the operator's key.
    pub(super) fn new(identity: &Identity, rights: &Rights, operator: Option<u64>) -> Option<Self> {
        Some(match identity {
            Identity::Anonymous => Self::Anybody,
            Identity::Operator => Self::Operator(operator?),
            Identity::Key(id) => Self::Key(id.to_string()),
            Identity::Subject(name) => {
                Self::Subject { name: name.to_string(), permissions: rights.permissions().to_vec() }
            }
        })
    }
}

/// What a ticket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) asker: Asker,
    pub(super) scope: Scope,
    pub(super) expires_at: Millis,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    by: Asker,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    until: Millis,
}

impl Said {
    /// The ticket; `None` if it is longer than [`TICKET_BYTES_MAX`].
    pub(super) fn sign(self, key: &hmac::Key) -> Option<Ticket> {
        let Self { asker, scope, expires_at } = self;
        let (topic, group) = match scope {
            Scope::Topic(topic) => (Some(topic.to_string()), None),
            Scope::Group(group) => (None, Some(group.to_string())),
        };
        let said = Written { by: asker, topic, group, until: expires_at };
        let said = serde_json::to_vec(&said).expect("texts and numbers always serialize");
        let tag = hmac::sign(key, &signed(&said));
        let mut text = TICKET_PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string([tag.as_ref(), &said].concat(), &mut text);
        (text.len() <= TICKET_BYTES_MAX).then_some(Ticket { text, expires_at })
    }

    /// What a ticket says that was signed with this key. Whether it is over is not asked.
    pub(super) fn read(text: &str, key: &hmac::Key) -> Option<Self> {
        let text = text.strip_prefix(TICKET_PREFIX).filter(|_| text.len() <= TICKET_BYTES_MAX)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (tag, said) = bytes.split_at_checked(TAG_BYTES)?;
        hmac::verify(key, &signed(said), tag).ok()?;
        let Written { by, topic, group, until } = serde_json::from_slice(said).ok()?;
        let scope = match (topic, group) {
            (Some(topic), None) => Scope::Topic(topic.parse().ok()?),
            (None, Some(group)) => Scope::Group(group.parse().ok()?),
            _ => return None,
        };
        Some(Self { asker: by, scope, expires_at: until })
    }
}

fn signed(said: &[u8]) -> Vec<u8> {
    [CONTEXT, said].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &[u8]) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, secret)
    }

    fn said() -> Said {
        let scope = Scope::Topic("pub-a".parse().expect("a name"));
        Said { asker: Asker::Key("k3F0aZ81mQwX".to_owned()), scope, expires_at: 1_732_233_600_000 }
    }

    #[test]
    fn what_was_signed_is_read() {
        let group = Said { scope: Scope::Group("g".parse().expect("a name")), asker: Asker::Operator(7), ..said() };
        let permissions = vec!["consume:a*".parse().expect("good")];
        let subject = Said { asker: Asker::Subject { name: "ann".to_owned(), permissions }, ..said() };
        for said in [said(), group, subject, Said { asker: Asker::Anybody, ..said() }] {
            let ticket = said.clone().sign(&key(b"secret")).expect("short");
            assert!(ticket.text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{}", ticket.text);
            assert_eq!(Said::read(&ticket.text, &key(b"secret")), Some(said));
            assert_eq!(Said::read(&ticket.text, &key(b"another")), None);
        }
    }

    #[test]
    fn every_change_is_found() {
        let ticket = said().sign(&key(b"secret")).expect("short").text;
        for at in 0..ticket.len() {
            assert_eq!(Said::read(&ticket[..at], &key(b"secret")), None, "cut at {at}");
            for other in ["A", "z", "_"] {
                let changed = format!("{}{other}{}", &ticket[..at], &ticket[at + 1..]);
                assert!(changed == ticket || Said::read(&changed, &key(b"secret")).is_none(), "{other} at {at}");
            }
        }
    }

    #[test]
    fn one_that_fits_no_url_is_not_made() {
        let permission: Permission = format!("consume:{}", "x".repeat(249)).parse().expect("good");
        let asker = Asker::Subject { name: "ann".to_owned(), permissions: vec![permission; 64] };
        assert!(Said { asker, ..said() }.sign(&key(b"secret")).is_none());
    }
}
