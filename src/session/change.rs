//! What a command changes beyond data, and what it takes along.

use super::{acts::Acts, role::Name};
use crate::backend::Prepared;

/// What a command changes in our picture of the session and of its connection.
#[derive(Debug)]
pub struct Change {
    /// The tag to show in place of the one that comes.
    pub tag: Option<&'static str>,
    /// Which of the session's settings are those of its start-up once it has run, here alone.
    pub restores: Restores,
    /// What it does to the connection, once it has run.
    pub effect: Effect,
    /// Which of the client's statements it drops.
    pub forgets: Forgets,
    /// What it has dropped as it was sent, to be put back should it fail.
    pub forgotten: Forgotten,
    /// What of it prepares or deallocates, one by one.
    pub acts: Acts,
}

/// What a command that is sent as it is does to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    None,
    DiscardAll,
    ResetAll,
    DeallocateAll,
    /// Both, among other statements.
    ResetAndDeallocateAll,
}

impl Effect {
    /// Whether no statement is left on the connection.
    pub fn deallocates(self) -> bool {
        match self {
            Self::DiscardAll | Self::DeallocateAll | Self::ResetAndDeallocateAll => true,
            Self::None | Self::ResetAll => false,
        }
    }

    /// Whether no setting of the session's is left on the connection.
    pub fn resets(self) -> bool {
        match self {
            Self::DiscardAll | Self::ResetAll | Self::ResetAndDeallocateAll => true,
            Self::None | Self::DeallocateAll => false,
        }
    }
}

/// What goes back to the start-up, here alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restores {
    Nothing,
    /// All but who the session is: RESET ALL leaves a role as it is.
    Settings,
    Everything,
}

/// Which of the client's statements are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forgets {
    Nothing,
    One(Box<[u8]>),
    All,
}

/// What was dropped.
#[derive(Debug, Default)]
pub struct Forgotten {
    pub names: Vec<Name>,
    /// Of the connection's memory.
    pub prepared: Prepared,
}
