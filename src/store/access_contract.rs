//! API keys and the one setting beside them: whether callers have to say who they are.

use async_trait::async_trait;

use crate::model::key::Key;
use crate::model::secret::KeyId;
use crate::model::secret::SigningSecret;
use crate::store::error::StoreError;

/// Who may do what, as of one moment.
#[derive(Debug, Clone)]
pub struct AccessState {
    /// Rises with every change.
    pub version: u64,
    /// Whether callers have to say who they are. Once it is so it stays so, whatever becomes of the keys.
    pub is_on: bool,
    /// What tickets are signed with.
    pub ticket_secret: SigningSecret,
    /// All keys, also those that have expired; by id.
    pub keys: Vec<Key>,
}

/// What came of making a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyCreation {
    /// It counts from now on, and callers have to say who they are.
    Created,
    /// It would be the first, and could not make any other: nobody could ever do what it may not. Nothing changed.
    FirstIsNotRoot,
    /// There are as many as there may be; nothing changed.
    TooMany,
}

/// Keys: made, deleted, and read all at once.
#[async_trait]
pub trait AccessStore: Send + Sync + 'static {
    /// [`AccessState::version`] at a moment after the call.
    async fn access_version(&self) -> Result<u64, StoreError>;
    /// Everything, as of one moment.
    async fn access(&self) -> Result<AccessState, StoreError>;
    /// Makes a key, and with the first one callers have to say who they are. `keys_max` bounds them all together.
    async fn create_key(&self, key: &Key, keys_max: usize) -> Result<KeyCreation, StoreError>;
    /// Deletes a key; false if there was none of that id.
    async fn delete_key(&self, id: KeyId) -> Result<bool, StoreError>;
    /// From now on callers have to say who they are.
    async fn require_access(&self) -> Result<(), StoreError>;
}
