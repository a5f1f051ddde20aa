//! The accept loop: takes connections, at most so many at once, and at the end sees them out. Ours, because `axum::serve`
//! sets no timer at all, and a server without timers belongs to whoever opens the most connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::http::connection;
use crate::http::connection::Bounds;
use crate::http::connection::Common;
use crate::http::connection::Stage;
use crate::http::connection::Streams;
use crate::http::files;
use crate::http::front::Front;
use crate::http::tls::Tls;
use crate::tasks::Tasks;

/// How connections are treated.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections at once; beyond it new ones wait in the queue of the kernel until one ends.
    pub connections_max: usize,
    /// How long the head of a request may take, and before it the TLS handshake.
    pub header_read_max: Duration,
    /// How long a connection may be silent between two requests.
    pub idle_max: Duration,
    /// How long a socket, or a stream of HTTP/2, may take nothing while there is something to send.
    pub write_stall_max: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub http2_streams_max: u32,
    /// How long requests under way may take once the server drains.
    pub drain_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            header_read_max: Duration::from_secs(10),
            idle_max: Duration::from_secs(60),
            write_stall_max: Duration::from_secs(30),
            http2_streams_max: 256,
            drain_max: Duration::from_secs(10),
        }
    }
}

/// Connections that the kernel holds before they are accepted.
const BACKLOG: u32 = 4096;
/// What hyper buffers of a connection in each direction. It bounds the head of a request as well, above the limit on
/// headers that is ours, so that what is somewhat too large still gets our answer. hyper allocates 8 KiB and grows only
/// when more comes at once.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// Windows of HTTP/2: what a client may send before it is read. 256 KiB a stream keep a body flowing; the connection has
/// four of them, so that many streams cost no more than that.
const HTTP2_STREAM_WINDOW: u32 = 256 << 10;
const HTTP2_CONNECTION_WINDOW: u32 = 1 << 20;
/// A client of HTTP/2 that is gone without a word is found out by a ping.
const HTTP2_PING_EVERY: Duration = Duration::from_secs(20);
const HTTP2_PING_MAX: Duration = Duration::from_secs(20);
/// Pause after an accept that failed for want of something (files, memory): connections end meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long connections that were told to end now may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Opens the socket to listen on. Port 0 picks one.
///
/// # Errors
/// The address is in use, not ours, or not permitted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?; // a restart does not wait for the connections of the run before
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `draining` is cancelled, over TLS if that is given. Then nothing new is accepted, every request under way may finish within
/// [`Options::drain_max`] (streams end themselves: they watch the same token), and what is left is closed.
pub async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    options: Options,
    tls: Option<Tls>,
    draining: CancellationToken,
) {
    let connections = Tasks::default();
    let stage = Arc::new(Stage::new());
    let streams = Streams { tasks: connections.clone(), write_stall_max: options.write_stall_max };
    let http = Arc::new(builder(&options, streams));
    let bounds = Bounds {
        header_read_max: options.header_read_max,
        idle_max: options.idle_max,
        write_stall_max: options.write_stall_max,
    };
    let common = Common {
        http,
        front: Arc::clone(&front),
        stage: Arc::clone(&stage),
        bounds,
        tls: tls.as_ref().map(Tls::acceptor),
    };
    let upkeep = Tasks::default();
    if let Some(tls) = tls {
        tls.keep_up(&upkeep);
    }
    let room = files::room_for_connections();
    if room < options.connections_max / 2 {
        tracing::warn!(
            "the limit on open files leaves room for {room} connections, and not {}: raise it (`ulimit -Hn`, LimitNOFILE)",
            options.connections_max
        );
    }
    let connections_max = options.connections_max.min(room);
    front.metrics().http.connections_max.set(connections_max as u64);
    let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    let accepting = async {
        loop {
            if places.available_permits() == 0 {
                tracing::warn!(limit = connections_max, "as many connections as there may be; new ones wait");
            }
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            let (stream, remote) = accept(&listener).await;
            // Not answered but closed: a browser's EventSource comes back after that, and never after a refusal.
            let Some(held) = front.connection(remote.ip()) else {
                tracing::debug!(%remote, "this address has as many connections as it may");
                continue;
            };
            let served = connection::serve(stream, remote, common.clone());
            connections.spawn("http connection", served.map(move |()| drop((place, held))));
        }
    };
    draining.run_until_cancelled(accepting).await;
    drop(listener);
    upkeep.stopping().cancel();
    front.drain();
    stage.drain();
    if let Err(late) = connections.finish(options.drain_max).await {
        tracing::warn!("closing what did not end in time: {late}");
        stage.close();
        if let Err(late) = connections.finish(CLOSE_MAX).await {
            tracing::error!("{late}");
        }
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                // Answers are written whole; to wait for more to send would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                return (stream, remote);
            }
            // The client gave up before it was its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn builder(options: &Options, streams: Streams) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None) // ours knows the first byte of a head from the silence before it, and sets no timer
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.http2_streams_max)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_send_buf_size(BUFFER_BYTES_MAX)
        .max_header_list_size(BUFFER_BYTES_MAX as u32)
        .keep_alive_interval(HTTP2_PING_EVERY)
        .keep_alive_timeout(HTTP2_PING_MAX);
    builder
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use bytes::Bytes;
    use http_body_util::BodyExt;
    use hyper_util::rt::TokioExecutor;
    use hyper_util::rt::TokioIo;
    use tempfile::TempDir;
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::sync::Notify;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;
    use crate::access;
    use crate::http;

    const PATIENCE: Duration = Duration::from_secs(10);

    struct Server {
        address: SocketAddr,
        tasks: Tasks,
        _place: TempDir,
    }

    async fn start(router: Router, options: Options) -> Server {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (place, access) = access::tests::bench::open(access::Options::default()).await;
        let front = http::front(router, access, &http::Options::default(), Arc::default(), None);
        let tasks = Tasks::default();
        tasks.spawn("server", serve(listener, front, options, None, tasks.stopping().clone()));
        Server { address, tasks, _place: place }
    }

    impl Server {
        /// Sends `head` and returns all that comes until the server closes.
        async fn ask(&self, head: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.expect("it listens");
            stream.write_all(head.as_bytes()).await.expect("it reads");
            let mut answer = String::new();
            timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("it closes").expect("it answers");
            answer
        }
    }

    fn waiting(entered: oneshot::Sender<()>, release: &Arc<Notify>) -> Router {
        let (entered, release) = (Arc::new(Mutex::new(Some(entered))), Arc::clone(release));
        let wait = async move || {
            if let Some(entered) = entered.lock().expect("no panic").take() {
                entered.send(()).expect("the test waits");
            }
            release.notified().await;
            "done"
        };
        Router::new().route("/wait", get(wait))
    }

    #[tokio::test]
    async fn what_is_under_way_finishes_and_nothing_new_begins() {
        let (entered, is_in) = oneshot::channel();
        let release = Arc::new(Notify::new());
        let server = start(waiting(entered, &release), Options::default()).await;
        let client = async { server.ask("GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n").await };
        let drain = async {
            is_in.await.expect("the handler runs");
            server.tasks.stopping().cancel();
            while TcpStream::connect(server.address).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
            release.notify_one();
        };
        let (answer, ()) = tokio::join!(client, drain);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        server.tasks.stop(PATIENCE).await.expect("it ends");
    }

    #[tokio::test]
    async fn what_does_not_finish_is_cut_off() {
        let (entered, is_in) = oneshot::channel();
        let options = Options { drain_max: Duration::from_millis(50), ..Options::default() };
        let server = start(waiting(entered, &Arc::new(Notify::new())), options).await;
        let client = async { server.ask("GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n").await };
        let drain = async {
            is_in.await.expect("the handler runs");
            server.tasks.stop(PATIENCE).await.expect("it ends");
        };
        assert_eq!(tokio::join!(client, drain).0, "");
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_is_408() {
        let options = Options { header_read_max: Duration::from_millis(50), ..Options::default() };
        let server = start(Router::new(), options).await;
        let answer = server.ask("GET / HTTP/1.1\r\nhost: loc").await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
        assert_eq!(server.ask("").await, "");
    }

    #[tokio::test]
    async fn a_silent_connection_is_closed() {
        let options = Options { idle_max: Duration::from_millis(50), ..Options::default() };
        let server = start(Router::new(), options).await;
        let answer = server.ask("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_let_go() {
        let (router, is_gone) = endless();
        let options = Options { write_stall_max: Duration::from_millis(100), ..Options::default() };
        let server = start(router, options).await;
        let mut stream = TcpStream::connect(server.address).await.expect("it listens");
        stream.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it reads");
        let ended = timeout(PATIENCE, is_gone).await.expect("the body is dropped");
        assert!(ended.is_err(), "dropped, not sent");
    }

    /// A body that never ends, and word when it is dropped.
    fn endless() -> (Router, oneshot::Receiver<()>) {
        let (gone, is_gone) = oneshot::channel::<()>();
        let gone = Arc::new(Mutex::new(Some(gone)));
        let endless = async move || {
            let held = gone.lock().expect("no panic").take();
            let chunk = Bytes::from(vec![b'x'; 1 << 20]);
            Body::from_stream(futures_util::stream::repeat_with(move || {
                let _ = &held;
                Ok::<_, std::convert::Infallible>(chunk.clone())
            }))
        };
        (Router::new().route("/endless", get(endless)).route("/short", get(async || "short")), is_gone)
    }

    #[tokio::test]
    async fn an_http2_stream_that_is_not_read_is_reset_and_the_others_go_on() {
        let (router, is_gone) = endless();
        let options = Options { write_stall_max: Duration::from_millis(200), ..Options::default() };
        let server = start(router, options).await;
        let stream = TcpStream::connect(server.address).await.expect("it listens");
        let (mut client, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(100_000)
            .handshake::<_, Body>(TokioIo::new(stream))
            .await
            .expect("it speaks HTTP/2");
        server.tasks.spawn("client", connection.map(drop));
        let mut ask = async |path: &str| {
            let request = Request::get(format!("http://localhost{path}")).body(Body::empty()).expect("a request");
            client.send_request(request).await.expect("an answer").into_body()
        };
        let mut unread = ask("/endless").await;
        let ended = timeout(PATIENCE, is_gone).await.expect("the body is dropped");
        assert!(ended.is_err(), "dropped, not sent");
        // It is cut behind what fits its window, not ended as if that were all.
        let cut = async {
            loop {
                match unread.frame().await {
                    Some(Ok(_)) => {}
                    end => break end,
                }
            }
        };
        let cut = timeout(PATIENCE, cut).await.expect("it ends");
        assert!(cut.is_some_and(|end| end.is_err()), "reset");
        assert_eq!(ask("/short").await.collect().await.expect("whole").to_bytes(), "short");
    }
}
