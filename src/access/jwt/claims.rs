//! The claims of a token whose signature is right: whether it is for us and for now (RFC 7519 §4.1), and what it allows.

use serde::Deserialize;

use crate::access::jwt::members::Members;
use crate::access::jwt::refused::Refused;
use crate::model::permission::Permission;
use crate::model::permission::Rights;
use crate::model::time::Millis;

/// Latest time that is believed to be one in seconds: the end of the year 9999. What lies behind it is in milliseconds.
const SECONDS_MAX: u64 = 253_402_300_799;

/// Longest `sub` in bytes: it stands in logs.
const SUBJECT_BYTES_MAX: usize = 255;

/// The subject of a token that names none.
const NO_SUBJECT: &str = "jwt";

/// Whose tokens are taken, and how they are read.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What `iss` has to be, to the letter.
    pub issuer: String,
    /// What `aud` has to be or to hold: one of these, to the letter.
    pub audiences: Vec<String>,
    /// The claim that holds permissions, beside `scope`.
    pub permissions_claim: String,
    /// How far the clock of the issuer may be from ours, in milliseconds.
    pub leeway_ms: Millis,
}

/// Who sent a token, and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The `sub` of the token, or `jwt`.
    pub subject: String,
    /// What its bearer may do.
    pub rights: Rights,
    /// From when on the token is refused, the leeway included: streams it opened end then.
    pub expires_at_ms: Millis,
}

/// `aud` is one text or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Rules {
    /// Reads claims, at the time `now`.
    pub(super) fn read(&self, json: &[u8], now: Millis) -> Result<Identity, Refused> {
        let claims = Members::read(json).ok_or(Refused::Malformed)?;
        if text(&claims, "iss")?.ok_or(Refused::Claim("iss"))? != self.issuer {
            return Err(Refused::Issuer);
        }
        let audience = claims.get("aud").ok().flatten().ok_or(Refused::Claim("aud"))?;
        let is_meant = |one: &String| self.audiences.contains(one);
        if !match &audience {
            Audience::One(one) => is_meant(one),
            Audience::Several(several) => several.iter().any(is_meant),
        } {
            return Err(Refused::Audience);
        }
        let expires_at_ms = time(&claims, "exp")?.ok_or(Refused::Claim("exp"))? + self.leeway_ms;
        if expires_at_ms <= now {
            return Err(Refused::Expired);
        }
        for name in ["nbf", "iat"] {
            if time(&claims, name)?.is_some_and(|from| from > now + self.leeway_ms) {
                return Err(Refused::NotYet);
            }
        }
        let subject = text(&claims, "sub")?.unwrap_or_else(|| NO_SUBJECT.to_owned());
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.chars().any(char::is_control) {
            return Err(Refused::Claim("sub"));
        }
        Ok(Identity { subject, rights: self.rights(&claims)?, expires_at_ms })
    }

    /// What the claim of the gateway says and the scopes that are permissions, together. A token may well allow nothing.
    fn rights(&self, claims: &Members<'_>) -> Result<Rights, Refused> {
        // Read with the reason why it cannot be: whoever configures an issuer has to find it in the log.
        let mut permissions: Vec<Permission> = match claims.text(&self.permissions_claim) {
            Some(list) => serde_json::from_str(list).map_err(|why| Refused::Permissions(why.to_string()))?,
            None => Vec::new(),
        };
        // A list of words (RFC 8693 §4.2). Others than ours stand there too, `openid` say: they allow nothing here.
        let scope = text(claims, "scope")?.unwrap_or_default();
        permissions.extend(scope.split(' ').filter_map(|word| word.parse::<Permission>().ok()));
        Rights::new(permissions).map_err(|why| Refused::Permissions(why.to_string()))
    }
}

fn text(claims: &Members<'_>, name: &'static str) -> Result<Option<String>, Refused> {
    claims.get(name).map_err(|_| Refused::Claim(name))
}

/// A whole number of seconds since 1970, in milliseconds.
fn time(claims: &Members<'_>, name: &'static str) -> Result<Option<Millis>, Refused> {
    match claims.get::<u64>(name) {
        Ok(Some(seconds)) if seconds > SECONDS_MAX => Err(Refused::Claim(name)),
        Ok(seconds) => Ok(seconds.map(|seconds| seconds * 1_000)),
        Err(_) => Err(Refused::Claim(name)),
    }
}
