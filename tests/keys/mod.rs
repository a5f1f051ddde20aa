//! Tokens for tests, and what they are signed with. The RSA key is in a file because making one takes long; it and the EC
//! key guard nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use ring::signature::EcdsaKeyPair;
use ring::signature::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use ring::signature::RsaKeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use serde_json::json;

/// The public half of [`Signer::rsa`].
pub(crate) const RSA_PUBLIC_PEM: &str = include_str!("rsa.pub.pem");
/// The public half of [`Signer::ec`].
pub(crate) const EC_PUBLIC_PEM: &str = include_str!("ec.pub.pem");
/// The private key of [`Signer::rsa`].
pub(crate) const RSA_PRIVATE_PEM: &str = include_str!("rsa.pem");
const EC_PRIVATE_PEM: &str = include_str!("ec.pem");

/// Whoever signs tokens.
pub(crate) enum Signer {
    Secret(hmac::Key),
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Signer {
    pub(crate) fn secret(bytes: &[u8]) -> Self {
        Self::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(&pkcs8(RSA_PRIVATE_PEM)).expect("a good key"))
    }

    pub(crate) fn ec() -> Self {
        Self::read_ec(&pkcs8(EC_PRIVATE_PEM))
    }

    /// A key that nobody has had before.
    pub(crate) fn new_ec() -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("random bytes");
        Self::read_ec(made.as_ref())
    }

    fn read_ec(pkcs8: &[u8]) -> Self {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new());
        Self::Ec(key.expect("a good key"))
    }

    /// The `alg` that it signs with.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Secret(_) => "HS256",
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    /// The public half as a key set publishes it.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Secret(_) => panic!("a secret is not published"),
            Self::Rsa(key) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": text(&n), "e": text(&e)})
            }
            Self::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "kid": kid, "alg": "ES256", "crv": "P-256", "x": text(x), "y": text(y)})
            }
        }
    }

    /// A token with these claims under a header that names the algorithm and this key.
    pub(crate) fn token(&self, kid: &str, claims: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm(), "typ": "JWT", "kid": kid}).to_string(), &claims.to_string())
    }

    /// A token of this header and these claims, whatever they are.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = match self {
            Self::Secret(key) => hmac::sign(key, signed.as_bytes()).as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("signs");
                signature
            }
            Self::Ec(key) => key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signs").as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn pkcs8(pem: &str) -> Vec<u8> {
    PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).expect("a private key").secret_pkcs8_der().to_vec()
}
