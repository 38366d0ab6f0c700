//! What comes before a session: requests for encryption, a cancel, or the start-up.

use std::{
    future::poll_fn,
    io,
    task::{Poll, ready},
};

use super::encrypt::TlsError;
use crate::net::Link;
use crate::protocol::startup::{self, First, Refused, Startup};

/// What a client came for.
#[derive(Debug)]
pub enum Arrival {
    /// To stay; with what it sent behind its start-up.
    Startup(Startup, Vec<u8>),
    /// To cancel what another session runs.
    Cancel { pid: i32, key: Vec<u8> },
    /// It begins TLS, and this much of it is here; afterwards [`Negotiation::go_on`] goes on.
    Tls(Vec<u8>),
    /// It closed the connection without a word, as probes do.
    Nothing,
}

/// Why a client is sent away before its session begins.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("a direct TLS connection came, and TLS is switched off here")]
    DirectTls,
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("the client's connection broke: {0}")]
    Broken(#[from] io::Error),
}

impl Error {
    /// Whether the client is not told: the server closes the connection without an answer, or
    /// nothing that could be said would be understood.
    pub fn is_silent(&self) -> bool {
        match self {
            Self::Refused(why) => why.is_silent(),
            Self::DirectTls | Self::Tls(_) => true,
            Self::Broken(_) => false,
        }
    }
}

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a client has asked for so far.
#[derive(Debug, Default)]
pub struct Negotiation {
    /// TLS can be had.
    offered: bool,
    ssl: bool,
    gss: bool,
    /// TLS was begun without a question.
    direct: bool,
}

impl Negotiation {
    /// `offered`: who asks for TLS gets it.
    pub fn new(offered: bool) -> Self {
        Self {
            offered,
            ..Self::default()
        }
    }

    /// Whether TLS was begun without a question: then it has to be agreed what it is for.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Reads up to the client's start-up or cancel, or to where TLS begins; each kind of
    /// encryption may be asked for once.
    ///
    /// # Errors
    /// See [`Error`]. Cancel safe in that a dropped call loses the connection and nothing else.
    pub async fn go_on(&mut self, link: &mut Link) -> Result<Arrival, Error> {
        let mut inbox = Vec::new();
        loop {
            let packet = match packet(link, &mut inbox).await? {
                Packet::Whole(packet) => packet,
                Packet::Tls if self.offered => {
                    self.direct = true;
                    return Ok(Arrival::Tls(inbox));
                }
                Packet::Tls => return Err(Error::DirectTls),
                Packet::Nothing => return Ok(Arrival::Nothing),
            };
            let asked = match startup::read(&packet)? {
                First::Ssl if self.ssl => return Err(Refused::SECOND_SSL.into()),
                First::Ssl => {
                    self.ssl = true;
                    "SSL"
                }
                First::GssEncryption if self.gss => return Err(Refused::SECOND_GSSENC.into()),
                First::GssEncryption => {
                    self.gss = true;
                    "GSSAPI encryption"
                }
                First::Cancel { pid, key } => return Ok(Arrival::Cancel { pid, key }),
                First::Startup(startup) => return Ok(Arrival::Startup(startup, inbox)),
            };
            let begins = asked == "SSL" && self.offered && link.tls().is_none();
            if begins && inbox.is_empty() {
                // What comes from here on is TLS or nothing.
                self.gss = true;
                answer(link, startup::TLS_BEGINS).await?;
                return Ok(Arrival::Tls(Vec::new()));
            }
            // Whoever asks waits for the answer: what came with the question is not the asker's,
            // and may not be taken for what it says inside of TLS.
            if !begins {
                answer(link, startup::NO_ENCRYPTION).await?;
            }
            if !inbox.is_empty() {
                return Err(Refused::Unencrypted(asked).into());
            }
        }
    }
}

/// What comes next.
enum Packet {
    /// An untagged packet.
    Whole(Vec<u8>),
    /// The begin of a TLS handshake, which stays in the inbox.
    Tls,
    /// The client closed before it began a packet.
    Nothing,
}

async fn packet(link: &mut Link, inbox: &mut Vec<u8>) -> Result<Packet, Error> {
    let mut chunk = [0; 512];
    loop {
        if inbox.first() == Some(&TLS_HANDSHAKE) && link.tls().is_none() {
            return Ok(Packet::Tls);
        }
        if let Some(len) = startup::len(inbox)?
            && len <= inbox.len()
        {
            let rest = inbox.split_off(len);
            return Ok(Packet::Whole(std::mem::replace(inbox, rest)));
        }
        let read = poll_fn(|cx| link.poll_read(cx, &mut chunk)).await;
        match read {
            Ok(0) if inbox.is_empty() => return Ok(Packet::Nothing),
            Ok(0) => return Err(Error::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => inbox.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(_) if inbox.is_empty() => return Ok(Packet::Nothing),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn answer(link: &mut Link, word: &[u8]) -> io::Result<()> {
    let mut sent = false;
    poll_fn(|cx| {
        if !sent {
            link.send(cx, word)?;
            sent = true;
        }
        ready!(link.poll_flush(cx))?;
        Poll::Ready(Ok(()))
    })
    .await
}
