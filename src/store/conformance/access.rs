//! Keys: the first one turns authentication on, nothing turns it off, and every change is seen by its version.

use crate::model::key::Key;
use crate::model::key::KeyLimits;
use crate::model::permission::Rights;
use crate::model::secret::ApiKey;
use crate::store::access_contract::AccessState;
use crate::store::access_contract::KeyCreation;
use crate::store::conformance::bench::Bench;

fn key(name: &str, permissions: &[&str]) -> Key {
    let key = ApiKey::generate();
    let permissions = permissions.iter().map(|text| text.parse().expect("a permission"));
    Key {
        id: key.id(),
        name: name.parse().expect("a name"),
        digest: key.digest(),
        rights: Rights::new(permissions.collect()).expect("few"),
        limits: KeyLimits { streams: Some(3), ..KeyLimits::default() },
        created_at: 1_732_233_600_000,
        expires_at: None,
    }
}

async fn state(bench: &Bench) -> AccessState {
    let state = bench.store.access().await.expect("read");
    assert_eq!(bench.store.access_version().await.expect("read"), state.version);
    state
}

async fn create(bench: &Bench, key: &Key) -> KeyCreation {
    bench.store.create_key(key, 10).await.expect("done")
}

pub(in crate::store) async fn keys_come_back_as_they_were_made(mut bench: Bench) {
    let before = state(&bench).await;
    assert!(!before.is_on && before.keys.is_empty());
    let root = key("root", &["admin:*:*"]);
    let reader = Key { expires_at: Some(1_900_000_000_000), ..key("the shop's reader", &["consume:a*:g", "metrics"]) };
    assert_eq!(create(&bench, &root).await, KeyCreation::Created);
    let between = state(&bench).await;
    assert!(between.is_on && between.version > before.version);
    assert_eq!(create(&bench, &reader).await, KeyCreation::Created);
    bench.reopen().await;
    let after = state(&bench).await;
    assert!(after.version > between.version);
    assert_eq!(after.keys.len(), 2);
    for wanted in [&root, &reader] {
        let found = after.keys.iter().find(|key| key.id == wanted.id).expect("it is kept");
        assert_eq!((&found.name, &found.rights, found.limits), (&wanted.name, &wanted.rights, wanted.limits));
        assert_eq!((found.created_at, found.expires_at), (wanted.created_at, wanted.expires_at));
        assert!(found.digest.matches(&wanted.digest));
    }
    assert_eq!(after.ticket_secret.as_bytes(), before.ticket_secret.as_bytes(), "tickets outlive a restart");
}

pub(in crate::store) async fn the_first_key_can_make_others(bench: Bench) {
    for permissions in [&["admin:a*"][..], &["produce:*", "consume:*:*"], &[]] {
        assert_eq!(create(&bench, &key("reader", permissions)).await, KeyCreation::FirstIsNotRoot, "{permissions:?}");
    }
    let state = state(&bench).await;
    assert!(!state.is_on && state.keys.is_empty());
    assert_eq!(create(&bench, &key("root", &["admin:*"])).await, KeyCreation::Created);
    assert_eq!(create(&bench, &key("reader", &["consume:a"])).await, KeyCreation::Created);
}

pub(in crate::store) async fn nothing_turns_authentication_off(mut bench: Bench) {
    let root = key("root", &["admin:*"]);
    assert_eq!(create(&bench, &root).await, KeyCreation::Created);
    let before = state(&bench).await;
    assert!(bench.store.delete_key(root.id).await.expect("done"));
    assert!(!bench.store.delete_key(root.id).await.expect("done"), "it is gone");
    bench.reopen().await;
    let after = state(&bench).await;
    assert!(after.is_on && after.keys.is_empty() && after.version > before.version);
    // There is another way in by now: whoever is let in by it may make any key.
    assert_eq!(create(&bench, &key("reader", &["consume:a"])).await, KeyCreation::Created);
}

pub(in crate::store) async fn authentication_can_be_asked_for_without_a_key(mut bench: Bench) {
    bench.store.require_access().await.expect("done");
    let first = state(&bench).await;
    assert!(first.is_on);
    bench.store.require_access().await.expect("done");
    assert_eq!(state(&bench).await.version, first.version, "nothing changed");
    bench.reopen().await;
    assert!(state(&bench).await.is_on);
}

pub(in crate::store) async fn keys_are_bounded(bench: Bench) {
    let (one, other) = (key("root", &["admin:*"]), key("root", &["admin:*"]));
    assert_eq!(bench.store.create_key(&one, 1).await.expect("done"), KeyCreation::Created);
    assert_eq!(bench.store.create_key(&other, 1).await.expect("done"), KeyCreation::TooMany);
    assert!(bench.store.delete_key(one.id).await.expect("done"));
    assert_eq!(bench.store.create_key(&other, 1).await.expect("done"), KeyCreation::Created);
}
