//! What may code do to the session whose text is inside another: of a DO, or of a function?
//!
//! It is SQL or PL/pgSQL and is not understood, only looked through: a name counts as whatever it
//! might be, and what makes its SQL on the way may do anything.

use std::collections::BTreeSet;

use super::call::is_users;
use super::name::Name;
use super::scan::{Scanner, Strings, Token, TokenKind};
use super::touches::Touches;
use super::word::Word;

/// What code may do to the session that runs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inside {
    /// What its words touch, as in a text of their own.
    pub touches: Touches,
    /// It may do anything: it makes its SQL on the way, or cannot be read.
    pub is_dark: bool,
    /// Settings that it may set, by name.
    pub settings: BTreeSet<Box<str>>,
    /// It may set others, too.
    pub sets_any: bool,
    /// Functions that it calls and that are not the server's own.
    pub calls: BTreeSet<Box<[u8]>>,
}

impl Inside {
    /// Of code that nobody can read.
    pub fn dark() -> Self {
        Self {
            is_dark: true,
            ..Self::default()
        }
    }

    /// Both one after the other.
    pub fn join(&mut self, other: &Self) {
        self.touches |= other.touches;
        self.is_dark |= other.is_dark;
        self.sets_any |= other.sets_any;
        self.settings.extend(other.settings.iter().cloned());
        self.calls.extend(other.calls.iter().cloned());
    }
}

/// Names of settings that are found in the texts of one piece of code; more is no code to read.
const SETTINGS: usize = 100;

/// What the code of a DO may do: its strings are code.
pub fn inside_do(text: &[u8]) -> Inside {
    let mut inside = Inside::default();
    let mut scan = Scanner::new(text, Strings::Standard);
    let mut foreign = false;
    while let Some(token) = scan.significant() {
        let bytes = token.span.of(text);
        if token.kind != TokenKind::Word {
            inside.join(&inside_body(content(bytes)));
        } else if bytes.eq_ignore_ascii_case(b"language") {
            let name = scan.significant().map(|token| token.span.of(text));
            let plain = |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(b"plpgsql");
            foreign |= !name.is_some_and(plain);
        }
    }
    inside.is_dark |= foreign;
    inside
}

/// Of a string in dollars or in quotes.
fn content(string: &[u8]) -> &[u8] {
    let tag = match string {
        [b'$', rest @ ..] => rest
            .iter()
            .position(|byte| *byte == b'$')
            .map_or(1, |at| at + 2),
        _ => 1,
    };
    let end = string.len().saturating_sub(tag);
    string.get(tag..end).unwrap_or_default()
}

/// What the code of a function in SQL or PL/pgSQL may do.
pub fn inside_body(body: &[u8]) -> Inside {
    let mut inside = Inside::default();
    let mut scan = Scanner::new(body, Strings::Standard);
    let mut before: Option<Token> = None;
    while let Some(token) = scan.significant() {
        take(token, before, &scan, &mut inside);
        before = Some(token);
    }
    // What is made on the way is made of what stands there.
    if inside.is_dark || inside.sets_any {
        inside.settings.extend(dotted(body).take(SETTINGS));
    }
    inside
}

fn take(token: Token, before: Option<Token>, scan: &Scanner<'_>, inside: &mut Inside) {
    let text = scan.text();
    if matches!(token.kind, TokenKind::Unterminated | TokenKind::Other) || token.kind.hides_names()
    {
        inside.is_dark = true;
    }
    if !token.kind.is_name() {
        return;
    }
    let name = Name { span: token.span }.fold(text);
    let mut ahead = scan.clone();
    let next = ahead.significant();
    if next.is_some_and(|next| next.kind == TokenKind::Open) {
        inside.touches |= Word::find(&name).touches();
        if name == b"set_config" {
            set_config(ahead, inside);
        } else if is_users(&name) {
            inside.calls.insert(name.into());
        }
        return;
    }
    let leads = before.is_none_or(|before| leads(before, text));
    let next = next.map(|next| next.span.of(text).to_ascii_lowercase());
    match &*name {
        b"execute" => inside.is_dark = true,
        b"set" if leads => {
            let local: [&[u8]; 3] = [b"local", b"transaction", b"constraints"];
            inside.sets_any |= !next.is_some_and(|next| local.contains(&&*next));
        }
        b"reset" | b"discard" if leads => inside.sets_any = true,
        b"listen" if leads => inside.touches |= Touches::LISTEN,
        b"load" if leads => inside.touches |= Touches::LOAD,
        b"prepare" if leads => inside.touches |= Touches::PREPARE,
        b"hold" => inside.touches |= Touches::CURSOR,
        b"temp" | b"temporary" => inside.touches |= Touches::TEMP,
        _ => inside.touches |= Word::find(&name).touches(),
    }
}

/// Whether a statement may begin behind this.
fn leads(before: Token, text: &[u8]) -> bool {
    let word = before.span.of(text).to_ascii_lowercase();
    before.kind == TokenKind::Semicolon
        || matches!(
            &*word,
            b"begin" | b"then" | b"else" | b"loop" | b"atomic" | b">>"
        )
}

/// By a literal name it is that one setting.
fn set_config(mut behind: Scanner<'_>, inside: &mut Inside) {
    let text = behind.text();
    let argument = behind.significant().map(|token| token.span.of(text));
    let is_alone = behind.significant().map(|token| token.span.of(text)) == Some(b",");
    let literal = argument.filter(|argument| is_alone && argument.starts_with(b"'"));
    match literal.map(|literal| str::from_utf8(content(literal))) {
        Some(Ok(name)) => {
            inside.settings.insert(name.to_lowercase().into());
        }
        Some(Err(_)) | None => inside.sets_any = true,
    }
}

/// Whatever has a dot in it as a custom setting's name has.
fn dotted(body: &[u8]) -> impl Iterator<Item = Box<str>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.');
    body.split(move |byte| !is_part(byte))
        .map(|word| word.trim_ascii())
        .filter_map(|word| str::from_utf8(word).ok())
        .map(|word| word.trim_matches('.'))
        .filter(|word| {
            word.contains('.') && !word.starts_with(|first: char| first.is_ascii_digit())
        })
        .map(|word| word.to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(inside: &Inside) -> Vec<&str> {
        inside.settings.iter().map(|name| &**name).collect()
    }

    #[test]
    fn harmless_code_does_nothing_to_its_session() {
        for body in [
            "begin new.at := now(); return new; end",
            "begin update t set a = 1 where b = 2; end",
            "insert into t values (1) on conflict do update set a = 2; select lower(x) from t",
            "begin set local work_mem = '1MB'; end",
            "begin if a then return 1; end if; end",
        ] {
            assert_eq!(inside_body(body.as_bytes()), Inside::default(), "{body}");
        }
    }

    #[test]
    fn settings_with_a_literal_name_are_known_by_it() {
        let inside = inside_body(b"begin perform set_config('App.Tenant', x, false); end");
        assert_eq!(
            (settings(&inside), inside.sets_any),
            (vec!["app.tenant"], false)
        );
        let inside = inside_body(b"begin perform set_config(n, x, false); end");
        assert!(inside.sets_any && settings(&inside).is_empty());
        let inside = inside_body(b"begin SET app.tenant = 'x'; end");
        assert!(inside.sets_any);
        assert_eq!(settings(&inside), ["app.tenant"]);
        let inside = inside_body(b"begin execute format('set app.tenant = %L', x); end");
        assert!(inside.is_dark);
        assert_eq!(settings(&inside), ["app.tenant"]);
    }

    #[test]
    fn what_stays_behind_and_who_is_called_is_found() {
        let touches = |body: &str| inside_body(body.as_bytes()).touches;
        assert_eq!(
            touches("begin perform pg_advisory_lock(1); end"),
            Touches::ADVISORY_LOCK
        );
        assert_eq!(
            touches("begin create temp table t (a int); end"),
            Touches::TEMP
        );
        assert_eq!(touches("begin listen a; end"), Touches::LISTEN);
        let inside = inside_body(b"begin perform app.helper(1), lower('x'); end");
        assert!(inside.calls.contains(&b"helper"[..]) && inside.calls.len() == 1);
    }

    #[test]
    fn the_code_of_a_do_is_in_its_strings() {
        for text in [
            "do $$ begin perform set_config('a.b', 'c', false); end $$",
            "DO LANGUAGE plpgsql $x$ begin perform set_config('a.b', 'c', false); end $x$",
        ] {
            let inside = inside_do(text.as_bytes());
            assert_eq!(settings(&inside), ["a.b"], "{text}");
            assert!(!inside.is_dark, "{text}");
        }
        assert!(inside_do(b"do language plperl $$ 1 $$").is_dark);
        assert_eq!(inside_do(b"do $$ begin end $$"), Inside::default());
    }
}
