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
use crate::http::connection::Stage;
use crate::http::connection::Streams;
use crate::http::front::Front;
use crate::tasks::Tasks;

/// How connections are treated.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections at once; beyond it new ones wait in the queue of the kernel until one ends.
    pub connections_max: usize,
    /// How long the head of a request may take.
    pub header_read_max: Duration,
    /// How long a connection may be silent between two requests.
    pub idle_max: Duration,
    /// How long a socket may take no byte while there are some to send.
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

/// Serves until `draining` is cancelled. Then nothing new is accepted, every request under way may finish within
/// [`Options::drain_max`] (streams end themselves: they watch the same token), and what is left is closed.
pub async fn serve(listener: TcpListener, front: Arc<Front>, options: Options, draining: CancellationToken) {
    let connections = Tasks::default();
    let stage = Arc::new(Stage::new());
    let http = Arc::new(builder(&options, connections.clone()));
    let bounds = Bounds {
        header_read_max: options.header_read_max,
        idle_max: options.idle_max,
        write_stall_max: options.write_stall_max,
    };
    front.metrics().http.connections_max.set(options.connections_max as u64);
    let places = Arc::new(Semaphore::new(options.connections_max.min(Semaphore::MAX_PERMITS)));
    let accepting = async {
        loop {
            if places.available_permits() == 0 {
                tracing::warn!(limit = options.connections_max, "as many connections as there may be; new ones wait");
            }
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            let stream = accept(&listener).await;
            let served = connection::serve(stream, Arc::clone(&http), Arc::clone(&front), Arc::clone(&stage), bounds);
            connections.spawn("http connection", served.map(move |()| drop(place)));
        }
    };
    draining.run_until_cancelled(accepting).await;
    drop(listener);
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

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are written whole; to wait for more to send would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                return stream;
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

fn builder(options: &Options, connections: Tasks) -> Builder<Streams> {
    let mut builder = Builder::new(Streams(connections));
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
    use axum::routing::get;
    use bytes::Bytes;
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
        tasks.spawn("server", serve(listener, front, options, tasks.stopping().clone()));
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
        let (gone, is_gone) = oneshot::channel::<()>();
        let gone = Arc::new(Mutex::new(Some(gone)));
        let endless = async move || {
            let held = gone.lock().expect("no panic").take(); // dropped with the body
            let chunk = Bytes::from(vec![b'x'; 1 << 16]);
            Body::from_stream(futures_util::stream::repeat_with(move || {
                let _ = &held;
                Ok::<_, std::convert::Infallible>(chunk.clone())
            }))
        };
        let options = Options { write_stall_max: Duration::from_millis(100), ..Options::default() };
        let server = start(Router::new().route("/endless", get(endless)), options).await;
        let mut stream = TcpStream::connect(server.address).await.expect("it listens");
        stream.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it reads");
        let ended = timeout(PATIENCE, is_gone).await.expect("the body is dropped");
        assert!(ended.is_err(), "dropped, not sent");
    }
}
