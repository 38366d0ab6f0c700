//! From an address to a socket, encrypted where that is wished.
//!
//! Nothing but the request for TLS leaves before TLS has begun, where the mode asks for TLS.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    ConnectError, Target,
    dial::dial,
    tls_error::{TlsError, Why},
};
use crate::net::{
    Stream,
    tls::{self, ALPN, Client, HandshakeError, Mode, Tls},
};
use crate::protocol::startup;
use crate::telemetry::events;
use crate::topology::Address;

/// TLS to a backend.
#[derive(Clone)]
pub struct Encryption {
    pub client: Arc<Client>,
    /// Whom its certificate has to be for; `None`: the host of its address.
    pub server_name: Option<String>,
    pub negotiation: Negotiation,
    pub words: Words,
    /// What `prefer` made do with has been told: no TLS, and TLS with anybody.
    told: Arc<[AtomicBool; 2]>,
}

impl Encryption {
    pub fn new(
        client: Client,
        server_name: Option<String>,
        negotiation: Negotiation,
        words: Words,
    ) -> Self {
        Self {
            client: Arc::new(client),
            server_name,
            negotiation,
            words,
            told: Arc::default(),
        }
    }

    pub fn mode(&self) -> Mode {
        self.client.settings().mode
    }

    /// Says once for each what `prefer` makes do with; nothing of what never leaves this machine.
    fn tell(&self, address: &Address, stream: &Stream, why: Option<&ConnectError>) {
        let encrypted = stream.tls().is_some();
        let here = !encrypted && why.is_none() && stream.ends().peer.is_here();
        let [plain, unverified] = &*self.told;
        let told = if encrypted { unverified } else { plain };
        if self.mode() == Mode::Prefer && !here && !told.swap(true, Ordering::Relaxed) {
            match (encrypted, why) {
                (true, _) => events::unverified(address),
                (false, Some(why)) => events::without_tls(address, why),
                (false, None) => events::without_tls(address, &"it offers none"),
            }
        }
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption")
            .field("client", self.client.settings())
            .field("server_name", &self.server_name)
            .field("negotiation", &self.negotiation)
            .finish_non_exhaustive()
    }
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Negotiation {
    /// A request in Postgres' protocol, and its answer, go before.
    #[default]
    Postgres,
    /// At once; PostgreSQL 17 and newer.
    Direct,
}

/// How the configuration calls what is said of TLS, for errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// The table of the database, in full.
    Table(String),
    Url,
}

/// Dials, and begins TLS as the mode says. Unix sockets have none, as with libpq.
///
/// # Errors
/// [`ConnectError::Dial`], [`ConnectError::Lost`] or [`ConnectError::Tls`].
pub(super) async fn reach(target: &Target) -> Result<Stream, ConnectError> {
    let stream = dial(&target.address, &target.settings.keepalive);
    let stream = stream.await.map_err(ConnectError::Dial)?;
    let (Some(encryption), Address::Tcp { host, .. }) = (&target.settings.tls, &target.address)
    else {
        return Ok(stream);
    };
    let Stream::Tcp(socket) = stream else {
        return Ok(stream);
    };
    let stream = secure(encryption, host, socket).await?;
    encryption.tell(&target.address, &stream, None);
    Ok(stream)
}

/// Reaches it without TLS where `prefer` is refused that.
pub(super) async fn reach_somehow(target: &Target) -> Result<Stream, ConnectError> {
    match reach(target).await {
        Err(why @ ConnectError::Tls(_)) if prefers(target) => reach_plainly(target, &why).await,
        reached => reached,
    }
}

/// Dials without TLS, which was refused.
pub(super) async fn reach_plainly(
    target: &Target,
    why: &ConnectError,
) -> Result<Stream, ConnectError> {
    let stream = dial(&target.address, &target.settings.keepalive);
    let stream = stream.await.map_err(ConnectError::Dial)?;
    if let Some(encryption) = &target.settings.tls {
        encryption.tell(&target.address, &stream, Some(why));
    }
    Ok(stream)
}

/// Whether it would do without TLS.
pub(super) fn prefers(target: &Target) -> bool {
    let encryption = target.settings.tls.as_ref();
    encryption.is_some_and(|encryption| encryption.mode() == Mode::Prefer)
}

async fn secure(
    encryption: &Encryption,
    host: &str,
    mut socket: TcpStream,
) -> Result<Stream, ConnectError> {
    let failed = |why| ConnectError::Tls(Box::new(TlsError::new(encryption, host, why)));
    if encryption.negotiation == Negotiation::Postgres {
        match ask(&mut socket).await? {
            Answer::Goes => {}
            Answer::Declines if encryption.mode() == Mode::Prefer => {
                return Ok(Stream::Tcp(socket));
            }
            Answer::Declines => return Err(failed(Why::NotOffered)),
            Answer::Error => return Err(failed(Why::Error)),
            Answer::More => return Err(failed(Why::Injected)),
            Answer::Other => return Err(ConnectError::Protocol),
        }
    }
    let name = encryption.server_name.as_deref().unwrap_or(host);
    match encryption.client.connect(socket, name).await {
        Ok(tls) if encryption.negotiation == Negotiation::Direct && !speaks_postgres(&tls) => {
            Err(failed(Why::Refused(tls::Refusal::Protocol)))
        }
        Ok(tls) => Ok(Stream::Tls(Box::new(tls))),
        Err(HandshakeError::Refused(error)) => Err(failed(Why::Refused(tls::Refusal::of(&error)))),
        Err(HandshakeError::Lost(error)) => match encryption.negotiation {
            Negotiation::Postgres => Err(ConnectError::Lost(error)),
            // An older server takes it for a start-up that is no such thing, and closes.
            Negotiation::Direct => Err(failed(Why::LostDirect)),
        },
    }
}

fn speaks_postgres(tls: &Tls) -> bool {
    tls.session().alpn_protocol() == Some(ALPN)
}

/// What a server says to a request for TLS.
enum Answer {
    Goes,
    Declines,
    /// An ErrorResponse. Its text is not shown: whoever is in between may have written it.
    Error,
    /// Something lies behind the answer that TLS would not cover.
    More,
    Other,
}

async fn ask(socket: &mut TcpStream) -> Result<Answer, ConnectError> {
    let mut answer = [0; 2];
    let exchange = async {
        socket.write_all(&startup::ssl_request()).await?;
        socket.read(&mut answer).await
    };
    let read = exchange.await.map_err(ConnectError::Lost)?;
    Ok(match (read, answer) {
        (0, _) => return Err(ConnectError::Lost(std::io::ErrorKind::UnexpectedEof.into())),
        (1, [b'S', _]) => Answer::Goes,
        (1, [b'N', _]) => Answer::Declines,
        (_, [b'E', _]) => Answer::Error,
        (_, [b'S' | b'N', _]) => Answer::More,
        _ => Answer::Other,
    })
}

/// An error of the login's, seen for what it is: a refusal that TLS brings late.
pub(super) fn seen(target: &Target, error: ConnectError) -> ConnectError {
    let refused = error.lost().and_then(tls::in_error);
    let refused = refused.map(tls::Refusal::of);
    match (refused, &target.settings.tls, &target.address) {
        (Some(why), Some(encryption), Address::Tcp { host, .. }) => {
            let why = Why::Refused(why);
            ConnectError::Tls(Box::new(TlsError::new(encryption, host, why)))
        }
        _ => error,
    }
}
