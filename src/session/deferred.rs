//! A transaction that has begun for the client, and for no backend yet.
//!
//! Between BEGIN and the first statement an application may take its time, and until that
//! statement nobody knows where it will have to run. So BEGIN is answered here, and goes ahead of
//! the first statement in the same write: as Bind and Execute of a statement of ours and without
//! a Sync, for a Query would drop the client's unnamed statement. A transaction that ends empty
//! has never left. A SET TRANSACTION right behind waits with it.

use std::task::Context;

use super::{
    End, Keep, Phase, Session, adopt, batch, failed::Failed, forward::Step, ledger::Reply, names,
    role::Role, splice::Splice, verdicts::Judged,
};
use crate::protocol::{
    backend::{self, Status},
    frontend,
};
use crate::route::Wish;
use crate::sql::{self, Bracket, Kind, Mode, Reading, Touches};

/// How many SET TRANSACTIONs wait; who sends more is answered by the server.
const SETS: usize = 4;

/// What the client has been answered of a transaction, and no backend has been sent.
#[derive(Debug)]
pub(super) struct Begun {
    text: Box<[u8]>,
    /// The hint in it.
    pub wish: Wish,
    /// SET TRANSACTIONs behind it.
    sets: Vec<Box<[u8]>>,
    /// What all of them ask for.
    pub mode: Mode,
}

impl Session {
    /// Answers a Query that opens a transaction, or ends one that has not left; `None`: it goes the
    /// way of every text.
    #[inline]
    pub(super) fn defer(
        &mut self,
        cx: &mut Context<'_>,
        reading: &Reading,
        text: &[u8],
        alone: bool,
    ) -> Result<Option<Step>, End> {
        if !self.may_defer(reading) {
            return Ok(None);
        }
        self.defer_query(cx, text, alone)
    }

    fn defer_query(
        &mut self,
        cx: &mut Context<'_>,
        text: &[u8],
        alone: bool,
    ) -> Result<Option<Step>, End> {
        let Some(bracket) = self.deferrable(text, alone) else {
            return Ok(None);
        };
        let judged = self.flow.judged.clone();
        self.take_bracket(bracket, text, judged.as_ref());
        // As any other Query does.
        self.names.forget_unnamed();
        let mut reply = Vec::new();
        backend::put_command_complete(&mut reply, bracket.tag());
        self.rest_without_lease();
        self.tell_ready(cx, reply)?;
        Ok(Some(Step::Drop))
    }

    /// Answers a batch that does the same and nothing else, from its Parse of the unnamed statement
    /// to its Sync.
    ///
    /// That ParseComplete is made up: such a text cannot fail, whatever the server is.
    #[inline]
    pub(super) fn defer_parsed(
        &mut self,
        cx: &mut Context<'_>,
        reading: &Reading,
        rest: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Option<Step>, End> {
        if !self.may_defer(reading) {
            return Ok(None);
        }
        let Some((bracket, batch)) = self.deferrable_batch(b"", rest, splice) else {
            return Ok(None);
        };
        let judged = self.flow.judged.take();
        self.names.set_unnamed(rest, *reading, judged);
        self.pool.traffic().client_parses.add(1);
        self.answer_batch(cx, b"", (bracket, rest), batch, splice)
    }

    /// Answers a batch that does the same with a statement that was prepared before, from its Bind
    /// to its Sync.
    #[inline]
    pub(super) fn defer_bound(
        &mut self,
        cx: &mut Context<'_>,
        reading: &Reading,
        name: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Option<Step>, End> {
        if !self.may_defer(reading) {
            return Ok(None);
        }
        let rest = match self.names.get(names::key(name)) {
            Some(statement) => statement.rest.clone(),
            None => self.names.unnamed_rest().to_owned(),
        };
        let Some((bracket, batch)) = self.deferrable_batch(name, &rest, splice) else {
            return Ok(None);
        };
        self.answer_batch(cx, name, (bracket, &rest), batch, splice)
    }

    #[inline]
    fn may_defer(&self, reading: &Reading) -> bool {
        let sets = || self.flow.begun.is_some() && matches!(reading.first, Kind::Set { .. });
        self.lease.is_none() && (reading.touches.any(Touches::TRANSACTION) || sets())
    }

    fn deferrable_batch(
        &self,
        name: &[u8],
        rest: &[u8],
        splice: &Splice<'_>,
    ) -> Option<(Bracket, batch::Answer)> {
        let text = frontend::text(rest);
        // What takes a value, though it has no use for it, is the server's to judge.
        let plain = rest.get(text.len()..) == Some(&[0, 0, 0]);
        let batch = batch::answer(splice.rest(), name).filter(|_| plain)?;
        let bracket = self.deferrable(text, splice.rest().len() == batch.len)?;
        Some((bracket, batch))
    }

    fn answer_batch(
        &mut self,
        cx: &mut Context<'_>,
        name: &[u8],
        (bracket, rest): (Bracket, &[u8]),
        batch: batch::Answer,
        splice: &mut Splice<'_>,
    ) -> Result<Option<Step>, End> {
        let (statement, mut judged) = self.names.named(names::key(name));
        if self.verdicts.is_some() {
            self.count_bound(name, statement.as_ref(), judged.clone());
            judged = judged.or_else(|| self.names.named(names::key(name)).1);
        }
        self.pool.traffic().binds.add(1);
        self.take_bracket(bracket, frontend::text(rest), judged.as_ref());
        let mut reply = batch.before;
        backend::put_command_complete(&mut reply, bracket.tag());
        self.rest_without_lease();
        self.tell_ready(cx, reply)?;
        // The walk leaves out the frame that it is at, here the rest of the batch.
        splice.skip(batch.len - batch.first);
        Ok(Some(Step::Drop))
    }

    /// What this text is, where it can be answered here. `alone`: nothing has come behind it.
    fn deferrable(&self, text: &[u8], alone: bool) -> Option<Bracket> {
        let shared = self.flow.keep == Keep::No && self.denied.is_none() && !self.is_verbatim();
        let bracket = sql::bracket(text).filter(|_| shared)?;
        let inside = self.flow.begun.is_some();
        let here = match bracket {
            // Who sends on without an answer is not to wait for one because of us: see `begin`.
            Bracket::Begin(_) | Bracket::Start(_) => !inside && alone,
            Bracket::Set(_) => {
                let begun = self.flow.begun.as_ref();
                begun.is_some_and(|begun| begun.sets.len() < SETS)
            }
            Bracket::Commit | Bracket::Rollback => inside,
        };
        // Otherwise there is a warning of the server's to be had.
        here.then_some(bracket)
    }

    fn take_bracket(&mut self, bracket: Bracket, text: &[u8], judged: Option<&Judged>) {
        let wish = judged.map(|judged| judged.wish).unwrap_or_default();
        let traffic = self.pool.traffic();
        traffic.statements.add(1);
        traffic.requests.add(1);
        match bracket {
            Bracket::Begin(mode) | Bracket::Start(mode) => {
                self.flow.begun = Some(Begun {
                    text: text.into(),
                    wish,
                    sets: Vec::new(),
                    mode,
                });
                self.flow.status = Status::InTransaction;
                self.transaction_begins();
            }
            Bracket::Set(mode) => {
                if let Some(begun) = &mut self.flow.begun {
                    begun.sets.push(text.into());
                    begun.mode = mode.over(begun.mode);
                }
            }
            Bracket::Commit | Bracket::Rollback => {
                traffic.transactions.add(1);
                self.flow.begun = None;
                self.flow.began = super::count::Began::default();
                self.flow.status = Status::Idle;
            }
        }
    }

    /// Sends the BEGIN that the client has been answered, ahead of what comes now.
    pub(super) fn begin_for_real(&mut self, out: &mut Vec<u8>) {
        let Some(lease) = &mut self.lease else { return };
        let Some(begun) = self.flow.begun.take() else {
            return;
        };
        let mut registry = self.shared.registry.borrow_mut();
        let ledger = &mut self.ledger;
        for text in std::iter::once(&begun.text).chain(&begun.sets) {
            let statement = registry.statement(self.identity.scope, &frontend::parse_rest(text));
            adopt::supply(lease, &statement, ledger, out, Role::Begins);
            frontend::put_bind_text(out, &statement.name, &[]);
            ledger.owe(Reply::Bind, Role::Begins);
            frontend::put_execute(out);
            ledger.owe(Reply::Execute, Role::Begins);
        }
        self.flow.beginning = true;
    }

    /// Whether a message has to wait until it is known that the transaction has begun. Should its
    /// BEGIN fail, the server skips no further than to the next Sync: what is sent behind that
    /// would run outside of any transaction.
    pub(super) fn must_begin_first(&self) -> bool {
        self.flow.beginning && self.ledger.is_behind()
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
