//! sqlparser cuts a text as we do, where both know how.
//!
//! Left out, because the server and sqlparser differ: strings that go on after a line end,
//! U&"…" and UESCAPE, a comment or a sign right behind an operator (sqlparser takes it for more
//! of the operator), a carriage return as a line's end, and words that touch a number.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::Token as Peer;
use sqlparser::tokenizer::Tokenizer;

use super::Scanner;
use super::Strings;

/// Lines and columns where tokens begin, from 1.
type Starts = Vec<(u64, u64)>;

fn ours(text: &str) -> Starts {
    let mut scan = Scanner::new(text.as_bytes(), Strings::Standard);
    let next = std::iter::from_fn(|| scan.significant());
    let start = |at: usize| {
        let before = &text[..at];
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        let lines = before.matches('\n').count() as u64;
        (lines + 1, before[line..].chars().count() as u64 + 1)
    };
    next.map(|token| start(token.span.start)).collect()
}

fn theirs(text: &str) -> Option<Starts> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location();
    let tokens = tokens.ok()?.into_iter();
    let tokens = tokens.filter(|token| !matches!(token.token, Peer::Whitespace(_)));
    Some(
        tokens
            .map(|token| (token.span.start.line, token.span.start.column))
            .collect(),
    )
}

const TOKENS: &[&str] = &[
    "select",
    "a_b$1",
    "été",
    "\"a\"",
    "\"a \"\" '\"",
    "'a'",
    "''",
    "'a''b;--/*'",
    "E'\\''",
    "e'\\\\n'",
    "U&'x'",
    "N'x'",
    "b'01'",
    "X'1f'",
    "$$a'$$",
    "$a$ $$ $a$",
    "1",
    "1.5",
    ".5",
    "1e5",
    "1.5E-3",
    "(",
    ")",
    "[",
    "]",
    ",",
    ";",
    ".",
    "::",
    ":=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "<",
    "<=",
    "<>",
    "!=",
    "=",
    "=>",
    "||",
    "->",
    "->>",
    "#>",
    "#>>",
    "@>",
    "<@",
    "~",
    "~*",
    "!~",
    "!~*",
    "~~",
    "&&",
    "&",
    "|",
    "#",
    "^",
    "?",
    "?|",
    "?&",
    "<<",
    ">>",
];

const BLANKS: &[&str] = &[
    " ",
    "\n",
    "\t",
    " --'x\n",
    " /*'*/",
    " /* /*;*/ \n */",
    "  ",
];

#[test]
fn sqlparser_cuts_everyday_statements_where_we_do() {
    for text in [
        "SELECT o.id,count(*)FROM \"orders\"o WHERE o.a->>'b'='c'AND o.id IN(1,2)--x\nLIMIT 20;",
        "insert into t(a,b)values($1,'x'::text),(1.5,E'\\n')on conflict do nothing;commit",
        "update t set a[1:2]='{}',b=(c).d||$$e$$ where f@>'{\"g\":1}'and h!~~*'i%'",
    ] {
        assert_eq!(Some(ours(text)), theirs(text), "{text}");
    }
}

proptest! {
    #[test]
    fn sqlparser_cuts_where_we_do(parts in vec((select(TOKENS), select(BLANKS)), 0..20)) {
        let text: String = parts.iter().map(|(part, blank)| {
            let goes_on = part.ends_with('\'') && blank.contains('\n');
            format!("{part}{}", if goes_on { " " } else { blank })
        }).collect();
        prop_assert_eq!(Some(ours(&text)), theirs(&text), "{}", text);
    }

    #[test]
    fn sqlparser_refuses_what_does_not_end(open in select(&["'", "\"", "E'\\'", "/*", "/* /* */", "$$", "$a$ $$", "X'", "U&'"][..])) {
        prop_assert_eq!(theirs(open), None);
        let last = Scanner::new(open.as_bytes(), Strings::Standard).last();
        prop_assert_eq!(last.map(|token| token.kind), Some(super::TokenKind::Unterminated));
    }
}
