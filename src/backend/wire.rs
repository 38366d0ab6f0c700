//! The socket while we log in: whole frames, one at a time.

use std::{future::poll_fn, io, task::Poll, task::ready};

use super::{ConnectError, Login, Opening};
use crate::net::Link;
use crate::protocol::{
    backend::{self, Kind},
    frame, notice, startup,
};

/// The longest message that a backend may send before we are in.
pub(super) const MAX_LOGIN_MESSAGE: usize = 1024 * 1024;
/// Notices beyond so many bytes are not kept.
const MAX_GREETING: usize = 64 * 1024;

/// A backend's socket, up to its first ReadyForQuery.
pub(super) struct Wire {
    pub link: Link,
    inbox: Vec<u8>,
    /// Notices and settings that came, as they came.
    pub greeting: Vec<u8>,
    /// AuthenticationOk has come.
    pub admitted: bool,
}

impl Wire {
    pub fn new(link: Link) -> Self {
        Self {
            link,
            inbox: Vec::new(),
            greeting: Vec::new(),
            admitted: false,
        }
    }

    /// Whether everything that came has been read.
    pub fn is_quiet(&self) -> bool {
        self.inbox.is_empty()
    }

    pub async fn start(
        &mut self,
        login: &Login,
        opening: Opening<'_>,
        minor: u32,
    ) -> Result<(), ConnectError> {
        let who: [(&[u8], &[u8]); 2] = [(b"user", &login.user), (b"database", &login.database)];
        let replication = opening
            .replication
            .map(|kind| (&b"replication"[..], kind.value()));
        let switches = opening.switches.map(|options| (&b"options"[..], options));
        let own = who.into_iter().chain(replication).chain(switches);
        let mut packet = Vec::new();
        startup::put(&mut packet, minor, own.chain(opening.parameters.iter()));
        self.send(&packet).await
    }

    /// Sends a password, SASL or GSS answer.
    pub async fn password(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), ConnectError> {
        let mut packet = zeroize::Zeroizing::new(Vec::new());
        crate::protocol::frontend::put_authentication(&mut packet, fill);
        self.send(&packet).await
    }

    async fn send(&mut self, packet: &[u8]) -> Result<(), ConnectError> {
        let mut sent = false;
        poll_fn(|cx| {
            if !sent {
                self.link.send(cx, packet)?;
                sent = true;
            }
            self.link.poll_flush(cx)
        })
        .await
        .map_err(ConnectError::Lost)
    }

    /// The next frame that is no notice; an ErrorResponse is the end.
    pub async fn next(&mut self) -> Result<Vec<u8>, ConnectError> {
        loop {
            let frame = self.frame().await?;
            let kind = kind(&frame);
            if kind == Kind::ErrorResponse {
                let body = backend::body(&frame).to_owned();
                let code = notice::sqlstate(&body);
                let admitted = self.admitted;
                return Err(ConnectError::Rejected {
                    code,
                    body,
                    admitted,
                });
            }
            if kind == Kind::Unknown {
                return Err(ConnectError::Protocol);
            }
            if kind != Kind::NoticeResponse {
                return Ok(frame);
            }
            if self.greeting.len() + frame.len() <= MAX_GREETING {
                self.greeting.extend_from_slice(&frame);
            }
        }
    }

    async fn frame(&mut self) -> Result<Vec<u8>, ConnectError> {
        loop {
            match frame::peek(&self.inbox).map_err(|_| ConnectError::Protocol)? {
                Some(header) if header.len > MAX_LOGIN_MESSAGE => {
                    return Err(ConnectError::Protocol);
                }
                Some(header) if header.len <= self.inbox.len() => {
                    let rest = self.inbox.split_off(header.len);
                    return Ok(std::mem::replace(&mut self.inbox, rest));
                }
                Some(_) | None => self.fill().await?,
            }
        }
    }

    async fn fill(&mut self) -> Result<(), ConnectError> {
        let mut chunk = [0; 4096];
        let read = poll_fn(|cx| {
            let read = ready!(self.link.poll_read(cx, &mut chunk))?;
            if read == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            Poll::Ready(Ok(read))
        })
        .await
        .map_err(ConnectError::Lost)?;
        self.inbox
            .extend_from_slice(chunk.get(..read).unwrap_or_default());
        Ok(())
    }
}

/// What a frame is.
pub(super) fn kind(frame: &[u8]) -> Kind {
    frame.first().map_or(Kind::Unknown, |&tag| Kind::of(tag))
}
