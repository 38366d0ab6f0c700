//! Dials a backend and logs in.

use std::{
    io,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    Badge, Connection, ConnectionId, Demand, Login, Memory, Seat, Settings,
    login::authenticate,
    secure::seen,
    tls_error::TlsError,
    version::{Dialect, knock},
    wire::{MAX_LOGIN_MESSAGE, Wire, kind},
};
use crate::auth::scram;
use crate::protocol::{
    Parameters, SqlState,
    backend::{self, Kind, Status},
    notice,
    startup::Replication,
};
use crate::topology::Address;

/// Reported settings that are remembered; a server has some fifteen.
pub const MAX_STATUSES: usize = 1000;

/// Where to dial, and how.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: Address,
    pub settings: Settings,
    pub dialect: Arc<Dialect>,
}

/// What a start-up says beside who logs in and where.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    pub parameters: &'a Parameters,
    /// `options` that are no settings.
    pub switches: Option<&'a [u8]>,
    pub replication: Option<&'a Replication>,
}

/// A connection that was just made.
pub struct Opened {
    pub connection: Connection,
    /// What it was told on its way in, as it came: NoticeResponses and ParameterStatus.
    pub greeting: Vec<u8>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0}")]
    Dial(#[source] io::Error),
    #[error("{0}")]
    Tls(Box<TlsError>),
    #[error("the connection was lost during the login: {0}")]
    Lost(#[source] io::Error),
    #[error("the login took longer than {0:?} (connect_timeout)")]
    TimedOut(Duration),
    /// The backend's own ErrorResponse.
    #[error("{}", String::from_utf8_lossy(notice::message(.body).unwrap_or(b"an error without a message")))]
    Rejected {
        code: Option<SqlState>,
        body: Vec<u8>,
        /// It had said AuthenticationOk before.
        admitted: bool,
    },
    #[error(
        "it asks for a password and the configuration has none for this user (upstream_password, or the URL's password)"
    )]
    NoPassword,
    #[error(
        "it asks for a cleartext password, which is sent over verified TLS alone (upstream_tls.mode = \"verify-full\" or \"verify-ca\", and \"password\" in upstream_tls.require_auth)"
    )]
    Cleartext,
    #[error("it {0}, which upstream_tls.require_auth does not allow")]
    NotAllowed(Demand),
    #[error("it asks for a kind of authentication that is not supported (code {0})")]
    Unsupported(u32),
    #[error(
        "it offers no login that is bound to its certificate (SCRAM-SHA-256-PLUS), which upstream_tls.channel_binding asks for"
    )]
    Unbound,
    #[error("it offers no SASL mechanism that is supported")]
    NoMechanism,
    #[error("{0}")]
    Scram(#[source] scram::Error),
    #[error("it let us in without proving that it knows the password")]
    Unproven,
    #[error(
        "it answers our start-up with protocol {}.{} and {options} options, which we do not speak",
        .version >> 16,
        .version & 0xffff
    )]
    Negotiated { version: u32, options: u32 },
    #[error("it does not speak the Postgres protocol")]
    Protocol,
}

impl ConnectError {
    /// In one word, for the counters.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Dial(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Lost(_) => "lost",
            Self::TimedOut(_) => "timeout",
            Self::Rejected { .. } => "rejected",
            Self::NoPassword
            | Self::Cleartext
            | Self::NotAllowed(_)
            | Self::Unbound
            | Self::Unsupported(_)
            | Self::NoMechanism
            | Self::Scram(_)
            | Self::Unproven => "authentication",
            Self::Negotiated { .. } | Self::Protocol => "protocol",
        }
    }

    /// How the connection was lost, if it was.
    pub(super) fn lost(&self) -> Option<&io::Error> {
        if let Self::Lost(error) = self {
            return Some(error);
        }
        None
    }

    /// The code of the backend's own error.
    pub fn code(&self) -> Option<SqlState> {
        match self {
            Self::Rejected { code, .. } => *code,
            Self::Dial(_)
            | Self::Tls(_)
            | Self::Lost(_)
            | Self::TimedOut(_)
            | Self::NoPassword
            | Self::Cleartext
            | Self::NotAllowed(_)
            | Self::Unbound
            | Self::Unsupported(_)
            | Self::NoMechanism
            | Self::Scram(_)
            | Self::Unproven
            | Self::Negotiated { .. }
            | Self::Protocol => None,
        }
    }

    /// Whether the backend has as many connections as it takes.
    pub fn is_of_number(&self) -> bool {
        self.code() == Some(SqlState::TOO_MANY_CONNECTIONS)
    }

    /// Whether trying again soon may help, without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Dial(_) | Self::Lost(_) | Self::TimedOut(_) | Self::Protocol => true,
            Self::Tls(error) => error.is_passing(),
            Self::Rejected { code, .. } => match code {
                Some(code) => matches!(code.class(), b"57" | b"53" | b"08"),
                None => true,
            },
            Self::NoPassword
            | Self::Cleartext
            | Self::NotAllowed(_)
            | Self::Unbound
            | Self::Unsupported(_)
            | Self::NoMechanism
            | Self::Scram(_)
            | Self::Unproven
            | Self::Negotiated { .. } => false,
        }
    }
}

/// Dials, logs in as `login`, and reads up to the first ReadyForQuery.
///
/// # Errors
/// See [`ConnectError`]. Cancel safe: a dropped call closes the socket.
pub async fn connect(
    target: &Target,
    login: &Rc<Login>,
    opening: Opening<'_>,
    id: ConnectionId,
    seat: Seat,
) -> Result<Opened, ConnectError> {
    let limit = target.settings.connect_timeout;
    // Not when it is ready: who wants those gone that were made with what counted until a moment
    // ago means those too that were being made with it.
    let begun = Instant::now();
    let whole = async {
        let (mut wire, first) = knock(target, login, opening).await?;
        let in_and_settled = async {
            authenticate(&mut wire, login, &target.settings, first).await?;
            wire.admitted = true;
            settle(wire, id, seat, begun).await
        };
        in_and_settled.await.map_err(|error| seen(target, error))
    };
    if limit.is_zero() {
        return whole.await;
    }
    match timeout(limit, whole).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut(limit)),
    }
}

/// Reads what comes between AuthenticationOk and the first ReadyForQuery.
async fn settle(
    mut wire: Wire,
    id: ConnectionId,
    seat: Seat,
    begun: Instant,
) -> Result<Opened, ConnectError> {
    let mut statuses = Parameters::default();
    let mut identity = None;
    let (mut reported, mut kept) = (0, 0);
    loop {
        let frame = wire.next().await?;
        let body = backend::body(&frame);
        let kind = kind(&frame);
        if kind == Kind::ReadyForQuery {
            if Status::of(body) != Some(Status::Idle) {
                return Err(ConnectError::Protocol);
            }
            break;
        }
        if kind == Kind::NegotiateProtocolVersion {
            return Err(ConnectError::Protocol);
        }
        if kind == Kind::ParameterStatus {
            let (name, value) = backend::parameter_status(body).ok_or(ConnectError::Protocol)?;
            (reported, kept) = (reported + 1, kept + body.len());
            if reported > MAX_STATUSES || kept > MAX_LOGIN_MESSAGE {
                return Err(ConnectError::Protocol);
            }
            statuses.set(name, value);
            wire.greeting.extend_from_slice(&frame);
        }
        // Where there is no key there is no cancelling, and nothing else is amiss.
        if kind == Kind::BackendKeyData {
            let (pid, key) = backend::key_data(body).ok_or(ConnectError::Protocol)?;
            identity = Some((pid, key.to_owned()));
        }
    }
    if !wire.is_quiet() {
        return Err(ConnectError::Protocol);
    }
    let (pid, key) = identity.unwrap_or_default();
    let badge = Badge::new(id, pid, wire.link.ends(), begun);
    let connection = Connection {
        id,
        badge,
        link: wire.link,
        pid,
        key,
        statuses,
        memory: Memory::default(),
        inbox: Vec::new(),
        expires: None,
        idle_since: None,
        seat,
    };
    Ok(Opened {
        connection,
        greeting: wire.greeting,
    })
}
