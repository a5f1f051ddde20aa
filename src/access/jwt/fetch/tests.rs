//! Whom a fetch over TLS trusts.

use rcgen::CertifiedKey;
use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Serves an empty object over TLS under a certificate for `name`, and returns its port and who trusts it.
async fn serve(name: &str) -> (u16, Arc<ClientConfig>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let provider = || Arc::new(ring::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("they fit")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust hangs up here.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            assert_ne!(stream.read(&mut [0; 4_096]).await.expect("a request"), 0);
            let answer = b"HTTP/1.1 200 OK\r\nCache-Control: private, max-age=7\r\nContent-Length: 2\r\n\r\n{}";
            stream.write_all(answer).await.expect("an answer");
            stream.shutdown().await.expect("the end");
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a certificate");
    let trust = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    (port, Arc::new(trust.expect("versions").with_root_certificates(roots).with_no_client_auth()))
}

fn fetcher(port: u16, trust: &Arc<ClientConfig>) -> Fetcher {
    let url = format!("https://localhost:{port}/keys").parse().expect("a URL");
    Fetcher { url, trust: OnceCell::new_with(Some(Arc::clone(trust))) }
}

#[tokio::test]
async fn a_certificate_is_of_somebody_trusted_and_of_that_name() {
    let (good, trust) = serve("localhost").await;
    let (stranger, _) = serve("localhost").await;
    let (other_name, trust_of_other) = serve("id.example.com").await;
    let fetched = fetcher(good, &trust).fetch().await.expect("trusted");
    assert_eq!((&fetched.json[..], fetched.max_age), (&b"{}"[..], Some(Duration::from_secs(7))));
    for (port, trust) in [(stranger, &trust), (other_name, &trust_of_other)] {
        let refusal = fetcher(port, trust).fetch().await.map(|fetched| fetched.json).expect_err("not trusted");
        assert!(matches!(refusal, FetchError::Tls(_)), "{refusal}");
    }
}

#[tokio::test]
async fn plain_http_is_not_taken_for_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.expect("written");
        stream.read_u8().await.ok(); // stays open until the client hangs up
    });
    let (_, trust) = serve("localhost").await;
    assert!(matches!(fetcher(port, &trust).fetch().await, Err(FetchError::Tls(_))));
}

#[test]
fn how_long_an_answer_is_fresh_is_read_from_its_head() {
    for (values, expected) in [
        (&["max-age=60"][..], Some(60)),
        (&["public, MAX-AGE=\"60\", must-revalidate"], Some(60)),
        (&["no-cache", "max-age=0"], Some(0)),
        (&["s-maxage=5"], None),
        (&["max-age=-1"], None),
        (&["max-age"], None),
        (&["max-age=x, max-age=3"], Some(3)),
        (&[], None),
    ] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CACHE_CONTROL, value.parse().expect("ASCII"));
        }
        assert_eq!(max_age(&headers), expected.map(Duration::from_secs), "{values:?}");
    }
}
