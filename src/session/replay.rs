//! What a client calls a statement, on a connection that others had: SQL knows no other names.
//!
//! Ahead of what names a statement, in the same write, the connection gets what this client calls
//! so under that very name: its PREPARE once more, or its Parse. What another client calls so is
//! closed first. An error in that is the error of what names it.

use std::sync::Arc;

use super::{
    Session,
    adopt::{self, Setting},
    ledger::Reply,
    names,
    prepared::READ_BY,
    role::Naming,
    splice::Splice,
};
use crate::backend::Statement;
use crate::protocol::{Parameters, backend::Status, frontend};

/// What a name has to stand for on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// What the client calls so, or nothing.
    Itself,
    /// Anything at all, if the client calls anything so: it is only in the way.
    Anything,
}

/// What is put on a connection, or taken off it.
#[derive(Debug)]
pub struct Adopted {
    /// As the client calls it; empty: it is none of a client's.
    name: Box<[u8]>,
    /// What is prepared on the way, and closed again; or is taken off the connection.
    upstream: Option<Box<[u8]>>,
}

impl Adopted {
    fn named(name: &[u8]) -> Self {
        let upstream = None;
        let name = name.into();
        Self { name, upstream }
    }

    fn of(name: &[u8], upstream: &[u8]) -> Self {
        let upstream = Some(upstream.into());
        let name = name.into();
        Self { name, upstream }
    }
}

const SAVEPOINT: &[u8] = b"SAVEPOINT _ambassador";
const ROLLBACK_TO: &[u8] = b"ROLLBACK TO SAVEPOINT _ambassador";
const RELEASE: &[u8] = b"RELEASE SAVEPOINT _ambassador";

/// What is sent for a name.
enum Put {
    Close,
    /// Something of no use.
    Something,
    /// By PREPARE, under these settings.
    Text(Arc<Statement>, Arc<Parameters>),
    /// By Parse.
    Parse(Arc<Statement>),
}

impl Session {
    /// Puts what the client calls so on the connection under this name. Tells whether what was
    /// written for it may fail.
    pub(super) fn own(&mut self, name: &[u8], need: Need, splice: &mut Splice<'_>) -> bool {
        let Some(lease) = self.lease.as_mut().filter(|_| !name.is_empty()) else {
            return false;
        };
        if names::is_ours(name) {
            // Nobody uses what is ours by guessing its name.
            if lease.memory.lose(name) {
                frontend::put_close_statement(splice.insert(), name);
                let role = Naming::Adopts(Box::new(Adopted::of(b"", name)));
                self.ledger.owe(Reply::Close, role);
            }
            return false;
        }
        let has = lease.memory.own(name);
        let wanted = self.names.any(name);
        let taken = has.is_some() || lease.memory.is_litter(name);
        let put = match wanted {
            None if !taken => return false,
            None => Put::Close,
            Some(entry) if is_it(has.as_ref(), &entry.statement) => return false,
            Some(_) if need == Need::Anything => Put::Something,
            Some(entry) => {
                let statement = Arc::clone(&entry.statement);
                match &entry.sql {
                    Some(settings) => Put::Text(statement, Arc::clone(settings)),
                    None => Put::Parse(statement),
                }
            }
        };
        let closes = taken && !matches!(put, Put::Close);
        if closes {
            self.put_own(name, Put::Close, splice);
        }
        let may_fail = !matches!(put, Put::Close | Put::Something);
        self.put_own(name, put, splice);
        may_fail
    }

    fn put_own(&mut self, name: &[u8], put: Put, splice: &mut Splice<'_>) {
        let out = splice.insert();
        let Some(lease) = &mut self.lease else { return };
        let memory = &mut lease.memory;
        let role = Naming::Adopts(Box::new(Adopted::named(name)));
        match put {
            Put::Close => {
                frontend::put_close_statement(out, name);
                memory.take_from_litter(name);
                memory.disown(name);
                self.ledger.owe(Reply::Close, role);
            }
            Put::Something => {
                frontend::put_parse(out, name, &frontend::parse_rest(b""));
                memory.own_is(name, None);
                self.ledger.owe(Reply::Parse, role);
            }
            Put::Text(statement, settings) => {
                memory.own_is(name, Some(&statement));
                self.put_text(name, &statement, &settings, splice);
            }
            Put::Parse(statement) => {
                frontend::put_parse(out, name, &statement.parse_rest());
                memory.own_is(name, Some(&statement));
                self.ledger.owe(Reply::Parse, role);
            }
        }
    }

    /// PREPARE, under the settings that it was stated under. In a transaction block a savepoint
    /// brings back whatever the client has set there; elsewhere the session's own come back.
    fn put_text(
        &mut self,
        name: &[u8],
        statement: &Arc<Statement>,
        settings: &Arc<Parameters>,
        splice: &mut Splice<'_>,
    ) {
        let now = Arc::clone(&self.identity.parameters);
        let (there, back) = aside(settings, &now);
        let inside = self.flow.status != Status::Idle;
        let upstream = &statement.name;
        if !there.is_empty() {
            if inside {
                self.run_own(name, SAVEPOINT, &[], splice);
            }
            let (text, values) = adopt::assignment(&there, true);
            self.run_own(name, &text, &values, splice);
        }
        let Some(lease) = &mut self.lease else { return };
        let out = splice.insert();
        let role = || Naming::Adopts(Box::new(Adopted::of(name, upstream)));
        if lease.memory.has(statement.id) || lease.memory.take_from_litter(upstream) {
            lease.memory.remove(statement.id);
            frontend::put_close_statement(out, upstream);
            self.ledger.owe(Reply::Close, role());
        }
        frontend::put_parse(out, upstream, &statement.rest);
        self.ledger.owe(Reply::Parse, role());
        frontend::put_bind_text(out, upstream, &[]);
        self.ledger.owe(Reply::Bind, role());
        frontend::put_execute(out);
        self.ledger.owe(Reply::Execute, role());
        frontend::put_close_statement(out, upstream);
        self.ledger.owe(Reply::Close, role());
        if there.is_empty() {
            return;
        }
        if inside {
            self.run_own(name, ROLLBACK_TO, &[], splice);
            self.run_own(name, RELEASE, &[], splice);
        } else {
            let (text, values) = adopt::assignment(&back, true);
            self.run_own(name, &text, &values, splice);
        }
    }

    /// Runs a statement of ours on the way to having this name.
    fn run_own(
        &mut self,
        name: &[u8],
        text: &[u8],
        values: &[Option<&[u8]>],
        splice: &mut Splice<'_>,
    ) {
        let Some(lease) = &mut self.lease else { return };
        let out = splice.insert();
        let mut registry = self.shared.registry.borrow_mut();
        let statement = registry.statement(self.identity.scope, &frontend::parse_rest(text));
        let supplied = Naming::Supplies(Arc::clone(&statement));
        adopt::supply(lease, &statement, &mut self.ledger, out, supplied);
        let role = || Naming::Adopts(Box::new(Adopted::named(name)));
        frontend::put_bind_text(out, &statement.name, values);
        self.ledger.owe(Reply::Bind, role());
        frontend::put_execute(out);
        self.ledger.owe(Reply::Execute, role());
    }

    /// Whether what has this name is prepared under other settings than the session's.
    pub(super) fn is_made_aside(&self, name: &[u8]) -> bool {
        let entry = self.names.any(names::key(name));
        let settings = entry.and_then(|entry| entry.sql.as_ref());
        settings.is_some_and(|settings| !aside(settings, &self.identity.parameters).0.is_empty())
    }

    /// Leaves on the connection nothing but what the client has, under its own names: what it
    /// shares with others is prepared anew when it is used. Tells as [`Self::own`].
    pub(super) fn own_alone(&mut self, splice: &mut Splice<'_>) -> bool {
        let Some(lease) = &mut self.lease else {
            return false;
        };
        let mut off = lease.memory.take_litter();
        off.extend(lease.memory.take_shared());
        for upstream in off {
            frontend::put_close_statement(splice.insert(), &upstream);
            let role = Naming::Adopts(Box::new(Adopted::of(b"", &upstream)));
            self.ledger.owe(Reply::Close, role);
        }
        let others = lease.memory.own_names().chain(self.names.all());
        let names: Vec<Box<[u8]>> = others.map(Box::from).collect();
        names.iter().fold(false, |may_fail, name| {
            self.own(name, Need::Itself, splice) | may_fail
        })
    }

    /// What was to be under this name on the connection may or may not be.
    pub(super) fn unown(&mut self, name: &Adopted) {
        let Some(lease) = &mut self.lease else { return };
        if !name.name.is_empty() {
            lease.memory.own_is(&name.name, None);
        }
        if let Some(upstream) = &name.upstream {
            lease.memory.litter(upstream.clone());
        }
    }
}

fn is_it(has: Option<&Option<Arc<Statement>>>, wanted: &Arc<Statement>) -> bool {
    let has = has.and_then(Option::as_ref);
    has.is_some_and(|one| Arc::ptr_eq(one, wanted))
}

/// What has to be set so that a text is read as it was under `then`, and what sets it back.
fn aside<'a>(then: &'a Parameters, now: &'a Parameters) -> (Vec<Setting<'a>>, Vec<Setting<'a>>) {
    let differ = READ_BY
        .iter()
        .filter(|name| then.get(name) != now.get(name));
    differ
        .map(|name| ((*name, then.get(name)), (*name, now.get(name))))
        .unzip()
}
