//! A client's socket, which reports to its connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::{Connection, Ending};
use super::connections::Place;

/// Bytes that the system may buffer before they are sent. More would not be faster, but would hide for minutes that a
/// client has stopped reading, and cost memory for each of them.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 << 10;

/// After so much silence the system checks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A client's socket. It holds the connection's place for as long as it is open, after an upgrade too.
pub(super) struct ClientStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    _place: Place,
}

impl ClientStream {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>, place: Place) -> Self {
        // Failures are ignored: the connection works without these options.
        // Progress frames are small, and must not wait for a full packet.
        let _ = stream.set_nodelay(true);
        let socket = SockRef::from(&stream);
        let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = socket.set_tcp_notsent_lowat(UNSENT);
        Self { stream, connection, _place: place }
    }

    fn poll_sent(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &polled {
            Poll::Pending => self.connection.awaits_reader(),
            Poll::Ready(Ok(bytes)) => self.connection.sent(*bytes),
            Poll::Ready(Err(_)) => {}
        }
        polled
    }

    /// Fails when writing has to stop at once.
    fn check_cut(&self) -> io::Result<()> {
        if self.connection.is_ending(Ending::Hard) { Err(cut()) } else { Ok(()) }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.connection.is_ending(Ending::Hard) {
            // Otherwise the system keeps data that the client does not read.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the service has ended the connection")
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.connection.poll_ending(cx).is_ready() {
            return Poll::Ready(Err(cut()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.connection.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_cut()?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.poll_sent(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_cut()?;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.poll_sent(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
