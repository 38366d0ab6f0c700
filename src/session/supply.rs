//! What a connection must have prepared, and what it is to lose, before a request runs on it.

use std::sync::Arc;

use super::{
    Session, adopt,
    ledger::Reply,
    role::{Naming, Role},
    shape::{self, Purpose, Shaping},
    splice::Splice,
};
use crate::backend::Statement;
use crate::protocol::frontend;

/// Whether a statement can be used where the next message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    Ready,
    /// It is there under the client's own name.
    Shown,
    /// What the backend says of it must be known first.
    Asked,
    /// It returns something else than the client knows.
    Stale,
}

/// Our own statements always have room.
const LEAST: usize = 4;

impl Session {
    /// Prepares the statement on the connection, should that lack it.
    pub(super) fn supply(&mut self, statement: &Arc<Statement>, splice: &mut Splice<'_>) -> Supply {
        let Some(lease) = &mut self.lease else {
            return Supply::Ready;
        };
        if lease.memory.has(statement.id) {
            return Supply::Ready;
        }
        if self.flow.misshapen.take() == Some(statement.id) {
            return Supply::Stale;
        }
        let role = Naming::Supplies(Arc::clone(statement));
        let out = splice.insert();
        adopt::supply(lease, statement, &mut self.ledger, out, role);
        if !shape::may_differ(statement) {
            return Supply::Ready;
        }
        frontend::put_describe_statement(out, &statement.name);
        let shaping = Shaping::new(statement, false, Purpose::Supplied);
        self.ledger.owe(Reply::Describe, Naming::Shapes(shaping));
        Supply::Asked
    }

    /// Prepares the session's unnamed statement, should the connection have another one.
    pub(super) fn supply_unnamed(&mut self, name: &[u8], splice: &mut Splice<'_>) {
        if !name.is_empty() || self.is_verbatim() {
            return;
        }
        let Some(lease) = &mut self.lease else {
            return;
        };
        let Some(number) = self.names.unnamed().map(|unnamed| unnamed.number) else {
            // Somebody else's is not to be met.
            if lease.memory.unnamed.take().is_some() {
                frontend::put_close_statement(splice.insert(), b"");
                self.ledger.owe(Reply::Close, Role::Ours);
            }
            return;
        };
        let own = Some((self.handle.id, number));
        if lease.memory.unnamed != own {
            frontend::put_parse(splice.insert(), b"", self.names.unnamed_rest());
            let role = Naming::SuppliesUnnamed(number);
            self.ledger.owe(Reply::Parse, role);
            lease.memory.unnamed = own;
        }
    }

    /// Closes what the connection holds beyond `prepared_statements`, and the names that others
    /// have left on it. Only where nothing is owed: what fails there takes nothing of this along.
    #[inline]
    pub(super) fn tidy(&mut self, splice: &mut Splice<'_>) {
        let limit = self.pool.settings().prepared_statements.max(LEAST);
        if let Some(lease) = &mut self.lease
            && !lease.memory.is_tidy(limit)
        {
            let mut close = |name: &[u8]| {
                frontend::put_close_statement(splice.insert(), name);
                self.ledger.owe(Reply::Close, Role::Ours);
            };
            for name in lease.memory.take_litter() {
                close(&name);
                lease.memory.disown(&name);
            }
            for name in lease.memory.own_surplus(limit) {
                close(&name);
            }
            while let Some(statement) = lease.memory.surplus(limit) {
                close(&statement.name);
                lease.memory.remove(statement.id);
            }
        }
    }
}
