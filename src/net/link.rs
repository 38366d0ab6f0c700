//! A socket, and the bytes that it has not taken yet.

use std::{
    io,
    task::{Context, Poll, ready},
};

use super::{Detached, Ends, Stream, tls::Tls};

/// One peer's socket. Sending never waits: what the socket refuses is kept here, and whoever
/// sends more than that owes the other side back-pressure ([`Link::is_backed_up`]).
#[derive(Debug)]
pub struct Link {
    stream: Stream,
    backlog: Vec<u8>,
    /// Bytes of the backlog already written.
    written: usize,
}

impl Link {
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            backlog: Vec::new(),
            written: 0,
        }
    }

    /// Reads into `buffer`; 0 bytes: the peer has closed.
    #[inline]
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, buffer)
    }

    /// See [`Stream::poll_readable`].
    #[inline]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_readable(cx)
    }

    /// Writes `bytes`, and keeps those that the socket does not take now.
    #[inline]
    pub fn send(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> io::Result<()> {
        if self.is_backed_up() {
            self.backlog.extend_from_slice(bytes);
            return Ok(());
        }
        while !bytes.is_empty() {
            match self.stream.poll_write(cx, bytes)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
                Poll::Pending => {
                    self.backlog.extend_from_slice(bytes);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Ready when the socket has taken everything that was sent.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.backlog.is_empty() {
            let bytes = self.backlog.get(self.written..).unwrap_or_default();
            match ready!(self.stream.poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.written += taken,
            }
            if self.written == self.backlog.len() {
                self.backlog = Vec::new();
                self.written = 0;
            }
        }
        self.stream.poll_flush(cx)
    }

    /// Whether bytes wait here for the socket.
    #[inline]
    pub fn is_backed_up(&self) -> bool {
        !self.backlog.is_empty() || self.stream.is_backed_up()
    }

    /// Bytes that wait here for the socket; encrypted ones, of which there are few, not counted.
    pub fn backlog(&self) -> usize {
        self.backlog.len() - self.written
    }

    /// See [`Stream::has_closed`].
    pub fn has_closed(&self) -> bool {
        self.stream.has_closed()
    }

    /// See [`Stream::ends`].
    pub fn ends(&self) -> Ends {
        self.stream.ends()
    }

    /// See [`Stream::farewell`].
    pub fn farewell(&mut self) {
        self.stream.farewell();
    }

    /// See [`Stream::is_tcp`].
    pub fn is_tcp(&self) -> bool {
        self.stream.is_tcp()
    }

    /// See [`Stream::tls`].
    pub fn tls(&self) -> Option<&Tls> {
        self.stream.tls()
    }

    /// The socket alone; a backlog is lost.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// Takes the socket off this thread's runtime; a backlog is lost.
    pub fn detach(self) -> io::Result<Detached> {
        self.stream.detach()
    }
}
