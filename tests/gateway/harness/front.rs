//! Two nodes on a PostgreSQL database of their own, behind nginx with the configuration that is shipped.

use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use crate::harness::Backend;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::wait::eventually;

/// The file that compose.yaml mounts.
pub(crate) const NGINX_CONF: &str = include_str!("../../../deploy/nginx.conf");

/// Where Debian puts a server that no user's path may lead to.
const NGINX: &str = "/usr/sbin/nginx";

/// A port that was free may be taken before nginx has it.
const PORTS_TRIED: usize = 5;

/// The nodes and their front. All ends with the value.
pub(crate) struct Cluster {
    // In this order: the front before its nodes, the second before the first, which has the database.
    front: Nginx,
    pub(crate) nodes: [Gateway; 2],
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let one = Gateway::start(Backend::Postgres).await;
        let two = one.second_node().await;
        let front = Nginx::start([one.address(), two.address()], &[]).await;
        Self { front, nodes: [two, one] }
    }

    /// Where the front listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.front.address
    }

    /// A client of the front with connections of its own.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.front.address)
    }

    /// Waits until the front has answered requests whose line holds `text` from each node.
    pub(crate) async fn answered_by_each(&self, text: &str) {
        eventually(&format!("each node answers {text}"), async || {
            let log = fs::read_to_string(self.front.log()).expect("the front has a log");
            let by = |node: &Gateway| {
                let address = node.address().to_string();
                log.lines().any(|line| line.contains(text) && line.contains(&address))
            };
            self.nodes.iter().all(by).then_some(())
        })
        .await;
    }
}

/// nginx in the foreground, with a directory of its own.
pub(crate) struct Nginx {
    child: Child,
    directory: TempDir,
    address: SocketAddr,
}

impl Nginx {
    /// Runs the configuration that is shipped, with each text of `edits` in place of another, in front of these nodes.
    pub(crate) async fn start(nodes: [SocketAddr; 2], edits: &[(&str, &str)]) -> Self {
        for _ in 0..PORTS_TRIED {
            let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
            let address = free.local_addr().expect("it has a number");
            drop(free);
            let mut nginx = Self::spawn(address, nodes, edits);
            let answers = async || {
                if nginx.child.try_wait().expect("a child can be waited for").is_some() {
                    return Some(false);
                }
                tokio::net::TcpStream::connect(address).await.is_ok().then_some(true)
            };
            if eventually("nginx listens", answers).await {
                return nginx;
            }
            let said = fs::read_to_string(nginx.errors()).expect("nginx was given a file for its errors");
            assert!(said.contains("Address already in use"), "nginx does not take the configuration:\n{said}");
        }
        panic!("no port stays free")
    }

    fn spawn(address: SocketAddr, nodes: [SocketAddr; 2], edits: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        // Workers of a server that was started by root are nobody's.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("the directory is ours");
        let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {}/{name};\n", directory.path().display()));
        let conf = [
            ("http {\n", format!("http {{\n{}", places.concat())),
            ("listen 8080;", format!("listen {address};")),
            ("server node1:8080 ", format!("server {} ", nodes[0])),
            ("server node2:8080 ", format!("server {} ", nodes[1])),
        ]
        .iter()
        .map(|(shipped, here)| (*shipped, here.as_str()))
        .chain(edits.iter().copied())
        .fold(NGINX_CONF.to_owned(), |conf, (shipped, here)| {
            assert_eq!(conf.matches(shipped).count(), 1, "{shipped} stands once in deploy/nginx.conf");
            conf.replace(shipped, here)
        });
        fs::write(directory.path().join("nginx.conf"), conf).expect("the directory is ours");

        let file = |name: &str| fs::File::create(directory.path().join(name)).expect("the directory is ours");
        let child = Command::new(NGINX)
            .arg("-p")
            .arg(directory.path())
            .args(["-c", "nginx.conf", "-e", "stderr", "-g"])
            .arg(format!("daemon off; pid {}/pid;", directory.path().display()))
            .stdin(Stdio::null())
            .stdout(file("log"))
            .stderr(file("errors"))
            .spawn()
            .unwrap_or_else(|error| panic!("{NGINX}, Debian's `nginx`, is needed (./test.sh installs it): {error}"));
        Self { child, directory, address }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn errors(&self) -> PathBuf {
        self.directory.path().join("errors")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Politely: its workers end with it only if it tells them. It fails only when nginx has ended already.
        Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- nginx ---\n{}", fs::read_to_string(self.errors()).unwrap_or_default());
        }
    }
}
