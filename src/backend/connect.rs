//! Dials a backend and logs in.

use std::{cell::RefCell, future::poll_fn, io, rc::Rc, task::Poll, task::ready, time::Duration};

use tokio::time::timeout;

use super::{Badge, Connection, ConnectionId, Memory, Seat, Settings, dial::dial};
use crate::auth::{Secret, md5, scram};
use crate::net::Link;
use crate::protocol::{
    Parameters, SqlState,
    backend::{self, Challenge, Kind, Status},
    frame, notice, startup,
};
use crate::topology::Address;

/// The longest message that a backend may send before we are in.
const MAX_LOGIN_MESSAGE: usize = 1024 * 1024;

/// Reported settings that are remembered; a server has some fifteen.
pub const MAX_STATUSES: usize = 1000;
/// The longest cancel key of protocol 3.2.
const MAX_KEY: usize = 256;

/// A stretch of PBKDF2 longer than this leaves the worker's thread.
const INLINE_ITERATIONS: u32 = 20_000;

/// Where to dial, and how.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: Address,
    pub settings: Settings,
}

/// Whom to log in as.
#[derive(Debug)]
pub struct Login {
    pub user: Vec<u8>,
    pub database: Vec<u8>,
    pub password: Option<Secret>,
    /// Keys of the last SCRAM exchange: the costly stretch is paid once.
    keys: RefCell<Option<scram::Keys>>,
}

impl Login {
    pub fn new(user: Vec<u8>, database: Vec<u8>, password: Option<Secret>) -> Self {
        Self {
            user,
            database,
            password,
            keys: RefCell::default(),
        }
    }

    fn credential(&self, password: &Secret) -> scram::Credential {
        let password = password.clone();
        match self.keys.borrow().clone() {
            Some(keys) => scram::Credential::Remembered { password, keys },
            None => scram::Credential::Password(password),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0}")]
    Dial(#[source] io::Error),
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
    #[error("it asks for a cleartext password, which is sent over verified TLS only")]
    Cleartext,
    #[error("it asks for a kind of authentication that is not supported (code {0})")]
    Unsupported(u32),
    #[error("it offers no SASL mechanism that is supported")]
    NoMechanism,
    #[error("{0}")]
    Scram(#[source] scram::Error),
    #[error("it let us in without proving that it knows the password")]
    Unproven,
    #[error("it does not speak the Postgres protocol")]
    Protocol,
}

impl ConnectError {
    /// In one word, for the counters.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Dial(_) => "unreachable",
            Self::Lost(_) => "lost",
            Self::TimedOut(_) => "timeout",
            Self::Rejected { .. } => "rejected",
            Self::NoPassword
            | Self::Cleartext
            | Self::Unsupported(_)
            | Self::NoMechanism
            | Self::Scram(_)
            | Self::Unproven => "authentication",
            Self::Protocol => "protocol",
        }
    }

    /// The code of the backend's own error.
    pub fn code(&self) -> Option<SqlState> {
        match self {
            Self::Rejected { code, .. } => *code,
            Self::Dial(_)
            | Self::Lost(_)
            | Self::TimedOut(_)
            | Self::NoPassword
            | Self::Cleartext
            | Self::Unsupported(_)
            | Self::NoMechanism
            | Self::Scram(_)
            | Self::Unproven
            | Self::Protocol => None,
        }
    }

    /// Whether trying again soon may help, without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Dial(_) | Self::Lost(_) | Self::TimedOut(_) | Self::Protocol => true,
            Self::Rejected { code, .. } => match code {
                Some(code) => matches!(code.class(), b"57" | b"53" | b"08"),
                None => true,
            },
            Self::NoPassword
            | Self::Cleartext
            | Self::Unsupported(_)
            | Self::NoMechanism
            | Self::Scram(_)
            | Self::Unproven => false,
        }
    }
}

/// Dials, logs in as `login`, and reads up to the first ReadyForQuery.
///
/// `parameters` are sent with the start-up, beside user and database.
///
/// # Errors
/// See [`ConnectError`]. Cancel safe: a dropped call closes the socket.
pub async fn connect(
    target: &Target,
    login: &Rc<Login>,
    parameters: &Parameters,
    switches: Option<&[u8]>,
    id: ConnectionId,
    seat: Seat,
) -> Result<Connection, ConnectError> {
    let limit = target.settings.connect_timeout;
    let whole = async {
        let stream = dial(&target.address, &target.settings.keepalive)
            .await
            .map_err(ConnectError::Dial)?;
        let mut wire = Wire::new(Link::new(stream));
        wire.start(login, parameters, switches).await?;
        authenticate(&mut wire, login).await?;
        wire.admitted = true;
        settle(wire, id, seat).await
    };
    if limit.is_zero() {
        return whole.await;
    }
    match timeout(limit, whole).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut(limit)),
    }
}

async fn authenticate(wire: &mut Wire, login: &Rc<Login>) -> Result<(), ConnectError> {
    loop {
        let frame = wire.next().await?;
        match challenge(&frame)? {
            Challenge::Ok => return Ok(()),
            Challenge::Md5 { salt } => {
                let password = login.password.as_ref().ok_or(ConnectError::NoPassword)?;
                let user = String::from_utf8_lossy(&login.user);
                let answer = md5::answer(&user, password, salt);
                wire.password(|out| frame::put_cstr(out, answer.as_bytes()))
                    .await?;
            }
            Challenge::Sasl { mechanisms } => {
                scram_exchange(wire, login, mechanisms).await?;
                let frame = wire.next().await?;
                let proven = challenge(&frame)? == Challenge::Ok;
                return proven.then_some(()).ok_or(ConnectError::Protocol);
            }
            Challenge::Cleartext if login.password.is_none() => {
                return Err(ConnectError::NoPassword);
            }
            Challenge::Cleartext => return Err(ConnectError::Cleartext),
            Challenge::Other(code) => return Err(ConnectError::Unsupported(code)),
            Challenge::SaslContinue { .. } | Challenge::SaslFinal { .. } => {
                return Err(ConnectError::Protocol);
            }
        }
    }
}

async fn scram_exchange(
    wire: &mut Wire,
    login: &Rc<Login>,
    mechanisms: &[u8],
) -> Result<(), ConnectError> {
    let offered = |name: &str| {
        mechanisms
            .split(|&byte| byte == 0)
            .any(|one| one == name.as_bytes())
    };
    if !offered(scram::MECHANISM) {
        return Err(ConnectError::NoMechanism);
    }
    let password = login.password.as_ref().ok_or(ConnectError::NoPassword)?;
    let mut random = [0; 18];
    getrandom::fill(&mut random).map_err(|error| ConnectError::Dial(error.into()))?;
    let nonce = scram::Nonce::from_random(random);
    let (state, first) = scram::Client::new(login.credential(password), nonce).first();
    wire.password(|out| {
        frame::put_cstr(out, scram::MECHANISM.as_bytes());
        let length = i32::try_from(first.len()).unwrap_or(i32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&first);
    })
    .await?;

    let frame = wire.next().await?;
    let Challenge::SaslContinue { data } = challenge(&frame)? else {
        return Err(ConnectError::Protocol);
    };
    let asked = state.challenge(data).map_err(ConnectError::Scram)?;
    let (state, last) = if asked.work() > INLINE_ITERATIONS {
        let answer = tokio::task::spawn_blocking(move || asked.answer()).await;
        answer.map_err(|error| ConnectError::Lost(error.into()))?
    } else {
        asked.answer()
    }
    .map_err(ConnectError::Scram)?;
    wire.password(|out| out.extend_from_slice(&last)).await?;

    let frame = wire.next().await?;
    let data = match challenge(&frame)? {
        Challenge::SaslFinal { data } => data,
        Challenge::Ok => return Err(ConnectError::Unproven),
        Challenge::Cleartext
        | Challenge::Md5 { .. }
        | Challenge::Sasl { .. }
        | Challenge::SaslContinue { .. }
        | Challenge::Other(_) => return Err(ConnectError::Protocol),
    };
    let keys = state.server_final(data).map_err(ConnectError::Scram)?;
    login.keys.replace(Some(keys));
    Ok(())
}

/// Reads what comes between AuthenticationOk and the first ReadyForQuery.
async fn settle(mut wire: Wire, id: ConnectionId, seat: Seat) -> Result<Connection, ConnectError> {
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
        if kind == Kind::ParameterStatus {
            let (name, value) = backend::parameter_status(body).ok_or(ConnectError::Protocol)?;
            (reported, kept) = (reported + 1, kept + body.len());
            if reported > MAX_STATUSES || kept > MAX_LOGIN_MESSAGE {
                return Err(ConnectError::Protocol);
            }
            statuses.set(name, value);
        }
        // Where there is no key there is no cancelling, and nothing else is amiss.
        if kind == Kind::BackendKeyData {
            let (pid, key) = backend::key_data(body)
                .filter(|(_, key)| key.len() <= MAX_KEY)
                .ok_or(ConnectError::Protocol)?;
            identity = Some((pid, key.to_owned()));
        }
    }
    if !wire.inbox.is_empty() {
        return Err(ConnectError::Protocol);
    }
    let (pid, key) = identity.unwrap_or_default();
    let badge = Badge::new(id, pid, wire.link.ends(), std::time::Instant::now());
    Ok(Connection {
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
    })
}

fn kind(frame: &[u8]) -> Kind {
    frame.first().map_or(Kind::Unknown, |&tag| Kind::of(tag))
}

fn challenge(frame: &[u8]) -> Result<Challenge<'_>, ConnectError> {
    if kind(frame) != Kind::Authentication {
        return Err(ConnectError::Protocol);
    }
    backend::challenge(backend::body(frame)).ok_or(ConnectError::Protocol)
}

/// The socket while we log in: whole frames, one at a time.
struct Wire {
    link: Link,
    inbox: Vec<u8>,
    /// AuthenticationOk has come.
    admitted: bool,
}

impl Wire {
    fn new(link: Link) -> Self {
        Self {
            link,
            inbox: Vec::new(),
            admitted: false,
        }
    }

    async fn start(
        &mut self,
        login: &Login,
        parameters: &Parameters,
        switches: Option<&[u8]>,
    ) -> Result<(), ConnectError> {
        let own: [(&[u8], &[u8]); 2] = [(b"user", &login.user), (b"database", &login.database)];
        let switches = switches.map(|options| (&b"options"[..], options));
        let mut packet = Vec::new();
        startup::put(
            &mut packet,
            own.into_iter().chain(parameters.iter()).chain(switches),
        );
        self.send(&packet).await
    }

    /// Sends a password, SASL or GSS answer.
    async fn password(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), ConnectError> {
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
    async fn next(&mut self) -> Result<Vec<u8>, ConnectError> {
        loop {
            let frame = self.frame().await?;
            let kind = kind(&frame);
            if kind == Kind::ErrorResponse {
                let body = backend::body(&frame).to_owned();
                return Err(ConnectError::Rejected {
                    code: notice::sqlstate(&body),
                    body,
                    admitted: self.admitted,
                });
            }
            if kind == Kind::Unknown {
                return Err(ConnectError::Protocol);
            }
            if kind != Kind::NoticeResponse && kind != Kind::NegotiateProtocolVersion {
                return Ok(frame);
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
