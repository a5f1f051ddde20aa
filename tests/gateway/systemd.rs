//! deploy/tidegate.service against what it speaks of: the binary's commands and variables, its exit statuses and bounds,
//! and the sandbox it promises. Where systemd's own checker is installed, it is asked as well.

use std::fs;
use std::process::Command;
use std::time::Duration;

const UNIT: &str = include_str!("../../deploy/tidegate.service");

const BINARY: &str = "/usr/local/bin/tidegate";

/// The values that a directive of `[Service]` is given, in order.
fn values(name: &str) -> Vec<&'static str> {
    let service = UNIT.split("[Service]").nth(1).and_then(|rest| rest.split("[Install]").next());
    let lines = service.expect("there is a section").lines().filter_map(|line| line.split_once('='));
    lines.filter(|(key, _)| *key == name).map(|(_, value)| value).collect()
}

fn help() -> String {
    let help = Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("--help").output().expect("cargo has built the binary");
    String::from_utf8(help.stdout).expect("the help is UTF-8")
}

#[test]
fn it_starts_the_gateway_with_settings_that_there_are() {
    let [start] = values("ExecStart")[..] else { panic!("one command") };
    assert_eq!(start, format!("{BINARY} serve"));
    let help = help();
    for setting in values("Environment") {
        let (name, _) = setting.split_once('=').expect("a name and a value");
        assert!(help.contains(&format!("[env: {name}")), "there is no {name}");
    }
    assert_eq!(values("Environment"), [format!("TIDEGATE_DATA_DIR=/var/lib/{}", values("StateDirectory")[0])]);
}

#[test]
fn it_leaves_time_for_a_clean_end_and_room_for_connections() {
    let help = help();
    let default = |flag: &str| -> u64 {
        let rest = help.split(&format!("{flag} <")).nth(1).unwrap_or_else(|| panic!("there is no {flag}"));
        let number = rest.split("[default: ").nth(1).and_then(|rest| rest.split(']').next());
        number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{flag} has no default"))
    };
    let stop: u64 = values("TimeoutStopSec")[0].trim_end_matches('s').parse().expect("seconds");
    assert!(Duration::from_secs(stop) > Duration::from_millis(default("--drain-ms-max")) + Duration::from_secs(10));
    let files: u64 = values("LimitNOFILE")[0].parse().expect("a number");
    assert!(files > default("--connections-max") + 1000);
    assert_eq!(values("RestartPreventExitStatus"), ["2"], "a setting that is refused");
}

#[test]
fn it_has_a_sandbox() {
    for (name, value) in [
        ("DynamicUser", "yes"),
        ("UMask", "0077"),
        ("StateDirectoryMode", "0700"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("CapabilityBoundingSet", ""),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("MemoryMax", "2G"),
    ] {
        assert_eq!(values(name), [value], "{name}");
    }
}

#[test]
fn systemd_takes_it() {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let file = directory.path().join("tidegate.service");
    // The command has to be there.
    fs::write(&file, UNIT.replace(BINARY, env!("CARGO_BIN_EXE_tidegate"))).expect("it is ours");
    match Command::new("systemd-analyze").args(["verify", "--recursive-errors=no"]).arg(&file).output() {
        Ok(said) => {
            assert!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
        }
        Err(error) => eprintln!("not asked: systemd-analyze is not here: {error}"),
    }
}
