//! A written name, and the one that the server makes of it.
//!
//! Letters beyond ASCII stay as they are: the server lowers them only where its encoding has one
//! byte a character, by a locale that the text does not tell.

use super::scan::Scanner;
use super::scan::Span;
use super::scan::Strings;
use super::scan::TokenKind;
use super::word::Word;

/// Names are cut to this many bytes (NAMEDATALEN - 1).
const LONGEST: usize = 63;

/// Where a name is written: quotes, dots and a UESCAPE clause included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// Where it lies in the text.
    pub span: Span,
}

impl Name {
    /// The name as the server knows it: unquoted or in lower case, and cut to 63 bytes;
    /// the parts of a dotted one joined by dots. `text` is the text it was read from.
    /// Allocates; not for the way of every request.
    pub fn fold(self, text: &[u8]) -> Vec<u8> {
        let written = self.span.of(text);
        let mut scan = Scanner::new(written, Strings::Standard);
        let mut name = Vec::new();
        while let Some(token) = scan.significant() {
            let bytes = token.span.of(written);
            if token.kind == TokenKind::Word {
                name.extend(cut(bytes.to_ascii_lowercase()));
            } else if token.kind == TokenKind::QuotedName {
                name.extend(cut(unquote(inside(bytes, 1))));
            } else if token.kind == TokenKind::UnicodeName {
                let escape = escape_after(scan.clone());
                if escape.is_some() {
                    scan.significant();
                    scan.significant();
                }
                let letters = unquote(inside(bytes, 3));
                name.extend(cut(unescape(&letters, escape.unwrap_or(b'\\'))));
            } else if token.kind == TokenKind::Dot {
                name.push(b'.');
            }
        }
        name
    }

    /// The name of a setting: as [`Name::fold`], in lower case even if quoted, for the server
    /// compares settings so.
    pub fn setting(self, text: &[u8]) -> Vec<u8> {
        self.fold(text).to_ascii_lowercase()
    }

    /// Whether this is the setting `name`, written without U&. Never allocates.
    pub(super) fn is_setting(self, text: &[u8], name: &[u8]) -> bool {
        let written = self.span.of(text);
        let written = match written {
            [b'"', inside @ .., b'"'] => inside,
            _ => written,
        };
        written.eq_ignore_ascii_case(name)
    }
}

/// The escape character of a UESCAPE clause, if one comes next.
fn escape_after(mut scan: Scanner<'_>) -> Option<u8> {
    let clause = scan.significant()?;
    if scan.word(clause) != Word::UESCAPE {
        return None;
    }
    match scan.significant()?.span.of(scan.text()) {
        [b'\'', escape, b'\''] => Some(*escape),
        _ => None,
    }
}

/// What stands between an opening of `open` bytes and the closing quote.
fn inside(bytes: &[u8], open: usize) -> &[u8] {
    let end = bytes.len().saturating_sub(1);
    bytes.get(open..end).unwrap_or_default()
}

/// With every `""` made one.
fn unquote(bytes: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(bytes.len());
    let mut doubled = false;
    for byte in bytes {
        doubled = *byte == b'"' && !doubled;
        if !doubled {
            name.push(*byte);
        }
    }
    name
}

/// With every `\0041` and `\+000041` made the character it means, in UTF-8. What the server
/// would refuse stays as it is.
fn unescape(mut bytes: &[u8], escape: u8) -> Vec<u8> {
    let mut name = Vec::with_capacity(bytes.len());
    let mut high = None;
    while let Some((first, rest)) = bytes.split_first() {
        if *first == escape && rest.first() == Some(&escape) {
            name.push(escape);
            bytes = rest.get(1..).unwrap_or_default();
            continue;
        }
        let Some((code, after)) = code_point(bytes, escape) else {
            name.push(*first);
            bytes = rest;
            continue;
        };
        let pair = high.take().map(|high: u32| (high << 10) + code);
        // (0xd800 << 10) + 0xdc00 is what a pair has too much, less the 0x10000 it lacks.
        let code = pair
            .and_then(|pair| pair.checked_sub(0x35f_dc00))
            .unwrap_or(code);
        if (0xd800..0xdc00).contains(&code) {
            high = Some(code);
        }
        if let Some(letter) = char::from_u32(code) {
            name.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        bytes = after;
    }
    name
}

/// The code point of the escape that `bytes` begin with, and what follows it.
fn code_point(bytes: &[u8], escape: u8) -> Option<(u32, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first != escape {
        return None;
    }
    let (digits, after) = match rest.split_first() {
        Some((b'+', rest)) => rest.split_at_checked(6)?,
        _ => rest.split_at_checked(4)?,
    };
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u32::from_str_radix(digits, 16).ok()?, after))
}

/// Cut to 63 bytes, never inside a character, whose length its first byte tells.
fn cut(mut name: Vec<u8>) -> Vec<u8> {
    if name.len() <= LONGEST {
        return name;
    }
    let mut end = 0;
    while let Some(first) = name.get(end) {
        let length = match *first {
            0xf0..=0xf7 => 4,
            0xe0..=0xef => 3,
            0xc0..=0xdf => 2,
            _ => 1,
        };
        if end + length > LONGEST {
            break;
        }
        end += length;
    }
    name.truncate(end);
    name
}

#[cfg(test)]
mod tests {
    use super::Name;
    use super::Span;

    fn fold(written: &str) -> String {
        let span = Span {
            start: 0,
            end: written.len(),
        };
        String::from_utf8(Name { span }.fold(written.as_bytes())).unwrap_or_default()
    }

    #[test]
    fn a_plain_name_is_lowered_in_ascii_alone() {
        assert_eq!(fold("DateStyle"), "datestyle");
        assert_eq!(fold("ÄRGER$1"), "Ärger$1");
    }

    #[test]
    fn a_quoted_name_keeps_its_case_and_halves_its_quotes() {
        assert_eq!(fold("\"we\"\"ird.Name\""), "we\"ird.Name");
        assert_eq!(fold("\"\"\"\"\"\""), "\"\"");
    }

    #[test]
    fn the_parts_of_a_dotted_name_fold_each_for_itself() {
        assert_eq!(fold("App /* c */ . \"Tenant\""), "app.Tenant");
    }

    #[test]
    fn a_long_name_is_cut_to_63_bytes_between_characters() {
        assert_eq!(fold(&"a".repeat(64)), "a".repeat(63));
        assert_eq!(fold(&"ä".repeat(40)), "ä".repeat(31));
        assert_eq!(fold(&format!("\"{}\"", "€".repeat(22))), "€".repeat(21));
        assert_eq!(
            fold(&format!("a{}", "😀".repeat(16))),
            format!("a{}", "😀".repeat(15))
        );
    }

    #[test]
    fn a_unicode_name_is_unescaped() {
        assert_eq!(fold(r#"U&"d\0061t\+000061""#), "data");
        assert_eq!(fold(r#"U&"d!0061t!+000061" UESCAPE '!'"#), "data");
        assert_eq!(fold(r#"U&"a\\b""#), r"a\b");
        assert_eq!(fold(r#"U&"\d83d\de00""#), "😀");
        assert_eq!(fold(r#"U&"App\002ex" . b"#), "App.x.b");
    }

    #[test]
    fn what_the_server_refuses_folds_to_something() {
        for odd in [
            r#"U&"\""#,
            r#"U&"\00"#,
            "U&\"\\d83d\"",
            "\"",
            "U&\"\\dc00\\dc00\"",
            "U&\"\\ffff\\+ffffff\"",
        ] {
            let _ = fold(odd);
        }
    }
}
