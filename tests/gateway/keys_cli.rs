//! `tidegate keys` on the data directory, on the database, and through a gateway; and the start without keys.

use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::Backend;
use crate::harness::access::ADMIN_KEY;
use crate::harness::access::Guarded;
use crate::harness::access::text;
use crate::harness::gateway::Gateway;
use crate::harness::on_backend;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::terminal::Ended;
use crate::harness::terminal::run;
use crate::harness::wait::eventually;
use crate::harness::wait::soon;

on_each_backend!(keys_are_made_listed_and_deleted_through_a_gateway, other_commands_take_a_key);

on_sqlite!("the directory is one process's own":
    the_first_key_is_made_before_the_first_start,
    a_gateway_that_runs_is_named,
    who_can_be_reached_by_others_needs_keys,
);

on_backend!(beside_nodes, Postgres, keys_are_made_beside_nodes_that_run);

/// Runs `tidegate` with these words, and without a variable of ours, until it ends by itself.
pub(crate) async fn tidegate(words: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEGATE_")) {
        command.env_remove(name);
    }
    command.args(words).stdin(Stdio::null());
    let run = tokio::task::spawn_blocking(move || command.output().expect("cargo has built the binary"));
    let output = soon("a command", run).await.expect("waiting does not panic");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

async fn the_first_key_is_made_before_the_first_start(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    gateway.stop().await;
    let directory = gateway.data_dir();
    let on_directory =
        async |words: &[&str]| tidegate(&[&["keys", "--data-dir", path(&directory)], words].concat()).await;
    let weak = on_directory(&["create", "--name", "reader", "--allow", "consume:*"]).await;
    assert!(weak.refused(1).contains("first key"), "{weak:?}");
    let root = on_directory(&["create", "--name", "root", "--allow", "admin:*"]).await;
    let key = root.printed().trim_end();
    assert!(key.starts_with("tg_") && !root.stderr.contains(key), "the key alone, and once: {root:?}");
    let reader =
        on_directory(&["create", "--name", "the reader", "--allow", "consume:a*:g", "--allow", "metrics"]).await;
    let list = on_directory(&["list"]).await;
    for word in ["root", "admin:*:*", "the reader", "consume:a*:g metrics", "never"] {
        assert!(list.printed().contains(word), "{word}: {list:?}");
    }
    gateway.start_again().await;
    gateway.get("/v1/topics").send().await.problem(401, "unauthorized");
    let root = gateway.with_key(key);
    root.get("/v1/topics").send().await.is(200);
    let poll = serde_json::json!({"topics": ["a"]});
    root.post("/v1/groups/g/members/m/poll").json(&poll).send().await.is(200);
    gateway.with_key(reader.printed().trim_end()).get("/v1/groups/g").send().await.is(200);
    gateway.stop().await;
    let listed: Vec<Value> = on_directory(&["list", "--json"]).await.values();
    on_directory(&["delete", text(&listed[0]["id"])]).await.printed();
    assert_eq!(on_directory(&["list", "--json"]).await.values(), listed[1..]);
    assert!(on_directory(&["delete", text(&listed[0]["id"])]).await.refused(1).contains("there is no key"));
}

async fn a_gateway_that_runs_is_named(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let directory = gateway.data_dir();
    let words = ["keys", "--data-dir", path(&directory), "create", "--name", "root", "--allow", "admin:*"];
    let ended = tidegate(&words).await;
    assert!(ended.refused(1).contains("POST /v1/keys"), "{ended:?}");
    gateway.get("/v1/topics").send().await.is(200);
}

async fn who_can_be_reached_by_others_needs_keys(_: Backend) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let serve = ["--listen", "0.0.0.0:0", "--data-dir", path(directory.path())];
    let refused = tidegate(&serve).await;
    for word in ["keys create", "TIDEGATE_ADMIN_KEY", "--insecure-no-auth"] {
        assert!(refused.refused(2).contains(word), "{refused:?}");
    }
    let short = tidegate(&[&serve[..], &["--admin-key", "too.short"]].concat()).await;
    assert!(short.refused(2).contains("at least 32") && !short.stderr.contains("too.short"), "{short:?}");
}

async fn keys_are_made_listed_and_deleted_through_a_gateway(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let root = run(gateway.address(), "keys create --name root --allow admin:*").await;
    let key = root.printed().trim_end().to_owned();
    let denied = run(gateway.address(), "keys list").await;
    assert!(denied.refused(3).contains("unauthorized"), "{denied:?}");
    let with_key = async |line: &str| run(gateway.address(), &format!("{line} --key {key}")).await;
    let made = with_key("keys create --name reader --allow consume:a* --expires-at 2100-01-01T00:00:00Z").await;
    assert!(made.printed().starts_with("tg_"));
    let listed = with_key("keys list --json").await.values();
    assert_eq!(listed.iter().map(|key| text(&key["name"])).collect::<Vec<_>>(), ["reader", "root"]);
    assert_eq!(listed[0]["expires_at"], 4_102_444_800_000_u64);
    let table = with_key("keys list").await;
    assert!(table.printed().contains("consume:a*") && !table.stdout.contains(&key), "{table:?}");
    with_key(&format!("keys delete {}", text(&listed[0]["id"]))).await.printed();
    assert_eq!(with_key("keys list --json").await.values(), listed[1..]);
}

async fn other_commands_take_a_key(backend: Backend) {
    let gateway = Guarded::start(backend).await;
    gateway.post("/v1/topics/a/values").body("x").send().await.is(201);
    let key = ADMIN_KEY;
    let address = gateway.address();
    assert!(run(address, "consume --topic a").await.refused(3).contains("unauthorized"));
    assert_eq!(run(address, &format!("consume --topic a --key {key}")).await.values().len(), 1);
    assert_eq!(run(address, &format!("consume --topic a --group g --key {key}")).await.values().len(), 1);
    assert!(run(address, &format!("groups list --key {key}")).await.printed().contains("g "));
}

async fn keys_are_made_beside_nodes_that_run(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let database = gateway.database_url().expect("it is on PostgreSQL");
    let on_database = async |words: &[&str]| tidegate(&[&["keys", "--database-url", &database], words].concat()).await;
    let key = on_database(&["create", "--name", "root", "--allow", "admin:*"]).await;
    let root = gateway.with_key(key.printed().trim_end());
    eventually("the node knows the key", async || (gateway.get("/v1/topics").send().await.status == 401).then_some(()))
        .await;
    root.get("/v1/topics").send().await.is(200);
    assert!(on_database(&["list"]).await.printed().contains("root"));
}
