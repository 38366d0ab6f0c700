//! What an application asks of us in comments: `/* ambassador: replica, shard=3 */`.

use super::scan::Scanner;
use super::scan::Span;
use super::scan::Strings;
use super::scan::TokenKind;

/// Which server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `primary`
    Primary,
    /// `replica`
    Replica,
}

/// What the hints of a text say; of two that differ the later one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hint {
    /// `primary` or `replica`
    pub wanted: Option<Wanted>,
    /// `shard=3`
    pub shard: Option<u32>,
    /// `shard_key='a b'`, without its quotes.
    pub shard_key: Option<Box<str>>,
    /// What is none of these, as it is written; the first few.
    pub unknown: Vec<Box<str>>,
}

/// Words that are not known are for a log, which needs no more of them,
const UNKNOWN: usize = 8;
/// nor more letters of one.
const SHOWN: usize = 64;

impl Hint {
    /// Reads the hints of this part of a text: [`Print::hint`](super::Print::hint).
    pub fn read(text: &[u8], part: Span) -> Hint {
        let mut hint = Hint::default();
        let part = part.of(text);
        for token in Scanner::new(part, Strings::Standard) {
            if token.kind == TokenKind::Comment
                && let Some(asked) = asked(token.span.of(part))
            {
                hint.heed(&String::from_utf8_lossy(asked));
            }
        }
        hint
    }

    fn heed(&mut self, asked: &str) {
        for item in Items(asked) {
            if self.understand(item).is_none() && self.unknown.len() < UNKNOWN {
                self.unknown.push(item.chars().take(SHOWN).collect());
            }
        }
    }

    fn understand(&mut self, item: &str) -> Option<()> {
        match item.split_once('=') {
            None if item.eq_ignore_ascii_case("primary") => self.wanted = Some(Wanted::Primary),
            None if item.eq_ignore_ascii_case("replica") => self.wanted = Some(Wanted::Replica),
            Some((key, value)) if key.trim_end().eq_ignore_ascii_case("shard") => {
                self.shard = Some(unquoted(value)?.parse().ok()?);
            }
            Some((key, value)) if key.trim_end().eq_ignore_ascii_case("shard_key") => {
                self.shard_key = Some(unquoted(value)?.into());
            }
            _ => return None,
        }
        Some(())
    }
}

/// Whether a comment is a hint.
#[inline]
pub(super) fn is_hint(comment: &[u8]) -> bool {
    asked(comment).is_some()
}

/// What stands behind `ambassador:` in a comment.
fn asked(comment: &[u8]) -> Option<&[u8]> {
    let inside = match comment {
        [b'-', b'-', inside @ ..] | [b'/', b'*', inside @ .., b'*', b'/'] => inside,
        _ => return None,
    };
    const MARK: &[u8] = b"ambassador:";
    let (mark, asked) = inside.trim_ascii_start().split_at_checked(MARK.len())?;
    mark.eq_ignore_ascii_case(MARK).then_some(asked)
}

/// What stands between the commas that are not in quotes, empty ones left out.
struct Items<'a>(&'a str);

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        while !self.0.is_empty() {
            let mut is_quoted = false;
            let comma = self.0.find(|letter| {
                is_quoted ^= letter == '\'';
                letter == ',' && !is_quoted
            });
            let (item, rest) = match comma {
                Some(comma) => (self.0.get(..comma)?, self.0.get(comma + 1..)?),
                None => (self.0, ""),
            };
            self.0 = rest;
            if !item.trim().is_empty() {
                return Some(item.trim());
            }
        }
        None
    }
}

/// A value without its quotes; `None` if they do not match.
fn unquoted(value: &str) -> Option<String> {
    let value = value.trim();
    let Some(open) = value.strip_prefix('\'') else {
        return (!value.contains('\'')).then(|| value.to_owned());
    };
    let inside = open.strip_suffix('\'')?;
    let plain = inside.replace("''", "\0");
    (!plain.contains('\'')).then(|| plain.replace('\0', "'"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a missing hint is a failed test")]
mod tests {
    use super::super::fingerprint;
    use super::*;

    fn hint(text: &str) -> Option<Hint> {
        let print = fingerprint(text.as_bytes(), Strings::Standard, 0).unwrap();
        print.hint.map(|part| Hint::read(text.as_bytes(), part))
    }

    #[test]
    fn a_comment_asks_for_a_server_or_a_shard() {
        let wanted = |wanted| {
            Some(Hint {
                wanted: Some(wanted),
                ..Hint::default()
            })
        };
        assert_eq!(
            hint("/* ambassador: replica */ select 1"),
            wanted(Wanted::Replica)
        );
        assert_eq!(
            hint("select 1 --AMBASSADOR:Primary"),
            wanted(Wanted::Primary)
        );
        let sharded = hint("select /*ambassador: SHARD=3 , shard_key = 'a, ''b' */ 1").unwrap();
        assert_eq!(sharded.shard, Some(3));
        assert_eq!(sharded.shard_key.as_deref(), Some("a, 'b"));
        assert_eq!(sharded.unknown, []);
    }

    #[test]
    fn a_key_needs_no_quotes() {
        let hint = hint("--ambassador:shard_key=é 1\nselect 1").unwrap();
        assert_eq!(hint.shard_key.as_deref(), Some("é 1"));
    }

    #[test]
    fn what_is_not_known_is_told() {
        let hint =
            hint("/* ambassador: replicas, shard=x, primary, key=1, shard_key='a */ select 1");
        let hint = hint.unwrap();
        assert_eq!(hint.wanted, Some(Wanted::Primary));
        let unknown: Vec<&str> = hint.unknown.iter().map(|word| &**word).collect();
        assert_eq!(unknown, ["replicas", "shard=x", "key=1", "shard_key='a"]);
        let long = hint_of_many();
        assert_eq!(long.unknown.len(), UNKNOWN);
        assert!(
            long.unknown
                .iter()
                .all(|word| word.chars().count() <= SHOWN)
        );
    }

    fn hint_of_many() -> Hint {
        hint(&format!(
            "/* ambassador: {} */ select 1",
            "é".repeat(99) + &",x".repeat(99)
        ))
        .unwrap()
    }

    #[test]
    fn other_comments_ask_for_nothing() {
        for text in [
            "/* primary */ select 1",
            "/* use ambassador: primary */ select 1",
            "select '/* ambassador: primary */'",
            "select $$ -- ambassador: primary $$",
            "select 1",
            "/* ambassador primary */ select 1",
            "/* /* ambassador: primary */ */ select 1",
        ] {
            assert_eq!(hint(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_statement_carries_it() {
        let first = Some(Hint {
            wanted: Some(Wanted::Replica),
            ..Hint::default()
        });
        for text in [
            "select 1 /* ambassador: replica */; select 2",
            ";;/* ambassador: replica */ select 1; select 2 -- ambassador: primary",
            "select 1 /* ambassador: replica */; /* ambassador: primary */ select 2",
            "select 1; -- ambassador: replica",
            "/* ambassador: primary */ select 1 /* ambassador: replica */",
        ] {
            assert_eq!(hint(text), first, "{text}");
        }
        assert_eq!(hint("select 1; /* ambassador: primary */ select 2"), None);
    }
}
