//! Who a request comes from.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::LazyLock;

use crate::access::jwt;
use crate::access::scope::Scope;
use crate::model::key::Key;
use crate::model::key::KeyLimits;
use crate::model::permission::Rights;
use crate::model::secret::KeyId;
use crate::model::time::Millis;

/// What tells callers apart: idempotency keys and limits belong to one of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Somebody, while nobody has to say who they are.
    Anonymous,
    /// Whoever has the key that the operator has set.
    Operator,
    /// Whoever has this key, or a ticket that was asked for with it.
    Key(KeyId),
    /// Whom an issuer of tokens calls so.
    Subject(Arc<str>),
}

impl Identity {
    /// Bytes that no other identity has; none for [`Identity::Anonymous`].
    pub fn to_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Anonymous => Cow::Borrowed(b""),
            Self::Operator => Cow::Borrowed(b"operator"),
            Self::Key(id) => Cow::Owned([b"key ", id.as_str().as_bytes()].concat()),
            Self::Subject(subject) => Cow::Owned([b"subject ", subject.as_bytes()].concat()),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Operator => f.write_str("operator"),
            Self::Key(id) => write!(f, "key {id}"),
            Self::Subject(subject) => write!(f, "subject {subject}"),
        }
    }
}

/// Who a request comes from, and what they may do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who it is.
    pub identity: Identity,
    /// What people call them.
    pub name: Arc<str>,
    /// What they may do.
    pub rights: Rights,
    /// How much of it.
    pub limits: KeyLimits,
    /// From when on none of this holds any more.
    pub expires_at: Option<Millis>,
    /// What the ticket is for, if that is what they showed. `rights` are no more than that.
    pub ticket: Option<Scope>,
}

impl Caller {
    /// Anybody, while nobody has to say who they are: they may do everything.
    pub fn anonymous() -> Self {
        static ANONYMOUS: LazyLock<Caller> = LazyLock::new(|| Caller::everything(Identity::Anonymous, "anonymous"));
        ANONYMOUS.clone()
    }

    /// Whoever has the operator's key: they may do everything.
    pub fn operator() -> Self {
        Self::everything(Identity::Operator, "operator")
    }

    /// Somebody who may do nothing.
    pub fn nobody() -> Self {
        static NOBODY: LazyLock<Caller> =
            LazyLock::new(|| Caller { rights: Rights::default(), ..Caller::everything(Identity::Anonymous, "nobody") });
        NOBODY.clone()
    }

    fn everything(identity: Identity, name: &str) -> Self {
        Self {
            identity,
            name: Arc::from(name),
            rights: Rights::everything(),
            limits: KeyLimits::default(),
            expires_at: None,
            ticket: None,
        }
    }

    /// Whoever has a key.
    pub(super) fn of_key(key: &Key) -> Self {
        Self {
            identity: Identity::Key(key.id),
            name: key.name.to_arc(),
            rights: key.rights.clone(),
            limits: key.limits,
            expires_at: key.expires_at,
            ticket: None,
        }
    }

    /// Whoever has a token.
    pub(super) fn of_token(token: jwt::Identity) -> Self {
        Self::of_subject(&token.subject, token.rights, token.expires_at_ms)
    }

    /// Whom an issuer of tokens calls so.
    pub(super) fn of_subject(subject: &str, rights: Rights, expires_at: Millis) -> Self {
        let subject: Arc<str> = Arc::from(subject);
        Self {
            identity: Identity::Subject(Arc::clone(&subject)),
            name: subject,
            rights,
            limits: KeyLimits::default(),
            expires_at: Some(expires_at),
            ticket: None,
        }
    }

    /// The same with a ticket instead: no more than it is for, and no longer.
    pub(super) fn by_ticket(self, scope: Scope, expires_at: Millis) -> Self {
        Self {
            rights: scope.narrow(&self.rights),
            expires_at: Some(self.expires_at.map_or(expires_at, |end| end.min(expires_at))),
            ticket: Some(scope),
            ..self
        }
    }
}
