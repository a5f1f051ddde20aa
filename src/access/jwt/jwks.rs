//! Sets of public keys in JSON (JWK Set, RFC 7517): input from outside, also when the issuer is trusted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::access::jwt::key::Key;
use crate::access::jwt::key::KeySet;
use crate::access::jwt::token::KID_BYTES_MAX;

/// Largest key set in bytes.
pub const JWKS_BYTES_MAX: usize = 256 << 10;

/// Keys of a set that are looked at. A token that names no key may be tried with all of them.
pub const JWKS_KEYS_MAX: usize = 100;

/// Why something is no set of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJwks {
    /// Too large.
    #[error("a key set has at most {JWKS_BYTES_MAX} bytes")]
    TooLong,
    /// Not a JWK Set.
    #[error("this is no JSON Web Key Set: {0}")]
    Malformed(String),
    /// Too many keys.
    #[error("a key set has at most {JWKS_KEYS_MAX} keys")]
    TooMany,
    /// Nothing to check a token with.
    #[error("no key in the set is an RSA or P-256 key for signatures with RS256 or ES256")]
    NoneUsable,
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// The members of a key that matter here (RFC 7517 §4, RFC 7518 §6.2 and §6.3).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Reads a set. Keys of another kind or use are passed over (RFC 7517 §5), and so are secrets: a set is published.
///
/// # Errors
/// [`BadJwks`]; [`BadJwks::NoneUsable`] if it is a set, and no key of it is left.
pub(super) fn read_jwks(json: &[u8]) -> Result<KeySet, BadJwks> {
    if json.len() > JWKS_BYTES_MAX {
        return Err(BadJwks::TooLong);
    }
    let set: Set<'_> = serde_json::from_slice(json).map_err(|why| BadJwks::Malformed(why.to_string()))?;
    if set.keys.len() > JWKS_KEYS_MAX {
        return Err(BadJwks::TooMany);
    }
    let keys: Vec<Key> = set.keys.into_iter().filter_map(read_key).collect();
    if keys.is_empty() { Err(BadJwks::NoneUsable) } else { Ok(KeySet::new(keys)) }
}

fn read_key(json: &RawValue) -> Option<Key> {
    let jwk: Jwk = serde_json::from_str(json.get()).ok()?;
    let is_for_signatures = jwk.purpose.is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    if !is_for_signatures || jwk.kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
        return None;
    }
    let is_for = |algorithm| jwk.alg.as_deref().is_none_or(|named| named == algorithm);
    let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
    let key = match jwk.kty.as_str() {
        "RSA" if is_for("RS256") => Key::rsa(&bytes(jwk.n)?, &bytes(jwk.e)?),
        "EC" if is_for("ES256") && jwk.crv.as_deref() == Some("P-256") => {
            Key::p256(&[&[4], bytes(jwk.x)?.as_slice(), bytes(jwk.y)?.as_slice()].concat())
        }
        _ => return None,
    };
    key.ok().map(|key| key.named(jwk.kid))
}
