//! Client encodings whose characters may contain ASCII bytes.

/// Encodings the server takes from clients only, for this very reason
/// (PostgreSQL documentation, "Character Set Support"), by their letters and digits.
const HIDING: &[&[u8]] = &[
    b"sjis",
    b"mskanji",
    b"shiftjis",
    b"win932",
    b"windows932",
    b"big5",
    b"win950",
    b"windows950",
    b"gbk",
    b"win936",
    b"windows936",
    b"uhc",
    b"win949",
    b"windows949",
    b"johab",
    b"gb18030",
    b"shiftjis2004",
];

/// Whether texts in this `client_encoding` may be misread byte by byte.
/// As in the server, only letters and digits of the name count, in any case.
pub fn may_hide_ascii(client_encoding: &str) -> bool {
    let hides = |name: &&[u8]| {
        let letters = client_encoding
            .bytes()
            .filter(u8::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase());
        letters.eq(name.iter().copied())
    };
    HIDING.iter().any(hides)
}

#[cfg(test)]
mod tests {
    use super::may_hide_ascii;

    #[test]
    fn encodings_with_ascii_inside_a_character_are_named_in_any_spelling() {
        for name in [
            "SJIS",
            "Shift_JIS",
            "big5",
            "GB18030",
            "SHIFT_JIS_2004",
            "windows-949",
        ] {
            assert!(may_hide_ascii(name), "{name}");
        }
        for name in [
            "UTF8",
            "utf-8",
            "LATIN1",
            "EUC_JP",
            "SQL_ASCII",
            "WIN1252",
            "",
        ] {
            assert!(!may_hide_ascii(name), "{name}");
        }
    }
}
