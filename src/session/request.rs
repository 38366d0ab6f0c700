//! The client's messages, one by one: what they need, and what has to go with them.

use std::{rc::Rc, task::Context};

use super::{
    End, Phase, PoolMode, Session, acts, adopt,
    forward::{GATHER, Step},
    ledger::Reply,
    pin,
    role::{Naming, Role},
    sabotage::{Part, without},
    splice::Splice,
};
use crate::pool::{Acquired, Wish};
use crate::protocol::{
    backend::Status,
    frame::{HEADER, Header},
    frontend::{self, Kind},
};
use crate::sql::{self, Reading, Touches};

impl Session {
    pub(super) fn query(
        &mut self,
        cx: &mut Context<'_>,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, End> {
        if must_gather(header, seen) {
            return Ok(Step::Gather);
        }
        let text = frontend::text(seen.get(HEADER..).unwrap_or_default());
        let reading = self.read(text, seen.len() == header.len);
        // Anything else in the frame is for the server to refuse.
        let whole = header.len == HEADER + text.len() + 1 && seen.len() == header.len;
        if whole
            && let Some(step) = self.defer(cx, &reading, text, splice.rest().len() == seen.len())?
        {
            self.count_judged();
            return Ok(step);
        }
        if let Some(step) = self.show_last(cx, &reading, text)? {
            // One that still waits would take itself for the last that ran.
            if !matches!(step, Step::Hold) {
                self.count_judged();
            }
            return Ok(step);
        }
        if let Some(step) = self.heed_own(Kind::Query, &reading, |_| text.to_owned(), splice) {
            return Ok(step);
        }
        if let Some(step) = self.forbid_hinted(splice) {
            return Ok(step);
        }
        let full = self.in_full(reading, text, whole);
        if let Some(step) = self.forbid(Kind::Query, &full, |_| text.to_owned(), splice) {
            return Ok(step);
        }
        Ok(self.query_read(reading, seen, whole, splice))
    }

    fn query_read(
        &mut self,
        reading: Reading,
        seen: &[u8],
        whole: bool,
        splice: &mut Splice<'_>,
    ) -> Step {
        let text = frontend::text(seen.get(HEADER..).unwrap_or_default());
        let full = self.in_full(reading, text, whole);
        // Amid a batch it may be skipped, and the unnamed statement that it drops is back: one
        // whose Parse is answered.
        let unknown = self.ledger.is_open() && self.is_open_what(b"", None);
        let waits = self.must_not_overtake(&reading) || self.must_adopt_first(&reading);
        if unknown || waits || self.names_open(&reading, text) {
            self.flow.reading = Some(reading);
            return Step::Hold;
        }
        let open = self.ledger.is_open();
        if !self.begin(&full, splice) {
            self.flow.reading = Some(reading);
            return Step::Wait;
        }
        if !self.will_run() {
            return Step::Pass;
        }
        let substitute = self.substitute(&reading, text);
        let is_sent = substitute.as_ref().is_none_or(|one| one.text.is_none());
        if is_sent && self.put_named(&reading, &full, text, splice) {
            // A Sync of ours would end the client's batch; else the text would be skipped with what
            // failed, and all that is sent behind.
            if !open {
                splice.insert().extend_from_slice(frontend::SYNC);
                self.ledger.owe(Reply::Sync, Role::Ours);
            }
            // Behind that Sync it would run though its BEGIN failed.
            if open || self.flow.beginning {
                self.flow.reading = Some(reading);
                return Step::Hold;
            }
        }
        self.count_judged();
        self.touch(&full, text);
        self.use_sequences(&full, splice);
        let role = self.drop_unnamed();
        let Some(mut substitute) = substitute else {
            return self.query_acting(&reading, text, whole, role);
        };
        self.forget(&mut substitute.change);
        let role = Naming::Changes(Box::new(substitute.change));
        self.ledger.owe(Reply::Query, role);
        match substitute.text {
            Some(text) => {
                frontend::put_query(splice.insert(), &text);
                Step::Replaced(seen.len())
            }
            None => Step::Pass,
        }
    }

    /// A text that is sent as it is.
    #[inline]
    fn query_acting(&mut self, reading: &Reading, text: &[u8], whole: bool, role: Role) -> Step {
        let acts = match acts::names_any(reading) {
            true => self.acts(reading, text, whole),
            false => acts::Acts::new(),
        };
        self.begin_acts(&acts);
        let role = match acts.is_empty() {
            true => role,
            false => Naming::Acts(Box::new(acts)).into(),
        };
        self.ledger.owe(Reply::Query, role);
        Step::Pass
    }

    /// What means the session as a whole, or names in a text, is judged when what came before
    /// has been answered.
    #[inline]
    pub(super) fn must_not_overtake(&self, reading: &Reading) -> bool {
        reading.touches.any(pin::DESTROYS)
            && !self.is_verbatim()
            && self.ledger.is_behind()
            && !self.flow.copying
    }

    /// Reads a text once, also when its message has waited for a connection, and judges it where
    /// something hangs on that. `whole`: all of it is here.
    #[inline]
    pub(super) fn read(&mut self, text: &[u8], whole: bool) -> Reading {
        if let Some(held) = self.flow.reading.take() {
            return held;
        }
        match &self.verdicts {
            None => sql::read(text),
            Some(verdicts) => {
                let found = verdicts.judge(text, self.identity.spelling, whole);
                self.note(found).unwrap_or_else(|| sql::read(text))
            }
        }
    }

    pub(super) fn function_call(&mut self, seen: &[u8], splice: &mut Splice<'_>) -> Step {
        if !self.begin(&Reading::NOTHING, splice) {
            return Step::Wait;
        }
        self.may_write();
        self.ledger.stake(sql::Stake {
            writes: true,
            ..sql::Stake::NONE
        });
        // Which of a user's functions it is, or of the server's that change the session, only a
        // number says; drivers call those of large objects so, which change nothing.
        let number = seen.get(HEADER..).and_then(<[u8]>::first_chunk);
        let number = number.map_or(u32::MAX, |number| u32::from_be_bytes(*number));
        if !LARGE_OBJECTS.contains(&number) && self.will_run() {
            self.watch_everything();
            self.unsettle();
        }
        self.ledger.owe(Reply::FunctionCall, Role::Client);
        Step::Pass
    }

    /// Sees to it that the request has a connection that looks like the client's own.
    /// False: it waits, or it is denied.
    pub(super) fn begin(&mut self, reading: &Reading, splice: &mut Splice<'_>) -> bool {
        if self.lease.is_none() && !self.checkout(reading) {
            return false;
        }
        if !self.ledger.is_empty() {
            let waits = self.must_begin_first();
            self.flow.holding |= waits;
            return !waits;
        }
        self.request_begins();
        self.try_out();
        let Some(lease) = &mut self.lease else {
            return false;
        };
        self.flow.misshapen = None;
        if self.flow.status == Status::Idle || self.flow.begun.is_some() {
            self.flow.resetting = false;
            let wanted = &self.identity.parameters;
            if !adopt::fits(&lease.memory.wearing, wanted) {
                let mut registry = self.shared.registry.borrow_mut();
                let scope = self.identity.scope;
                let out = splice.insert();
                let ledger = &mut self.ledger;
                adopt::adopt(lease, wanted, &mut registry, scope, ledger, out);
                self.flow.adopted = true;
            }
        }
        if self.listening.is_some() {
            self.adopt_channels(splice.insert());
        }
        if self.flow.begun.is_some() {
            self.begin_for_real(splice.insert());
        }
        if std::mem::take(&mut self.flow.declaring) {
            self.declare(splice.insert());
        }
        self.tidy(splice);
        true
    }

    fn checkout(&mut self, reading: &Reading) -> bool {
        if self.denied.is_some() {
            return false;
        }
        if !self.find_pool() {
            return false;
        }
        // In session pooling a home is somebody's for as long as he stays.
        let claimed = self.claimed(reading);
        let wants_home = claimed.is_some() || pin::wants_home(reading);
        let only_home = wants_home && !self.is_verbatim();
        let home = self.identity.home;
        let home = home.filter(|_| Rc::ptr_eq(&self.pool, &self.identity.house));
        let wish = Wish {
            home: claimed.or(home.map(|home| home.id)),
            wearing: Some(&self.identity.parameters),
            only_home,
        };
        match self.pool.acquire(wish) {
            Acquired::Lease(lease) => self.hold(lease),
            Acquired::Wait(ticket) => {
                self.ticket = Some(ticket);
                self.enter(Phase::Waiting);
                self.watch_backends();
            }
            Acquired::Refused(refusal) => self.refused(refusal),
        }
        self.lease.is_some()
    }

    /// Whether the backend will run what is sent now, and not skip it after an error.
    pub(super) fn will_run(&self) -> bool {
        !self.ledger.is_skipping()
    }

    /// In session pooling the connection is the client's own: its names go up as they are.
    pub(super) fn is_verbatim(&self) -> bool {
        self.settings.pool_mode == PoolMode::Session || without(Part::Rename)
    }

    /// Heeds what the text does to the session.
    #[inline]
    pub(super) fn touch(&mut self, reading: &Reading, text: &[u8]) {
        self.ledger.stake(reading.stake);
        if reading.touches.is_empty() {
            return;
        }
        if reading.touches.any(Touches::DISCARD) {
            self.give_up_sequences();
        }
        if let Some(reason) = pin::hard(reading) {
            self.pin(pin::Cause::of(reason, text));
        }
        self.watch(reading, text);
        if reading.touches.any(sql::Touches::NOTIFY)
            && let Some(lease) = &self.lease
        {
            let listeners = self.pool.listeners();
            listeners.notifies(lease.pid, self.identity.key.0);
        }
        if reading.touches.any(sql::Touches::IDENTITY)
            && !self.identity.cherished
            && let Some(home) = self.identity.home
        {
            self.identity.house.cherish(home);
            self.identity.cherished = true;
        }
        // Not understood one by one, these may have taken statements of ours along.
        if reading.count > 1 && reading.touches.any(pin::DESTROYS) && !self.is_understood(text) {
            self.flow.tainted = true;
        }
    }
}

/// The numbers of `lo_open` and its like, as `pg_proc.dat` has them.
const LARGE_OBJECTS: &[u32] = &[
    715, 764, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172, 3457, 3458,
    3459, 3460,
];

/// Whether a frame that is to be seen in whole is not here yet.
pub(super) fn must_gather(header: Header, seen: &[u8]) -> bool {
    seen.len() < header.len && seen.len() < GATHER
}
