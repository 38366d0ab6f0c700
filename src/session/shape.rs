//! What a prepared statement takes and returns, and what becomes of a shared one whose answer
//! changes.
//!
//! A table is altered, and the same text means other columns. The server holds a prepared
//! statement to what it once described: a Bind of it fails with 0A000 from then on, and a client
//! that parses the text anew gets a new statement. So do ours. Each Parse of a client's has a
//! Describe with it, its own or one of ours. A description that differs from the one that a
//! shared statement is known by makes a new generation of it, under a name of its own; who holds
//! the former one goes on holding it. And before a statement is used on a connection that has just
//! prepared it for somebody who knows it already, its description is compared: the one round trip
//! that sharing adds, once per statement and connection, and only for what returns rows.

use std::sync::Arc;

use super::{
    Session,
    ledger::{Owed, Reply},
    role::{Naming, Role},
    splice::Splice,
};
use crate::backend::{Shape, Statement};
use crate::protocol::{backend, frontend};
use crate::sql::Kind;

/// A description under way.
#[derive(Debug)]
pub struct Shaping {
    pub statement: Arc<Statement>,
    /// The client asked for it, and gets it.
    pub asked: bool,
    pub purpose: Purpose,
    /// What the ParameterDescription said.
    types: Option<Box<[u8]>>,
}

/// What a description is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// The client has parsed the text, under this name.
    Parsed(Box<[u8]>),
    /// The statement was prepared for a client that knows it, and waits for the outcome.
    Supplied,
}

impl Shaping {
    /// The name by which the client means the statement.
    pub fn meant(&self) -> Option<Box<[u8]>> {
        match &self.purpose {
            Purpose::Parsed(name) => Some(name.clone()),
            Purpose::Supplied => None,
        }
    }

    pub fn new(statement: &Arc<Statement>, asked: bool, purpose: Purpose) -> Box<Self> {
        Box::new(Self {
            statement: Arc::clone(statement),
            asked,
            purpose,
            types: None,
        })
    }
}

/// Whether what the statement returns hangs on what it reads, and could differ from what the
/// client knows.
pub fn may_differ(statement: &Statement) -> bool {
    let returns = |shape: &Shape| !shape.columns.is_empty();
    statement.reading.first == Kind::Other && statement.shape.get().is_some_and(returns)
}

impl Session {
    /// Behind a client's Parse: asks for the description, unless the client does that next.
    pub(super) fn ask_shape(
        &mut self,
        name: &[u8],
        statement: &Arc<Statement>,
        next: &[u8],
        splice: &mut Splice<'_>,
    ) {
        if next.starts_with(&describe(name)) {
            return;
        }
        frontend::put_describe_statement(splice.insert(), &statement.name);
        let purpose = Purpose::Parsed(name.into());
        let shaping = Shaping::new(statement, false, purpose);
        self.ledger.owe(Reply::Describe, Naming::Shapes(shaping));
    }

    /// The role of a client's Describe: right behind its Parse it tells the statement's shape.
    pub(super) fn describes(&self, name: &[u8], statement: &Arc<Statement>) -> Option<Role> {
        let last = self.ledger.last_registered()?;
        (Arc::ptr_eq(&last.statement, statement) && *last.name == *name).then(|| {
            let purpose = Purpose::Parsed(name.into());
            Naming::Shapes(Shaping::new(statement, true, purpose)).into()
        })
    }

    /// A ParameterDescription came for the front message.
    pub(super) fn shape_types(&mut self, body: &[u8]) {
        if let Some(Owed {
            role: Role::Naming(Naming::Shapes(shaping)),
            ..
        }) = self.ledger.front_mut()
        {
            shaping.types = Some(body.into());
        }
    }

    /// The description is complete; `columns` is a RowDescription's body, empty for NoData.
    pub(super) fn shaped(&mut self, shaping: Shaping, columns: &[u8]) {
        let columns = match columns {
            [] => Some(Box::default()),
            columns => backend::row_shape(columns),
        };
        let (Some(types), Some(columns)) = (shaping.types, columns) else {
            return;
        };
        let shape = Shape { types, columns };
        let statement = shaping.statement;
        if *statement.shape.get_or_init(|| shape.clone()) == shape {
            return;
        }
        self.shared.registry.borrow().doubt();
        // What has the name upstream now is not what the name stands for.
        self.forget_upstream(&statement);
        match shaping.purpose {
            Purpose::Supplied => self.flow.misshapen = Some(statement.id),
            Purpose::Parsed(name) => {
                let mut registry = self.shared.registry.borrow_mut();
                let next = registry.renew(self.identity.scope, &statement, shape);
                drop(registry);
                let is_it = |one: &Arc<Statement>| Arc::ptr_eq(one, &statement);
                for one in self.ledger.forgotten_mut() {
                    if one.name == name && is_it(&one.statement) {
                        one.statement = Arc::clone(&next);
                    }
                }
                if self.names.get(&name).is_some_and(is_it) {
                    self.names.renew(&name, next);
                }
            }
        }
    }
}

/// A client's Describe of the statement of this name.
fn describe(name: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    frontend::put_describe_statement(&mut message, name);
    message
}
