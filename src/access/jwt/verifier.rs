//! Tokens in, identities out.

use crate::access::jwt::claims::Identity;
use crate::access::jwt::claims::Rules;
use crate::access::jwt::fetch::Fetcher;
use crate::access::jwt::key::KeySet;
use crate::access::jwt::keyring::Keyring;
use crate::access::jwt::options::Keys;
use crate::access::jwt::options::Options;
use crate::access::jwt::refused::Refused;
use crate::access::jwt::source::Source;
use crate::access::jwt::token::Token;
use crate::model::time::Millis;
use crate::tasks::Tasks;

/// Checks tokens. A clone is the same verifier.
#[derive(Clone)]
pub struct Verifier {
    pub(super) rules: Rules,
    pub(super) ring: Keyring,
}

/// A verifier; keys that change are kept up until `tasks` stop. Does not wait for them: until they are there, tokens wait.
pub fn start(options: Options, tasks: &Tasks) -> Verifier {
    let (keys, source) = match options.keys {
        Keys::Fixed(keys) => return Verifier { rules: options.rules, ring: Keyring::fixed(keys) },
        Keys::Url(url) => (KeySet::default(), Source::Url(Fetcher::new(url))),
        Keys::File(path, keys) => (keys, Source::File(path)),
    };
    let pace = source.pace();
    Verifier { rules: options.rules, ring: Keyring::kept_up(keys, source, pace, tasks) }
}

impl Verifier {
    /// Who sends this token at the time `now`, by the keys that are known.
    ///
    /// # Errors
    /// [`Refused`] says why it is nobody. It is for the log: the sender learns only that it is refused.
    pub fn verify(&self, token: &str, now: Millis) -> Result<Identity, Refused> {
        let token = Token::parse(token)?;
        self.identify(&token, &self.ring.known().keys, now)
    }

    /// As [`Self::verify`] by the clock `now`, and a token of an unknown key is checked again once its issuer has been asked for newer keys.
    /// That is done at most every 30 seconds and takes at most six; in between such a token is refused at once.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn verify_or_ask(&self, token: &str, now: impl Fn() -> Millis) -> Result<Identity, Refused> {
        let token = Token::parse(token)?;
        let known = self.ring.known();
        match self.identify(&token, &known.keys, now()) {
            Err(Refused::UnknownKey) => {
                let keys = self.ring.newer(known).await.ok_or(Refused::UnknownKey)?;
                self.identify(&token, &keys, now())
            }
            outcome => outcome,
        }
    }

    /// Reads no claim before the signature is known to be right.
    fn identify(&self, token: &Token<'_>, keys: &KeySet, now: Millis) -> Result<Identity, Refused> {
        keys.check(token)?;
        self.rules.read(&token.claims, now)
    }
}
