//! Reads a text once: how many statements, what leads them, what they may touch.

use super::glance::glance;
use super::kind::Kind;
use super::name::Name;
use super::reader::Reader;
use super::scan::Span;
use super::scan::Strings;
use super::stake::Stake;
use super::touches::Touches;

/// What a whole text is: a simple query's, or a Parse's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// How many statements it has, empty ones not counted.
    pub count: u32,
    /// What leads the first of them.
    pub first: Kind,
    /// What all of them together may touch.
    pub touches: Touches,
    /// What is in doubt when its answer never comes.
    pub stake: Stake,
}

impl Reading {
    /// That of a text without a statement, and of messages without a text.
    pub const NOTHING: Self = Self {
        count: 0,
        first: Kind::Empty,
        touches: Touches::NONE,
        stake: Stake::NONE,
    };
}

/// One statement of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// What leads it.
    pub kind: Kind,
    /// From its first token to its last, without the semicolon.
    pub span: Span,
    /// What it may touch.
    pub touches: Touches,
    /// The statement prepared in SQL that it runs: by EXECUTE, EXPLAIN EXECUTE or
    /// CREATE TABLE … AS EXECUTE.
    pub executes: Option<Name>,
}

/// Reads a whole text, with `standard_conforming_strings` on.
#[inline]
pub fn read(text: &[u8]) -> Reading {
    if let Some(reading) = glance(text) {
        return reading;
    }
    read_with(text, Strings::Standard)
}

/// Reads a whole text.
pub fn read_with(text: &[u8], strings: Strings) -> Reading {
    let mut reader = Reader::new(text, strings);
    let mut reading = Reading::NOTHING;
    while reader.begin() {
        let kind = reader.statement();
        if reading.count == 0 {
            reading.first = kind;
        }
        reading.touches |= reader.touches;
        reading.stake = reading.stake.then(kind, reader.stake);
        reading.count = reading.count.saturating_add(1);
    }
    reading
}

/// The statements of a text one by one, with `standard_conforming_strings` on.
pub fn statements(text: &[u8]) -> Statements<'_> {
    statements_with(text, Strings::Standard)
}

/// The statements of a text one by one.
pub fn statements_with(text: &[u8], strings: Strings) -> Statements<'_> {
    Statements(Reader::new(text, strings))
}

/// The statements of a text, empty ones left out.
#[derive(Debug, Clone)]
pub struct Statements<'a>(Reader<'a>);

impl Iterator for Statements<'_> {
    type Item = Statement;

    fn next(&mut self) -> Option<Statement> {
        let reader = &mut self.0;
        if !reader.begin() {
            return None;
        }
        let start = reader.here();
        let kind = reader.statement();
        Some(Statement {
            kind,
            span: Span {
                start,
                end: reader.behind,
            },
            touches: reader.touches,
            executes: reader.executes,
        })
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
