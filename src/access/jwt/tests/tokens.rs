//! Tokens, good and bad, at one moment and with keys that do not change.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use crate::access::jwt::Refused;
use crate::access::jwt::TOKEN_BYTES_MAX;
use crate::access::jwt::der::read_pem;
use crate::access::jwt::jwks::read_jwks;
use crate::access::jwt::key::Key;
use crate::access::jwt::key::KeySet;
use crate::access::jwt::tests::NOW;
use crate::access::jwt::tests::NOW_S;
use crate::access::jwt::tests::but;
use crate::access::jwt::tests::claimed;
use crate::access::jwt::tests::claims;
use crate::access::jwt::tests::jwks;
use crate::access::jwt::tests::keys::EC_PUBLIC_PEM;
use crate::access::jwt::tests::keys::RSA_PUBLIC_PEM;
use crate::access::jwt::tests::keys::Signer;
use crate::access::jwt::tests::verifier;
use crate::access::jwt::tests::verifier_of;
use crate::access::jwt::tests::without;

const SECRET: &[u8] = b"thirty-two bytes are the minimum";

/// A key of each algorithm as it is configured, and who signs for it.
fn configured() -> [(KeySet, Signer); 3] {
    let of_pem = |pem: &str| KeySet::new(vec![read_pem(pem.as_bytes()).expect("a public key")]);
    let secret = KeySet::new(vec![Key::secret(SECRET).expect("a secret")]);
    [(secret, Signer::secret(SECRET)), (of_pem(RSA_PUBLIC_PEM), Signer::rsa()), (of_pem(EC_PUBLIC_PEM), Signer::ec())]
}

#[test]
fn a_good_token_is_let_in_with_each_algorithm() {
    for (keys, signer) in configured() {
        let identity = verifier(keys).verify(&signer.token("any", &claims()), NOW).expect("good");
        assert_eq!((identity.subject.as_str(), identity.expires_at_ms), ("alice", NOW + 600_000 + 30_000));
        assert_eq!(identity.rights.permissions(), ["consume:pub-*:g".parse().expect("good")]);
    }
    for signer in [Signer::rsa(), Signer::ec(), Signer::new_ec()] {
        assert!(verifier_of(&signer).verify(&signer.token("a", &claims()), NOW).is_ok(), "as a key set publishes it");
    }
}

#[test]
fn a_key_is_good_for_its_own_algorithm_only() {
    for (keys, signer) in configured() {
        let verifier = verifier(keys);
        for other in ["HS256", "RS256", "ES256"].into_iter().filter(|other| *other != signer.algorithm()) {
            let token = signer.sign(&json!({"alg": other}).to_string(), &claims().to_string());
            assert_eq!(verifier.verify(&token, NOW), Err(Refused::UnknownKey), "{other} by {}", signer.algorithm());
        }
        for other in ["none", "None", "nOnE", "", "hs256", "HS384", "HS512", "RS384", "PS256", "ES384", "EdDSA"] {
            let token = signer.sign(&json!({"alg": other}).to_string(), &claims().to_string());
            assert_eq!(verifier.verify(&token, NOW), Err(Refused::Algorithm), "`{other}` by {}", signer.algorithm());
        }
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let rsa = Signer::rsa();
    let by_pem = verifier(KeySet::new(vec![read_pem(RSA_PUBLIC_PEM.as_bytes()).expect("a public key")]));
    let der = RSA_PUBLIC_PEM.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let der = STANDARD.decode(der).expect("PEM is base64");
    for public in
        [RSA_PUBLIC_PEM.as_bytes(), RSA_PUBLIC_PEM.trim_end().as_bytes(), &der, jwks([("a", &rsa)]).as_bytes()]
    {
        let forged = Signer::secret(public).token("a", &claims());
        for verifier in [&by_pem, &verifier_of(&rsa)] {
            assert_eq!(verifier.verify(&forged, NOW), Err(Refused::UnknownKey));
        }
    }
}

#[test]
fn a_signature_of_somebody_else_is_refused() {
    for (keys, _) in configured() {
        let verifier = verifier(keys);
        for forger in [Signer::secret(&[7; 32]), Signer::new_ec()] {
            let outcome = verifier.verify(&forger.token("a", &claims()), NOW);
            assert!(matches!(outcome, Err(Refused::UnknownKey | Refused::Signature)), "{outcome:?}");
        }
    }
    let real = Signer::ec();
    let forged = Signer::new_ec().token("a", &claims());
    assert_eq!(verifier_of(&real).verify(&forged, NOW), Err(Refused::Signature), "under the name of a known key");
    // ring refuses them too; but an implementation that forgot to was all the world's (CVE-2022-21449).
    let (signed, _) = forged.rsplit_once('.').expect("three parts");
    let zeros = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 64]));
    assert_eq!(verifier_of(&real).verify(&zeros, NOW), Err(Refused::Signature));
}

#[test]
fn a_header_cannot_bring_its_own_key_or_extensions() {
    let signer = Signer::ec();
    let verifier = verifier_of(&signer);
    let attacker = Signer::new_ec();
    for (name, value, why) in [
        ("jwk", attacker.jwk("a"), Refused::OwnKey),
        ("jku", json!("https://attacker.example.com/keys"), Refused::OwnKey),
        ("x5u", json!("https://attacker.example.com/chain"), Refused::OwnKey),
        ("crit", json!(["exp"]), Refused::Critical),
        ("crit", json!([]), Refused::Critical),
        ("crit", Value::Null, Refused::Critical),
        ("typ", json!("dpop+jwt"), Refused::Type),
        ("typ", json!("logout+jwt"), Refused::Type),
        ("typ", json!(1), Refused::Type),
        ("kid", json!(1), Refused::Malformed),
        ("kid", Value::Null, Refused::Malformed),
        ("kid", json!("x".repeat(129)), Refused::Malformed),
        ("alg", json!(["ES256"]), Refused::Algorithm),
        ("alg", Value::Null, Refused::Algorithm),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "a"});
        header[name] = value;
        for by in [&signer, &attacker] {
            assert_eq!(verifier.verify(&by.sign(&header.to_string(), &claims().to_string()), NOW), Err(why.clone()));
        }
    }
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"] {
        let header = json!({"alg": "ES256", "typ": typ, "x5t": "x", "x5c": ["x"]}).to_string();
        assert!(verifier.verify(&signer.sign(&header, &claims().to_string()), NOW).is_ok(), "{typ}");
    }
    for header in [r#"{"alg":"ES256","alg":"none"}"#, r#"{"alg":"none","alg":"ES256"}"#, "[]", "{", "", "\u{feff}{}"] {
        let token = signer.sign(header, &claims().to_string());
        assert_eq!(verifier.verify(&token, NOW), Err(Refused::Malformed), "{header}");
    }
}

#[test]
fn a_kid_is_a_name_and_nothing_else() {
    let signer = Signer::ec();
    let strange =
        ["../../etc/passwd", "' OR 1=1 --", "a\0b", "%61", "A", " a", "a ", "", "\u{430}", "http://127.0.0.1/"];
    let verifier = verifier_of(&signer);
    for kid in strange {
        assert_eq!(verifier.verify(&signer.token(kid, &claims()), NOW), Err(Refused::UnknownKey), "{kid:?}");
        assert!(verifier_of(&signer).verify(&signer.token("a", &claims()), NOW).is_ok());
        // An issuer may call its keys so; then it is the name.
        let named = read_jwks(jwks([(kid, &signer)]).as_bytes()).expect("a good set");
        assert!(super::verifier(named).verify(&signer.token(kid, &claims()), NOW).is_ok(), "{kid:?}");
    }
    // Of two keys the one is tried that the token names; without a name both are.
    let other = Signer::new_ec();
    let both = super::verifier(read_jwks(jwks([("a", &signer), ("b", &other)]).as_bytes()).expect("a good set"));
    assert!(both.verify(&signer.token("a", &claims()), NOW).is_ok());
    assert_eq!(both.verify(&signer.token("b", &claims()), NOW), Err(Refused::Signature));
    for by in [&signer, &other] {
        assert!(both.verify(&by.sign(r#"{"alg":"ES256"}"#, &claims().to_string()), NOW).is_ok());
    }
}

#[test]
fn a_time_is_a_whole_number_of_seconds() {
    for bad in [
        json!("9999999999"),
        json!(NOW + 600_000),
        json!(1_800_000_600.5),
        json!(-1),
        json!(true),
        json!([NOW_S + 600]),
        json!({}),
        Value::Null,
        json!(u64::MAX),
    ] {
        assert_eq!(claimed(&but("exp", bad.clone())), Err(Refused::Claim("exp")), "{bad}");
        assert_eq!(claimed(&but("nbf", bad.clone())), Err(Refused::Claim("nbf")), "{bad}");
        assert_eq!(claimed(&but("iat", bad.clone())), Err(Refused::Claim("iat")), "{bad}");
    }
    let text = claims().to_string();
    let signer = Signer::ec();
    for bad in ["1e10", "1800000600.0", "99999999999999999999999999", "01800000600", "+1800000600", "NaN"] {
        let text = text.replace(&(NOW_S + 600).to_string(), bad);
        let token = signer.sign(r#"{"alg":"ES256"}"#, &text);
        let outcome = verifier_of(&signer).verify(&token, NOW);
        assert!(matches!(outcome, Err(Refused::Claim("exp") | Refused::Malformed)), "{bad}: {outcome:?}");
    }
}

#[test]
fn a_token_is_good_from_its_beginning_to_its_end_give_or_take_the_leeway() {
    for (seconds, is_good) in
        [(600, true), (1, true), (0, true), (-29, true), (-30, false), (-31, false), (-9_000, false)]
    {
        let outcome = claimed(&but("exp", json!(NOW_S.checked_add_signed(seconds))));
        assert_eq!(outcome.err(), (!is_good).then_some(Refused::Expired), "exp {seconds}");
    }
    for (seconds, is_good) in [(-600, true), (0, true), (30, true), (31, false), (9_000, false)] {
        for name in ["nbf", "iat"] {
            let outcome = claimed(&but(name, json!(NOW_S.checked_add_signed(seconds))));
            assert_eq!(outcome.err(), (!is_good).then_some(Refused::NotYet), "{name} {seconds}");
        }
    }
}

#[test]
fn an_identity_ends_at_the_moment_from_which_its_token_is_refused() {
    let signer = Signer::ec();
    let (verifier, token) = (verifier_of(&signer), signer.token("a", &claims()));
    let end = verifier.verify(&token, NOW).expect("good").expires_at_ms;
    assert!(verifier.verify(&token, end - 1).is_ok());
    assert_eq!(verifier.verify(&token, end), Err(Refused::Expired));
}

#[test]
fn a_token_is_of_our_issuer_and_for_us() {
    for issuer in
        ["https://id.example.com/", "https://ID.example.com", "", "https://id.example.com.evil.com", "https://id"]
    {
        assert_eq!(claimed(&but("iss", json!(issuer))), Err(Refused::Issuer), "{issuer}");
    }
    for good in [json!("tidegate"), json!(["x", "https://events.example.com"]), json!(["tidegate"])] {
        assert!(claimed(&but("aud", good.clone())).is_ok(), "{good}");
    }
    for other in [json!("Tidegate"), json!(""), json!([]), json!(["x"]), json!("tidegate x"), json!("tidegate,x")] {
        assert_eq!(claimed(&but("aud", other.clone())), Err(Refused::Audience), "{other}");
    }
    for (name, bad) in [
        ("iss", json!(["https://id.example.com"])),
        ("iss", Value::Null),
        ("aud", Value::Null),
        ("aud", json!(1)),
        ("aud", json!({"tidegate": true})),
        ("aud", json!(["tidegate", 1])),
        ("sub", json!(1)),
        ("sub", json!("")),
        ("sub", json!("a\nb")),
        ("sub", json!("x".repeat(256))),
        ("scope", json!(["admin:*"])),
    ] {
        assert_eq!(claimed(&but(name, bad.clone())), Err(Refused::Claim(name)), "{bad}");
    }
    for name in ["iss", "aud", "exp"] {
        assert_eq!(claimed(&without(name)), Err(Refused::Claim(name)));
    }
    assert_eq!(claimed(&without("sub")).expect("good").subject, "jwt");
}

#[test]
fn claims_that_come_twice_are_refused() {
    let signer = Signer::ec();
    let text = claims().to_string();
    let expired = format!("{{\"exp\":1,{}", &text[1..]);
    for bad in [expired.as_str(), "[]", "1", "", "{}{}", &format!("{text} x"), &format!("\u{feff}{text}")] {
        let token = signer.sign(r#"{"alg":"ES256"}"#, bad);
        assert_eq!(verifier_of(&signer).verify(&token, NOW), Err(Refused::Malformed), "{bad}");
    }
    let token = signer.sign(r#"{"alg":"ES256"}"#, &format!(" \n{text}\t"));
    assert!(verifier_of(&signer).verify(&token, NOW).is_ok(), "blanks are JSON");
}

#[test]
fn rights_come_from_the_configured_claim_and_from_scopes() {
    let rights = |claims: &Value| {
        claimed(claims)
            .map(|identity| identity.rights.permissions().iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    for (claims, expected) in [
        (without("tidegate"), ""),
        (but("tidegate", json!([])), ""),
        (but("tidegate", json!([{"verb": "admin", "topic": "*"}, {"verb": "metrics"}])), "admin:* metrics"),
        (but("scope", json!("openid produce:orders-* email")), "consume:pub-*:g produce:orders-*"),
        (but("scope", json!("admin produce: produce:a*b Produce:a  ")), "consume:pub-*:g"),
        (but("permissions", json!([{"verb": "admin", "topic": "*"}])), "consume:pub-*:g"),
        (but("scp", json!("admin:*")), "consume:pub-*:g"),
        (but("roles", json!(["admin:*"])), "consume:pub-*:g"),
    ] {
        assert_eq!(rights(&claims).as_deref(), Ok(expected), "{claims}");
    }
    for bad in [
        json!("admin:*"),
        json!(["admin:*"]),
        json!({"verb": "admin", "topic": "*"}),
        json!([{"verb": "own", "topic": "*"}]),
        json!([{"verb": "admin", "topic": "*", "until": 1}]),
        json!([{"verb": "consume", "topic": "a*b"}]),
        json!([{"verb": "consume"}]),
        json!(vec![json!({"verb": "consume", "topic": "a"}); 65]),
        Value::Null,
    ] {
        assert!(matches!(claimed(&but("tidegate", bad.clone())), Err(Refused::Permissions(_))), "{bad}");
    }
}

#[test]
fn a_token_can_be_written_in_one_way_only() {
    let signer = Signer::ec();
    let verifier = verifier_of(&signer);
    let token = signer.token("a", &claims());
    assert!(verifier.verify(&token, NOW).is_ok());
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let (header, payload) = signed.split_once('.').expect("three parts");
    let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    for bad in [
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}="),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{signed}.{}", URL_SAFE.encode(&bytes)),
        format!("{signed}.{signature}A"),
        format!("{header}. {payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{signed}."),
        signed.to_owned(),
        header.to_owned(),
        "..".to_owned(),
        String::new(),
        "a.b.c.d.e".to_owned(),
    ] {
        assert!(verifier.verify(&bad, NOW).is_err(), "{bad:?}");
    }
    // 64 bytes leave four bits of the last character that count for nothing: they have to be zero.
    let last = signature.chars().last().expect("not empty");
    for other in ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).filter(|other| *other != last) {
        let bad = format!("{}{other}", &token[..token.len() - 1]);
        assert!(verifier.verify(&bad, NOW).is_err(), "{other}");
    }
}

#[test]
fn a_token_has_a_longest_length() {
    let signer = Signer::ec();
    let verifier = verifier_of(&signer);
    let of_length = |length: usize| {
        let longer = |pad: usize| signer.token("a", &but("pad", json!("x".repeat(pad))));
        (0..length).map(|pad| pad + (length - 500) * 3 / 4 - 400).map(longer).find(|token| token.len() >= length)
    };
    let longest = of_length(TOKEN_BYTES_MAX).expect("any length can be had, but for one in four");
    let shorter = of_length(TOKEN_BYTES_MAX - 2).expect("as well");
    assert!(shorter.len() <= TOKEN_BYTES_MAX && verifier.verify(&shorter, NOW).is_ok());
    let beyond = format!("{longest}x");
    for long in [&beyond, &signer.token("a", &but("pad", json!("x".repeat(20 << 10)))), &"x".repeat(1 << 20)] {
        assert_eq!(verifier.verify(long, NOW), Err(Refused::TooLong));
    }
}

proptest! {
    /// Whatever a bit of a token is turned into, it is not a token any more.
    #[test]
    fn a_flipped_bit_never_verifies(algorithm in 0..3_usize, at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let (keys, signer) = configured().into_iter().nth(algorithm).expect("three");
        let token = signer.token("a", &claims());
        let mut bytes = token.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(flipped) = String::from_utf8(bytes) {
            prop_assert!(verifier(keys).verify(&flipped, NOW).is_err());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", header in "\\PC{0,100}", claims in "\\PC{0,100}") {
        let signer = Signer::ec();
        let verifier = verifier_of(&signer);
        let (any_header, good_header) = (signer.sign(&header, &claims), signer.sign(r#"{"alg":"ES256"}"#, &claims));
        for token in [text, any_header, good_header] {
            prop_assert!(verifier.verify(&token, NOW).is_err(), "{}", token);
        }
    }
}
