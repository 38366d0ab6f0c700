//! A TCP socket with TLS on it, either side of it.

use std::{
    fmt,
    io::{self, IoSlice, Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{CipherSuite, Connection, ProtocolVersion, pki_types::CertificateDer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// From this much room on, what is encrypted is read into the reader's own buffer: rustls by
/// itself asks the socket for 4 KiB at a time, which is four calls for one record.
const ROOMY: usize = 16 * 1024;

/// An encrypted socket.
///
/// Not tokio-rustls': its streams cannot be put together again on another thread, and it asks
/// the socket once more after a short read.
#[derive(Debug)]
pub struct Tls {
    socket: TcpStream,
    session: Connection,
    /// Encrypted bytes that were read and that the session has not seen yet.
    ahead: Vec<u8>,
    /// The session may have decrypted more than was taken.
    unread: bool,
    /// The socket has no more to read.
    ended: bool,
    /// What came was no TLS, or the alert that ended it.
    refused: Option<rustls::Error>,
}

impl Tls {
    /// Before the handshake. `ahead`: what was read of it already.
    pub(super) fn new(socket: TcpStream, session: Connection, ahead: Vec<u8>) -> Self {
        Self {
            socket,
            session,
            ahead,
            // What comes with the end of the handshake is decrypted together with it.
            unread: true,
            ended: false,
            refused: None,
        }
    }

    /// Takes the handshake as far as it goes; ready when it is over and its last bytes have left.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush(cx))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            let fed = ready!(self.poll_feed(cx))?;
            if let Some(error) = &self.refused {
                return Poll::Ready(Err(invalid(error.clone())));
            }
            if fed == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// See [`super::super::Stream::poll_read`].
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(taken) = self.take(buffer)? {
                return Poll::Ready(Ok(taken));
            }
            let roomy = self.ahead.is_empty() && buffer.len() >= ROOMY;
            let taken = match roomy {
                true => ready!(self.poll_through(cx, buffer))?,
                false => ready!(self.poll_feed(cx)).map(|_| 0)?,
            };
            // A key update is answered.
            let _ = self.poll_flush(cx)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    /// What is decrypted; `Some(0)`: nothing will come any more, `None`: nothing is here.
    ///
    /// A socket that was closed without a word of TLS is no error, as without TLS: whether a
    /// message is missing its end, its own length says.
    fn take(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.session.reader().read(buffer) {
            Ok(taken) => {
                self.unread = taken == buffer.len();
                Ok(Some(taken))
            }
            Err(error) => {
                self.unread = false;
                match (&self.refused, error.kind()) {
                    (Some(refused), _) => Err(invalid(refused.clone())),
                    (None, io::ErrorKind::WouldBlock) => Ok(self.ended.then_some(0)),
                    (None, io::ErrorKind::UnexpectedEof) => Ok(Some(0)),
                    (None, _) => Err(error),
                }
            }
        }
    }

    /// Reads encrypted bytes into the back of the buffer, and puts at its front what they mean.
    fn poll_through(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // The front holds as much as the back, and the rest of a record that came before.
        let front = buffer.len() - buffer.len() / 8 * 3;
        let (front, back) = buffer.split_at_mut(front);
        let mut read = ReadBuf::new(back);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read))?;
        let mut encrypted = read.filled();
        if encrypted.is_empty() {
            self.digest(&mut encrypted)?;
            return Poll::Ready(Ok(0));
        }
        let mut taken = 0;
        while !encrypted.is_empty() {
            let room = front.get_mut(taken..).unwrap_or_default();
            if room.is_empty() {
                self.ahead.extend_from_slice(encrypted);
                break;
            }
            self.digest(&mut encrypted)?;
            let room = front.get_mut(taken..).unwrap_or_default();
            match self.take(room) {
                Ok(None) => {}
                Ok(Some(0)) => break,
                Ok(Some(more)) => taken += more,
                // What came before is the reader's all the same.
                Err(_) if taken > 0 => break,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Gives the session more of what is encrypted; 0: nothing will come any more.
    fn poll_feed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            let mut rest = ahead.as_slice();
            let fed = self.digest(&mut rest);
            self.ahead = rest.to_vec();
            return Poll::Ready(fed);
        }
        let mut encrypted = [0; 4096];
        let mut read = ReadBuf::new(&mut encrypted);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read))?;
        let mut rest = read.filled();
        let fed = self.digest(&mut rest);
        self.ahead.extend_from_slice(rest);
        Poll::Ready(fed)
    }

    /// Takes from `encrypted` what the session has room for. Nothing given: the socket's end.
    ///
    /// What is refused is not an error yet: what came before it can still be read.
    fn digest(&mut self, encrypted: &mut &[u8]) -> io::Result<usize> {
        self.ended |= encrypted.is_empty();
        let fed = self.session.read_tls(encrypted)?;
        if let Err(error) = self.session.process_new_packets() {
            self.refused = Some(error);
            // The alert that says why.
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let _ = self.write_out(&mut cx);
        }
        Ok(fed)
    }

    /// Takes bytes to be encrypted; they have left when [`Tls::poll_flush`] says so.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let taken = self.session.writer().write(bytes)?;
        // Pending: the socket has not taken all of it, and the waker is with it.
        let _ = self.poll_flush(cx)?;
        Poll::Ready(Ok(taken))
    }

    /// Ready when the socket has taken everything that was encrypted.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.write_out(cx) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Err(self.told(cx, error))),
        }
    }

    /// Whether the socket has taken everything.
    fn write_out(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while self.session.wants_write() {
            let mut out = Out {
                socket: &mut self.socket,
                cx,
            };
            match self.session.write_tls(&mut out) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// A peer that refuses us says why before it closes, and closes before we have written all.
    fn told(&mut self, cx: &mut Context<'_>, error: io::Error) -> io::Error {
        let _ = self.poll_feed(cx);
        match &self.refused {
            Some(alert) => invalid(alert.clone()),
            None => error,
        }
    }

    /// Whether encrypted bytes wait for the socket.
    #[inline]
    pub fn is_backed_up(&self) -> bool {
        self.session.wants_write()
    }

    /// See [`super::super::Stream::poll_readable`].
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unread || !self.ahead.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_read_ready(cx)
    }

    /// Tells the peer that nothing will come any more. Does not wait: whether it hears it does
    /// not matter.
    pub fn farewell(&mut self) {
        self.session.send_close_notify();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let _ = self.write_out(&mut cx);
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The peer's certificates, its own first; empty: it has shown none.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        self.session.peer_certificates().unwrap_or_default()
    }

    /// The version and the cipher; `None` before the end of the handshake.
    pub fn spoken(&self) -> Option<Spoken> {
        Some(Spoken {
            version: self.session.protocol_version()?,
            suite: self.session.negotiated_cipher_suite()?.suite(),
        })
    }

    /// What was negotiated.
    pub fn session(&self) -> &Connection {
        &self.session
    }

    /// Takes the socket off this thread's runtime.
    pub fn detach(self) -> io::Result<Detached> {
        Ok(Detached {
            socket: self.socket.into_std()?,
            session: self.session,
            ahead: self.ahead,
            unread: self.unread,
            ended: self.ended,
            refused: self.refused,
        })
    }
}

/// A version of TLS, and a cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoken {
    version: ProtocolVersion,
    suite: CipherSuite,
}

impl fmt::Display for Spoken {
    /// In openssl's words, as Postgres and PgBouncer show them: `TLSv1.3/TLS_AES_256_GCM_SHA384`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = format!("{:?}", self.version).replace('_', ".");
        let suite = format!("{:?}", self.suite).replace("TLS13_", "TLS_");
        write!(f, "{version}/{suite}")
    }
}

/// An encrypted socket on no runtime.
#[derive(Debug)]
pub struct Detached {
    socket: std::net::TcpStream,
    session: Connection,
    ahead: Vec<u8>,
    unread: bool,
    ended: bool,
    refused: Option<rustls::Error>,
}

impl Detached {
    /// Puts the socket on this thread's runtime.
    pub fn attach(self) -> io::Result<Tls> {
        Ok(Tls {
            socket: TcpStream::from_std(self.socket)?,
            session: self.session,
            ahead: self.ahead,
            unread: self.unread,
            ended: self.ended,
            refused: self.refused,
        })
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// A socket as rustls writes to it.
struct Out<'a, 'b> {
    socket: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

impl Write for Out<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.socket).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.socket).poll_write_vectored(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn blocking(written: Poll<io::Result<usize>>) -> io::Result<usize> {
    match written {
        Poll::Ready(written) => written,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
