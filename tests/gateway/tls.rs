//! TLS: what is spoken over it, what is shown, and what a certificate that changes does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::run_to_its_end;
use crate::harness::on_sqlite;
use crate::harness::raw::Connection;
use crate::harness::raw::problem;
use crate::harness::tls::Certificate;
use crate::harness::topic::Topic;
use crate::harness::wait::eventually;
use crate::harness::wait::soon;

on_sqlite!("TLS stands before everything that has to do with the database":
    everything_works_over_tls_with_either_protocol,
    curl_speaks_http2_over_tls,
    browsers_are_told_to_keep_to_tls,
    many_event_streams_share_one_connection,
    plain_http_on_the_tls_port_is_told_so,
    a_handshake_that_does_not_come_is_cut,
    a_late_head_is_told_over_tls_too,
    a_renewed_certificate_is_served_without_a_restart,
    a_key_that_is_closed_to_others_at_last_is_read,
    a_broken_certificate_is_passed_over,
    files_that_cannot_be_used_keep_it_from_starting,
    a_container_asks_for_its_health_with_and_without_tls,
    commands_go_to_a_gateway_that_has_a_trusted_certificate,
);

async fn gateway_with(certificate: &Certificate, more: &[&str]) -> Gateway {
    let flags = certificate.flags();
    let flags: Vec<_> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Gateway::with(Backend::Sqlite, &flags).await
}

async fn everything_works_over_tls_with_either_protocol(_: Backend) {
    let certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &[]).await;
    let address = gateway.address();
    for (name, client) in
        [("one", certificate.client(address).await), ("two", certificate.client_of_http2(address).await)]
    {
        let topic = Topic::create(&client, name, 1).await;
        let mut stream = topic.events("").await;
        stream.block().await.expect("a first block");
        topic.count(0, 0..3).await;
        assert_eq!(stream.records(3).await.len(), 3);
        // Many records of TLS each way.
        let large = "x".repeat(900_000);
        topic.produce(&json!([{ "value": large }])).await;
        assert_eq!(topic.read("max_bytes=16777216").await.records[3].value().len(), large.len() + 2);
    }
}

async fn curl_speaks_http2_over_tls(_: Backend) {
    let certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &[]).await;
    let url = format!("https://localhost:{}/v1", gateway.address().port());
    for (protocol, version) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
        for oldest in ["--tlsv1.2", "--tlsv1.3"] {
            let mut curl = Command::new("curl");
            curl.args(["-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"]);
            curl.args([protocol, oldest, "--cacert"]).arg(certificate.certificate_file()).arg(&url);
            let output = tokio::task::spawn_blocking(move || curl.output());
            let output = output.await.expect("no panic").expect("curl is there (./test.sh installs it)");
            assert_eq!(String::from_utf8_lossy(&output.stdout), version, "{output:?}");
        }
    }
}

async fn browsers_are_told_to_keep_to_tls(_: Backend) {
    let certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &[]).await;
    let client = certificate.client(gateway.address()).await;
    let strict = "strict-transport-security";
    assert_eq!(client.get("/v1").send().await.is(200).header(strict), Some("max-age=31536000"));
    client.get("/v1").header("host", "evil.com").send().await.problem(421, "host_not_allowed");
    // For this name it would hold for every other server on the machine.
    let named = client.get("/v1").header("host", "localhost").send().await.is(200);
    assert_eq!(named.header(strict), None);

    let in_the_clear = Gateway::start(Backend::Sqlite).await;
    assert_eq!(in_the_clear.get("/v1").send().await.is(200).header(strict), None);
}

async fn many_event_streams_share_one_connection(_: Backend) {
    let certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &[]).await;
    let client = certificate.client_of_http2(gateway.address()).await;
    let topic = Topic::create(&client, "orders", 1).await;
    let mut streams = join_all((0..200).map(|_| topic.events(""))).await;
    topic.count(0, 0..1).await;
    for stream in &mut streams {
        assert_eq!(stream.record().await.offset, 0);
    }
    let connections = fs::read_to_string(format!("/proc/{}/net/tcp", gateway.pid())).expect("Linux tells of sockets");
    let port = format!(":{:04X}", gateway.address().port());
    let open = connections.lines().filter(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, _remote, state) = (columns.next(), columns.next(), columns.next());
        local.is_some_and(|local| local.ends_with(&port)) && state == Some("01")
    });
    // One, unless a machine under load cut it once and it was opened anew.
    assert!(open.count() <= 3, "{connections}");
}

async fn plain_http_on_the_tls_port_is_told_so(_: Backend) {
    let certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &[]).await;
    let mut connection = Connection::open(gateway.address()).await;
    connection.send(format!("GET /v1 HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address())).await;
    let head = connection.head().await;
    assert_eq!((head.status, head.header("connection")), (400, Some("close")));
    let problem = problem(&connection.body(&head).await);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("https://")), "{problem}");
    assert_eq!(connection.everything().await, "");

    let mut connection = Connection::open(gateway.address()).await;
    connection.send([0; 100]).await;
    assert_eq!(connection.everything().await, "", "what is neither is not answered");
}

async fn a_handshake_that_does_not_come_is_cut(_: Backend) {
    let certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &["--header-read-ms-max", "200"]).await;
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x02\0\x01"] {
        let mut connection = Connection::open(gateway.address()).await;
        connection.send(begun).await;
        assert_eq!(connection.everything().await, "", "{begun:?}");
    }
}

async fn a_late_head_is_told_over_tls_too(_: Backend) {
    let certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &["--header-read-ms-max", "5000"]).await;
    let mut stream = certificate.connect(gateway.address()).await;
    stream.write_all(b"GET /v1 HT").await.expect("it takes bytes");
    let mut answer = Vec::new();
    soon("the end", stream.read_to_end(&mut answer)).await.expect("a clean end of TLS");
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
}

async fn a_renewed_certificate_is_served_without_a_restart(_: Backend) {
    let mut certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &[]).await;
    let before = certificate.client(gateway.address()).await;
    let topic = Topic::create(&before, "orders", 1).await;
    let mut stream = topic.events("").await;
    stream.block().await.expect("a first block");

    certificate.renew();
    eventually("the new certificate is served", async || {
        let fresh = certificate.client(gateway.address()).await;
        fresh.get("/v1").try_send().await.ok()
    })
    .await
    .is(200);
    eventually("it is logged", async || gateway.stderr().contains("read anew").then_some(())).await;
    let fresh = certificate.client(gateway.address()).await;
    Topic::named(&fresh, "orders").count(0, 0..1).await;
    assert_eq!(stream.record().await.offset, 0, "a connection that was there goes on");
    assert!(before.another().get("/v1").try_send().await.is_err(), "the old certificate is shown no more");
}

async fn a_key_that_is_closed_to_others_at_last_is_read(_: Backend) {
    let certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &[]).await;
    let (other, mode) = (Certificate::new(), |mode| {
        fs::set_permissions(certificate.key_file(), fs::Permissions::from_mode(mode)).expect("the file is ours");
    });
    mode(0o644);
    fs::copy(other.certificate_file(), certificate.certificate_file()).expect("the file is ours");
    fs::write(certificate.key_file(), fs::read(other.key_file()).expect("it is there")).expect("the file is ours");
    eventually("it is refused", async || gateway.stderr().contains("chmod 600").then_some(())).await;
    mode(0o600);
    eventually("the new certificate is served", async || {
        other.client(gateway.address()).await.get("/v1").try_send().await.ok()
    })
    .await
    .is(200);
}

async fn a_broken_certificate_is_passed_over(_: Backend) {
    let certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &[]).await;
    let still_good = async || {
        certificate.client(gateway.address()).await.get("/v1").send().await.is(200);
    };
    let logged = async |times: usize, what: &str| {
        eventually(what, async || {
            let lines = gateway.stderr().lines().filter(|line| line.contains("stays the one before")).count();
            (lines >= times).then_some(())
        })
        .await;
        eventually(what, async || gateway.stderr().contains(what).then_some(())).await;
    };
    fs::write(certificate.certificate_file(), "nonsense").expect("the file is ours");
    logged(1, "holds no certificate").await;
    still_good().await;
    let other = Certificate::new();
    fs::copy(other.certificate_file(), certificate.certificate_file()).expect("the file is ours");
    logged(2, "cannot be used").await;
    still_good().await;
    fs::remove_file(certificate.key_file()).expect("the file is ours");
    logged(3, "cannot be read").await;
    still_good().await;
    // Both are there at last: what was logged is over.
    fs::copy(other.key_file(), certificate.key_file()).expect("the directory is ours");
    eventually("the other certificate is served", async || {
        other.client(gateway.address()).await.get("/v1").try_send().await.ok()
    })
    .await
    .is(200);
}

async fn files_that_cannot_be_used_keep_it_from_starting(_: Backend) {
    let (one, other) = (Certificate::new(), Certificate::new());
    let data = tempfile::tempdir().expect("the temporary directory is writable");
    let refused = async |certificate: &str, key: &str, reason: &str| {
        let (status, stderr) = run_to_its_end(data.path(), &["--tls-cert", certificate, "--tls-key", key]).await;
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(reason), "{reason}: {stderr}");
    };
    let path = |path: std::path::PathBuf| path.to_str().expect("a path of ours").to_owned();
    let (certificate, key) = (path(one.certificate_file()), path(one.key_file()));
    refused(&certificate, "/nonexistent/key.pem", "/nonexistent/key.pem cannot be read").await;
    refused(&certificate, &path(other.key_file()), "cannot be used").await;
    refused(&key, &key, "holds no certificate").await;
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(one.key_file(), fs::Permissions::from_mode(mode)).expect("the file is ours");
        refused(&certificate, &key, "chmod 600").await;
    }
    fs::set_permissions(one.key_file(), fs::Permissions::from_mode(0o600)).expect("the file is ours");
    fs::write(one.key_file(), "nonsense").expect("the file is ours");
    refused(&certificate, &key, "holds no private key").await;
}

async fn a_container_asks_for_its_health_with_and_without_tls(_: Backend) {
    let certificate = Certificate::new();
    let file = certificate.certificate_file();
    let health = |gateway: &Gateway, variables: &[(&str, &str)]| {
        let mut command = tidegate();
        command.arg("health").env("TIDEGATE_LISTEN", gateway.address().to_string()).envs(variables.iter().copied());
        command.output().expect("the binary runs").status.code()
    };
    let open = Gateway::start(Backend::Sqlite).await;
    let mut closed = gateway_with(&certificate, &[]).await;
    let tls = [("TIDEGATE_TLS_CERT", file.to_str().expect("a path of ours"))];
    assert_eq!(health(&open, &[]), Some(0));
    assert_eq!(health(&open, &tls), Some(1), "no TLS is spoken there");
    assert_eq!(health(&closed, &tls), Some(0));
    assert_eq!(health(&closed, &[]), Some(1), "nothing but TLS is spoken there");
    closed.kill9().await;
    assert_eq!(health(&closed, &tls), Some(1));
}

async fn commands_go_to_a_gateway_that_has_a_trusted_certificate(_: Backend) {
    let certificate = Certificate::new();
    let gateway = gateway_with(&certificate, &[]).await;
    let topics = |variables: &[(&str, &str)]| {
        let url = format!("https://localhost:{}", gateway.address().port());
        let mut command = tidegate();
        command.args(["topics", "create", "clicks", "--json", "--url", &url]).envs(variables.iter().copied());
        command.output().expect("the binary runs")
    };
    let strangers = topics(&[]);
    assert_eq!(strangers.status.code(), Some(1), "{strangers:?}");
    let told = String::from_utf8_lossy(&strangers.stderr);
    assert!(told.contains("certificate"), "{told}");
    let file = certificate.certificate_file();
    let trusted = topics(&[("SSL_CERT_FILE", file.to_str().expect("a path of ours"))]);
    assert_eq!(trusted.status.code(), Some(0), "{trusted:?}");
    assert!(String::from_utf8_lossy(&trusted.stdout).contains("clicks"), "{trusted:?}");
}

fn tidegate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
}
