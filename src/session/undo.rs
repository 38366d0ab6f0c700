//! What was sent and is not done: what it promised is taken back.

use super::{
    Session,
    change::{Effect, Restores},
    ledger::{Owed, Reply},
    role::{Naming, Role},
    sabotage::{Part, without},
};
use crate::backend::{SOMEBODYS, Statement};
use crate::sql::Stake;

/// Why what was sent will not have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The first of it failed, the rest was skipped.
    Failure,
    /// The connection is gone.
    Loss,
}

impl Session {
    /// What is being answered has failed, and what the backend skips behind it is not done.
    pub(super) fn undo_failed(&mut self) {
        // A command that failed changed nothing: its ReadyForQuery is owed all the same.
        if let Some(front) = self.ledger.front()
            && front.reply == Reply::Query
            && front.role.change().is_some()
        {
            let failed = self.ledger.settle();
            self.undo(failed.into_iter().collect(), Cause::Failure);
            self.ledger.owe_front(Reply::Query, Stake::NONE);
        }
        let skipped = self.ledger.fail();
        self.undo(skipped, Cause::Failure);
    }

    /// None of these will have been done: what they promised is taken back.
    pub(super) fn undo(&mut self, owed: Vec<Owed>, cause: Cause) {
        if without(Part::Undo) {
            return;
        }
        // Backwards: what was changed twice is to be what it was before the first time.
        for (at, owed) in owed.into_iter().enumerate().rev() {
            let failed = at == 0 && cause == Cause::Failure;
            match owed.role {
                Role::Naming(naming) => self.take_back(naming, failed),
                Role::Looks(Some(looking)) if cause == Cause::Failure => self.saw_nothing(&looking),
                Role::Client
                | Role::Named(_)
                | Role::Stale(_)
                | Role::Refuses(_)
                | Role::Guards
                | Role::Begins
                | Role::Looks(_)
                | Role::Ours => {}
            }
        }
    }

    /// What decided about names has failed, or else it was skipped.
    fn take_back(&mut self, naming: Naming, failed: bool) {
        match naming {
            Naming::Registers(note) => {
                let name = note.name;
                self.names.remove_if(&name.name, &name.statement);
                // Skipped together with the Close before it, the old one is still there.
                if failed || !note.again {
                    self.forget_upstream(&name.statement);
                }
            }
            Naming::RegistersUnnamed(number, former) => {
                if self.names.is_unnamed(number) {
                    match former.filter(|_| !failed) {
                        Some(former) => self.names.restore(*former),
                        None => self.names.forget_unnamed(),
                    }
                }
                self.unnamed_missing(number, failed);
            }
            Naming::SuppliesUnnamed(number) => {
                if failed && self.names.is_unnamed(number) {
                    self.names.forget_unnamed();
                }
                self.unnamed_missing(number, failed);
            }
            Naming::DropsUnnamed(former) => {
                if self.names.undrop(*former)
                    && let Some(lease) = &mut self.lease
                {
                    lease.memory.unnamed.get_or_insert(SOMEBODYS);
                }
            }
            Naming::Supplies(statement) => self.forget_upstream(&statement),
            Naming::Forgets(name) => self.names.put_back(*name),
            Naming::Adopts(name) => self.unown(&name),
            Naming::Changes(change) => {
                self.flow.resetting &= change.restores == Restores::Nothing;
                if change.effect == Effect::DiscardAll {
                    self.watch_everything();
                }
                self.remember(change.forgotten);
            }
            // What a command makes is noted when it has.
            Naming::Shapes(_) | Naming::Acts(_) => {}
        }
    }

    /// A Parse that fails drops the unnamed statement before; a skipped one leaves it, whosever
    /// it is.
    fn unnamed_missing(&mut self, number: u32, failed: bool) {
        let own = Some((self.handle.id, number));
        if let Some(lease) = &mut self.lease
            && lease.memory.unnamed == own
        {
            lease.memory.unnamed = (!failed).then_some(SOMEBODYS);
        }
    }

    /// Takes the statement for one that the connection lacks. What may have its name all the same,
    /// as where a Close ahead of its Parse was skipped as well, is closed ahead of the next request.
    pub(super) fn forget_upstream(&mut self, statement: &Statement) {
        if let Some(lease) = &mut self.lease {
            lease.memory.remove(statement.id);
            lease.memory.litter(statement.name.as_slice().into());
        }
    }
}
