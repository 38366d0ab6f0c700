//! What the session listens to. Its connection is shared, so it listens only while the session
//! has it: in between, one connection listens for all ([`crate::pool::Listeners`]).
//!
//! The client's LISTEN runs on its lease, for real: there it is refused, rolled back, or in force
//! when it is acknowledged. At rest the lease is asked what it listens to, and goes on delivering
//! while the shared connection comes to listen to the same. Then both hear a mark that nobody
//! else does: notifications have one order, so what comes before it is the lease's to deliver, and
//! what comes behind it the shared connection's. Nothing is missed and nothing comes twice.
//!
//! A request of a session that listens runs with that adopted on its lease: what it is told before
//! its ReadyForQuery comes where the server puts it, its own notifications among it. Which of two
//! connections brings a notification first does not matter: the second time it is passed over.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    Session, adopt,
    ledger::Reply,
    look::Looking,
    pin::{Cause, Reason},
    role::Role,
};
use crate::pool::{Ear, Standing, Terms, quoted};
use crate::protocol::{backend::Status, frontend};
use crate::sql::{Reading, Touches};

const MARK: &[u8] = b"SELECT pg_catalog.pg_notify($1, $2)";
const UNLISTEN: &[u8] = b"UNLISTEN *";

/// What must not run on a lease that does not listen to what the session does.
const WITH_CHANNELS: Touches = Touches::LISTEN
    .and(Touches::UNLISTEN)
    .and(Touches::LISTENING_READ)
    .and(Touches::NOTIFY)
    .and(Touches::TRANSACTION)
    .and(Touches::EXECUTE)
    .and(Touches::CALL)
    .and(Touches::DISCARD)
    .and(Touches::UNCLEAR);

pub(super) type Channels = BTreeSet<Box<[u8]>>;

/// Of a session that listens.
pub(super) struct Listening {
    pub ear: Arc<Ear>,
    /// What the shared connection delivers.
    pub heard: Channels,
    /// What the lease delivers, until its mark has come there.
    pub fresh: Channels,
    /// What the shared connection delivers once it has heard the mark.
    pub handing: Option<Channels>,
    /// Notifications that the lease has brought, and the shared connection is still to bring.
    pub had: VecDeque<Box<[u8]>>,
    /// The other way round.
    pub early: VecDeque<Arc<[u8]>>,
    pub terms: Option<Terms>,
    /// Should it have to keep its connection for it.
    cause: Cause,
}

impl Listening {
    fn new(ear: Arc<Ear>, cause: Cause) -> Self {
        Self {
            ear,
            heard: Channels::new(),
            fresh: Channels::new(),
            handing: None,
            had: VecDeque::new(),
            early: VecDeque::new(),
            terms: None,
            cause,
        }
    }

    /// Whether the shared connection delivers this, or is about to.
    pub fn is_handed(&self, channel: &[u8]) -> bool {
        let handing = self.handing.as_ref();
        self.heard.contains(channel) || handing.is_some_and(|all| all.contains(channel))
    }

    fn handed(&self) -> Channels {
        let handing = self.handing.iter().flatten();
        self.heard.iter().chain(handing).cloned().collect()
    }

    /// The session does not listen to this any more.
    fn drop_channel(&mut self, channel: &[u8]) {
        self.heard.remove(channel);
        self.fresh.remove(channel);
        if let Some(handing) = &mut self.handing {
            handing.remove(channel);
        }
    }
}

impl Session {
    /// Whether the text must wait until what the session listens to can be adopted: something of
    /// ours, or of the client's what this must not run behind, is not answered.
    #[inline]
    pub(super) fn must_adopt_first(&self, reading: &Reading) -> bool {
        self.listening.is_some()
            && !self.is_on_replica()
            && !self.flow.listens
            && !self.ledger.is_empty()
            && !self.ledger.is_open()
            && !self.flow.copying
            && (reading.touches.any(WITH_CHANNELS)
                || reading.stake.writes
                || !self.ledger.owes_the_client())
    }

    /// Has the lease listen to what the session does, ahead of what comes now. Only outside of a
    /// transaction, so that nothing undoes it.
    pub(super) fn adopt_channels(&mut self, out: &mut Vec<u8>) {
        let outside = self.flow.status == Status::Idle || self.flow.begun.is_some();
        let (Some(listening), Some(lease)) = (&mut self.listening, &mut self.lease) else {
            return;
        };
        // No standby can listen, nor notify: what comes meanwhile the shared connection brings.
        let replica = self.way.as_ref().is_some_and(|way| way.is_on_replica());
        if self.flow.listens || !outside || replica {
            return;
        }
        let texts: Vec<Vec<u8>> = listening.handed().iter().map(|one| listen(one)).collect();
        if texts.is_empty() {
            return;
        }
        let mut guard = adopt::Guard {
            connection: lease,
            registry: &mut self.shared.registry.borrow_mut(),
            scope: self.identity.scope,
            ledger: &mut self.ledger,
            out,
        };
        guard.run_all(&texts);
        listening.early.clear();
        self.flow.listens = true;
    }

    /// The lease listens to these. `adopted`: to what the session listened to before, too, unless
    /// it has given that up.
    pub(super) fn saw_channels(&mut self, mut now: Channels, adopted: bool, cause: Cause) {
        self.flow.listens = !now.is_empty();
        if now.is_empty() && self.listening.is_none() {
            return;
        }
        let session = self.handle.id;
        let listening = self
            .listening
            .get_or_insert_with(|| Box::new(Listening::new(Ear::new(session), cause)));
        let mut before = listening.handed();
        before.extend(listening.fresh.iter().cloned());
        if let Some(terms) = &listening.terms {
            now.remove(&*terms.marker);
        }
        if !adopted {
            now.extend(before.iter().cloned());
        }
        let gone: Vec<_> = before.difference(&now).cloned().collect();
        let fresh: Vec<_> = now.difference(&before).cloned().collect();
        for channel in &gone {
            listening.drop_channel(channel);
        }
        let ear = Arc::clone(&listening.ear);
        listening.fresh.extend(fresh.iter().cloned());
        self.identity
            .house
            .listeners()
            .unsubscribe(&ear, gone.iter().map(|one| &**one));
        if now.is_empty() {
            self.stop_listening();
        } else if !fresh.is_empty() {
            let told = &self.identity.told;
            let encoding = told.get(b"client_encoding").unwrap_or_default();
            let fresh = fresh.iter().map(|one| &**one);
            if !self.identity.house.subscribe(&ear, fresh, encoding) {
                self.listen_alone();
            }
        }
    }

    fn is_on_replica(&self) -> bool {
        self.way.as_ref().is_some_and(|way| way.is_on_replica())
    }

    /// The session listens to nothing.
    pub(super) fn stop_listening(&mut self) {
        if let Some(listening) = self.listening.take() {
            self.identity.house.listeners().leave(&listening.ear);
        }
    }

    /// Writes what brings the lease, which is at rest, nearer to listening to nothing. Nothing is
    /// written while that hangs on the shared connection.
    pub(super) fn hand_over(&mut self, out: &mut Vec<u8>) {
        let Some(listening) = &mut self.listening else {
            return self.unlisten(out);
        };
        if listening.fresh.is_empty() {
            return self.unlisten(out);
        }
        if listening.handing.is_some() {
            return;
        }
        let fresh = listening.fresh.iter().map(|one| &**one);
        let told = self.identity.told.get(b"client_encoding");
        match self
            .identity
            .house
            .listeners()
            .standing(&listening.ear, fresh)
        {
            Standing::Awaited => {}
            Standing::Heard(terms) if told == Some(&terms.encoding) => self.mark(terms, out),
            Standing::Heard(_) | Standing::Refused => self.listen_alone(),
        }
    }

    fn mark(&mut self, terms: Terms, out: &mut Vec<u8>) {
        let Some(listening) = &mut self.listening else {
            return;
        };
        let session = listening.ear.session.to_string();
        let values = [Some(&*terms.marker), Some(session.as_bytes())];
        listening.handing = Some(listening.fresh.clone());
        listening.terms = Some(terms.clone());
        self.ask(&listen(&terms.marker), &[], Looking::at_channels(), out);
        self.ask(MARK, &values, Looking::at_channels(), out);
        out.extend_from_slice(frontend::SYNC);
        self.ledger.owe(Reply::Sync, Role::Ours);
    }

    fn unlisten(&mut self, out: &mut Vec<u8>) {
        self.flow.listens = false;
        self.ask(UNLISTEN, &[], Looking::at_channels(), out);
        out.extend_from_slice(frontend::SYNC);
        self.ledger.owe(Reply::Sync, Role::Ours);
        // Kept for it as long as it could not be handed over.
        if self.flow.keep == super::Keep::Pinned(Reason::Listen) {
            self.watch_held();
        }
    }

    /// No other connection can listen for the session: it keeps the one that does.
    pub(super) fn listen_alone(&mut self) {
        let Some(listening) = &self.listening else {
            return;
        };
        self.pin(listening.cause);
        let alone = |one: &Listening| one.heard.is_empty() && one.handing.is_none();
        if self.listening.as_deref().is_some_and(alone) {
            self.flow.listens = false;
            self.stop_listening();
        }
    }
}

fn listen(channel: &[u8]) -> Vec<u8> {
    [b"LISTEN ", quoted(channel).as_slice()].concat()
}
