//! What the rest of a worker can see of a session, and how it reaches it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    task::Waker,
    time::Instant,
};

use tokio::sync::oneshot;

use super::{Settings, pin};
use crate::net::{self, Ends};
use crate::pool::{Key, PinNote, Pool};
use crate::protocol::Parameters;
use crate::sql::Fingerprint;

/// Names a session of the process.
pub type SessionId = u64;

/// Dropped when a cancel is over; who sent it waits for that.
pub type PendingCancel = oneshot::Sender<()>;
/// Whose session it is: [`Sessions::of`] numbers them so.
pub fn worker_of(id: SessionId) -> usize {
    usize::try_from(id >> OF_ONE_WORKER).unwrap_or(usize::MAX)
}

/// Bits of a number that a worker's sessions differ in.
const OF_ONE_WORKER: u32 = 48;

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No request, no transaction.
    Idle,
    /// A request waits for a connection.
    Waiting,
    /// A request runs.
    Active,
    /// In a transaction, with no request under way.
    InTransaction,
}

/// What a session is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Leave now.
    Terminate,
    /// An operator sends this one away.
    Kill,
    /// The ambassador shuts down: leave when idle.
    Drain,
    /// `idle_in_transaction_timeout` is over.
    IdleInTransaction,
    /// `client_idle_timeout` is over.
    ClientIdle,
    /// `query_timeout` is over.
    QueryTimeout,
    /// The client asked to cancel what runs.
    Cancel,
    /// The client is not read from: is it still there?
    Look,
}

impl Signal {
    /// The gravest first.
    const ALL: [Self; 8] = [
        Self::Terminate,
        Self::Kill,
        Self::Drain,
        Self::IdleInTransaction,
        Self::ClientIdle,
        Self::QueryTimeout,
        Self::Cancel,
        Self::Look,
    ];
}

/// Who a session's client is.
#[derive(Clone, Default)]
pub struct Who {
    /// The database's name as the client said it.
    pub database: Box<[u8]>,
    pub user: Box<[u8]>,
    pub ends: Ends,
    /// Where its requests go; `None`: it talks with us, or has a connection of its own.
    pub pool: Option<Rc<Pool>>,
    /// What it was told of its settings when it came in.
    pub told: Rc<Parameters>,
}

/// That a session keeps its connection.
pub(super) struct Pinned {
    pub cause: pin::Cause,
    /// On the coarse clock.
    pub since: Instant,
    #[expect(dead_code, reason = "it says so for as long as it is here")]
    pub note: PinNote,
}

impl Pinned {
    fn view(&self) -> PinView {
        PinView {
            reason: self.cause.reason.name(),
            since: self.since,
            print: self.cause.print,
        }
    }
}

/// The same for others to see.
#[derive(Debug, Clone, Copy)]
pub struct PinView {
    pub reason: &'static str,
    pub since: Instant,
    /// The statement that it began with; `None`: none, or not seen in whole.
    pub print: Option<Fingerprint>,
}

/// A session's face to its worker.
pub struct Handle {
    pub id: SessionId,
    who: Who,
    /// When it came, on the coarse clock.
    begun: Instant,
    /// The application's name since it changed it; `None`: it has not.
    renamed: RefCell<Option<Box<[u8]>>>,
    pinned: RefCell<Option<Pinned>>,
    prepared: Cell<usize>,
    phase: Cell<Phase>,
    /// Since when the phase lasts, on the coarse clock.
    since: Cell<Instant>,
    /// Those not heeded yet, a bit for each.
    signals: Cell<u8>,
    /// Of the cancels that have not been heeded.
    cancels: RefCell<Vec<PendingCancel>>,
    /// The client is not read from.
    unheard: Cell<bool>,
    limits: Rc<Settings>,
    waker: RefCell<Waker>,
}

impl Handle {
    pub fn new(id: SessionId, now: Instant, limits: &Rc<Settings>, who: Who) -> Self {
        Self {
            id,
            who,
            begun: now,
            renamed: RefCell::default(),
            pinned: RefCell::default(),
            prepared: Cell::default(),
            phase: Cell::new(Phase::Idle),
            since: Cell::new(now),
            signals: Cell::new(0),
            cancels: RefCell::default(),
            unheard: Cell::new(false),
            limits: Rc::clone(limits),
            waker: RefCell::new(Waker::noop().clone()),
        }
    }

    #[inline]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub fn since(&self) -> Instant {
        self.since.get()
    }

    #[inline]
    pub fn enter(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.since.set(now);
    }

    /// Signals the session if its phase has lasted longer than it may.
    pub fn check(&self, now: Instant) {
        let (limit, signal) = match self.phase() {
            Phase::Idle => (self.limits.client_idle_timeout, Signal::ClientIdle),
            Phase::Active => (self.limits.query_timeout, Signal::QueryTimeout),
            Phase::InTransaction => (
                self.limits.idle_in_transaction_timeout,
                Signal::IdleInTransaction,
            ),
            // acquire_timeout is the pool's.
            Phase::Waiting => return,
        };
        if !limit.is_zero() && now.saturating_duration_since(self.since()) >= limit {
            self.since.set(now);
            self.signal(signal);
        }
    }

    /// Tells the session something. Every kind of signal is heeded, whatever else comes.
    pub fn signal(&self, signal: Signal) {
        self.signals.set(self.signals.get() | 1 << signal as u8);
        self.waker.borrow().wake_by_ref();
    }

    /// The gravest signal that has not been heeded.
    #[inline]
    pub fn take_signal(&self) -> Option<Signal> {
        let signals = self.signals.get();
        if signals == 0 {
            return None;
        }
        let first = Signal::ALL
            .into_iter()
            .find(|&one| signals >> one as u8 & 1 == 1)?;
        self.signals.set(signals & !(1 << first as u8));
        Some(first)
    }

    pub fn take_cancels(&self) -> Vec<PendingCancel> {
        self.cancels.take()
    }

    pub fn register(&self, waker: &Waker) {
        self.waker.borrow_mut().clone_from(waker);
    }

    /// The client calls itself otherwise.
    pub(super) fn rename(&self, application: &[u8]) {
        self.renamed.replace(Some(application.into()));
    }

    /// The session keeps its connection, or does not any more.
    pub(super) fn set_pinned(&self, pinned: Option<Pinned>) {
        self.pinned.replace(pinned);
    }

    #[inline]
    pub(super) fn set_prepared(&self, statements: usize) {
        self.prepared.set(statements);
    }

    /// The client's end of its connection.
    pub fn client(&self) -> net::End {
        self.who.ends.peer
    }

    /// Where the session's requests go; `None`: it talks with us, or has a connection of its own.
    pub fn pool(&self) -> Option<&Rc<Pool>> {
        self.who.pool.as_ref()
    }

    /// Why the session keeps its connection.
    pub fn pinned(&self) -> Option<&'static str> {
        let pinned = self.pinned.borrow();
        pinned.as_ref().map(|pinned| pinned.cause.reason.name())
    }

    /// Looks at the session; reads what is kept anyway.
    pub fn view(&self) -> View {
        let who = &self.who;
        let renamed = self.renamed.borrow();
        let application = renamed.as_deref().or(who.told.get(b"application_name"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        View {
            id: self.id,
            database: text(&who.database),
            user: text(&who.user),
            application: text(application.unwrap_or_default()),
            ends: who.ends,
            pool: who.pool.as_ref().map(|pool| pool.key().clone()),
            begun: self.begun,
            phase: self.phase(),
            since: self.since(),
            pinned: self.pinned.borrow().as_ref().map(Pinned::view),
            prepared: self.prepared.get(),
        }
    }
}

/// What others may see of a session: plain data, put together when somebody asks.
#[derive(Debug, Clone)]
pub struct View {
    pub id: SessionId,
    /// As the client said it.
    pub database: String,
    pub user: String,
    /// `application_name`.
    pub application: String,
    pub ends: Ends,
    /// `None`: the session is with the console.
    pub pool: Option<Key>,
    /// When the client came.
    pub begun: Instant,
    pub phase: Phase,
    /// Since when the phase lasts.
    pub since: Instant,
    /// Why the session keeps its connection, and since when.
    pub pinned: Option<PinView>,
    /// Statements that the client has prepared by name.
    pub prepared: usize,
}

/// The sessions of one worker.
#[derive(Default)]
pub struct Sessions {
    all: RefCell<HashMap<SessionId, Rc<Handle>>>,
    /// One of them does not read from its client.
    unheard: Cell<bool>,
    next: Cell<SessionId>,
}

impl Sessions {
    /// Of all workers no two give out the same number: connections move, and remember it.
    pub fn of(worker: usize) -> Self {
        let sessions = Self::default();
        sessions.next.set((worker as SessionId) << OF_ONE_WORKER);
        sessions
    }

    pub fn enter(&self, now: Instant, limits: &Rc<Settings>, who: Who) -> Rc<Handle> {
        let id = self.next.get();
        self.next.set(id + 1);
        let handle = Rc::new(Handle::new(id, now, limits, who));
        self.all.borrow_mut().insert(id, Rc::clone(&handle));
        handle
    }

    pub fn leave(&self, id: SessionId) {
        self.all.borrow_mut().remove(&id);
    }

    pub fn len(&self) -> usize {
        self.all.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.borrow().is_empty()
    }

    pub fn signal(&self, id: SessionId, signal: Signal) {
        if let Some(handle) = self.all.borrow().get(&id) {
            handle.signal(signal);
        }
    }

    /// Has a session cancel what it runs.
    pub fn cancel(&self, id: SessionId, pending: PendingCancel) {
        if let Some(handle) = self.all.borrow().get(&id) {
            handle.cancels.borrow_mut().push(pending);
            handle.signal(Signal::Cancel);
        }
    }

    /// The session does not read from its client, and is to look at the next tick whether that
    /// is still there.
    pub(super) fn look_after(&self, handle: &Handle) {
        handle.unheard.set(true);
        self.unheard.set(true);
    }

    /// Has those look that wished to.
    pub fn look(&self) {
        if self.unheard.take() {
            self.each(|handle| {
                if handle.unheard.take() {
                    handle.signal(Signal::Look);
                }
            });
        }
    }

    pub fn each(&self, mut visit: impl FnMut(&Handle)) {
        self.all.borrow().values().for_each(|handle| visit(handle));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signal_is_forgotten_for_another_and_the_gravest_comes_first() {
        let handle = Handle::new(1, Instant::now(), &Rc::default(), Who::default());
        handle.signal(Signal::Cancel);
        handle.signal(Signal::Terminate);
        assert_eq!(handle.take_signal(), Some(Signal::Terminate));
        assert_eq!(handle.take_signal(), Some(Signal::Cancel));
        assert_eq!(handle.take_signal(), None);
    }

    #[test]
    fn a_session_that_left_is_not_reached() {
        let sessions = Sessions::default();
        let handle = sessions.enter(Instant::now(), &Rc::default(), Who::default());
        sessions.leave(handle.id);
        sessions.signal(handle.id, Signal::Cancel);
        assert_eq!(handle.take_signal(), None);
        assert!(sessions.is_empty());
    }
}
