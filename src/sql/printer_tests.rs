//! Whatever the text: the pass ends, and says the same of what means the same.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::Places;
use super::super::fingerprint;
use super::super::fingerprint_with;
use super::*;

fn print(text: &str) -> Print {
    fingerprint(text.as_bytes(), Strings::Standard, 7).unwrap()
}

/// Whole tokens,
const TOKENS: &[&str] = &[
    "select",
    "SELECT",
    "in",
    "IN",
    "(",
    ")",
    "(",
    ")",
    ",",
    ",",
    "values",
    "array",
    "[",
    "]",
    "1",
    "'a'",
    "$1",
    "-",
    "+",
    "a",
    "\"a\"",
    "\"b c\"",
    "null",
    "E'\\''",
    "U&'x'",
    "uescape",
    ";",
    ".",
    "::",
    "=",
    "a_name_that_is_long",
    "1.5",
    "in(1,2)",
    "in((1,2),(3))",
    "values(1),(2)",
    "u&\"a\"",
    "Select",
    "CURRENT_TIMESTAMP",
    "Current_Timestamps",
    "<>",
    "->",
    "@-",
    "/",
    "*",
    "'x''y'",
    "12345678901",
    "abcdefgh",
    "\"abcdefghi\"",
    ":=",
    "e",
    "u&",
    "n",
    "x.in(1,2)",
    "$$ $$",
];

/// and what begins more than it ends.
const PARTS: &[&str] = &[
    "--", "/*", "*/", "'", "\n", "$$", "\\", "\"", "e'", "u&'", "/",
];

proptest! {
    #[test]
    fn nothing_panics_or_changes_by_chance(text: Vec<u8>, seed: u64) {
        let one = fingerprint(&text, Strings::Standard, seed);
        prop_assert_eq!(one, fingerprint(&text, Strings::Standard, seed));
    }

    #[test]
    fn blank_between_tokens_changes_nothing(
        parts in vec((select(TOKENS), select(&[" ", "\t \x0b", "/**/ ", "/* /* ' */ */ ", " --x'\n", "\n"][..])), 0..30)
    ) {
        let plain: String = parts.iter().map(|(part, _)| format!("{part} ")).collect();
        // A line end would go on with a string.
        let blank: String = parts.iter().map(|(part, blank)| {
            let ends_line = blank.ends_with('\n') && part.ends_with('\'');
            format!("{part}{}", if ends_line { " " } else { blank })
        }).collect();
        let (one, other) = (print(&plain), print(&blank));
        prop_assert_eq!((one.fingerprint, one.check), (other.fingerprint, other.check), "{} | {}", plain, blank);
    }

    #[test]
    fn whole_tokens_are_sound(parts in vec(select(TOKENS), 0..30)) {
        prop_assert!(print(&parts.join(" ")).is_sound);
    }

    #[test]
    fn what_is_passed_quickly_is_as_if_it_were_not(
        parts in vec(prop_oneof![4 => select(TOKENS), 1 => select(PARTS), 2 => select(&[" ", "\n"][..])], 0..40)
    ) {
        let text = parts.concat();
        let (mut one, mut other) = (Places::new(1000), Places::new(1000));
        let quick = fingerprint_with(text.as_bytes(), Strings::Standard, 7, &mut one);
        let slow = Printer::new(text.as_bytes(), 7, &mut other).print_slowly();
        prop_assert_eq!((quick, one.found(), one.is_mixed()), (Some(slow), other.found(), other.is_mixed()), "{}", text);
    }

    #[test]
    fn places_come_in_order_and_lie_in_the_text(parts in vec(prop_oneof![select(TOKENS), select(PARTS)], 0..40)) {
        let text = parts.join(" ");
        let mut places = Places::new(1000);
        fingerprint_with(text.as_bytes(), Strings::Standard, 0, &mut places);
        let mut behind = 0;
        for (_, span) in places.found() {
            prop_assert!(span.start >= behind && span.end > span.start && span.end <= text.len());
            behind = span.end;
        }
    }
}

/// Each of them many times over.
const HOSTILE: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "in(",
    "in((",
    "array[",
    "values(",
    "values((1),",
    "(1),",
    "in(1,",
    ",",
    "+-",
    "- ",
    "'",
    "\"",
    "'a'\n",
    "'a'\n--",
    "/*",
    "*/",
    "--",
    "--\n",
    "$",
    "$a",
    "$a$b",
    "a",
    "A",
    "SELECT",
    "0x",
    "1_",
    "1e",
    ".",
    ";",
    "U&'' uescape ",
    "U&\"\" ",
    "E'\\",
    "/*ambassador:,*/",
    "\0",
    "\u{ff}",
    "in(null,",
    "in('a'::",
    "+-1",
    "@-",
    "-/**/",
];

#[test]
fn hostile_texts_come_to_an_end_whole_and_cut_off() {
    for part in HOSTILE {
        let text = part.repeat(20_000 / part.len());
        for cut in 0..part.len() + 2 {
            let text = &text.as_bytes()[..text.len() - cut];
            let mut places = Places::new(10);
            let print = fingerprint_with(text, Strings::Standard, 0, &mut places).unwrap();
            assert!(
                print.length <= 24 * text.len() + 24,
                "{part}: {}",
                print.length
            );
            assert!(places.found().len() <= 10, "{part}");
        }
    }
}

#[test]
fn a_list_of_any_length_has_a_short_form() {
    let ids = vec!["1234567"; 100_000].join(", ");
    let long = print(&format!("select * from t where id in ({ids})"));
    assert_eq!(long, print("select * from t where id in (1)"));
    let rows = vec!["(1, now(), 'a', NULL)"; 20_000].join(", ");
    let long = print(&format!("insert into t values {rows}"));
    assert_eq!(long, print("insert into t values (1, now(), 'b', 2)"));
}

#[test]
fn a_long_name_is_kept_to_its_last_byte() {
    let name = "n".repeat(64 * 1024);
    for quote in ["", "\""] {
        let one = print(&format!("select {quote}{name}a{quote}"));
        let other = print(&format!("select {quote}{name}b{quote}"));
        assert_ne!(one.fingerprint, other.fingerprint);
        assert_ne!(one.check, other.check);
        assert!(one.length > name.len());
    }
}
