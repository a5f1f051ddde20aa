//! The accept loop: takes connections, at most so many at once, and at the end sees them out. Ours, because `axum::serve`
//! sets no timer at all, and a server without timers belongs to whoever opens the most connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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
    let places = Arc::new(Semaphore::new(options.connections_max.min(Semaphore::MAX_PERMITS)));
    let accepting = async {
        loop {
            if places.available_permits() == 0 {
                tracing::warn!(limit = options.connections_max, "as many connections as there may be; new ones wait");
            }
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            let stream = accept(&listener).await;
            let served = connection::serve(stream, Arc::clone(&http), Arc::clone(&front), Arc::clone(&stage), bounds);
            connections.spawn("http connection", async move {
                served.await;
                drop(place);
            });
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
