//! Why something about keys or tickets was not done.

use crate::model::key::KEYS_MAX;
use crate::model::secret::KeyId;
use crate::store::error::StoreError;

/// Why something about keys or tickets was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccessError {
    /// The first key could not make any other.
    #[error("the first key must have the permission `admin` on the topics `*`: nobody could see to keys otherwise")]
    FirstIsNotRoot,
    /// There are as many as there may be.
    #[error("there may be {KEYS_MAX} keys: delete those that are not used any more")]
    TooManyKeys,
    /// No key has this id.
    #[error("there is no key `{0}`")]
    UnknownKey(KeyId),
    /// The caller may not do what the ticket would be for.
    #[error("a ticket gives no right that its caller does not have")]
    NotPermitted,
    /// The ticket would not fit into a URL.
    #[error("a ticket for this group would name too many permissions to fit into a URL")]
    TicketTooLong,
    /// The store says no.
    #[error(transparent)]
    Store(#[from] StoreError),
}
