//! The flags of JSON Web Tokens. Files are read here, before the node starts: one that is no good ends the start with a
//! sentence.

use std::path::PathBuf;

use clap::Args;
use clap::value_parser;

use crate::access::jwt;
use crate::access::jwt::JwksUrl;
use crate::access::jwt::Keys;
use crate::access::jwt::KeysError;
use crate::access::jwt::Rules;

/// Claims that mean something already (RFC 7519 §4.1, RFC 8693 §4.2).
const TAKEN_CLAIMS: [&str; 9] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", ""];

#[derive(Debug, Args)]
#[allow(rustdoc::bare_urls)] // these comments are the help text
pub(super) struct Jwt {
    /// Take JSON Web Tokens of this issuer: what their `iss` is, to the letter
    #[arg(long, env = "TIDEGATE_JWT_ISSUER", value_name = "ISSUER")]
    jwt_issuer: Option<String>,
    /// What their `aud` is, or holds, to the letter (repeatable, or comma-separated: one of them is enough)
    #[arg(long, env = "TIDEGATE_JWT_AUDIENCE", value_name = "AUDIENCE", value_delimiter = ',')]
    jwt_audience: Vec<String>,
    /// File with the secret that they are signed with by HS256, for its owner only: at least 32 bytes
    #[arg(long, env = "TIDEGATE_JWT_SECRET_FILE", value_name = "FILE")]
    jwt_secret_file: Option<PathBuf>,
    /// PEM file with the public key for RS256 (RSA) or ES256 (P-256) (repeatable, or comma-separated: any of them is good)
    #[arg(long, env = "TIDEGATE_JWT_PUBLIC_KEY_FILE", value_name = "FILE", value_delimiter = ',')]
    jwt_public_key_file: Vec<PathBuf>,
    /// Where the issuer publishes its key set, for RS256 and ES256: https://, or http:// on this machine
    #[arg(long, env = "TIDEGATE_JWKS_URL", value_name = "URL", hide_env_values = true)]
    jwks_url: Option<String>,
    /// File with the issuer's key set; it is read again when it changes
    #[arg(long, env = "TIDEGATE_JWKS_FILE", value_name = "FILE")]
    jwks_file: Option<PathBuf>,
    /// The claim that holds permissions, beside `scope`
    #[arg(long, env = "TIDEGATE_JWT_CLAIM", value_name = "NAME", default_value = "tidegate")]
    jwt_claim: String,
    /// How far the issuer's clock may be from this one, in milliseconds
    #[arg(long, env = "TIDEGATE_JWT_LEEWAY_MS", value_name = "MS", default_value_t = 60_000,
        value_parser = value_parser!(u64).range(0..=600_000))]
    jwt_leeway_ms: u64,
}

impl Jwt {
    /// What tokens are checked with; `None` if none are taken. The error is a sentence.
    pub(super) fn options(self) -> Result<Option<jwt::Options>, String> {
        let audiences: Vec<String> = self.jwt_audience.into_iter().filter(|audience| !audience.is_empty()).collect();
        let issuer = self.jwt_issuer.filter(|issuer| !issuer.is_empty());
        let url = self.jwks_url.map(|text| text.parse::<JwksUrl>());
        // Not while the flags are parsed: what is refused there is shown, and a query may be a secret.
        let url = url.transpose().map_err(|why| format!("--jwks-url cannot be used: {why}"))?;
        let file = |keys: Result<Keys, KeysError>| keys.map_err(|why| why.to_string());
        let keys = match (self.jwt_secret_file, self.jwt_public_key_file, url, self.jwks_file) {
            (None, none, None, None) if none.is_empty() => None,
            (Some(path), none, None, None) if none.is_empty() => Some(file(Keys::from_secret_file(&path))?),
            (None, paths, None, None) => Some(file(Keys::from_public_key_files(&paths))?),
            (None, none, Some(url), None) if none.is_empty() => Some(Keys::Url(url)),
            (None, none, None, Some(path)) if none.is_empty() => Some(file(Keys::from_jwks_file(&path))?),
            _ => {
                return Err(
                    "keys for tokens come from one place: name one of --jwt-secret-file, --jwt-public-key-file, \
                            --jwks-url and --jwks-file"
                        .to_owned(),
                );
            }
        };
        let Some(keys) = keys else {
            return match issuer.is_some() || !audiences.is_empty() {
                false => Ok(None),
                true => Err("--jwt-issuer and --jwt-audience need the issuer's keys: add --jwks-url, --jwks-file, \
                             --jwt-public-key-file or --jwt-secret-file"
                    .to_owned()),
            };
        };
        let issuer = issuer.ok_or("keys for tokens need --jwt-issuer: what `iss` has to be in them")?;
        if audiences.is_empty() {
            return Err("keys for tokens need --jwt-audience: what the issuer calls this gateway in `aud`".to_owned());
        }
        if TAKEN_CLAIMS.contains(&self.jwt_claim.as_str()) {
            return Err(format!("--jwt-claim cannot be `{}`, which means something else", self.jwt_claim));
        }
        let rules = Rules { issuer, audiences, permissions_claim: self.jwt_claim, leeway_ms: self.jwt_leeway_ms };
        Ok(Some(jwt::Options { rules, keys }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        jwt: Jwt,
    }

    fn read(line: &str) -> Result<Option<jwt::Options>, String> {
        Line::try_parse_from(line.split(' ')).map_err(|why| why.to_string())?.jwt.options()
    }

    const OURS: &str = "tidegate --jwt-issuer https://id.example.com --jwt-audience tidegate,events";
    const URL: &str = "--jwks-url https://id.example.com/keys";

    #[test]
    fn without_keys_no_tokens_are_taken() {
        assert!(read("tidegate").expect("good").is_none());
        assert!(read("tidegate --jwt-leeway-ms 0 --jwt-claim rights").expect("good").is_none());
    }

    #[test]
    fn keys_are_of_one_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let secret = dir.path().join("secret");
        fs::write(&secret, "0123456789abcdef0123456789abcdef\n").expect("written");
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("its owner may");
        let secret = format!("--jwt-secret-file {}", secret.display());
        let public = format!("--jwt-public-key-file {}/tests/keys/rsa.pub.pem", env!("CARGO_MANIFEST_DIR"));
        let both = format!("{public},{}/tests/keys/ec.pub.pem", env!("CARGO_MANIFEST_DIR"));
        for keys in [URL, &secret, &public, &both] {
            let options = read(&format!("{OURS} {keys}")).expect(keys).expect("tokens are taken");
            assert_eq!((options.rules.audiences.len(), options.rules.leeway_ms), (2, 60_000));
            assert_eq!(options.rules.permissions_claim, "tidegate");
        }
        for (one, other) in [(URL, &secret), (URL, &public), (secret.as_str(), &public)] {
            let refusal = read(&format!("{OURS} {one} {other}")).expect_err("two places");
            assert!(refusal.contains("one of"), "{refusal}");
        }
        fs::write(dir.path().join("secret"), include_str!("../../tests/keys/rsa.pub.pem")).expect("written");
        assert!(read(&format!("{OURS} {secret}")).expect_err("a public key").contains("--jwt-public-key-file"));
        fs::set_permissions(dir.path().join("secret"), Permissions::from_mode(0o640)).expect("its owner may");
        assert!(read(&format!("{OURS} {secret}")).expect_err("open to others").contains("chmod 600"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        for (line, sentence) in [
            (OURS.to_owned(), "need the issuer's keys"),
            ("tidegate --jwt-audience tidegate".to_owned(), "need the issuer's keys"),
            (format!("tidegate --jwt-audience tidegate {URL}"), "need --jwt-issuer"),
            (format!("tidegate --jwt-issuer https://id.example.com {URL}"), "need --jwt-audience"),
            (format!("tidegate --jwt-issuer i --jwt-audience= {URL}"), "need --jwt-audience"),
            (format!("{OURS} --jwks-url http://id.example.com/keys?hush"), "https"),
            (format!("{OURS} --jwks-url file:///etc/passwd?hush"), "https://HOST/PATH"),
            (format!("{OURS} --jwks-file /nowhere/at/all"), "/nowhere/at/all"),
            (format!("{OURS} {URL} --jwt-claim scope"), "--jwt-claim"),
            (format!("{OURS} {URL} --jwt-leeway-ms 600001"), "--jwt-leeway-ms"),
        ] {
            let refusal = read(&line).expect_err(&line);
            assert!(refusal.contains(sentence) && !refusal.contains("hush"), "{line}: {refusal}");
        }
    }
}
