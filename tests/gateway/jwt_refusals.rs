//! Tokens that are not let in, over HTTP, and settings that are not started with.

use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::run_to_its_end;
use crate::harness::on_sqlite;
use crate::jwt::ISSUER;
use crate::jwt::KeySet;
use crate::jwt::Showing;
use crate::jwt::claims;
use crate::jwt::now;
use crate::signers::EC_PUBLIC_PEM;
use crate::signers::RSA_PRIVATE_PEM;
use crate::signers::RSA_PUBLIC_PEM;
use crate::signers::Signer;

on_sqlite!(
    "a token is checked before any database is asked":
    every_bad_token_is_refused_alike,
    a_good_token_is_taken_however_its_scheme_is_written,
    settings_that_make_no_sense_end_the_start,
);

/// Refusals of one address in a minute before it is told to wait.
const FAILURES: usize = 10;

fn admin() -> Value {
    claims(&json!([{ "verb": "admin", "topic": "*" }]))
}

fn but(name: &str, value: Value) -> Value {
    let mut claims = admin();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = admin();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

/// All that is to be refused, with what it is.
fn bad_tokens(signer: &Signer) -> Vec<(&'static str, String)> {
    let attacker = Signer::new_ec();
    let header = |name: &str, value: Value| {
        let mut header = json!({ "alg": signer.algorithm(), "kid": "a" });
        header[name] = value;
        header.to_string()
    };
    let signed = |name: &str, value: Value| signer.sign(&header(name, value), &admin().to_string());
    let unsigned = {
        let part = |text: String| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.", part(json!({ "alg": "none" }).to_string()), part(admin().to_string()))
    };
    let good = signer.token("a", &admin());
    let (head, _) = good.rsplit_once('.').expect("three parts");
    vec![
        ("alg none without a signature", unsigned),
        ("alg none with one", signed("alg", json!("none"))),
        ("HS256 with the RSA public key", Signer::secret(RSA_PUBLIC_PEM.as_bytes()).token("a", &admin())),
        ("HS256 with it, trimmed", Signer::secret(RSA_PUBLIC_PEM.trim().as_bytes()).token("a", &admin())),
        ("another signature", format!("{head}.{}", good.chars().rev().take(86).collect::<String>().replace('.', "x"))),
        ("no signature", format!("{head}.")),
        ("a key of somebody else under a known name", attacker.token("a", &admin())),
        ("an unknown kid", signer.token("b", &admin())),
        ("a path as kid", signer.token("../../etc/passwd", &admin())),
        ("SQL as kid", signer.token("a' OR '1'='1' --", &admin())),
        ("a kid that is no text", signed("kid", json!(["a"]))),
        ("no exp", signer.token("a", &without("exp"))),
        ("exp as a text", signer.token("a", &but("exp", json!("9999999999")))),
        ("exp in milliseconds", signer.token("a", &but("exp", json!((now() + 600) * 1_000)))),
        ("exp with a fraction", signer.token("a", &but("exp", json!(now() as f64 + 600.5)))),
        ("exp over", signer.token("a", &but("exp", json!(now() - 61)))),
        ("nbf in the future", signer.token("a", &but("nbf", json!(now() + 3_600)))),
        ("iat in the future", signer.token("a", &but("iat", json!(now() + 3_600)))),
        ("another audience", signer.token("a", &but("aud", json!("somebody")))),
        ("other audiences", signer.token("a", &but("aud", json!(["somebody", "Tidegate"])))),
        ("no audience", signer.token("a", &without("aud"))),
        ("another issuer", signer.token("a", &but("iss", json!("https://id.example.com/")))),
        ("no issuer", signer.token("a", &without("iss"))),
        ("crit", signed("crit", json!(["exp"]))),
        (
            "an embedded key",
            attacker.sign(&json!({ "alg": "ES256", "jwk": attacker.jwk("x") }).to_string(), &admin().to_string()),
        ),
        ("a good token with a key in it", signed("jwk", attacker.jwk("x"))),
        ("jku to an attacker", signed("jku", json!("http://127.0.0.1:1/keys"))),
        ("x5u to an attacker", signed("x5u", json!("http://127.0.0.1:1/keys"))),
        ("permissions that are none", signer.token("a", &but("tidegate", json!("admin:*")))),
        ("20 KiB", signer.token("a", &but("pad", json!("x".repeat(20 << 10))))),
        ("padded", format!("{good}=")),
        ("four parts", format!("{good}.x")),
        ("two parts", head.to_owned()),
        ("a blank inside", good.replacen('.', ". ", 1)),
    ]
}

async fn every_bad_token_is_refused_alike(backend: Backend) {
    let signer = Signer::rsa();
    let keys = KeySet::of([("a", &signer)]);
    let flags = ["--header-bytes-max", "40000", "--headers-bytes-max", "60000"];
    let mut detail = None;
    for tokens in bad_tokens(&signer).chunks(FAILURES) {
        let gateway = keys.gateway(backend, &flags).await;
        for (what, token) in tokens {
            let answer = gateway.put("/v1/topics/made").json(&json!({})).by(token).send().await;
            let problem = answer.problem(401, "unauthorized");
            assert!(answer.header("www-authenticate").is_some(), "{what}");
            assert_eq!(*detail.get_or_insert_with(|| problem["detail"].clone()), problem["detail"], "{what}");
        }
        let good = signer.token("a", &admin());
        assert_eq!(gateway.get("/v1/topics").by(&good).send().await.is(200).json()["topics"], json!([]));
    }
    let gateway = keys.gateway(backend, &flags).await;
    let good = signer.token("a", &admin());
    gateway.get("/v1/topics").by(&good).by(&good).send().await.problem(401, "unauthorized");
    let basic = gateway.get("/v1/topics").header("authorization", &format!("Basic {good}"));
    basic.send().await.problem(401, "unauthorized");
    for path in [format!("/v1/topics?access_token={good}"), format!("/v1/topics?x={good}")] {
        gateway.get(&path).send().await.refusal(400);
    }
}

async fn a_good_token_is_taken_however_its_scheme_is_written(backend: Backend) {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its owner may");
        path.to_str().expect("UTF-8").to_owned()
    };
    let secret = "a secret of more than thirty-two bytes";
    for (flag, path, signer) in [
        ("--jwt-secret-file", file("secret", &format!("{secret}\n")), Signer::secret(secret.as_bytes())),
        ("--jwt-public-key-file", file("rsa", RSA_PUBLIC_PEM), Signer::rsa()),
        ("--jwt-public-key-file", file("ec", EC_PUBLIC_PEM), Signer::ec()),
    ] {
        let flags = ["--jwt-issuer", ISSUER, "--jwt-audience", "x,tidegate", flag, &path];
        let gateway = Gateway::with(backend, &flags).await;
        let token = signer.token("any", &admin());
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let call = gateway.get("/v1/topics").header("authorization", &format!("{scheme} {token} "));
            call.send().await.is(200);
        }
        let leeway = signer.token("any", &but("exp", json!(now() - 2)));
        gateway.get("/v1/topics").by(&leeway).send().await.is(200);
    }
}

async fn settings_that_make_no_sense_end_the_start(_: Backend) {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let file = |name: &str, content: &str, mode: u32| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("its owner may");
        path.to_str().expect("UTF-8").to_owned()
    };
    let secret = file("secret", &"x".repeat(32), 0o600);
    let open = file("open", &"x".repeat(32), 0o644);
    let public = file("public", RSA_PUBLIC_PEM, 0o600);
    let private = file("private", RSA_PRIVATE_PEM, 0o600);
    let short = file("short", "hush", 0o600);
    let ours = ["--jwt-issuer", ISSUER, "--jwt-audience", "tidegate"];
    let with = |more: &[&'static str]| -> Vec<String> { ours.iter().chain(more).map(ToString::to_string).collect() };
    let with_file = |flag: &'static str, path: &str| [with(&[flag]), vec![path.to_owned()]].concat();
    for (flags, sentence) in [
        (with(&[]), "need the issuer's keys"),
        (vec!["--jwt-secret-file".to_owned(), secret.clone()], "need --jwt-issuer"),
        (with_file("--jwt-secret-file", &open), "chmod 600"),
        (with_file("--jwt-secret-file", &public), "--jwt-public-key-file"),
        (with_file("--jwt-secret-file", &short), "at least 32 bytes"),
        (with_file("--jwt-public-key-file", &private), "private key"),
        (with_file("--jwt-public-key-file", &secret), "BEGIN PUBLIC KEY"),
        (with_file("--jwks-file", &public), "no JSON Web Key Set"),
        (with(&["--jwks-url", "http://id.example.com/keys?hush"]), "https"),
        (with(&["--jwks-url", "https://id.example.com/keys", "--jwks-file", "/nowhere"]), "one of"),
    ] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let (status, stderr) = run_to_its_end(&directory.path().join("data"), &flags).await;
        assert_eq!(status.code(), Some(2), "{flags:?}: {stderr}");
        assert!(stderr.contains(sentence) && !stderr.contains("hush"), "{flags:?}: {stderr}");
    }
}
