//! Is a parenthesis one behind the name of a function that is not the server's own?
//!
//! Asked of every parenthesis of every text, so the answer is a quick "may be": words that are no
//! function's wherever they stand are known, and so are the server's own functions; what is left
//! is looked at closely, once for each fingerprint.

use super::builtin::builtin;

/// Whether what lies before the parenthesis at `open` may be such a name; the token before it ends
/// at `behind`.
#[inline]
pub(super) fn may_call(text: &[u8], behind: usize, open: usize) -> bool {
    let between = text.get(behind..open).unwrap_or_default();
    if !between.trim_ascii().is_empty() {
        // A comment.
        return true;
    }
    let before = text.get(..open).unwrap_or_default().trim_ascii_end();
    match before.last() {
        Some(b'"') => true,
        Some(byte) if is_part(*byte) => {
            let from = before.iter().rposition(|byte| !is_part(*byte));
            let word = before.get(from.map_or(0, |at| at + 1)..);
            is_users(word.unwrap_or_default())
        }
        _ => false,
    }
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

/// Whether a word before a parenthesis may be a user's function.
#[inline]
pub(super) fn is_users(word: &[u8]) -> bool {
    let mut lower = [0; LONGEST];
    let Some(lower) = lower.get_mut(..word.len()) else {
        return true;
    };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    !(is_common(lower)
        || lower
            .first()
            .is_none_or(|first| matches!(first, b'0'..=b'9' | b'$'))
        || builtin(lower).is_some())
}

/// Of the server's names none is longer.
const LONGEST: usize = 63;

/// Words that the grammar keeps for itself, of which some are functions that it has a form of its
/// own for; and the functions that are called most.
fn is_common(word: &[u8]) -> bool {
    matches!(
        word,
        b"all"
            | b"and"
            | b"any"
            | b"array"
            | b"as"
            | b"avg"
            | b"bit"
            | b"case"
            | b"cast"
            | b"char"
            | b"character"
            | b"coalesce"
            | b"count"
            | b"decimal"
            | b"distinct"
            | b"else"
            | b"except"
            | b"exists"
            | b"extract"
            | b"float"
            | b"from"
            | b"greatest"
            | b"grouping"
            | b"having"
            | b"in"
            | b"intersect"
            | b"lateral"
            | b"least"
            | b"limit"
            | b"lower"
            | b"max"
            | b"min"
            | b"not"
            | b"now"
            | b"nullif"
            | b"numeric"
            | b"offset"
            | b"on"
            | b"or"
            | b"overlay"
            | b"position"
            | b"references"
            | b"returning"
            | b"row"
            | b"select"
            | b"some"
            | b"substring"
            | b"sum"
            | b"then"
            | b"time"
            | b"timestamp"
            | b"trim"
            | b"union"
            | b"upper"
            | b"using"
            | b"values"
            | b"varchar"
            | b"when"
            | b"where"
            | b"with"
    )
}

#[cfg(test)]
mod tests {
    fn calls(text: &str) -> bool {
        let touches = crate::sql::read(text.as_bytes()).touches;
        touches.any(crate::sql::Touches::FUNCTION)
    }

    #[test]
    fn a_users_function_is_never_overlooked() {
        for text in [
            "select f(1)",
            "select app.F (1)",
            "select \"lower\"(1)",
            "select f/* why */(1)",
            "select f -- in\n(1)",
            "select f (1)",
            "select grüße(1)",
            "select lower(f(1))",
        ] {
            assert!(calls(text), "{text}");
        }
    }

    #[test]
    fn what_the_server_has_itself_is_none() {
        for text in [
            "select count(*), now(), pg_catalog.lower ('x') from t where a in (1, 2)",
            "insert into t values (1, (2))",
            "select $1 (2)",
            "insert into t (a) values (1)",
            "select 1 where (a = 1) and (b = 2) or not (c)",
            "select jsonb_build_object('a', to_char(now(), 'x'))",
        ] {
            assert!(!calls(text), "{text}");
        }
    }
}
