//! The socket itself: a bound on how long it may take nothing, and a patient end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio::time::sleep;

use crate::http::connection::state::State;

/// How long unread bytes of a refused request are read and dropped, so that its sender gets to the answer: a socket
/// that is closed with bytes unread resets the connection, and the answer may be lost with it.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// The socket, with a bound on how long it may take nothing, and a patient end.
pub(crate) struct Socket {
    stream: TcpStream,
    state: Arc<State>,
    write_stall_max: Duration,
    /// Runs while there are bytes that the socket does not take.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs while unread bytes are dropped at the end.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// Puts the bounds around `stream`.
    pub(crate) fn new(stream: TcpStream, state: Arc<State>, write_stall_max: Duration) -> Self {
        Self { stream, state, write_stall_max, stalled: None, lingering: None }
    }

    /// Looks at the first byte that comes, and leaves it there; `None` if the client closes instead.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let length = self.stream.peek(&mut first).await?;
        Ok((length > 0).then_some(first[0]))
    }

    /// Sends what the socket takes at once.
    ///
    /// # Errors
    /// It takes nothing, or is broken.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(bytes)
    }

    /// Passes on what a write came to; an end of patience becomes an error.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.stalled.is_some() {
                self.stalled = None;
            }
            return written;
        }
        let stall_max = self.write_stall_max;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall_max)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads nothing")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.state.unread.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())), // the client has closed as well
                Poll::Pending => break,
            }
        }
        let lingering = self.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER_MAX)));
        lingering.as_mut().poll(cx).map(Ok)
    }
}
