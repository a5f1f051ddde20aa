//! What permissions allow, and that narrowing never gives more.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::permission::*;

fn rights(texts: &[&str]) -> Rights {
    Rights::new(texts.iter().map(|text| text.parse().expect("a permission")).collect()).expect("few")
}

fn topic(name: &str) -> TopicName {
    name.parse().expect("a name")
}

fn group(name: &str) -> GroupName {
    name.parse().expect("a name")
}

#[test]
fn a_pattern_is_a_name_or_a_prefix() {
    for (pattern, matches, others) in [
        ("pub-a", &["pub-a"][..], &["pub-ab", "pub-", "xpub-a"][..]),
        ("pub-*", &["pub-", "pub-a", "pub-a-b"], &["pub", "xpub-a", "Pub-a"]),
        ("*", &["a", "z9"], &[]),
    ] {
        let pattern: Pattern = pattern.parse().expect("good");
        assert!(matches.iter().all(|name| pattern.matches(name)), "{pattern}");
        assert!(!others.iter().any(|name| pattern.matches(name)), "{pattern}");
    }
    for bad in ["", "a*b", "**", "*a", "a b", "a/b", "ä*", "..", "__x", &"x".repeat(250), &format!("{:x<250}*", "")] {
        assert!(bad.parse::<Pattern>().is_err(), "{bad}");
    }
}

#[test]
fn a_permission_is_read_as_it_is_written() {
    for text in ["admin:*", "consume:pub-*:g", "consume::g*", "produce:a", "metrics", "admin:a:*"] {
        let permission: Permission = text.parse().expect("good");
        assert_eq!(permission.to_string(), text);
        let json = serde_json::to_string(&permission).expect("texts");
        assert_eq!(serde_json::from_str::<Permission>(&json).expect("good"), permission, "{json}");
    }
    for bad in ["", "admin", "produce", "produce::g", "metrics:a", "own:a", "admin:a:b:c", "consume:a*b", "Admin:*"] {
        assert!(bad.parse::<Permission>().is_err(), "{bad}");
    }
    for bad in [
        r#"{"verb":"admin"}"#,
        r#"{"topic":"a"}"#,
        r#"{"verb":"admin","topics":"a"}"#,
        r#"{"verb":"admin","topic":"a*b"}"#,
        r#"{"verb":"own","topic":"a"}"#,
    ] {
        assert!(serde_json::from_str::<Permission>(bad).is_err(), "{bad}");
    }
}

#[test]
fn nobody_may_do_what_was_not_allowed() {
    let none = Rights::default();
    assert!(!none.may_see(&topic("a")) && !none.may_use_group(&group("g")));
    assert!(!none.may_administer_keys() && !none.may_read_metrics() && !none.may_consume_prefix("a"));
    let consumer = rights(&["consume:pub-*:g"]);
    assert!(consumer.may_consume(&topic("pub-a")) && consumer.may_see(&topic("pub-a")));
    assert!(consumer.may_use_group(&group("g")) && !consumer.may_use_group(&group("h")));
    assert!(!consumer.may_consume(&topic("a")) && !consumer.may_produce(&topic("pub-a")));
    assert!(!consumer.may_administer(&topic("pub-a")) && !consumer.may_administer_group(&group("g")));
    assert!(consumer.may_consume_prefix("pub-") && consumer.may_consume_prefix("pub-x"));
    assert!(!consumer.may_consume_prefix("pub") && !rights(&["consume:pub"]).may_consume_prefix("pub"));
}

#[test]
fn admin_includes_produce_and_consume_on_the_same_names() {
    let admin = rights(&["admin:a*"]);
    let a = topic("a1");
    assert!(admin.may_administer(&a) && admin.may_produce(&a) && admin.may_consume(&a));
    assert!(!admin.may_consume(&topic("b")), "other names");
    assert!(!admin.may_use_group(&group("a1")), "without a group in it: no group");
    assert!(!admin.may_administer_keys() && !admin.may_read_metrics(), "only on all topics");
    assert!(rights(&["admin:*"]).may_administer_keys() && rights(&["admin:*"]).may_read_metrics());
    assert!(rights(&["metrics"]).may_read_metrics() && !rights(&["metrics"]).may_administer_keys());
    assert!(rights(&["admin:a:g"]).may_administer_group(&group("g")));
}

#[test]
fn who_is_narrowed_to_one_name_may_only_consume_it() {
    let admin = Rights::everything();
    let narrow = admin.only_topic(&topic("a"));
    assert!(narrow.may_consume(&topic("a")) && !narrow.may_consume(&topic("b")));
    assert!(!narrow.may_produce(&topic("a")) && !narrow.may_use_group(&group("g")));
    let member = rights(&["admin:a*:g*", "produce:b"]).only_group(&group("g1"));
    assert!(member.may_use_group(&group("g1")) && !member.may_use_group(&group("g2")));
    assert!(member.may_consume(&topic("a1")) && !member.may_administer(&topic("a1")));
    assert!(!member.may_see(&topic("b")) && !member.may_administer_group(&group("g1")));
    assert_eq!(rights(&["produce:a"]).only_topic(&topic("a")), Rights::default());
    assert_eq!(rights(&["consume:a"]).only_group(&group("g")), Rights::default());
}

#[test]
fn too_many_permissions_are_refused() {
    let one: Permission = "produce:a".parse().expect("good");
    assert!(Rights::new(vec![one.clone(); PERMISSIONS_MAX]).is_ok());
    assert_eq!(Rights::new(vec![one; PERMISSIONS_MAX + 1]), Err(PermissionError::TooMany));
}

fn patterns() -> impl Strategy<Value = Pattern> {
    "[ab]{0,3}[*]|[ab]{1,3}".prop_map(|text| text.parse().expect("a pattern"))
}

fn permissions() -> impl Strategy<Value = Permission> {
    let names = (proptest::option::of(patterns()), proptest::option::of(patterns()));
    (proptest::sample::select(Verb::ALL.to_vec()), names)
        .prop_filter_map("about nothing", |(verb, (topic, group))| Permission::new(verb, topic, group).ok())
}

/// All that can be asked about one name, as one list of answers.
fn answers(rights: &Rights, name: &str) -> Vec<bool> {
    let (topic, group) = (topic(name), group(name));
    vec![
        rights.may_produce(&topic),
        rights.may_consume(&topic),
        rights.may_consume_prefix(name),
        rights.may_administer(&topic),
        rights.may_see(&topic),
        rights.may_use_group(&group),
        rights.may_administer_group(&group),
        rights.may_administer_keys(),
        rights.may_read_metrics(),
    ]
}

proptest! {
    #[test]
    fn a_narrowed_caller_never_may_more(mine in vec(permissions(), 0..4), only in "[ab]{1,3}", name in "[abc]{1,4}") {
        let rights = Rights::new(mine).expect("few");
        for narrow in [rights.only_topic(&topic(&only)), rights.only_group(&group(&only))] {
            for (theirs, ours) in answers(&narrow, &name).into_iter().zip(answers(&rights, &name)) {
                prop_assert!(!theirs || ours);
            }
            prop_assert!(!narrow.may_produce(&topic(&name)) && !narrow.may_administer(&topic(&name)));
            // So what is narrow passes every bound that the whole has passed: a ticket can be read that was written.
            prop_assert!(narrow.permissions().len() <= rights.permissions().len());
        }
    }
}
