//! From the backend to the client.

use std::{
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use super::{
    End, Io, Keep, Phase, Session,
    failed::ENDED,
    ledger::{Effect, Owed, Reply, Role, Wording},
    names, pin,
    prepared::PREFIX,
    splice::Splice,
};
use crate::backend::{MAX_STATUSES, SOMEBODYS, Statement};
use crate::net;
use crate::protocol::{
    Parameters, SqlState,
    backend::{self, Kind, Status},
    frame::{self, HEADER, Header},
    notice::{self, Severity},
};
use crate::sql::Stake;
use crate::telemetry::events;

/// Of the frames that are looked at in whole, none is longer; a longer error goes on unread.
const GATHER: usize = net::READ / 2;

/// What to do with a frame.
enum Step {
    Pass,
    Swallow,
    /// Something else has been written in its place.
    Replaced,
    /// More of it must be here first.
    Gather,
}

/// Why what was sent will not have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The first of it failed, the rest was skipped.
    Failure,
    /// The connection is gone.
    Loss,
}

/// Why the backend is of no more use.
enum Break {
    /// The session is over too.
    End(End),
    /// What the backend said or did.
    Lost(String),
    /// Our own settings were refused.
    Guard(Vec<u8>),
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
        }
        self.settle()?;
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
            // Only who listens is told, and who listens is pinned.
            Kind::NotificationResponse if self.flow.keep == Keep::No => Ok(Step::Swallow),
            Kind::NotificationResponse => Ok(Step::Pass),
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
                role: Role::Shapes(shaping),
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
                role: Role::Shapes(_),
                ..
            })
        )
    }

    fn parsed(&mut self) -> Result<Step, Break> {
        if let Some(Owed {
            role: Role::Registers(note),
            ..
        }) = self.ledger.front()
        {
            note.name.statement.proven.store(true, Ordering::Relaxed);
        }
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
        let step = self.settles(Reply::ends_ready)?;
        self.flow.status = status;
        if matches!(step, Step::Pass) {
            self.request_ended();
            if let Some(watch) = &mut self.flow.watch {
                watch.answered(status);
            }
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
        if !matches!(
            self.ledger.front(),
            Some(Owed {
                role: Role::Changes(_),
                ..
            })
        ) {
            if backend::changes_schema(backend::body(seen)) {
                self.shared.registry.borrow().doubt();
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
        let Role::Changes(change) = owed.role else {
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
            lease.memory.wearing = std::sync::Arc::default();
        }
        if change.effect == Effect::DiscardAll && !own {
            self.unpin();
        }
        if change.restores || change.effect == Effect::DiscardAll {
            self.restore(change.restores);
        }
        match change.tag {
            Some(tag) => {
                backend::put_command_complete(splice.insert(), tag);
                Ok(Step::Replaced)
            }
            None => Ok(Step::Pass),
        }
    }

    /// All settings of the session are those of its start-up; `here`: the backend does not know.
    fn restore(&mut self, here: bool) {
        self.flow.resetting = false;
        if !self.has_set_nothing() {
            self.flow.retell |= here;
            let start = (*self.identity.start).clone();
            self.become_of(start);
        }
    }

    /// Nothing is left that only this connection has, but what was sent behind.
    pub(super) fn unpin(&mut self) {
        let pinned = match self.flow.keep {
            Keep::Pinned(_) => true,
            Keep::Unsettled => false,
            Keep::No | Keep::Session => return,
        };
        let anew = self.flow.pinned_anew.take();
        if pinned {
            self.handle.set_pinned(anew, self.shared.clock.now());
        }
        if let Some(reason) = anew.filter(|_| pinned) {
            self.flow.keep = Keep::Pinned(reason);
            return;
        }
        self.flow.keep = match self.flow.watch {
            Some(_) => Keep::Unsettled,
            None => Keep::No,
        };
        // It may have an unnamed statement still, one that was too large to be remembered.
        if let Some(lease) = &mut self.lease {
            lease.memory.unnamed.get_or_insert(SOMEBODYS);
        }
    }

    fn error(
        &mut self,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, Break> {
        if seen.len() < header.len && header.len <= GATHER {
            return Ok(Step::Gather);
        }
        let body = backend::body(seen);
        if seen.len() == header.len && notice::message(body).is_none() {
            return Err(Break::Lost(
                "it reported an error without a word".to_owned(),
            ));
        }
        if notice::is_fatal(body) {
            let code = notice::sqlstate(body);
            let is_direct = !self.may_outlive() || code == Some(SqlState::PROTOCOL_VIOLATION);
            if is_direct && seen.len() == header.len {
                return Err(Break::End(self.dismissed(seen, body, splice)));
            }
            let said = notice::message(body).unwrap_or(b"it ended the connection");
            return Err(Break::Lost(String::from_utf8_lossy(said).into_owned()));
        }
        let Some(front) = self.ledger.front() else {
            return Err(Break::Lost("it reported an error unasked".to_owned()));
        };
        if matches!(front.role, Role::Guards) {
            return Err(Break::Guard(body.to_owned()));
        }
        if matches!(front.role, Role::Looks(_)) {
            let skipped = self.ledger.fail();
            self.undo(skipped, Cause::Failure);
            return Ok(Step::Swallow);
        }
        if let Role::Refuses(fault) = &front.role {
            fault.put(splice.insert(), Severity::Error);
            let skipped = self.ledger.fail();
            self.undo(skipped, Cause::Failure);
            return Ok(Step::Replaced);
        }
        if front.role.is_client() {
            self.pool.traffic().statements.add(1);
        }
        // Data that the client still sends is read over by the backend, as it is here once the
        // connection is given back.
        self.flow.copying = false;
        let wording = front.wording();
        if let Some(watch) = &mut self.flow.watch {
            watch.failed();
        }
        // A command that failed changed nothing: its ReadyForQuery is owed all the same.
        if front.reply == Reply::Query && matches!(front.role, Role::Changes(_)) {
            let failed = self.ledger.settle();
            self.undo(failed.into_iter().collect(), Cause::Failure);
            self.ledger.owe_front(Reply::Query, Stake::NONE);
        }
        let skipped = self.ledger.fail();
        self.undo(skipped, Cause::Failure);
        if notice::sqlstate(body) == Some(SqlState::FEATURE_NOT_SUPPORTED) {
            // A plan that must not change may be why.
            self.shared.registry.borrow().doubt();
        }
        if notice::sqlstate(body) == Some(SqlState::UNDEFINED_STATEMENT) {
            self.missed(body);
        }
        // Who did not cancel is told why it was.
        if self.flow.overdue && notice::sqlstate(body) == Some(SqlState::QUERY_CANCELED) {
            self.cancelled().put(splice.insert(), Severity::Error);
            return Ok(Step::Replaced);
        }
        match wording {
            Wording::Stale(types)
                if notice::sqlstate(body) == Some(SqlState::UNDEFINED_STATEMENT) =>
            {
                let out = splice.insert();
                if let Some(types) = types {
                    backend::put_parameter_description(out, &types);
                }
                notice::put_stale_plan(out);
                Ok(Step::Replaced)
            }
            Wording::Named(name) => Ok(self.rename(header, seen, Some(&name), splice)),
            Wording::Stale(_) | Wording::Plain => Ok(self.rename(header, seen, None, splice)),
        }
    }

    /// A statement of ours is gone unseen: a function has deallocated it, and others perhaps. They
    /// are not to be missed one by one, by whoever has the connection next.
    fn missed(&mut self, body: &[u8]) {
        let message = notice::message(body).unwrap_or_default();
        let at = notice::find(message, PREFIX);
        let from = at.and_then(|at| message.get(at..)).unwrap_or_default();
        let (name, _) = names::said(from);
        if let Some(lease) = &mut self.lease
            && lease.memory.lose(name)
        {
            self.flow.tainted = true;
        }
    }

    /// The backend ends the client's session, as it would without us: what was lost is the
    /// session's own, or the client broke the protocol.
    fn dismissed(&mut self, seen: &[u8], body: &[u8], splice: &mut Splice<'_>) -> End {
        splice.pass(seen.len());
        let said = String::from_utf8_lossy(notice::message(body).unwrap_or_default()).into_owned();
        if let Some(lease) = self.lease.take() {
            events::connection_lost(&self.pool.key().backend, lease.pid, &said);
        }
        End::Dismissed(said)
    }

    /// None of these will have been done: what they promised is taken back.
    pub(super) fn undo(&mut self, owed: Vec<Owed>, cause: Cause) {
        // Backwards: what was changed twice is to be what it was before the first time.
        for (at, owed) in owed.into_iter().enumerate().rev() {
            let failed = at == 0 && cause == Cause::Failure;
            match owed.role {
                Role::Registers(note) => {
                    let name = note.name;
                    self.names.remove_if(&name.name, &name.statement);
                    // Skipped together with the Close before it, the old one is still there.
                    if failed || !note.again {
                        self.forget_upstream(&name.statement);
                    }
                }
                Role::RegistersUnnamed(number, former) => {
                    if self.names.is_unnamed(number) {
                        match former.filter(|_| !failed) {
                            Some(former) => self.names.restore(*former),
                            None => self.names.forget_unnamed(),
                        }
                    }
                    self.unnamed_missing(number, failed);
                }
                Role::SuppliesUnnamed(number) => {
                    if failed && self.names.is_unnamed(number) {
                        self.names.forget_unnamed();
                    }
                    self.unnamed_missing(number, failed);
                }
                Role::DropsUnnamed(former) => {
                    if self.names.undrop(*former)
                        && let Some(lease) = &mut self.lease
                    {
                        lease.memory.unnamed.get_or_insert(SOMEBODYS);
                    }
                }
                Role::Supplies(statement) => self.forget_upstream(&statement),
                Role::Forgets(name) => self.names.insert(name.name, name.statement),
                Role::Changes(change) => {
                    self.flow.resetting &= !change.restores;
                    if change.effect == Effect::DiscardAll {
                        self.watch_everything();
                    }
                    self.remember(change.forgotten);
                }
                Role::Looks(Some(looking)) if cause == Cause::Failure => self.saw_nothing(&looking),
                Role::Client
                | Role::Named(_)
                | Role::Shapes(_)
                | Role::Stale(_)
                | Role::Refuses(_)
                | Role::Guards
                | Role::Looks(_)
                | Role::Ours => {}
            }
        }
    }

    /// A Parse that fails drops the unnamed statement before; a skipped one leaves it, whosever
    /// it is.
    fn unnamed_missing(&mut self, number: u32, failed: bool) {
        let own = Some((self.handle.id, number));
        if let Some(lease) = &mut self.lease
            && lease.memory.unnamed == own
        {
            lease.memory.unnamed = (!failed).then_some(SOMEBODYS);
        }
    }

    /// A Close ahead of its Parse may have been skipped as well: what that was to close is closed
    /// ahead of the next request.
    fn forget_upstream(&mut self, statement: &Statement) {
        if let Some(lease) = &mut self.lease {
            lease.memory.remove(statement.id);
            lease.memory.litter(statement.name.as_slice().into());
        }
    }

    /// A message that shows a name of ours shows the client's instead: the one that it `meant`,
    /// where a statement has several.
    fn rename(
        &self,
        header: Header,
        seen: &[u8],
        meant: Option<&[u8]>,
        splice: &mut Splice<'_>,
    ) -> Step {
        let whole = seen.len() == header.len;
        let Some(at) = notice::find(seen, PREFIX).filter(|_| whole) else {
            return Step::Pass;
        };
        let (said, ours) = names::said(seen.get(at..).unwrap_or_default());
        let theirs = match ours {
            false => Some(PREFIX),
            true => meant.or_else(|| self.client_name(said)),
        };
        let Some(theirs) = theirs else {
            return Step::Pass;
        };
        notice::put_renamed(splice.insert(), seen, said, theirs);
        Step::Replaced
    }

    /// What the client called this statement when it last sent something that is being answered:
    /// a name that it has given up since, rather than one that it has made since.
    fn client_name(&self, upstream: &[u8]) -> Option<&[u8]> {
        let is_old = |name: &[u8]| !self.ledger.is_registering(name);
        let known = self.names.client_name(upstream, is_old);
        known
            .or_else(|| self.ledger.closed(upstream))
            .or_else(|| self.names.client_name(upstream, |_| true))
    }

    fn notice(&mut self, header: Header, seen: &[u8], splice: &mut Splice<'_>) -> Step {
        if seen.len() < header.len && header.len <= GATHER {
            return Step::Gather;
        }
        match self.ledger.front() {
            Some(owed) if !owed.role.is_client() => Step::Swallow,
            // The end of a transaction that was lost: the client has had one.
            Some(Owed {
                role: Role::Changes(change),
                ..
            }) if change.tag == Some(ENDED)
                && notice::sqlstate(backend::body(seen))
                    == Some(SqlState::NO_ACTIVE_TRANSACTION) =>
            {
                Step::Swallow
            }
            Some(_) | None => self.rename(header, seen, None, splice),
        }
    }

    /// A reported setting is told when it differs from what the client was last told, whoever
    /// caused the report.
    fn status(&mut self, header: Header, seen: &[u8]) -> Result<Step, Break> {
        if seen.len() < header.len && header.len <= GATHER {
            return Ok(Step::Gather);
        }
        let body = seen.get(HEADER..).unwrap_or_default();
        let Some((name, value)) = backend::parameter_status(body) else {
            return Ok(Step::Pass);
        };
        if let Some(lease) = &mut self.lease {
            lease.statuses.set(name, value);
            if lease.statuses.len() > MAX_STATUSES {
                return Err(Break::Lost("it reports settings without an end".to_owned()));
            }
        }
        let former = self.identity.told.get(name);
        if former == Some(value) {
            return Ok(Step::Swallow);
        }
        // What a transaction has set is undone should it be lost.
        if self.flow.keep == Keep::No
            && let Some(former) = former
            && self.flow.reports.get(name).is_none()
        {
            self.flow.reports.set(name, former);
        }
        if name == b"application_name" {
            self.handle.rename(value);
        }
        std::rc::Rc::make_mut(&mut self.identity.told).set(name, value);
        Ok(Step::Pass)
    }

    /// The server reports at ReadyForQuery what is not as it last reported. A request that sets
    /// what the settings ahead of it have just taken away changes nothing in its eyes; the client
    /// is told all the same.
    fn tell_unreported(&mut self, splice: &mut Splice<'_>) {
        let Some(lease) = &self.lease else {
            return;
        };
        let told = &mut self.identity.told;
        for (name, value) in lease.statuses.iter() {
            if told.get(name) != Some(value) && !backend::is_backends_own(name) {
                backend::put_parameter_status(splice.insert(), name, value);
                if name == b"application_name" {
                    self.handle.rename(value);
                }
                std::rc::Rc::make_mut(told).set(name, value);
            }
        }
    }

    /// Settings that were taken back here alone: the client is told, as the server would.
    fn retell(&mut self, splice: &mut Splice<'_>) {
        let first = std::rc::Rc::clone(&self.identity.told_first);
        for (name, value) in first.iter() {
            if self.identity.told.get(name) == Some(value) || backend::is_backends_own(name) {
                continue;
            }
            backend::put_parameter_status(splice.insert(), name, value);
            if name == b"application_name" {
                self.handle.rename(value);
            }
            std::rc::Rc::make_mut(&mut self.identity.told).set(name, value);
        }
    }

    /// After a read: gives the connection back when nothing holds it.
    pub(super) fn settle(&mut self) -> Result<(), End> {
        let Some(lease) = &self.lease else {
            return Ok(());
        };
        if !self.ledger.is_empty() {
            return Ok(());
        }
        // Half a message that nobody asked for is not waited for, with a connection that others
        // could have.
        let half = !lease.inbox.is_empty();
        let spoilt = half && self.flow.keep == Keep::No && self.is_idle();
        if !self.is_idle() || (half && !spoilt) || lease.link.is_backed_up() {
            let outside = self.flow.status == Status::Idle;
            self.enter(if outside {
                Phase::Active
            } else {
                Phase::InTransaction
            });
            return self.leave_if_wished();
        }
        self.flow.overdue = false;
        self.flow.cancelled = false;
        self.flow.changes.clear();
        self.flow.pinned_anew = None;
        self.names.forget_before();
        self.flow.tainted |= spoilt;
        self.enter(Phase::Idle);
        if self.flow.keep == Keep::No {
            self.give_back();
        }
        self.leave_if_wished()
    }

    pub(super) fn leave_if_wished(&self) -> Result<(), End> {
        let told = self.flow.deaf || !self.client.is_backed_up();
        // A COPY would wait for ever for data, and a batch or a skip for its Sync.
        if self.flow.leaving && told && (self.flow.copying || !self.ledger.is_behind()) {
            return Err(End::Terminated);
        }
        if self.flow.draining && self.is_idle() {
            return Err(super::Fault::Shutdown.into());
        }
        Ok(())
    }

    /// Releases a clean connection; one that is not clean is closed.
    pub(super) fn give_back(&mut self) {
        let Some(mut lease) = self.lease.take() else {
            return;
        };
        if !self.flow.reports.is_empty() {
            self.flow.reports = Parameters::default();
        }
        if std::mem::take(&mut self.flow.tainted) {
            return;
        }
        if self.identity.home.is_none_or(|home| home.id != lease.id) {
            self.move_house(&lease);
        }
        if self.cancels.is_under_way() || self.cancels.may_come() {
            std::mem::take(&mut self.cancels).release_later(lease);
            return;
        }
        lease.inbox = Vec::new();
        lease.release();
    }

    /// Where the home is gone, this connection becomes the new one.
    fn move_house(&mut self, lease: &crate::pool::Lease) {
        let living = |home: crate::pool::Home| self.pool.is_alive(home);
        if self.identity.home.is_some_and(living) {
            return;
        }
        self.identity.home = self.pool.settle_at(lease.id);
        self.identity.cherished = false;
    }
}
