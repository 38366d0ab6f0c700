//! Most texts are a single SELECT, INSERT, UPDATE or DELETE that touches nothing beyond its
//! answer. Here they are known for that at a fraction of what reading costs: without telling
//! names from strings or comments, no word in them could touch anything wherever it stood.

use super::call::is_users;
use super::kind::Kind;
use super::read::Reading;
use super::stake::Stake;
use super::touches::Touches;
use super::word::Word;

/// What a byte is at a glance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Between words.
    Other,
    /// Begins a word or goes on with it.
    Letter,
    /// Goes on with a word, or begins a number.
    Digit,
    /// Goes on with a word.
    Dollar,
    /// May end the name of a function.
    Quote,
    /// Ends a statement, or hides a name (U&"…"): look closer.
    Stop,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "evaluated while compiling"
)]
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xff => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'$' => Class::Dollar,
            b'"' => Class::Quote,
            b';' | b'&' => Class::Stop,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// Words that may touch something where a statement begins with one of [`HARMLESS`]; beside
/// them, all that begin with `pg_`.
const NOTED: [&[u8]; 9] = [
    b"current_setting",
    b"currval",
    b"lastval",
    b"nextval",
    b"set_config",
    b"setseed",
    b"setval",
    b"temp",
    b"temporary",
];

/// For each first letter, the lengths of the words of [`NOTED`], as bits.
#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const LENGTHS: [u32; 32] = {
    let mut lengths = [0; 32];
    let mut at = 0;
    while at < NOTED.len() {
        lengths[(NOTED[at][0] & 31) as usize] |= 1 << NOTED[at].len();
        at += 1;
    }
    lengths
};

/// In longer texts it is long strings that count, and reading passes over those faster.
const LONGEST: usize = 16 * 1024;

const HARMLESS: [&[u8]; 4] = [b"select", b"insert", b"update", b"delete"];

/// The reading of a text that is one plain statement; `None`: it has to be read.
#[inline]
pub(super) fn glance(text: &[u8]) -> Option<Reading> {
    if text.len() > LONGEST {
        return None;
    }
    let text = text.trim_ascii_start();
    let (first, rest) = text.split_at_checked(6)?;
    let known = HARMLESS.iter().any(|word| word.eq_ignore_ascii_case(first));
    if !known || rest.first().is_some_and(|&byte| goes_on(byte)) {
        return None;
    }
    let selects = matches!(first, [b's' | b'S', ..]);
    if !selects && may_be_called(rest) {
        return None;
    }
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        let start = at;
        at += 1;
        match class(byte) {
            Class::Other | Class::Dollar => {}
            Class::Quote if may_be_called(rest.get(at..)?) => return None,
            Class::Quote => {}
            Class::Letter => {
                while rest.get(at).is_some_and(|&byte| goes_on(byte)) {
                    at += 1;
                }
                let word = rest.get(start..at)?;
                if is_noted(byte, word) || selects && word.eq_ignore_ascii_case(b"into") {
                    return None;
                }
                if may_be_called(rest.get(at..)?)
                    && is_users(word)
                    && !is_target(rest.get(..start)?)
                {
                    return None;
                }
            }
            Class::Digit => {
                while rest
                    .get(at)
                    .is_some_and(|&byte| class(byte) == Class::Digit)
                {
                    at += 1;
                }
                // Before 15, a word may follow a number without a space.
                if rest.get(at).is_some_and(|&byte| goes_on(byte)) {
                    return None;
                }
            }
            Class::Stop if byte == b';' && is_blank(rest.get(at..)?) => break,
            Class::Stop => return None,
        }
    }
    Some(Reading {
        count: 1,
        first: Kind::Other,
        touches: Touches::NONE,
        stake: Stake {
            writes: !selects,
            ..Stake::NONE
        },
    })
}

/// Whether what comes behind this is a table that is inserted into, with its columns.
fn is_target(before: &[u8]) -> bool {
    let space = before.last().is_some_and(u8::is_ascii_whitespace);
    match before.trim_ascii_end() {
        [rest @ .., a, b, c, d] => {
            let into = [*a, *b, *c, *d].eq_ignore_ascii_case(b"into");
            space && into && rest.last().is_some_and(u8::is_ascii_whitespace)
        }
        _ => false,
    }
}

/// Whether what is behind a word may be the parenthesis of a call, spaces and comments between.
#[inline]
fn may_be_called(behind: &[u8]) -> bool {
    match behind {
        [b'(' | b'/', ..] | [b' ', b'(', ..] | [b'-', b'-', ..] => true,
        [byte, ..] if byte.is_ascii_whitespace() => {
            let behind = behind.trim_ascii_start();
            matches!(behind, [b'(' | b'/', ..] | [b'-', b'-', ..])
        }
        _ => false,
    }
}

#[inline]
fn class(byte: u8) -> Class {
    CLASSES
        .get(usize::from(byte))
        .copied()
        .unwrap_or(Class::Stop)
}

#[inline]
fn goes_on(byte: u8) -> bool {
    matches!(class(byte), Class::Letter | Class::Digit | Class::Dollar)
}

#[inline]
fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

#[inline]
fn is_noted(first: u8, word: &[u8]) -> bool {
    let lengths = LENGTHS.get(usize::from(first & 31)).copied().unwrap_or(0);
    let long = word.len().min(31);
    if lengths >> long & 1 == 1 {
        let found = Word::find(word);
        return found == Word::TEMP || found == Word::TEMPORARY || !found.touches().is_empty();
    }
    matches!(word, [b'p' | b'P', b'g' | b'G', b'_', ..])
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::super::reader::Reader;
    use super::super::scan::Strings;
    use super::super::word;
    use super::*;

    /// The slow way.
    fn touches(text: &[u8]) -> (u32, Kind, Touches, Stake) {
        let mut reader = Reader::new(text, Strings::Standard);
        let (mut count, mut first, mut touches) = (0, Kind::Empty, Touches::NONE);
        let mut stake = Stake::NONE;
        while reader.begin() {
            let kind = reader.statement();
            if count == 0 {
                first = kind;
            }
            touches |= reader.touches;
            stake = stake.then(kind, reader.stake);
            count += 1;
        }
        (count, first, touches, stake)
    }

    #[test]
    fn plain_statements_are_known_at_a_glance() {
        for text in [
            "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
            "\n update t set a = a + $1, b = 'it''s' where c in (1, 2.5) ; ",
            "INSERT INTO t VALUES (1, 'x') ON CONFLICT DO NOTHING",
            "delete from t",
        ] {
            assert!(glance(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn whatever_may_touch_something_is_read() {
        for text in [
            "SELECT set_config('a', 'b', false)",
            "SELECT \"pg_advisory_lock\"(1)",
            "SELECT 1 INTO TEMP x",
            "SELECT U&\"s\\0065tseed\"(1)",
            "SELECT 1; SET a = b",
            "SELECT ';'; SET a = b",
            "selects",
            "/* c */ SELECT 1",
            "BEGIN",
            "",
            "SELECT 1temp",
        ] {
            assert_eq!(glance(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_word_that_touches_something_is_noted() {
        for (spelling, touches) in word::all() {
            if !touches.is_empty() {
                let noted = is_noted(*spelling.first().unwrap_or(&0), spelling);
                assert!(noted, "{}", String::from_utf8_lossy(spelling));
            }
        }
    }

    proptest! {
        #[test]
        fn a_glance_never_says_other_than_a_reading(parts in vec(select(vec![
            "select", "update", "insert", "delete", " ", " ", ";", "'", "\"", "--", "\n", "/*",
            "*/", "$$", "$a$", "$1", "temp", "into", "set_config(", "pg_locks", "nextval", "set",
            "x", "1", "1e5", "E'\\'", "U&\"a\"", "with", "begin", "currval", ",", "(", ")", "é",
        ]), 0..12)) {
            let text = parts.concat();
            if let Some(known) = glance(text.as_bytes()) {
                let (count, first, found, stake) = touches(text.as_bytes());
                // What does not end is refused whole by the server.
                if !found.any(Touches::UNCLEAR) {
                    prop_assert_eq!((known.count, known.first, known.touches, known.stake), (count, first, found, stake));
                }
            }
        }
    }
}
