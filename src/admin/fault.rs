//! Why the console does not do what it was told.

use crate::protocol::SqlState;
use crate::protocol::notice::{Severity, put_error};

/// An error of the console; the session goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("ambassador: unknown command \"{what}\"")]
    Unknown { what: String },
    #[error("ambassador: \"{what}\" is not supported yet")]
    NotYet { what: String },
    #[error("ambassador: the console knows its own commands, and no queries")]
    Query,
    #[error("ambassador: user \"{user}\" may look, and not change anything")]
    NotAllowed { user: String },
    #[error("ambassador: database \"{database}\" is not configured")]
    NoSuchDatabase { database: String },
    #[error("ambassador: there is no client {id}")]
    NoSuchClient { id: String },
    #[error("ambassador: {what} is paused already")]
    Paused { what: String },
    #[error("ambassador: {what} is not paused")]
    NotPaused { what: String },
    #[error("canceling statement due to user request")]
    Cancelled,
    #[error("current transaction is aborted, commands ignored until end of transaction block")]
    Aborted,
    #[error("cannot insert multiple commands into a prepared statement")]
    SeveralCommands,
    #[error("prepared statement \"{name}\" already exists")]
    DuplicateStatement { name: String },
    #[error("prepared statement \"{name}\" does not exist")]
    NoSuchStatement { name: String },
    #[error("portal \"{name}\" does not exist")]
    NoSuchPortal { name: String },
    #[error("ambassador: commands of the console take no parameters")]
    Parameters,
    #[error("ambassador: invalid frontend message")]
    Protocol,
}

impl Fault {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Unknown { .. } | Self::SeveralCommands => SqlState::SYNTAX_ERROR,
            Self::NotYet { .. } | Self::Query => SqlState::FEATURE_NOT_SUPPORTED,
            Self::NotAllowed { .. } => SqlState::INSUFFICIENT_PRIVILEGE,
            Self::NoSuchDatabase { .. } => SqlState::INVALID_CATALOG_NAME,
            Self::NoSuchClient { .. } => SqlState::UNDEFINED_OBJECT,
            Self::Paused { .. } | Self::NotPaused { .. } => SqlState::NOT_IN_STATE,
            Self::Cancelled => SqlState::QUERY_CANCELED,
            Self::Aborted => SqlState::IN_FAILED_TRANSACTION,
            Self::DuplicateStatement { .. } => SqlState::DUPLICATE_STATEMENT,
            Self::NoSuchStatement { .. } => SqlState::UNDEFINED_STATEMENT,
            Self::NoSuchPortal { .. } => SqlState::INVALID_CURSOR_NAME,
            Self::Parameters | Self::Protocol => SqlState::PROTOCOL_VIOLATION,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } | Self::Query => Some("SHOW HELP lists the commands."),
            Self::NotAllowed { .. } => Some("Add the user to console_users in [admin]."),
            Self::NoSuchDatabase { .. } => Some("SHOW DATABASES lists them."),
            Self::NoSuchClient { .. } => Some("SHOW CLIENTS lists them; the number is in \"id\"."),
            Self::Paused { .. } => Some("RESUME ends the pause."),
            Self::NotYet { .. }
            | Self::NotPaused { .. }
            | Self::Cancelled
            | Self::Aborted
            | Self::SeveralCommands
            | Self::DuplicateStatement { .. }
            | Self::NoSuchStatement { .. }
            | Self::NoSuchPortal { .. }
            | Self::Parameters
            | Self::Protocol => None,
        }
    }

    /// Appends it as an ErrorResponse.
    pub fn put(&self, out: &mut Vec<u8>) {
        let text = self.to_string();
        put_error(
            out,
            Severity::Error,
            self.sqlstate(),
            &text,
            None,
            self.hint(),
        );
    }
}
