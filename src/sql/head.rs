//! What leads a statement: its first words, by the server's grammar (its `gram.y`).
//! Most of them are no reserved words and may be names as well; what follows tells.

use super::kind::Discard;
use super::kind::Kind;
use super::kind::Target;
use super::reader::Reader;
use super::scan::TokenKind;
use super::touches::Touches;
use super::word::Word;

impl Reader<'_> {
    /// What leads the statement that begins here; none if no such statement begins so. Those that
    /// are not sent as they are must end where the grammar ends them: else the server refuses them.
    pub(super) fn head(&mut self) -> Option<Kind> {
        let first = self.word;
        self.pass();
        match first {
            Word::BEGIN => Some(Kind::Begin),
            Word::START => self.take(Word::TRANSACTION).then_some(Kind::Begin),
            Word::COMMIT | Word::END => self.commit(first),
            Word::ROLLBACK | Word::ABORT => self.rollback(first),
            Word::SAVEPOINT => self.name().map(Kind::Savepoint),
            Word::RELEASE => self.name_after(Word::SAVEPOINT).map(Kind::Release),
            Word::SET => self.set(),
            Word::RESET => self.reset().filter(|_| self.ends()),
            Word::DISCARD => self.discard().filter(|_| self.ends()),
            Word::PREPARE => self.prepare(),
            Word::EXECUTE => self.execute(),
            Word::DEALLOCATE => self.deallocate().filter(|_| self.ends()),
            Word::LISTEN => self.name().map(Kind::Listen),
            Word::UNLISTEN if self.is_star() => Some(Kind::Unlisten(Target::All)),
            Word::UNLISTEN => self.name().map(Target::One).map(Kind::Unlisten),
            Word::NOTIFY => self.name().map(Kind::Notify),
            Word::DECLARE => self.declare(),
            Word::CLOSE => self.target().map(Kind::Close),
            Word::FETCH | Word::MOVE => Some(Kind::Fetch),
            Word::COPY => Some(Kind::Copy),
            Word::SHOW => Some(Kind::Show),
            Word::LOAD => Some(Kind::Load),
            Word::CALL => Some(Kind::Call),
            Word::DO => Some(Kind::Do),
            Word::CREATE => self.create(),
            Word::ALTER | Word::DROP => self.alter(),
            Word::EXPLAIN => self.explain(),
            _ => None,
        }
    }

    fn commit(&mut self, first: Word) -> Option<Kind> {
        if first == Word::COMMIT && self.take(Word::PREPARED) {
            return Some(Kind::CommitPrepared);
        }
        let chain = self.chain();
        Some(Kind::Commit { chain })
    }

    fn rollback(&mut self, first: Word) -> Option<Kind> {
        if first == Word::ROLLBACK && self.take(Word::PREPARED) {
            return Some(Kind::RollbackPrepared);
        }
        let chain = self.chain();
        if first == Word::ROLLBACK && self.take(Word::TO) {
            return self.name_after(Word::SAVEPOINT).map(Kind::RollbackTo);
        }
        Some(Kind::Rollback { chain })
    }

    /// `[WORK | TRANSACTION] [AND [NO] CHAIN]`
    fn chain(&mut self) -> bool {
        let _ = self.take(Word::WORK) || self.take(Word::TRANSACTION);
        self.take(Word::AND) && !self.take(Word::NO) && self.take(Word::CHAIN)
    }

    fn discard(&mut self) -> Option<Kind> {
        let what = match self.word {
            Word::ALL => Discard::All,
            Word::PLANS => Discard::Plans,
            Word::SEQUENCES => Discard::Sequences,
            Word::TEMP | Word::TEMPORARY => Discard::Temp,
            _ => return None,
        };
        self.pass();
        Some(Kind::Discard(what))
    }

    fn prepare(&mut self) -> Option<Kind> {
        let transaction = self.word == Word::TRANSACTION;
        let name = self.name()?;
        // PREPARE transaction AS … is a statement of that name.
        if transaction && !self.is(TokenKind::Open) && self.word != Word::AS {
            return Some(Kind::PrepareTransaction);
        }
        self.pass_parentheses();
        self.take(Word::AS).then_some(())?;
        let body = self.open_span();
        Some(Kind::Prepare { name, body })
    }

    fn execute(&mut self) -> Option<Kind> {
        self.executes = self.name();
        self.executes.map(Kind::Execute)
    }

    fn deallocate(&mut self) -> Option<Kind> {
        let prepare = match self.word {
            Word::PREPARE => self.name().map(Target::One),
            _ => None,
        };
        self.target().or(prepare).map(Kind::Deallocate)
    }

    fn target(&mut self) -> Option<Target> {
        match self.take(Word::ALL) {
            true => Some(Target::All),
            false => self.name().map(Target::One),
        }
    }

    fn declare(&mut self) -> Option<Kind> {
        let name = self.name()?;
        let mut hold = false;
        let mut with = false;
        while self.is(TokenKind::Word) && self.word != Word::FOR {
            hold |= with && self.word == Word::HOLD;
            with = self.word == Word::WITH;
            self.pass();
        }
        Some(Kind::Declare { name, hold })
    }

    fn create(&mut self) -> Option<Kind> {
        self.touches |= Touches::DDL;
        if self.take(Word::OR) {
            self.take(Word::REPLACE);
        }
        let _ = self.take(Word::GLOBAL) || self.take(Word::LOCAL);
        match self.word {
            Word::FUNCTION | Word::PROCEDURE => {
                self.routine = true;
                return None;
            }
            Word::DATABASE => return Some(Kind::Database),
            _ => {}
        }
        let temporary = matches!(self.word, Word::TEMP | Word::TEMPORARY);
        self.created_as();
        temporary.then_some(Kind::CreateTemp)
    }

    /// CREATE TABLE … AS EXECUTE: its first AS outside parentheses says so.
    fn created_as(&mut self) {
        self.pass_up_to(Word::AS);
        if self.take(Word::AS) && self.take(Word::EXECUTE) && self.execute().is_some() {
            self.touches |= Touches::EXECUTE;
        }
    }

    fn alter(&mut self) -> Option<Kind> {
        self.touches |= Touches::DDL;
        (self.word == Word::DATABASE).then_some(Kind::Database)
    }

    /// EXPLAIN is no kind of its own, but with ANALYZE it does what the explained does.
    fn explain(&mut self) -> Option<Kind> {
        let _ = self.take(Word::ANALYZE) || self.take(Word::ANALYSE);
        self.take(Word::VERBOSE);
        self.pass_parentheses();
        if self.take(Word::EXECUTE) && self.execute().is_some() {
            self.touches |= Touches::EXECUTE;
        } else if self.take(Word::CREATE) {
            self.create();
            self.routine = false;
        }
        None
    }
}
