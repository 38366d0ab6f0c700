//! Which reply is owed to whom? The one place that knows.
//!
//! Every message sent upstream that will be answered has an entry here, in the order in which
//! they were sent: the client's own, and those that we slip in. This is what keeps pipelines,
//! errors inside pipelines and injected messages in step.

use std::{collections::VecDeque, sync::Arc};

use super::names::Former;
use crate::backend::Statement;

/// Which message is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Query,
    FunctionCall,
    Sync,
    Parse,
    Bind,
    Describe,
    Execute,
    Close,
}

impl Reply {
    /// Whether a ReadyForQuery ends the answer.
    pub fn ends_ready(self) -> bool {
        matches!(self, Self::Query | Self::FunctionCall | Self::Sync)
    }

    /// Whether the message runs something, or ends what ran.
    fn runs(self) -> bool {
        self.ends_ready() || self == Self::Execute
    }
}

/// Whose message it was, and what its answer changes.
#[derive(Debug)]
pub enum Role {
    /// The client's, nothing to note.
    Client,
    /// The client's Parse of a shared statement: undone if it fails.
    Registers(Box<Registers>),
    /// The client's Parse of its unnamed statement; with the one before, should it be skipped.
    RegistersUnnamed(Option<Box<Former>>),
    /// The client's Close of a statement: undone if it is skipped.
    Forgets(Box<Name>),
    /// The client's Query or Execute whose completion changes more than data.
    Changes(Box<Change>),
    /// Our Parse of a statement that this connection lacked. Its error is the client's Bind's.
    Supplies(Arc<Statement>),
    /// Our Parse of the session's unnamed statement. Its error is the client's Bind's.
    SuppliesUnnamed,
    /// Our Close of a statement that the connection had: undone if it is skipped.
    Evicts(Arc<Statement>),
    /// Ours, a part of making the connection fit. Its error ends the request.
    Guards,
    /// Ours, with nothing to note: its answer is swallowed.
    Ours,
}

impl Role {
    /// Whether the answer goes to the client.
    #[inline]
    pub fn is_client(&self) -> bool {
        match self {
            Self::Client
            | Self::Registers(_)
            | Self::RegistersUnnamed(_)
            | Self::Forgets(_)
            | Self::Changes(_) => true,
            Self::Supplies(_)
            | Self::SuppliesUnnamed
            | Self::Evicts(_)
            | Self::Guards
            | Self::Ours => false,
        }
    }
}

/// A name that the client gave a statement.
#[derive(Debug, Clone)]
pub struct Name {
    pub name: Box<[u8]>,
    pub statement: Arc<Statement>,
}

/// What a Parse of the client's promises.
#[derive(Debug, Clone)]
pub struct Registers {
    pub name: Name,
    /// The connection had the statement already: it was closed just before, to be made anew.
    pub again: bool,
}

/// What a completed command changes in our picture of the session.
#[derive(Debug)]
pub struct Change {
    /// The tag to show in place of the one that comes.
    pub tag: Option<&'static str>,
    pub effect: Effect,
}

/// What the command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    None,
    /// DISCARD ALL, sent to the backend as it is.
    DiscardAll,
    /// RESET ALL, sent to the backend as it is.
    ResetAll,
    /// DEALLOCATE ALL, sent to the backend as it is.
    DeallocateAll,
    /// Both, among other statements.
    ResetAndDeallocateAll,
    /// DEALLOCATE ALL, or DISCARD ALL of a session that has nothing on the backend.
    ForgetStatements,
    /// DEALLOCATE of a name that a Parse made.
    ForgetStatement(Box<[u8]>),
}

/// An entry.
#[derive(Debug)]
pub struct Owed {
    pub reply: Reply,
    pub role: Role,
    /// How many ends of a COPY the client has sent behind it before the backend began one. Of a
    /// Sync: it was sent before such an end.
    pub ends: u32,
}

impl Owed {
    pub fn new(reply: Reply, role: Role) -> Self {
        Self {
            reply,
            role,
            ends: 0,
        }
    }
}

/// The queue of replies owed.
#[derive(Debug, Default)]
pub struct Ledger {
    owed: VecDeque<Owed>,
    /// An error came and the Sync that ends the skipping has not been sent yet.
    skipping: bool,
    /// The last message sent was one of a batch whose Sync has not been sent yet: the backend
    /// is in a transaction, though it has never said so.
    open: bool,
    /// In that batch, the client has sent an Execute.
    ran: bool,
}

impl Ledger {
    /// Notes that a message was sent. While the backend skips, only a Sync will be answered;
    /// tells whether this message will be.
    #[inline]
    pub fn owe(&mut self, reply: Reply, role: Role) -> bool {
        if self.skipping {
            if reply != Reply::Sync {
                return false;
            }
            self.skipping = false;
        }
        self.open = !reply.ends_ready();
        self.ran = self.open && (self.ran || reply == Reply::Execute && role.is_client());
        self.owed.push_back(Owed::new(reply, role));
        true
    }

    /// The front message has more to say: it is owed its ReadyForQuery.
    pub fn owe_front(&mut self, reply: Reply) {
        self.owed.push_front(Owed::new(reply, Role::Client));
    }

    /// Whether what is sent now is skipped by the backend.
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Whether a batch has begun and not been ended.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the client has sent anything that may have begun a transaction by now.
    pub fn may_have_run(&self) -> bool {
        let runs = |owed: &Owed| owed.role.is_client() && owed.reply.runs();
        self.ran || self.owed.iter().any(runs)
    }

    /// The statements that the client's own Parses still under way will have made.
    pub fn registers(&self) -> impl Iterator<Item = &Name> {
        self.owed.iter().filter_map(|owed| match &owed.role {
            Role::Registers(note) => Some(&note.name),
            Role::Client
            | Role::RegistersUnnamed(_)
            | Role::Forgets(_)
            | Role::Changes(_)
            | Role::Supplies(_)
            | Role::SuppliesUnnamed
            | Role::Evicts(_)
            | Role::Guards
            | Role::Ours => None,
        })
    }

    /// Whether nothing is owed and no batch is left open.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.owed.is_empty() && !self.skipping && !self.open
    }

    /// Whether an answer to the client is among what is owed.
    pub fn owes_the_client(&self) -> bool {
        self.owed.iter().any(|owed| owed.role.is_client())
    }

    /// The message being answered.
    #[inline]
    pub fn front(&self) -> Option<&Owed> {
        self.owed.front()
    }

    /// The answer to the front message is complete.
    #[inline]
    pub fn settle(&mut self) -> Option<Owed> {
        self.owed.pop_front()
    }

    /// The front message failed. Takes it and every message that the backend skips from here to
    /// the next Sync, which stays owed. A message that ends with ReadyForQuery, failing itself,
    /// makes the backend skip nothing: it stays owed and nothing is taken.
    pub fn fail(&mut self) -> Vec<Owed> {
        match self.owed.front() {
            None => return Vec::new(),
            Some(front) if front.reply.ends_ready() => return Vec::new(),
            Some(_) => {}
        }
        let sync = self.owed.iter().position(|owed| owed.reply == Reply::Sync);
        self.skipping = sync.is_none();
        let end = sync.unwrap_or(self.owed.len());
        self.owed.drain(..end).collect()
    }

    /// The client ended a COPY that, as far as we know, has not begun: should the last message
    /// that can begin one do so, its end has been sent already.
    pub fn copy_ends(&mut self) {
        let begins = |owed: &Owed| matches!(owed.reply, Reply::Query | Reply::Execute);
        if let Some(at) = self.owed.iter().rposition(begins) {
            for owed in self.owed.range_mut(at..) {
                owed.ends = owed.ends.saturating_add(1);
            }
        }
    }

    /// The front message reads a COPY from the client now: the backend ignores the Syncs that
    /// were sent before the end of the COPY's data. Tells whether that end is still to come.
    pub fn copy_begins(&mut self) -> bool {
        let Some(front) = self.owed.front_mut() else {
            return false;
        };
        let ended = front.ends > 0;
        front.ends = front.ends.saturating_sub(1);
        let ignored = |owed: &Owed| owed.reply == Reply::Sync && (!ended || owed.ends > 0);
        while self.owed.get(1).is_some_and(ignored) {
            self.owed.remove(1);
        }
        self.open = self
            .owed
            .back()
            .is_some_and(|owed| !owed.reply.ends_ready());
        !ended
    }

    /// Takes everything, for a connection that is gone.
    pub fn take_all(&mut self) -> Vec<Owed> {
        self.skipping = false;
        self.open = false;
        self.ran = false;
        self.owed.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(replies: &[Reply]) -> Ledger {
        let mut ledger = Ledger::default();
        for &reply in replies {
            assert!(ledger.owe(reply, Role::Client));
        }
        ledger
    }

    fn left(ledger: &mut Ledger) -> Vec<Reply> {
        ledger.take_all().iter().map(|owed| owed.reply).collect()
    }

    #[test]
    fn an_error_skips_everything_up_to_the_next_sync() {
        use Reply::{Bind, Execute, Parse, Sync};
        let mut ledger = ledger(&[Parse, Bind, Execute, Sync, Parse, Sync]);
        assert_eq!(ledger.fail().len(), 3);
        assert!(!ledger.is_skipping());
        assert_eq!(left(&mut ledger), [Sync, Parse, Sync]);
    }

    #[test]
    fn what_is_sent_before_the_missing_sync_is_never_answered() {
        use Reply::{Bind, Parse, Query, Sync};
        let mut ledger = ledger(&[Parse]);
        ledger.fail();
        assert!(!ledger.owe(Bind, Role::Client));
        assert!(!ledger.owe(Query, Role::Client));
        assert!(ledger.owe(Sync, Role::Client));
        assert!(ledger.owe(Parse, Role::Client));
        assert_eq!(left(&mut ledger), [Sync, Parse]);
    }

    #[test]
    fn a_failing_query_skips_nothing_and_still_owes_its_ready() {
        let mut ledger = ledger(&[Reply::Query, Reply::Query]);
        assert!(ledger.fail().is_empty());
        assert_eq!(left(&mut ledger), [Reply::Query, Reply::Query]);
    }

    #[test]
    fn a_skipped_query_among_extended_messages_is_not_answered() {
        let mut ledger = ledger(&[Reply::Bind, Reply::Query, Reply::Sync]);
        assert_eq!(ledger.fail().len(), 2);
        assert_eq!(left(&mut ledger), [Reply::Sync]);
    }

    #[test]
    fn a_sync_sent_before_the_data_of_a_copy_is_not_answered() {
        let mut ledger = ledger(&[Reply::Execute, Reply::Sync]);
        ledger.copy_begins();
        assert_eq!(left(&mut ledger), [Reply::Execute]);
    }

    #[test]
    fn a_copy_whose_end_was_sent_ahead_waits_for_nothing() {
        let mut ledger = ledger(&[Reply::Execute, Reply::Sync]);
        ledger.copy_ends();
        ledger.owe(Reply::Sync, Role::Client);
        assert!(!ledger.copy_begins());
        assert_eq!(left(&mut ledger), [Reply::Execute, Reply::Sync]);
    }

    #[test]
    fn a_batch_is_open_up_to_its_sync() {
        let mut ledger = ledger(&[Reply::Parse]);
        ledger.settle();
        assert!(!ledger.is_empty());
        ledger.owe(Reply::Sync, Role::Client);
        ledger.settle();
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_sync_that_a_copy_read_over_has_ended_no_batch() {
        let mut ledger = ledger(&[Reply::Execute, Reply::Sync]);
        ledger.copy_begins();
        ledger.settle();
        assert!(!ledger.is_empty());
    }

    #[test]
    fn a_skip_that_waits_for_its_sync_is_not_empty() {
        let mut ledger = ledger(&[Reply::Parse]);
        ledger.fail();
        assert!(!ledger.is_empty());
    }
}
