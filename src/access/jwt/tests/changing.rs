//! Keys that change, fetched from an issuer that may be down, slow, huge or hostile, and read from a file.

use std::fs;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::access::jwt::Refused;
use crate::access::jwt::Verifier;
use crate::access::jwt::fetch::Fetcher;
use crate::access::jwt::key::KeySet;
use crate::access::jwt::keyring::Keyring;
use crate::access::jwt::source::Pace;
use crate::access::jwt::source::Source;
use crate::access::jwt::tests::NOW;
use crate::access::jwt::tests::claims;
use crate::access::jwt::tests::issuer::Issuer;
use crate::access::jwt::tests::issuer::Manner;
use crate::access::jwt::tests::jwks;
use crate::access::jwt::tests::keys::Signer;
use crate::access::jwt::tests::rules;
use crate::tasks::Tasks;

const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(20);

/// So slow that a test sees nothing but the first look.
const ONCE: Pace = Pace { between_min: HOUR, between: HOUR, between_max: HOUR, kept_max: HOUR };
/// Looks only when it is asked to, but then at once.
const ASKED: Pace = Pace { between_min: Duration::ZERO, between: HOUR, between_max: HOUR, kept_max: HOUR };
/// Looks all the time.
const OFTEN: Pace = Pace { between_min: SOON, between: SOON, between_max: SOON, kept_max: HOUR };

/// A verifier of keys that are kept up, and what does it.
struct Node {
    verifier: Verifier,
    tasks: Tasks,
}

impl Node {
    fn new(source: Source, pace: Pace) -> Self {
        let tasks = Tasks::default();
        let ring = Keyring::kept_up(KeySet::default(), source, pace, &tasks);
        Self { verifier: Verifier { rules: rules(), ring }, tasks }
    }

    fn of(issuer: &Issuer, pace: Pace) -> Self {
        Self::new(Source::Url(Fetcher::new(issuer.url())), pace)
    }

    async fn ask(&self, signer: &Signer, kid: &str) -> Result<(), Refused> {
        self.verifier.verify_or_ask(&signer.token(kid, &claims()), || NOW).await.map(drop)
    }

    fn knows(&self, signer: &Signer, kid: &str) -> bool {
        self.verifier.verify(&signer.token(kid, &claims()), NOW).is_ok()
    }

    async fn stop(self) {
        self.tasks.stop(Duration::from_secs(60)).await.expect("the task ends when it is told to");
    }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "{what}: not within a minute");
        sleep(Duration::from_millis(2)).await;
    }
}

async fn bounded<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), work).await.expect("an answer within a minute")
}

#[tokio::test]
async fn the_first_token_waits_for_the_first_keys() {
    let (a, b) = (Signer::rsa(), Signer::new_ec());
    let issuer = Issuer::new(Manner::keys([("a", &a), ("b", &b)])).await;
    let node = Node::of(&issuer, ONCE);
    assert_eq!(bounded(node.ask(&a, "a")).await, Ok(()));
    assert_eq!(bounded(node.ask(&b, "b")).await, Ok(()));
    assert_eq!(issuer.asked(), 1);
    node.stop().await;
}

#[tokio::test]
async fn unknown_keys_are_asked_for_once_in_a_while_and_refused_at_once_in_between() {
    let (known, unknown) = (Signer::ec(), Signer::new_ec());
    let issuer = Issuer::new(Manner::keys([("a", &known)])).await;
    let node = Node::of(&issuer, ONCE);
    assert_eq!(bounded(node.ask(&known, "a")).await, Ok(()));
    issuer.set(Manner::keys([("b", &unknown)]));
    for i in 0..500 {
        let kid = if i % 2 == 0 { "b".to_owned() } else { format!("b{i}") };
        assert_eq!(bounded(node.ask(&unknown, &kid)).await, Err(Refused::UnknownKey));
        assert!(node.knows(&known, "a"));
    }
    assert_eq!(issuer.asked(), 1);
    node.stop().await;
}

#[tokio::test]
async fn a_rotated_key_is_picked_up_when_its_first_token_comes() {
    let signers: Vec<Signer> = (0..5).map(|_| Signer::new_ec()).collect();
    let issuer = Issuer::new(Manner::HangingUp).await;
    let node = Node::of(&issuer, ASKED);
    for (i, signer) in signers.iter().enumerate() {
        let kid = i.to_string();
        issuer.set(Manner::keys([(kid.as_str(), signer)]));
        until("the new key", async || bounded(node.ask(signer, &kid)).await.is_ok()).await;
        if let Some(gone) = i.checked_sub(1) {
            assert!(!node.knows(&signers[gone], &gone.to_string()), "the old one is no longer published");
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn a_rotated_key_is_picked_up_without_anybody_asking() {
    let (old, new) = (Signer::ec(), Signer::new_ec());
    let issuer = Issuer::new(Manner::keys([("a", &old)])).await;
    let node = Node::of(&issuer, OFTEN);
    until("the first key", async || node.knows(&old, "a")).await;
    issuer.set(Manner::keys([("a", &new)]));
    until("the new key under the old name", async || node.knows(&new, "a")).await;
    assert!(!node.knows(&old, "a"), "the old key is no longer good");
    node.stop().await;
}

#[tokio::test]
async fn all_who_wait_wait_for_one_fetch() {
    let (known, later) = (Signer::ec(), Signer::new_ec());
    let issuer = Issuer::new(Manner::keys([("a", &known)])).await;
    let node = Arc::new(Node::of(&issuer, Pace { between_min: Duration::ZERO, ..ONCE }));
    assert_eq!(bounded(node.ask(&known, "a")).await, Ok(()));
    // The first look is over; all of these ask for the second at once.
    let asked = issuer.asked();
    issuer.set(Manner::keys([("a", &known), ("b", &later)]));
    let outcomes = bounded(join_all((0..200).map(|_| node.ask(&later, "b")))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(issuer.asked(), asked + 1);
}

#[tokio::test]
async fn known_keys_go_on_working_whatever_the_issuer_does() {
    let (known, unknown) = (Signer::rsa(), Signer::new_ec());
    let elsewhere = Issuer::new(Manner::keys([("b", &unknown)])).await;
    let redirect = |status: &str| {
        let to = elsewhere.address;
        Manner::Answer(format!("HTTP/1.1 {status}\r\nLocation: http://{to}/keys?of=test\r\nContent-Length: 0\r\n\r\n"))
    };
    let good = jwks([("b", &unknown)]);
    let bad = [
        Manner::HangingUp,
        Manner::Endless,
        redirect("301 Moved Permanently"),
        redirect("302 Found"),
        redirect("307 Temporary Redirect"),
        redirect("308 Permanent Redirect"),
        Manner::Answer(format!("HTTP/1.1 500 No\r\nContent-Length: {}\r\n\r\n{good}", good.len())),
        Manner::Answer(format!("HTTP/1.1 206 Part\r\nContent-Length: {}\r\n\r\n{good}", good.len())),
        Manner::Answer(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{good}", good.len() + 1)),
        Manner::Answer(format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{good}")),
        Manner::json(&(good.clone() + &" ".repeat(256 << 10)), ""),
        Manner::json(&good, "Content-Encoding: gzip\r\n"),
        Manner::json("", ""),
        Manner::json("<html>", ""),
        Manner::Answer(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n{good}", "x".repeat(1 << 20))),
        Manner::Answer("SSH-2.0-OpenSSH_9.9\r\n".to_owned()),
    ];
    for manner in bad {
        let issuer = Issuer::new(Manner::keys([("a", &known)])).await;
        let node = Node::of(&issuer, OFTEN);
        until("the first keys", async || node.knows(&known, "a")).await;
        issuer.set(manner);
        // One of the next fetches begins after the change, and one more ends it.
        let asked = issuer.asked();
        until("more fetches", async || {
            assert!(node.knows(&known, "a"));
            issuer.asked() > asked + 2
        })
        .await;
        assert_eq!(bounded(node.ask(&unknown, "b")).await, Err(Refused::UnknownKey));
        issuer.set(Manner::keys([("b", &unknown)]));
        until("good again", async || node.knows(&unknown, "b")).await;
        node.stop().await;
    }
    assert_eq!(elsewhere.asked(), 0, "no redirect is followed");
}

#[tokio::test]
async fn a_withdrawn_key_is_good_no_more() {
    let known = Signer::new_ec();
    for without in [r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"AAEC"}]}"#] {
        let issuer = Issuer::new(Manner::keys([("a", &known)])).await;
        let node = Node::of(&issuer, OFTEN);
        until("the key", async || node.knows(&known, "a")).await;
        issuer.set(Manner::json(without, ""));
        until("it is withdrawn", async || !node.knows(&known, "a")).await;
        issuer.set(Manner::keys([("a", &known)]));
        until("it is back", async || node.knows(&known, "a")).await;
        node.stop().await;
    }
}

#[tokio::test]
async fn a_silent_issuer_is_waited_for_but_not_for_ever() {
    let (known, unknown) = (Signer::ec(), Signer::new_ec());
    let issuer = Issuer::new(Manner::keys([("a", &known)])).await;
    let node = Arc::new(Node::of(&issuer, Pace { between_min: Duration::ZERO, ..ONCE }));
    assert_eq!(bounded(node.ask(&known, "a")).await, Ok(()));
    issuer.set(Manner::Silent);
    let asked = issuer.asked();
    let mut waiting = Box::pin(node.ask(&unknown, "b"));
    until("the fetch", async || {
        assert!(futures_util::poll!(&mut waiting).is_pending() || issuer.asked() > asked);
        issuer.asked() > asked
    })
    .await;
    assert!(node.knows(&known, "a"), "the others do not wait");
    assert_eq!(bounded(waiting).await, Err(Refused::UnknownKey));
    assert_eq!(issuer.asked(), asked + 1);
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_is_found_later() {
    let signer = Signer::ec();
    let issuer = Issuer::new(Manner::HangingUp).await;
    let node = Node::of(&issuer, OFTEN);
    assert_eq!(bounded(node.ask(&signer, "a")).await, Err(Refused::UnknownKey));
    issuer.set(Manner::keys([("a", &signer)]));
    until("the keys", async || node.knows(&signer, "a")).await;
    node.stop().await;
}

#[tokio::test]
async fn keys_of_an_issuer_that_is_gone_for_too_long_are_no_longer_good() {
    let signer = Signer::ec();
    let issuer = Issuer::new(Manner::keys([("a", &signer)])).await;
    let node = Node::of(&issuer, Pace { kept_max: SOON, ..OFTEN });
    until("the keys", async || node.knows(&signer, "a")).await;
    issuer.set(Manner::HangingUp);
    until("they are dropped", async || !node.knows(&signer, "a")).await;
    issuer.set(Manner::keys([("a", &signer)]));
    until("the same keys, read anew", async || node.knows(&signer, "a")).await;
    node.stop().await;
}

#[tokio::test]
async fn what_an_issuer_calls_fresh_is_fetched_again_within_bounds() {
    let signer = Signer::ec();
    // It says `an hour`, and at most 20 ms are believed.
    let issuer = Issuer::new(Manner::json(&jwks([("a", &signer)]), "Cache-Control: public, max-age=3600\r\n")).await;
    let node = Node::of(&issuer, OFTEN);
    until("a second fetch", async || issuer.asked() >= 2).await;
    node.stop().await;
    // It says `now`, and that is not believed either.
    let issuer = Issuer::new(Manner::json(&jwks([("a", &signer)]), "Cache-Control: max-age=0\r\n")).await;
    let node = Node::of(&issuer, Pace { between: SOON, ..ONCE });
    assert_eq!(bounded(node.ask(&signer, "a")).await, Ok(()));
    for _ in 0..100 {
        assert_eq!(bounded(node.ask(&signer, "b")).await, Err(Refused::UnknownKey));
    }
    assert_eq!(issuer.asked(), 1);
    node.stop().await;
    // It says `at once`, where that may be.
    let issuer = Issuer::new(Manner::json(&jwks([("a", &signer)]), "Cache-Control: no-cache, Max-Age=\"0\"\r\n")).await;
    let node = Node::of(&issuer, Pace { between_min: SOON, ..ONCE });
    until("a second fetch", async || issuer.asked() >= 2).await;
    node.stop().await;
}

#[tokio::test]
async fn a_file_that_changes_is_read_again() {
    let (old, new) = (Signer::rsa(), Signer::new_ec());
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("jwks.json");
    let replace = |content: &str| {
        let next = dir.path().join("next");
        fs::write(&next, content).expect("written");
        fs::rename(&next, &path).expect("replaced");
    };
    replace(&jwks([("a", &old)]));
    let node = Node::new(Source::File(path.clone()), OFTEN);
    until("the first key", async || node.knows(&old, "a")).await;
    replace(&jwks([("a", &old), ("b", &new)]));
    until("the second key", async || node.knows(&new, "b")).await;
    assert!(node.knows(&old, "a"));
    // What cannot be read changes nothing.
    replace("{");
    assert_eq!(bounded(node.ask(&Signer::new_ec(), "c")).await, Err(Refused::UnknownKey));
    fs::remove_file(&path).expect("removed");
    assert_eq!(bounded(node.ask(&Signer::new_ec(), "c")).await, Err(Refused::UnknownKey));
    assert!(node.knows(&new, "b"));
    replace(&jwks([("b", &new)]));
    until("the first key is gone", async || !node.knows(&old, "a")).await;
    node.stop().await;
}
