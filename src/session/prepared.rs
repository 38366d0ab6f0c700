//! Prepared statements: one for all sessions that mean the same, under a name of ours.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::backend::{Shape, Statement, StatementId};
use crate::protocol::{Parameters, frontend};
use crate::sql;

/// What every name of ours begins with.
pub const PREFIX: &[u8] = b"_ambassador_";

/// Entries at which the dead ones are first looked for.
const SWEEP: usize = 1024;

/// Scopes remembered. Beyond, all are forgotten: sessions that come later share no statement with
/// those before, and nothing else is lost.
const SCOPES: usize = 4096;

/// Settings by which the server reads a text as it is prepared, and need not read it again when
/// it runs. A change of `search_path` makes it do so by itself.
pub(super) const READ_BY: [&[u8]; 9] = [
    b"array_nulls",
    b"backslash_quote",
    b"client_encoding",
    b"datestyle",
    b"intervalstyle",
    b"lc_monetary",
    b"timezone",
    b"transform_null_equals",
    b"xmloption",
];

/// The statements that this worker's sessions and connections know.
pub struct Registry {
    statements: HashMap<Box<[u8]>, Weak<Statement>>,
    scopes: HashMap<Box<[u8]>, Scope>,
    next_scope: u32,
    /// The next number, shared by all workers: connections move.
    next: Arc<AtomicU64>,
    sweep_at: usize,
}

/// What resolves the names in a text: only sessions that agree in it share statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope(u32);

impl Registry {
    pub fn new(next: Arc<AtomicU64>) -> Self {
        Self {
            statements: HashMap::new(),
            scopes: HashMap::new(),
            next_scope: 0,
            next,
            sweep_at: SWEEP,
        }
    }

    /// The scope of a session with these settings: what resolves names, and what literals are read
    /// by as a text is prepared.
    pub fn scope(&mut self, parameters: &Parameters) -> Scope {
        let names: [&[u8]; 4] = [
            b"search_path",
            b"role",
            b"session_authorization",
            b"standard_conforming_strings",
        ];
        let mut key = Vec::new();
        for name in names.iter().chain(&READ_BY) {
            let value = parameters.get(name);
            key.push(u8::from(value.is_some()));
            key.extend_from_slice(value.unwrap_or_default());
            key.push(0);
        }
        if let Some(scope) = self.scopes.get(key.as_slice()) {
            return *scope;
        }
        if self.scopes.len() >= SCOPES {
            self.scopes.clear();
        }
        let scope = Scope(self.next_scope);
        self.next_scope = self.next_scope.wrapping_add(1);
        self.scopes.insert(key.into(), scope);
        scope
    }

    /// The statement for a Parse's text and types (`rest`), if anybody has it.
    pub fn known(&self, scope: Scope, rest: &[u8]) -> Option<Arc<Statement>> {
        let key = key(scope, rest);
        self.statements.get(key.as_slice()).and_then(Weak::upgrade)
    }

    /// The statement for a Parse's text and types (`rest`).
    pub fn statement(&mut self, scope: Scope, rest: &[u8]) -> Arc<Statement> {
        let key = key(scope, rest);
        if let Some(statement) = self.statements.get(key.as_slice()).and_then(Weak::upgrade) {
            return statement;
        }
        self.make(key, rest, OnceLock::new())
    }

    /// The next generation of a statement whose text now takes or returns something else.
    pub fn renew(&mut self, scope: Scope, old: &Arc<Statement>, shape: Shape) -> Arc<Statement> {
        let fits = |one: &Arc<Statement>| one.shape.get() == Some(&shape);
        if let Some(current) = self.known(scope, &old.rest).filter(fits) {
            return current;
        }
        self.make(key(scope, &old.rest), &old.rest, shape.into())
    }

    /// A schema has changed: what backends have accepted so far they may refuse now.
    pub fn doubt(&self) {
        for statement in self.statements.values().filter_map(Weak::upgrade) {
            statement.proven.store(false, Ordering::Relaxed);
        }
    }

    fn make(&mut self, key: Vec<u8>, rest: &[u8], shape: OnceLock<Shape>) -> Arc<Statement> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let statement = Arc::new(Statement {
            id: StatementId(id),
            name: [PREFIX, id.to_string().as_bytes()].concat(),
            rest: rest.to_owned(),
            reading: sql::read(frontend::text(rest)),
            proven: AtomicBool::new(false),
            shape,
        });
        self.statements
            .insert(key.into(), Arc::downgrade(&statement));
        if self.statements.len() >= self.sweep_at {
            self.statements.retain(|_, one| one.strong_count() > 0);
            self.sweep_at = SWEEP.max(2 * self.statements.len());
        }
        statement
    }
}

fn key(scope: Scope, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + rest.len());
    key.extend_from_slice(&scope.0.to_ne_bytes());
    key.extend_from_slice(rest);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(text: &str) -> Vec<u8> {
        frontend::parse_rest(text.as_bytes())
    }

    #[test]
    fn the_same_text_in_the_same_scope_is_one_statement() {
        let mut registry = Registry::new(Arc::default());
        let scope = registry.scope(&Parameters::default());
        let first = registry.statement(scope, &rest("select 1"));
        assert!(Arc::ptr_eq(
            &first,
            &registry.statement(scope, &rest("select 1"))
        ));
        assert_ne!(first.id, registry.statement(scope, &rest("select 2")).id);
    }

    #[test]
    fn a_statement_that_returns_something_else_is_another_and_those_who_say_so_share_it() {
        let mut registry = Registry::new(Arc::default());
        let scope = registry.scope(&Parameters::default());
        let shape = |columns: &[u8]| Shape {
            types: Box::default(),
            columns: columns.into(),
        };
        let first = registry.statement(scope, &rest("select * from t"));
        let second = registry.renew(scope, &first, shape(b"a"));
        assert_ne!(first.id, second.id);
        let again = registry.renew(scope, &first, shape(b"a"));
        assert!(Arc::ptr_eq(&second, &again));
        let newest = registry.statement(scope, &rest("select * from t"));
        assert!(Arc::ptr_eq(&second, &newest));
        let third = registry.renew(scope, &second, shape(b"ab"));
        assert_ne!(second.id, third.id);
    }

    #[test]
    fn another_search_path_is_another_scope() {
        let mut registry = Registry::new(Arc::default());
        let mut other = Parameters::default();
        other.set(b"search_path", b"");
        assert_ne!(
            registry.scope(&Parameters::default()),
            registry.scope(&other)
        );
        other.set(b"application_name", b"x");
        let named = registry.scope(&other);
        assert_eq!(named, registry.scope(&other));
    }

    #[test]
    fn scopes_are_forgotten_and_no_two_are_taken_for_one() {
        let mut registry = Registry::new(Arc::default());
        let mut last = registry.scope(&Parameters::default());
        for number in 0..3 * SCOPES {
            let mut parameters = Parameters::default();
            parameters.set(b"search_path", number.to_string().as_bytes());
            let scope = registry.scope(&parameters);
            assert_eq!(scope, registry.scope(&parameters));
            assert_ne!(scope, last);
            last = scope;
        }
        assert!(registry.scopes.len() <= SCOPES);
    }

    #[test]
    fn statements_that_nobody_holds_are_forgotten() {
        let mut registry = Registry::new(Arc::default());
        let scope = registry.scope(&Parameters::default());
        for number in 0..3 * SWEEP {
            registry.statement(scope, &rest(&format!("select {number}")));
        }
        assert!(registry.statements.len() <= SWEEP);
    }
}
