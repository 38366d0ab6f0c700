//! From the client to the backend.

use std::task::{Context, Poll};

use super::{
    End, Fault, Io, Phase, PoolMode, Session, fault, ledger::Reply, refuse::begins, role::Role,
    splice::Splice,
};
use crate::protocol::{
    frame::{self, Header},
    frontend::{self, Kind},
};

/// A frame up to this size is looked at in whole; of a larger one only the beginning is.
pub(super) const GATHER: usize = 256 * 1024;
/// So much of a FunctionCall says which function it is.
const NUMBERED: usize = frame::HEADER + 4;
/// What a client may send ahead while its request waits for a connection.
const HELD: usize = 64 * 1024;
/// What may lie ready for a client that does not read.
const UNREAD: usize = 1024 * 1024;

/// Messages whose answers may be outstanding: a client that asks on and on and never reads waits,
/// instead of having all of it noted.
const UNANSWERED: usize = 16 * 1024;

/// What to do with a frame.
pub(super) enum Step {
    /// It goes on as it is.
    Pass,
    /// It goes nowhere.
    Drop,
    /// Something else has been written in its place; so many bytes of it are used up, what is
    /// missing of it follows as it comes.
    Replaced(usize),
    /// More of it must be here first.
    Gather,
    /// More must be here behind it.
    More,
    /// It must wait for a connection.
    Wait,
    /// It must wait for the answers to earlier ones.
    Hold,
}

impl Session {
    /// Reads from the client and sends on. Tells whether anything moved.
    pub(super) fn forward(&mut self, cx: &mut Context<'_>, io: &mut Io) -> Result<bool, End> {
        if let Some(lease) = &mut self.lease
            && lease.link.is_backed_up()
        {
            // A broken pipe shows where the backend's last words are read.
            if lease.link.poll_flush(cx).is_pending() {
                return Ok(self.turn_away());
            }
        }
        if self.flow.syncs > 0 && !self.flow.copying {
            self.send_syncs(cx)?;
        }
        if self.flow.leaving {
            self.leave_if_wished()?;
            return Ok(false);
        }
        if self.client.is_backed_up() && self.client.backlog() > UNREAD {
            // Others wait for the connection that would lie idle here. Queues again when it reads.
            self.flow.resume |= self.ticket.take().is_some();
            return Ok(self.turn_away());
        }
        // What the backend answers makes room, and leads back here.
        if self.ledger.len() > UNANSWERED || self.is_healing() {
            return Ok(false);
        }
        if self.collect_lease(cx) {
            self.process_held(cx, &mut io.output)?;
            return Ok(true);
        }
        let waits = self.ticket.is_some() || self.flow.holding || self.is_stranded();
        if waits && self.inbox.len() >= HELD {
            return Ok(self.turn_away());
        }
        let Poll::Ready(read) = self.client.poll_read(cx, &mut io.input) else {
            return Ok(false);
        };
        let input = match read {
            // What came before a good-bye is served, though it has to wait.
            Ok(0) if waits && says_good_bye(&self.inbox) => return Ok(false),
            Ok(0) => return Err(End::Gone),
            Ok(len) => {
                self.pool.traffic().from_client.add(len as u64);
                io.input.get(..len).unwrap_or_default()
            }
            Err(error) => return Err(End::Client(error)),
        };
        self.flow.looks = 0;
        if self.inbox.is_empty() {
            self.process(cx, input, &mut io.output)?;
        } else {
            self.inbox.extend_from_slice(input);
            if !waits && self.inbox.len() >= self.flow.needed {
                self.process_held(cx, &mut io.output)?;
            }
        }
        Ok(true)
    }

    /// Nothing is read from the client now, so its end would not be seen: it is looked for by the
    /// clock. False: nothing moved.
    fn turn_away(&self) -> bool {
        self.shared.sessions.look_after(&self.handle);
        false
    }

    /// Takes the connection that the request has waited for. True when it need not wait longer.
    fn collect_lease(&mut self, cx: &mut Context<'_>) -> bool {
        if std::mem::take(&mut self.flow.resume) {
            return true;
        }
        let Some(ticket) = &self.ticket else {
            return false;
        };
        let Poll::Ready(result) = ticket.poll(cx) else {
            return false;
        };
        self.ticket = None;
        match result {
            Ok(lease) => self.hold(lease),
            Err(refusal) => self.refused(refusal),
        }
        true
    }

    /// Decides on what was held.
    fn process_held(&mut self, cx: &mut Context<'_>, output: &mut Vec<u8>) -> Result<(), End> {
        let held = std::mem::take(&mut self.inbox);
        let result = self.process(cx, &held, output);
        self.shared.scratch.put_spare(held);
        result
    }

    /// Decides on every frame in `input`, sends what goes on in one write, keeps the rest.
    fn process(
        &mut self,
        cx: &mut Context<'_>,
        input: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), End> {
        let mut splice = Splice::new(input, output);
        let result = self.walk(cx, &mut splice);
        let rest = splice.rest();
        if !rest.is_empty() {
            if self.inbox.capacity() == 0 {
                self.inbox = self.shared.scratch.take_spare();
            }
            self.inbox.extend_from_slice(rest);
        }
        let bytes = splice.finish();
        if !bytes.is_empty()
            && let Some(lease) = &mut self.lease
        {
            self.pool.traffic().to_backend.add(bytes.len() as u64);
            // A broken pipe shows where the backend's last words are read.
            lease.link.send(cx, bytes).ok();
        }
        output.clear();
        result
    }

    fn walk(&mut self, cx: &mut Context<'_>, splice: &mut Splice<'_>) -> Result<(), End> {
        loop {
            let rest = splice.rest();
            if rest.is_empty() {
                return Ok(());
            }
            if self.flow.sending > 0 {
                self.go_on(splice, rest.len());
                continue;
            }
            let Some(header) = frame::peek(rest).map_err(|_| Fault::Protocol)? else {
                self.flow.needed = frame::HEADER;
                return Ok(());
            };
            self.check_size(header)?;
            let seen = rest.get(..header.len).unwrap_or(rest);
            let step = self.message(cx, header, seen, splice)?;
            if matches!(step, Step::Pass | Step::Drop | Step::Replaced(_)) {
                self.keep_sent(Kind::of(header.tag), seen, seen.len() == header.len);
            }
            match step {
                Step::Pass => {
                    splice.pass(seen.len());
                    self.flow.sending = header.len - seen.len();
                    self.flow.dropping = false;
                }
                Step::Drop => {
                    splice.skip(seen.len());
                    self.flow.sending = header.len - seen.len();
                    self.flow.dropping = true;
                }
                Step::Replaced(used) => {
                    splice.skip(used);
                    self.flow.sending = header.len - used;
                    self.flow.dropping = false;
                }
                Step::Gather => {
                    self.flow.needed = header.len.min(GATHER);
                    return Ok(());
                }
                Step::More => {
                    self.flow.needed = rest.len() + 1;
                    return Ok(());
                }
                Step::Wait => {
                    self.flow.needed = 0;
                    return Ok(());
                }
                Step::Hold => {
                    if self.ledger.is_open() {
                        // Or the backend would keep the answers to itself.
                        splice.insert().extend_from_slice(frontend::FLUSH);
                    }
                    self.flow.holding = true;
                    self.flow.needed = 0;
                    return Ok(());
                }
            }
            if self.flow.leaving {
                splice.skip(splice.rest().len());
                return Ok(());
            }
        }
    }

    /// Lets the next part of a large frame follow its beginning.
    fn go_on(&mut self, splice: &mut Splice<'_>, here: usize) {
        let len = here.min(self.flow.sending);
        if self.flow.dropping {
            splice.skip(len);
        } else {
            splice.pass(len);
        }
        self.flow.sending -= len;
    }

    fn check_size(&self, header: Header) -> Result<(), End> {
        let limit = self.settings.max_message_size;
        if limit > 0 && header.len as u64 > limit + 1 {
            let len = header.len;
            let database = fault::database(&self.pool);
            return Err(Fault::MessageTooLarge {
                database,
                len,
                limit,
            }
            .into());
        }
        Ok(())
    }

    #[inline]
    fn message(
        &mut self,
        cx: &mut Context<'_>,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, End> {
        let kind = Kind::of(header.tag);
        if self.flow.refusing {
            return self.refuse_up_to_sync(cx, kind);
        }
        if self.flow.failed.is_some() {
            let step = self.answer_failed(cx, header, seen, splice)?;
            return self.unless_denied(cx, kind, step);
        }
        if self.settings.pool_mode == PoolMode::Statement && begins(kind, seen) {
            return self.refuse_transaction(cx, kind, splice);
        }
        if self.flow.copying && !kind.belongs_to_copy() {
            // The server's own refusal ends the connection, and the session with it.
            return Ok(Step::Pass);
        }
        if self.flow.resetting && kind.asks() && self.is_resetting() {
            // It is to run with the settings that are being taken back.
            return Ok(Step::Hold);
        }
        if let Some(step) = self.direct(kind, header, seen, splice.rest()) {
            return Ok(step);
        }
        let step = match kind {
            Kind::Query => self.query(cx, header, seen, splice)?,
            Kind::Parse => self.parse(cx, header, seen, splice)?,
            Kind::Bind => self.bind(cx, header, seen, splice)?,
            Kind::Describe => self.describe(header, seen, splice),
            Kind::Execute => self.execute(header, seen, splice),
            Kind::Close => self.close(header, seen, splice),
            // With a body that does not belong there, both are for the server to refuse.
            Kind::Sync if self.is_odd(header) => self.plain(Reply::Sync, splice),
            Kind::Flush if self.is_odd(header) => self.plain(Reply::Describe, splice),
            Kind::Sync => self.sync(cx)?,
            Kind::FunctionCall if seen.len() < header.len.min(NUMBERED) => Step::Gather,
            Kind::FunctionCall => self.function_call(seen, splice),
            Kind::Flush => self.pass_if_leased(),
            Kind::CopyData => {
                self.flow.syncs = 0;
                self.pass_if_leased()
            }
            Kind::CopyDone | Kind::CopyFail => {
                self.flow.syncs = 0;
                if !std::mem::take(&mut self.flow.copying) {
                    self.ledger.copy_ends();
                }
                self.pass_if_leased()
            }
            Kind::Terminate => {
                self.flow.leaving = true;
                Step::Drop
            }
            Kind::Authentication | Kind::Unknown => return Err(Fault::Protocol.into()),
        };
        let step = self.unless_denied(cx, kind, step)?;
        self.directed(&step);
        Ok(step)
    }

    #[inline]
    fn unless_denied(&mut self, cx: &mut Context<'_>, kind: Kind, step: Step) -> Result<Step, End> {
        if self.denied.is_some() && matches!(step, Step::Wait) {
            return self.refuse(cx, kind);
        }
        Ok(step)
    }

    /// Whether a message that has no body comes with one. In a COPY the server reads over it.
    fn is_odd(&self, header: Header) -> bool {
        header.len > frame::HEADER && !self.flow.copying
    }

    fn pass_if_leased(&self) -> Step {
        match self.lease {
            Some(_) => Step::Pass,
            // As the server does outside of a COPY.
            None => Step::Drop,
        }
    }

    fn sync(&mut self, cx: &mut Context<'_>) -> Result<Step, End> {
        if self.lease.is_none() {
            self.tell_ready(cx, Vec::new())?;
            return Ok(Step::Drop);
        }
        if self.flow.copying {
            self.flow.syncs = self.flow.syncs.saturating_add(1);
            return Ok(Step::Drop);
        }
        self.ledger.owe(Reply::Sync, Role::Client);
        self.enter(Phase::Active);
        Ok(Step::Pass)
    }

    /// The COPY that the client sent Syncs in has failed before it got to them.
    fn send_syncs(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        for _ in 0..std::mem::take(&mut self.flow.syncs) {
            if matches!(self.sync(cx)?, Step::Pass)
                && let Some(lease) = &mut self.lease
            {
                // A broken pipe shows where the backend's last words are read.
                lease.link.send(cx, frontend::SYNC).ok();
            }
        }
        Ok(())
    }
}

/// Whether a Terminate is among the whole frames.
pub(super) fn says_good_bye(mut frames: &[u8]) -> bool {
    while let Ok(Some(header)) = frame::peek(frames) {
        if Kind::of(header.tag) == Kind::Terminate {
            return true;
        }
        frames = frames.get(header.len..).unwrap_or_default();
    }
    false
}
