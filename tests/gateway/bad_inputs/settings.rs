//! Settings that cannot be, or that would leave a door open: the gateway says why, and does not start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnectOptions;

use crate::bad_inputs::table::tally;
use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::run_to_its_end;
use crate::harness::on_each_backend;
use crate::harness::on_sqlite;
use crate::harness::terminal::Ended;
use crate::harness::tls::Certificate;
use crate::jwt::ISSUER;
use crate::keys_cli::tidegate;
use crate::signers::RSA_PUBLIC_PEM;

on_sqlite!("settings are read before any database is":
    every_line_about_settings_ends_the_start,
    a_newer_schema_ends_the_start,
);

on_each_backend!(a_second_process_on_the_same_directory_ends_at_once);

/// Status of a start that was refused.
const REFUSED: Option<i32> = Some(2);

/// Line numbers, what is wrong, all command lines that are so, and what each is told. `DIR` is a directory with the files
/// that [`files`] makes.
type Row = (&'static [u8], &'static str, &'static [&'static [&'static str]], &'static str);

pub(crate) const ROWS: &[Row] = &[
    (
        &[110],
        "secrets that others can read",
        &[&["--jwt-issuer", ISSUER, "--jwt-audience", "a", "--jwt-secret-file", "DIR/open"]],
        "chmod 600",
    ),
    (
        &[110],
        "a private key that others can read",
        &[&["--tls-cert", "DIR/cert.pem", "--tls-key", "DIR/key-for-all.pem"]],
        "chmod 600",
    ),
    (
        &[110],
        "listening for others without authentication",
        &[&["--listen", "0.0.0.0:0"], &["--listen", "[::]:0"]],
        "--insecure-no-auth",
    ),
    (
        &[110],
        "every origin, with and without a name",
        &[
            &["--cors-origin", "*"],
            &["--cors-origin", "null"],
            &["--cors-origin", "https://*.example.com"],
            &["--cors-origin", "https://app.example.com/path"],
            &["--cors-origin", "app.example.com"],
            &["--cors-origin", "https://app.example.com,*"],
            &["--cors-origin", "*", "--admin-key", "the.admin.key.of.these.tests.0123456789"],
        ],
        "no `*`, no `null`",
    ),
    (
        &[110],
        "every host",
        &[
            &["--allowed-host", "*"],
            &["--allowed-host", "*.example.com"],
            &["--allowed-host", "example.com:80"],
            &["--allowed-host", "a/b"],
        ],
        "is not a host name",
    ),
    (
        &[110],
        "a public key as a secret",
        &[&["--jwt-issuer", ISSUER, "--jwt-audience", "a", "--jwt-secret-file", "DIR/public.pem"]],
        "--jwt-public-key-file",
    ),
    (
        &[110],
        "negative numbers and fractions",
        &[
            &["--request-bytes-max", "-1"],
            &["--record-bytes-max", "-1"],
            &["--wait-ms-max", "1.5"],
            &["--heartbeat-ms", "1e3"],
            &["--connections-max", "many"],
            &["--default-partitions", "-1"],
        ],
        "invalid",
    ),
    (
        &[110],
        "numbers out of range",
        &[
            &["--request-bytes-max", "0"],
            &["--record-bytes-max", "0"],
            &["--record-bytes-max", "1073741825"],
            &["--wait-ms-max", "900001"],
            &["--heartbeat-ms", "0"],
            &["--json-depth-max", "128"],
            &["--json-depth-max", "0"],
            &["--headers-max", "101"],
            &["--uri-bytes-max", "65536"],
            &["--default-partitions", "0"],
            &["--default-partitions", "100001"],
            &["--readers", "0"],
            &["--max-bytes", "1099511627776"],
            &["--connections-max", "0"],
        ],
        "is not in",
    ),
    (
        &[110],
        "numbers that are too long",
        &[&["--request-bytes-max", "99999999999999999999"], &["--partitions-max", "18446744073709551616"]],
        "too large",
    ),
    (
        &[110],
        "settings that there are not",
        &[&["--no-such-flag", "1"], &["--request-byte-max", "5"], &["--Listen", "127.0.0.1:0"], &["-x"]],
        "unexpected argument",
    ),
    (
        &[110],
        "a key that can be guessed",
        &[&["--admin-key", "hush"], &["--admin-key", "hush hush hush hush hush hush hush hush"], &["--admin-key", ""]],
        "at least 32",
    ),
    (
        &[110],
        "databases that there are not",
        &[
            &["--database-url", "mysql://me:hush@host/name"],
            &["--database-url", "hush"],
            &["--database-url", "postgres://me:hush@host:port/name"],
            &["--database-url", ""],
        ],
        "postgres://",
    ),
    (
        &[110],
        "a database that does not answer",
        &[&["--database-url", "postgres://me:hush@127.0.0.1:1/name"]],
        "cannot open the database",
    ),
    (
        &[111],
        "directories that cannot be the data's",
        &[&["--data-dir", "/"], &["--data-dir", "//"], &["--data-dir", "/."]],
        "--data-dir cannot be /",
    ),
    (
        &[111],
        "directories that are none, or not ours",
        &[
            &["--data-dir", "DIR/open"],
            &["--data-dir", "DIR/open/below"],
            &["--data-dir", "/proc/data"],
            &["--data-dir", "/dev/null"],
        ],
        "cannot use the data directory",
    ),
    (&[111], "a database that is none", &[&["--data-dir", "DIR/not-ours"]], "cannot open the database"),
];

/// The files that the rows name.
fn files(directory: &Path) {
    let put = |name: &str, content: &str, mode: u32| {
        let path = directory.join(name);
        fs::write(&path, content).expect("the directory is ours");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
    };
    put("open", &"x".repeat(32), 0o644);
    put("public.pem", RSA_PUBLIC_PEM, 0o600);
    let certificate = Certificate::new();
    let read = |path| fs::read_to_string(path).expect("rcgen writes text");
    put("cert.pem", &read(certificate.certificate_file()), 0o600);
    put("key-for-all.pem", &read(certificate.key_file()), 0o644);
    fs::create_dir(directory.join("not-ours")).expect("the directory is ours");
    put("not-ours/tidegate.db", &"not a database, but something dear to its owner. ".repeat(200), 0o600);
}

async fn every_line_about_settings_ends_the_start(backend: Backend) {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    files(directory.path());
    let place = directory.path().to_str().expect("a path of ours");
    let (mut faults, mut count) = (Vec::new(), 0);
    for (lines, what, commands, told) in ROWS {
        for command in *commands {
            count += 1;
            let flags: Vec<String> = command.iter().map(|word| word.replace("DIR", place)).collect();
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let data = directory.path().join(format!("data-{count}"));
            let Ended { status, stdout: _, stderr } = run_alone(&data, &flags).await;
            let silent = !stderr.contains("hush") && !stderr.contains("panicked");
            if status.code() != REFUSED || !stderr.contains(told) || !silent {
                faults.push(format!("line {lines:?}, {what}: {command:?} ends with {status:?}: {stderr}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults.join("\n"));
    let dear = fs::read_to_string(directory.path().join("not-ours/tidegate.db")).expect("it is still there");
    assert!(dear.starts_with("not a database"), "and as it was");
    tally("settings", backend, ROWS.len(), count);
}

/// Runs the binary to its end, on this directory unless the flags name another.
async fn run_alone(data: &Path, flags: &[&str]) -> Ended {
    let data = data.to_str().expect("a path of ours");
    let usual = [["--listen", "127.0.0.1:0"], ["--data-dir", data]];
    let usual = usual.into_iter().filter(|[name, _]| !flags.contains(name));
    tidegate(&[&usual.flatten().collect::<Vec<_>>(), flags].concat()).await
}

async fn a_second_process_on_the_same_directory_ends_at_once(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for _ in 0..3 {
        let (status, stderr) = gateway.twin().await;
        assert_eq!(status.code(), REFUSED, "{stderr}");
        assert!(stderr.contains(&*gateway.data_dir().to_string_lossy()) && !stderr.contains("panicked"), "{stderr}");
    }
    topic.count(0, 0..1).await;
}

async fn a_newer_schema_ends_the_start(backend: Backend) {
    let mut gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await.count(0, 0..3).await;
    gateway.stop().await;
    let file = gateway.data_dir().join("tidegate.db");
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9000, 'from the future', true, x'00', 1)";
    execute(&file, newer).await;
    let (status, stderr) = run_to_its_end(&gateway.data_dir(), &[]).await;
    assert_eq!(status.code(), REFUSED, "{stderr}");
    assert!(stderr.contains("newer") && !stderr.contains("panicked"), "{stderr}");
    execute(&file, "delete from _sqlx_migrations where version = 9000").await;
    gateway.start_again().await;
    let page = gateway.get("/v1/topics/orders/records").send().await.is(200).json();
    assert_eq!(page["records"].as_array().map(Vec::len), Some(3), "the older one is as it was: {page}");
}

/// Does something in the file of a gateway that is stopped.
async fn execute(file: &Path, sql: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.expect("the file is a database");
    sqlx::raw_sql(sql).execute(&mut connection).await.expect(sql);
    connection.close().await.expect("it is closed");
}
