//! What comes before a session: requests for encryption, a cancel, or the start-up.

use std::{future::poll_fn, io, task::Poll, task::ready};

use crate::net::Link;
use crate::protocol::startup::{self, First, Refused, Startup};

/// What a client came for.
#[derive(Debug)]
pub enum Arrival {
    /// To stay; with what it sent behind its start-up.
    Startup(Startup, Vec<u8>),
    /// To cancel what another session runs.
    Cancel { pid: i32, key: Vec<u8> },
    /// It closed the connection without a word, as probes do.
    Nothing,
}

/// Why a client is sent away before its session begins.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("a direct TLS connection came, and TLS is not supported yet")]
    DirectTls,
    #[error("the client's connection broke: {0}")]
    Broken(#[from] io::Error),
}

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Reads up to the client's start-up or cancel; encryption is answered with "no", once for
/// each kind.
///
/// # Errors
/// See [`Error`]. Cancel safe in that a dropped call loses the connection and nothing else.
pub async fn negotiate(link: &mut Link) -> Result<Arrival, Error> {
    let mut inbox = Vec::new();
    let (mut ssl, mut gss) = (false, false);
    loop {
        let Some(packet) = packet(link, &mut inbox).await? else {
            return Ok(Arrival::Nothing);
        };
        let asked = match startup::read(&packet)? {
            First::Ssl if ssl => return Err(Refused::SECOND_SSL.into()),
            First::Ssl => {
                ssl = true;
                "SSL"
            }
            First::GssEncryption if gss => return Err(Refused::SECOND_GSSENC.into()),
            First::GssEncryption => {
                gss = true;
                "GSSAPI encryption"
            }
            First::Cancel { pid, key } => return Ok(Arrival::Cancel { pid, key }),
            First::Startup(startup) => return Ok(Arrival::Startup(startup, inbox)),
        };
        refuse_encryption(link).await?;
        // Whoever asks waits for the answer: what came with the question is not the asker's.
        if !inbox.is_empty() {
            return Err(Refused::Unencrypted(asked).into());
        }
    }
}

/// The next untagged packet; `None`: the client closed before it began one.
async fn packet(link: &mut Link, inbox: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
    let mut chunk = [0; 512];
    loop {
        if inbox.first() == Some(&TLS_HANDSHAKE) {
            return Err(Error::DirectTls);
        }
        if let Some(len) = startup::len(inbox)?
            && len <= inbox.len()
        {
            let rest = inbox.split_off(len);
            return Ok(Some(std::mem::replace(inbox, rest)));
        }
        let read = poll_fn(|cx| link.poll_read(cx, &mut chunk)).await;
        match read {
            Ok(0) if inbox.is_empty() => return Ok(None),
            Ok(0) => return Err(Error::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => inbox.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(_) if inbox.is_empty() => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn refuse_encryption(link: &mut Link) -> io::Result<()> {
    let mut sent = false;
    poll_fn(|cx| {
        if !sent {
            link.send(cx, startup::NO_ENCRYPTION)?;
            sent = true;
        }
        ready!(link.poll_flush(cx))?;
        Poll::Ready(Ok(()))
    })
    .await
}
