//! The client's messages, one by one: what they need, and what has to go with them.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Context,
};

use super::{
    End, Keep, Phase, PoolMode, Session,
    adopt::{self, supply},
    forward::{GATHER, Step},
    ledger::{Change, Effect, Name, Registers, Reply, Role},
    pin,
    splice::Splice,
};
use crate::backend::Statement;
use crate::pool::{Acquired, Wish};
use crate::protocol::{
    backend::{self, Status},
    frame::{HEADER, Header},
    frontend::{self, Target},
};
use crate::sql::{self, Reading};
use crate::telemetry::events;

impl Session {
    pub(super) fn query(&mut self, header: Header, seen: &[u8], splice: &mut Splice<'_>) -> Step {
        if must_gather(header, seen) {
            return Step::Gather;
        }
        let text = frontend::text(seen.get(HEADER..).unwrap_or_default());
        let reading = self.read(text);
        if !self.begin(&reading, splice) {
            self.flow.reading = Some(reading);
            return Step::Wait;
        }
        if !self.will_run() {
            return Step::Pass;
        }
        self.names.forget_unnamed();
        let substitute = self.substitute(&reading, text);
        self.touch(&reading);
        if let Some(lease) = &mut self.lease {
            lease.memory.unnamed = None;
        }
        let Some(substitute) = substitute else {
            self.ledger.owe(Reply::Query, Role::Client);
            return Step::Pass;
        };
        self.spoil(&substitute.change);
        let role = Role::Changes(Box::new(substitute.change));
        self.ledger.owe(Reply::Query, role);
        match substitute.text {
            Some(text) => {
                frontend::put_query(splice.insert(), &text);
                Step::Replaced(seen.len())
            }
            None => Step::Pass,
        }
    }

    /// Reads a text once, also when its message has waited for a connection.
    #[inline]
    fn read(&mut self, text: &[u8]) -> Reading {
        let held = self.flow.reading.take();
        held.unwrap_or_else(|| sql::read(text))
    }

    pub(super) fn function_call(&mut self, splice: &mut Splice<'_>) -> Step {
        if !self.begin(&Reading::NOTHING, splice) {
            return Step::Wait;
        }
        self.ledger.owe(Reply::FunctionCall, Role::Client);
        Step::Pass
    }

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
        Ok(self.parse_attended(header, seen, splice))
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
        if self.names.get(name).is_some() || pin::reason(&statement.reading).is_some() {
            return Ok(false);
        }
        self.names.insert(name.into(), statement);
        self.tell(cx, backend::PARSE_COMPLETE)?;
        Ok(true)
    }

    fn parse_attended(&mut self, header: Header, seen: &[u8], splice: &mut Splice<'_>) -> Step {
        if must_gather(header, seen) {
            return Step::Gather;
        }
        let whole = seen.len() == header.len;
        let message = frontend::parse(seen.get(HEADER..).unwrap_or_default());
        let (name, rest) = message.unwrap_or_default();
        let reading = self.read(frontend::text(rest));
        if !self.begin(&reading, splice) {
            self.flow.reading = Some(reading);
            return Step::Wait;
        }
        if !self.will_run() {
            return Step::Pass;
        }
        if self.is_verbatim() || message.is_none() {
            self.ledger.owe(Reply::Parse, Role::Client);
            return Step::Pass;
        }
        // What cannot be prepared again elsewhere keeps the session here.
        let shared = self.pool.settings().prepared_statements > 0;
        if !whole || (!shared && !name.is_empty()) {
            self.pin(pin::Reason::Statement);
            if name.is_empty() {
                self.names.forget_unnamed();
                if let Some(lease) = &mut self.lease {
                    lease.memory.unnamed = None;
                }
            }
            self.ledger.owe(Reply::Parse, Role::Client);
            return Step::Pass;
        }
        if name.is_empty() {
            // Only in a batch that has begun can an earlier error skip it.
            let former = self.ledger.is_open().then(|| Box::new(self.names.former()));
            let number = self.names.set_unnamed(rest, reading);
            if let Some(lease) = &mut self.lease {
                lease.memory.unnamed = Some((self.handle.id, number));
            }
            self.ledger
                .owe(Reply::Parse, Role::RegistersUnnamed(former));
            return Step::Pass;
        }
        self.parse_named(name, rest, seen, splice)
    }

    /// A client's own Parse runs once for real and in its place: what it says of the text is
    /// true now, whatever an earlier one of another client found.
    fn parse_named(
        &mut self,
        name: &[u8],
        rest: &[u8],
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Step {
        if self.names.get(name).is_some() {
            return self.parse_again(name, splice);
        }
        let mut registry = self.shared.registry.borrow_mut();
        let statement = registry.statement(self.identity.scope, rest);
        drop(registry);
        let Some(lease) = &mut self.lease else {
            return Step::Wait;
        };
        let out = splice.insert();
        let again = lease.memory.has(statement.id);
        if again {
            frontend::put_close_statement(out, &statement.name);
            self.ledger.owe(Reply::Close, Role::Ours);
        }
        frontend::put_parse(out, &statement.name, rest);
        lease.memory.add(&statement);
        self.names.insert(name.into(), Arc::clone(&statement));
        let name = Name {
            name: name.into(),
            statement,
        };
        let role = Role::Registers(Box::new(Registers { name, again }));
        self.ledger.owe(Reply::Parse, role);
        self.evict(splice);
        Step::Replaced(seen.len())
    }

    /// A Parse of a name that is taken: the backend is made to have a statement of that very
    /// name, so that the error is the server's own and in its place.
    fn parse_again(&mut self, name: &[u8], splice: &mut Splice<'_>) -> Step {
        let out = splice.insert();
        frontend::put_parse(out, name, &frontend::parse_rest(b""));
        self.ledger.owe(Reply::Parse, Role::Ours);
        self.ledger.owe(Reply::Parse, Role::Client);
        // The connection keeps that name until it is closed: nobody else is to meet it.
        self.flow.debris.push(name.into());
        Step::Pass
    }

    pub(super) fn bind(&mut self, header: Header, seen: &[u8], splice: &mut Splice<'_>) -> Step {
        let body = seen.get(HEADER..).unwrap_or_default();
        let message = frontend::bind(body);
        if message.is_none() && must_gather(header, seen) {
            return Step::Gather;
        }
        let (portal, name, rest) = message.unwrap_or_default();
        let statement = self.names.get(name).cloned();
        let reading = self.reading_of(name, statement.as_ref());
        if !self.begin(&reading, splice) {
            return Step::Wait;
        }
        if !self.will_run() {
            return Step::Pass;
        }
        if self.is_verbatim() || message.is_none() {
            self.ledger.owe(Reply::Bind, Role::Client);
            return Step::Pass;
        }
        if portal.is_empty() {
            self.flow.change = None;
        }
        let missing = header.len - seen.len();
        if self.bind_substitute(&reading, portal, name, rest, missing, splice) {
            return Step::Replaced(seen.len());
        }
        self.touch(&reading);
        let Some(statement) = statement else {
            // Unnamed, or unknown: the server says 26000 of the client's own name.
            self.supply_unnamed(name, splice);
            self.ledger.owe(Reply::Bind, Role::Client);
            return Step::Pass;
        };
        self.supply(&statement, splice);
        frontend::put_bind_head(splice.insert(), portal, &statement.name, rest, missing);
        self.ledger.owe(Reply::Bind, Role::Client);
        Step::Replaced(seen.len())
    }

    /// Binds another statement than the one named, where running that would harm others. Tells
    /// whether it did.
    fn bind_substitute(
        &mut self,
        reading: &Reading,
        portal: &[u8],
        name: &[u8],
        rest: &[u8],
        missing: usize,
        splice: &mut Splice<'_>,
    ) -> bool {
        let text = match self.names.get(name) {
            Some(statement) => frontend::text(&statement.rest),
            None => frontend::text(self.names.unnamed_rest()),
        };
        let Some(substitute) = self.substitute(reading, text) else {
            return false;
        };
        self.spoil(&substitute.change);
        if portal.is_empty() {
            self.flow.change = Some(substitute.change);
        }
        let Some(text) = substitute.text else {
            return false;
        };
        let mut registry = self.shared.registry.borrow_mut();
        let statement = registry.statement(self.identity.scope, &frontend::parse_rest(&text));
        drop(registry);
        self.supply(&statement, splice);
        frontend::put_bind_head(splice.insert(), portal, &statement.name, rest, missing);
        self.ledger.owe(Reply::Bind, Role::Client);
        true
    }

    /// A DISCARD ALL that goes to a shared connection takes along what it has of ours.
    fn spoil(&mut self, change: &Change) {
        if change.effect == Effect::DiscardAll
            && self.flow.keep == Keep::No
            && let Some(lease) = &mut self.lease
        {
            lease.memory.forget_statements();
            self.flow.tainted = true;
        }
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
        let Some((Target::Statement, name)) = message else {
            return self.plain(Reply::Describe, splice);
        };
        let statement = self.names.get(name).cloned();
        let reading = self.reading_of(name, statement.as_ref());
        if !self.begin(&reading, splice) {
            return Step::Wait;
        }
        if !self.will_run() {
            return Step::Pass;
        }
        let statement = statement.filter(|_| !self.is_verbatim());
        let Some(statement) = statement else {
            self.supply_unnamed(name, splice);
            self.ledger.owe(Reply::Describe, Role::Client);
            return Step::Pass;
        };
        self.supply(&statement, splice);
        frontend::put_describe_statement(splice.insert(), &statement.name);
        self.ledger.owe(Reply::Describe, Role::Client);
        Step::Replaced(seen.len())
    }

    pub(super) fn execute(&mut self, header: Header, seen: &[u8], splice: &mut Splice<'_>) -> Step {
        if must_gather(header, seen) {
            return Step::Gather;
        }
        let portal = frontend::execute(seen.get(HEADER..).unwrap_or_default());
        if portal == Some(b"")
            && let Some(change) = self.flow.change.take()
        {
            if !self.begin(&Reading::NOTHING, splice) {
                return Step::Wait;
            }
            self.ledger
                .owe(Reply::Execute, Role::Changes(Box::new(change)));
            return Step::Pass;
        }
        self.plain(Reply::Execute, splice)
    }

    pub(super) fn close(&mut self, header: Header, seen: &[u8], splice: &mut Splice<'_>) -> Step {
        if must_gather(header, seen) {
            return Step::Gather;
        }
        if !self.begin(&Reading::NOTHING, splice) {
            return Step::Wait;
        }
        if !self.will_run() {
            return Step::Pass;
        }
        // The shared statement stays: under the client's name the server has none, and closing
        // what does not exist succeeds.
        let message = frontend::target(seen.get(HEADER..).unwrap_or_default());
        let role = match message {
            Some((Target::Statement, b"")) => {
                self.names.forget_unnamed();
                if let Some(lease) = &mut self.lease {
                    lease.memory.unnamed = None;
                }
                Role::Client
            }
            Some((Target::Statement, name)) => match self.names.remove(name) {
                Some(statement) => Role::Forgets(Box::new(Name {
                    name: name.into(),
                    statement,
                })),
                None => Role::Client,
            },
            Some((Target::Portal, _)) | None => Role::Client,
        };
        self.ledger.owe(Reply::Close, role);
        Step::Pass
    }

    fn plain(&mut self, reply: Reply, splice: &mut Splice<'_>) -> Step {
        if !self.begin(&Reading::NOTHING, splice) {
            return Step::Wait;
        }
        self.ledger.owe(reply, Role::Client);
        Step::Pass
    }

    /// Sees to it that the request has a connection that looks like the client's own.
    /// False: it waits, or it is denied.
    fn begin(&mut self, reading: &Reading, splice: &mut Splice<'_>) -> bool {
        if self.lease.is_none() && !self.checkout(reading) {
            return false;
        }
        let Some(lease) = &mut self.lease else {
            return false;
        };
        if self.ledger.is_empty() {
            self.handle.enter(Phase::Active, self.shared.clock.now());
        }
        if self.ledger.is_empty() && self.flow.status == Status::Idle {
            let wanted = &self.identity.parameters;
            if !adopt::fits(&lease.memory.wearing, wanted) {
                let mut registry = self.shared.registry.borrow_mut();
                let scope = self.identity.scope;
                let out = splice.insert();
                let ledger = &mut self.ledger;
                adopt::adopt(lease, wanted, &mut registry, scope, ledger, out);
            }
        }
        true
    }

    fn checkout(&mut self, reading: &Reading) -> bool {
        if self.denied.is_some() {
            return false;
        }
        let only_home = pin::wants_home(reading);
        let wish = Wish {
            home: self.identity.home.map(|home| home.id),
            only_home,
        };
        match self.pool.acquire(wish) {
            Acquired::Lease(lease) => self.lease = Some(lease),
            Acquired::Wait(ticket) => {
                self.ticket = Some(ticket);
                self.enter(Phase::Waiting);
                return false;
            }
            Acquired::Refused(refusal) => {
                self.denied = Some(refusal);
                return false;
            }
        }
        true
    }

    /// Whether the backend will run what is sent now, and not skip it after an error.
    fn will_run(&self) -> bool {
        !self.ledger.is_skipping()
    }

    /// In session pooling the connection is the client's own: its names go up as they are.
    pub(super) fn is_verbatim(&self) -> bool {
        self.settings.pool_mode == PoolMode::Session
    }

    fn reading_of(&self, name: &[u8], statement: Option<&Arc<Statement>>) -> Reading {
        match statement {
            Some(statement) => statement.reading,
            None => match self.names.unnamed() {
                Some(unnamed) if name.is_empty() => unnamed.reading,
                Some(_) | None => Reading::NOTHING,
            },
        }
    }

    /// Prepares the statement on the connection, should that lack it.
    fn supply(&mut self, statement: &Arc<Statement>, splice: &mut Splice<'_>) {
        let Some(lease) = &mut self.lease else {
            return;
        };
        if lease.memory.has(statement.id) {
            return;
        }
        let role = Role::Supplies(Arc::clone(statement));
        supply(lease, statement, &mut self.ledger, splice.insert(), role);
        self.evict(splice);
    }

    /// Prepares the session's unnamed statement, should the connection have another one.
    fn supply_unnamed(&mut self, name: &[u8], splice: &mut Splice<'_>) {
        if !name.is_empty() || self.is_verbatim() {
            return;
        }
        let Some(lease) = &mut self.lease else {
            return;
        };
        let Some(unnamed) = self.names.unnamed() else {
            // Somebody else's is not to be met.
            if lease.memory.unnamed.take().is_some() {
                frontend::put_close_statement(splice.insert(), b"");
                self.ledger.owe(Reply::Close, Role::Ours);
            }
            return;
        };
        let own = Some((self.handle.id, unnamed.number));
        if lease.memory.unnamed != own {
            frontend::put_parse(splice.insert(), b"", self.names.unnamed_rest());
            self.ledger.owe(Reply::Parse, Role::SuppliesUnnamed);
            lease.memory.unnamed = own;
        }
    }

    /// Closes what the connection holds beyond `prepared_statements`.
    fn evict(&mut self, splice: &mut Splice<'_>) {
        let limit = self.pool.settings().prepared_statements;
        if let Some(lease) = &mut self.lease {
            while let Some(statement) = lease.memory.surplus(limit.max(4)) {
                frontend::put_close_statement(splice.insert(), &statement.name);
                lease.memory.remove(statement.id);
                self.ledger.owe(Reply::Close, Role::Evicts(statement));
            }
        }
    }

    /// Heeds what the text does to the session.
    #[inline]
    fn touch(&mut self, reading: &Reading) {
        if reading.touches.is_empty() {
            return;
        }
        if let Some(reason) = pin::reason(reading) {
            self.pin(reason);
        }
        if reading.touches.any(sql::Touches::IDENTITY)
            && !self.identity.cherished
            && let Some(home) = self.identity.home
        {
            self.pool.cherish(home);
            self.identity.cherished = true;
        }
        // Not understood one by one, these may have taken statements of ours along.
        if reading.count > 1 && reading.touches.any(pin::DESTROYS) {
            self.flow.tainted = true;
        }
    }

    /// Keeps the connection beyond the transaction.
    pub(super) fn pin(&mut self, reason: pin::Reason) {
        if self.flow.keep == Keep::No
            && let Some(lease) = &mut self.lease
        {
            lease.pin();
            self.flow.keep = Keep::Pinned(reason);
            let key = self.pool.key();
            events::pinned(&key.database, &key.user, reason.name());
        }
    }
}

/// Whether a frame that is to be seen in whole is not here yet.
fn must_gather(header: Header, seen: &[u8]) -> bool {
    seen.len() < header.len && seen.len() < GATHER
}
