//! A network that misbehaves on demand, between a store and its server.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::Mutex;

use sqlx::postgres::PgConnectOptions;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::store::PostgresUrl;

/// What it does to what passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Pass,
    /// The next answer is thrown away, and its connection cut.
    LoseAnswer,
    /// The next question is kept back, and the asker's connection cut.
    Hold,
    /// Nothing passes, nothing ends.
    Silent,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    held: Option<(TcpStream, Vec<u8>)>,
}

#[derive(Debug, Clone)]
pub(super) struct Proxy(Arc<Mutex<State>>);

impl Proxy {
    /// A proxy for that server, and the address of the database behind it.
    pub(super) async fn to(url: &PostgresUrl) -> (Self, PostgresUrl) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let options = PgConnectOptions::from_str(url.as_str()).expect("a URL");
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let address = listener.local_addr().expect("it has one").to_string();
        let proxied = url.as_str().replace(&server, &address).parse().expect("a URL");
        let proxy = Self(Arc::new(Mutex::new(State { mode: Mode::Pass, held: None })));
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (proxy, server) = (serving.clone(), server.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await.expect("the server is there");
                    proxy.pass(client, server).await;
                });
            }
        });
        (proxy, proxied)
    }

    pub(super) fn set(&self, mode: Mode) {
        self.0.lock().expect("nobody panics in it").mode = mode;
    }

    fn mode(&self) -> Mode {
        self.0.lock().expect("nobody panics in it").mode
    }

    async fn pass(self, mut client: TcpStream, mut server: TcpStream) {
        let (mut question, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = client.read(&mut question) => {
                    let Ok(size @ 1..) = read else { return };
                    match self.mode() {
                        Mode::Silent => {}
                        Mode::Hold => {
                            question.truncate(size);
                            let mut state = self.0.lock().expect("nobody panics in it");
                            (state.mode, state.held) = (Mode::Pass, Some((server, question)));
                            return;
                        }
                        _ => server.write_all(&question[..size]).await.expect("the server is there"),
                    }
                }
                read = server.read(&mut answer) => {
                    let Ok(size @ 1..) = read else { return };
                    match self.mode() {
                        Mode::Silent => {}
                        Mode::LoseAnswer => return self.set(Mode::Pass),
                        _ => if client.write_all(&answer[..size]).await.is_err() { return },
                    }
                }
            }
        }
    }

    /// Lets the question that was kept back through; returns the answer.
    pub(super) async fn release(&self) -> String {
        let held = self.0.lock().expect("nobody panics in it").held.take();
        let (mut server, question) = held.expect("one was kept back");
        server.write_all(&question).await.expect("the server is there");
        let mut answer = vec![0; 1 << 16];
        let size = server.read(&mut answer).await.expect("it answers");
        String::from_utf8_lossy(&answer[..size]).into_owned()
    }
}
