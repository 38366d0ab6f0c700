//! Each lexical trap is a promise. The texts were put to a server too.

#![expect(clippy::indexing_slicing, reason = "a wrong span is a failed test")]

use super::Scanner;
use super::Strings;
use super::TokenKind;
use super::TokenKind as T;
use proptest::prelude::*;

/// The tokens of a text without spaces and comments.
fn tokens(text: &str) -> Vec<(TokenKind, &str)> {
    tokens_with(text, Strings::Standard)
}

fn tokens_with(text: &str, strings: Strings) -> Vec<(TokenKind, &str)> {
    let mut scan = Scanner::new(text.as_bytes(), strings);
    let next = std::iter::from_fn(|| scan.significant());
    next.map(|token| (token.kind, &text[token.span.start..token.span.end]))
        .collect()
}

/// That the text is one token of this kind.
fn is_one(kind: TokenKind, text: &str) {
    assert_eq!(tokens(text), [(kind, text)]);
}

/// That the text has these tokens, whatever their kinds.
fn cuts(text: &str, parts: &[&str]) {
    let found: Vec<_> = tokens(text).into_iter().map(|(_, part)| part).collect();
    assert_eq!(found, parts, "{text}");
}

#[test]
fn space_is_what_the_server_takes_for_it() {
    is_one(T::Word, "a");
    assert_eq!(tokens(" \t\n\r\x0b\x0c"), []);
    cuts("a\u{a0}b", &["a\u{a0}b"]);
}

#[test]
fn a_line_comment_ends_at_either_line_end() {
    cuts("a--b\nc--d\re--", &["a", "c", "e"]);
}

#[test]
fn block_comments_nest() {
    cuts("a/* /* ' */ \" */b/**/c/*/*/ */ */d", &["a", "b", "c", "d"]);
    cuts("/*/ a */b/***/c/**//d", &["b", "c", "/", "d"]);
}

#[test]
fn a_quote_is_doubled_in_a_string() {
    is_one(T::String, "'a''b;--/*'");
    is_one(T::String, "''''");
    cuts("'a' 'b'", &["'a'", "'b'"]);
}

#[test]
fn a_backslash_escapes_only_where_it_should() {
    cuts(r"'\'a", &[r"'\'", "a"]);
    is_one(T::EscapeString, r"E'\'a'");
    is_one(T::EscapeString, r"e'\\'");
    is_one(T::EscapeString, r"e'a''\''");
    cuts(
        r"U&'\'a B'\'b X'\'c N'\'d",
        &[r"U&'\'", "a", r"B'\'", "b", r"X'\'", "c", r"N'\'", "d"],
    );
    assert_eq!(
        tokens_with(r"'\'a'", Strings::Backslash),
        [(T::String, r"'\'a'")]
    );
    assert_eq!(
        tokens_with(r"n'\'a'", Strings::Backslash),
        [(T::String, r"n'\'a'")]
    );
}

#[test]
fn the_other_strings_have_kinds_of_their_own() {
    is_one(T::BitString, "b'01'");
    is_one(T::BitString, "X'1f'");
    is_one(T::String, "n'a'");
    is_one(T::UnicodeString, "u&'a'");
    is_one(T::UnicodeName, "U&\"a\"\"b\"");
}

#[test]
fn no_quote_is_doubled_in_a_bit_string() {
    cuts("b'1''0'x'1f'''", &["b'1'", "'0'", "x'1f'", "''"]);
}

#[test]
fn a_prefix_is_a_letter_alone_right_before_its_quote() {
    cuts(
        "ae'b' e 'c' u& 'd' u &'e' u&f",
        &[
            "ae", "'b'", "e", "'c'", "u", "&", "'d'", "u", "&", "'e'", "u", "&", "f",
        ],
    );
    cuts("é'a'", &["é", "'a'"]);
}

#[test]
fn a_string_goes_on_after_a_line_end() {
    is_one(T::String, "'a'\n'b'");
    is_one(T::String, "'a' \t\r\n -- c 'x\n\n  'b'\n''");
    is_one(T::String, "'a' -- c\n'b'");
    is_one(T::EscapeString, "E'a'\n'\\''");
    is_one(T::BitString, "B'0'\n'1'");
    is_one(T::UnicodeString, "U&'a'\n'b'");
    is_one(T::String, "'a'\n'b''c'");
}

#[test]
fn a_string_does_not_go_on_without_one() {
    cuts("'a' -- c", &["'a'"]);
    cuts("'a' /*\n*/ 'b'", &["'a'", "'b'"]);
    cuts("'a'\n/**/'b'", &["'a'", "'b'"]);
    cuts("'a'\n- 'b'", &["'a'", "-", "'b'"]);
    cuts("'a'\nE'b'", &["'a'", "E'b'"]);
    cuts("$$a$$\n'b'", &["$$a$$", "'b'"]);
    cuts("\"a\"\n\"b\"", &["\"a\"", "\"b\""]);
}

#[test]
fn dollar_quotes_end_at_their_own_tag() {
    is_one(T::DollarString, "$$a'b\"--/*$$");
    is_one(T::DollarString, "$a$ $$ $b$ $ab$ $a $a$");
    is_one(T::DollarString, "$a$$$a$");
    is_one(T::DollarString, "$a$$b$a$");
    is_one(T::DollarString, "$é_1$x$é_1$");
    is_one(T::DollarString, "$A$ $a$ $A$");
    cuts("$$$$$$a$$", &["$$$$", "$$a$$"]);
}

#[test]
fn a_dollar_in_a_word_quotes_nothing() {
    is_one(T::Word, "a$b$c$$");
    cuts("a$$b$$", &["a$$b$$"]);
    cuts("1$a$b$a$", &["1", "$a$b$a$"]);
}

#[test]
fn a_dollar_before_digits_is_a_parameter() {
    is_one(T::Parameter, "$1");
    cuts("$1+$23::a", &["$1", "+", "$23", "::", "a"]);
    cuts("$1$a$b$a$", &["$1", "$a$b$a$"]);
    cuts("$a b$", &["$", "a", "b$"]);
}

#[test]
fn names_hold_letters_digits_dollars_and_any_byte_from_128_on() {
    is_one(T::Word, "_aZ09$é😀");
    is_one(T::QuotedName, "\"a \"\" ' -- /* ;\"");
    cuts("\"a\"b\"c\"", &["\"a\"", "b", "\"c\""]);
}

#[test]
fn numbers_are_cut_as_the_server_cuts_them() {
    for number in [
        "0",
        "12",
        "1.5",
        "1.",
        ".5",
        "1e5",
        "1.e5",
        ".5E-3",
        "1e+07",
        "1_000",
        "1_000.000_1e1_0",
        "0x1F",
        "0X_ff",
        "0o17",
        "0b01",
        "0b_1",
    ] {
        is_one(T::Number, number);
    }
}

#[test]
fn what_only_looks_like_more_of_a_number_is_not() {
    cuts("1..2", &["1", "..", "2"]);
    cuts("1.5.5", &["1.5", ".5"]);
    cuts("1.a", &["1.", "a"]);
    cuts("1e", &["1", "e"]);
    cuts("1e+", &["1", "e", "+"]);
    cuts("1a 1_ 1__0", &["1", "a", "1", "_", "1", "__0"]);
    cuts(
        "0x 0xg 0b2 0o8",
        &["0", "x", "0", "xg", "0", "b2", "0", "o8"],
    );
    cuts("-1", &["-", "1"]);
    cuts("a.5", &["a", ".5"]);
    cuts("a.b", &["a", ".", "b"]);
}

#[test]
fn operators_are_the_longest_run() {
    for operator in [
        "+", "-", "<>", "!=", "=>", "<=", "->>", "@>", "||", "?&", "~~*", "*<", "`",
    ] {
        is_one(T::Operator, operator);
    }
}

#[test]
fn a_comment_may_begin_inside_a_run_of_operators() {
    cuts("a<--b\nc", &["a", "<", "c"]);
    cuts("a+/*b*/c*/**/d", &["a", "+", "c", "*", "d"]);
    cuts("a@--/*\nb", &["a", "@", "b"]);
    cuts("a@/*--*/b", &["a", "@", "b"]);
    cuts("+--\n-", &["+", "-"]);
}

#[test]
fn an_operator_ends_in_a_sign_only_if_no_sql_operator_could() {
    cuts("=-1", &["=", "-", "1"]);
    cuts("<>+-1", &["<>", "+", "-", "1"]);
    cuts("*+-+", &["*", "+", "-", "+"]);
    cuts("+-+*-", &["+-+*", "-"]);
    is_one(T::Operator, "?-");
    is_one(T::Operator, "@+-");
    is_one(T::Operator, "-%-");
    cuts("+-+-a", &["+", "-", "+", "-", "a"]);
}

#[test]
fn single_characters_stand_alone() {
    assert_eq!(
        tokens("([a,b]);"),
        [
            (T::Open, "("),
            (T::Symbol, "["),
            (T::Word, "a"),
            (T::Comma, ","),
            (T::Word, "b"),
            (T::Symbol, "]"),
            (T::Close, ")"),
            (T::Semicolon, ";")
        ]
    );
    cuts(
        "a::b:=c:d::::e",
        &["a", "::", "b", ":=", "c", ":", "d", "::", "::", "e"],
    );
    is_one(T::Other, "\\");
    is_one(T::Other, "\0");
}

#[test]
fn what_does_not_end_reaches_to_the_end() {
    for text in [
        "'a", "'a''", "'a'\n'", r"E'\'", r"E'\", "\"a", "\"a\"\"", "/* /* */", "$a$ $b$", "$$ $",
        "U&'", "U&\"", "X'",
    ] {
        is_one(T::Unterminated, text);
    }
}

proptest! {
    #[test]
    fn tokens_tile_any_bytes(text in prop_oneof![any::<Vec<u8>>(), "[-+*/'\"$a1_.\\\\eEuU&xXbB;:\n =@]{0,60}".prop_map(String::into_bytes)]) {
        for strings in [Strings::Standard, Strings::Backslash] {
            let mut behind = 0;
            for token in Scanner::new(&text, strings) {
                prop_assert_eq!(token.span.start, behind);
                prop_assert!(token.span.end > behind);
                behind = token.span.end;
            }
            prop_assert_eq!(behind, text.len());
        }
    }

    #[test]
    fn a_text_cut_anywhere_is_cut_into_tokens_all_the_same(text in "[-+*/'\"$a1_.\\\\eEuU&xXbB;:\n =@]{0,60}") {
        for cut in 0..=text.len() {
            let part = &text.as_bytes()[..cut];
            let ends = Scanner::new(part, Strings::Standard).last().map_or(0, |last| last.span.end);
            prop_assert_eq!(ends, cut);
        }
    }
}
