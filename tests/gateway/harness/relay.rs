//! A way to the gateway that can be cut: an address that leads there, wherever it listens after a restart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::copy;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::harness::gateway::Gateway;

/// The relay; it ends with the test's runtime.
pub(crate) struct Relay {
    address: SocketAddr,
    /// Bytes of an answer that still pass on a connection before it is cut.
    passes: Arc<AtomicUsize>,
    cuts: Arc<AtomicUsize>,
}

impl Relay {
    /// A relay that cuts nothing yet.
    pub(crate) async fn start(gateway: &Gateway) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (client, passes, cuts) = (gateway.client(), Arc::new(AtomicUsize::new(usize::MAX)), Arc::default());
        let relay = Self { address, passes: Arc::clone(&passes), cuts: Arc::clone(&cuts) };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (passes, cuts) = (passes.load(Ordering::SeqCst), Arc::clone(&cuts));
                let gateway = client.address();
                tokio::spawn(async move {
                    // A gateway that is down is seen as a connection that ends without an answer.
                    if let Ok(far) = TcpStream::connect(gateway).await
                        && carry(near, far, passes).await
                    {
                        cuts.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        relay
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on a new connection is cut once it has brought `bytes` of answers.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.passes.store(bytes, Ordering::SeqCst);
    }

    /// How many connections were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Carries both ways until one side ends, or the answers have grown too long: then both are dropped. Whether they were.
async fn carry(near: TcpStream, far: TcpStream, mut passes: usize) -> bool {
    let ((mut from_client, mut to_client), (mut from_gateway, mut to_gateway)) = (near.into_split(), far.into_split());
    let there = tokio::spawn(async move {
        copy(&mut from_client, &mut to_gateway).await.ok();
        to_gateway.shutdown().await.ok();
    });
    let mut buffer = vec![0; 16 << 10];
    let cut = loop {
        match from_gateway.read(&mut buffer).await {
            Ok(0) | Err(_) => break false,
            Ok(length) if length >= passes => {
                to_client.write_all(&buffer[..passes]).await.ok();
                break true;
            }
            Ok(length) => {
                passes -= length;
                if to_client.write_all(&buffer[..length]).await.is_err() {
                    break false;
                }
            }
        }
    };
    there.abort();
    cut
}
