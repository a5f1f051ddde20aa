//! The columns of a key that are texts in both databases.

use crate::model::key::Key;
use crate::model::key::KeyLimits;
use crate::model::permission::Permission;
use crate::model::permission::Rights;
use crate::model::secret::SecretDigest;
use crate::model::secret::SigningSecret;
use crate::model::time::Millis;
use crate::store::error::StoreError;

/// A row of `api_keys` as it was read.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) digest: Vec<u8>,
    pub(super) permissions: String,
    pub(super) limits: String,
    pub(super) created_at: Millis,
    pub(super) expires_at: Option<Millis>,
}

impl KeyRow {
    /// The key that it holds.
    pub(super) fn key(self) -> Result<Key, StoreError> {
        let permissions: Vec<Permission> = serde_json::from_str(&self.permissions).map_err(StoreError::corrupt)?;
        let digest = SecretDigest::from_bytes(&self.digest);
        Ok(Key {
            id: self.id.parse().map_err(StoreError::corrupt)?,
            name: self.name.parse().map_err(StoreError::corrupt)?,
            digest: digest.ok_or_else(|| StoreError::corrupt("the digest of a key has another length"))?,
            rights: Rights::new(permissions).map_err(StoreError::corrupt)?,
            limits: serde_json::from_str(&self.limits).map_err(StoreError::corrupt)?,
            created_at: self.created_at,
            expires_at: self.expires_at,
        })
    }
}

/// The `permissions` of a key.
pub(super) fn permissions(key: &Key) -> String {
    serde_json::to_string(key.rights.permissions()).expect("texts always serialize")
}

/// The `limits` of a key.
pub(super) fn limits(key: &Key) -> String {
    serde_json::to_string::<KeyLimits>(&key.limits).expect("numbers always serialize")
}

/// What tickets are signed with, as it was read.
pub(super) fn ticket_secret(bytes: Option<Vec<u8>>) -> Result<SigningSecret, StoreError> {
    let secret = bytes.and_then(|bytes| SigningSecret::from_bytes(&bytes));
    secret.ok_or_else(|| StoreError::corrupt("what tickets are signed with is missing, or has another length"))
}
