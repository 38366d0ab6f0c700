//! Texts that name prepared statements: PREPARE, EXECUTE and DEALLOCATE.
//!
//! What a client prepares in SQL is remembered by its text, and goes with the session to whatever
//! connection a later text or message names it on (`replay`). What it has prepared by the protocol
//! SQL may name too. What a text makes of names is noted as each of its commands completes: a
//! transaction that is rolled back undoes none of it, and what failed has made nothing.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Session, Spelling,
    change::{Change, Effect, Forgets, Forgotten, Restores},
    names,
    replay::Need,
    role::{Naming, Role},
    splice::Splice,
};
use crate::backend::Statement;
use crate::protocol::frontend;
use crate::sql::{self, Kind, Reading, Target, Touches};

/// What a text does to names, in its order.
pub type Acts = VecDeque<Act>;

/// What a command does to a name.
#[derive(Debug)]
pub struct Act {
    pub name: Box<[u8]>,
    /// What PREPARE makes of it; `None`: DEALLOCATE.
    pub makes: Option<Arc<Statement>>,
}

/// What names a prepared statement, or shows all of them.
const NAMES: Touches = Touches::PREPARE
    .and(Touches::EXECUTE)
    .and(Touches::DEALLOCATE)
    .and(Touches::PREPARED_READ);

impl Change {
    /// What a portal that does this changes.
    pub fn acting(acts: Acts) -> Self {
        Self {
            tag: None,
            restores: Restores::Nothing,
            effect: Effect::None,
            forgets: Forgets::Nothing,
            forgotten: Forgotten::default(),
            acts,
        }
    }

    /// The role of the message that does it.
    pub fn role(self) -> Role {
        match self.acts.is_empty() {
            true => Naming::Changes(Box::new(self)).into(),
            false => Naming::Acts(Box::new(self.acts)).into(),
        }
    }
}

/// Whether the text names prepared statements.
#[inline]
pub(super) fn names_any(reading: &Reading) -> bool {
    reading.touches.any(NAMES)
}

/// Whether the text shows which statements the session has.
#[inline]
pub(super) fn shows(full: &Reading) -> bool {
    full.touches.any(Touches::PREPARED_READ)
}

impl Session {
    /// What the text does, with what the statements do that it executes, and without what those
    /// do that it prepares.
    #[inline]
    pub(super) fn in_full(&self, reading: Reading, text: &[u8], whole: bool) -> Reading {
        let executes = Touches::PREPARE.and(Touches::EXECUTE);
        if !reading.touches.any(executes) || self.is_verbatim() {
            return reading;
        }
        self.with_bodies(reading, text, whole)
    }

    #[cold]
    fn with_bodies(&self, mut reading: Reading, text: &[u8], whole: bool) -> Reading {
        let mut touches = Touches::NONE;
        let mut made: Vec<(Vec<u8>, Touches)> = Vec::new();
        for statement in sql::statements(text) {
            if let Kind::Prepare { name, body } = statement.kind {
                let body = sql::read(body.of(text)).touches;
                made.push((name.fold(text), body));
                if !self.is_replayed(reading, text, whole) {
                    touches |= Touches::PREPARE;
                }
            } else {
                touches |= statement.touches;
            }
            if let Some(name) = statement.executes {
                let name = name.fold(text);
                let here = made.iter().find(|(one, _)| *one == name);
                touches |= here.map_or_else(|| self.touches_of(&name), |(_, body)| *body);
            }
        }
        reading.touches = touches;
        reading
    }

    /// What the statement of this name does.
    fn touches_of(&self, name: &[u8]) -> Touches {
        let entry = self.names.any(names::key(name));
        entry.map_or(Touches::NONE, |entry| match entry.sql {
            Some(_) => body(&entry.statement).1.touches,
            None => entry.statement.reading.touches,
        })
    }

    /// Whether what the text prepares goes with the session. What is read otherwise by the server
    /// than here, or is too long to be kept, pins it, as a look finds.
    fn is_replayed(&self, reading: Reading, text: &[u8], whole: bool) -> bool {
        let readable = self.identity.spelling == Spelling::Standard
            && !reading
                .touches
                .any(Touches::UNCLEAR.and(Touches::RESET_ALL));
        let hinders = |statement: sql::Statement| match named_by(statement.kind) {
            Some((name, _)) => names::is_ours(&name.fold(text)),
            None => statement.kind == Kind::Deallocate(Target::All),
        };
        whole && readable && !sql::statements(text).any(hinders)
    }

    /// Whether it is open what a name in the text means.
    pub(super) fn names_open(&self, reading: &Reading, text: &[u8]) -> bool {
        if !names_any(reading) || self.is_verbatim() || self.flow.copying {
            return false;
        }
        // Whether a transaction is open has to be known there.
        if self.ledger.is_behind() && named(text).any(|(name, _)| self.is_made_aside(&name)) {
            return true;
        }
        if !self.ledger.is_naming() {
            return false;
        }
        if reading.touches.any(Touches::PREPARED_READ) {
            return true;
        }
        let mut named = named(text);
        named.any(|(name, _)| self.is_open_what(names::key(&name), None))
    }

    /// Puts what the text names on the connection, as far as that matters; `full`: what it does
    /// with what it executes. Tells whether what was written for it may fail.
    pub(super) fn put_named(
        &mut self,
        reading: &Reading,
        full: &Reading,
        text: &[u8],
        splice: &mut Splice<'_>,
    ) -> bool {
        if !names_any(reading) || self.is_verbatim() {
            return false;
        }
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut may_fail = shows(full) && self.own_alone(splice);
        for (name, need) in named(text) {
            let name = names::key(&name);
            if !seen.iter().any(|one| one == name) {
                may_fail |= self.own(name, need, splice);
                seen.push(name.to_owned());
            }
        }
        may_fail
    }

    /// Puts what the text executes on the connection.
    #[inline]
    pub(super) fn put_executed(&mut self, reading: &Reading, text: &[u8], splice: &mut Splice<'_>) {
        if reading.touches.any(Touches::EXECUTE) {
            self.put_named(reading, &Reading::NOTHING, text, splice);
        }
    }

    /// What the text will make of names.
    pub(super) fn acts(&mut self, reading: &Reading, text: &[u8], whole: bool) -> Acts {
        let makes = Touches::PREPARE.and(Touches::DEALLOCATE);
        if !reading.touches.any(makes)
            || self.is_verbatim()
            || !self.is_replayed(*reading, text, whole)
        {
            return Acts::new();
        }
        let mut acts = Acts::new();
        for statement in sql::statements(text) {
            let Some((name, is_made)) = named_by(statement.kind) else {
                continue;
            };
            // The server shows who asks the text as it came; of several it is told one.
            let stated = match reading.count {
                1 => text,
                _ => statement.span.of(text),
            };
            acts.push_back(Act {
                name: name.fold(text).into(),
                makes: is_made.then(|| {
                    let mut registry = self.shared.registry.borrow_mut();
                    registry.statement(self.identity.scope, &frontend::parse_rest(stated))
                }),
            });
        }
        acts
    }

    /// What is to be made is sent: what has these names from here on is not known.
    pub(super) fn begin_acts(&mut self, acts: &Acts) {
        if let Some(lease) = &mut self.lease {
            for act in acts {
                lease.memory.own_is(&act.name, None);
            }
        }
    }

    /// A command of a text that makes something of names has completed.
    pub(super) fn acted(&mut self, tag: &[u8]) {
        if !matches!(tag, b"PREPARE" | b"DEALLOCATE") {
            return;
        }
        let Some(act) = self.ledger.front_acts().and_then(VecDeque::pop_front) else {
            return;
        };
        let Some(lease) = &mut self.lease else { return };
        match act.makes {
            Some(statement) => {
                lease.memory.own_is(&act.name, Some(&statement));
                let settings = Arc::clone(&self.identity.parameters);
                if self.flow.watch.is_some() {
                    self.names.await_settings(&act.name);
                }
                self.names.insert_sql(act.name, statement, settings);
            }
            None => {
                lease.memory.disown(&act.name);
                self.names.take(&act.name);
            }
        }
    }

    /// Whether of several statements those that deallocate drop nothing but what they name.
    pub(super) fn is_understood(&self, text: &[u8]) -> bool {
        let is_understood = |kind: Kind| match named_by(kind) {
            Some((name, _)) => !names::is_ours(&name.fold(text)),
            None => !kind
                .touches()
                .any(Touches::DISCARD.and(Touches::DEALLOCATE)),
        };
        self.identity.spelling == Spelling::Standard
            && sql::statements(text).all(|statement| is_understood(statement.kind))
    }
}

/// The name that a command makes, which is told, or drops.
fn named_by(kind: Kind) -> Option<(sql::Name, bool)> {
    if let Kind::Prepare { name, .. } = kind {
        return Some((name, true));
    }
    if let Kind::Deallocate(Target::One(name)) = kind {
        return Some((name, false));
    }
    None
}

/// The names in a text, and what of them has to be there.
fn named(text: &[u8]) -> impl Iterator<Item = (Vec<u8>, Need)> {
    sql::statements(text).filter_map(|statement| {
        let executed = statement.executes.map(|name| (name, Need::Itself));
        let made = named_by(statement.kind).map(|(name, _)| (name, Need::Anything));
        let (name, need) = executed.or(made)?;
        Some((name.fold(text), need))
    })
}

/// What a statement made by PREPARE does: the text, and its reading.
pub(super) fn body(statement: &Statement) -> (&[u8], Reading) {
    let text = frontend::text(&statement.rest);
    let mut statements = sql::statements(text);
    let body = match statements.next().map(|statement| statement.kind) {
        Some(Kind::Prepare { body, .. }) => body.of(text),
        _ => text,
    };
    (body, sql::read(body))
}
