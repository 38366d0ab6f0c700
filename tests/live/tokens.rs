//! Where we cut a text, the server cuts it too.
//! Never asks us what a text means: rewritten by where its tokens lie, it must mean the same.

use fastrand::Rng;
use pg_ambassador::sql::{
    Literals, Scanner, Span, Strings, TokenKind, fingerprint_with, statements,
};

use crate::{
    support,
    wire::{Frame, Wire},
};

const TEXTS: usize = 1500;

/// Makes texts, most of which the server accepts.
struct Maker {
    rng: Rng,
    /// Numbers may be written as from 16 on.
    is_16: bool,
}

impl Maker {
    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.rng.usize(..of.len())]
    }

    fn some_of(&mut self, most: usize, of: &[&str]) -> String {
        let count = self.rng.usize(..=most);
        (0..count).map(|_| self.one_of(of)).collect()
    }

    /// What may lie between two tokens, nothing too.
    fn blank(&mut self) -> String {
        let of = [
            " ",
            "\n",
            "\t",
            "--'x\n",
            "-- \"/*\r\n",
            "/*'*/",
            "/* /*;*/ --*/",
            "/**/",
            "\r",
            "\x0c",
        ];
        self.some_of(2, &of)
    }

    /// What may lie within a string that goes on behind it.
    fn line_end(&mut self) -> String {
        let (before, behind) = (
            self.some_of(2, &[" ", "\t", "\x0c"]),
            self.some_of(2, &[" ", "\n", "--'\n"]),
        );
        format!(
            "{before}{}{behind}",
            self.one_of(&["\n", "\r", "--x\n", "--'\r"])
        )
    }

    fn literal(&mut self) -> String {
        match self.rng.usize(..8) {
            0 | 1 => self.number(),
            2 => self.quoted(
                "",
                &[
                    "a", "''", "\\", "\"", "--", "/*", "*/", "$$", ";", "\n", "é", "$1",
                ],
            ),
            3 => self.quoted(
                "E",
                &[
                    "a", "''", "\\'", "\\\\", "\\n", "\\x41", "\\u0061", "\\101", "\"", "--", "\n",
                ],
            ),
            4 => self.unicode(),
            5 => self.quoted("N", &["a", "''", "\\", "é"]),
            6 if self.rng.bool() => self.quoted("B", &["0", "1"]),
            6 => self.quoted("X", &["0", "f", "A"]),
            _ => self.dollar(),
        }
    }

    fn quoted(&mut self, prefix: &str, of: &[&str]) -> String {
        let prefix = if self.rng.bool() {
            prefix.to_lowercase()
        } else {
            prefix.to_owned()
        };
        let mut string = format!("{prefix}'{}'", self.some_of(6, of));
        while self.rng.usize(..4) == 0 {
            string += &format!("{}'{}'", self.line_end(), self.some_of(4, of));
        }
        string
    }

    fn unicode(&mut self) -> String {
        if self.rng.bool() {
            return self.quoted("U&", &["a", "''", "\\0061", "\\+000062", "\\\\", "--"]);
        }
        let string = self.quoted("U&", &["a", "''", "!0061", "!!", "\\", ";"]);
        format!(
            "{string}{}{}{}'!'",
            self.blank(),
            self.one_of(&["uescape", "UESCAPE"]),
            self.blank()
        )
    }

    fn dollar(&mut self) -> String {
        let tag = self.one_of(&["$$", "$a$", "$_b1$", "$é$"]);
        let inside = self.some_of(
            5,
            &[
                "'", "a", "$1 ", "$c$", "\\", "--", "/*", "\n", ";", "$", "\"",
            ],
        );
        // Its own tag would end it, with what goes before or behind.
        let whole = format!("{inside}{tag}");
        if whole.find(tag) == Some(inside.len()) {
            format!("{tag}{whole}")
        } else {
            format!("{tag}{tag}")
        }
    }

    fn number(&mut self) -> String {
        let old = [
            "1",
            "0",
            "007",
            "1.5",
            ".5",
            "3.",
            "1e5",
            "1.e-3",
            ".5E+2",
            "12345678901234567890",
        ];
        let new = ["1_000", "0x1F", "0o17", "0b101", "1_0.0_1e1_0", "0X_ff"];
        let signs = [
            "", "", "", "-", "+", "- ", "-/*-*/", "-\n--+\n", "- -", "+-",
        ];
        let digits = if self.is_16 && self.rng.bool() {
            self.one_of(&new)
        } else {
            self.one_of(&old)
        };
        format!("{}{digits}", self.one_of(&signs))
    }

    fn item(&mut self) -> String {
        let (one, blank) = (self.literal(), self.blank());
        match self.rng.usize(..8) {
            0 => format!("({blank}{one})"),
            1 => format!("{one}{blank}::text"),
            2 => {
                let (before, operator) = (
                    self.number(),
                    self.one_of(&["+", "-", "*", "<", "=", "<>", ">=", "/", "||"]),
                );
                let (between, number) = (self.blank(), self.number());
                format!("{before}{blank}{operator}{between}{number}")
            }
            3 => format!(
                "{}{blank}in{}({},{blank}{})",
                self.number(),
                self.blank(),
                self.number(),
                self.number()
            ),
            4 => format!("array[{},{blank}{}]", self.number(), self.number()),
            5 => format!("{one}{blank}is null"),
            _ => one,
        }
    }

    fn select(&mut self) -> String {
        let mut text = format!("{}select {}", self.blank(), self.item());
        for _ in 0..self.rng.usize(..4) {
            text += &format!("{},{}{}", self.blank(), self.blank(), self.item());
        }
        text + &self.blank()
    }

    fn statements(&mut self) -> String {
        let mut text = self.some_of(2, &[";", " ", "/*;*/", "--;\n"]);
        for _ in 0..self.rng.usize(..5) {
            let others = [
                "create temp table if not exists t(\"a;b\" int)",
                "create function pg_temp.f() returns int begin atomic select 1; select 2; end",
                "create function pg_temp.g() returns int begin atomic; select case when true then 1 end; end",
                "create or replace function pg_temp.h() returns int language sql as $a$ select 1; select 2 $a$",
                "create table pg_temp.u(); create rule r as on insert to u do also (notify a; notify b)",
                "do $$ begin null; end $$",
                "select 1 as begin",
                "select 1 as \"atomic\"",
                "",
            ];
            text += &if self.rng.bool() {
                self.select()
            } else {
                self.one_of(&others).to_owned()
            };
            text += &format!(
                "{}{}",
                self.blank(),
                self.one_of(&[";", ";", "; ;", ";--;\n"])
            );
        }
        text
    }
}

/// Where the values of a text are.
#[derive(Default)]
struct Values(Vec<Span>);

impl Literals for Values {
    fn value(&mut self, _place: u32, span: Span) {
        self.0.push(span);
    }

    fn mixed(&mut self) {}
}

/// The text with each of its values in brackets.
fn bracketed(text: &str) -> String {
    let mut values = Values::default();
    fingerprint_with(text.as_bytes(), Strings::Standard, 0, &mut values).unwrap();
    let (mut out, mut behind) = (String::new(), 0);
    for Span { start, end } in values.0 {
        out += &format!("{}({})", &text[behind..start], &text[start..end]);
        behind = end;
    }
    out + &text[behind..]
}

/// The tokens of the text with one space between.
fn spaced(text: &str) -> String {
    let tokens = Scanner::new(text.as_bytes(), Strings::Standard);
    let tokens =
        tokens.filter(|token| !matches!(token.kind, TokenKind::Space | TokenKind::Comment));
    let parts: Vec<&str> = tokens
        .map(|token| &text[token.span.start..token.span.end])
        .collect();
    parts.join(" ")
}

/// The rows that came, or the error's code.
fn rows(frames: &[Frame]) -> Result<Vec<Vec<u8>>, String> {
    if let Some(error) = frames.iter().find(|frame| frame.tag == b'E') {
        return Err(error.code());
    }
    let rows = frames.iter().filter(|frame| frame.tag == b'D');
    Ok(rows.map(|row| row.body.clone()).collect())
}

fn agree(wire: &mut Wire, is_16: bool) {
    let mut maker = Maker {
        rng: Rng::with_seed(5),
        is_16,
    };
    let mut accepted = 0;
    for _ in 0..TEXTS {
        let text = maker.select();
        let Ok(answer) = rows(&wire.query(&text)) else {
            continue;
        };
        accepted += 1;
        for rewritten in [bracketed(&text), spaced(&text)] {
            let other = rows(&wire.query(&rewritten));
            assert_eq!(other.as_ref(), Ok(&answer), "{text:?} became {rewritten:?}");
        }
    }
    assert!(accepted > TEXTS * 2 / 3, "{accepted} of {TEXTS}");
}

#[test]
fn values_and_tokens_lie_where_the_server_finds_them() {
    let cluster = support::cluster();
    let mut wire = Wire::login(cluster.port(), &support::database(cluster), &[]).unwrap();
    let is_16 = wire.value("show server_version_num").as_str() >= "160000";
    agree(&mut wire, is_16);
}

#[test]
#[ignore = "long: fetches Postgres 18"]
fn values_and_tokens_lie_where_postgres_18_finds_them() {
    if let Some(cluster) = support::cluster_18() {
        agree(
            &mut Wire::login(cluster.port(), "postgres", &[]).unwrap(),
            true,
        );
    }
}

#[test]
fn a_text_has_as_many_statements_as_the_server_answers() {
    let cluster = support::cluster();
    let mut wire = Wire::login(cluster.port(), &support::database(cluster), &[]).unwrap();
    let mut maker = Maker {
        rng: Rng::with_seed(7),
        is_16: false,
    };
    let mut several = 0;
    for _ in 0..TEXTS {
        let text = maker.statements();
        wire.run("begin");
        let frames = wire.query(&text);
        wire.run("rollback");
        if rows(&frames).is_ok() {
            let answers = frames.iter().filter(|frame| frame.tag == b'C').count();
            assert_eq!(statements(text.as_bytes()).count(), answers, "{text:?}");
            several += usize::from(answers > 1);
        }
    }
    assert!(several > TEXTS / 4, "{several} of {TEXTS}");
}
