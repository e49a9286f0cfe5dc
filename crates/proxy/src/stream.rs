//! A connection, with or without TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// A client's, with TLS.
    Client(Box<server::TlsStream<TcpStream>>),
    /// A server's, with TLS.
    Server(Box<client::TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether it has TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Client(_) | Self::Server(_))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(it) => Pin::new(it).poll_read(cx, buffer),
            Self::Client(it) => Pin::new(it.as_mut()).poll_read(cx, buffer),
            Self::Server(it) => Pin::new(it.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(it) => Pin::new(it).poll_write(cx, bytes),
            Self::Client(it) => Pin::new(it.as_mut()).poll_write(cx, bytes),
            Self::Server(it) => Pin::new(it.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(it) => Pin::new(it).poll_flush(cx),
            Self::Client(it) => Pin::new(it.as_mut()).poll_flush(cx),
            Self::Server(it) => Pin::new(it.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(it) => Pin::new(it).poll_shutdown(cx),
            Self::Client(it) => Pin::new(it.as_mut()).poll_shutdown(cx),
            Self::Server(it) => Pin::new(it.as_mut()).poll_shutdown(cx),
        }
    }
}
