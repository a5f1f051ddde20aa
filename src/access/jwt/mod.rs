//! JSON Web Tokens of one issuer (RFC 7519, and what RFC 8725 advises): their signature is checked with keys that are
//! configured, their claims become rights. Nothing in a token says how it is checked.
//!
//! The cryptography is `ring`'s, which TLS uses too. What is around it stands here, because it is short and because it is
//! stricter than any library is: a time that is a string or in milliseconds, a member that comes twice, a second way to
//! write the same token are all refused.

mod algorithm;
mod claims;
mod der;
mod fetch;
mod jwks;
mod key;
mod keyring;
mod members;
mod options;
mod refused;
mod source;
#[cfg(test)]
mod tests;
mod token;
mod verifier;

pub use claims::Identity;
pub use claims::Rules;
pub use fetch::BadJwksUrl;
pub use fetch::JwksUrl;
pub use jwks::BadJwks;
pub use jwks::JWKS_BYTES_MAX;
pub use jwks::JWKS_KEYS_MAX;
pub use key::BadKey;
pub use key::KeySet;
pub use key::SECRET_BYTES_MIN;
pub use options::Keys;
pub use options::KeysError;
pub use options::Options;
pub use refused::Refused;
pub use refused::TOKEN_BYTES_MAX;
pub use verifier::Verifier;
pub use verifier::start;
