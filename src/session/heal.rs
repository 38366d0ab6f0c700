//! A request that a replica refused, or gave up, runs again elsewhere, and its client does not
//! know.
//!
//! What the client sent is kept while it is under way on a replica, until a byte of the answer is
//! told. Should the replica refuse it before that, for being one, the answer is read to its end and
//! told to nobody: then the same bytes are forwarded anew, once. A standby refuses before anything
//! has an effect, and it sends an answer that is short in one piece, so this mostly succeeds.

use std::rc::Rc;

use super::{
    Keep, Session,
    role::{Name, Naming, Role},
    splice::Splice,
    verdicts::Verdict,
    way::Route,
};
use crate::protocol::{SqlState, backend::Status, frontend::Kind, notice};
use crate::route::Reason;

/// A longer request is not kept.
const KEPT: usize = 64 * 1024;

const READ_ONLY: &[u8] = b"default_transaction_read_only";

/// A request under way on a replica, of whose answer nothing has been told.
#[derive(Default)]
pub(super) struct Trial {
    /// What the client sent.
    bytes: Vec<u8>,
    /// All of it has been sent upstream.
    is_whole: bool,
    /// What its last text was taken for.
    verdict: Option<Rc<Verdict>>,
    /// The same of those before it.
    verdicts: Vec<Rc<Verdict>>,
    /// What its Parses have named.
    names: Vec<Name>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    UnderWay,
    /// It has failed, for this; the rest of its answer is to come.
    Failed(Failure),
    /// All of that has come.
    Over(Failure),
}

/// Why a request failed where another server would do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// A standby does not do this.
    Misroute,
    /// What the standby replayed was in its way, or it in the way of that.
    Conflict,
}

impl Session {
    /// A request begins, with nothing else under way on its connection.
    pub(super) fn try_out(&mut self) {
        let Some(way) = &mut self.way else {
            return;
        };
        let again = std::mem::take(&mut way.again);
        way.trial = None;
        let alone = self.flow.status == Status::Idle
            && self.flow.keep == Keep::No
            && self.flow.begun.is_none()
            && !self.flow.beginning
            && self.listening.is_none();
        if way.is_on_replica() && alone && !again {
            way.trial = Some(Trial {
                bytes: self.shared.scratch.take_spare(),
                ..Trial::default()
            });
        }
    }

    /// A message goes upstream; `whole`: all of it is here.
    #[inline]
    pub(super) fn keep_sent(&mut self, kind: Kind, seen: &[u8], whole: bool) {
        if let Some(way) = &mut self.way
            && let Some(trial) = &mut way.trial
            && !trial.keeps(kind, seen, whole)
        {
            self.give_up_trial();
        }
    }

    /// Something is told to the client, or another request has joined: what is under way is not to
    /// run again.
    #[inline]
    pub(super) fn give_up_trial(&mut self) {
        if let Some(way) = &mut self.way
            && let Some(trial) = way.trial.take_if(|trial| trial.stage == Stage::UnderWay)
        {
            self.shared.scratch.put_spare(trial.bytes);
        }
    }

    /// A text goes upstream, or a statement of it.
    pub(super) fn try_text(&mut self, verdict: &Rc<Verdict>) {
        if let Some(trial) = self.way.as_mut().and_then(|way| way.trial.as_mut()) {
            let former = trial.verdict.replace(Rc::clone(verdict));
            let former = former.filter(|former| !Rc::ptr_eq(former, verdict));
            trial.verdicts.extend(former);
        }
    }

    /// The Parse that is being answered has succeeded.
    pub(super) fn try_name(&mut self) {
        if let Some(trial) = self.way.as_mut().and_then(|way| way.trial.as_mut())
            && let Some(front) = self.ledger.front()
            && let Role::Naming(Naming::Registers(note)) = &front.role
        {
            trial.names.push(note.name.clone());
        }
    }

    /// Whether the answer of what is under way comes for nobody.
    #[inline]
    pub(super) fn is_healing(&self) -> bool {
        let trial = self.way.as_ref().and_then(|way| way.trial.as_ref());
        trial.is_some_and(|trial| trial.stage != Stage::UnderWay)
    }

    /// Whether the message that failed with this error is to run again elsewhere. What there is of
    /// its answer is forgotten then.
    pub(super) fn heals(&mut self, body: &[u8], splice: &mut Splice<'_>) -> bool {
        let Some(failure) = self.failure(body) else {
            return false;
        };
        let Some(trial) = self.way.as_mut().and_then(|way| way.trial.as_mut()) else {
            return false;
        };
        trial.stage = Stage::Failed(failure);
        self.pool.traffic().misroutes.add(word(body));
        splice.forget();
        self.flow.copying = false;
        self.undo_failed();
        true
    }

    fn failure(&self, body: &[u8]) -> Option<Failure> {
        let trial = self.way.as_ref()?.trial.as_ref()?;
        let ready = trial.is_whole && trial.stage == Stage::UnderWay;
        let wanted = !self.flow.leaving && !self.flow.deaf;
        let cancelled = self.flow.overdue || self.flow.cancelled || self.cancels.is_under_way();
        let stays = !matches!(self.flow.keep, Keep::No | Keep::Unsettled);
        if !ready || !wanted || cancelled || stays || !self.can_be_sent_again() {
            return None;
        }
        // A session that is to write nowhere hears so.
        let is_read_only = notice::sqlstate(body) == Some(SqlState::READ_ONLY_TRANSACTION);
        failure(body).filter(|_| !is_read_only || !self.reads_only())
    }

    /// Whether what failed is still known as it was: an unnamed statement that our own Parse
    /// could not make is none any more.
    fn can_be_sent_again(&self) -> bool {
        let front = self.ledger.front();
        front.is_some_and(|front| {
            let supplies = matches!(front.role, Role::Naming(Naming::Supplies(_)));
            front.role.is_client() || supplies
        })
    }

    /// Whether the session's transactions are read-only by its own will.
    fn reads_only(&self) -> bool {
        let said = self
            .lease
            .as_ref()
            .and_then(|one| one.statuses.get(READ_ONLY));
        let wanted = self.identity.parameters.get(READ_ONLY);
        said.into_iter().chain(wanted).any(|value| !is_off(value))
    }

    /// The answer that nobody hears has been read to its end.
    pub(super) fn healing_ends(&mut self) {
        if let Some(trial) = self.way.as_mut().and_then(|way| way.trial.as_mut())
            && let Stage::Failed(failure) = trial.stage
        {
            trial.stage = Stage::Over(failure);
        }
        self.flow.unput = None;
        self.flow.beginning = false;
        self.flow.adopted = false;
        self.flow.running = None;
    }

    /// Has the request that failed run again, where its answer has ended. Tells whether it will.
    pub(super) fn heal(&mut self) -> bool {
        let Some(way) = &mut self.way else {
            return false;
        };
        let Some(trial) = way.trial.take_if(|trial| trial.is_over()) else {
            return false;
        };
        let route = match trial.stage {
            Stage::Over(Failure::Conflict) => {
                way.avoid();
                Route::REPLICA
            }
            Stage::UnderWay | Stage::Failed(_) | Stage::Over(Failure::Misroute) => {
                // Which of them was refused matters little: together they go nowhere else.
                let verdicts = trial.verdicts.iter().chain(&trial.verdict);
                verdicts.for_each(|verdict| verdict.heal());
                Route::primary(Reason::Healed)
            }
        };
        // A name is taken once it has been given.
        for name in &trial.names {
            self.names.remove_if(&name.name, &name.statement);
        }
        self.part_with_replica();
        if let Some(way) = &mut self.way {
            way.again = true;
            way.route = Some(route);
        }
        self.send_again(trial.bytes);
        true
    }

    /// Gives the replica's connection back, as at the end of any request.
    fn part_with_replica(&mut self) {
        let spoilt =
            |lease: &crate::pool::Lease| !lease.inbox.is_empty() || lease.link.is_backed_up();
        let spoilt = self.lease.as_ref().is_some_and(spoilt);
        // What it may hold of the session is not worth asking for.
        let watched = self.flow.watch.take().is_some();
        self.flow.keep = Keep::No;
        self.flow.changes.clear();
        self.flow.pinned_anew = None;
        self.names.forget_before();
        if spoilt || watched || self.flow.tainted {
            self.flow.tainted = false;
            self.lease = None;
            self.depart_from_backend();
        } else {
            self.give_back();
        }
    }

    /// Puts the bytes in front of what is to be forwarded.
    fn send_again(&mut self, mut bytes: Vec<u8>) {
        bytes.extend_from_slice(&self.inbox);
        let held = std::mem::replace(&mut self.inbox, bytes);
        self.shared.scratch.put_spare(held);
        // What was read ahead was not read of these.
        self.flow.reading = None;
        self.flow.judged = None;
        self.flow.needed = 0;
        self.flow.resume = true;
    }
}

impl Trial {
    /// Whether the request is to run again now, though its connection be lost meanwhile.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over(_))
    }

    /// Keeps a message. False: this is not to run again.
    fn keeps(&mut self, kind: Kind, seen: &[u8], whole: bool) -> bool {
        if self.is_whole || !whole || self.bytes.len() + seen.len() > KEPT {
            return false;
        }
        self.bytes.extend_from_slice(seen);
        self.is_whole = matches!(kind, Kind::Query | Kind::Sync);
        true
    }
}

/// What an error says of a standby; `None`: the same would happen elsewhere.
///
/// Source: the server's `PreventCommandIfReadOnly` and `PreventCommandDuringRecovery` (25006),
/// "recovery is in progress" (55000), "cannot access temporary or unlogged relations during
/// recovery" and "cannot use serializable mode in a hot standby" (0A000), `ProcessInterrupts`
/// (40001). Where the server's words are in another language, its source files tell.
fn failure(body: &[u8]) -> Option<Failure> {
    let says = |word: &[u8]| {
        let message = notice::message(body).unwrap_or_default();
        notice::find(message, word).is_some()
    };
    let is_from = |file: &[u8]| notice::file(body) == Some(file);
    let code = notice::sqlstate(body)?;
    let misroute = match code {
        SqlState::SERIALIZATION_FAILURE => return Some(Failure::Conflict),
        SqlState::READ_ONLY_TRANSACTION => true,
        SqlState::NOT_IN_STATE => says(b"recovery") || is_from(b"xlogfuncs.c"),
        SqlState::FEATURE_NOT_SUPPORTED => {
            let files: [&[u8]; 2] = [b"plancat.c", b"predicate.c"];
            says(b"recovery") || says(b"hot standby") || files.into_iter().any(is_from)
        }
        _ => false,
    };
    misroute.then_some(Failure::Misroute)
}

/// As it shows in metrics.
fn word(body: &[u8]) -> &'static str {
    match notice::sqlstate(body) {
        Some(SqlState::READ_ONLY_TRANSACTION) => "25006",
        Some(SqlState::NOT_IN_STATE) => "55000",
        Some(SqlState::FEATURE_NOT_SUPPORTED) => "0A000",
        Some(_) | None => "40001",
    }
}

/// As the server reads a boolean.
fn is_off(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &[u8], least: usize| value.len() >= least && word.starts_with(&value);
    begins(b"off", 2) || begins(b"false", 1) || begins(b"no", 1) || value == b"0"
}
