//! Requests that get an error of ours in place of an answer.
//!
//! Nothing of such a request is sent, and the rest of it is dropped as the server drops it: up to
//! the Sync. Where something before it in the same batch was sent, an error that is only made up
//! would let the server commit what the client is told has failed: there the error is provoked,
//! and its text replaced.

use std::task::Context;

use super::{End, Fault, Session, fault, forward::Step, ledger::Reply, role::Role, splice::Splice};
use crate::protocol::{
    backend::{self, Status},
    frame,
    frontend::{self, Kind},
    notice::Severity,
};
use crate::sql;

/// No statement has this name: those of ours end with a number.
const NOWHERE: &[u8] = b"_ambassador_";

impl Session {
    /// Answers the request that gets no connection, or is not to run, with an error of ours. Nothing
    /// of it was sent.
    pub(super) fn refuse(&mut self, cx: &mut Context<'_>, kind: Kind) -> Result<Step, End> {
        self.flow.reading = None;
        let Some(fault) = self.denied.take() else {
            return Ok(Step::Drop);
        };
        self.rest_without_lease();
        self.refuse_with(cx, kind, &fault)
    }

    pub(super) fn refuse_with(
        &mut self,
        cx: &mut Context<'_>,
        kind: Kind,
        fault: &Fault,
    ) -> Result<Step, End> {
        let mut reply = Vec::new();
        fault.put(&mut reply, Severity::Error);
        self.fail_deferred();
        match kind {
            Kind::Query | Kind::FunctionCall | Kind::Sync => {
                self.tell_ready(cx, reply)?;
                return Ok(Step::Drop);
            }
            Kind::Parse
            | Kind::Bind
            | Kind::Describe
            | Kind::Execute
            | Kind::Close
            | Kind::Flush
            | Kind::CopyData
            | Kind::CopyDone
            | Kind::CopyFail
            | Kind::Terminate
            | Kind::Authentication
            | Kind::Unknown => self.flow.refusing = true,
        }
        self.tell(cx, &reply)?;
        Ok(Step::Drop)
    }

    /// As the server after an error: everything up to the Sync is dropped.
    pub(super) fn refuse_up_to_sync(
        &mut self,
        cx: &mut Context<'_>,
        kind: Kind,
    ) -> Result<Step, End> {
        if kind == Kind::Terminate {
            self.flow.leaving = true;
        }
        if kind == Kind::Sync {
            self.flow.refusing = false;
            self.tell_ready(cx, Vec::new())?;
        }
        Ok(Step::Drop)
    }

    /// Ends the answer to a request for which there was no connection.
    pub(super) fn tell_ready(
        &mut self,
        cx: &mut Context<'_>,
        mut reply: Vec<u8>,
    ) -> Result<(), End> {
        backend::put_ready(&mut reply, self.flow.status);
        self.tell(cx, &reply)?;
        self.leave_if_wished()
    }

    /// In statement pooling no message opens a transaction.
    pub(super) fn refuse_transaction(
        &mut self,
        cx: &mut Context<'_>,
        kind: Kind,
        splice: &mut Splice<'_>,
    ) -> Result<Step, End> {
        let database = fault::database(&self.pool);
        let fault = Fault::StatementMode { database };
        if self.ledger.is_empty() {
            return self.refuse_with(cx, kind, &fault);
        }
        // What the backend skips it need not refuse.
        if !self.ledger.is_skipping() {
            self.provoke(kind, fault, splice);
        }
        Ok(Step::Drop)
    }

    /// Refuses a message for what its text says. `None`: it may go on to a transaction that has
    /// failed, where nothing runs.
    pub(super) fn refuse_text(
        &mut self,
        kind: Kind,
        fault: Fault,
        splice: &mut Splice<'_>,
    ) -> Option<Step> {
        if self.ledger.is_empty() && self.flow.status == Status::Failed {
            return None;
        }
        let outside = self.flow.status == Status::Idle || self.flow.begun.is_some();
        if self.ledger.is_empty() && outside {
            self.denied = Some(fault);
            return Some(Step::Wait);
        }
        // What the backend skips it need not refuse.
        if !self.ledger.is_skipping() {
            self.provoke(kind, fault, splice);
        }
        Some(Step::Drop)
    }

    /// Has the backend fail where the message would have run, so that the error keeps its place
    /// among the answers to come and takes along what the batch did so far.
    pub(super) fn provoke(&mut self, kind: Kind, fault: Fault, splice: &mut Splice<'_>) {
        frontend::put_bind(splice.insert(), b"", NOWHERE, &[0; 6]);
        self.ledger.owe(Reply::Bind, Role::Refuses(Box::new(fault)));
        if kind == Kind::Query {
            splice.insert().extend_from_slice(frontend::SYNC);
            self.ledger.owe(Reply::Sync, Role::Client);
        }
    }
}

/// Whether a Query or a Parse would open a transaction block.
pub(super) fn begins(kind: Kind, seen: &[u8]) -> bool {
    let body = seen.get(frame::HEADER..).unwrap_or_default();
    let text = match kind {
        Kind::Query => frontend::text(body),
        Kind::Parse => frontend::parse(body).map_or(&[][..], |(_, rest)| frontend::text(rest)),
        Kind::Bind
        | Kind::Describe
        | Kind::Execute
        | Kind::Close
        | Kind::Sync
        | Kind::Flush
        | Kind::FunctionCall
        | Kind::CopyData
        | Kind::CopyDone
        | Kind::CopyFail
        | Kind::Terminate
        | Kind::Authentication
        | Kind::Unknown => return false,
    };
    let begin = |statement: sql::Statement| statement.kind == sql::Kind::Begin;
    sql::read(text).touches.any(sql::Touches::TRANSACTION) && sql::statements(text).any(begin)
}
