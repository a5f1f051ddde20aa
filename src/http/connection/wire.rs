//! What hyper reads and writes: the socket, or TLS over it, with our words in place of hyper's own.
//!
//! hyper answers a head that it cannot read by itself, with a status and no body, and hands it to nobody. Those few
//! answers are recognised here and written anew, as the problems that every other refusal is.

use std::io;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use axum::http::StatusCode;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::http::connection::by_hand;
use crate::http::connection::socket::Socket;
use crate::http::connection::state::State;

/// The first byte of a TLS connection: a record of type handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// A connection, in the clear or not.
pub(crate) struct Wire {
    inner: Inner,
    state: Arc<State>,
    /// How many requests had begun when all that hyper had to say was sent and none was in flight. As long as that
    /// number stands, whatever hyper writes is its own.
    quiet: Option<usize>,
    /// What is being sent in place of hyper's own words, and how much of it is.
    instead: Option<(Vec<u8>, usize)>,
}

enum Inner {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>), // a kilobyte more, which connections in the clear need not carry
}

/// Begins TLS. `None` if the client does not: one that speaks HTTP instead is told so.
pub(crate) async fn greet(tls: TlsAcceptor, mut socket: Socket, state: Arc<State>) -> Option<Wire> {
    let first = socket.first_byte().await.ok()??;
    if first != TLS_HANDSHAKE {
        if first.is_ascii_alphabetic() {
            let _ = socket.try_write(&by_hand::tls_wanted()); // best effort
            state.unread.store(true, Ordering::Relaxed);
            let _ = socket.shutdown().await;
        }
        return None;
    }
    match tls.accept(socket).await {
        Ok(stream) => Some(Wire::new(Inner::Tls(Box::new(stream)), state)),
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

impl Wire {
    /// HTTP in the clear.
    pub(crate) fn plain(socket: Socket, state: Arc<State>) -> Self {
        Self::new(Inner::Plain(socket), state)
    }

    fn new(inner: Inner, state: Arc<State>) -> Self {
        Self { inner, state, quiet: Some(0), instead: None }
    }

    /// Our answer in place of `bytes`, if those are an answer of hyper's own.
    fn in_place_of(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.quiet? != self.state.begun.load(Ordering::Relaxed) {
            return None;
        }
        let status = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        let ours = by_hand::refused_head(StatusCode::from_bytes(status).ok()?)?;
        self.state.unread.store(true, Ordering::Relaxed); // whatever else was sent
        self.quiet = None;
        Some(ours)
    }

    /// Sends what stands in place of hyper's words to its end; true if there is any.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Some((ours, sent)) = &mut self.instead else { return Poll::Ready(Ok(false)) };
        while *sent < ours.len() {
            *sent += ready!(self.inner.stream().poll_write(cx, &ours[*sent..]))?;
        }
        self.instead = None;
        Poll::Ready(Ok(true))
    }
}

impl Inner {
    fn stream(&mut self) -> Pin<&mut dyn Duplex> {
        match self {
            Self::Plain(socket) => Pin::new(socket),
            Self::Tls(stream) => Pin::new(&mut **stream),
        }
    }
}

/// What both are.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.inner.stream().poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.state.read_some.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.as_mut().poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none()
            && let Some(first) = slices.iter().find(|slice| !slice.is_empty())
            && let Some(ours) = self.in_place_of(first)
        {
            self.instead = Some((ours, 0));
        }
        if ready!(self.poll_instead(cx))? {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        self.inner.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true // of TCP and of TLS alike
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has handed over all it had.
        ready!(self.inner.stream().poll_flush(cx))?;
        if self.state.in_flight.load(Ordering::Relaxed) == 0 {
            self.quiet = Some(self.state.begun.load(Ordering::Relaxed));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.stream().poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if !self.state.head_late.load(Ordering::Relaxed) {
            return;
        }
        // Best effort: the socket is dropped anyway, and a few hundred bytes fit into an empty buffer.
        let late = by_hand::head_late();
        match &mut self.inner {
            Inner::Plain(socket) => {
                let _ = socket.try_write(&late);
            }
            Inner::Tls(stream) => {
                let (socket, session) = stream.get_mut();
                let _ = session.writer().write_all(&late);
                session.send_close_notify();
                let mut socket = Unbuffered(socket);
                while session.wants_write() && session.write_tls(&mut socket).is_ok() {}
            }
        }
    }
}

/// A socket as rustls writes to it.
struct Unbuffered<'s>(&'s Socket);

impl Write for Unbuffered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
