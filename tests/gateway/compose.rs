//! compose.yaml against what it speaks of: files, variables of the binary, ports, names of services.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::front::NGINX_CONF;

const NODES: [&str; 2] = ["node1", "node2"];
const DOCKERFILE: &str = include_str!("../../Dockerfile");

/// The file with its anchors put in.
fn compose() -> Value {
    serde_saphyr::from_str(include_str!("../../compose.yaml")).expect("compose.yaml is YAML")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("a list: {value}"))
}

/// The names in a mapping or a list of texts, of which there are some.
fn names(value: &Value) -> Vec<&str> {
    let names: Vec<_> = match value {
        Value::Object(entries) => entries.keys().map(String::as_str).collect(),
        other => list(other).iter().map(text).collect(),
    };
    assert!(!names.is_empty(), "names: {value}");
    names
}

#[test]
fn the_services_are_a_database_two_equal_nodes_and_a_front() {
    let compose = compose();
    let services = &compose["services"];
    assert_eq!(names(services), ["db", "front", "node1", "node2"]);
    assert_eq!(services["node1"], services["node2"]);
    for service in names(services) {
        if let Some(needed) = services[service].get("depends_on") {
            assert!(names(needed).iter().all(|name| services[*name].is_object()), "{service}: {needed}");
        }
    }
    assert_eq!(services["node1"]["depends_on"]["db"]["condition"], "service_healthy");
    assert_eq!(services["db"]["healthcheck"]["test"][0], "CMD");
    let (volume, place) = text(&services["db"]["volumes"][0]).split_once(':').expect("a volume and its place");
    assert!(names(&compose["volumes"]).contains(&volume) && place == "/var/lib/postgresql/data");
}

#[test]
fn the_variables_of_a_node_are_those_of_the_binary() {
    let help = Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("--help").output().expect("cargo has built the binary");
    let help = String::from_utf8(help.stdout).expect("the help is UTF-8");
    let node = &compose()["services"]["node1"];
    let from_image = DOCKERFILE.lines().find_map(|line| line.strip_prefix("ENV ")).expect("the image sets variables");
    let from_image = from_image.split(' ').filter_map(|one| one.split_once('=')).map(|(name, _)| name);
    for name in names(&node["environment"]).into_iter().chain(from_image) {
        assert!(help.contains(&format!("[env: {name}")), "there is no {name}");
    }
    assert_eq!(node["build"], ".", "the Dockerfile beside it");

    let database = &compose()["services"]["db"]["environment"];
    let part = |name: &str| text(&database[name]).to_owned();
    let url = format!("postgres://{}:{}@db/{}", part("POSTGRES_USER"), part("POSTGRES_PASSWORD"), part("POSTGRES_DB"));
    assert_eq!(node["environment"]["TIDEGATE_DATABASE_URL"], url);
}

#[test]
fn the_front_leads_to_the_nodes_by_the_file_that_is_tested() {
    let services = &compose()["services"];
    let front = &services["front"];
    let mount = text(&front["volumes"][0]);
    let (file, place) = mount.split_once(':').expect("a file and its place");
    assert_eq!((file, place), ("./deploy/nginx.conf", "/etc/nginx/nginx.conf:ro"));
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).is_file());

    let directives = |name: &str| -> Vec<&str> {
        let words = NGINX_CONF.lines().map(str::trim).filter_map(|line| line.strip_prefix(name));
        words.filter_map(|rest| rest.strip_prefix(' ')?.strip_suffix(';')).collect()
    };
    let port = text(&front["ports"][0]).rsplit(':').next().expect("a port");
    assert_eq!(directives("listen"), [port]);
    let image_port = DOCKERFILE.lines().find_map(|line| line.strip_prefix("EXPOSE ")).expect("the image has a port");
    let servers: Vec<_> = directives("server").iter().filter_map(|one| one.split(' ').next()).collect();
    assert_eq!(servers, NODES.map(|node| format!("{node}:{image_port}")));
}

#[test]
fn a_node_can_write_to_its_volume_and_nowhere_else() {
    let directive = |name: &str| -> Vec<&str> {
        DOCKERFILE.lines().filter_map(|line| line.strip_prefix(name)).map(str::trim).collect()
    };
    let [user] = directive("USER ")[..] else { panic!("one user") };
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user} is a number, and not root's");
    let [volume] = directive("VOLUME ")[..] else { panic!("one volume") };
    let [variables] = directive("ENV ")[..] else { panic!("one line of variables") };
    assert!(variables.contains(&format!("TIDEGATE_DATA_DIR={volume} ")), "{variables}");
    let checked = DOCKERFILE.lines().find(|line| line.starts_with("HEALTHCHECK ")).expect("it is looked after");
    assert!(checked.ends_with(r#"CMD ["tidegate", "health"]"#), "{checked}");

    let compose = compose();
    for service in NODES.iter().chain(&["front"]) {
        let service = &compose["services"][service];
        assert_eq!(service["read_only"], true);
        assert_eq!(names(&service["cap_drop"]), ["ALL"]);
        assert_eq!(names(&service["security_opt"]), ["no-new-privileges:true"]);
    }
    for node in NODES {
        let node = &compose["services"][node];
        assert!(node.get("cap_add").is_none() && node.get("privileged").is_none() && node.get("volumes").is_none());
        assert!(names(&node["tmpfs"]).iter().all(|place| place.starts_with("/tmp:")), "{node}");
    }
}
