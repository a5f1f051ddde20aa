//! Keys: made, listed, deleted.

use std::sync::Arc;

use crate::access::error::AccessError;
use crate::access::handle::Access;
use crate::model::key::KEYS_MAX;
use crate::model::key::Key;
use crate::model::key::KeyLimits;
use crate::model::key::KeyName;
use crate::model::permission::Rights;
use crate::model::secret::ApiKey;
use crate::model::secret::KeyId;
use crate::model::time;
use crate::model::time::Millis;
use crate::store::access_contract::AccessStore;
use crate::store::access_contract::KeyCreation;
use crate::store::contract::Store;
use crate::store::error::StoreError;
use crate::tasks;

/// A key that is to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What people will call it.
    pub name: KeyName,
    /// What it will allow.
    pub rights: Rights,
    /// How much of it.
    pub limits: KeyLimits,
    /// Until when.
    pub expires_at: Option<Millis>,
}

/// Makes a key in a store; its secret is in what is returned, and nowhere else.
///
/// # Errors
/// [`AccessError::FirstIsNotRoot`], [`AccessError::TooManyKeys`]; errors of the store.
pub async fn create(store: &dyn Store, new: NewKey) -> Result<(ApiKey, Key), AccessError> {
    let NewKey { name, rights, limits, expires_at } = new;
    let secret = ApiKey::generate();
    let (id, digest) = (secret.id(), secret.digest());
    let key = Key { id, name, digest, rights, limits, created_at: time::now(), expires_at };
    match AccessStore::create_key(store, &key, KEYS_MAX).await? {
        KeyCreation::Created => Ok((secret, key)),
        KeyCreation::FirstIsNotRoot => Err(AccessError::FirstIsNotRoot),
        KeyCreation::TooMany => Err(AccessError::TooManyKeys),
    }
}

/// A place in the list of keys, which is in the order of names and, among those of one name, of ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPlace(String);

impl KeyPlace {
    /// The place of a key.
    pub fn of(key: &Key) -> Self {
        // A name has no control character: nothing sorts before the end of one.
        Self(format!("{}\u{1}{}", key.name, key.id))
    }
}

impl AsRef<str> for KeyPlace {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for KeyPlace {
    type Err = std::convert::Infallible;

    /// Any text is a place: keys come after it, or do not.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl Access {
    /// Makes a key. It counts on this node from now on, on others within a second.
    ///
    /// # Errors
    /// Those of [`create`].
    pub async fn create_key(&self, new: NewKey) -> Result<(ApiKey, Key), AccessError> {
        let access = self.clone();
        tasks::run(async move {
            let made = create(&*access.store(), new).await?;
            access.changed().await;
            Ok(made)
        })
        .await
    }

    /// Keys in their order: those that come after the place `after`, at most `limit`. They are those that this node knows of.
    pub fn keys(&self, after: Option<&str>, limit: usize) -> Vec<Key> {
        let known = self.known();
        let mut keys: Vec<(KeyPlace, &Key)> = known.keys().map(|key| (KeyPlace::of(key), key)).collect();
        keys.retain(|(place, _)| after.is_none_or(|after| after < place.as_ref()));
        keys.sort_by(|(a, _), (b, _)| a.cmp(b));
        keys.into_iter().take(limit).map(|(_, key)| key.clone()).collect()
    }

    /// The key of that id.
    ///
    /// # Errors
    /// [`AccessError::UnknownKey`]; errors of the store, which is asked before one is denied.
    pub async fn key(&self, id: KeyId) -> Result<Key, AccessError> {
        if let Some(key) = self.known().key(id) {
            return Ok(key.clone());
        }
        self.refresh().await?;
        self.known().key(id).cloned().ok_or(AccessError::UnknownKey(id))
    }

    /// Deletes a key: no request with it is taken here from now on, on other nodes within a second, and open answers end.
    ///
    /// # Errors
    /// [`AccessError::UnknownKey`]; errors of the store.
    pub async fn delete_key(&self, id: KeyId) -> Result<(), AccessError> {
        let access = self.clone();
        tasks::run(async move {
            let store: Arc<dyn Store> = access.store();
            let deleted: Result<bool, StoreError> = store.delete_key(id).await;
            access.changed().await;
            if deleted? { Ok(()) } else { Err(AccessError::UnknownKey(id)) }
        })
        .await
    }
}
