//! What leads a statement.

use super::name::Name;
use super::scan::Span;
use super::touches::Touches;

/// What a statement is, as far as a session needs to know. Names and values are spans of the
/// text. A statement that begins like one of these and goes on wrongly is [`Kind::Other`]:
/// the server will refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No statement at all: nothing but spaces, comments and semicolons.
    Empty,
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT or END.
    Commit {
        /// AND CHAIN: the next transaction begins at once.
        chain: bool,
    },
    /// ROLLBACK or ABORT.
    Rollback {
        /// AND CHAIN: the next transaction begins at once.
        chain: bool,
    },
    /// ROLLBACK TO a savepoint.
    RollbackTo(Name),
    /// SAVEPOINT.
    Savepoint(Name),
    /// RELEASE of a savepoint.
    Release(Name),
    /// PREPARE TRANSACTION.
    PrepareTransaction,
    /// COMMIT PREPARED.
    CommitPrepared,
    /// ROLLBACK PREPARED.
    RollbackPrepared,
    /// SET of anything.
    Set {
        /// Up to the end of the transaction only.
        local: bool,
        /// What is set.
        what: What,
        /// To which value.
        value: Value,
    },
    /// RESET of one thing.
    Reset(What),
    /// RESET ALL.
    ResetAll,
    /// DISCARD.
    Discard(Discard),
    /// DEALLOCATE.
    Deallocate(Target),
    /// PREPARE of a statement.
    Prepare {
        /// Its name.
        name: Name,
        /// The statement itself, what follows AS.
        body: Span,
    },
    /// EXECUTE.
    Execute(Name),
    /// LISTEN.
    Listen(Name),
    /// UNLISTEN, `*` being all.
    Unlisten(Target),
    /// NOTIFY.
    Notify(Name),
    /// DECLARE of a cursor.
    Declare {
        /// Its name.
        name: Name,
        /// WITH HOLD: it outlives its transaction.
        hold: bool,
    },
    /// CLOSE of cursors.
    Close(Target),
    /// FETCH or MOVE.
    Fetch,
    /// COPY.
    Copy,
    /// SHOW.
    Show,
    /// LOAD.
    Load,
    /// CALL.
    Call,
    /// DO.
    Do,
    /// CREATE TEMP of anything.
    CreateTemp,
    /// CREATE, ALTER or DROP DATABASE.
    Database,
    /// Any other statement.
    Other,
}

/// What SET or RESET is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A setting by its name; [`Name::setting`] reads it.
    Setting(Name),
    /// TIME ZONE: `timezone`, whose value may be an interval or a number here.
    TimeZone,
    /// NAMES: `client_encoding`.
    Names,
    /// SCHEMA: `search_path`.
    Schema,
    /// ROLE, or the setting of that name.
    Role,
    /// SESSION AUTHORIZATION, or `session_authorization`.
    SessionAuthorization,
    /// XML OPTION: `xmloption`.
    XmlOption,
    /// CATALOG, which the server refuses.
    Catalog,
    /// TRANSACTION: modes of this transaction alone.
    Transaction,
    /// TRANSACTION SNAPSHOT.
    Snapshot,
    /// SESSION CHARACTERISTICS: modes of the transactions to come.
    SessionCharacteristics,
    /// CONSTRAINTS, which is no setting: when this transaction checks them.
    Constraints,
}

impl What {
    /// The setting's name in lower case, where it is one setting with a value.
    /// Allocates; not for the way of every request.
    pub fn setting(self, text: &[u8]) -> Option<Vec<u8>> {
        let spelt: &[u8] = match self {
            What::Setting(name) => return Some(name.setting(text)),
            What::TimeZone => b"timezone",
            What::Names => b"client_encoding",
            What::Schema => b"search_path",
            What::Role => b"role",
            What::SessionAuthorization => b"session_authorization",
            What::XmlOption => b"xmloption",
            What::Catalog
            | What::Transaction
            | What::Snapshot
            | What::SessionCharacteristics
            | What::Constraints => return None,
        };
        Some(spelt.to_vec())
    }
}

/// What a setting is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// DEFAULT: what RESET gives.
    Default,
    /// FROM CURRENT: what it is.
    Current,
    /// The text that follows, up to the end of the statement.
    Text(Span),
}

/// One of a kind, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// All.
    All,
    /// The one of this name.
    One(Name),
}

/// What is discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// ALL
    All,
    /// PLANS
    Plans,
    /// SEQUENCES
    Sequences,
    /// TEMP or TEMPORARY
    Temp,
}

impl Kind {
    /// Whether this begins, ends or divides a transaction.
    pub fn moves_transaction(self) -> bool {
        self.touches().any(Touches::TRANSACTION)
    }

    /// What a statement of this kind touches, whatever else its text says.
    pub fn touches(self) -> Touches {
        match self {
            Kind::Begin
            | Kind::Commit { .. }
            | Kind::Rollback { .. }
            | Kind::RollbackTo(_)
            | Kind::Savepoint(_)
            | Kind::Release(_) => Touches::TRANSACTION,
            Kind::PrepareTransaction => Touches::TRANSACTION.and(Touches::TWO_PHASE),
            Kind::CommitPrepared | Kind::RollbackPrepared => Touches::TWO_PHASE,
            Kind::Set { local: true, .. } => Touches::NONE,
            Kind::Set { what, .. } | Kind::Reset(what) => match what {
                What::Transaction | What::Snapshot | What::Constraints => Touches::NONE,
                What::Setting(_)
                | What::TimeZone
                | What::Names
                | What::Schema
                | What::Role
                | What::SessionAuthorization
                | What::XmlOption
                | What::Catalog
                | What::SessionCharacteristics => Touches::SETTING,
            },
            Kind::ResetAll => Touches::RESET_ALL,
            Kind::Discard(_) => Touches::DISCARD,
            Kind::Deallocate(_) => Touches::DEALLOCATE,
            Kind::Prepare { .. } => Touches::PREPARE,
            Kind::Execute(_) => Touches::EXECUTE,
            Kind::Listen(_) => Touches::LISTEN,
            Kind::Unlisten(_) => Touches::UNLISTEN,
            Kind::Notify(_) => Touches::NOTIFY,
            Kind::Declare { hold: true, .. } => Touches::CURSOR,
            Kind::Close(_) => Touches::CLOSE,
            Kind::Show => Touches::SETTING_READ,
            Kind::Load => Touches::LOAD,
            Kind::Call | Kind::Do => Touches::CALL,
            Kind::CreateTemp => Touches::TEMP,
            Kind::Database => Touches::DATABASE,
            Kind::Declare { hold: false, .. }
            | Kind::Empty
            | Kind::Fetch
            | Kind::Copy
            | Kind::Other => Touches::NONE,
        }
    }
}
