//! What a backend's session holds, as far as we made it.
//! Shared by `Arc`, because a connection may move to another worker.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, OnceLock, Weak, atomic::AtomicBool},
};

use crate::protocol::{Parameters, frontend};
use crate::sql::Reading;

/// A prepared statement that sessions share, under a name of ours.
#[derive(Debug)]
pub struct Statement {
    pub id: StatementId,
    /// The name upstream.
    pub name: Vec<u8>,
    /// The text, its terminator and the parameter types, as a Parse carries them.
    pub rest: Vec<u8>,
    /// What the text says it will do.
    pub reading: Reading,
    /// A backend has accepted it.
    pub proven: AtomicBool,
    /// What it takes and returns, as a backend has described it.
    pub shape: OnceLock<Shape>,
}

impl Statement {
    /// What a Parse of it carries: with the types that it was found to have, for those of a text
    /// may change with its tables.
    pub fn parse_rest(&self) -> Cow<'_, [u8]> {
        match self.shape.get() {
            Some(shape) => [frontend::text(&self.rest), b"\0", &shape.types]
                .concat()
                .into(),
            None => self.rest.as_slice().into(),
        }
    }
}

/// What a statement takes and returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The body of a ParameterDescription.
    pub types: Box<[u8]>,
    /// The body of a RowDescription without what does not count; empty: no rows.
    pub columns: Box<[u8]>,
}

/// Names one statement text (with types); unique over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatementId(pub u64);

/// An unnamed statement of nobody knows whom.
pub const SOMEBODYS: (u64, u32) = (u64::MAX, 0);

/// What one connection holds.
#[derive(Debug, Default)]
pub struct Memory {
    /// The settings that it has been given.
    pub wearing: Arc<Parameters>,
    /// Whose unnamed statement it has: a session's number and the session's count of them.
    pub unnamed: Option<(u64, u32)>,
    /// Which session may have used a sequence there.
    pub sequences: Used,
    prepared: Prepared,
    /// Names that it has and nobody is to meet: to be closed ahead of the next request.
    litter: Vec<Box<[u8]>>,
    uses: u64,
}

/// Who may have used sequences on a connection; sessions by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Used {
    #[default]
    Never,
    By(u64),
    BySeveral {
        last: u64,
    },
}

impl Used {
    /// This one, too.
    pub fn also(&mut self, session: u64) {
        *self = match *self {
            Self::Never => Self::By(session),
            Self::By(before) if before == session => return,
            Self::By(_) | Self::BySeveral { .. } => Self::BySeveral { last: session },
        };
    }
}

/// The statements that a connection has.
#[derive(Debug, Default)]
pub struct Prepared {
    shared: HashMap<StatementId, Held>,
    /// Those under a name of their client's, as SQL says it. Of what is not known to be there,
    /// or to be anybody's any more: nothing.
    own: HashMap<Box<[u8]>, Weak<Statement>>,
}

#[derive(Debug)]
struct Held {
    statement: Arc<Statement>,
    last_use: u64,
}

impl Memory {
    /// Whether the statement is prepared here; counts as a use.
    #[inline]
    pub fn has(&mut self, id: StatementId) -> bool {
        self.uses += 1;
        match self.prepared.shared.get_mut(&id) {
            Some(held) => {
                held.last_use = self.uses;
                true
            }
            None => false,
        }
    }

    /// Notes that the statement is prepared here (or will be, once what was sent has run).
    pub fn add(&mut self, statement: &Arc<Statement>) {
        self.uses += 1;
        let held = Held {
            statement: Arc::clone(statement),
            last_use: self.uses,
        };
        self.prepared.shared.insert(statement.id, held);
    }

    /// Notes that the statement is not prepared here.
    pub fn remove(&mut self, id: StatementId) {
        self.prepared.shared.remove(&id);
    }

    /// Notes that what has this name is not prepared here. Tells whether it was thought to be.
    pub fn lose(&mut self, name: &[u8]) -> bool {
        let before = self.statements();
        self.prepared
            .shared
            .retain(|_, held| held.statement.name != name);
        self.statements() < before
    }

    /// The statement that has not been used for longest, when more than `limit` are held.
    pub fn surplus(&self, limit: usize) -> Option<Arc<Statement>> {
        if self.prepared.shared.len() <= limit {
            return None;
        }
        let oldest = self
            .prepared
            .shared
            .values()
            .min_by_key(|held| held.last_use)?;
        Some(Arc::clone(&oldest.statement))
    }

    /// How many shared statements are prepared here.
    #[inline]
    pub fn statements(&self) -> usize {
        self.prepared.shared.len()
    }

    /// Takes the shared statements, by their names upstream: they are to be closed.
    pub fn take_shared(&mut self) -> Vec<Box<[u8]>> {
        let shared = self.prepared.shared.drain();
        shared
            .map(|(_, held)| held.statement.name.as_slice().into())
            .collect()
    }

    /// For DEALLOCATE ALL: takes all of them, and those under names of clients.
    pub fn take_statements(&mut self) -> Prepared {
        std::mem::take(&mut self.prepared)
    }

    /// The DEALLOCATE ALL has failed.
    pub fn restore_statements(&mut self, prepared: Prepared) {
        for (id, held) in prepared.shared {
            // Prepared anew behind it, and skipped.
            self.take_from_litter(&held.statement.name);
            self.prepared.shared.entry(id).or_insert(held);
        }
        for (name, one) in prepared.own {
            self.prepared.own.entry(name).or_insert(one);
        }
    }

    /// Notes a name to be closed before anybody else has the connection.
    pub fn litter(&mut self, name: Box<[u8]>) {
        if !self.is_litter(&name) {
            self.litter.push(name);
        }
    }

    /// Whether the name is to be closed; whoever asks closes it.
    pub fn take_from_litter(&mut self, name: &[u8]) -> bool {
        let before = self.litter.len();
        self.litter.retain(|one| **one != *name);
        self.litter.len() < before
    }

    /// Whether the name is to be closed.
    pub fn is_litter(&self, name: &[u8]) -> bool {
        self.litter.iter().any(|one| **one == *name)
    }

    /// What the connection has under a name of some client's own; `None`: nothing. `Some(None)`:
    /// something that is of no use to anybody, or perhaps nothing.
    pub fn own(&self, name: &[u8]) -> Option<Option<Arc<Statement>>> {
        self.prepared.own.get(name).map(Weak::upgrade)
    }

    /// Notes what has this name of a client's own; `None`: that is not known.
    pub fn own_is(&mut self, name: &[u8], statement: Option<&Arc<Statement>>) {
        let weak = statement.map_or_else(Weak::new, Arc::downgrade);
        self.prepared.own.insert(name.into(), weak);
    }

    /// Notes that nothing has this name of a client's own.
    pub fn disown(&mut self, name: &[u8]) {
        self.prepared.own.remove(name);
    }

    /// The names of clients' own that something is prepared under.
    pub fn own_names(&self) -> impl Iterator<Item = &[u8]> {
        self.prepared.own.keys().map(|name| &**name)
    }

    /// Takes names of clients' own that are to be closed, where more than `limit` are there: those
    /// of statements that nobody has any more, and where that is not enough, all.
    pub fn own_surplus(&mut self, limit: usize) -> Vec<Box<[u8]>> {
        let own = &mut self.prepared.own;
        if own.len() <= limit {
            return Vec::new();
        }
        let living = own.values().filter(|one| one.strong_count() > 0).count();
        let goes = |one: &mut Weak<Statement>| living > limit || one.strong_count() == 0;
        let gone = own.extract_if(|_, one| goes(one));
        gone.map(|(name, _)| name).collect()
    }

    /// Whether nothing is to be closed, with `limit` statements at most.
    #[inline]
    pub fn is_tidy(&self, limit: usize) -> bool {
        let prepared = &self.prepared;
        self.litter.is_empty() && prepared.shared.len() <= limit && prepared.own.len() <= limit
    }

    /// The names to be closed.
    pub fn take_litter(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.litter)
    }

    /// After DISCARD ALL.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn statement(id: u64) -> Arc<Statement> {
        Arc::new(Statement {
            id: StatementId(id),
            name: Vec::new(),
            rest: Vec::new(),
            reading: crate::sql::read(b""),
            proven: AtomicBool::default(),
            shape: OnceLock::new(),
        })
    }

    #[test]
    fn the_least_recently_used_statement_goes_first() {
        let mut memory = Memory::default();
        for id in 0..3 {
            memory.add(&statement(id));
        }
        assert!(memory.has(StatementId(0)));
        assert_eq!(memory.surplus(2).unwrap().id, StatementId(1));
        memory.remove(StatementId(1));
        assert!(memory.surplus(2).is_none());
    }
}
