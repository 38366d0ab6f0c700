//! Reads a text for all that it says about what it will do. Runs once per fingerprint.
//!
//! No tree is built. What must be known of a query is which relations and functions it names and
//! whether it writes or locks, and for that the server's grammar leaves little choice: a relation
//! stands where FROM, JOIN or a comma of theirs expects one, a call is a name before `(`, and
//! what writes begins with one of a few words. Where the walk cannot tell, it says the worse.
//! So every syntax that the server takes is understood, in time and memory linear in the text.

mod command;
mod effects;
mod grammar;
mod keys;
mod piece;
mod walk;

use std::collections::BTreeSet;

use super::read::{read, statements};
use super::touches::Touches;
use super::verdict::{Class, Effect, Finding, Key, Named, Obstacle};

/// Texts over this many bytes are not looked at: they are [`Class::Unknown`].
pub const LONGEST: usize = 256 * 1024;

/// What this text says it will do, with `standard_conforming_strings` on.
pub fn find(text: &[u8]) -> Finding {
    let mut gathered = Gathered::default();
    let reading = read(text);
    if text.len() > LONGEST || text.contains(&0) || std::str::from_utf8(text).is_err() {
        gathered.unknown();
    } else {
        let values = keys::Values::of_text(text);
        for statement in statements(text) {
            command::statement(text, &statement, &values, &mut gathered);
        }
    }
    if reading.count == 0 {
        gathered.obstacle = Some(Obstacle::Empty);
    }
    gathered.finding(reading.count, reading.touches, reading.stake)
}

/// What has been gathered so far. Nothing is kept twice.
#[derive(Debug, Default)]
struct Gathered {
    class: Option<Class>,
    obstacle: Option<Obstacle>,
    effects: Vec<Effect>,
    relations: Once<Named>,
    functions: Once<Named>,
    asides: Once<Named>,
    operators: Once<Box<[u8]>>,
    words: Once<Box<[u8]>>,
    fields: Once<Box<[u8]>>,
    keys: Vec<Key>,
    is_literal: bool,
}

impl Gathered {
    /// A statement of this class, with what makes it no read.
    fn class(&mut self, class: Class, obstacle: Option<Obstacle>) {
        if self.class.is_none_or(|before| before < class) {
            self.class = Some(class);
            self.obstacle = obstacle.or(self.obstacle);
        } else {
            self.obstacle = self.obstacle.or(obstacle);
        }
    }

    fn unknown(&mut self) {
        self.class(Class::Unknown, Some(Obstacle::Unparsable));
        self.effect(Effect::Anything);
    }

    /// The names of another, which is not run now.
    fn names_of(&mut self, other: Self) {
        other
            .relations
            .list
            .into_iter()
            .for_each(|one| self.relations.put(one));
        other
            .functions
            .list
            .into_iter()
            .for_each(|one| self.functions.put(one));
        other
            .asides
            .list
            .into_iter()
            .for_each(|one| self.asides.put(one));
        other
            .operators
            .list
            .into_iter()
            .for_each(|one| self.operators.put(one));
        other
            .words
            .list
            .into_iter()
            .for_each(|one| self.words.put(one));
        other
            .fields
            .list
            .into_iter()
            .for_each(|one| self.fields.put(one));
        self.is_literal |= other.is_literal;
    }

    fn effect(&mut self, effect: Effect) {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    fn finding(self, statements: u32, touches: Touches, stake: super::stake::Stake) -> Finding {
        Finding {
            class: self.class.unwrap_or(Class::Empty),
            statements,
            touches,
            stake,
            effects: self.effects,
            relations: self.relations.list,
            functions: self.functions.list,
            asides: self.asides.list,
            operators: self.operators.list,
            words: self.words.list,
            fields: self.fields.list,
            keys: self.keys,
            obstacle: self.obstacle,
            is_literal: self.is_literal,
        }
    }
}

/// Things in the order in which they were first put in.
#[derive(Debug)]
struct Once<T> {
    list: Vec<T>,
    seen: BTreeSet<T>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            seen: BTreeSet::new(),
        }
    }
}

impl<T: Ord + Clone> Once<T> {
    fn put(&mut self, one: T) {
        if self.seen.insert(one.clone()) {
            self.list.push(one);
        }
    }
}

#[cfg(test)]
mod tests;
