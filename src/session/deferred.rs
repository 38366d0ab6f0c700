//! A transaction that has begun for the client, and for no backend yet.
//!
//! Between BEGIN and the first statement an application may take its time, and until that
//! statement nobody knows where it will have to run. So BEGIN is answered here, and goes ahead of
//! the first statement in the same write: as Bind and Execute of a statement of ours and without
//! a Sync, for a Query would drop the client's unnamed statement. A transaction that ends empty
//! has never left.

use std::task::Context;

use super::{
    End, Keep, Phase, Session, adopt, failed::Failed, forward::Step, ledger::Reply, role::Role,
};
use crate::protocol::{
    backend::{self, Status},
    frontend,
};
use crate::sql::{self, Bracket, Reading, Touches};

impl Session {
    /// Answers what opens a transaction, or ends one that has not left; `None`: it goes the way
    /// of every text.
    #[inline]
    pub(super) fn defer(
        &mut self,
        cx: &mut Context<'_>,
        reading: &Reading,
        text: &[u8],
    ) -> Result<Option<Step>, End> {
        if self.lease.is_some() || !reading.touches.any(Touches::TRANSACTION) {
            return Ok(None);
        }
        self.defer_bracket(cx, text)
    }

    fn defer_bracket(&mut self, cx: &mut Context<'_>, text: &[u8]) -> Result<Option<Step>, End> {
        let shared = self.flow.keep == Keep::No && self.denied.is_none() && !self.is_verbatim();
        let Some(bracket) = sql::bracket(text).filter(|_| shared) else {
            return Ok(None);
        };
        let inside = self.flow.begun.is_some();
        match bracket {
            Bracket::Begin | Bracket::Start if !inside => {
                self.flow.begun = Some(text.into());
                self.flow.status = Status::InTransaction;
                self.transaction_begins();
            }
            Bracket::Commit | Bracket::Rollback if inside => {
                self.flow.begun = None;
                self.flow.began = super::count::Began::default();
                self.flow.status = Status::Idle;
            }
            // A warning of the server's.
            Bracket::Begin | Bracket::Start | Bracket::Commit | Bracket::Rollback => {
                return Ok(None);
            }
        }
        let traffic = self.pool.traffic();
        traffic.statements.add(1);
        traffic.requests.add(1);
        traffic.transactions.add(u64::from(inside));
        // As any other Query does.
        self.names.forget_unnamed();
        let mut reply = Vec::new();
        backend::put_command_complete(&mut reply, bracket.tag());
        self.rest_without_lease();
        self.tell_ready(cx, reply)?;
        Ok(Some(Step::Drop))
    }

    /// Sends the BEGIN that the client has been answered, ahead of what comes now.
    pub(super) fn begin_for_real(&mut self, out: &mut Vec<u8>) {
        let Some(lease) = &mut self.lease else { return };
        let Some(text) = self.flow.begun.take() else {
            return;
        };
        let mut registry = self.shared.registry.borrow_mut();
        let statement = registry.statement(self.identity.scope, &frontend::parse_rest(&text));
        let ledger = &mut self.ledger;
        adopt::supply(lease, &statement, ledger, out, Role::Guards);
        frontend::put_bind_text(out, &statement.name, &[]);
        ledger.owe(Reply::Bind, Role::Guards);
        frontend::put_execute(out);
        ledger.owe(Reply::Execute, Role::Guards);
    }

    /// What the client sent in a transaction that has not left was refused: it has failed.
    pub(super) fn fail_deferred(&mut self) {
        if self.flow.begun.take().is_some() {
            self.flow.status = Status::Failed;
            self.flow.failed = Some(Box::new(Failed::default()));
            self.enter(Phase::InTransaction);
        }
    }
}
