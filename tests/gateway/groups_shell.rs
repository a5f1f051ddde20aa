//! A plain shell loop with curl, and no JSON parser, as a member of a group: the one that the README shows, as it stands.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use serde_json::json;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::member::Member;
use crate::harness::member::committed;
use crate::harness::on_each_backend;
use crate::harness::wait::eventually;
use crate::harness::wait::soon;

on_each_backend!(the_shell_loop_of_the_readme_is_a_member);

const README: &str = include_str!("../../README.md");

/// The script that stands behind the remark that names this file.
fn script() -> &'static str {
    let (_, after) = README.split_once("groups_shell.rs").expect("the README names this file");
    let (_, script) = after.split_once("```sh\n").expect("a script follows");
    script.split_once("```").expect("it ends").0
}

/// Kills the loop, and the curl that it waits for, when the test ends.
struct Loop(Child);

impl Drop for Loop {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).status();
        let _ = self.0.wait();
    }
}

fn start(gateway: &Gateway, name: &str, place: &Path) -> Loop {
    let out = std::fs::File::create(place.join("out")).expect("a file");
    let member = format!("http://{}/v1/groups/billing/members/{name}", Gateway::address(gateway));
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script()).arg("loop").arg(member).current_dir(place);
    Loop(shell.stdin(Stdio::null()).stdout(out).process_group(0).spawn().expect("a shell"))
}

async fn worked_on(place: &Path, count: usize) -> Vec<String> {
    let all = async || {
        let text = std::fs::read_to_string(place.join("out")).expect("a file");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    };
    eventually(&format!("{count} lines"), all).await
}

async fn the_shell_loop_of_the_readme_is_a_member(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    topic.count(0, 0..3).await;
    let place = tempfile::tempdir().expect("a temporary directory");
    let shell = start(&gateway, "sh", place.path());
    let lines = worked_on(place.path(), 3).await;
    assert!(lines.iter().all(|line| line.starts_with("worked on ")), "{lines:?}");
    topic.count(0, 3..5).await;
    worked_on(place.path(), 5).await;
    eventually("a commit of all", async || {
        (committed(&gateway, "billing", "orders", 0).await == Some(5)).then_some(())
    })
    .await;

    // Another run of its name takes over; the loop is told, and begins anew where that stopped.
    let mut other = Member::new(&gateway, "billing", "sh", json!({ "topics": ["orders"] }));
    other.begin().await;
    topic.count(0, 5..6).await;
    let lines = worked_on(place.path(), 6).await;
    assert_eq!(lines.len(), 6, "nothing twice: {lines:?}");
    soon("the fence", async {
        assert_eq!(other.try_poll(json!({})).await.status, 409);
    })
    .await;
    drop(shell);
}
