//! The floor plan of `src/lib.rs`, held against the code: a module uses only modules on strictly lower floors, so a
//! circle between modules cannot be drawn; and some crates are named on one floor only.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Bottom first. Modules in one row do not see each other.
const FLOORS: &[&[&str]] = &[
    &["model", "signal", "tasks", "quota"],
    &["telemetry"],
    &["store", "segments"],
    &["log", "groups", "access"],
    &["broker"],
    &["http::kit"],
    &["http::native", "http::ops"],
    &["http"],
    &["cli"],
    &["config"],
    &["app"],
];

/// What may be named where: a text, and the modules (by prefix) that may hold it.
const HOMES: &[(&str, &[&str])] = &[
    ("sqlx::", &["store"]),
    ("axum::", &["http"]),
    ("tower::", &["http"]),
    // The terminal commands speak to a gateway by one client of theirs; key sets are fetched from their issuer, and spans
    // go to a collector.
    ("hyper::", &["http", "cli::client", "access::jwt::fetch", "telemetry::traces::exporter"]),
    ("rustls::", &["http", "cli::client", "cli::health", "access::jwt"]),
    ("clap::", &["config"]),
    ("std::env", &["config"]),
    ("tokio::spawn", &["tasks"]),
    ("spawn_blocking", &["tasks"]),
    // Files have times of their own; whoever asks what time it is asks the model.
    ("SystemTime", &["model::time", "segments::file"]),
];

struct Source {
    path: PathBuf,
    module: String,
    lines: Vec<(usize, String)>,
}

/// Every source below `src`, with its module path and its lines without comments; tests are left out.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).expect("below src").with_extension("");
                let parts: Vec<_> = relative.iter().map(|part| part.to_str().expect("UTF-8")).collect();
                let module = parts.join("::").trim_end_matches("::mod").to_owned();
                let text = fs::read_to_string(&path).expect("a source is UTF-8");
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                let lines = code.lines().enumerate().map(|(i, line)| (i + 1, line.to_owned()));
                if parts.contains(&"tests") || module.contains("conformance") {
                    continue;
                }
                let lines = lines.filter(|(_, line)| !line.trim_start().starts_with("//")).collect();
                found.push(Source { path, module, lines });
            }
        }
    }
    assert!(found.len() > 50, "the walk found only {} files", found.len());
    found
}

/// The floor of a module, and the entry of the plan that it belongs to.
fn place(module: &str) -> Option<(usize, &'static str)> {
    let entries = FLOORS.iter().enumerate().flat_map(|(floor, row)| row.iter().map(move |entry| (floor, *entry)));
    entries.filter(|(_, entry)| is_within(module, entry)).max_by_key(|(_, entry)| entry.len())
}

fn is_within(module: &str, entry: &str) -> bool {
    module.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The paths of this crate that a line names. How far an item can be seen (`pub(in …)`) is no use of anything.
fn used(line: &str) -> impl Iterator<Item = &str> {
    let line = line.trim_start().strip_prefix("pub(in crate::").unwrap_or(line);
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        rest[..end].trim_end_matches(':')
    })
}

#[test]
fn every_arrow_goes_down() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((floor, home)) = place(&source.module) else {
            assert!(matches!(source.module.as_str(), "lib" | "main"), "`{}` is not on the plan", source.module);
            continue;
        };
        for (number, line) in &source.lines {
            for path in used(line) {
                let (there_floor, there) = place(path).unwrap_or_else(|| panic!("`{path}` is not on the plan"));
                if there != home && there_floor >= floor {
                    wrong.push(format!("{}:{number}: `{home}` may not use `{there}`", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that do not go down:\n{}", wrong.join("\n"));
}

/// Floors keep the big circles out; this keeps out the small ones, between the files of one floor.
#[test]
fn no_files_go_round_in_a_circle() {
    let sources = sources();
    let home = |path: &str| {
        let fits = sources.iter().filter(|source| is_within(path, &source.module));
        fits.max_by_key(|source| source.module.len()).map(|source| source.module.as_str())
    };
    // Whoever names an item of `a` depends on the file of `a`; a front door depends on the children it names by `mod`.
    let arrows = |source: &Source| -> Vec<String> {
        let mut to = Vec::new();
        for (_, line) in &source.lines {
            to.extend(used(line).filter_map(home).map(str::to_owned));
            if let Some(child) = line.trim().strip_suffix(';').and_then(|line| line.split("mod ").nth(1)) {
                to.push(format!("{}::{child}", source.module));
            }
        }
        to.retain(|module| *module != source.module);
        to
    };
    let mut open: Vec<(&str, Vec<String>)> =
        sources.iter().filter(|s| s.module != "lib").map(|s| (s.module.as_str(), arrows(s))).collect();
    // Take away whoever depends on nobody that is left, until nobody can be taken away.
    loop {
        let left: Vec<&str> = open.iter().map(|(module, _)| *module).collect();
        let before = open.len();
        open.retain(|(_, to)| to.iter().any(|module| left.contains(&module.as_str())));
        if open.len() == before {
            break;
        }
    }
    // What is left is in a circle, or depends on one. Those nobody left depends on are only above it.
    loop {
        let needed: Vec<String> = open.iter().flat_map(|(_, to)| to.clone()).collect();
        let before = open.len();
        open.retain(|(module, _)| needed.iter().any(|to| to == module));
        if open.len() == before {
            break;
        }
    }
    let circle: Vec<&str> = open.iter().map(|(module, _)| *module).collect();
    assert!(circle.is_empty(), "these go round in a circle: {circle:#?}");
}

#[test]
fn a_child_does_not_reach_for_its_parent() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in &source.lines {
            if line.contains("super::") && !line.contains("pub(super)") && !line.contains("in super") {
                wrong.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "say whose it is with a full path:\n{}", wrong.join("\n"));
}

#[test]
fn crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (text, homes) in HOMES {
            if matches!(source.module.as_str(), "main" | "lib") || homes.iter().any(|h| is_within(&source.module, h)) {
                continue;
            }
            for (number, _) in source.lines.iter().filter(|(_, line)| line.contains(text)) {
                wrong.push(format!("{}:{number}: `{text}` belongs to {homes:?}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "named on another floor:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for source in sources() {
        let text = fs::read_to_string(&source.path).expect("a source is UTF-8");
        assert!(text.starts_with("//! "), "{} does not begin with `//!`", source.path.display());
    }
}
