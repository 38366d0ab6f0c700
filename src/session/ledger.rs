//! Which reply is owed to whom? The one place that knows.
//!
//! Every message sent upstream that will be answered has an entry here, in the order in which
//! they were sent: the client's own, and those that we slip in. This is what keeps pipelines,
//! errors inside pipelines and injected messages in step.

use std::collections::VecDeque;

use super::{
    acts::Acts,
    look::Looking,
    role::{Name, Naming, Role},
};
use crate::backend::StatementId;
use crate::sql::Stake;

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

/// An entry.
#[derive(Debug)]
pub struct Owed {
    pub reply: Reply,
    pub role: Role,
    /// How many ends of a COPY the client has sent behind it before the backend began one. Of a
    /// Sync: it was sent before such an end.
    pub ends: u32,
    /// What is in doubt should it never be answered. Of a Sync: of all that it ends.
    pub stake: Stake,
}

impl Owed {
    pub fn new(reply: Reply, role: Role) -> Self {
        Self {
            reply,
            role,
            ends: 0,
            stake: Stake::NONE,
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
    /// How many of those owed decide about names.
    naming: u32,
    /// What the texts of the batch that goes on have at stake.
    stake: Stake,
}

impl Ledger {
    /// Notes that a message was sent. While the backend skips, only a Sync will be answered;
    /// tells whether this message will be.
    #[inline]
    pub fn owe(&mut self, reply: Reply, role: impl Into<Role>) -> bool {
        let role = role.into();
        if self.skipping {
            if reply != Reply::Sync {
                return false;
            }
            self.skipping = false;
        }
        self.open = !reply.ends_ready();
        self.ran = self.open && (self.ran || reply == Reply::Execute && role.may_begin());
        self.naming += u32::from(role.naming().is_some());
        let mut owed = Owed::new(reply, role);
        if reply.runs() {
            owed.stake = self.stake;
        }
        if reply.ends_ready() {
            self.stake = Stake::NONE;
        }
        self.owed.push_back(owed);
        true
    }

    /// Notes what the text of the next message, or of a portal to be run, has at stake.
    #[inline]
    pub fn stake(&mut self, stake: Stake) {
        self.stake = self.stake.and(stake);
    }

    /// What the batch that goes on has at stake.
    pub fn at_stake(&self) -> Stake {
        self.stake
    }

    /// The front message has more to say: it is owed its ReadyForQuery.
    pub fn owe_front(&mut self, reply: Reply, stake: Stake) {
        let mut owed = Owed::new(reply, Role::Client);
        owed.stake = stake;
        self.owed.push_front(owed);
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
        let runs = |owed: &Owed| owed.role.may_begin() && owed.reply.runs();
        self.ran || self.owed.iter().any(runs)
    }

    /// Whether it is open what this name will mean, or whether this statement will be prepared,
    /// where the next message is read: something sent before the last Sync decides that, and is
    /// not answered. What was sent behind that Sync decides nothing anew: should it fail, the
    /// next message is skipped too.
    #[inline]
    pub fn is_open_what(&self, name: &[u8], statement: Option<StatementId>) -> bool {
        self.naming > 0 && self.decides(name, statement)
    }

    fn decides(&self, name: &[u8], statement: Option<StatementId>) -> bool {
        let mut behind = false;
        for owed in self.owed.iter().rev() {
            if let Some(naming) = owed.role.naming()
                && naming.decides(name, statement)
            {
                return behind || naming.decides_alone(owed.reply, name);
            }
            behind |= owed.reply == Reply::Sync;
        }
        false
    }

    /// The name of a statement that the client has closed since, by its name upstream.
    pub fn closed(&self, upstream: &[u8]) -> Option<&[u8]> {
        self.owed.iter().find_map(|owed| match &owed.role {
            Role::Naming(Naming::Forgets(one)) if one.statement.name == upstream => {
                Some(&*one.name)
            }
            Role::Client
            | Role::Named(_)
            | Role::Stale(_)
            | Role::Naming(_)
            | Role::Refuses(_)
            | Role::Guards
            | Role::Begins
            | Role::Looks(_)
            | Role::Ours => None,
        })
    }

    /// The names that are given up and not yet known to be: a failure brings them back.
    pub fn forgotten_mut(&mut self) -> impl Iterator<Item = &mut Name> {
        self.owed.iter_mut().flat_map(|owed| match &mut owed.role {
            Role::Naming(Naming::Forgets(name)) => std::slice::from_mut(&mut **name),
            Role::Naming(Naming::Changes(change)) => change.forgotten.names.as_mut_slice(),
            Role::Client
            | Role::Named(_)
            | Role::Stale(_)
            | Role::Naming(_)
            | Role::Refuses(_)
            | Role::Guards
            | Role::Begins
            | Role::Looks(_)
            | Role::Ours => &mut [],
        })
    }

    /// Whether a question about the connection is not answered.
    pub fn is_looking(&self) -> bool {
        self.owed
            .iter()
            .any(|owed| matches!(owed.role, Role::Looks(_)))
    }

    /// The question that is being answered.
    pub fn front_look(&mut self) -> Option<&mut Looking> {
        match self.owed.front_mut().map(|owed| &mut owed.role) {
            Some(Role::Looks(looking)) => looking.as_deref_mut(),
            Some(_) | None => None,
        }
    }

    /// What the text that is being answered makes of names, as far as it has not yet.
    pub fn front_acts(&mut self) -> Option<&mut Acts> {
        match self.owed.front_mut().map(|owed| &mut owed.role) {
            Some(Role::Naming(Naming::Acts(acts))) => Some(acts),
            Some(_) | None => None,
        }
    }

    /// Whether the next Sync owed is one of ours.
    pub fn is_cut_off(&self) -> bool {
        let sync = self.owed.iter().find(|owed| owed.reply == Reply::Sync);
        sync.is_some_and(|owed| !owed.role.is_client())
    }

    /// Whether anything that decides about names is not answered.
    #[inline]
    pub fn is_naming(&self) -> bool {
        self.naming > 0
    }

    /// Whether a Parse under this name is not answered.
    pub fn is_registering(&self, name: &[u8]) -> bool {
        let registers =
            |naming: &Naming| matches!(naming, Naming::Registers(note) if *note.name.name == *name);
        let mut naming = self.owed.iter().filter_map(|owed| owed.role.naming());
        naming.any(registers)
    }

    /// The Parse of a named statement, where it was the last message sent.
    pub fn last_registered(&self) -> Option<&Name> {
        match self.owed.back().and_then(|owed| owed.role.naming()) {
            Some(Naming::Registers(note)) => Some(&note.name),
            Some(_) | None => None,
        }
    }

    /// Whether an earlier request is not answered in full.
    pub fn is_behind(&self) -> bool {
        self.owed.iter().any(|owed| owed.reply.ends_ready())
    }

    /// How many answers are owed.
    #[inline]
    pub fn len(&self) -> usize {
        self.owed.len()
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

    pub fn front_mut(&mut self) -> Option<&mut Owed> {
        self.owed.front_mut()
    }

    /// The message sent last.
    pub fn back(&self) -> Option<&Owed> {
        self.owed.back()
    }

    /// The answer to the front message is complete.
    #[inline]
    pub fn settle(&mut self) -> Option<Owed> {
        let owed = self.owed.pop_front();
        if owed
            .as_ref()
            .is_some_and(|owed| owed.role.naming().is_some())
        {
            self.naming = self.naming.saturating_sub(1);
        }
        owed
    }

    /// The front message failed. Takes it and every message that the backend skips from here to
    /// the next Sync, which stays owed. A message that ends with ReadyForQuery, failing itself,
    /// makes the backend skip nothing: it stays owed and nothing is taken.
    pub fn fail(&mut self) -> Vec<Owed> {
        match self.owed.front_mut() {
            None => return Vec::new(),
            Some(front) if front.reply.ends_ready() => {
                front.stake = Stake::NONE;
                return Vec::new();
            }
            Some(_) => {}
        }
        let sync = self.owed.iter().position(|owed| owed.reply == Reply::Sync);
        self.skipping = sync.is_none();
        match sync.and_then(|at| self.owed.get_mut(at)) {
            Some(sync) => sync.stake = Stake::NONE,
            None => self.stake = Stake::NONE,
        }
        let end = sync.unwrap_or(self.owed.len());
        let taken: Vec<Owed> = self.owed.drain(..end).collect();
        self.naming = count(&self.owed);
        taken
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
        self.naming = 0;
        self.stake = Stake::NONE;
        self.owed.drain(..).collect()
    }
}

/// How many decide about names.
fn count(owed: &VecDeque<Owed>) -> u32 {
    let naming = owed
        .iter()
        .filter(|owed| owed.role.naming().is_some())
        .count();
    u32::try_from(naming).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::change::{Change, Effect, Forgets, Forgotten, Restores};

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

    fn forgets(name: &[u8]) -> Naming {
        Naming::Changes(Box::new(Change {
            tag: None,
            restores: Restores::Nothing,
            effect: Effect::None,
            forgets: Forgets::One(name.into()),
            forgotten: Forgotten::default(),
            acts: crate::session::acts::Acts::new(),
        }))
    }

    #[test]
    fn what_a_name_means_is_open_until_what_an_earlier_batch_says_of_it_is_answered() {
        let mut ledger = Ledger::default();
        ledger.owe(Reply::Execute, forgets(b"s"));
        assert!(!ledger.is_open_what(b"s", None));
        ledger.owe(Reply::Sync, Role::Client);
        assert!(ledger.is_open_what(b"s", None));
        assert!(!ledger.is_open_what(b"t", None));
        ledger.settle();
        assert!(!ledger.is_open_what(b"s", None));
    }

    #[test]
    fn what_a_query_says_of_a_name_is_open_at_once() {
        let mut ledger = Ledger::default();
        ledger.owe(Reply::Query, forgets(b"s"));
        assert!(ledger.is_open_what(b"s", None));
        ledger.take_all();
        assert!(!ledger.is_open_what(b"s", None));
    }

    #[test]
    fn a_skip_that_waits_for_its_sync_is_not_empty() {
        let mut ledger = ledger(&[Reply::Parse]);
        ledger.fail();
        assert!(!ledger.is_empty());
    }
}
