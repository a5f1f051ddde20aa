//! Keys that an issuer changes while the gateway runs, in a file or published over TLS.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use rcgen::CertifiedKey;
use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_sqlite;
use crate::harness::wait::eventually;
use crate::jwt::ISSUER;
use crate::jwt::KeySet;
use crate::jwt::Showing;
use crate::jwt::claims;
use crate::signers::Signer;

on_sqlite!(
    "a token is checked before any database is asked":
    a_key_set_in_a_file_is_followed,
    an_issuer_withdraws_its_last_key,
    a_key_set_is_fetched_over_tls_from_whom_the_system_trusts,
);

async fn status_of(gateway: &Gateway, signer: &Signer, kid: &str) -> u16 {
    let token = signer.token(kid, &claims(&json!([{ "verb": "admin", "topic": "*" }])));
    gateway.get("/v1/topics").by(&token).send().await.status
}

async fn a_key_set_in_a_file_is_followed(backend: Backend) {
    let (old, new) = (Signer::rsa(), Signer::new_ec());
    let keys = KeySet::of([("old", &old)]);
    let gateway = keys.gateway(backend, &[]).await;
    assert_eq!(status_of(&gateway, &old, "old").await, 200);
    keys.put([("old", &old), ("new", &new)]);
    // Nobody asks for it: an unknown key counts as a failure.
    eventually("two keys are known", async || gateway.stderr().contains("jwks.json: 2").then_some(())).await;
    assert_eq!(status_of(&gateway, &new, "new").await, 200);
    assert_eq!(status_of(&gateway, &old, "old").await, 200);
    keys.put([("new", &new)]);
    eventually("the old key is gone", async || {
        // One of the two log lines was written at the start.
        (gateway.stderr().matches("jwks.json: 1").count() >= 2).then_some(())
    })
    .await;
    assert_eq!(status_of(&gateway, &old, "old").await, 401);
    assert_eq!(status_of(&gateway, &new, "new").await, 200);
}

async fn an_issuer_withdraws_its_last_key(backend: Backend) {
    let signer = Signer::new_ec();
    let keys = KeySet::of([("a", &signer)]);
    let gateway = keys.gateway(backend, &[]).await;
    assert_eq!(status_of(&gateway, &signer, "a").await, 200);
    keys.put([]);
    eventually("the last key is gone", async || (status_of(&gateway, &signer, "a").await == 401).then_some(())).await;
    assert!(gateway.stderr().contains("no token is good any more"), "{}", gateway.stderr());
    keys.put([("a", &signer)]);
    eventually("it is back", async || (status_of(&gateway, &signer, "a").await == 200).then_some(())).await;
}

/// Publishes a key set over TLS on `localhost`; returns its port, its certificate as PEM, and how often it was asked.
async fn publish(set: String) -> (u16, String, Arc<AtomicUsize>) {
    let made = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let CertifiedKey { cert, signing_key } = made;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let config = config.with_single_cert(vec![cert.der().clone()], key).expect("they fit");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, SeqCst);
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            assert_ne!(stream.read(&mut [0; 4_096]).await.expect("a request"), 0);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{set}", set.len());
            stream.write_all(answer.as_bytes()).await.expect("an answer");
            stream.shutdown().await.expect("the end");
        }
    });
    (port, cert.pem(), asked)
}

async fn a_key_set_is_fetched_over_tls_from_whom_the_system_trusts(_: Backend) {
    let signer = Signer::ec();
    let (port, certificate, asked) = publish(json!({ "keys": [signer.jwk("a")] }).to_string()).await;
    let (_, stranger, _) = publish(String::new()).await;
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let url = format!("https://localhost:{port}/keys");
    let flags = ["--jwt-issuer", ISSUER, "--jwt-audience", "tidegate", "--jwks-url", &url];
    for (name, trusted, status) in [("good", certificate, 200), ("stranger", stranger, 401)] {
        let path = directory.path().join(name);
        std::fs::write(&path, trusted).expect("written");
        let before = asked.load(SeqCst);
        let path = path.to_str().expect("UTF-8");
        let gateway = Gateway::with_environment(&flags, &[("SSL_CERT_FILE", path)]).await;
        assert_eq!(status_of(&gateway, &signer, "a").await, status, "{name}:\n{}", gateway.stderr());
        assert_eq!(status_of(&gateway, &Signer::new_ec(), "b").await, 401);
        assert!(asked.load(SeqCst) > before, "it was asked for its keys");
    }
}
