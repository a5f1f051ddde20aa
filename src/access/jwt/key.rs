//! Keys that tokens are checked with. A key belongs to one algorithm for as long as it lives, so that a token never
//! chooses how a key is used: an RSA public key as an HMAC secret is not a thing that can be said here.

use std::fmt;

use ring::hmac;
use ring::signature::ECDSA_P256_SHA256_FIXED;
use ring::signature::RSA_PKCS1_2048_8192_SHA256;
use ring::signature::RsaPublicKeyComponents;
use ring::signature::UnparsedPublicKey;

use crate::access::jwt::algorithm::Algorithm;
use crate::access::jwt::refused::Refused;
use crate::access::jwt::token::Token;

/// Shortest secret in bytes: as long as the hash (RFC 7518 §3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// Size of an RSA modulus in bits: RFC 7518 §3.3 asks for the lower bound, and checking costs more with every bit.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A point of the curve P-256, uncompressed: a four and two numbers of 32 bytes (SEC 1 §2.3.3).
const P256_POINT_BYTES: usize = 65;

/// Why something is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Too few bytes to be a secret.
    #[error("a secret has at least {SECRET_BYTES_MIN} bytes, such as those of `openssl rand -hex 32`")]
    ShortSecret,
    /// A public key as a secret: then everybody could sign.
    #[error("this is a key in PEM, JSON or SSH form and not a secret; a public key belongs into --jwt-public-key-file")]
    NotASecret,
    /// No RSA key of a good size.
    #[error("an RSA key has 2048 to 8192 bits and an odd exponent of at most 33 bits")]
    Rsa,
    /// Not the form of a point.
    #[error("an EC key is a point of the curve P-256")]
    P256,
    /// A private key, which has no place here.
    #[error("this holds a private key; only the public one is needed: `openssl pkey -in FILE -pubout`")]
    Private,
    /// A certificate.
    #[error("this is a certificate; take its public key: `openssl x509 -in FILE -pubkey -noout`")]
    Certificate,
    /// No PEM, or several.
    #[error("this is not one public key in PEM form (`-----BEGIN PUBLIC KEY-----`)")]
    Pem,
    /// A public key of another kind.
    #[error("a public key is of RSA or of the curve P-256")]
    Kind,
}

/// A key and the one algorithm it is for.
#[derive(Clone)]
pub(super) struct Key {
    /// The name that tokens call it by. Without one it is tried for every token.
    kid: Option<String>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Secret(hmac::Key),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    P256(UnparsedPublicKey<Vec<u8>>),
}

impl Key {
    /// A secret for [`Algorithm::Hs256`].
    pub(super) fn secret(bytes: &[u8]) -> Result<Self, BadKey> {
        let text = bytes.trim_ascii_start();
        let is_public = [&b"{"[..], b"ssh-", b"ecdsa-"].into_iter().any(|start| text.starts_with(start));
        if is_public || bytes.windows(b"-----BEGIN".len()).any(|window| window == b"-----BEGIN") {
            return Err(BadKey::NotASecret);
        }
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(BadKey::ShortSecret);
        }
        Ok(Self { kid: None, material: Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes)) })
    }

    /// A modulus and an exponent, big-endian, for [`Algorithm::Rs256`].
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, BadKey> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        // What `ring` would refuse with the first token, refused where somebody sees it.
        let exponent = e.iter().try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)));
        if !RSA_BITS.contains(&bits) || !exponent.is_some_and(|e| e % 2 == 1 && (3..1 << 33).contains(&e)) {
            return Err(BadKey::Rsa);
        }
        let material = Material::Rsa(RsaPublicKeyComponents { n: n.to_vec(), e: e.to_vec() });
        Ok(Self { kid: None, material })
    }

    /// An uncompressed point for [`Algorithm::Es256`]. Whether it lies on the curve is seen with every signature.
    pub(super) fn p256(point: &[u8]) -> Result<Self, BadKey> {
        if point.len() != P256_POINT_BYTES || point[0] != 4 {
            return Err(BadKey::P256);
        }
        let material = Material::P256(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.to_vec()));
        Ok(Self { kid: None, material })
    }

    /// The same key by this name.
    pub(super) fn named(self, kid: Option<String>) -> Self {
        Self { kid, ..self }
    }

    fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Secret(_) => Algorithm::Hs256,
            Material::Rsa(_) => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
        }
    }

    /// Whether the token may be signed with it.
    fn fits(&self, token: &Token<'_>) -> bool {
        let is_other = matches!((&self.kid, &token.kid), (Some(mine), Some(asked)) if mine != asked);
        self.algorithm() == token.algorithm && !is_other
    }

    fn has_signed(&self, token: &Token<'_>) -> bool {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, token.signed, &token.signature),
            Material::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, token.signed, &token.signature),
            Material::P256(key) => key.verify(token.signed, &token.signature),
        }
        .is_ok()
    }
}

/// Nobody needs to see more of a key than its name.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// The keys of an issuer.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// These keys.
    pub(super) fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none: then every token is of an unknown key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks the signature of a token.
    ///
    /// # Errors
    /// [`Refused::Signature`], or [`Refused::UnknownKey`] if no key of the token's name is here for its algorithm.
    pub(super) fn check(&self, token: &Token<'_>) -> Result<(), Refused> {
        let fitting = || self.0.iter().filter(|key| key.fits(token));
        if fitting().any(|key| key.has_signed(token)) {
            return Ok(());
        }
        // Keys without a name fit every token; that they have not signed one tells nothing about a key that is named.
        let is_known = fitting().any(|key| token.kid.is_none() || key.kid.is_some());
        Err(if is_known { Refused::Signature } else { Refused::UnknownKey })
    }
}
