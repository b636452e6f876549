//! The socket of a connection to an upstream, whatever kind it is: one type, so that nothing above it is
//! compiled four times or called through a table.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::task::noop_waker_ref;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::client::TlsStream;

/// An open socket.
#[derive(Debug)]
pub(crate) enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
    TcpTls(Box<TlsStream<TcpStream>>),
    UnixTls(Box<TlsStream<UnixStream>>),
}

/// A socket as it comes from `connect`.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + Sized + 'static {
    /// As it is.
    fn plain(self) -> Io;
    /// With TLS over it.
    fn secured(stream: TlsStream<Self>) -> Io;
}

impl Socket for TcpStream {
    fn plain(self) -> Io {
        Io::Tcp(self)
    }

    fn secured(stream: TlsStream<Self>) -> Io {
        Io::TcpTls(Box::new(stream))
    }
}

impl Socket for UnixStream {
    fn plain(self) -> Io {
        Io::Unix(self)
    }

    fn secured(stream: TlsStream<Self>) -> Io {
        Io::UnixTls(Box::new(stream))
    }
}

/// Calls the same method of whichever socket it is.
macro_rules! forward {
    ($io:expr, $socket:ident => $call:expr) => {
        match $io {
            Io::Tcp($socket) => $call,
            Io::Unix($socket) => $call,
            Io::TcpTls($socket) => $call,
            Io::UnixTls($socket) => $call,
        }
    };
}

// === impl Io ===

impl Io {
    /// Whether the other side has neither closed nor said anything. Costs no system call unless the
    /// socket has become readable.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let read = match self {
            // Asking a socket without TLS needs no waker, and nothing has to be noted for one.
            Self::Tcp(socket) => socket.try_read(&mut byte),
            Self::Unix(socket) => socket.try_read(&mut byte),
            Self::TcpTls(_) | Self::UnixTls(_) => {
                let mut cx = Context::from_waker(noop_waker_ref());
                return Pin::new(self)
                    .poll_read(&mut cx, &mut ReadBuf::new(&mut byte))
                    .is_pending();
            }
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Drop for Io {
    /// Tells a TLS peer that nothing follows, if that can be done at once.
    fn drop(&mut self) {
        if matches!(self, Self::TcpTls(_) | Self::UnixTls(_)) {
            let mut cx = Context::from_waker(noop_waker_ref());
            // It is closed next, whatever came of it.
            let _ = Pin::new(self).poll_shutdown(&mut cx);
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), socket => Pin::new(socket).poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self.get_mut(), socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self.get_mut(), socket => Pin::new(socket).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        forward!(self, socket => socket.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), socket => Pin::new(socket).poll_shutdown(cx))
    }
}
