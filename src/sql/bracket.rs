//! What opens and closes a transaction and does nothing else.

use super::mode::{Isolation, Mode};
use super::scan::{Scanner, Strings, Token, TokenKind};

/// A text that is one such command, in a form that every server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bracket {
    /// BEGIN, with modes that hold for the transaction alone.
    Begin(Mode),
    /// START TRANSACTION, likewise.
    Start(Mode),
    /// SET TRANSACTION: modes of the one that is open. In one that has run nothing, it cannot fail
    /// where a BEGIN of the same modes would not.
    Set(Mode),
    /// COMMIT or END.
    Commit,
    /// ROLLBACK or ABORT.
    Rollback,
}

impl Bracket {
    /// The tag that the server answers it with, in a transaction that has not failed.
    pub fn tag(self) -> &'static str {
        match self {
            Bracket::Begin(_) => "BEGIN",
            Bracket::Start(_) => "START TRANSACTION",
            Bracket::Set(_) => "SET",
            Bracket::Commit => "COMMIT",
            Bracket::Rollback => "ROLLBACK",
        }
    }
}

const NOTHING: Mode = Mode {
    isolation: None,
    read_only: None,
    deferrable: None,
};

const fn isolated(level: Isolation) -> Mode {
    Mode {
        isolation: Some(level),
        ..NOTHING
    }
}

const fn read_only(is: bool) -> Mode {
    Mode {
        read_only: Some(is),
        ..NOTHING
    }
}

const fn deferrable(is: bool) -> Mode {
    Mode {
        deferrable: Some(is),
        ..NOTHING
    }
}

/// Words that a command may go on with, and what they say; none of these phrases is the beginning
/// of another.
const MODES: &[(&[&str], Mode)] = &[
    (
        &["isolation", "level", "serializable"],
        isolated(Isolation::Serializable),
    ),
    (
        &["isolation", "level", "repeatable", "read"],
        isolated(Isolation::RepeatableRead),
    ),
    (
        &["isolation", "level", "read", "committed"],
        isolated(Isolation::ReadCommitted),
    ),
    (
        &["isolation", "level", "read", "uncommitted"],
        isolated(Isolation::ReadUncommitted),
    ),
    (&["read", "only"], read_only(true)),
    (&["read", "write"], read_only(false)),
    (&["deferrable"], deferrable(true)),
    (&["not", "deferrable"], deferrable(false)),
];

/// Which bracket this text is, and nothing but that.
pub fn bracket(text: &[u8]) -> Option<Bracket> {
    let mut words = Words(Scanner::new(text, Strings::Standard));
    let bracket = match () {
        () if words.take(&["begin"]) => {
            words.noise();
            Bracket::Begin(words.modes())
        }
        () if words.take(&["start", "transaction"]) => Bracket::Start(words.modes()),
        () if words.take(&["set", "transaction"]) => {
            let modes = words.modes();
            Some(modes)
                .filter(|modes| *modes != NOTHING)
                .map(Bracket::Set)?
        }
        () if words.take(&["commit"]) || words.take(&["end"]) => {
            words.chain();
            Bracket::Commit
        }
        () if words.take(&["rollback"]) || words.take(&["abort"]) => {
            words.chain();
            Bracket::Rollback
        }
        () => return None,
    };
    words.end().then_some(bracket)
}

struct Words<'a>(Scanner<'a>);

impl Words<'_> {
    /// Passes these words if they come next.
    fn take(&mut self, phrase: &[&str]) -> bool {
        let mut ahead = self.0.clone();
        for word in phrase {
            let is = |token: Token| {
                token.kind == TokenKind::Word
                    && token
                        .span
                        .of(ahead.text())
                        .eq_ignore_ascii_case(word.as_bytes())
            };
            let next = ahead.clone().significant();
            if !next.is_some_and(is) {
                return false;
            }
            ahead.significant();
        }
        self.0 = ahead;
        true
    }

    /// What says nothing.
    fn noise(&mut self) {
        let _ = self.take(&["work"]) || self.take(&["transaction"]);
    }

    fn chain(&mut self) {
        self.noise();
        self.take(&["and", "no", "chain"]);
    }

    /// Passes modes, with commas or without; of two that differ the later one holds.
    fn modes(&mut self) -> Mode {
        let mut modes = NOTHING;
        while let Some(mode) = self.mode() {
            modes = mode.over(modes);
            let mut behind = Words(self.0.clone());
            let comma = behind.0.significant();
            if comma.is_some_and(|token| token.kind == TokenKind::Comma)
                && Words(behind.0.clone()).mode().is_some()
            {
                *self = behind;
            }
        }
        modes
    }

    fn mode(&mut self) -> Option<Mode> {
        let mut modes = MODES.iter();
        let said = modes.find(|(phrase, _)| self.take(phrase));
        said.map(|(_, mode)| *mode)
    }

    /// Whether nothing but semicolons is left.
    fn end(mut self) -> bool {
        std::iter::from_fn(|| self.0.significant()).all(|token| token.kind == TokenKind::Semicolon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_known_in_every_form_that_the_server_takes_and_in_no_other() {
        for (text, expected) in [
            ("begin", Some("BEGIN")),
            ("BEGIN;", Some("BEGIN")),
            (" /* x */ Begin Work ; ", Some("BEGIN")),
            (
                "begin transaction isolation level serializable, read only deferrable",
                Some("BEGIN"),
            ),
            ("begin read write, not deferrable", Some("BEGIN")),
            (
                "start transaction isolation level read committed",
                Some("START TRANSACTION"),
            ),
            ("set transaction read only", Some("SET")),
            ("commit", Some("COMMIT")),
            ("end transaction", Some("COMMIT")),
            ("commit and no chain", Some("COMMIT")),
            ("rollback work;", Some("ROLLBACK")),
            ("abort", Some("ROLLBACK")),
            ("begin isolation level chaos", None),
            ("begin,", None),
            ("begin read only,", None),
            ("begin , read only", None),
            ("begin; select 1", None),
            ("begin foo", None),
            ("start", None),
            ("start transaction work", None),
            ("set transaction", None),
            ("set transaction snapshot 'x'", None),
            ("set session characteristics as transaction read only", None),
            ("set local transaction read only", None),
            ("commit and chain", None),
            ("commit prepared 'x'", None),
            ("rollback to a", None),
            ("\"begin\"", None),
            ("", None),
        ] {
            let found = bracket(text.as_bytes()).map(Bracket::tag);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_a_transaction_is_to_be_is_read_from_its_words() {
        let mode = |text: &str| match bracket(text.as_bytes()) {
            Some(Bracket::Begin(mode) | Bracket::Start(mode) | Bracket::Set(mode)) => Some(mode),
            Some(Bracket::Commit | Bracket::Rollback) | None => None,
        };
        assert_eq!(mode("begin"), Some(NOTHING));
        assert_eq!(mode("begin read only"), Some(read_only(true)));
        let strict = isolated(Isolation::Serializable).over(deferrable(true));
        assert_eq!(
            mode("start transaction isolation level serializable, deferrable"),
            Some(strict)
        );
        assert_eq!(
            mode("set transaction read only isolation level repeatable read read write"),
            Some(isolated(Isolation::RepeatableRead).over(read_only(false)))
        );
    }
}
