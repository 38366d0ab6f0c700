//! Settings of ours in a text: `SET ambassador.route = 'replica'`.

use super::scan::{Scanner, Strings, Token, TokenKind};

/// What the names of settings of ours begin with, in any case.
pub const PREFIX: &str = "ambassador.";
/// Answered here alone: no server has it.
const LAST_BACKEND: &str = "last_backend";

/// A setting of ours, and what a text does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// In lower case, without [`PREFIX`].
    pub name: Box<str>,
    pub deed: Deed,
}

/// What is done with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// `current_setting`, which may ask whether there is one.
    Reads,
    /// SHOW, RESET, SET to the default.
    Names,
    /// SET or `set_config`, to this; `None`: the text does not say to what.
    Sets(Option<Box<str>>),
}

/// Whether a text may name a setting of ours, at a glance.
#[inline]
pub fn may_name_own(text: &[u8]) -> bool {
    let word = PREFIX.trim_end_matches('.').as_bytes();
    memchr::memchr2_iter(b'a', b'A', text).any(|at| {
        let here = text.get(at..at + word.len());
        here.is_some_and(|here| here.eq_ignore_ascii_case(word))
    })
}

/// What a text does with settings of ours, in order: by SET, RESET and SHOW, and by `set_config`
/// and `current_setting` where the name is a literal.
pub fn own(text: &[u8]) -> Vec<Own> {
    let mut found = Vec::new();
    let mut walk = Walk::new(text);
    while walk.begin() {
        found.extend(walk.command());
        while let Some(token) = walk.next_of_statement() {
            found.extend(walk.call(token));
        }
    }
    found
}

/// Whether a text is `SHOW ambassador.last_backend` and nothing else.
pub fn shows_last_backend(text: &[u8]) -> bool {
    let mut walk = Walk::new(text);
    walk.begin()
        && walk.take("show")
        && walk.own_name().is_some_and(|name| *name == *LAST_BACKEND)
        && std::iter::from_fn(|| walk.scan.significant())
            .all(|token| token.kind == TokenKind::Semicolon)
}

struct Walk<'a> {
    scan: Scanner<'a>,
}

impl<'a> Walk<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            scan: Scanner::new(text, Strings::Standard),
        }
    }

    /// Goes to the first token of the next statement. False: there is none.
    fn begin(&mut self) -> bool {
        loop {
            match self.peek() {
                Some(token) if token.kind == TokenKind::Semicolon => {
                    self.scan.significant();
                }
                Some(_) => return true,
                None => return false,
            }
        }
    }

    fn peek(&self) -> Option<Token> {
        self.scan.clone().significant()
    }

    fn next_of_statement(&mut self) -> Option<Token> {
        self.scan
            .significant()
            .filter(|token| token.kind != TokenKind::Semicolon)
    }

    fn bytes(&self, token: Token) -> &'a [u8] {
        token.span.of(self.scan.text())
    }

    fn is_word(&self, token: Token, word: &str) -> bool {
        token.kind == TokenKind::Word && self.bytes(token).eq_ignore_ascii_case(word.as_bytes())
    }

    fn take(&mut self, word: &str) -> bool {
        let here = self.peek().is_some_and(|token| self.is_word(token, word));
        if here {
            self.scan.significant();
        }
        here
    }

    /// `ambassador.NAME`, its parts quoted or not.
    fn own_name(&mut self) -> Option<Box<str>> {
        let mut ahead = self.scan.clone();
        let parts = [
            ahead.significant()?,
            ahead.significant()?,
            ahead.significant()?,
        ];
        let [first, dot, last] = parts;
        let plain = |token: Token| {
            let bytes = token.span.of(ahead.text());
            let name = match token.kind == TokenKind::Word {
                true => Some(bytes),
                false => quoted(token, bytes),
            }?;
            Some(std::str::from_utf8(name).ok()?.to_ascii_lowercase())
        };
        let ours = dot.kind == TokenKind::Dot && plain(first)? == PREFIX.trim_end_matches('.');
        let name = plain(last).filter(|_| ours)?;
        self.scan = ahead;
        Some(name.into())
    }

    /// SET, RESET or SHOW of one of them, at the beginning of a statement.
    fn command(&mut self) -> Option<Own> {
        let deed = match () {
            () if self.take("show") || self.take("reset") => {
                let name = self.own_name()?;
                let deed = Deed::Names;
                return Some(Own { name, deed });
            }
            () if self.take("set") => {
                let _ = self.take("local") || self.take("session");
                Deed::Sets
            }
            () => return None,
        };
        let name = self.own_name()?;
        let _ = self.next_of_statement();
        let value = self.peek();
        let deed = match value {
            Some(value) if self.is_word(value, "default") => Deed::Names,
            value => deed(value.and_then(|value| self.value(value))),
        };
        Some(Own { name, deed })
    }

    /// `set_config('ambassador.NAME', …)` or `current_setting('ambassador.NAME' …`, from the
    /// function's name on.
    fn call(&mut self, function: Token) -> Option<Own> {
        let sets = self.is_word(function, "set_config");
        if !sets && !self.is_word(function, "current_setting") {
            return None;
        }
        let mut ahead = Walk {
            scan: self.scan.clone(),
        };
        let open = ahead.next_of_statement()?;
        let name = ahead.next_of_statement()?;
        if open.kind != TokenKind::Open {
            return None;
        }
        let name = ahead.value(name)?.to_ascii_lowercase();
        let name = name.strip_prefix(PREFIX)?.into();
        let comma = ahead.next_of_statement();
        let value = match comma {
            Some(comma) if comma.kind == TokenKind::Comma => ahead.next_of_statement(),
            Some(_) | None => None,
        };
        // An operator or a cast behind it may make anything of it.
        let alone = ahead
            .peek()
            .is_some_and(|next| next.kind == TokenKind::Comma);
        let value = value.filter(|_| alone).and_then(|value| ahead.value(value));
        let deed = match sets {
            true => Deed::Sets(value),
            false => Deed::Reads,
        };
        Some(Own { name, deed })
    }

    /// What a literal says, or a word in place of one; `None`: it says something that is not read.
    fn value(&self, token: Token) -> Option<Box<str>> {
        let bytes = self.bytes(token);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = if token.kind == TokenKind::Word {
            text(bytes).to_ascii_lowercase()
        } else if token.kind == TokenKind::Number {
            text(bytes)
        } else if token.kind == TokenKind::QuotedName {
            text(quoted(token, bytes)?)
        } else if token.kind == TokenKind::String && !bytes.contains(&b'\n') {
            let inside = bytes.strip_prefix(b"N").or(bytes.strip_prefix(b"n"));
            let inside = inside.unwrap_or(bytes).strip_prefix(b"'")?;
            text(inside.strip_suffix(b"'")?).replace("''", "'")
        } else {
            // What is continued on a later line has more quotes.
            return None;
        };
        Some(value.into())
    }
}

/// What stands between the quotes of a name.
fn quoted(token: Token, bytes: &[u8]) -> Option<&[u8]> {
    let inside = bytes.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    (token.kind == TokenKind::QuotedName).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(name: &str, value: Option<&str>) -> Own {
        Own {
            name: name.into(),
            deed: Deed::Sets(value.map(Into::into)),
        }
    }

    fn reads(name: &str) -> Own {
        Own {
            name: name.into(),
            deed: Deed::Reads,
        }
    }

    fn names(name: &str) -> Own {
        Own {
            name: name.into(),
            deed: Deed::Names,
        }
    }

    #[test]
    fn settings_of_ours_are_found_in_every_spelling() {
        for (text, expected) in [
            (
                "set ambassador.route = 'replica'",
                sets("route", Some("replica")),
            ),
            (
                "SET LOCAL Ambassador.\"ROUTE\" TO Primary;",
                sets("route", Some("primary")),
            ),
            (
                "set session ambassador . route to \"auto\"",
                sets("route", Some("auto")),
            ),
            ("set ambassador.shard = 3", sets("shard", Some("3"))),
            ("set ambassador.route = $1", sets("route", None)),
            ("set ambassador.route = E'a'", sets("route", None)),
            ("set ambassador.route to default", names("route")),
            ("reset ambassador.route", names("route")),
            ("show ambassador.shard_key", names("shard_key")),
            (
                "select 1; set local ambassador.route = 'it''s'",
                sets("route", Some("it's")),
            ),
            (
                "select pg_catalog.set_config('Ambassador.Route', 'replica', false)",
                sets("route", Some("replica")),
            ),
            (
                "select set_config('ambassador.route', $1, true)",
                sets("route", None),
            ),
            (
                "select set_config('ambassador.route', 'a' || 'b', true)",
                sets("route", None),
            ),
            (
                "select current_setting('ambassador.route', true)",
                reads("route"),
            ),
            ("select current_setting('ambassador.route')", reads("route")),
        ] {
            assert_eq!(own(text.as_bytes()), [expected], "{text}");
            assert!(may_name_own(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in [
            "select ambassador.route from ambassador",
            "select 'set ambassador.route = 1'",
            "set my.ambassador = 'route'",
            "set ambassador = 'x'",
            "show ambassadors.route",
            "select set_config('my.route', 'ambassador.route', false)",
            "select set_config",
            "set",
            "",
        ] {
            assert_eq!(own(text.as_bytes()), [], "{text}");
        }
        assert!(!may_name_own(b"set application_name = 'aAamba'"));
    }

    #[test]
    fn the_last_backend_is_asked_for_alone() {
        for text in [
            "show ambassador.last_backend",
            " SHOW /* x */ Ambassador.Last_Backend ; ",
        ] {
            assert!(shows_last_backend(text.as_bytes()), "{text}");
        }
        for text in [
            "show ambassador.last_backend; select 1",
            "show ambassador.last",
            "show last_backend",
            "reset ambassador.last_backend",
        ] {
            assert!(!shows_last_backend(text.as_bytes()), "{text}");
        }
    }
}
