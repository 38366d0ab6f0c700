//! Why a request fails or a session ends, and what the client may hear of it.

use std::{borrow::Cow, fmt, io, time::Duration};

use crate::auth::scram;
use crate::backend::ConnectError;
use crate::handshake;
use crate::pool::{Pool, Refusal, Silence};
use crate::protocol::{
    SqlState,
    notice::{self, Severity, put_error, put_error_as_fatal},
    startup,
};

/// An error of ours that the client is told.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("ambassador: database \"{database}\", backend {backend}: {refusal}")]
    NoConnection {
        database: String,
        backend: String,
        refusal: Refusal,
    },
    /// Of several backends.
    #[error("ambassador: database \"{database}\": {lack} for {waited:?} (acquire_timeout)")]
    NoBackend {
        database: String,
        lack: Lack,
        waited: Duration,
    },
    #[error(
        "ambassador: database \"{database}\": the connection to backend {backend} was lost{loss}: {why}"
    )]
    BackendLost {
        database: String,
        backend: String,
        why: String,
        loss: Loss,
    },
    /// In a failed transaction, as the server says it.
    #[error("current transaction is aborted, commands ignored until end of transaction block")]
    Aborted,
    #[error(
        "ambassador: database \"{database}\": the transaction was lost with its connection, and its savepoints and modes with it"
    )]
    NoWayBack { database: String },
    #[error(
        "ambassador: database \"{database}\": a setting of this session cannot be made on backend {backend}: {why}"
    )]
    Setting {
        database: String,
        backend: String,
        why: String,
        code: SqlState,
    },
    /// What the backend said of a BEGIN that the client had been answered.
    #[error("{}", String::from_utf8_lossy(notice::message(error).unwrap_or_default()))]
    Begin { code: SqlState, error: Vec<u8> },
    /// As the server says it of a setting that it does not have.
    #[error("unrecognized configuration parameter \"{name}\"")]
    UnknownSetting { name: String },
    /// As the server says it of a setting with fixed values.
    #[error("invalid value for parameter \"ambassador.route\": \"{value}\"")]
    BadRoute { value: String },
    #[error(
        "ambassador: database \"{database}\": {asks} asks for a replica, which takes no statement of class {class}"
    )]
    NotForReplicas {
        database: String,
        asks: &'static str,
        class: &'static str,
    },
    #[error("ambassador: database \"{database}\": {setting}: sharding is not supported yet")]
    NoSharding { database: String, setting: String },
    #[error(
        "ambassador: database \"{database}\": the session would have to keep its connection ({reason}), which on_pin = \"reject\" does not allow"
    )]
    PinRejected {
        database: String,
        reason: &'static str,
    },
    #[error(
        "ambassador: database \"{database}\": transactions are not supported in statement pooling"
    )]
    StatementMode { database: String },
    #[error(
        "ambassador: database \"{database}\": a message of {len} bytes is longer than {limit} (max_message_size)"
    )]
    MessageTooLarge {
        database: String,
        len: usize,
        limit: u64,
    },
    #[error("ambassador: invalid frontend message")]
    Protocol,
    #[error("canceling statement due to user request")]
    Cancelled,
    #[error(
        "ambassador: database \"{database}\": the statement was cancelled after {limit:?} (query_timeout)"
    )]
    QueryTimeout { database: String, limit: Duration },
    #[error(
        "ambassador: database \"{database}\": the transaction was idle for {limit:?} (idle_in_transaction_timeout)"
    )]
    IdleInTransaction { database: String, limit: Duration },
    #[error(
        "ambassador: database \"{database}\": the session was idle for {limit:?} (client_idle_timeout)"
    )]
    ClientIdle { database: String, limit: Duration },
    #[error("ambassador: database \"{database}\": the session listens, and {why}")]
    Deaf { database: String, why: Silence },
    #[error("ambassador: shutting down; the session ends")]
    Shutdown,
    #[error("ambassador: user \"{user}\" may not open the console")]
    NoConsole { user: String },
    #[error("terminating connection due to administrator command")]
    Killed,
    #[error("ambassador: the system gives no randomness: {0}")]
    Randomness(#[source] io::Error),
    #[error("{0}")]
    Startup(#[source] startup::Refused),
    #[error("ambassador: login took longer than {0:?} (login_timeout)")]
    LoginTimeout(Duration),
    #[error("ambassador: sorry, too many clients already ({limit}, max_clients)")]
    TooManyClients { limit: usize },
    #[error("password authentication failed for user \"{user}\"")]
    WrongPassword { user: String },
    #[error("{0}")]
    Unproven(#[source] handshake::Unproven),
    #[error("ambassador: connections without TLS are refused (tls_mode)")]
    TlsRequired,
    #[error("connection requires a valid client certificate")]
    NoCertificate,
    #[error("certificate authentication failed for user \"{user}\"")]
    WrongCertificate { user: String },
    #[error("ambassador: database \"{database}\": the backend cannot be asked who may log in")]
    NotAsked { database: String },
    #[error("ambassador: database \"{database}\" is not configured")]
    NoSuchDatabase { database: String },
    #[error("ambassador: internal error; the session ends, the others go on")]
    Panic,
    #[error("ambassador: shutting down; no new sessions")]
    Draining,
}

impl Fault {
    pub fn no_connection(pool: &Pool, refusal: Refusal) -> Self {
        Self::NoConnection {
            database: database(pool),
            backend: pool.key().backend.clone(),
            refusal,
        }
    }

    /// The code that the client sees.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::NoConnection { refusal, .. } => refusal_code(refusal),
            Self::BackendLost { loss, .. } => loss.sqlstate(),
            Self::Shutdown | Self::Killed | Self::Deaf { .. } => SqlState::ADMIN_SHUTDOWN,
            Self::LoginTimeout(_) => SqlState::CONNECTION_FAILURE,
            Self::Aborted | Self::NoWayBack { .. } => SqlState::IN_FAILED_TRANSACTION,
            Self::Setting { code, .. } | Self::Begin { code, .. } => *code,
            Self::StatementMode { .. } | Self::PinRejected { .. } | Self::NoSharding { .. } => {
                SqlState::FEATURE_NOT_SUPPORTED
            }
            Self::NotForReplicas { .. } => SqlState::READ_ONLY_TRANSACTION,
            Self::UnknownSetting { .. } => SqlState::UNDEFINED_OBJECT,
            Self::BadRoute { .. } => SqlState::INVALID_PARAMETER_VALUE,
            Self::MessageTooLarge { .. } => SqlState::PROGRAM_LIMIT_EXCEEDED,
            Self::Protocol => SqlState::PROTOCOL_VIOLATION,
            Self::Cancelled | Self::QueryTimeout { .. } => SqlState::QUERY_CANCELED,
            Self::IdleInTransaction { .. } => SqlState::IDLE_IN_TRANSACTION_TIMEOUT,
            Self::ClientIdle { .. } => SqlState::IDLE_SESSION_TIMEOUT,
            Self::Randomness(_) | Self::Panic => SqlState::INTERNAL_ERROR,
            Self::Startup(startup::Refused::NoUser)
            | Self::TlsRequired
            | Self::NoCertificate
            | Self::WrongCertificate { .. } => SqlState::INVALID_AUTHORIZATION,
            Self::Startup(startup::Refused::Version(_)) => SqlState::FEATURE_NOT_SUPPORTED,
            Self::Startup(startup::Refused::Replication(_)) => SqlState::INVALID_PARAMETER_VALUE,
            Self::Startup(_) => SqlState::PROTOCOL_VIOLATION,
            Self::TooManyClients { .. } => SqlState::TOO_MANY_CONNECTIONS,
            Self::WrongPassword { .. } => SqlState::INVALID_PASSWORD,
            Self::Unproven(why) => why.sqlstate(),
            Self::NoSuchDatabase { .. } => SqlState::INVALID_CATALOG_NAME,
            Self::NoBackend { .. } | Self::NotAsked { .. } | Self::Draining => {
                SqlState::CANNOT_CONNECT_NOW
            }
            Self::NoConsole { .. } => SqlState::INSUFFICIENT_PRIVILEGE,
        }
    }

    /// Whether the log was told of it, and of more than the client may hear, where the login failed.
    pub fn is_told(&self) -> bool {
        matches!(
            self,
            Self::WrongPassword { .. }
                | Self::WrongCertificate { .. }
                | Self::Unproven(handshake::Unproven::Scram(_))
        )
    }

    fn detail(&self) -> Option<&'static str> {
        let Self::Startup(refused) = self else {
            return None;
        };
        refused.detail()
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        if let Self::NoConnection { refusal, .. } = self {
            return refusal_hint(refusal);
        }
        self.plain_hint().map(Cow::Borrowed)
    }

    fn plain_hint(&self) -> Option<&'static str> {
        match self {
            Self::NoBackend { lack, .. } => Some(lack.hint()),
            Self::BackendLost { loss, .. } => Some(loss.hint()),
            Self::UnknownSetting { .. } => {
                Some("There are ambassador.route and ambassador.last_backend.")
            }
            Self::NotForReplicas { .. } => {
                Some("Without the hint, or with ambassador.route = 'auto', it goes to the primary.")
            }
            Self::BadRoute { .. } => Some("Available values: primary, replica, auto."),
            Self::NoWayBack { .. } => Some("End it with a plain ROLLBACK, and begin anew."),
            Self::PinRejected { .. } => {
                Some("Do without it, or set on_pin = \"allow\" or \"warn\" for this database.")
            }
            Self::StatementMode { .. } => {
                Some("Set pool_mode = \"transaction\" for this database.")
            }
            Self::MessageTooLarge { .. } => Some("Raise max_message_size in [listen]."),
            Self::TooManyClients { .. } => Some("Raise max_clients in [listen]."),
            Self::Startup(refused) => refused.hint(),
            Self::NoSuchDatabase { .. } => Some(
                "Add [databases.NAME] to the configuration, or [databases.\"*\"] for every name.",
            ),
            Self::NoConsole { .. } => Some("Add the user to console_users in [admin]."),
            Self::Setting { .. } => Some("The client asked for it when it logged in."),
            Self::QueryTimeout { .. } => Some("Raise query_timeout, or make the statement faster."),
            Self::IdleInTransaction { .. } => {
                Some("Raise idle_in_transaction_timeout, or end transactions sooner.")
            }
            Self::ClientIdle { .. } => Some("Connect again, or raise client_idle_timeout."),
            Self::Shutdown | Self::Draining | Self::Deaf { .. } => Some("Connect again."),
            Self::NotAsked { .. } => Some("Check that auth.query works for auth.query_user."),
            Self::LoginTimeout(_) => Some("Raise login_timeout in [listen]."),
            Self::TlsRequired => Some("Connect with sslmode=require, or a stronger one."),
            Self::NoCertificate => {
                Some("Give the client a certificate and its key, and let it use TLS.")
            }
            Self::NoConnection { .. }
            | Self::Aborted
            | Self::Begin { .. }
            | Self::NoSharding { .. }
            | Self::Protocol
            | Self::Cancelled
            | Self::Killed
            | Self::Randomness(_)
            | Self::WrongPassword { .. }
            | Self::WrongCertificate { .. }
            | Self::Unproven(_)
            | Self::Panic => None,
        }
    }

    /// Whether the client was let in before it was refused: such an error comes behind
    /// AuthenticationOk. So do the backend's own, of a login that it had let in.
    pub fn is_behind_admission(&self) -> bool {
        use crate::backend::ConnectError::Rejected;
        if let Self::NoSuchDatabase { .. }
        | Self::UnknownSetting { .. }
        | Self::BadRoute { .. }
        | Self::NoSharding { .. } = self
        {
            return true;
        }
        let Self::NoConnection {
            refusal: Refusal::Rejected(error),
            ..
        } = self
        else {
            return false;
        };
        matches!(**error, Rejected { admitted: true, .. })
    }

    /// Appends it as an ErrorResponse.
    pub fn put(&self, out: &mut Vec<u8>, severity: Severity) {
        // What the backend itself says of a login goes through as it said it.
        if let Self::NoConnection {
            refusal: Refusal::Rejected(error),
            ..
        } = self
            && let ConnectError::Rejected { body, .. } = &**error
        {
            put_error_as_fatal(out, body);
            return;
        }
        if let Self::Begin { error, .. } = self {
            notice::put_error_again(out, error);
            return;
        }
        if let Self::Startup(refused) = self
            && refused.put_of_protocol_2(out)
        {
            return;
        }
        put_error(
            out,
            severity,
            self.sqlstate(),
            &self.to_string(),
            self.detail(),
            self.hint().as_deref(),
        );
    }
}

/// Which backend there is none of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// One that takes writes.
    Primary,
    /// One that may be read from, where the primary is not to be.
    Replica,
}

impl Lack {
    fn hint(self) -> &'static str {
        match self {
            Self::Primary => "Check that one of the backends takes writes.",
            Self::Replica => "Check that the replicas run and follow, or set replica_fallback.",
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "none of the backends was the primary",
            Self::Replica => "no replica could answer, nor may the primary (replica_fallback)",
        })
    }
}

/// What a lost backend means for what the client asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// None of it was kept.
    Undone,
    /// It may have taken effect.
    InDoubt,
    /// What the session had there and nowhere else is gone, and the session with it.
    Pinned,
}

impl Loss {
    fn sqlstate(self) -> SqlState {
        match self {
            Self::Undone => SqlState::CONNECTION_FAILURE,
            Self::InDoubt => SqlState::TRANSACTION_RESOLUTION_UNKNOWN,
            Self::Pinned => SqlState::ADMIN_SHUTDOWN,
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Undone => "End the transaction, if it was one, and run it again.",
            Self::InDoubt => "Look whether it took effect before running it again.",
            Self::Pinned => {
                "Connect again; what the session had set or made there has to be made anew."
            }
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undone | Self::Pinned => "",
            Self::InDoubt => " before it said whether the statement took effect",
        })
    }
}

fn refusal_code(refusal: &Refusal) -> SqlState {
    match refusal {
        Refusal::TooManyWaiting { .. }
        | Refusal::Saturated { .. }
        | Refusal::BackendFull { .. }
        | Refusal::ServerFull { .. }
        | Refusal::PinsFull { .. } => SqlState::TOO_MANY_CONNECTIONS,
        Refusal::Unreachable(_) => SqlState::CANNOT_CONNECT_NOW,
        // The client hears the backend's own words where there are any.
        Refusal::Rejected(error) if matches!(**error, ConnectError::Tls(_)) => {
            SqlState::CANNOT_CONNECT_NOW
        }
        Refusal::Rejected(error) => error.code().unwrap_or(SqlState::INVALID_AUTHORIZATION),
    }
}

fn refusal_hint(refusal: &Refusal) -> Option<Cow<'static, str>> {
    let hint = match refusal {
        Refusal::TooManyWaiting { .. } => "Raise max_waiting or pool_size.",
        Refusal::BackendFull { pins, .. } if pins.is_empty() => {
            "Raise max_backend_connections, or look for transactions that are kept open."
        }
        Refusal::BackendFull { pins, .. } => {
            return Some(format!("{pins} End those, or raise max_backend_connections.").into());
        }
        Refusal::Saturated { pins, .. } if pins.is_empty() => {
            "Raise pool_size, or look for transactions that are kept open."
        }
        Refusal::Saturated { pins, .. } => {
            return Some(format!("{pins} End those, or raise max_pinned or pool_size.").into());
        }
        Refusal::ServerFull { pins, .. } if pins.is_empty() => {
            "Raise the backend's max_connections, or lower pool_size."
        }
        Refusal::ServerFull { pins, .. } => {
            return Some(
                format!("{pins} End those, or raise the backend's max_connections.").into(),
            );
        }
        Refusal::PinsFull { pins, .. } => {
            return Some(format!("{pins} End those, or raise max_pinned.").into());
        }
        Refusal::Unreachable(_) => "Check that the backend runs and can be reached.",
        Refusal::Rejected(error) => login_hint(error)?,
    };
    Some(hint.into())
}

fn login_hint(error: &ConnectError) -> Option<&'static str> {
    match error {
        ConnectError::NoPassword | ConnectError::Scram(scram::Error::KeysDoNotFit) => {
            Some("Set upstream_password for the user, or put it into the URL.")
        }
        ConnectError::NotAllowed(_) => {
            Some("Change the backend's pg_hba.conf, or what upstream_tls.require_auth allows.")
        }
        ConnectError::Cleartext => {
            Some("Have the backend's pg_hba.conf ask for scram-sha-256 instead of password.")
        }
        ConnectError::Tls(_) => Some("Try pg-ambassador check --connect."),
        ConnectError::Dial(_)
        | ConnectError::Lost(_)
        | ConnectError::TimedOut(_)
        | ConnectError::Rejected { .. }
        | ConnectError::Unsupported(_)
        | ConnectError::Unbound
        | ConnectError::NoMechanism
        | ConnectError::Scram(_)
        | ConnectError::Unproven
        | ConnectError::Negotiated { .. }
        | ConnectError::Protocol => None,
    }
}

/// The database's name upstream, for messages.
pub fn database(pool: &Pool) -> String {
    String::from_utf8_lossy(&pool.key().database).into_owned()
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub enum End {
    #[error("it said good-bye")]
    Terminated,
    #[error("it closed the connection")]
    Gone,
    #[error("its connection broke: {0}")]
    Client(#[source] io::Error),
    /// The client is told why.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The backend ended the session, and the client was told in its words.
    #[error("the backend ended it: {0}")]
    Dismissed(String),
    /// As when it is connected directly.
    #[error("the backend closed its connection")]
    Closed,
    /// Half a message went out, so nothing more can be said.
    #[error("the backend was lost in the middle of a message: {0}")]
    Cut(String),
}
