//! One socket, whatever its kind. The relay does not know which it has.

use core::fmt;
use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

use super::tls::{self, Spoken, Tls};

/// A connected socket. Reads and writes through `poll_*` alone: only `poll_read` clears the
/// readiness after a short read, which saves a call that would answer EAGAIN.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Boxed, or every plain socket were as large.
    Tls(Box<Tls>),
}

impl Stream {
    /// Reads into `buffer`; 0 bytes: the peer has closed.
    #[inline]
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(buffer);
        let read = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut into),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut into),
            Self::Tls(stream) => return stream.poll_read(cx, buffer),
        };
        read.map_ok(|()| into.filled().len())
    }

    /// Takes bytes to be sent. What it has taken may not have left yet where it is encrypted:
    /// [`Stream::poll_flush`] sees to that.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => stream.poll_write(cx, bytes),
        }
    }

    /// Ready when the system has everything that was taken.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => stream.poll_flush(cx),
        }
    }

    /// Whether something that was taken has not left yet.
    #[inline]
    pub fn is_backed_up(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(stream) => stream.is_backed_up(),
        }
    }

    /// Tells a peer that can be told that nothing will come any more; does not wait.
    pub fn farewell(&mut self) {
        match self {
            Self::Tcp(_) | Self::Unix(_) => {}
            Self::Tls(stream) => stream.farewell(),
        }
    }

    /// Whether it is one over which TLS makes sense: a Unix socket leaves the machine for nobody.
    pub fn is_tcp(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Tls(_) => true,
            Self::Unix(_) => false,
        }
    }

    /// What TLS has made of it, if there is TLS.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Tls(stream) => Some(stream),
        }
    }

    /// Whether something can be read, without reading it; registers the waker otherwise.
    /// May be ready for nothing: only a read tells.
    #[inline]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Tls(stream) => stream.poll_readable(cx),
        }
    }

    /// Whether the peer has closed the connection, as far as the system has told: also while
    /// bytes lie unread before that end. Calls nothing and registers nothing.
    pub fn has_closed(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let ready = match self {
            Self::Tcp(stream) => pin!(stream.ready(Interest::READABLE)).poll(&mut cx),
            Self::Tls(stream) => pin!(stream.socket().ready(Interest::READABLE)).poll(&mut cx),
            Self::Unix(stream) => pin!(stream.ready(Interest::READABLE)).poll(&mut cx),
        };
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Who is connected with whom; asks the system.
    pub fn ends(&self) -> Ends {
        match self {
            Self::Tcp(stream) => Ends::of(stream),
            Self::Tls(stream) => Ends {
                tls: stream.spoken(),
                ..Ends::of(stream.socket())
            },
            Self::Unix(_) => Ends {
                peer: End::Unix,
                local: End::Unix,
                tls: None,
            },
        }
    }

    /// Takes the socket off this thread's runtime.
    pub fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Detached::Tcp),
            Self::Unix(stream) => stream.into_std().map(Detached::Unix),
            Self::Tls(stream) => stream.detach().map(Box::new).map(Detached::Tls),
        }
    }
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ends {
    pub peer: End,
    pub local: End,
    /// What they speak, if it is TLS.
    pub tls: Option<Spoken>,
}

impl Ends {
    fn of(stream: &TcpStream) -> Self {
        Self {
            peer: stream.peer_addr().map_or(End::Unknown, End::Tcp),
            local: stream.local_addr().map_or(End::Unknown, End::Tcp),
            tls: None,
        }
    }
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    Tcp(SocketAddr),
    Unix,
    /// The connection ended before anybody asked.
    #[default]
    Unknown,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl End {
    /// Whether it is on this very machine.
    pub fn is_here(self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix => true,
            Self::Unknown => false,
        }
    }
}

/// A socket on no runtime, on its way to another thread.
#[derive(Debug)]
pub enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
    Tls(Box<tls::Detached>),
}

impl Detached {
    /// Puts the socket on this thread's runtime.
    pub fn attach(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Stream::Tcp),
            Self::Unix(stream) => UnixStream::from_std(stream).map(Stream::Unix),
            Self::Tls(stream) => stream.attach().map(Box::new).map(Stream::Tls),
        }
    }
}
