//! What a node knows of keys, as of one version.

use std::collections::HashMap;

use ring::hmac;

use crate::access::caller::Caller;
use crate::access::caller::Identity;
use crate::model::key::Key;
use crate::model::secret::ApiKey;
use crate::model::secret::KeyId;
use crate::model::secret::SecretDigest;
use crate::model::time::Millis;
use crate::store::access_contract::AccessState;

/// Keys, and the setting beside them. Never changed: a change makes another.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) version: u64,
    /// Whether callers have to say who they are.
    pub(super) is_on: bool,
    /// What tickets are signed with.
    pub(super) signing: hmac::Key,
    keys: HashMap<KeyId, Key>,
    /// What the digest of a key that is not known is compared with, so that it takes as long.
    dummy: SecretDigest,
}

impl Snapshot {
    pub(super) fn new(state: AccessState) -> Self {
        let AccessState { version, is_on, ticket_secret, keys } = state;
        Self {
            version,
            is_on,
            signing: hmac::Key::new(hmac::HMAC_SHA256, ticket_secret.as_bytes()),
            keys: keys.into_iter().map(|key| (key.id, key)).collect(),
            dummy: SecretDigest::of(""),
        }
    }

    /// Whoever shows this key at `now`.
    pub(super) fn caller(&self, shown: &ApiKey, now: Millis) -> Option<Caller> {
        let key = self.keys.get(&shown.id());
        let is_it = shown.digest().matches(key.map_or(&self.dummy, |key| &key.digest));
        key.filter(|key| is_it && !key.has_expired(now)).map(Caller::of_key)
    }

    /// Whoever has the key of that id.
    pub(super) fn bearer(&self, id: KeyId, now: Millis) -> Option<Caller> {
        self.key(id).filter(|key| !key.has_expired(now)).map(Caller::of_key)
    }

    pub(super) fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.get(&id)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.values()
    }

    /// Whether what was once known of a caller still holds, as far as keys are concerned.
    pub(super) fn still_knows(&self, identity: &Identity) -> bool {
        match identity {
            Identity::Anonymous => !self.is_on,
            Identity::Operator | Identity::Subject(_) => true,
            Identity::Key(id) => self.keys.contains_key(id),
        }
    }
}
