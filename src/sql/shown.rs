//! A text as operators may see it: without its values and comments.

use super::scan::{Scanner, Strings, TokenKind};

/// The text on one line with `?` for every value, at most about `limit` bytes long: what is left
/// out at its end, and further values of a list, show as `…`.
pub fn without_values(text: &[u8], limit: usize) -> String {
    const LIST: &str = "?, …";
    let mut shown = String::new();
    for token in Scanner::new(text, Strings::Standard) {
        if shown.len() > limit {
            break;
        }
        if token.kind == TokenKind::Unterminated {
            shown.push('…');
            break;
        }
        if matches!(token.kind, TokenKind::Space | TokenKind::Comment) {
            if !shown.is_empty() && !shown.ends_with(' ') {
                shown.push(' ');
            }
        } else if token.kind.is_value() && token.kind != TokenKind::Parameter {
            let before = shown.trim_end().strip_suffix(',').map(str::trim_end);
            match before {
                Some(list) if list.ends_with(LIST) => shown.truncate(list.len()),
                Some(list) if list.ends_with('?') => {
                    shown.truncate(list.len() - 1);
                    shown.push_str(LIST);
                }
                Some(_) | None => shown.push('?'),
            }
        } else {
            shown.push_str(&String::from_utf8_lossy(token.span.of(text)));
        }
    }
    shown.truncate(shown.trim_end().len());
    if shown.len() > limit {
        let mut whole = (0..=limit).rev();
        let cut = whole.find(|at| shown.is_char_boundary(*at));
        shown.truncate(cut.unwrap_or_default());
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_and_no_comment_is_shown() {
        for (text, shown) in [
            ("select 1", "select ?"),
            (
                "SELECT *\n  FROM t -- secret\n WHERE a = 'x' AND b=$1",
                "SELECT * FROM t WHERE a = ? AND b=$1",
            ),
            ("select E'\\'a', $$b$$, X'0a'", "select ?, …"),
            ("select a in (1,2 , 3) from t", "select a in (?, …) from t"),
            ("values (1, 'a'), (2, 'b')", "values (?, …), (?, …)"),
            ("select 'secret", "select …"),
            ("/* x */ select \"a b\".c ;", "select \"a b\".c ;"),
            ("", ""),
        ] {
            assert_eq!(without_values(text.as_bytes(), 100), shown, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let text = "select ".to_owned() + &"é".repeat(100);
        let shown = without_values(text.as_bytes(), 10);
        assert_eq!(shown, "select é…");
        let list = "select 1".to_owned() + &", 1".repeat(1000);
        assert_eq!(without_values(list.as_bytes(), 20), "select ?, …");
    }
}
