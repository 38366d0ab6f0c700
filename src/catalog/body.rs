//! What the text of a function names.
//!
//! Such a text is SQL or PL/pgSQL, which has SQL's words and strings. It is not understood, only
//! looked through for what would make its function unfit: so a name counts as whatever it might
//! be, and what is not known counts for nothing. What writes need not be looked for: the server
//! refuses it in a function that is not volatile, wherever it runs. What such a function *calls*
//! it does not ask.

use std::collections::BTreeSet;

use crate::sql::{Builtin, Name, Scanner, Strings, Token, TokenKind, builtin, system_relation};

/// What a text names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    /// It has something that no catalog could make pass.
    pub refused: bool,
    /// Names that an opening bracket follows.
    pub calls: BTreeSet<Vec<u8>>,
    /// All other names.
    pub words: BTreeSet<Vec<u8>>,
    /// Those of them that stand behind a dot.
    pub fields: BTreeSet<Vec<u8>>,
    /// Operators.
    pub operators: BTreeSet<Vec<u8>>,
}

/// Looks through a text in SQL or PL/pgSQL.
pub(super) fn look(text: &[u8]) -> Body {
    let mut body = Body::default();
    let mut look = Look {
        scan: Scanner::new(text, Strings::Standard),
        before: None,
    };
    while let Some(token) = look.scan.significant() {
        look.take(token, &mut body);
        look.before = Some(token);
    }
    body
}

/// Looks through a text in a language that has other words and strings: whatever looks like a
/// name in it may be called, and what runs SQL that is made on the way is refused.
pub(super) fn look_aside(text: &[u8]) -> Body {
    let mut body = Body::default();
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
    for name in text.split(|byte| !is_part(byte)) {
        let name = name.to_ascii_lowercase();
        body.refused |= name.starts_with(b"spi")
            || name.starts_with(b"prepare")
            || name.starts_with(b"exec")
            || name.starts_with(b"quer");
        body.call(name.clone());
        body.fields.insert(name.clone());
        body.words.insert(name);
    }
    body
}

impl Body {
    fn call(&mut self, name: Vec<u8>) {
        self.refused |= match builtin(&name) {
            Some(Builtin::Denied | Builtin::Server | Builtin::Volatile) => true,
            Some(Builtin::Passes) | None => false,
        };
        self.calls.insert(name);
    }
}

struct Look<'a> {
    scan: Scanner<'a>,
    before: Option<Token>,
}

impl Look<'_> {
    fn take(&mut self, token: Token, body: &mut Body) {
        let text = self.scan.text();
        if token.kind == TokenKind::Operator {
            body.operators.insert(token.span.of(text).to_owned());
        }
        if matches!(token.kind, TokenKind::Unterminated | TokenKind::Other) {
            body.refused = true;
        }
        if !token.kind.is_name() {
            return;
        }
        let name = Name { span: token.span }.fold(text);
        let mut ahead = self.scan.clone();
        let next = ahead.significant();
        let is = |kind| next.is_some_and(|next| next.kind == kind);
        // Its escape character may come later.
        body.refused |= token.kind == TokenKind::UnicodeName;
        if is(TokenKind::Open) {
            if !(name == b"current_setting" && is_own_setting(ahead)) {
                body.call(name);
            }
            return;
        }
        if token.kind == TokenKind::Word {
            let next = next.map(|next| next.span.of(text).to_ascii_lowercase());
            body.refused |= is_refused(&name, next.as_deref().unwrap_or_default());
        }
        // A schema, a type and a relation of the system all begin so.
        let of_system = system_relation(None, &name) || name == b"information_schema";
        if of_system && !(name == b"pg_catalog" && is(TokenKind::Dot)) && !self.is_cast() {
            body.refused = true;
        }
        if self
            .before
            .is_some_and(|before| before.kind == TokenKind::Dot)
        {
            body.fields.insert(name.clone());
        }
        body.words.insert(name);
    }

    /// The token at hand is what `::` makes of something.
    fn is_cast(&self) -> bool {
        let before = self.before.map(|before| before.span.of(self.scan.text()));
        before == Some(b"::")
    }
}

/// SQL that is made on the way, and locking clauses.
fn is_refused(name: &[u8], next: &[u8]) -> bool {
    match name {
        b"execute" => true,
        b"for" => matches!(next, b"update" | b"share" | b"no" | b"key"),
        _ => false,
    }
}

/// The argument is a literal with a dot in it: a setting that nobody but the session has, and
/// sessions have theirs wherever they run.
fn is_own_setting(mut scan: Scanner<'_>) -> bool {
    let text = scan.text();
    let argument = scan.significant();
    argument.is_some_and(|argument| {
        argument.kind == TokenKind::String && argument.span.of(text).contains(&b'.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &BTreeSet<Vec<u8>>) -> Vec<&str> {
        of.iter()
            .map(|name| str::from_utf8(name).unwrap_or("?"))
            .collect()
    }

    #[test]
    fn calls_words_and_operators_are_told_apart() {
        let body = look(
            b"begin return (select App.F(x) <-> \"Other\".\"G\" (y) -- nextval('s')\n from users u); end",
        );
        assert!(!body.refused);
        assert_eq!(names(&body.calls), ["G", "f", "return"]);
        assert!(body.words.contains(&b"users"[..]) && body.words.contains(&b"Other"[..]));
        assert_eq!(names(&body.operators), ["<->"]);
    }

    #[test]
    fn what_the_servers_own_do_is_looked_up() {
        for text in [
            "select nextval('s')",
            "begin perform pg_advisory_lock(1); end",
            "begin return pg_catalog . set_config ('a.b', 'c', false); end",
            "select \"lo_get\"(1)",
            "select pg_is_in_recovery()",
            "select current_setting('port')",
            "select current_setting(name) from t",
        ] {
            assert!(look(text.as_bytes()).refused, "{text}");
        }
        for text in [
            "select lower(a), now() from t",
            "select 'nextval(1)', $$ pg_notify(1) $$ /* setval(1) */",
            "select current_setting('app.tenant', true)",
            "begin for r in select 1 loop end loop; end",
        ] {
            assert!(!look(text.as_bytes()).refused, "{text}");
        }
    }

    #[test]
    fn sql_made_on_the_way_and_locks_are_refused() {
        for text in [
            "begin return query execute 'select 1'; end",
            "begin for r in EXECUTE q loop end loop; end",
            "select * from t for update",
            "select * from t For No Key Update",
            "select 'unterminated",
            "select U&\"n\\0065xtval\"(1)",
            "select u&\"x\" from t",
        ] {
            assert!(look(text.as_bytes()).refused, "{text}");
        }
        assert!(!look(b"select \"execute\" from t").refused);
    }

    #[test]
    fn relations_of_the_system_are_refused_its_types_are_not() {
        for text in [
            "select count(*) from pg_stat_activity",
            "select 1 from pg_catalog.pg_locks",
            "select 1 from information_schema.tables",
            "select 1 from pg_temp.work",
        ] {
            assert!(look(text.as_bytes()).refused, "{text}");
        }
        for text in [
            "select x::pg_lsn, y::pg_catalog.int4",
            "select pg_catalog.lower(x), pg_get_viewdef(1)",
        ] {
            assert!(!look(text.as_bytes()).refused, "{text}");
        }
    }

    #[test]
    fn other_languages_are_looked_through_for_whatever_looks_like_a_name() {
        for text in [
            "return spi_exec_query('select 1')",
            "plv8.execute('select 1')",
            "# calls nextval",
            "$plan = prepare_it()",
        ] {
            assert!(look_aside(text.as_bytes()).refused, "{text}");
        }
        let body = look_aside(b"return $_[0] + app_f(1);");
        assert!(!body.refused && body.calls.contains(&b"app_f"[..]));
    }
}
