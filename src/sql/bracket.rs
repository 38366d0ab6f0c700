//! What opens and closes a transaction and does nothing else.

use super::scan::{Scanner, Strings, Token, TokenKind};

/// A text that is one such command, in a form that every server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bracket {
    /// BEGIN, with modes that hold for the transaction alone.
    Begin,
    /// START TRANSACTION, likewise.
    Start,
    /// COMMIT or END.
    Commit,
    /// ROLLBACK or ABORT.
    Rollback,
}

impl Bracket {
    /// The tag that the server answers it with, in a transaction that has not failed.
    pub fn tag(self) -> &'static str {
        match self {
            Bracket::Begin => "BEGIN",
            Bracket::Start => "START TRANSACTION",
            Bracket::Commit => "COMMIT",
            Bracket::Rollback => "ROLLBACK",
        }
    }
}

/// Words that a command may go on with; none of these phrases is the beginning of another.
const MODES: &[&[&str]] = &[
    &["isolation", "level", "serializable"],
    &["isolation", "level", "repeatable", "read"],
    &["isolation", "level", "read", "committed"],
    &["isolation", "level", "read", "uncommitted"],
    &["read", "only"],
    &["read", "write"],
    &["deferrable"],
    &["not", "deferrable"],
];

/// Which bracket this text is, and nothing but that.
pub fn bracket(text: &[u8]) -> Option<Bracket> {
    let mut words = Words(Scanner::new(text, Strings::Standard));
    let bracket = match () {
        () if words.take(&["begin"]) => Bracket::Begin,
        () if words.take(&["start", "transaction"]) => Bracket::Start,
        () if words.take(&["commit"]) || words.take(&["end"]) => Bracket::Commit,
        () if words.take(&["rollback"]) || words.take(&["abort"]) => Bracket::Rollback,
        () => return None,
    };
    if bracket != Bracket::Start {
        let _ = words.take(&["work"]) || words.take(&["transaction"]);
    }
    match bracket {
        Bracket::Begin | Bracket::Start => words.modes(),
        Bracket::Commit | Bracket::Rollback => {
            words.take(&["and", "no", "chain"]);
        }
    }
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

    /// Passes modes, with commas or without.
    fn modes(&mut self) {
        while MODES.iter().any(|mode| self.take(mode)) {
            let mut behind = self.0.clone();
            let comma = behind.significant();
            if comma.is_some_and(|token| token.kind == TokenKind::Comma)
                && MODES.iter().any(|mode| Words(behind.clone()).take(mode))
            {
                self.0 = behind;
            }
        }
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
            ("begin", Some(Bracket::Begin)),
            ("BEGIN;", Some(Bracket::Begin)),
            (" /* x */ Begin Work ; ", Some(Bracket::Begin)),
            (
                "begin transaction isolation level serializable, read only deferrable",
                Some(Bracket::Begin),
            ),
            ("begin read write, not deferrable", Some(Bracket::Begin)),
            (
                "start transaction isolation level read committed",
                Some(Bracket::Start),
            ),
            ("commit", Some(Bracket::Commit)),
            ("end transaction", Some(Bracket::Commit)),
            ("commit and no chain", Some(Bracket::Commit)),
            ("rollback work;", Some(Bracket::Rollback)),
            ("abort", Some(Bracket::Rollback)),
            ("begin isolation level chaos", None),
            ("begin,", None),
            ("begin read only,", None),
            ("begin , read only", None),
            ("begin; select 1", None),
            ("begin foo", None),
            ("start", None),
            ("start transaction work", None),
            ("commit and chain", None),
            ("commit prepared 'x'", None),
            ("rollback to a", None),
            ("\"begin\"", None),
            ("", None),
        ] {
            assert_eq!(bracket(text.as_bytes()), expected, "{text}");
        }
    }
}
