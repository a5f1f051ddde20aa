//! Who is let in, and until when.

pub(crate) mod bench;

use std::net::IpAddr;
use std::net::Ipv4Addr;

use futures_util::FutureExt;
use tempfile::TempDir;

use crate::access;
use crate::access::Access;
use crate::access::Credential;
use crate::access::Denied;
use crate::access::Options;
use crate::access::caller::Caller;
use crate::access::caller::Identity;
use crate::access::error::AccessError;
use crate::access::keys::NewKey;
use crate::access::scope::Scope;
use crate::model::key::KeyLimits;
use crate::model::permission::Rights;
use crate::model::secret::ApiKey;
use crate::model::time;
use crate::tasks::Tasks;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn new_key(permissions: &[&str]) -> NewKey {
    let permissions = permissions.iter().map(|text| text.parse().expect("a permission")).collect();
    let rights = Rights::new(permissions).expect("few");
    NewKey { name: "shop".parse().expect("a name"), rights, limits: KeyLimits::default(), expires_at: None }
}

async fn make(access: &Access, permissions: &[&str]) -> ApiKey {
    access.create_key(new_key(permissions)).await.expect("made").0
}

async fn show(access: &Access, credential: Credential<'_>) -> Result<Caller, Denied> {
    access.authenticate(credential, HERE).await
}

fn topic(name: &str) -> Scope {
    Scope::Topic(name.parse().expect("a name"))
}

async fn opened() -> (TempDir, Access) {
    bench::open(Options::default()).await
}

#[tokio::test]
async fn everybody_may_do_everything_until_there_is_a_key() {
    let (_place, access) = opened().await;
    let caller = show(&access, Credential::Bearer("whatever")).await.expect("let in");
    assert!(caller.identity == Identity::Anonymous && caller.rights == Rights::everything() && !access.is_on());
    assert!(matches!(access.create_key(new_key(&["admin:a*"])).await, Err(AccessError::FirstIsNotRoot)));
    let root = make(&access, &["admin:*"]).await;
    for credential in [Credential::Nothing, Credential::Malformed, Credential::Bearer("whatever")] {
        assert_eq!(show(&access, credential).await.expect_err("denied"), Denied::Unknown);
    }
    let caller = show(&access, Credential::Bearer(root.reveal())).await.expect("let in");
    assert_eq!((caller.identity, &*caller.name), (Identity::Key(root.id()), "shop"));
}

#[tokio::test]
async fn a_key_counts_until_it_is_deleted_or_expires() {
    let (_place, access) = opened().await;
    let root = make(&access, &["admin:*"]).await;
    let (late, _) = access.create_key(NewKey { expires_at: Some(1), ..new_key(&["consume:a"]) }).await.expect("made");
    assert!(show(&access, Credential::Bearer(late.reveal())).await.is_err(), "it has expired");
    let mut other: Vec<char> = root.reveal().chars().collect();
    other[20] = if other[20] == 'x' { 'y' } else { 'x' };
    assert!(show(&access, Credential::Bearer(&other.into_iter().collect::<String>())).await.is_err());
    access.delete_key(root.id()).await.expect("deleted");
    assert!(show(&access, Credential::Bearer(root.reveal())).await.is_err());
    assert!(matches!(access.delete_key(root.id()).await, Err(AccessError::UnknownKey(id)) if id == root.id()));
    assert!(access.is_on(), "and stays so");
}

#[tokio::test]
async fn who_fails_too_often_waits_and_who_does_not_fail_does_not() {
    let (_place, access) = opened().await;
    let root = make(&access, &["admin:*"]).await;
    for _ in 0..10 {
        assert_eq!(show(&access, Credential::Bearer("no")).await.expect_err("denied"), Denied::Unknown);
    }
    assert!(matches!(show(&access, Credential::Bearer("no")).await, Err(Denied::TooOften(_))));
    assert!(show(&access, Credential::Bearer(root.reveal())).await.is_ok());
    assert_eq!(show(&access, Credential::Nothing).await.expect_err("denied"), Denied::Unknown, "it shows nothing");
}

#[tokio::test]
async fn a_ticket_is_for_what_it_says_and_ends_with_its_key() {
    let (_place, access) = opened().await;
    make(&access, &["admin:*"]).await;
    let key = make(&access, &["consume:a*:g", "produce:*"]).await;
    let caller = show(&access, Credential::Bearer(key.reveal())).await.expect("let in");
    assert!(matches!(access.ticket(&caller, topic("b"), 60_000), Err(AccessError::NotPermitted)));
    let ticket = access.ticket(&caller, topic("a1"), 60_000).expect("made");
    let by_ticket = show(&access, Credential::Ticket(&ticket.text)).await.expect("let in");
    assert_eq!((&by_ticket.identity, by_ticket.expires_at), (&caller.identity, Some(ticket.expires_at)));
    let named = |name: &str| name.parse().expect("a name");
    assert!(by_ticket.rights.may_consume(&named("a1")) && !by_ticket.rights.may_consume(&named("a2")));
    assert!(!by_ticket.rights.may_produce(&named("a1")));
    let over = access.ticket(&caller, topic("a1"), 0).expect("made");
    assert!(show(&access, Credential::Ticket(&over.text)).await.is_err(), "it is over");
    assert!(show(&access, Credential::Bearer(&ticket.text)).await.is_err(), "it is no key");
    access.delete_key(key.id()).await.expect("deleted");
    assert!(show(&access, Credential::Ticket(&ticket.text)).await.is_err(), "its key is gone");
}

#[tokio::test]
async fn a_ticket_does_not_outlive_its_key() {
    let (_place, access) = opened().await;
    make(&access, &["admin:*"]).await;
    let end = time::now() + 30_000;
    let (key, _) = access.create_key(NewKey { expires_at: Some(end), ..new_key(&["consume:a"]) }).await.expect("made");
    let caller = show(&access, Credential::Bearer(key.reveal())).await.expect("let in");
    assert_eq!(access.ticket(&caller, topic("a"), 60_000).expect("made").expires_at, end);
}

#[tokio::test]
async fn the_operators_key_turns_authentication_on_for_good() {
    const KEY: &str = "correct.horse.battery.staple.1975";
    let place = tempfile::tempdir().expect("a temporary directory");
    let store = bench::store(&place).await;
    let start = async |key: Option<&str>| {
        let admin_key = key.map(|key| key.parse().expect("long enough"));
        access::start(store.clone(), Options { admin_key, ..Options::default() }, &Tasks::default())
            .await
            .expect("read")
    };
    let with = start(Some(KEY)).await;
    let caller = show(&with, Credential::Bearer(KEY)).await.expect("let in");
    assert!(caller.identity == Identity::Operator && caller.rights == Rights::everything());
    let ticket = with.ticket(&caller, topic("a"), 60_000).expect("made");
    assert!(show(&with, Credential::Ticket(&ticket.text)).await.is_ok());
    let another = start(Some("another.horse.battery.staple.1975")).await;
    assert!(show(&another, Credential::Ticket(&ticket.text)).await.is_err(), "that key is no more");
    let without = start(None).await;
    assert!(without.is_on() && show(&without, Credential::Bearer(KEY)).await.is_err());
}

#[tokio::test]
async fn what_is_open_ends_with_the_rights() {
    let (_place, access) = opened().await;
    let anonymous = access.hold(&Caller::anonymous());
    assert!(anonymous.ended().now_or_never().is_none());
    let root = make(&access, &["admin:*"]).await;
    assert!(anonymous.has_ended(), "callers have to say who they are by now");
    let caller = show(&access, Credential::Bearer(root.reveal())).await.expect("let in");
    let (open, expired) = (access.hold(&caller), access.hold(&Caller { expires_at: Some(1), ..caller.clone() }));
    assert!(expired.has_ended() && !open.has_ended());
    access.delete_key(root.id()).await.expect("deleted");
    assert!(open.has_ended());
    assert!(access.hold(&caller).has_ended(), "the key went before the answer began");
}

#[tokio::test]
async fn another_node_hears_of_changes() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let store = bench::store(&place).await;
    let tasks = Tasks::default();
    let one = access::start(store.clone(), Options::default(), &tasks).await.expect("read");
    let other = access::start(store, Options::default(), &tasks).await.expect("read");
    let hold = other.hold(&Caller::anonymous());
    make(&one, &["admin:*"]).await;
    hold.ended().await;
    assert!(other.is_on());
    tasks.stop(std::time::Duration::from_secs(60)).await.expect("it ends");
}
