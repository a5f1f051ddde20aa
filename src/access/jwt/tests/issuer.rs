//! An issuer that publishes its keys on this machine, and behaves as the test wants it to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::access::jwt::JwksUrl;
use crate::access::jwt::tests::keys::Signer;

/// How it answers.
#[derive(Clone)]
pub(super) enum Manner {
    /// With this, word for word.
    Answer(String),
    /// With the head of an answer that never ends.
    Endless,
    /// Not at all, on a connection that stays open.
    Silent,
    /// By hanging up.
    HangingUp,
}

impl Manner {
    /// A good answer with these keys.
    pub(super) fn keys<'a>(keys: impl IntoIterator<Item = (&'a str, &'a Signer)>) -> Self {
        Self::json(&super::jwks(keys), "")
    }

    /// A good answer with this body and these further header lines.
    pub(super) fn json(body: &str, headers: &str) -> Self {
        Self::Answer(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()))
    }
}

/// A server on a loopback address, until it is dropped.
pub(super) struct Issuer {
    pub(super) address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Issuer {
    pub(super) async fn new(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (manner, asked) = (Arc::new(Mutex::new(manner)), Arc::new(AtomicUsize::new(0)));
        let serving = tokio::spawn({
            let (manner, asked) = (Arc::clone(&manner), Arc::clone(&asked));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    asked.fetch_add(1, SeqCst);
                    let manner = manner.lock().expect("nobody panics in there").clone();
                    tokio::spawn(answer(stream, manner));
                }
            }
        });
        Self { address, manner, asked, serving }
    }

    /// Behaves so from the next connection on.
    pub(super) fn set(&self, manner: Manner) {
        *self.manner.lock().expect("nobody panics in there") = manner;
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    pub(super) fn url(&self) -> JwksUrl {
        format!("http://{}/keys?of=test", self.address).parse().expect("a loopback address")
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(mut stream: TcpStream, manner: Manner) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("a request is ASCII");
    assert!(head.starts_with("GET /keys?of=test HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("\r\nhost: 127.0.0.1:"), "{head}");
    match manner {
        Manner::Answer(text) => {
            // Whoever hangs up halfway has read enough.
            stream.write_all(text.as_bytes()).await.ok();
        }
        Manner::Endless => {
            let mut alive = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"keys\":[").await;
            while alive.is_ok() {
                alive = stream.write_all(&[b' '; 4_096]).await;
            }
        }
        Manner::Silent => {
            // Until the other side hangs up.
            stream.read_u8().await.ok();
        }
        Manner::HangingUp => {}
    }
}
