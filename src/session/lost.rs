//! A backend is lost: what the client is told of each request, and what is left of its session.
//!
//! A session that has nothing of its own on the connection lives on. Each request under way is
//! answered once, with an error that says whether it may have taken effect. A transaction is
//! gone with its backend, and the client has to end it: see [`super::failed`].

use std::task::Context;

use super::{
    End, Fault, Keep, Session,
    failed::Failed,
    fault::{self, Loss},
    undo::Cause,
};
use crate::protocol::{
    SqlState,
    backend::{Status, put_ready},
    notice::{self, Severity},
};
use crate::sql::Stake;
use crate::telemetry::events;

impl Session {
    /// The backend is gone, or of no more use. Tells the client and, where nothing of the
    /// session was lost with it, lives on.
    pub(super) fn lost(&mut self, cx: &mut Context<'_>, why: &str) -> Result<(), End> {
        let Some(lease) = self.lease.take() else {
            return Ok(());
        };
        events::connection_lost(&self.pool.key().backend, lease.pid, &why);
        drop(lease);
        self.depart_from_backend();
        if self.flow.receiving > 0 && !self.flow.swallowing {
            return Err(End::Cut(why.to_owned()));
        }
        if !self.may_outlive() {
            return Err(self.loss(Loss::Pinned, why).into());
        }
        self.flow.keep = Keep::No;
        self.flow.watch = None;
        self.flow.listens = false;
        let known_to_have_failed = self.flow.status == Status::Failed;
        let (undone, in_doubt) = (self.loss(Loss::Undone, why), self.loss(Loss::InDoubt, why));
        let told = self.answer_all(cx, &undone, &in_doubt)?;
        if let Some(failed) = &mut self.flow.failed
            && !told
            && !known_to_have_failed
        {
            failed.untold = Some(undone);
        }
        Ok(())
    }

    fn loss(&self, loss: Loss, why: &str) -> Fault {
        Fault::BackendLost {
            database: fault::database(&self.pool),
            backend: self.pool.key().backend.clone(),
            why: why.to_owned(),
            loss,
        }
    }

    /// Our settings were refused by the backend, so the request did not run.
    pub(super) fn guard_failed(&mut self, cx: &mut Context<'_>, error: &[u8]) -> Result<(), End> {
        // Closed: it is in a failed transaction of ours and skips up to a Sync.
        self.lease = None;
        self.depart_from_backend();
        let code = notice::sqlstate(error).unwrap_or(SqlState::INTERNAL_ERROR);
        let fault = match self.flow.cancelled && code == SqlState::QUERY_CANCELED {
            true => self.cancelled(),
            false => Fault::Setting {
                database: fault::database(&self.pool),
                backend: self.pool.key().backend.clone(),
                why: String::from_utf8_lossy(notice::message(error).unwrap_or_default())
                    .into_owned(),
                code,
            },
        };
        self.answer_held(cx, fault)
    }

    /// The BEGIN that the client has been answered failed: its transaction has, and none of what
    /// was sent behind ran.
    pub(super) fn begin_failed(&mut self, cx: &mut Context<'_>, error: Vec<u8>) -> Result<(), End> {
        // Closed: it skips up to a Sync that may be far.
        self.lease = None;
        let cancelled = self.flow.cancelled || self.flow.overdue;
        let fault = match notice::sqlstate(&error) {
            Some(SqlState::QUERY_CANCELED) if cancelled => self.cancelled(),
            code => Fault::Begin {
                code: code.unwrap_or(SqlState::INTERNAL_ERROR),
                error,
            },
        };
        self.answer_held(cx, fault)
    }

    /// The same; where the client's message is still held, that hears of it as it is looked at.
    fn answer_held(&mut self, cx: &mut Context<'_>, fault: Fault) -> Result<(), End> {
        let told = self.answer_all(cx, &fault, &fault)?;
        if let Some(failed) = &mut self.flow.failed
            && !told
        {
            failed.untold = Some(fault);
        }
        Ok(())
    }

    /// Answers everything that is owed to the client with an error, each request once: `in_doubt`
    /// where it may have taken effect. Tells whether there was anything to answer.
    fn answer_all(
        &mut self,
        cx: &mut Context<'_>,
        undone: &Fault,
        in_doubt: &Fault,
    ) -> Result<bool, End> {
        let (open, skipping) = (self.ledger.is_open(), self.ledger.is_skipping());
        let begun = self.ledger.at_stake();
        let mut inside = self.flow.status != Status::Idle;
        let mut reverted = self.take_back_reports(inside);
        let owed = self.ledger.take_all();
        self.reset_flow();
        let mut reply = Vec::new();
        // Of a batch that skips to its Sync, the client knows that it failed.
        let mut failed = skipping;
        for request in owed.split_inclusive(|one| one.reply.ends_ready()) {
            let stake = request
                .iter()
                .fold(Stake::NONE, |all, one| all.and(one.stake));
            let end = request.last().filter(|last| last.reply.ends_ready());
            // Outside a transaction block it is the end of the request that commits.
            let doubtful = stake.commits || stake.writes && end.is_some() && !inside;
            if !failed && request.iter().any(|one| one.role.is_client()) {
                let fault = if doubtful { in_doubt } else { undone };
                fault.put(&mut reply, Severity::Error);
                failed = true;
            }
            // What the client sends behind a BEGIN must not run without it.
            inside |= stake.opens;
            if end.is_some_and(|end| end.role.is_client()) {
                // As the server does, whose settings a failure undoes.
                reply.append(&mut reverted);
                put_ready(&mut reply, outside_of(inside));
                failed = false;
            }
        }
        if open && !failed {
            // What ran of it is undone, even if every answer had come.
            undone.put(&mut reply, Severity::Error);
            failed = true;
        }
        self.undo(owed, Cause::Loss);
        self.flow.refusing = failed;
        self.flow.status = outside_of(inside || begun.opens);
        if self.flow.status == Status::Failed {
            self.flow.failed = Some(Box::new(Failed::default()));
        }
        self.rest_without_lease();
        let told = !reply.is_empty();
        reply.append(&mut reverted);
        self.tell(cx, &reply)?;
        if !failed {
            self.leave_if_wished()?;
        }
        Ok(told)
    }

    /// Nothing is under way any more on either side, but what the client is still sending.
    fn reset_flow(&mut self) {
        self.flow.receiving = 0;
        self.flow.swallowing = false;
        self.flow.copying = false;
        self.flow.tainted = false;
        self.flow.dropping = true;
        self.flow.overdue = false;
        self.flow.cancelled = false;
        self.flow.adopted = false;
        self.flow.beginning = false;
        self.flow.unput = None;
        self.flow.changes.clear();
        // Of a message that was held; it may be dropped now, unread.
        self.flow.reading = None;
        self.flow.pinned_anew = None;
        self.names.forget_before();
    }
}

/// Where a session without a connection is, whose last one was or was not in a transaction.
fn outside_of(transaction: bool) -> Status {
    match transaction {
        true => Status::Failed,
        false => Status::Idle,
    }
}
