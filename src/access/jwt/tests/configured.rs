//! Keys as they are configured: files of all kinds, key sets of all kinds.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::access::jwt::BadJwks;
use crate::access::jwt::BadKey;
use crate::access::jwt::JWKS_BYTES_MAX;
use crate::access::jwt::JWKS_KEYS_MAX;
use crate::access::jwt::Keys;
use crate::access::jwt::der::read_pem;
use crate::access::jwt::jwks::read_jwks;
use crate::access::jwt::key::Key;
use crate::access::jwt::tests::NOW;
use crate::access::jwt::tests::claims;
use crate::access::jwt::tests::jwks;
use crate::access::jwt::tests::keys::EC_PUBLIC_PEM;
use crate::access::jwt::tests::keys::RSA_PRIVATE_PEM;
use crate::access::jwt::tests::keys::RSA_PUBLIC_PEM;
use crate::access::jwt::tests::keys::Signer;
use crate::access::jwt::tests::verifier;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().expect("a directory"))
    }

    fn put(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its owner may");
        path
    }
}

#[test]
fn a_secret_is_the_bytes_of_its_file_without_the_end_of_a_text() {
    let files = Files::new();
    let text = b"0123456789abcdef0123456789abcdef";
    let bytes: [u8; 33] = std::array::from_fn(|i| if i == 32 { b'\n' } else { 0x80 + i as u8 });
    for (content, secret) in [
        (text.to_vec(), &text[..]),
        ([&text[..], b"\n"].concat(), text),
        ([&text[..], b"\r\n"].concat(), text),
        (bytes.to_vec(), &bytes),
    ] {
        let Ok(Keys::Fixed(keys)) = Keys::from_secret_file(&files.put("secret", &content, 0o600)) else {
            panic!("{content:?} is a secret");
        };
        let token = Signer::secret(secret).token("a", &claims());
        assert!(verifier(keys).verify(&token, NOW).is_ok(), "{content:?}");
    }
}

#[test]
fn what_is_no_secret_is_refused() {
    let files = Files::new();
    let set = jwks([("a", &Signer::rsa())]);
    for (content, sentence) in [
        (&b""[..], "at least 32 bytes"),
        (b"0123456789abcdef0123456789abcde\n", "at least 32 bytes"),
        (RSA_PUBLIC_PEM.as_bytes(), "--jwt-public-key-file"),
        (RSA_PRIVATE_PEM.as_bytes(), "--jwt-public-key-file"),
        (format!("\n {EC_PUBLIC_PEM}").as_bytes(), "--jwt-public-key-file"),
        (set.as_bytes(), "--jwt-public-key-file"),
        (b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ me@here", "--jwt-public-key-file"),
        (&[b'x'; 5_000], "at most 4096 bytes"),
    ] {
        let refusal = Keys::from_secret_file(&files.put("secret", content, 0o600)).expect_err("no secret").to_string();
        assert!(refusal.contains(sentence) && refusal.contains("/secret: "), "{refusal}");
    }
    let missing = Keys::from_secret_file(&files.0.path().join("missing")).expect_err("nothing").to_string();
    assert!(missing.contains("/missing: "), "{missing}");
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    let files = Files::new();
    for mode in [0o640, 0o604, 0o660, 0o644, 0o620, 0o601] {
        let refusal = Keys::from_secret_file(&files.put("secret", &[b'x'; 32], mode)).expect_err("open to others");
        assert!(refusal.to_string().contains("chmod 600"), "{mode:o}: {refusal}");
    }
    for mode in [0o600, 0o400] {
        assert!(Keys::from_secret_file(&files.put("private", &[b'x'; 32], mode)).is_ok(), "{mode:o}");
    }
}

#[test]
fn a_secret_is_not_shown() {
    let files = Files::new();
    let keys =
        Keys::from_secret_file(&files.put("secret", b"hush-hush-hush-hush-hush-hush-hush", 0o600)).expect("good");
    let shown = format!("{keys:?}");
    assert!(shown.contains("Hs256") && !shown.contains("hush-") && !shown.contains("104"), "{shown}");
}

#[test]
fn public_keys_are_read_from_several_files() {
    let files = Files::new();
    let paths = [
        files.put("rsa", RSA_PUBLIC_PEM.as_bytes(), 0o644),
        files.put("ec", format!("# of 2026\n{EC_PUBLIC_PEM}\n").as_bytes(), 0o644),
    ];
    let Ok(Keys::Fixed(keys)) = Keys::from_public_key_files(&paths) else { panic!("two keys") };
    let verifier = verifier(keys);
    for signer in [Signer::rsa(), Signer::ec()] {
        assert!(verifier.verify(&signer.token("any", &claims()), NOW).is_ok());
    }
    let refusal =
        Keys::from_public_key_files(&[paths[0].clone(), files.put("no", b"no key", 0o644)]).expect_err("no key");
    assert!(refusal.to_string().contains("/no: ") && refusal.to_string().contains("BEGIN PUBLIC KEY"), "{refusal}");
}

#[test]
fn what_is_no_public_key_is_refused() {
    let armoured = |kind: &str| RSA_PUBLIC_PEM.replace("PUBLIC KEY", kind);
    // The subject's key of RFC 8410 §10.1: another kind.
    let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    for (pem, why) in [
        (RSA_PRIVATE_PEM.to_owned(), BadKey::Private),
        (armoured("CERTIFICATE"), BadKey::Certificate),
        (armoured("EC PRIVATE KEY"), BadKey::Private),
        (format!("{RSA_PUBLIC_PEM}{EC_PUBLIC_PEM}"), BadKey::Pem),
        (String::new(), BadKey::Pem),
        (RSA_PUBLIC_PEM.replace("-----END PUBLIC KEY-----", ""), BadKey::Pem),
        (ed25519.to_owned(), BadKey::Kind),
        (EC_PUBLIC_PEM.replace("MFkw", "MFow"), BadKey::Pem),
    ] {
        assert_eq!(read_pem(pem.as_bytes()).expect_err("no public key"), why, "{pem}");
    }
    let (top, odd, one) = (|bytes: usize| [vec![0xff], vec![0; bytes - 1]].concat(), [1, 0, 1], [1]);
    assert!(Key::rsa(&top(256), &odd).is_ok() && Key::rsa(&[vec![0], top(256)].concat(), &[0, 1, 0, 1]).is_ok());
    for (n, e) in [
        (top(255), &odd[..]),
        (top(1_025), &odd),
        (Vec::new(), &odd),
        (top(256), &one),
        (top(256), &[4]),
        (top(256), &[1; 9]),
    ] {
        assert_eq!(Key::rsa(&n, e).expect_err("weak or strange"), BadKey::Rsa);
    }
    for point in [vec![], vec![4; 64], vec![4; 66], vec![2; 33], vec![5; 65]] {
        assert_eq!(Key::p256(&point).expect_err("no point"), BadKey::P256);
    }
}

#[test]
fn of_a_key_set_those_are_taken_that_are_for_tokens() {
    let (rsa, ec) = (Signer::rsa(), Signer::ec());
    let but = |jwk: Value, name: &str, value: Value| {
        let mut jwk = jwk;
        jwk[name] = value;
        jwk
    };
    for passed_over in [
        but(rsa.jwk("a"), "use", json!("enc")),
        but(rsa.jwk("a"), "key_ops", json!(["encrypt"])),
        but(rsa.jwk("a"), "alg", json!("RS512")),
        but(rsa.jwk("a"), "alg", json!("HS256")),
        but(rsa.jwk("a"), "n", json!("AQAB")),
        but(rsa.jwk("a"), "n", json!("not base64url!")),
        but(rsa.jwk("a"), "e", json!("AA")),
        but(rsa.jwk("a"), "kid", json!(1)),
        but(rsa.jwk("a"), "kid", json!("x".repeat(129))),
        but(ec.jwk("a"), "alg", json!("ES384")),
        but(ec.jwk("a"), "crv", json!("P-384")),
        but(ec.jwk("a"), "x", json!("AQAB")),
        but(ec.jwk("a"), "y", Value::Null),
        json!({"kty": "oct", "kid": "a", "alg": "HS256", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
        json!({"kty": "OKP", "kid": "a", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        json!({}),
        json!("key"),
        Value::Null,
    ] {
        let set = |keys: Value| read_jwks(json!({ "keys": keys }).to_string().as_bytes());
        assert_eq!(set(json!([passed_over])).expect_err("no key"), BadJwks::NoneUsable, "{passed_over}");
        assert_eq!(set(json!([passed_over, ec.jwk("b")])).expect("one key").len(), 1, "{passed_over}");
    }
    let set = json!({"keys": [but(rsa.jwk("a"), "key_ops", json!(["verify"])), ec.jwk("a")], "more": 1}).to_string();
    let verifier = verifier(read_jwks(set.as_bytes()).expect("two keys"));
    for signer in [rsa, ec] {
        assert!(verifier.verify(&signer.token("a", &claims()), NOW).is_ok(), "of one name, told apart by algorithm");
    }
}

#[test]
fn a_key_set_is_bounded() {
    let ec = Signer::ec();
    let many = |count: usize| jwks(vec![("a", &ec); count]);
    assert_eq!(read_jwks(many(JWKS_KEYS_MAX).as_bytes()).expect("as many as there may be").len(), JWKS_KEYS_MAX);
    assert_eq!(read_jwks(many(JWKS_KEYS_MAX + 1).as_bytes()).expect_err("one more"), BadJwks::TooMany);
    let wide = many(1) + &" ".repeat(JWKS_BYTES_MAX);
    assert_eq!(read_jwks(wide.as_bytes()).expect_err("too wide"), BadJwks::TooLong);
    for bad in
        ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":null}", "<html>", "{\"keys\":[]}x", "{\"keys\":[],\"keys\":[]}"]
    {
        assert!(matches!(read_jwks(bad.as_bytes()), Err(BadJwks::Malformed(_))), "{bad}");
    }
    assert_eq!(read_jwks(b"{\"keys\":[]}").expect_err("empty"), BadJwks::NoneUsable);
}
