//! What does this client's conversation look like now?
//! Never opens a socket and never reads statement text itself: that is `pool`'s and `sql`'s.
//!
//! A session is two directions over one ledger, [`forward`] and [`relay`], driven by one task.
//! Neither waits for the other, so a request that is already here joins the one in flight.

mod acts;
mod adopt;
mod answer;
mod batch;
mod calls;
mod cancel;
mod change;
mod choose;
mod converse;
mod count;
mod deferred;
mod depart;
mod direct;
mod errors;
mod extended;
mod failed;
mod fault;
mod forward;
mod handle;
mod heal;
mod hear;
mod judge;
mod keep;
mod last;
mod leave;
mod ledger;
mod listen;
mod lobby;
mod look;
mod lost;
mod names;
mod opening;
mod own;
mod pin;
mod pools;
mod prepared;
mod refuse;
mod relay;
mod replay;
mod replication;
mod reports;
mod request;
mod reset;
mod rest;
mod role;
pub mod sabotage;
mod seen;
mod sequence;
mod settings;
mod shape;
mod snapshot;
mod splice;
mod substitute;
mod supply;
mod undo;
mod verdicts;
mod way;
mod welcome;
mod wish;
mod wording;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
};

pub use cancel::{CancelKeys, KeyHandle, Place};
pub use fault::{End, Fault};
pub use handle::{
    Handle, PendingCancel, Phase, PinView, SessionId, Sessions, Signal, View, Who, worker_of,
};
pub use lobby::Lobby;
pub use names::Names;
pub use pools::{Pools, Preferences};
pub use prepared::Registry;
pub use replication::{Replication, Upstream, replicate};
pub use seen::Path;
pub use settings::{OnPin, PoolMode, Settings};
pub use snapshot::Snapshot;
pub use verdicts::{Found, Judged, Spelling, Verdict, Verdicts};
pub use welcome::{Wishes, welcome};

use crate::backend::StatementId;
use crate::net::{Link, Scratch};
use crate::pool::{Home, Lease, Pool, Ticket};
use crate::protocol::{Parameters, backend::Status};
use crate::route::Wish;
use crate::sql::Reading;
use crate::telemetry::Clock;
use change::Change;
use ledger::Ledger;
use prepared::Scope;
use way::Way;

/// What all sessions of a worker use.
pub struct Shared {
    pub worker: usize,
    pub scratch: Scratch,
    pub clock: Rc<Clock>,
    pub registry: RefCell<Registry>,
    pub sessions: Sessions,
    pub cancels: Arc<CancelKeys>,
}

impl Shared {
    /// `statements` numbers the shared statements of all workers.
    pub fn new(
        worker: usize,
        clock: Rc<Clock>,
        statements: Arc<AtomicU64>,
        cancels: Arc<CancelKeys>,
    ) -> Self {
        Self {
            worker,
            scratch: Scratch::default(),
            clock,
            registry: RefCell::new(Registry::new(statements)),
            sessions: Sessions::of(worker),
            cancels,
        }
    }
}

/// One client's conversation, from its welcome on.
pub struct Session {
    shared: Rc<Shared>,
    settings: Rc<Settings>,
    /// Of the connection that the session has, had last, or waits for.
    pool: Rc<Pool>,
    /// What leads there; `None`: there is one backend.
    way: Option<Box<Way>>,
    handle: Rc<Handle>,
    client: Link,
    /// What the client sent and we have not decided on: half a frame, or a request that waits.
    inbox: Vec<u8>,
    lease: Option<Lease>,
    ticket: Option<Ticket>,
    /// Why the request that begins now gets no connection, or is not to run.
    denied: Option<Fault>,
    ledger: Ledger,
    names: Names,
    /// What judges texts; `None`: nothing hangs on what they do.
    verdicts: Option<Rc<Verdicts>>,
    /// What it listens to; `None`: nothing, or by a connection of its own.
    listening: Option<Box<listen::Listening>>,
    /// What is known of the functions that texts call.
    calls: calls::SharedCalls,
    identity: Identity,
    flow: Flow,
    /// Cancels under way; the connection stays ours until they have ended.
    cancels: Rc<leave::Cancels>,
}

/// What the session is to the outside.
struct Identity {
    /// What every connection that it runs on must wear.
    parameters: Arc<Parameters>,
    /// Those of its start-up, that RESET goes back to.
    start: Arc<Parameters>,
    scope: Scope,
    /// The reported settings as the client was last told; shared until it is told its own.
    told: Rc<Parameters>,
    /// The same at its start-up.
    told_first: Rc<Parameters>,
    /// What they say of how the server reads a text.
    spelling: Spelling,
    /// What `ambassador.route` asks for.
    wish: Wish,
    /// The connection whose process id the client was told.
    home: Option<Home>,
    /// The pool that it is one of; what the session listens to is heard there, too.
    house: Rc<Pool>,
    /// The process id and the key that the client was told.
    key: (i32, u32),
    cherished: bool,
}

impl Identity {
    /// The client is told of a setting.
    fn tell(&mut self, name: &[u8], value: &[u8]) {
        let told = Rc::make_mut(&mut self.told);
        told.set(name, value);
        self.spelling = Spelling::of(told);
    }
}

/// Where in the two streams we are.
#[derive(Default)]
struct Flow {
    /// Bytes of a client's frame, begun and not yet here, that go on unread.
    sending: usize,
    /// They go nowhere.
    dropping: bool,
    /// The same of a backend's frame.
    receiving: usize,
    /// They go nowhere.
    swallowing: bool,
    /// The backend's last status.
    status: Status,
    /// A COPY from the client is under way, and the client has not ended it.
    copying: bool,
    /// Syncs that came behind the last data of that COPY. The server reads over them, unless the
    /// COPY has failed by then: they are sent when that is known.
    syncs: u8,
    /// Settings whose report was told in this transaction, as they were told before.
    reports: Parameters,
    /// The BEGIN that the client has been answered and no backend has been sent.
    begun: Option<deferred::Begun>,
    /// It has been sent since, and no ReadyForQuery has come.
    beginning: bool,
    /// The transaction that was lost with its backend, until the client ends it.
    failed: Option<Box<failed::Failed>>,
    /// An error of ours was sent: the client's messages are dropped up to its Sync.
    refusing: bool,
    /// What is held is to be looked at again.
    resume: bool,
    /// Bytes that must be held before it is of use to look at them.
    needed: usize,
    /// How often the client, closed, was looked after since it was last read from.
    looks: u8,
    /// When it began, for the counters.
    began: count::Began,
    /// The lease outlives the transaction.
    keep: Keep,
    /// What the session has of sequences, and where.
    sequences: sequence::Sequences,
    /// What the connection is to be asked once it is at rest.
    watch: Option<Box<look::Watch>>,
    /// The session's settings are being taken back, here alone.
    resetting: bool,
    /// They have been: the client is told of the start-up's.
    retell: bool,
    /// What pins the session of what is under way, behind its last DISCARD ALL.
    pinned_anew: Option<pin::Cause>,
    /// The connection is not to be lent to anybody else.
    tainted: bool,
    /// The client said good-bye: what it asked for still runs, and is answered.
    leaving: bool,
    /// It takes no answers any more.
    deaf: bool,
    /// A query was cancelled for its time.
    overdue: bool,
    /// A cancel has been sent for what is owed now.
    cancelled: bool,
    /// The lease listens for the session, and is not to be lent to anybody else before it does no
    /// more.
    listens: bool,
    /// Settings of ours went ahead of what is owed now, and no ReadyForQuery has come since.
    adopted: bool,
    /// The ambassador shuts down: leave when idle.
    draining: bool,
    /// What the message that waits for a connection says it will do.
    reading: Option<Reading>,
    /// The verdict on the text that was read last, until it is sent.
    judged: Option<Judged>,
    /// The same of the text that was sent last, until its request is answered.
    running: Option<Rc<Verdict>>,
    /// What executing these portals changes.
    changes: Vec<(Box<[u8]>, Change)>,
    /// The statement that the message held back names has been prepared, and returns something
    /// else than the client knows.
    misshapen: Option<StatementId>,
    /// The error that came of putting what the next text names on the connection: its own.
    unput: Option<Vec<u8>>,
    /// A connection has been taken for a request, ever.
    ran: bool,
    /// The connection is to be told of `ambassador.route`, which it does not have.
    declaring: bool,
    /// A message needs the answers to earlier ones before it can be sent.
    holding: bool,
}

/// Whether a lease outlives its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Keep {
    #[default]
    No,
    /// Session pooling.
    Session,
    /// What the connection has of the session is not known yet.
    Unsettled,
    /// State that no other connection has.
    Pinned(pin::Reason),
}

/// The worker's buffers, ours for the length of a poll.
struct Io {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Session {
    /// What the rest of the worker sees of it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Tells the session something, as its worker may.
    pub fn signal(&self, signal: Signal) {
        self.handle.signal(signal);
    }

    /// Drives both directions as far as they go; ready when the session is over.
    ///
    /// All progress is kept in the session: the call is cancel safe.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut io = Io {
            input: self.shared.scratch.take_input(),
            output: self.shared.scratch.take_output(),
        };
        let end = self.turn(cx, &mut io);
        self.shared.scratch.put_input(io.input);
        self.shared.scratch.put_output(io.output);
        match end {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>, io: &mut Io) -> Result<(), End> {
        self.heed(cx)?;
        loop {
            while self.relay(cx, io)? {
                // What is held may have been waiting for this.
                self.flow.resume |= std::mem::take(&mut self.flow.holding);
            }
            if !self.forward(cx, io)? {
                return self.rest(cx, io);
            }
        }
    }

    /// Sends bytes of our own or of the backend to the client.
    #[inline]
    fn tell(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<(), End> {
        if self.flow.deaf || bytes.is_empty() {
            return Ok(());
        }
        self.give_up_trial();
        self.pool.traffic().to_client.add(bytes.len() as u64);
        let sent = self.client.send(cx, bytes);
        self.unless_leaving(sent)
    }

    /// Who has said good-bye need not hear the answers; what it asked for runs all the same.
    fn unless_leaving(&mut self, sent: std::io::Result<()>) -> Result<(), End> {
        match sent {
            Err(_) if self.flow.leaving => self.flow.deaf = true,
            sent => sent.map_err(End::Client)?,
        }
        Ok(())
    }

    /// Whether nothing is owed, nothing runs and nothing is half sent.
    fn is_idle(&self) -> bool {
        self.ledger.is_empty()
            && self.flow.status == Status::Idle
            && self.flow.sending == 0
            && self.flow.receiving == 0
            && !self.flow.copying
    }

    #[inline]
    fn enter(&self, phase: Phase) {
        self.handle.enter(phase, self.shared.clock.now());
        self.handle.set_prepared(self.names.len());
    }

    /// Takes a connection for what comes next.
    #[inline]
    fn hold(&mut self, lease: Lease) {
        if !self.is_as_expected(&lease) {
            return;
        }
        self.pool.traffic().assignments.add(1);
        lease.lent_to(self.handle.id);
        self.flow.ran = true;
        self.flow.listens = false;
        self.lease = Some(lease);
    }
}
