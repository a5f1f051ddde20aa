//! The servers under measurement, each a process of its own: the gateway, the bare references (this program again, under
//! a hidden argument) and nginx. Whatever happens, a process ends with its handle.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a process may take until it says that it is ready, and to answer a line.
const PATIENCE: Duration = Duration::from_secs(60);

/// The unit of CPU times in /proc: `USER_HZ`, which Linux keeps at 100 whatever the kernel's own is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Raises the limit of open files before the program starts: 5,000 subscribers need as many on each side.
const WITH_MANY_FILES: &str = r#"ulimit -n 20000 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$0" "$@""#;

/// A child process that is talked to in lines.
pub(crate) struct Process {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    log: PathBuf,
}

impl Process {
    /// Starts a program; its standard error goes to the file `log`.
    pub(crate) fn start(program: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", WITH_MANY_FILES]).arg(program).args(arguments);
        // Settings of the shell must not change what is measured.
        let ours = |name: &str| ["TIDEGATE_", "TOKIO_"].iter().any(|prefix| name.starts_with(prefix));
        for (name, _) in std::env::vars_os().filter(|(name, _)| ours(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?);
        let mut child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let output = child.stdout.take().context("standard output")?;
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            // Reads on when nobody listens, so that the child never blocks on a full pipe.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, lines, log: log.to_owned() })
    }

    /// The rest of the first line of output that begins with `prefix`.
    pub(crate) async fn line(&mut self, prefix: &str) -> Result<String> {
        loop {
            match timeout(PATIENCE, self.lines.recv()).await {
                Ok(Some(line)) => {
                    if let Some(rest) = line.strip_prefix(prefix) {
                        return Ok(rest.to_owned());
                    }
                }
                Ok(None) => bail!("the process ended before it said `{prefix}…`; {}", self.last_words()),
                Err(_) => bail!("no line `{prefix}…` within {PATIENCE:?}; {}", self.last_words()),
            }
        }
    }

    /// Writes a line to standard input.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("standard input")?;
        writeln!(input, "{line}").context("the process no longer listens")
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024.0)
    }

    /// CPU time used so far by all its threads, in user mode and in the kernel.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may have blanks and parentheses itself. Of what follows it (proc_pid_stat(5)), the
        // 12th and 13th are user and system time.
        let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat")?;
        let times: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(times.iter().sum::<f64>() / TICKS_PER_SECOND)
    }

    /// Asks it to end (SIGTERM) and waits; dropping it kills it instead.
    pub(crate) async fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > PATIENCE {
                bail!("did not end within {PATIENCE:?} of SIGTERM");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().rev().take(3).collect::<Vec<_>>().join(" < ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that serves HTTP.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// From exec to the line that says it listens.
    pub(crate) started_in: Duration,
}

impl Server {
    /// The gateway on `data`, which must be a folder of its own within `folder`.
    pub(crate) async fn gateway(binary: &Path, folder: &Path, data: &str) -> Result<Self> {
        let data_dir = folder.join(data);
        let arguments = ["--listen", "127.0.0.1:0", "--data-dir", data_dir.to_str().context("path is not UTF-8")?];
        Self::start(binary, &arguments, &folder.join(format!("{data}.log"))).await
    }

    /// A node of a cluster on the database that `url` names.
    pub(crate) async fn node(binary: &Path, folder: &Path, data: &str, url: &str) -> Result<Self> {
        let data_dir = folder.join(data);
        let data_dir = data_dir.to_str().context("path is not UTF-8")?;
        let arguments = ["--listen", "127.0.0.1:0", "--data-dir", data_dir, "--database-url", url];
        Self::start(binary, &arguments, &folder.join(format!("{data}.log"))).await
    }

    /// This program as the reference server `role` (see `reference.rs`).
    pub(crate) async fn reference(folder: &Path, role: &[&str]) -> Result<Self> {
        let arguments = [&["--role"], role].concat();
        Self::start(&std::env::current_exe()?, &arguments, &folder.join("reference.log")).await
    }

    async fn start(program: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        let start = Instant::now();
        let mut process = Process::start(program, arguments, log)?;
        let address = process.line("listening on http://").await?;
        Ok(Self { process, address: address.trim_end_matches('/').parse()?, started_in: start.elapsed() })
    }

    /// nginx with sendfile and nothing else, serving `folder`; none if it is not installed.
    pub(crate) async fn nginx(folder: &Path) -> Result<Option<Self>> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            return Ok(None);
        }
        // nginx cannot pick a port: this one was free a moment ago.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let at = folder.to_str().context("path is not UTF-8")?;
        // One process, so that killing it leaves no worker behind. One reader needs no more.
        let configuration = format!(
            "daemon off; master_process off; pid {at}/nginx.pid; error_log stderr; events {{}}
             http {{ access_log off; sendfile on; tcp_nopush on; default_type application/x-ndjson;
             client_body_temp_path {at}/n1; proxy_temp_path {at}/n2; fastcgi_temp_path {at}/n3; uwsgi_temp_path {at}/n4;
             scgi_temp_path {at}/n5; server {{ listen {address}; root {at}; }} }}"
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, configuration)?;
        let start = Instant::now();
        let arguments = ["-c", path.to_str().context("path is not UTF-8")?];
        let process = Process::start(Path::new("nginx"), &arguments, &folder.join("nginx.log"))?;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if start.elapsed() > Duration::from_secs(5) {
                bail!("nginx does not listen; {}", process.last_words());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(Self { process, address, started_in: start.elapsed() }))
    }
}
