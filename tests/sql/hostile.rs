//! Texts that nobody means well by: they are answered, and the answer is no longer than the text.

use pg_ambassador::sql::{Class, Finding, Judgement, Obstacle, find, judge};
use proptest::prelude::*;

use crate::fixture;

const MEGABYTE: usize = 1 << 20;

/// Enough that whatever grows faster than the text would not end.
const MUCH: usize = 32 * 1024;

/// Of any text: the answer names no more than the text has, each name as long as the server lets
/// it be, and what is unknown is no read.
fn answered(text: &[u8]) -> (Finding, Judgement) {
    let finding = find(text);
    let judgement = judge(&finding, None);
    let named = [&finding.relations, &finding.functions, &finding.asides];
    let names = named.into_iter().flatten();
    let names = names.flat_map(|one| one.schema.iter().chain([&one.name]));
    let mut bytes = 0;
    for name in names.clone() {
        assert!(name.len() <= 63, "{}", name.len());
    }
    for name in names
        .chain(&finding.operators)
        .chain(&finding.words)
        .chain(&finding.fields)
    {
        bytes += name.len();
    }
    // Every name is written once at least; one that is escaped in U&"…" is no longer than that.
    assert!(bytes <= 2 * text.len() + 64, "{bytes} of {}", text.len());
    let effects: usize = finding
        .effects
        .iter()
        .map(|one| one.to_string().len())
        .sum();
    assert!(
        effects <= 2 * text.len() + 256,
        "{effects} of {}",
        text.len()
    );
    if finding.class == Class::Unknown {
        assert!(judgement.obstacle.is_some());
    }
    (finding, judgement)
}

#[track_caller]
fn is_unknown(what: &str, text: &[u8]) {
    let (finding, judgement) = answered(text);
    assert_eq!(finding.class, Class::Unknown, "{what}");
    assert_eq!(judgement.obstacle, Some(Obstacle::Unparsable), "{what}");
}

#[test]
fn as_much_as_is_looked_at_is_answered_whatever_it_is() {
    let lists = [
        "(",
        ")",
        "()",
        "(SELECT ",
        "[",
        "'",
        "''",
        "\"",
        "$",
        "$$",
        "$a$",
        "/*",
        "*/",
        "/**/",
        "--",
        "--\n",
        ";",
        ",",
        ".",
        "a",
        "a.",
        "a,",
        "1",
        "1_",
        "0x",
        "+",
        "<",
        "@",
        "::",
        "=>",
        "SELECT ",
        "SELECT;",
        "SELECT(",
        "FROM ",
        "FROM a,",
        "WITH ",
        "WITH a AS (",
        "UNION SELECT ",
        "U&\"",
        "U&''",
        "E'\\",
        "\\",
        "CASE ",
        "END ",
        "BEGIN;",
        "f(",
        "f(),",
        "JOIN a ",
        "a(b) ",
        "EXPLAIN ",
        "DECLARE c CURSOR FOR ",
        "COPY (",
        "SET a=1;",
        "BEGIN ATOMIC ",
        "é",
        "\u{1f600}",
        " ",
        "\n",
        "\t",
        "\u{b}",
        "x'",
        "b'",
        "n'",
        "%",
        "?",
        "{",
        "}",
        "#",
        "`",
        "~",
        "^",
    ];
    for list in lists {
        for before in ["", "SELECT ", "WITH a AS ("] {
            let text = before.to_owned() + &list.repeat(MUCH / list.len());
            answered(text.as_bytes());
        }
    }
}

#[test]
fn what_is_too_deep_or_too_long_to_be_meant_is_unknown() {
    let deep = MEGABYTE / 2;
    is_unknown(
        "parentheses",
        ["SELECT ", &"(".repeat(deep), "1", &")".repeat(deep)]
            .concat()
            .as_bytes(),
    );
    is_unknown("open parentheses", "(".repeat(MEGABYTE).as_bytes());
    let list: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let list = format!("SELECT * FROM orders WHERE id IN ({})", list.join(","));
    is_unknown("a list", list.as_bytes());
    // As long as what is looked at.
    for nested in ["EXPLAIN ", "EXPLAIN ANALYZE ", "EXPLAIN (COSTS off) "] {
        is_unknown(
            nested,
            nested.repeat(MEGABYTE / 5 / nested.len()).as_bytes(),
        );
    }
}

#[test]
fn names_are_cut_as_the_server_cuts_them_however_long() {
    let long = "n".repeat(64 * 1024);
    for text in [
        format!("SELECT {long}(1)"),
        format!("SELECT \"{long}\"(1)"),
        format!("SELECT * FROM {long}"),
        format!("SELECT * FROM {long}.{long}"),
        format!("SELECT 1 AS {long}"),
        format!("SELECT U&\"{long}\""),
        format!("PREPARE {long} AS SELECT 1"),
    ] {
        let (finding, _) = answered(text.as_bytes());
        for named in finding.relations.iter().chain(&finding.functions) {
            assert!(named.name.len() <= 63, "{}", &text[..40]);
        }
    }
}

/// Over these nobody has to know the rest: the server refuses the whole text.
const OPEN: &[&str] = &[
    "SELECT 'a",
    "SELECT E'a\\'",
    "SELECT \"a",
    "SELECT U&'a",
    "SELECT U&\"a",
    "SELECT $$a",
    "SELECT $tag$a$tag",
    "SELECT $a$ $$ $b$",
    "SELECT 1 /* a",
    "SELECT 1 /* a /* b */",
    "SELECT B'1",
    "SELECT X'1",
    "SELECT N'a",
    "'",
    "\"",
    "$$",
    "/*",
    "SELECT 'a' '",
    "SELECT 'a'\n'b",
    "SELECT 1; SELECT '",
    "DELETE FROM orders; SELECT \"",
    "COPY orders TO '",
    "SELECT $é$",
];

#[test]
fn what_does_not_end_is_unknown() {
    for text in OPEN {
        is_unknown(text, text.as_bytes());
    }
}

#[test]
fn what_is_no_text_is_unknown() {
    for wrong in [
        &b"\0"[..],
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xc0\x80",
        b"\x80",
    ] {
        for (before, after) in [
            ("SELECT ", " 1"),
            ("SELECT '", "'"),
            ("SELECT 1 /* ", " */"),
            ("SELECT \"", "\""),
            ("", ""),
        ] {
            is_unknown(
                before,
                &[before.as_bytes(), wrong, after.as_bytes()].concat(),
            );
        }
    }
}

#[test]
fn a_statement_cut_anywhere_is_answered() {
    for fixture in ["hostile", "functions"].into_iter().flat_map(fixture::of) {
        for end in 0..fixture.text.len() {
            answered(&fixture.text.as_bytes()[..end]);
        }
    }
}

/// Pieces that statements are made of, right and wrong.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "SELECT",
        "FROM",
        "WITH",
        "AS",
        "(",
        ")",
        ",",
        ";",
        "a",
        "\"a\"",
        "'a'",
        "$$",
        "$a$",
        "/*",
        "*/",
        "--",
        "\n",
        "U&",
        "UESCAPE",
        "E'",
        "\\",
        "'",
        "\"",
        "INTO",
        "FOR",
        "UPDATE",
        "JOIN",
        "BEGIN",
        "ATOMIC",
        "END",
        "CREATE",
        "FUNCTION",
        "f(",
        ".",
        "::",
        "1",
        "COPY",
        "TO",
        "EXPLAIN",
        "SET",
        "set_config(",
        "ORDER BY",
        "UNION",
        "VALUES",
        "TABLE",
        "DELETE",
        "RETURNING",
        "CASE",
        "ONLY",
    ]);
    prop_oneof![
        12 => words.prop_map(|word| format!("{word} ").into_bytes()),
        2 => any::<char>().prop_map(|letter| letter.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

proptest! {
    #[test]
    fn no_heap_of_pieces_is_too_much(pieces in prop::collection::vec(piece(), 0..60)) {
        answered(&pieces.concat());
    }
}
