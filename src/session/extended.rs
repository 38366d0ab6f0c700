//! The messages of the extended protocol that name statements and portals.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Context,
};

use super::{
    End, Session, acts,
    change::Change,
    forward::{GATHER, Step},
    ledger::Reply,
    names, pin,
    replay::Need,
    request::must_gather,
    role::{Name, Naming, Registers, Role},
    splice::Splice,
    substitute::DISCARD_ALL,
    supply::Supply,
};
use crate::backend::Statement;
use crate::protocol::{
    backend,
    frame::{HEADER, Header},
    frontend::{self, Kind, Target},
};
use crate::sql::{Reading, Touches};

/// A name that no statement has: it is neither ours nor one that a client's becomes.
const NOBODYS: &[u8] = b"_ambassador_nobody";

impl Session {
    pub(super) fn parse(
        &mut self,
        cx: &mut Context<'_>,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, End> {
        if self.parse_unattended(cx, header, seen, splice)? {
            return Ok(Step::Drop);
        }
        self.parse_attended(cx, header, seen, splice)
    }

    /// A program that prepares on one connection while it holds transactions on others, all from
    /// one thread, would never see the end of the queue if it had to wait in it: pgbench does.
    /// Where all connections are in use, a lone Parse and Sync of a text that a backend has
    /// accepted already are answered from that knowledge. Tells whether they were.
    fn parse_unattended(
        &mut self,
        cx: &mut Context<'_>,
        header: Header,
        seen: &[u8],
        splice: &Splice<'_>,
    ) -> Result<bool, End> {
        let behind = splice.rest().get(header.len..);
        let unattended = self.lease.is_none()
            && self.denied.is_none()
            && behind == Some(frontend::SYNC)
            && !self.is_verbatim()
            && !self.pool.has_idle();
        let message = frontend::parse(seen.get(HEADER..).unwrap_or_default());
        let Some((name, rest)) = message.filter(|(name, _)| unattended && !name.is_empty()) else {
            return Ok(false);
        };
        let registry = self.shared.registry.borrow_mut();
        let known = registry.known(self.identity.scope, rest);
        drop(registry);
        let Some(statement) = known.filter(|one| one.proven.load(Ordering::Relaxed)) else {
            return Ok(false);
        };
        let name = names::key(name);
        let reading = &statement.reading;
        let is_taken = self.names.any(name).is_some();
        if is_taken || pin::reason(reading).is_some() || acts::names_any(reading) {
            return Ok(false);
        }
        self.names.insert(name.into(), statement);
        // Where the batch was looked at as a whole.
        self.flow.reading = None;
        self.pool.traffic().client_parses.add(1);
        self.tell(cx, backend::PARSE_COMPLETE)?;
        Ok(true)
    }

    fn parse_attended(
        &mut self,
        cx: &mut Context<'_>,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, End> {
        if must_gather(header, seen) {
            return Ok(Step::Gather);
        }
        let whole = seen.len() == header.len;
        let message = frontend::parse(seen.get(HEADER..).unwrap_or_default());
        let (name, rest) = message.unwrap_or_default();
        let text = frontend::text(rest);
        let reading = self.read(text, whole);
        if self.names_open(&reading, text) {
            self.flow.reading = Some(reading);
            return Ok(Step::Hold);
        }
        if name.is_empty()
            && let Some(step) = self.defer_parsed(cx, &reading, rest, splice)?
        {
            return Ok(step);
        }
        if whole && let Some(step) = self.show_last_parsed(cx, &reading, (name, rest), splice)? {
            return Ok(step);
        }
        Ok(self.parse_read(header, seen, reading, splice))
    }

    fn parse_read(
        &mut self,
        header: Header,
        seen: &[u8],
        reading: Reading,
        splice: &mut Splice<'_>,
    ) -> Step {
        let whole = seen.len() == header.len;
        let message = frontend::parse(seen.get(HEADER..).unwrap_or_default());
        let (name, rest) = message.unwrap_or_default();
        let text = frontend::text(rest);
        if self.must_adopt_first(&reading) {
            self.flow.reading = Some(reading);
            return Step::Hold;
        }
        let stated = |_: &Self| text.to_owned();
        if let Some(step) = self.heed_own(Kind::Parse, &reading, stated, splice) {
            return step;
        }
        // What cannot be prepared again elsewhere keeps the session here; so does a name whose
        // end may be too far away for a Bind to find it.
        let shared = self.pool.settings().prepared_statements > 0;
        let stays = !whole || name.len() > GATHER / 2 || (!shared && !name.is_empty());
        if stays && let Some(step) = self.forbid_pin(Kind::Parse, pin::Reason::Statement, splice) {
            return step;
        }
        if !self.begin(&reading, splice) {
            self.flow.reading = Some(reading);
            return Step::Wait;
        }
        if !self.will_run() {
            return Step::Pass;
        }
        if self.is_verbatim() || (whole && message.is_none()) {
            // Its Binds will not be known for what they are.
            self.count_judged();
            self.ledger.owe(Reply::Parse, Role::Client);
            return Step::Pass;
        }
        if stays {
            self.pin(match whole {
                true => pin::Cause::of(pin::Reason::Statement, frontend::text(rest)),
                false => pin::Cause::unwritten(pin::Reason::Statement),
            });
            self.count_judged();
            if message.is_some() && name.is_empty() {
                self.names.forget_unnamed();
                if let Some(lease) = &mut self.lease {
                    lease.memory.unnamed = None;
                }
            }
            self.ledger.owe(Reply::Parse, Role::Client);
            return Step::Pass;
        }
        self.put_executed(&reading, text, splice);
        if name.is_empty() {
            return self.parse_unnamed(rest, reading);
        }
        self.parse_named(name, rest, seen, splice)
    }

    fn parse_unnamed(&mut self, rest: &[u8], reading: Reading) -> Step {
        // Only in a batch that has begun can an earlier error skip it.
        let skippable = self.ledger.is_open();
        if skippable && self.is_open_what(b"", None) {
            self.flow.reading = Some(reading);
            return Step::Hold;
        }
        let former = skippable.then(|| Box::new(self.names.former()));
        let judged = self.flow.judged.take();
        let number = self.names.set_unnamed(rest, reading, judged);
        if let Some(lease) = &mut self.lease {
            lease.memory.unnamed = Some((self.handle.id, number));
        }
        self.ledger
            .owe(Reply::Parse, Naming::RegistersUnnamed(number, former));
        Step::Pass
    }

    /// A client's own Parse runs once for real and in its place: what it says of the text is
    /// true now, whatever an earlier one of another client found.
    fn parse_named(
        &mut self,
        written: &[u8],
        rest: &[u8],
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Step {
        let name = names::key(written);
        let mut registry = self.shared.registry.borrow_mut();
        let statement = registry.statement(self.identity.scope, rest);
        drop(registry);
        if self.is_open_what(name, Some(&statement)) {
            return Step::Hold;
        }
        if self.names.any(name).is_some() {
            return self.parse_again(written, rest, seen, splice);
        }
        let Some(lease) = &mut self.lease else {
            return Step::Wait;
        };
        let out = splice.insert();
        let again = lease.memory.has(statement.id);
        if again || lease.memory.take_from_litter(&statement.name) {
            frontend::put_close_statement(out, &statement.name);
            self.ledger.owe(Reply::Close, Role::Ours);
        }
        frontend::put_parse(out, &statement.name, rest);
        lease.memory.add(&statement);
        let judged = self.flow.judged.take();
        self.names
            .insert_judged(name.into(), Arc::clone(&statement), judged);
        let name = Name {
            name: name.into(),
            statement,
            sql: None,
        };
        let statement = Arc::clone(&name.statement);
        let role = Naming::Registers(Box::new(Registers { name, again }));
        self.ledger.owe(Reply::Parse, role);
        let next = splice.rest().get(seen.len()..).unwrap_or_default();
        self.ask_shape(written, &statement, next, splice);
        Step::Replaced(seen.len())
    }

    /// A Parse of a name that is taken: the backend is made to have a statement of that very
    /// name, so that the error is the server's own and in its place.
    fn parse_again(
        &mut self,
        name: &[u8],
        rest: &[u8],
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Step {
        self.clear_away(name, splice);
        let name = names::upstream(name);
        let key = names::key(&name);
        let there = self.lease.as_ref().and_then(|one| one.memory.own(key));
        if there.as_ref().is_some_and(Option::is_some) {
            self.ledger.owe(Reply::Parse, Role::Client);
            return Step::Pass;
        }
        let out = splice.insert();
        if there.is_some() {
            // Perhaps what nobody has any more: ours would not fit beside it.
            frontend::put_close_statement(out, &name);
            self.ledger.owe(Reply::Close, Role::Ours);
            if let Some(lease) = &mut self.lease {
                lease.memory.disown(key);
            }
        }
        frontend::put_parse(out, &name, &frontend::parse_rest(b""));
        frontend::put_parse(out, &name, rest);
        self.ledger.owe(Reply::Parse, Role::Ours);
        self.ledger.owe(Reply::Parse, Role::Client);
        if let Some(lease) = &mut self.lease {
            // A Close may be shorter than a Parse; the server knows the name by its beginning.
            lease.memory.litter(names::key(&name).into());
        }
        Step::Replaced(seen.len())
    }

    /// Closes what an earlier [`Self::parse_again`] of the same pipeline has left under the
    /// client's own name. The close may be skipped, so the name stays noted.
    fn clear_away(&mut self, name: &[u8], splice: &mut Splice<'_>) {
        let name = names::upstream(name);
        if let Some(lease) = &self.lease
            && lease.memory.is_litter(names::key(&name))
        {
            frontend::put_close_statement(splice.insert(), &name);
            self.ledger.owe(Reply::Close, Role::Ours);
        }
    }

    pub(super) fn bind(
        &mut self,
        cx: &mut Context<'_>,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, End> {
        let body = seen.get(HEADER..).unwrap_or_default();
        let message = frontend::bind(body);
        if message.is_none() && must_gather(header, seen) {
            return Ok(Step::Gather);
        }
        let (portal, written, rest) = message.unwrap_or_default();
        let name = names::key(written);
        let (statement, judged) = self.names.named(name);
        if self.is_open_what(name, statement.as_ref()) {
            return Ok(Step::Hold);
        }
        let reading = self.reading_of(name, statement.as_ref());
        if let Some(step) = self.defer_bound(cx, &reading, written, splice)? {
            return Ok(step);
        }
        if let Some(step) = self.show_last_bound(cx, &reading, written, splice)? {
            return Ok(step);
        }
        let text = self.naming_text(&reading, name);
        let waits = self.must_not_overtake(&reading) || self.must_adopt_first(&reading);
        if waits || self.names_open(&reading, &text) {
            return Ok(Step::Hold);
        }
        let stated = |session: &Self| session.text_of(name).to_owned();
        if let Some(step) = self.heed_own(Kind::Bind, &reading, stated, splice) {
            return Ok(step);
        }
        let judged_by = (name, statement.as_ref(), judged.as_ref());
        if let Some(step) = self.forbid_hinted_bound(judged_by, splice) {
            return Ok(step);
        }
        let full = self.in_full(reading, &text, true);
        let stated = |session: &Self| session.text_of(name).to_owned();
        if let Some(step) = self.forbid(Kind::Bind, &full, stated, splice) {
            return Ok(step);
        }
        if !self.begin(&full, splice) {
            return Ok(Step::Wait);
        }
        if !self.will_run() {
            return Ok(Step::Pass);
        }
        if self.verdicts.is_some() {
            self.count_bound(name, statement.as_ref(), judged);
        }
        if self.is_verbatim() || message.is_none() {
            self.ledger.owe(Reply::Bind, Role::Client);
            return Ok(Step::Pass);
        }
        self.put_named(&reading, &full, &text, splice);
        self.flow.changes.retain(|(bound, _)| **bound != *portal);
        let missing = header.len - seen.len();
        if let Some(text) = self.bind_substitute(&reading, portal, name) {
            if reading.touches.any(Touches::DISCARD) {
                self.give_up_sequences();
            }
            let mut registry = self.shared.registry.borrow_mut();
            let rest_of_text = frontend::parse_rest(&text);
            let statement = registry.statement(self.identity.scope, &rest_of_text);
            drop(registry);
            // It returns no rows, so it is never held up.
            self.supply(&statement, splice);
            frontend::put_bind_head(splice.insert(), portal, &statement.name, rest, missing);
            self.ledger.owe(Reply::Bind, Role::Named(name.into()));
            return Ok(Step::Replaced(seen.len()));
        }
        let acts = self.acts(&reading, &text, true);
        if !acts.is_empty() {
            let change = Change::acting(acts);
            self.flow.changes.push((portal.into(), change));
        }
        self.touch_bound(&full, name);
        if full.touches.any(Touches::SETTING) {
            self.watch_values(rest);
        }
        self.use_sequences(&full, splice);
        let Some(statement) = statement else {
            // Unnamed, prepared in SQL, or unknown: the server says 26000 of the client's own name.
            self.own(name, Need::Itself, splice);
            self.supply_unnamed(name, splice);
            self.clear_away(written, splice);
            self.ledger.owe(Reply::Bind, Role::Client);
            if !names::is_ours(name) {
                return Ok(Step::Pass);
            }
            let name = names::upstream(written);
            frontend::put_bind_head(splice.insert(), portal, &name, rest, missing);
            return Ok(Step::Replaced(seen.len()));
        };
        let supply = match acts::shows(&full) && !names::is_ours(name) {
            true => Supply::Shown,
            false => self.supply(&statement, splice),
        };
        let (upstream, role) = match supply {
            Supply::Asked => return Ok(Step::Hold),
            Supply::Shown => (name, Role::Client),
            Supply::Stale => (NOBODYS, Role::Stale(statement.clone())),
            Supply::Ready => (statement.name.as_slice(), self.meant(name)),
        };
        frontend::put_bind_head(splice.insert(), portal, upstream, rest, missing);
        self.ledger.owe(Reply::Bind, role);
        Ok(Step::Replaced(seen.len()))
    }

    /// What to bind in place of the statement named, where running that would harm others. Notes
    /// what executing the portal will change.
    fn bind_substitute(
        &mut self,
        reading: &Reading,
        portal: &[u8],
        name: &[u8],
    ) -> Option<Vec<u8>> {
        let text = match self.names.get(name) {
            Some(statement) => frontend::text(&statement.rest),
            None => frontend::text(self.names.unnamed_rest()),
        };
        let substitute = self.substitute(reading, text)?;
        self.flow.changes.push((portal.into(), substitute.change));
        substitute.text
    }

    pub(super) fn describe(
        &mut self,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Step {
        if must_gather(header, seen) {
            return Step::Gather;
        }
        let message = frontend::target(seen.get(HEADER..).unwrap_or_default());
        let Some((Target::Statement, written)) = message else {
            return self.plain(Reply::Describe, splice);
        };
        let name = names::key(written);
        let statement = self.names.get(name).cloned();
        if self.is_open_what(name, statement.as_ref()) {
            return Step::Hold;
        }
        let reading = self.reading_of(name, statement.as_ref());
        let text = self.naming_text(&reading, name);
        if self.names_open(&reading, &text) {
            return Step::Hold;
        }
        if !self.begin(&reading, splice) {
            return Step::Wait;
        }
        if !self.will_run() {
            return Step::Pass;
        }
        self.put_executed(&reading, &text, splice);
        let upstream = match statement.filter(|_| !self.is_verbatim()) {
            Some(statement) => {
                let (upstream, role) = match self.supply(&statement, splice) {
                    Supply::Asked => return Step::Hold,
                    Supply::Shown => (name.to_vec(), Role::Client),
                    Supply::Stale => (NOBODYS.to_owned(), Role::Stale(statement)),
                    Supply::Ready => {
                        let role = self.describes(name, &statement);
                        let role = role.unwrap_or_else(|| self.meant(name));
                        (statement.name.clone(), role)
                    }
                };
                self.ledger.owe(Reply::Describe, role);
                upstream
            }
            None => {
                if !self.is_verbatim() {
                    self.own(name, Need::Itself, splice);
                }
                self.supply_unnamed(name, splice);
                self.clear_away(written, splice);
                self.ledger.owe(Reply::Describe, Role::Client);
                if self.is_verbatim() || !names::is_ours(name) {
                    return Step::Pass;
                }
                names::upstream(written).into_owned()
            }
        };
        frontend::put_describe_statement(splice.insert(), &upstream);
        Step::Replaced(seen.len())
    }

    pub(super) fn execute(&mut self, header: Header, seen: &[u8], splice: &mut Splice<'_>) -> Step {
        // Half of one, completed when its client has gone, would run.
        if must_gather(header, seen) {
            return Step::Gather;
        }
        if self.flow.changes.is_empty() {
            return self.plain(Reply::Execute, splice);
        }
        let portal = frontend::execute(seen.get(HEADER..).unwrap_or_default());
        let mut bound = self.flow.changes.iter();
        let at = bound.position(|(bound, _)| portal == Some(&**bound));
        let Some(at) = at.filter(|_| self.lease.is_some() && self.will_run()) else {
            return self.plain(Reply::Execute, splice);
        };
        // A name that it drops is put back should it fail, but not one whose Parse failed before.
        if self.ledger.is_behind() && !self.flow.copying {
            return Step::Hold;
        }
        let (portal, mut change) = self.flow.changes.swap_remove(at);
        for act in &change.acts {
            if self.is_open_what(&act.name, None) {
                self.flow.changes.push((portal, change));
                return Step::Hold;
            }
        }
        for act in &change.acts {
            self.own(&act.name, Need::Anything, splice);
        }
        self.begin_acts(&change.acts);
        self.forget(&mut change);
        let discards = change.tag == Some(DISCARD_ALL);
        self.ledger.owe(Reply::Execute, change.role());
        if !discards {
            return Step::Pass;
        }
        // It drops the portals too, its own among them.
        let out = splice.insert();
        out.extend_from_slice(seen);
        frontend::put_close_portal(out, &portal);
        self.ledger.owe(Reply::Close, Role::Ours);
        Step::Replaced(seen.len())
    }

    pub(super) fn close(&mut self, header: Header, seen: &[u8], splice: &mut Splice<'_>) -> Step {
        if must_gather(header, seen) {
            return Step::Gather;
        }
        let message = frontend::target(seen.get(HEADER..).unwrap_or_default());
        let written = match message {
            Some((Target::Statement, name)) if !self.is_verbatim() => name,
            Some(_) | None => return self.plain(Reply::Close, splice),
        };
        let name = names::key(written);
        if self.is_open_what(name, None) {
            return Step::Hold;
        }
        if !self.begin(&Reading::NOTHING, splice) {
            return Step::Wait;
        }
        if !self.will_run() {
            return Step::Pass;
        }
        // The shared statement stays: under the client's name the server has none, and closing
        // what does not exist succeeds.
        let role = if name.is_empty() {
            self.drop_unnamed()
        } else {
            if let Some(lease) = &mut self.lease
                && lease.memory.own(name).is_some()
            {
                lease.memory.own_is(name, None);
            }
            let forgotten = self.names.take(name);
            forgotten.map_or(Role::Client, |name| Naming::Forgets(Box::new(name)).into())
        };
        self.ledger.owe(Reply::Close, role);
        if !names::is_ours(name) {
            return Step::Pass;
        }
        frontend::put_close_statement(splice.insert(), &names::upstream(written));
        Step::Replaced(seen.len())
    }

    /// The client's Query or Close takes the unnamed statement away; amid a batch it may be
    /// skipped.
    pub(super) fn drop_unnamed(&mut self) -> Role {
        let former = self.ledger.is_open().then(|| self.names.former());
        self.names.forget_unnamed();
        if let Some(lease) = &mut self.lease {
            lease.memory.unnamed = None;
        }
        former.map_or(Role::Client, |former| {
            Naming::DropsUnnamed(Box::new(former)).into()
        })
    }

    /// The role of a message that means this statement by this name.
    #[inline]
    fn meant(&self, name: &[u8]) -> Role {
        if self.names.has_twins() || self.ledger.is_naming() {
            return Role::Named(name.into());
        }
        Role::Client
    }

    /// Whether a message that needs to know what this name means has to be held until earlier
    /// ones are answered. While the backend reads a COPY it answers none.
    #[inline]
    pub(super) fn is_open_what(&self, name: &[u8], statement: Option<&Arc<Statement>>) -> bool {
        let id = statement.map(|statement| statement.id);
        self.ledger.is_open_what(name, id) && !self.flow.copying
    }

    /// Heeds what the statement bound does to the session.
    #[inline]
    fn touch_bound(&mut self, reading: &Reading, name: &[u8]) {
        if reading.touches.is_empty() {
            return self.ledger.stake(reading.stake);
        }
        let text = self.text_of(name).to_owned();
        self.touch(reading, &text);
    }

    /// What a name stands for: the text that is run.
    pub(super) fn text_of(&self, name: &[u8]) -> &[u8] {
        match self.names.any(name) {
            Some(entry) if entry.sql.is_some() => acts::body(&entry.statement).0,
            Some(entry) => frontend::text(&entry.statement.rest),
            None => frontend::text(self.names.unnamed_rest()),
        }
    }

    /// The text of a statement that names others; of any other, nothing.
    #[inline]
    fn naming_text(&self, reading: &Reading, name: &[u8]) -> Vec<u8> {
        match acts::names_any(reading) && !self.is_verbatim() {
            true => self.text_of(name).to_owned(),
            false => Vec::new(),
        }
    }

    /// A message of which nothing but its answer matters.
    pub(super) fn plain(&mut self, reply: Reply, splice: &mut Splice<'_>) -> Step {
        if !self.begin(&Reading::NOTHING, splice) {
            return Step::Wait;
        }
        self.ledger.owe(reply, Role::Client);
        Step::Pass
    }

    pub(super) fn reading_of(&self, name: &[u8], statement: Option<&Arc<Statement>>) -> Reading {
        match statement {
            Some(statement) => statement.reading,
            None if name.is_empty() => {
                let unnamed = self.names.unnamed();
                unnamed.map_or(Reading::NOTHING, |unnamed| unnamed.reading)
            }
            None => {
                let entry = self.names.any(name);
                entry.map_or(Reading::NOTHING, |entry| acts::body(&entry.statement).1)
            }
        }
    }
}
