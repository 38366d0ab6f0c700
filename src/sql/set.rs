//! SET and RESET: of what, to which value.

use super::kind::Kind;
use super::kind::Value;
use super::kind::What;
use super::name::Name;
use super::reader::Reader;
use super::scan::TokenKind;
use super::word::Word;

impl Reader<'_> {
    /// What follows SET.
    pub(super) fn set(&mut self) -> Option<Kind> {
        if self.word == Word::CONSTRAINTS && !self.is_setting() {
            self.pass();
            return Some(Kind::Set {
                local: false,
                what: What::Constraints,
                value: Value::Text(self.open_span()),
            });
        }
        let local = self.word == Word::LOCAL && !self.is_setting();
        if local || self.is_session_scope() {
            self.pass();
        }
        let (what, value) = match self.is_setting() {
            true => self.setting()?,
            false => self.phrase().or_else(|| self.setting())?,
        };
        Some(Kind::Set { local, what, value })
    }

    /// What follows RESET.
    pub(super) fn reset(&mut self) -> Option<Kind> {
        if self.take(Word::ALL) {
            return Some(Kind::ResetAll);
        }
        let ahead = self.ahead();
        let what = match self.word {
            Word::TIME if ahead.word == Word::ZONE => self.phrased(2, What::TimeZone),
            Word::SESSION if ahead.word == Word::AUTHORIZATION => {
                self.phrased(2, What::SessionAuthorization)
            }
            Word::TRANSACTION if !ahead.ends() && !ahead.is(TokenKind::Dot) => {
                self.phrased(3, What::Transaction)
            }
            _ => {
                let name = self.dotted_name()?;
                self.by_name(name)
            }
        };
        Some(Kind::Reset(what))
    }

    /// Passes the words that say it.
    fn phrased(&mut self, words: usize, what: What) -> What {
        (0..words).for_each(|_| self.pass());
        what
    }

    /// Whether the word here is the name of a setting, by what follows it.
    fn is_setting(&self) -> bool {
        let ahead = self.ahead();
        let sign = ahead.is(TokenKind::Dot) || ahead.is_equals();
        sign || matches!(ahead.word, Word::TO | Word::FROM)
    }

    /// Whether SESSION here is but the opposite of LOCAL.
    fn is_session_scope(&self) -> bool {
        self.word == Word::SESSION
            && !self.is_setting()
            && !matches!(
                self.ahead().word,
                Word::AUTHORIZATION | Word::CHARACTERISTICS
            )
    }

    /// `name TO value`, `name = value` or `name FROM CURRENT`.
    fn setting(&mut self) -> Option<(What, Value)> {
        let name = self.dotted_name()?;
        let what = self.by_name(name);
        if self.take(Word::FROM) {
            return self.take(Word::CURRENT).then_some((what, Value::Current));
        }
        if !self.is_equals() && self.word != Word::TO {
            return None;
        }
        self.pass();
        Some((what, self.value()))
    }

    /// The settings that the grammar has phrases for. Passes nothing if none is here.
    fn phrase(&mut self) -> Option<(What, Value)> {
        let ahead = self.ahead();
        let what = match (self.word, ahead.word) {
            (Word::TIME, Word::ZONE) => What::TimeZone,
            (Word::XML, Word::OPTION) => What::XmlOption,
            (Word::SESSION, Word::AUTHORIZATION) => What::SessionAuthorization,
            (Word::SESSION, Word::CHARACTERISTICS) => What::SessionCharacteristics,
            (Word::TRANSACTION, Word::SNAPSHOT) => What::Snapshot,
            (Word::TRANSACTION, _) => What::Transaction,
            (Word::NAMES, _) => What::Names,
            (Word::SCHEMA, _) => What::Schema,
            (Word::ROLE, _) => What::Role,
            (Word::CATALOG, _) => What::Catalog,
            _ => return None,
        };
        self.pass();
        if matches!(
            what,
            What::TimeZone
                | What::XmlOption
                | What::SessionAuthorization
                | What::SessionCharacteristics
                | What::Snapshot
        ) {
            self.pass();
        }
        // TIME ZONE LOCAL and a bare NAMES mean the default too.
        let local = what == What::TimeZone && self.word == Word::LOCAL;
        let bare = what == What::Names && self.ends();
        match local || bare {
            true => Some((what, Value::Default)),
            false => Some((what, self.value())),
        }
    }

    fn value(&self) -> Value {
        match self.word == Word::DEFAULT {
            true => Value::Default,
            false => Value::Text(self.open_span()),
        }
    }

    /// Role and authorization are settings by name as well.
    fn by_name(&self, name: Name) -> What {
        if name.is_setting(self.text(), b"role") {
            What::Role
        } else if name.is_setting(self.text(), b"session_authorization") {
            What::SessionAuthorization
        } else {
            What::Setting(name)
        }
    }
}
