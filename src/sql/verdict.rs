//! What is known of a text before it runs.

use super::stake::Stake;
use super::touches::Touches;

/// What kind of work a statement is; of several the strongest. The order is that of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// No statement at all.
    Empty,
    /// SELECT, VALUES, TABLE, WITH … that the server itself would take in a read-only
    /// transaction. What its functions do is another matter: see [`Obstacle`].
    Read,
    /// COPY … TO.
    CopyOut,
    /// DECLARE, FETCH, MOVE, CLOSE.
    Cursor,
    /// PREPARE, EXECUTE, DEALLOCATE.
    Prepare,
    /// BEGIN, COMMIT, SAVEPOINT, SET TRANSACTION and their like.
    Transaction,
    /// SET, RESET, DISCARD, LOAD: what changes the session alone.
    Session,
    /// LISTEN, UNLISTEN, NOTIFY.
    Listen,
    /// SHOW, LOCK, VACUUM, CHECKPOINT and their like.
    Utility,
    /// CALL and DO.
    Call,
    /// COPY … FROM.
    CopyIn,
    /// INSERT, UPDATE, DELETE, MERGE, TRUNCATE, SELECT … FOR UPDATE: what the server itself
    /// refuses in a read-only transaction.
    Write,
    /// What the server logs as DDL: CREATE, ALTER, DROP, GRANT, SELECT … INTO and their like.
    Ddl,
    /// Not understood.
    Unknown,
}

impl Class {
    /// As it shows in metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            Class::Empty => "empty",
            Class::Read => "read",
            Class::CopyOut => "copy_out",
            Class::Cursor => "cursor",
            Class::Prepare => "prepare",
            Class::Transaction => "transaction",
            Class::Session => "session",
            Class::Listen => "listen",
            Class::Utility => "utility",
            Class::Call => "call",
            Class::CopyIn => "copy_in",
            Class::Write => "write",
            Class::Ddl => "ddl",
            Class::Unknown => "unknown",
        }
    }
}

/// What a statement does beyond its answer and its tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Changes this setting for the session; `all` is every setting.
    Set(Box<str>),
    /// Changes this setting up to the end of the transaction.
    SetLocal(Box<str>),
    /// Makes a temporary object.
    Temp,
    /// Takes or gives back an advisory lock.
    AdvisoryLock,
    /// LISTEN or UNLISTEN.
    Listen,
    /// Prepares a statement under this name, or drops it; empty: all of them.
    Prepare(Box<str>),
    /// Opens a cursor that outlives its transaction.
    CursorHold,
    /// Uses a sequence.
    Sequence,
    /// May have done anything.
    Anything,
}

impl std::fmt::Display for Effect {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Effect::Set(name) => write!(out, "set:{name}"),
            Effect::SetLocal(name) => write!(out, "set_local:{name}"),
            Effect::Temp => out.write_str("temp"),
            Effect::AdvisoryLock => out.write_str("advisory_lock"),
            Effect::Listen => out.write_str("listen"),
            Effect::Prepare(name) => write!(out, "prepare:{name}"),
            Effect::CursorHold => out.write_str("cursor_hold"),
            Effect::Sequence => out.write_str("sequence"),
            Effect::Anything => out.write_str("anything"),
        }
    }
}

/// A name as the server makes it of the written one: lower case where it was not quoted, cut to
/// 63 bytes; with the schema if one was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Named {
    /// The schema before the dot.
    pub schema: Option<Box<[u8]>>,
    /// The name itself.
    pub name: Box<[u8]>,
}

/// A column that a value of the text is compared with by `=`, IN or ANY, or inserted into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The column; what qualifies it (a table or an alias) stands as the schema.
    pub column: Named,
    /// The place of the value as [`Places`](super::Places) counts them, the same in every text
    /// of the fingerprint; a list has one place for all its elements.
    pub place: u32,
}

/// Why a text is not provably a read that any replica may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obstacle {
    /// No statement in it.
    Empty,
    /// Not understood.
    Unparsable,
    /// Writes.
    Write,
    /// Defines.
    Ddl,
    /// A locking clause.
    Locking,
    /// Begins, ends or divides a transaction.
    Transaction,
    /// Changes or shows the session's state.
    Session,
    /// LISTEN, UNLISTEN, NOTIFY.
    Listen,
    /// Goes where its cursor is.
    Cursor,
    /// Goes where its statement was prepared.
    Prepare,
    /// CALL or DO.
    Call,
    /// COPY … FROM.
    CopyIn,
    /// COPY to a file or program of the server.
    ServerFile,
    /// A command that is no query.
    Utility,
    /// A function of the silent list: a standby would do it, with the wrong effect.
    DeniedFunction,
    /// A function whose answer names the server.
    ServerFunction,
    /// A function that is volatile by its declaration, or by what it runs.
    VolatileFunction,
    /// A function that is not known.
    UnknownFunction,
    /// A user's function, where the operator trusts none of them.
    UserFunction,
    /// An operator whose function does not pass.
    Operator,
    /// A type whose input, cast or check runs a function that does not pass.
    Type,
    /// A relation of the system: what it shows is the server's own.
    SystemRelation,
    /// A temporary relation.
    TemporaryRelation,
    /// An unlogged relation: a standby has nothing of it.
    UnloggedRelation,
    /// A foreign table: where it leads is each server's own.
    ForeignRelation,
    /// A sequence: a standby is ahead of its value.
    SequenceRelation,
    /// A view or a row-level-security policy whose definition does not pass.
    View,
    /// A relation that is not known.
    UnknownRelation,
}

impl Obstacle {
    /// As it shows in metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            Obstacle::Empty => "empty",
            Obstacle::Unparsable => "unparsable",
            Obstacle::Write => "write",
            Obstacle::Ddl => "ddl",
            Obstacle::Locking => "locking",
            Obstacle::Transaction => "transaction",
            Obstacle::Session => "session",
            Obstacle::Listen => "listen",
            Obstacle::Cursor => "cursor",
            Obstacle::Prepare => "prepare",
            Obstacle::Call => "call",
            Obstacle::CopyIn => "copy_in",
            Obstacle::ServerFile => "server_file",
            Obstacle::Utility => "utility",
            Obstacle::DeniedFunction => "denied_function",
            Obstacle::ServerFunction => "server_function",
            Obstacle::VolatileFunction => "volatile_function",
            Obstacle::UnknownFunction => "unknown_function",
            Obstacle::UserFunction => "user_function",
            Obstacle::Operator => "operator",
            Obstacle::Type => "type",
            Obstacle::SystemRelation => "system_relation",
            Obstacle::TemporaryRelation => "temporary_relation",
            Obstacle::UnloggedRelation => "unlogged_relation",
            Obstacle::ForeignRelation => "foreign_relation",
            Obstacle::SequenceRelation => "sequence_relation",
            Obstacle::View => "view",
            Obstacle::UnknownRelation => "unknown_relation",
        }
    }

    /// Whether the text changes nothing all the same, so that it may run twice.
    pub fn is_free_of_effects(self) -> bool {
        match self {
            Obstacle::Empty
            | Obstacle::ServerFunction
            | Obstacle::SystemRelation
            | Obstacle::TemporaryRelation
            | Obstacle::UnloggedRelation
            | Obstacle::SequenceRelation => true,
            Obstacle::Unparsable
            | Obstacle::Write
            | Obstacle::Ddl
            | Obstacle::Locking
            | Obstacle::Transaction
            | Obstacle::Session
            | Obstacle::Listen
            | Obstacle::Cursor
            | Obstacle::Prepare
            | Obstacle::Call
            | Obstacle::CopyIn
            | Obstacle::ServerFile
            | Obstacle::Utility
            | Obstacle::DeniedFunction
            | Obstacle::VolatileFunction
            | Obstacle::UnknownFunction
            | Obstacle::UserFunction
            | Obstacle::Operator
            | Obstacle::Type
            | Obstacle::ForeignRelation
            | Obstacle::View
            | Obstacle::UnknownRelation => false,
        }
    }
}

/// What the text alone says of all its statements together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The strongest class of its statements.
    pub class: Class,
    /// How many statements it has, empty ones not counted.
    pub statements: u32,
    /// What may be touched, as a reading of the text gives it too.
    pub touches: Touches,
    /// What is in doubt when its answer never comes.
    pub stake: Stake,
    /// What it does beyond its answer and its tables, each once, in order.
    pub effects: Vec<Effect>,
    /// What it reads or writes, names of its own WITH clauses left out; each once, in order.
    pub relations: Vec<Named>,
    /// What it calls, each once, in order. A construct of the grammar (COALESCE, EXTRACT) is
    /// none.
    pub functions: Vec<Named>,
    /// What looks like a call where the grammar has none (an alias with columns, a construct of
    /// some versions): it counts only if it is known to do harm.
    pub asides: Vec<Named>,
    /// Operators, each once: any of them may be a user's.
    pub operators: Vec<Box<[u8]>>,
    /// All other names that it has and that stand behind no dot, each once: columns, aliases,
    /// types, the first part of what has several.
    pub words: Vec<Box<[u8]>>,
    /// Those behind a dot: a column, a type of a schema, or a function in column notation
    /// (`x.f`), which nothing else can be.
    pub fields: Vec<Box<[u8]>>,
    /// Where a shard key could be.
    pub keys: Vec<Key>,
    /// Why no catalog could make it a read.
    pub obstacle: Option<Obstacle>,
    /// Its verdict hangs on a literal's value: it must be found anew for every text.
    pub is_literal: bool,
}
