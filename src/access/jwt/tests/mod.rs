//! What is let in and what is not.

mod changing;
mod configured;
mod issuer;
#[path = "../../../../tests/keys/mod.rs"]
mod keys;
mod tokens;

use serde_json::Value;
use serde_json::json;

use crate::access::jwt::Identity;
use crate::access::jwt::Refused;
use crate::access::jwt::Rules;
use crate::access::jwt::Verifier;
use crate::access::jwt::jwks::read_jwks;
use crate::access::jwt::key::KeySet;
use crate::access::jwt::keyring::Keyring;
use crate::access::jwt::tests::keys::Signer;

/// The time of these tests.
const NOW_S: u64 = 1_800_000_000;
const NOW: u64 = NOW_S * 1_000;

fn rules() -> Rules {
    Rules {
        issuer: "https://id.example.com".to_owned(),
        audiences: vec!["tidegate".to_owned(), "https://events.example.com".to_owned()],
        permissions_claim: "tidegate".to_owned(),
        leeway_ms: 30_000,
    }
}

/// Claims of a good token.
fn claims() -> Value {
    json!({
        "iss": "https://id.example.com",
        "aud": "tidegate",
        "exp": NOW_S + 600,
        "sub": "alice",
        "tidegate": [{"verb": "consume", "topic": "pub-*", "group": "g"}],
    })
}

/// Claims of a good token but for one.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

/// A key set as it is published.
fn jwks<'a>(keys: impl IntoIterator<Item = (&'a str, &'a Signer)>) -> String {
    let keys: Vec<Value> = keys.into_iter().map(|(kid, signer)| signer.jwk(kid)).collect();
    json!({ "keys": keys }).to_string()
}

/// A verifier of keys that never change.
fn verifier(keys: KeySet) -> Verifier {
    Verifier { rules: rules(), ring: Keyring::fixed(keys) }
}

/// A verifier of one published key, named `a`.
fn verifier_of(signer: &Signer) -> Verifier {
    verifier(read_jwks(jwks([("a", signer)]).as_bytes()).expect("a good set"))
}

/// The outcome for claims that are signed well.
fn claimed(claims: &Value) -> Result<Identity, Refused> {
    let signer = Signer::ec();
    verifier_of(&signer).verify(&signer.token("a", claims), NOW)
}
