//! Whose message was it, and what does its answer change?

use std::sync::Arc;

use super::{
    acts::Acts,
    change::{Change, Forgets},
    fault::Fault,
    ledger::Reply,
    look::Looking,
    names::Former,
    replay::Adopted,
    shape::{Purpose, Shaping},
    substitute::DISCARD_ALL,
};
use crate::backend::{Statement, StatementId};
use crate::protocol::Parameters;

/// Whose message it was, and what its answer changes.
#[derive(Debug)]
pub enum Role {
    /// The client's, nothing to note.
    Client,
    /// The client's Bind or Describe of a statement that it knows by several names: by this one
    /// here.
    Named(Box<[u8]>),
    /// The client's Bind or Describe of a statement that now returns something else: it names
    /// none, and the error that follows is put into the server's words for this.
    Stale(Arc<Statement>),
    /// It decides what a name means, or what the connection has prepared.
    Naming(Naming),
    /// Ours, to fail: the error of ours that stands in its place is the client's.
    Refuses(Box<Fault>),
    /// Ours, a part of making the connection fit. Its error ends the request.
    Guards,
    /// Ours, a part of the BEGIN that the client has been answered. Its error ends the request.
    Begins,
    /// Ours: a part of asking what the connection holds; with what has been answered so far.
    Looks(Option<Box<Looking>>),
    /// Ours, with nothing to note: its answer is swallowed.
    Ours,
}

/// What decides about names, and is taken back should it not be done.
#[derive(Debug)]
pub enum Naming {
    /// The client's Parse of a shared statement: undone if it fails.
    Registers(Box<Registers>),
    /// The client's Parse of its unnamed statement, by its number; with the one before, should it
    /// be skipped.
    RegistersUnnamed(u32, Option<Box<Former>>),
    /// The client's Query amid a batch: the unnamed statement that it drops, should it be skipped.
    DropsUnnamed(Box<Former>),
    /// The client's Close of a statement: undone if it is skipped.
    Forgets(Box<Name>),
    /// The client's Query or Execute whose completion changes more than data.
    Changes(Box<Change>),
    /// A Describe behind a Parse of the client's or of ours: what it says is compared with what
    /// the statement is known by.
    Shapes(Box<Shaping>),
    /// Our Parse of a statement that this connection lacked. Its error is the client's Bind's.
    Supplies(Arc<Statement>),
    /// Ours: a part of putting what the client calls so on the connection under that very name, or
    /// of taking away what another calls so. Its error is that of the client's next message.
    Adopts(Box<Adopted>),
    /// The client's Query or Execute of a text that prepares or deallocates: what is done as each
    /// of its commands completes.
    Acts(Box<Acts>),
    /// Our Parse of the session's unnamed statement, by its number. Its error is the client's
    /// Bind's.
    SuppliesUnnamed(u32),
}

/// A name that the client gave a statement.
#[derive(Debug, Clone)]
pub struct Name {
    pub name: Box<[u8]>,
    pub statement: Arc<Statement>,
    /// PREPARE made it, under these settings.
    pub sql: Option<Arc<Parameters>>,
}

/// What a Parse of the client's promises.
#[derive(Debug, Clone)]
pub struct Registers {
    pub name: Name,
    /// The connection had the statement already: it was closed just before, to be made anew.
    pub again: bool,
}

impl From<Naming> for Role {
    #[inline]
    fn from(naming: Naming) -> Self {
        Self::Naming(naming)
    }
}

impl Role {
    /// Whether the answer goes to the client.
    #[inline]
    pub fn is_client(&self) -> bool {
        match self {
            Self::Client | Self::Named(_) | Self::Stale(_) => true,
            Self::Naming(naming) => naming.is_client(),
            Self::Refuses(_) | Self::Guards | Self::Begins | Self::Looks(_) | Self::Ours => false,
        }
    }

    /// Whether it is the client's, and not what goes in place of a DISCARD ALL: the server commits
    /// right behind that, so that what follows in its batch begins anew.
    #[inline]
    pub fn may_begin(&self) -> bool {
        let discards = self
            .change()
            .is_some_and(|change| change.tag == Some(DISCARD_ALL));
        self.is_client() && !discards
    }

    #[inline]
    pub fn naming(&self) -> Option<&Naming> {
        match self {
            Self::Naming(naming) => Some(naming),
            Self::Client
            | Self::Named(_)
            | Self::Stale(_)
            | Self::Refuses(_)
            | Self::Guards
            | Self::Begins
            | Self::Looks(_)
            | Self::Ours => None,
        }
    }

    /// What the completion changes beyond data.
    #[inline]
    pub fn change(&self) -> Option<&Change> {
        match self.naming() {
            Some(Naming::Changes(change)) => Some(change),
            Some(_) | None => None,
        }
    }
}

impl Naming {
    #[inline]
    fn is_client(&self) -> bool {
        match self {
            Self::Registers(_)
            | Self::RegistersUnnamed(..)
            | Self::DropsUnnamed(_)
            | Self::Forgets(_)
            | Self::Changes(_)
            | Self::Acts(_) => true,
            Self::Shapes(shaping) => shaping.asked,
            Self::Supplies(_) | Self::Adopts(_) | Self::SuppliesUnnamed(_) => false,
        }
    }

    /// Whether it decides what this name means, or whether this statement is prepared.
    pub fn decides(&self, name: &[u8], statement: Option<StatementId>) -> bool {
        match self {
            Self::Registers(note) => {
                *note.name.name == *name || Some(note.name.statement.id) == statement
            }
            Self::Forgets(one) => *one.name == *name,
            Self::RegistersUnnamed(..) | Self::DropsUnnamed(_) | Self::SuppliesUnnamed(_) => {
                name.is_empty()
            }
            Self::Supplies(one) => Some(one.id) == statement,
            Self::Adopts(_) => false,
            Self::Acts(acts) => acts.iter().any(|act| *act.name == *name),
            Self::Changes(change) => match &change.forgets {
                Forgets::Nothing => false,
                Forgets::One(one) => **one == *name,
                Forgets::All => !name.is_empty(),
            },
            Self::Shapes(shaping) => Some(shaping.statement.id) == statement,
        }
    }

    /// Whether what is sent behind it in the same batch, and means this name, must not be sent
    /// before such a message of this role is answered.
    pub fn decides_alone(&self, reply: Reply, name: &[u8]) -> bool {
        match self {
            // A Query that fails makes the backend skip nothing.
            Self::Changes(_) => reply == Reply::Query,
            // What it makes is noted when it is made.
            Self::Acts(_) => true,
            // Parsed anew under one name, it may no longer be what another one means.
            Self::Shapes(shaping) => match &shaping.purpose {
                Purpose::Supplied => true,
                Purpose::Parsed(parsed) => **parsed != *name,
            },
            Self::Registers(_)
            | Self::RegistersUnnamed(..)
            | Self::DropsUnnamed(_)
            | Self::Forgets(_)
            | Self::Supplies(_)
            | Self::Adopts(_)
            | Self::SuppliesUnnamed(_) => false,
        }
    }
}
