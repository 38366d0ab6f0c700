//! From the backend to the client.

use std::{
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use super::{
    End, Io, Keep, Session,
    adopt::with_identities_of,
    change::{Effect, Forgets, Restores},
    ledger::{Owed, Reply},
    pin,
    role::{Naming, Role},
    splice::Splice,
};
use crate::net;
use crate::protocol::{
    Parameters,
    backend::{self, Kind, Status},
    frame::{self, HEADER, Header},
};

/// Of the frames that are looked at in whole, none is longer; a longer error goes on unread.
pub(super) const GATHER: usize = net::READ / 2;

/// What to do with a frame.
pub(super) enum Step {
    Pass,
    Swallow,
    /// Something else has been written in its place.
    Replaced,
    /// More of it must be here first.
    Gather,
}

/// Why the backend is of no more use.
pub(super) enum Break {
    /// The session is over too.
    End(End),
    /// What the backend said or did.
    Lost(String),
    /// Our own settings were refused.
    Guard(Vec<u8>),
    /// The BEGIN that the client has been answered was.
    Begin(Vec<u8>),
}

impl From<End> for Break {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl Session {
    /// Reads from the backend and sends on. Tells whether anything moved.
    pub(super) fn relay(&mut self, cx: &mut Context<'_>, io: &mut Io) -> Result<bool, End> {
        if self.client.is_backed_up() && !self.flow.deaf {
            match self.client.poll_flush(cx) {
                Poll::Ready(flushed) => self.unless_leaving(flushed)?,
                // The backend waits for a client that does not read.
                Poll::Pending => return Ok(false),
            }
        }
        let Some(lease) = &mut self.lease else {
            return Ok(false);
        };
        let held = lease.inbox.len();
        if io.input.len() < held + GATHER {
            io.input.resize(held + net::READ, 0);
        }
        let room = io.input.get_mut(held..).unwrap_or_default();
        let Poll::Ready(read) = lease.link.poll_read(cx, room) else {
            return Ok(false);
        };
        let read = match read {
            Ok(0) => Err("the backend closed the connection".to_owned()),
            Ok(len) => {
                self.pool.traffic().from_backend.add(len as u64);
                Ok(len)
            }
            Err(error) => Err(error.to_string()),
        };
        let len = match read {
            Ok(len) => held + len,
            Err(why) => return self.lost(cx, &why).map(|()| true),
        };
        if held > 0 {
            if let Some(front) = io.input.get_mut(..held) {
                front.copy_from_slice(&lease.inbox);
            }
            lease.inbox.clear();
        }
        let input = io.input.get(..len).unwrap_or_default();
        let mut splice = Splice::new(input, &mut io.output);
        let walked = self.walk_replies(&mut splice);
        if let Some(lease) = &mut self.lease {
            lease.inbox.extend_from_slice(splice.rest());
        }
        let told = self.tell(cx, splice.finish());
        io.output.clear();
        match walked {
            Ok(()) => told?,
            Err(Break::End(end)) => return Err(end),
            Err(Break::Lost(why)) => {
                told?;
                self.lost(cx, &why)?;
            }
            Err(Break::Guard(error)) => {
                told?;
                self.guard_failed(cx, &error)?;
            }
            Err(Break::Begin(error)) => {
                told?;
                self.begin_failed(cx, error)?;
            }
        }
        if !self.heal() {
            self.settle()?;
        }
        Ok(true)
    }

    fn walk_replies(&mut self, splice: &mut Splice<'_>) -> Result<(), Break> {
        loop {
            let rest = splice.rest();
            if rest.is_empty() {
                return Ok(());
            }
            if self.flow.receiving > 0 {
                let len = rest.len().min(self.flow.receiving);
                if self.flow.swallowing {
                    splice.skip(len);
                } else {
                    splice.pass(len);
                }
                self.flow.receiving -= len;
                continue;
            }
            let impossible = || Break::Lost("it sent a frame of an impossible length".to_owned());
            let header = frame::peek(rest).map_err(|_| impossible())?;
            let Some(header) = header else {
                return Ok(());
            };
            if header.len > backend::LONG && !Kind::of(header.tag).may_be_long() {
                return Err(impossible());
            }
            let seen = rest.get(..header.len).unwrap_or(rest);
            let step = self.reply(header, seen, splice)?;
            match step {
                Step::Pass => splice.pass(seen.len()),
                Step::Swallow | Step::Replaced => splice.skip(seen.len()),
                Step::Gather => return Ok(()),
            }
            self.flow.receiving = header.len - seen.len();
            self.flow.swallowing = !matches!(step, Step::Pass);
        }
    }

    #[inline]
    fn reply(
        &mut self,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, Break> {
        let kind = Kind::of(header.tag);
        match kind {
            Kind::DataRow => self.row(header, seen),
            Kind::CopyData => self.by_front(),
            Kind::ParameterDescription => self.takes(header, seen),
            Kind::ReadyForQuery => self.ready(header, seen, splice),
            Kind::CommandComplete => self.complete(header, seen, splice),
            Kind::ParseComplete => self.parsed(),
            Kind::BindComplete => self.bound(),
            Kind::CloseComplete => self.done(Reply::Close),
            Kind::RowDescription | Kind::NoData => self.returns(header, seen),
            Kind::EmptyQueryResponse | Kind::PortalSuspended => match self.ledger.front() {
                Some(owed) if owed.reply == Reply::Execute => self.done(Reply::Execute),
                Some(_) | None => self.by_front(),
            },
            Kind::CopyInResponse | Kind::CopyBothResponse => {
                self.flow.copying = self.ledger.copy_begins();
                self.by_front()
            }
            Kind::CopyOutResponse | Kind::CopyDone | Kind::FunctionCallResponse => self.by_front(),
            Kind::ErrorResponse => self.error(header, seen, splice),
            Kind::ParameterStatus => self.status(header, seen),
            Kind::NotificationResponse => self.notified(header, seen, splice),
            Kind::NoticeResponse => Ok(self.notice(header, seen, splice)),
            Kind::Authentication
            | Kind::BackendKeyData
            | Kind::NegotiateProtocolVersion
            | Kind::Unknown => Err(Break::Lost(
                "it sent a message that does not belong there".to_owned(),
            )),
        }
    }

    /// Data goes to whoever is being answered.
    #[inline]
    fn by_front(&self) -> Result<Step, Break> {
        match self.ledger.front() {
            Some(owed) if owed.role.is_client() => Ok(Step::Pass),
            Some(_) => Ok(Step::Swallow),
            None => Err(Break::Lost("it answered what nobody asked".to_owned())),
        }
    }

    #[inline]
    fn row(&mut self, header: Header, seen: &[u8]) -> Result<Step, Break> {
        let step = self.by_front()?;
        if matches!(step, Step::Swallow)
            && let Some(looking) = self.ledger.front_look()
        {
            if seen.len() < header.len && header.len <= GATHER {
                return Ok(Step::Gather);
            }
            let whole = seen.len() == header.len;
            looking.see(whole.then(|| backend::body(seen)));
        }
        Ok(step)
    }

    /// The answer to the front message is complete.
    #[inline]
    fn done(&mut self, reply: Reply) -> Result<Step, Break> {
        self.settles(|owed| owed == reply)
    }

    /// The answer to the front message is complete, if it is one to such a message. If not, that
    /// message is owed its answer all the same.
    #[inline]
    fn settles(&mut self, fits: impl Fn(Reply) -> bool) -> Result<Step, Break> {
        let step = match self.ledger.front() {
            Some(owed) if !fits(owed.reply) => None,
            Some(owed) if owed.role.is_client() => Some(Step::Pass),
            Some(_) => Some(Step::Swallow),
            None => None,
        };
        let step = step.ok_or_else(|| Break::Lost("its answers are out of order".to_owned()))?;
        self.ledger.settle();
        Ok(step)
    }

    /// What a statement takes.
    fn takes(&mut self, header: Header, seen: &[u8]) -> Result<Step, Break> {
        if self.is_shaping() && header.len <= GATHER {
            if seen.len() < header.len {
                return Ok(Step::Gather);
            }
            self.shape_types(backend::body(seen));
        }
        self.by_front()
    }

    /// What a statement or portal returns, or a Query does.
    #[inline]
    fn returns(&mut self, header: Header, seen: &[u8]) -> Result<Step, Break> {
        match self.ledger.front() {
            Some(owed) if owed.reply == Reply::Describe => {}
            Some(_) | None => return self.by_front(),
        }
        if self.is_shaping() && header.len <= GATHER {
            if seen.len() < header.len {
                return Ok(Step::Gather);
            }
            if let Some(Owed {
                role: Role::Naming(Naming::Shapes(shaping)),
                ..
            }) = self.ledger.settle()
            {
                let asked = shaping.asked;
                self.shaped(*shaping, backend::body(seen));
                return Ok(if asked { Step::Pass } else { Step::Swallow });
            }
        }
        self.done(Reply::Describe)
    }

    fn is_shaping(&self) -> bool {
        matches!(
            self.ledger.front(),
            Some(Owed {
                role: Role::Naming(Naming::Shapes(_)),
                ..
            })
        )
    }

    fn parsed(&mut self) -> Result<Step, Break> {
        if let Some(Owed {
            role: Role::Naming(Naming::Registers(note)),
            ..
        }) = self.ledger.front()
        {
            note.name.statement.proven.store(true, Ordering::Relaxed);
        }
        self.try_name();
        let step = self.done(Reply::Parse)?;
        let traffic = self.pool.traffic();
        traffic.server_parses.add(1);
        if matches!(step, Step::Pass) {
            traffic.client_parses.add(1);
        }
        Ok(step)
    }

    #[inline]
    fn bound(&mut self) -> Result<Step, Break> {
        let step = self.done(Reply::Bind)?;
        if matches!(step, Step::Pass) {
            self.pool.traffic().binds.add(1);
        }
        Ok(step)
    }

    fn ready(
        &mut self,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, Break> {
        let believable = header.len == HEADER + 1;
        if seen.len() < header.len && believable {
            return Ok(Step::Gather);
        }
        let status = Status::of(backend::body(seen))
            .filter(|_| believable)
            .ok_or_else(|| Break::Lost("it reported an unknown transaction status".to_owned()))?;
        let healing = self.is_healing();
        if healing && status != Status::Idle {
            return Err(Break::Lost(
                "it began a transaction that nobody asked for".to_owned(),
            ));
        }
        let step = self.settles(Reply::ends_ready)?;
        self.flow.status = status;
        if healing && matches!(step, Step::Pass) {
            self.healing_ends();
            return Ok(Step::Swallow);
        }
        if matches!(step, Step::Pass) {
            self.has_written();
            self.request_ended();
            self.flow.unput = None;
            if let Some(watch) = &mut self.flow.watch {
                watch.answered(status);
            }
        }
        self.flow.beginning = false;
        // One of ours ahead of the client's request is not the end of that.
        if self.flow.adopted && !matches!(step, Step::Pass) && self.ledger.owes_the_client() {
            return Ok(step);
        }
        if self.listening.is_some() && matches!(step, Step::Pass) {
            self.hear_ahead(splice)?;
        }
        let adopted = std::mem::take(&mut self.flow.adopted);
        if std::mem::take(&mut self.flow.retell) {
            self.retell(splice);
        } else if adopted {
            self.tell_unreported(splice);
        }
        Ok(step)
    }

    fn complete(
        &mut self,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, Break> {
        if self.ledger.front_acts().is_some() {
            if seen.len() < header.len && header.len <= GATHER {
                return Ok(Step::Gather);
            }
            self.acted(backend::tag(backend::body(seen)));
        }
        let change = self.ledger.front().and_then(|owed| owed.role.change());
        if change.is_none() {
            self.has_written();
            if backend::changes_schema(backend::body(seen)) {
                self.shared.registry.borrow().doubt();
                self.calls.borrow_mut().forget();
                if let Some(verdicts) = &self.verdicts {
                    verdicts.doubt();
                }
            }
            let step = match self.ledger.front() {
                Some(owed) if matches!(owed.role, Role::Looks(_)) => return self.looked(),
                Some(owed) if owed.reply == Reply::Execute => self.done(Reply::Execute),
                Some(_) | None => self.by_front(),
            };
            if matches!(step, Ok(Step::Pass)) {
                self.pool.traffic().statements.add(1);
            }
            return step;
        }
        if seen.len() < header.len && header.len <= GATHER {
            return Ok(Step::Gather);
        }
        self.change(splice)
    }

    /// What the connection holds is known.
    fn looked(&mut self) -> Result<Step, Break> {
        if let Some(Owed {
            role: Role::Looks(Some(looking)),
            ..
        }) = self.ledger.settle()
        {
            self.saw(*looking);
        }
        Ok(Step::Swallow)
    }

    /// A command that changes our picture of the session has run.
    fn change(&mut self, splice: &mut Splice<'_>) -> Result<Step, Break> {
        let Some(owed) = self.ledger.settle() else {
            return self.by_front();
        };
        let Role::Naming(Naming::Changes(change)) = owed.role else {
            return self.by_front();
        };
        self.pool.traffic().statements.add(1);
        if owed.reply == Reply::Query {
            self.ledger.owe_front(Reply::Query, owed.stake);
        }
        // A connection of one's own goes back to the start-up that it was dialled with.
        let own = self.flow.keep == Keep::Pinned(pin::Reason::Startup);
        if change.effect.resets()
            && !own
            && let Some(lease) = &mut self.lease
        {
            let bare = match change.effect {
                Effect::DiscardAll => Parameters::default(),
                Effect::None
                | Effect::ResetAll
                | Effect::DeallocateAll
                | Effect::ResetAndDeallocateAll => {
                    with_identities_of(Parameters::default(), &lease.memory.wearing)
                }
            };
            lease.memory.wearing = std::sync::Arc::new(bare);
            self.flow.resetting |= self.flow.watch.is_some() && !self.identity.start.is_empty();
        }
        if matches!(change.forgets, Forgets::All) {
            // What PREPARE has made is noted as it completes: it came before.
            self.names.forget_prepared();
        }
        if change.effect == Effect::DiscardAll {
            self.flow.listens = false;
            self.stop_listening();
            if !own {
                self.unpin();
            }
        }
        match change.restores {
            Restores::Nothing if change.effect == Effect::DiscardAll => {
                self.restore(Restores::Everything, false);
            }
            Restores::Nothing => {}
            what @ (Restores::Settings | Restores::Everything) => self.restore(what, true),
        }
        match change.tag {
            Some(tag) => {
                backend::put_command_complete(splice.insert(), tag);
                Ok(Step::Replaced)
            }
            None => Ok(Step::Pass),
        }
    }

    /// The settings of the session are those of its start-up; `here`: the backend does not know.
    fn restore(&mut self, what: Restores, here: bool) {
        self.flow.resetting = false;
        if !self.has_set_nothing() {
            self.flow.retell |= here;
            let start = (*self.identity.start).clone();
            let restored = match what {
                Restores::Everything | Restores::Nothing => start,
                Restores::Settings => with_identities_of(start, &self.identity.parameters),
            };
            self.become_of(restored);
        }
    }
}
