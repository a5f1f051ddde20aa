//! A signed token in its compact form (RFC 7515 §3.1), taken apart strictly. Nothing in it is believed here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::jwt::algorithm::Algorithm;
use crate::access::jwt::members::Members;
use crate::access::jwt::refused::Refused;
use crate::access::jwt::refused::TOKEN_BYTES_MAX;

/// Longest `kid` in bytes. It is only ever compared.
pub(super) const KID_BYTES_MAX: usize = 128;

/// A token whose signature has not been checked.
pub(super) struct Token<'a> {
    /// What the signature is of: the first two parts with their dot.
    pub(super) signed: &'a [u8],
    /// The signature.
    pub(super) signature: Vec<u8>,
    /// How it says it was signed. Chooses among the keys that are meant for it, and nothing else.
    pub(super) algorithm: Algorithm,
    /// The name of the key.
    pub(super) kid: Option<String>,
    /// The claims as JSON.
    pub(super) claims: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(super) fn parse(text: &'a str) -> Result<Self, Refused> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
        // No padding, no blanks, no further dots, and no bits that do not count: a token can be written in one way only.
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Refused::Malformed);
        let (header, claims, signature) = (part(header)?, part(claims)?, part(signature)?);
        let (algorithm, kid) = header_of(&header)?;
        Ok(Self { signed: signed.as_bytes(), signature, algorithm, kid, claims })
    }
}

fn header_of(json: &[u8]) -> Result<(Algorithm, Option<String>), Refused> {
    let header = Members::read(json).ok_or(Refused::Malformed)?;
    if header.has("crit") {
        return Err(Refused::Critical);
    }
    if ["jwk", "jku", "x5u"].into_iter().any(|name| header.has(name)) {
        return Err(Refused::OwnKey);
    }
    // A logout token or a proof of possession of the same issuer is no access token (RFC 8725 §3.11).
    if let Some(kind) = header.get::<String>("typ").map_err(|_| Refused::Type)? {
        let kind = kind.to_ascii_lowercase();
        if !matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt") {
            return Err(Refused::Type);
        }
    }
    let algorithm = header.get::<String>("alg").ok().flatten().ok_or(Refused::Algorithm)?;
    let algorithm = Algorithm::from_name(&algorithm).ok_or(Refused::Algorithm)?;
    let kid = header.get::<String>("kid").map_err(|_| Refused::Malformed)?;
    if kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
        return Err(Refused::Malformed);
    }
    Ok((algorithm, kid))
}
